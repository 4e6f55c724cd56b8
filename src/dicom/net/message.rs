//! P-DATA values to whole DIMSE messages: a small state machine without input or output.
//!
//! A command may span several values, a PDU may hold several of them, and the values of a data set follow those of
//! its command on the same presentation context (PS3.8 annex E). Anything else is a [`Fault`].

use bytes::Bytes;
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu};

use super::budget::{Budget, Growing};
use super::command::Command;

/// A command set has a dozen short elements; one that grows beyond this is not one.
const MAX_COMMAND_BYTES: usize = 16 * 1024;
/// Header of a presentation data value inside a P-DATA-TF PDU: length, context, control.
const VALUE_HEADER_BYTES: u32 = 6;

/// What followed the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DataSet {
    /// The command announced none.
    Absent,
    /// All of its bytes.
    Complete(Bytes),
    /// More bytes than the limit; they were read and dropped.
    TooLarge,
    /// Its bytes were read and dropped, because the memory for all associations was used up.
    NoMemory,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Presentation context on which it came.
    pub context: u8,
    /// The command.
    pub command: Command,
    /// The data set.
    pub data: DataSet,
}

/// Breach of the protocol: nothing after it can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("a data set came without a command before it")]
    DataWithoutCommand,
    #[error("a command came while the data set of the one before was still under way")]
    CommandInsideData,
    #[error("one message came on two presentation contexts")]
    ContextChanged,
    #[error("a command is longer than {MAX_COMMAND_BYTES} bytes")]
    CommandTooLong,
    #[error("{0}")]
    BadCommand(&'static str),
}

#[derive(Debug)]
enum State {
    Idle,
    Command { context: u8, bytes: Vec<u8> },
    Data { context: u8, command: Command, data: Incoming },
}

/// The data set of a message, as far as it has come.
#[derive(Debug)]
enum Incoming {
    Kept(Growing),
    /// The rest is still read, so that the peer gets an answer and its other objects get through.
    Dropped(DataSet),
}

impl Incoming {
    fn extend(self, more: &[u8], most: usize) -> Self {
        match self {
            Self::Kept(kept) if kept.len() + more.len() > most => Self::Dropped(DataSet::TooLarge),
            Self::Kept(mut kept) => {
                if kept.extend(more) {
                    Self::Kept(kept)
                } else {
                    Self::Dropped(DataSet::NoMemory)
                }
            }
            dropped @ Self::Dropped(_) => dropped,
        }
    }
}

/// Puts messages together.
#[derive(Debug)]
pub(super) struct Assembler {
    state: State,
    max_object_bytes: usize,
    budget: Budget,
}

impl Assembler {
    /// An assembler that keeps data sets of up to `max_object_bytes`.
    pub fn new(max_object_bytes: usize) -> Self {
        Self::within(Budget::new(max_object_bytes), max_object_bytes)
    }

    /// As [`Assembler::new`], with memory that others use, too.
    pub fn within(budget: Budget, max_object_bytes: usize) -> Self {
        Self { state: State::Idle, max_object_bytes, budget }
    }

