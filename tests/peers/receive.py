"""A C-STORE and C-ECHO SCP by pynetdicom that keeps what comes as files: receive.py PORT FOLDER. Ends when its input ends."""

import socket
import sys
from pathlib import Path

from pynetdicom import ALL_TRANSFER_SYNTAXES, AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification


def keep(event, folder: Path) -> int:
    (folder / f"{event.request.AffectedSOPInstanceUID}.dcm").write_bytes(event.encoded_dataset())
    return 0x0000


def main() -> None:
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    entity = AE("PYNETDICOM")
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
    entity.add_supported_context(Verification)
    entity.maximum_associations = 100
    entity.maximum_pdu_size = 131072
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, keep, [folder])])
    # What it accepts inherits this.
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
