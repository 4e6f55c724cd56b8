//! The command set of a DIMSE message: group 0000, implicit VR little endian (PS3.7 section 6.3 and annex E).
//!
//! A reader of its own, because this is the first thing that a stranger gets to send: it allocates nothing beyond the
//! bytes that are there, whatever lengths they declare, and it knows the few elements that are needed.

use std::collections::BTreeMap;

/// Elements of group 0000 that are read or written here.
pub(super) mod element {
    pub const GROUP_LENGTH: u16 = 0x0000;
    pub const AFFECTED_SOP_CLASS: u16 = 0x0002;
    pub const REQUESTED_SOP_CLASS: u16 = 0x0003;
    pub const COMMAND_FIELD: u16 = 0x0100;
    pub const MESSAGE_ID: u16 = 0x0110;
    pub const MESSAGE_ID_RESPONDED_TO: u16 = 0x0120;
    pub const MOVE_DESTINATION: u16 = 0x0600;
    pub const PRIORITY: u16 = 0x0700;
    pub const DATA_SET_TYPE: u16 = 0x0800;
    pub const STATUS: u16 = 0x0900;
    pub const ERROR_COMMENT: u16 = 0x0902;
    pub const AFFECTED_SOP_INSTANCE: u16 = 0x1000;
    pub const REQUESTED_SOP_INSTANCE: u16 = 0x1001;
    pub const EVENT_TYPE: u16 = 0x1002;
    pub const ACTION_TYPE: u16 = 0x1008;
    pub const COMPLETED_SUB_OPERATIONS: u16 = 0x1021;
    pub const FAILED_SUB_OPERATIONS: u16 = 0x1022;
    pub const WARNING_SUB_OPERATIONS: u16 = 0x1023;
}

/// Values of Command Field (0000,0100).
pub(super) mod field {
    pub const C_STORE_RQ: u16 = 0x0001;
    pub const C_FIND_RQ: u16 = 0x0020;
    pub const C_MOVE_RQ: u16 = 0x0021;
    pub const C_ECHO_RQ: u16 = 0x0030;
    pub const N_EVENT_REPORT_RQ: u16 = 0x0100;
    pub const N_ACTION_RQ: u16 = 0x0130;
    pub const C_CANCEL_RQ: u16 = 0x0FFF;
    /// Set in every response.
    pub const RESPONSE: u16 = 0x8000;
}

/// Value of Command Data Set Type (0000,0800) that says that no data set follows.
const NO_DATA_SET: u16 = 0x0101;
/// Any other value says that one follows.
const WITH_DATA_SET: u16 = 0x0001;
/// Priority (0000,0700) medium.
const MEDIUM: u16 = 0x0000;

/// The elements of a command, raw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Command {
    elements: BTreeMap<u16, Vec<u8>>,
}

