//! From a DICOM file (PS3.10) to the bytes that travel: the data set without its file meta information.

use bytes::Bytes;
use dicom_object::FileMetaTable;

use super::{NetError, ObjectToSend};
use crate::ids::InstanceUid;

const PREAMBLE_BYTES: usize = 128;
const MAGIC_BYTES: usize = 4;
/// Tag, VR, length and value of the group length element, which does not count itself.
const GROUP_LENGTH_BYTES: usize = 12;

impl ObjectToSend {
    /// Takes a DICOM file apart; the data set is shared with `file`, not copied.
    ///
    /// # Errors
    /// [`NetError::Unsendable`] when the file has no readable meta information.
    pub fn from_part10(file: &Bytes) -> Result<Self, NetError> {
        let unsendable = |what: String| NetError::Unsendable(format!("this is not a whole DICOM file: {what}"));
        let from_magic = file.get(PREAMBLE_BYTES..).unwrap_or_default();
        let meta = FileMetaTable::from_reader(from_magic).map_err(|e| unsendable(e.to_string()))?;
        let start = PREAMBLE_BYTES + MAGIC_BYTES + GROUP_LENGTH_BYTES;
        let data_at = start.saturating_add(meta.information_group_length as usize);
        if data_at >= file.len() {
            return Err(unsendable("it ends before its data set".to_owned()));
        }
        let instance = InstanceUid::parse(meta.media_storage_sop_instance_uid());
        Ok(Self {
            sop_class: meta.media_storage_sop_class_uid().to_owned(),
            instance: instance.map_err(|e| unsendable(e.to_string()))?,
            transfer_syntax: meta.transfer_syntax().to_owned(),
            bytes: file.slice(data_at..),
        })
    }
}

#[cfg(test)]
mod tests {
    use dicom_object::FileMetaTableBuilder;

    use super::*;

    const DATA: &[u8] = &[8, 0, 5, 0, 2, 0, 0, 0, b'x', b'y'];

    fn file(instance: &str) -> Bytes {
        let meta = FileMetaTableBuilder::new()
            .media_storage_sop_class_uid("1.2.840.10008.5.1.4.1.1.4")
            .media_storage_sop_instance_uid(instance)
            .transfer_syntax("1.2.840.10008.1.2")
            .implementation_class_uid("1.2.3")
            .build()
            .unwrap();
        let mut file = [&[0; PREAMBLE_BYTES], b"DICM".as_slice()].concat();
        meta.write(&mut file).unwrap();
        file.extend_from_slice(DATA);
        Bytes::from(file)
    }

    #[test]
    fn a_file_is_taken_apart() {
        let object = ObjectToSend::from_part10(&file("1.2.3.4")).unwrap();
        assert_eq!(object.bytes, DATA);
        assert_eq!(object.instance.as_str(), "1.2.3.4");
        assert_eq!(object.sop_class, "1.2.840.10008.5.1.4.1.1.4");
        assert_eq!(object.transfer_syntax, "1.2.840.10008.1.2");
    }

    #[test]
    fn no_cut_through_the_meta_information_is_taken() {
        let whole = file("1.2.3.4");
        for cut in 0..=whole.len() - DATA.len() {
            assert!(ObjectToSend::from_part10(&whole.slice(..cut)).is_err(), "a file of {cut} bytes was taken");
        }
    }

    #[test]
    fn an_instance_without_a_uid_is_not_sent() {
        assert!(ObjectToSend::from_part10(&file("../1")).is_err());
    }
}
