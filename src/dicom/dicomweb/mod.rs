//! DICOMweb (PS3.18) as a client: STOW-RS of results, QIDO-RS of what a system has, WADO-RS of what is missing here.
//!
//! It stands beside `dicom::net`, and says the same things: objects to send and what became of them, queries and what was
//! found, [`NetError`]. What is in which file:
//! - [`DicomwebService`] (`config`): where a service is, and who we are there.
//! - `line`: one HTTP/1.1 connection (`hyper`) over a connection of `dicom::net`, with limits on time and size; [`meanings`]
//!   (`status`): what an HTTP status means for us.
//! - [`store`] (`stow`), [`find_each`], [`find_study`] and [`look`] (`qido`), [`retrieve`] (`wado`).
//! - `json`: the DICOM JSON model (PS3.18 annex F), as far as answers are read; `multipart`: bodies of several parts (pure).

mod config;
mod json;
mod line;
mod multipart;
mod qido;
mod status;
mod stow;
mod wado;

use super::net::NetError;

pub use config::DicomwebService;
pub use qido::{find_each, find_study, look};
pub use status::meanings;
pub use stow::store;
pub use wado::{Retrieved, address, retrieve};

const DICOM: &str = "application/dicom";
const DICOM_JSON: &str = "application/dicom+json";

/// What is wrong with an answer of a service.
fn wrong(what: &str) -> NetError {
    NetError::Protocol(what.to_owned())
}