impl Command {
    /// Reads the elements.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn parse(mut bytes: &[u8]) -> Result<Self, &'static str> {
        let mut elements = BTreeMap::new();
        while !bytes.is_empty() {
            let (header, rest) = bytes.split_first_chunk::<8>().ok_or("a command element is cut short")?;
            let [g0, g1, e0, e1, l0, l1, l2, l3] = *header;
            if u16::from_le_bytes([g0, g1]) != 0 {
                return Err("a command holds an element that is not of group 0000");
            }
            let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
            let value = rest.get(..length).ok_or("a command element is longer than its command")?;
            bytes = rest.get(length..).unwrap_or_default();
            if elements.insert(u16::from_le_bytes([e0, e1]), value.to_vec()).is_some() {
                return Err("a command holds an element twice");
            }
        }
        Ok(Self { elements })
    }

    /// The bytes, with the group length in front.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (element, value) in self.elements.iter().filter(|(e, _)| **e != element::GROUP_LENGTH) {
            put(&mut body, *element, value);
        }
        let mut bytes = Vec::with_capacity(body.len() + 12);
        put(&mut bytes, element::GROUP_LENGTH, &(body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// An unsigned short; `None` when absent or of another length.
    pub fn number(&self, element: u16) -> Option<u16> {
        let value = self.elements.get(&element)?.as_slice();
        Some(u16::from_le_bytes(value.try_into().ok()?))
    }

    /// Text without its padding; `None` when absent, empty or not ASCII.
    pub fn text(&self, element: u16) -> Option<&str> {
        let text = std::str::from_utf8(self.elements.get(&element)?).ok()?;
        let text = text.trim_matches([' ', '\0']);
        (!text.is_empty() && text.is_ascii()).then_some(text)
    }

    /// Whether a data set follows.
    pub fn has_data_set(&self) -> bool {
        self.number(element::DATA_SET_TYPE).is_some_and(|kind| kind != NO_DATA_SET)
    }

    /// C-STORE-RQ for one instance.
    pub fn store_request(message_id: u16, sop_class: &str, instance: &str) -> Self {
        Self::default()
            .with_text(element::AFFECTED_SOP_CLASS, sop_class, 0)
            .with_number(element::COMMAND_FIELD, field::C_STORE_RQ)
            .with_number(element::MESSAGE_ID, message_id)
            .with_number(element::PRIORITY, MEDIUM)
            .with_number(element::DATA_SET_TYPE, WITH_DATA_SET)
            .with_text(element::AFFECTED_SOP_INSTANCE, instance, 0)
    }

    /// C-ECHO-RQ.
    pub fn echo_request(message_id: u16, sop_class: &str) -> Self {
        Self::default()
            .with_text(element::AFFECTED_SOP_CLASS, sop_class, 0)
            .with_number(element::COMMAND_FIELD, field::C_ECHO_RQ)
            .with_number(element::MESSAGE_ID, message_id)
            .with_number(element::DATA_SET_TYPE, NO_DATA_SET)
    }

    /// C-FIND-RQ; its identifier follows.
    pub fn find_request(message_id: u16, model: &str) -> Self {
        Self::default()
            .with_text(element::AFFECTED_SOP_CLASS, model, 0)
            .with_number(element::COMMAND_FIELD, field::C_FIND_RQ)
            .with_number(element::MESSAGE_ID, message_id)
            .with_number(element::PRIORITY, MEDIUM)
            .with_number(element::DATA_SET_TYPE, WITH_DATA_SET)
    }

    /// C-MOVE-RQ to the application entity `to`; its identifier follows.
    pub fn move_request(message_id: u16, model: &str, to: &str) -> Self {
        Self::find_request(message_id, model).with_number(element::COMMAND_FIELD, field::C_MOVE_RQ).with_text(
            element::MOVE_DESTINATION,
            to,
            b' ',
        )
    }

    /// C-CANCEL-RQ for a request that is under way.
    pub fn cancel_request(message_id: u16) -> Self {
        Self::default()
            .with_number(element::COMMAND_FIELD, field::C_CANCEL_RQ)
            .with_number(element::MESSAGE_ID_RESPONDED_TO, message_id)
            .with_number(element::DATA_SET_TYPE, NO_DATA_SET)
    }

    /// N-ACTION-RQ on an instance; its action information follows.
    pub fn action_request(message_id: u16, sop_class: &str, instance: &str, action: u16) -> Self {
        Self::default()
            .with_text(element::REQUESTED_SOP_CLASS, sop_class, 0)
            .with_number(element::COMMAND_FIELD, field::N_ACTION_RQ)
            .with_number(element::MESSAGE_ID, message_id)
            .with_number(element::DATA_SET_TYPE, WITH_DATA_SET)
            .with_text(element::REQUESTED_SOP_INSTANCE, instance, 0)
            .with_number(element::ACTION_TYPE, action)
    }

    /// N-EVENT-REPORT-RQ of an instance; its event information follows.
    pub fn event_request(message_id: u16, sop_class: &str, instance: &str, event: u16) -> Self {
        Self::default()
            .with_text(element::AFFECTED_SOP_CLASS, sop_class, 0)
            .with_number(element::COMMAND_FIELD, field::N_EVENT_REPORT_RQ)
            .with_number(element::MESSAGE_ID, message_id)
            .with_number(element::DATA_SET_TYPE, WITH_DATA_SET)
            .with_text(element::AFFECTED_SOP_INSTANCE, instance, 0)
            .with_number(element::EVENT_TYPE, event)
    }

    /// The response to this request; the SOP class and instance are those of the request, as far as it had them, and so are
    /// the type of an action or event.
    pub fn response(&self, status: u16, comment: Option<&str>) -> Self {
        let request = |element| self.number(element).unwrap_or_default();
        let mut response = Self::default()
            .with_number(element::COMMAND_FIELD, request(element::COMMAND_FIELD) | field::RESPONSE)
            .with_number(element::MESSAGE_ID_RESPONDED_TO, request(element::MESSAGE_ID))
            .with_number(element::DATA_SET_TYPE, NO_DATA_SET)
            .with_number(element::STATUS, status);
        for (affected, requested) in [
            (element::AFFECTED_SOP_CLASS, element::REQUESTED_SOP_CLASS),
            (element::AFFECTED_SOP_INSTANCE, element::REQUESTED_SOP_INSTANCE),
        ] {
            if let Some(text) = self.text(affected).or_else(|| self.text(requested)) {
                response = response.with_text(affected, text, 0);
            }
        }
        for kind in [element::ACTION_TYPE, element::EVENT_TYPE] {
            if let Some(number) = self.number(kind) {
                response = response.with_number(kind, number);
            }
        }
        match comment {
            Some(comment) => response.with_text(element::ERROR_COMMENT, comment, b' '),
            None => response,
        }
    }

    fn with_number(mut self, element: u16, value: u16) -> Self {
        self.elements.insert(element, value.to_le_bytes().to_vec());
        self
    }

    fn with_text(mut self, element: u16, text: &str, padding: u8) -> Self {
        let mut value = text.as_bytes().to_vec();
        if value.len() % 2 == 1 {
            value.push(padding);
        }
        self.elements.insert(element, value);
        self
    }
}

fn put(bytes: &mut Vec<u8>, element: u16, value: &[u8]) {
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&element.to_le_bytes());
    bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
    bytes.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let request = Command::store_request(0x0102, "1.2.840.10008.5.1.4.1.1.4", "2.25.123");
        let read = Command::parse(&request.encode()).unwrap();
        assert_eq!(read.text(element::AFFECTED_SOP_INSTANCE), Some("2.25.123"));
        assert_eq!(read.number(element::MESSAGE_ID), Some(0x0102));
        assert!(read.has_data_set());
        let response = Command::parse(&read.response(0xA700, Some("odd")).encode()).unwrap();
        assert_eq!(response.number(element::COMMAND_FIELD), Some(0x8001));
        assert_eq!(response.number(element::MESSAGE_ID_RESPONDED_TO), Some(0x0102));
        assert_eq!(response.number(element::STATUS), Some(0xA700));
        assert_eq!(response.text(element::ERROR_COMMENT), Some("odd"));
        assert_eq!(response.text(element::AFFECTED_SOP_CLASS), Some("1.2.840.10008.5.1.4.1.1.4"));
        assert!(!response.has_data_set());
    }

    #[test]
    fn an_action_is_answered_for_the_instance_that_it_asked_of() {
        let request = Command::action_request(9, "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1", 1);
        let response = Command::parse(&request.response(0, None).encode()).unwrap();
        assert_eq!(response.number(element::COMMAND_FIELD), Some(0x8130));
        assert_eq!(response.text(element::AFFECTED_SOP_INSTANCE), Some("1.2.840.10008.1.20.1.1"));
        assert_eq!(response.text(element::REQUESTED_SOP_CLASS), None);
        assert_eq!(response.number(element::ACTION_TYPE), Some(1));
        let request = Command::move_request(9, "1.2", "CONTOURD");
        assert_eq!(request.number(element::COMMAND_FIELD), Some(0x0021));
        assert_eq!(request.text(element::MOVE_DESTINATION), Some("CONTOURD"));
    }

    #[test]
    fn the_group_length_counts_what_follows_and_every_value_is_even() {
        let bytes = Command::store_request(1, "1.2.3", "1.2.3.4").encode();
        assert_eq!(bytes[..8], [0, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize, bytes.len() - 12);
        assert_eq!(bytes.len() % 2, 0);
    }

    #[test]
    fn every_cut_and_every_false_length_is_an_error_or_a_shorter_command() {
        let whole = Command::store_request(1, "1.2.3", "1.2.3.4").encode();
        let complete = Command::parse(&whole).unwrap();
        for cut in 1..whole.len() {
            if let Ok(command) = Command::parse(&whole[..cut]) {
                assert!(command.elements.len() < complete.elements.len(), "cut at {cut} went unseen");
            }
        }
        let mut huge = whole.clone();
        huge[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Command::parse(&huge), Err("a command element is longer than its command"));
    }

    #[test]
    fn foreign_groups_and_repeated_elements_are_refused() {
        let mut foreign = Command::echo_request(1, "1.2").encode();
        foreign[12] = 8;
        assert!(Command::parse(&foreign).is_err());
        let once = Command::default().with_number(element::MESSAGE_ID, 1).encode();
        let twice = [&once[12..], &once[12..]].concat();
        assert_eq!(Command::parse(&twice), Err("a command holds an element twice"));
    }

    #[test]
    fn text_is_trimmed_and_ascii() {
        let command = Command::default().with_text(element::AFFECTED_SOP_CLASS, " 1.2\0", b' ');
        assert_eq!(command.text(element::AFFECTED_SOP_CLASS), Some("1.2"));
        let command = Command::default().with_text(element::AFFECTED_SOP_CLASS, "é", 0);
        assert_eq!(command.text(element::AFFECTED_SOP_CLASS), None);
        assert_eq!(command.number(element::AFFECTED_SOP_CLASS), Some(0xA9C3));
    }
}
