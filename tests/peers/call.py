"""Calls an SCP by pynetdicom: call.py PORT FILE...: C-ECHO, a C-STORE of each file in its own syntax, and storage commitment of
them in one association, then one that is aborted after its first object. Prints what was answered as JSON."""

import json
import sys
import threading

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import MRImageStorage, StorageCommitmentPushModel, StorageCommitmentPushModelInstance, Verification


def main() -> None:
    port, files = int(sys.argv[1]), [dcmread(path) for path in sys.argv[2:]]
    entity = AE("PYNETDICOM")
    entity.add_requested_context(Verification)
    entity.add_requested_context(StorageCommitmentPushModel)
    for file in files:
        entity.add_requested_context(MRImageStorage, file.file_meta.TransferSyntaxUID)
    reported, report = threading.Event(), {}

    def keep(event):
        kept = getattr(event.event_information, "ReferencedSOPSequence", [])
        report.update(kind=event.event_type, kept=[item.ReferencedSOPInstanceUID for item in kept])
        reported.set()
        return 0x0000, None

    told = {}
    association = entity.associate("127.0.0.1", port, ae_title="CONTOURD", evt_handlers=[(evt.EVT_N_EVENT_REPORT, keep)])
    told["echo"] = association.send_c_echo().Status
    told["stores"] = [association.send_c_store(file).Status for file in files]
    asked = Dataset()
    asked.TransactionUID = generate_uid()
    asked.ReferencedSOPSequence = []
    for uid in dict.fromkeys(file.SOPInstanceUID for file in files):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = MRImageStorage, uid
        asked.ReferencedSOPSequence.append(item)
    status, _ = association.send_n_action(asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    told["action"] = status.Status
    reported.wait(20)
    told["report"] = report
    association.release()
    told["released"] = association.is_released
    association = entity.associate("127.0.0.1", port, ae_title="CONTOURD")
    told["before_abort"] = association.send_c_store(files[0]).Status
    association.abort()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
