//! Between a DICOM file (PS3.10) and the bytes that travel: the data set is the same, the file meta information is
//! not sent.

use bytes::Bytes;
use dicom_object::{FileMetaTable, FileMetaTableBuilder};

use super::{NetError, ObjectToSend, Received};
use crate::dicom::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use crate::ids::InstanceUid;

const PREAMBLE_BYTES: usize = 128;
const MAGIC: &[u8] = b"DICM";
/// Tag, VR and length of the group length element, and its value.
const GROUP_LENGTH_BYTES: usize = 12;

impl Received {
    /// The instance as a DICOM file: meta information and, byte for byte, the data set that was sent.
    ///
    /// Sender and time stay out, so that the same data set gives the same file whenever it comes again.
    ///
    /// # Errors
    /// Text for the log, when the meta information cannot be written.
    pub fn to_part10(&self) -> Result<Vec<u8>, String> {
        let meta = FileMetaTableBuilder::new()
            .media_storage_sop_class_uid(self.sop_class.as_str())
            .media_storage_sop_instance_uid(self.instance.as_str())
            .transfer_syntax(self.transfer_syntax.as_str())
            .implementation_class_uid(IMPLEMENTATION_CLASS_UID)
            .implementation_version_name(IMPLEMENTATION_VERSION_NAME)
            .build()
            .map_err(|e| e.to_string())?;
        let mut file = vec![0; PREAMBLE_BYTES];
        file.extend_from_slice(MAGIC);
        meta.write(&mut file).map_err(|e| e.to_string())?;
        file.extend_from_slice(&self.dataset);
        Ok(file)
    }
}

impl ObjectToSend {
    /// Takes a DICOM file apart; the data set is shared with `file`, not copied.
    ///
    /// # Errors
    /// [`NetError::Unsendable`] when the file has no readable meta information.
    pub fn from_part10(file: &Bytes) -> Result<Self, NetError> {
        let unsendable = |what: String| NetError::Unsendable(format!("this is not a DICOM file: {what}"));
        let start = PREAMBLE_BYTES + MAGIC.len();
        let from_magic = file.get(PREAMBLE_BYTES..).unwrap_or_default();
        let meta = FileMetaTable::from_reader(from_magic).map_err(|e| unsendable(e.to_string()))?;
        let data_at = start + GROUP_LENGTH_BYTES + meta.information_group_length as usize;
        if data_at > file.len() {
            return Err(unsendable("its meta information is cut short".to_owned()));
        }
        Ok(Self {
            sop_class: meta.media_storage_sop_class_uid().to_owned(),
            instance: InstanceUid::parse(meta.media_storage_sop_instance_uid())
                .map_err(|e| unsendable(e.to_string()))?,
            transfer_syntax: meta.transfer_syntax().to_owned(),
            bytes: file.slice(data_at..),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AeTitle;

    fn received() -> Received {
        Received {
            calling: AeTitle::parse("MR1").unwrap(),
            called: AeTitle::default(),
            peer: "127.0.0.1:4000".parse().unwrap(),
            sop_class: "1.2.840.10008.5.1.4.1.1.4".to_owned(),
            instance: InstanceUid::parse("1.2.3").unwrap(),
            transfer_syntax: "1.2.840.10008.1.2".to_owned(),
            dataset: Bytes::from_static(&[8, 0, 5, 0, 2, 0, 0, 0, b'x', b'y']),
        }
    }

    #[test]
    fn a_file_gives_back_what_was_received() {
        let object = received();
        let file = Bytes::from(object.to_part10().unwrap());
        let sent = ObjectToSend::from_part10(&file).unwrap();
        assert_eq!(sent.bytes, object.dataset);
        assert_eq!(sent.instance, object.instance);
        assert_eq!((sent.sop_class, sent.transfer_syntax), (object.sop_class.clone(), object.transfer_syntax.clone()));
        let elsewhere = Received { calling: AeTitle::parse("OTHER").unwrap(), ..object };
        assert_eq!(elsewhere.to_part10().unwrap(), file);
    }

    #[test]
    fn no_cut_through_the_meta_information_is_taken() {
        let object = received();
        let file = Bytes::from(object.to_part10().unwrap());
        let meta_ends = file.len() - object.dataset.len();
        for cut in 0..meta_ends {
            assert!(ObjectToSend::from_part10(&file.slice(..cut)).is_err(), "a file of {cut} bytes was taken");
        }
    }
}