    /// Whether a message has begun and is not complete.
    pub fn in_progress(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Takes the next value; gives the message that it completes.
    ///
    /// # Errors
    /// [`Fault`]; the assembler is idle afterwards, but the association is lost.
    pub fn push(&mut self, value: PDataValue) -> Result<Option<Message>, Fault> {
        match (std::mem::replace(&mut self.state, State::Idle), &value.value_type) {
            (State::Idle, PDataValueType::Command) => self.command(value.presentation_context_id, Vec::new(), &value),
            (State::Idle | State::Command { .. }, PDataValueType::Data) => Err(Fault::DataWithoutCommand),
            (State::Command { context, bytes }, PDataValueType::Command) => self.command(context, bytes, &value),
            (State::Data { .. }, PDataValueType::Command) => Err(Fault::CommandInsideData),
            (State::Data { context, command, data }, PDataValueType::Data) => self.data(context, command, data, &value),
        }
    }

    fn command(&mut self, context: u8, mut bytes: Vec<u8>, value: &PDataValue) -> Result<Option<Message>, Fault> {
        same_context(context, value)?;
        if bytes.len() + value.data.len() > MAX_COMMAND_BYTES {
            return Err(Fault::CommandTooLong);
        }
        bytes.extend_from_slice(&value.data);
        if !value.is_last {
            self.state = State::Command { context, bytes };
            return Ok(None);
        }
        let command = Command::parse(&bytes).map_err(Fault::BadCommand)?;
        if !command.has_data_set() {
            return Ok(Some(Message { context, command, data: DataSet::Absent }));
        }
        self.state = State::Data { context, command, data: Incoming::Kept(self.budget.data_set()) };
        Ok(None)
    }

    fn data(
        &mut self,
        context: u8,
        command: Command,
        data: Incoming,
        value: &PDataValue,
    ) -> Result<Option<Message>, Fault> {
        same_context(context, value)?;
        let data = data.extend(&value.data, self.max_object_bytes);
        if !value.is_last {
            self.state = State::Data { context, command, data };
            return Ok(None);
        }
        let data = match data {
            Incoming::Kept(kept) => DataSet::Complete(kept.freeze()),
            Incoming::Dropped(why) => why,
        };
        Ok(Some(Message { context, command, data }))
    }
}

fn same_context(context: u8, value: &PDataValue) -> Result<(), Fault> {
    if value.presentation_context_id == context { Ok(()) } else { Err(Fault::ContextChanged) }
}

/// Cuts a command or a data set into P-DATA-TF PDUs of at most `max_pdu_bytes` each, one value to a PDU.
///
/// An empty `bytes` still gives one PDU: the last fragment has to be said.
pub(super) fn fragments(
    context: u8,
    kind: PDataValueType,
    bytes: &[u8],
    max_pdu_bytes: u32,
) -> impl Iterator<Item = Pdu> {
    // Fragments are of even length (PS3.8 annex E); no peer offers less than one byte pair in earnest.
    let size = (max_pdu_bytes.saturating_sub(VALUE_HEADER_BYTES) as usize & !1).max(2);
    let count = bytes.len().div_ceil(size).max(1);
    (0..count).map(move |n| {
        let start = n * size;
        let data = bytes.get(start..(start + size).min(bytes.len())).unwrap_or_default().to_vec();
        let value =
            PDataValue { presentation_context_id: context, value_type: kind.clone(), is_last: n + 1 == count, data };
        Pdu::PData { data: vec![value] }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn store() -> Command {
        Command::store_request(7, "1.2.840.10008.5.1.4.1.1.4", "2.25.1")
    }

    fn value(context: u8, kind: PDataValueType, is_last: bool, data: &[u8]) -> PDataValue {
        PDataValue { presentation_context_id: context, value_type: kind, is_last, data: data.to_vec() }
    }

    fn command_value(context: u8) -> PDataValue {
        value(context, PDataValueType::Command, true, &store().encode())
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_message_back(data in prop::collection::vec(any::<u8>(), 0..700), max in 8u32..300) {
            let mut assembler = Assembler::new(1000);
            let command = store().encode();
            let pdus = fragments(3, PDataValueType::Command, &command, max)
                .chain(fragments(3, PDataValueType::Data, &data, max + 5))
                .collect::<Vec<_>>();
            let mut whole = Vec::new();
            for pdu in pdus {
                let Pdu::PData { data } = pdu else { panic!("not P-DATA") };
                for value in data {
                    prop_assert!(value.data.len() + 6 <= max as usize + 5);
                    prop_assert!(value.is_last || value.data.len() % 2 == 0);
                    whole.extend(assembler.push(value).unwrap());
                }
            }
            prop_assert_eq!(whole, vec![Message {
                context: 3, command: Command::parse(&command).unwrap(), data: DataSet::Complete(data.into()),
            }]);
            prop_assert!(!assembler.in_progress());
        }
    }

    #[test]
    fn breaches_of_the_order_are_faults() {
        use PDataValueType::{Command as C, Data as D};
        let cases = [
            (vec![value(1, D, true, b"ab")], Fault::DataWithoutCommand),
            (vec![value(1, C, false, b"ab"), value(1, D, true, b"ab")], Fault::DataWithoutCommand),
            (vec![command_value(1), command_value(1)], Fault::CommandInsideData),
            (vec![command_value(1), value(3, D, true, b"ab")], Fault::ContextChanged),
            (vec![value(1, C, false, b"ab"), value(3, C, true, b"ab")], Fault::ContextChanged),
            (vec![value(1, C, true, b"ab")], Fault::BadCommand("a command element is cut short")),
            (vec![value(1, C, false, &[0; MAX_COMMAND_BYTES]), value(1, C, true, b"a")], Fault::CommandTooLong),
        ];
        for (values, fault) in cases {
            let mut assembler = Assembler::new(100);
            let seen = values.into_iter().map(|v| assembler.push(v)).find_map(Result::err);
            assert_eq!(seen, Some(fault));
        }
    }

    #[test]
    fn a_data_set_over_the_limit_is_dropped_and_the_next_one_is_taken() {
        let mut assembler = Assembler::new(4);
        for (last, expected) in [(5, DataSet::TooLarge), (4, DataSet::Complete(Bytes::from_static(&[9; 4])))] {
            assert_eq!(assembler.push(command_value(1)), Ok(None));
            for _ in 1..last {
                assert_eq!(assembler.push(value(1, PDataValueType::Data, false, &[9])), Ok(None));
            }
            let message = assembler.push(value(1, PDataValueType::Data, true, &[9])).unwrap().unwrap();
            assert_eq!(message.data, expected);
        }
    }
}
