//! A peer written by hand: it sends PDUs, or bytes that are none, one at a time. Command sets are built with
//! `dicom-object`, so that our own encoder does not check itself.

use std::net::SocketAddr;

use bytes::BytesMut;
use dicom_core::{DataElement, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};
use dicom_object::mem::InMemElement;
use dicom_object::{InMemDicomObject, StandardDataDictionary};
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;
use dicom_ul::pdu::{
    AssociationRQ, PDataValue, PDataValueType, Pdu, PresentationContextProposed, UserVariableItem, read_pdu, write_pdu,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

pub const MR: &str = uids::MR_IMAGE_STORAGE;
pub const IMPLICIT: &str = uids::IMPLICIT_VR_LITTLE_ENDIAN;
/// Presentation context of MR in implicit little endian in [`association_request`].
pub const MR_CONTEXT: u8 = 1;
/// Presentation context of Verification in [`association_request`].
pub const ECHO_CONTEXT: u8 = 3;

/// A connection to an SCP.
pub struct Raw {
    pub stream: TcpStream,
    buffer: BytesMut,
}

impl Raw {
    pub async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// Calls from one of this computer's addresses.
    pub async fn from(address: &str, port: u16) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        Self::over(socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap())
    }

    pub fn over(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Connects and gets an association with MR and Verification.
    pub async fn associate(port: u16) -> Self {
        Self::associate_as("TESTER", port).await
    }

    pub async fn associate_as(title: &str, port: u16) -> Self {
        let mut raw = Self::connect(port).await;
        raw.send(&association_request(title)).await;
        let answer = raw.receive().await;
        assert!(matches!(answer, Some(Pdu::AssociationAC(_))), "{answer:?}");
        raw
    }

    pub async fn send(&mut self, pdu: &Pdu) {
        self.send_bytes(&encoded(pdu)).await;
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends to somebody who may have hung up.
    pub async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    pub async fn release(mut self) {
        self.send(&Pdu::ReleaseRQ).await;
        assert_eq!(self.receive().await, Some(Pdu::ReleaseRP));
    }

    /// The next PDU; `None` when the other side has closed.
    pub async fn receive(&mut self) -> Option<Pdu> {
        loop {
            let mut cursor = std::io::Cursor::new(&self.buffer[..]);
            if let Some(pdu) = read_pdu(&mut cursor, 1 << 20, true).unwrap() {
                let used = cursor.position() as usize;
                let _ = self.buffer.split_to(used);
                return Some(pdu);
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next message with a data set: the elements of its command, and the data set.
    pub async fn message(&mut self) -> (u8, InMemDicomObject, Vec<u8>) {
        let (mut command, mut data) = (Vec::new(), Vec::new());
        loop {
            let pdu = self.receive().await;
            let Some(Pdu::PData { data: values }) = pdu else { panic!("no message but {pdu:?}") };
            for value in values {
                let of_data = value.value_type == PDataValueType::Data;
                if of_data { &mut data } else { &mut command }.extend(value.data);
                if of_data && value.is_last {
                    return (value.presentation_context_id, read_command(&command), data);
                }
            }
        }
    }

    /// The next PDU as a DIMSE response: its elements.
    pub async fn response(&mut self) -> Response {
        let pdu = self.receive().await;
        let Some(Pdu::PData { data }) = &pdu else { panic!("no response but {pdu:?}") };
        assert!(data.len() == 1 && data[0].is_last && data[0].value_type == PDataValueType::Command);
        Response(read_command(&data[0].data))
    }

    /// Asserts that the association is aborted or closed, and nothing else is said before.
    pub async fn expect_abort(&mut self, why: &str) {
        match self.receive().await {
            None | Some(Pdu::AbortRQ { .. }) => {}
            other => panic!("{why}: no abort but {other:?}"),
        }
    }
}

/// A response.
pub struct Response(InMemDicomObject);

impl Response {
    pub fn status(&self) -> u16 {
        self.0.element(tags::STATUS).unwrap().to_int().unwrap()
    }

    pub fn answers(&self) -> u16 {
        self.0.element(tags::MESSAGE_ID_BEING_RESPONDED_TO).unwrap().to_int().unwrap()
    }

    pub fn operation(&self) -> u16 {
        self.0.element(tags::COMMAND_FIELD).unwrap().to_int().unwrap()
    }
}

pub fn read_command(bytes: &[u8]) -> InMemDicomObject {
    InMemDicomObject::read_dataset_with_ts(bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap()
}

pub fn encoded(pdu: &Pdu) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, pdu).unwrap();
    bytes
}

pub fn association_request(calling: &str) -> Pdu {
    let contexts = [(MR_CONTEXT, MR), (ECHO_CONTEXT, uids::VERIFICATION)];
    proposal(calling, contexts.map(|(id, class)| context(id, class, &[IMPLICIT])).to_vec())
}

/// A presentation context to propose.
pub fn context(id: u8, class: &str, syntaxes: &[&str]) -> PresentationContextProposed {
    PresentationContextProposed {
        id,
        abstract_syntax: class.to_owned(),
        transfer_syntaxes: syntaxes.iter().map(|syntax| (*syntax).to_owned()).collect(),
    }
}

/// A request for MR, and for everything else that fits into it: 128 contexts with forty long transfer syntaxes each.
pub fn full_request() -> Pdu {
    let context = |id: u8| {
        let other = (0..40).map(|n| format!("1.2.826.0.1.3680043.10.543.{:1>32}", 1000 * u32::from(id) + n));
        PresentationContextProposed {
            id,
            abstract_syntax: MR.to_owned(),
            transfer_syntaxes: other.chain([IMPLICIT.to_owned()]).collect(),
        }
    };
    proposal("TESTER", (1..=u8::MAX).step_by(2).map(context).collect())
}

pub fn proposal(calling: &str, presentation_contexts: Vec<PresentationContextProposed>) -> Pdu {
    Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: calling.to_owned(),
        called_ae_title: "CONTOURD".to_owned(),
        application_context_name: uids::DICOM_APPLICATION_CONTEXT.to_owned(),
        presentation_contexts,
        user_variables: vec![
            UserVariableItem::MaxLength(16_384),
            UserVariableItem::ImplementationClassUID("1.2.3".to_owned()),
        ],
    })
}

pub fn value(context: u8, kind: PDataValueType, is_last: bool, data: &[u8]) -> PDataValue {
    PDataValue { presentation_context_id: context, value_type: kind, is_last, data: data.to_vec() }
}

pub fn command_pdu(context: u8, command: &[u8]) -> Pdu {
    Pdu::PData { data: vec![value(context, PDataValueType::Command, true, command)] }
}

pub fn data_pdu(context: u8, data: &[u8]) -> Pdu {
    Pdu::PData { data: vec![value(context, PDataValueType::Data, true, data)] }
}

/// Bytes of a command with these elements.
pub fn command(elements: Vec<InMemElement<StandardDataDictionary>>) -> Vec<u8> {
    let command = InMemDicomObject::command_from_element_iter(elements);
    let mut bytes = Vec::new();
    command.write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
    bytes
}

pub fn number(tag: dicom_core::Tag, value: u16) -> InMemElement<StandardDataDictionary> {
    DataElement::new(tag, VR::US, dicom_value!(U16, [value]))
}

pub fn text(tag: dicom_core::Tag, value: &str) -> InMemElement<StandardDataDictionary> {
    DataElement::new(tag, VR::UI, value)
}

/// Command of an operation on a class, with or without data set.
pub fn request(operation: u16, id: u16, class: &str, instance: Option<&str>, with_data: bool) -> Vec<u8> {
    let mut elements = vec![
        text(tags::AFFECTED_SOP_CLASS_UID, class),
        number(tags::COMMAND_FIELD, operation),
        number(tags::MESSAGE_ID, id),
        number(tags::PRIORITY, 0),
        number(tags::COMMAND_DATA_SET_TYPE, if with_data { 1 } else { 0x0101 }),
    ];
    elements.extend(instance.map(|uid| text(tags::AFFECTED_SOP_INSTANCE_UID, uid)));
    command(elements)
}

pub const C_STORE: u16 = 0x0001;
pub const C_FIND: u16 = 0x0020;
pub const C_ECHO: u16 = 0x0030;

/// The command of a C-STORE of an MR image.
pub fn store(id: u16, instance: &str) -> Vec<u8> {
    request(C_STORE, id, MR, Some(instance), true)
}
