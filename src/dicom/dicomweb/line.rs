//! Questions and answers over one HTTP/1.1 connection. Redirects are not followed: what names a patient goes where it was
//! configured to go.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::config::{DicomwebService, Origin};
use super::wrong;
use crate::dicom::net::{NetError, line_to};

const AGENT: &str = concat!("contourd/", env!("CARGO_PKG_VERSION"));
/// Whoever takes or gives less in a second is not waited for.
const SLOWEST_BYTES_A_SECOND: u64 = 16 * 1024;

/// A question.
pub(super) struct Ask {
    pub method: Method,
    /// What follows the service's URL, from a slash on, escaped.
    pub resource: String,
    pub accept: &'static str,
    /// Of `body`; empty when there is none.
    pub content_type: String,
    pub body: Bytes,
    /// Longest answer that is read.
    pub most_bytes: usize,
}

impl Ask {
    /// A question without a body.
    pub fn get(resource: String, accept: &'static str, most_bytes: usize) -> Self {
        Self { method: Method::GET, resource, accept, content_type: String::new(), body: Bytes::new(), most_bytes }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: Bytes,
}

/// A connection to a service. It is opened with the first question, and once more when the service has closed it meanwhile.
pub(super) struct Connection<'a> {
    service: &'a DicomwebService,
    origin: Origin,
    authorization: Option<HeaderValue>,
    line: Option<SendRequest<Full<Bytes>>>,
}

impl<'a> Connection<'a> {
    /// # Errors
    /// [`NetError::Unready`] when the section or one of its files cannot be used.
    pub fn to(service: &'a DicomwebService) -> Result<Self, NetError> {
        let origin = service.origin().map_err(NetError::Unready)?;
        Ok(Self { service, origin, authorization: service.authorization()?, line: None })
    }

    /// Asks, and reads the whole answer.
    ///
    /// # Errors
    /// [`NetError`] when there is no answer; one that says no is an answer.
    pub async fn ask(&mut self, ask: &Ask) -> Result<Answer, NetError> {
        let used = self.line.as_ref().is_some_and(|line| !line.is_closed());
        let answer = match self.try_once(ask).await {
            // Services close what was idle for a moment, and may do so while we ask. All that we ask may be asked twice.
            Err(NetError::Closed | NetError::Io(_)) if used => {
                self.line = None;
                self.try_once(ask).await
            }
            answer => answer,
        };
        if answer.is_err() {
            self.line = None;
        }
        answer
    }

    async fn try_once(&mut self, ask: &Ask) -> Result<Answer, NetError> {
        let request = self.request(ask)?;
        if self.line.as_ref().is_none_or(SendRequest::is_closed) {
            self.line = Some(self.open().await?);
        }
        let line = self.line.as_mut().ok_or(NetError::Closed)?;
        let limit = self.service.response_timeout();
        let late = |_| NetError::TimedOut(limit.as_secs());
        let may_end = |bytes: usize| Instant::now() + limit + seconds(bytes);
        let sent = async {
            line.ready().await?;
            line.send_request(request).await
        };
        let response = timeout_at(may_end(ask.body.len()), sent).await.map_err(late)?;
        let (head, mut body) = response.map_err(|error| broken(&error))?.into_parts();
        let begun = Instant::now();
        let mut read = BytesMut::new();
        while let Some(frame) = timeout_at(begun + limit + seconds(read.len()), body.frame()).await.map_err(late)? {
            let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
            if read.len() + data.len() > ask.most_bytes {
                return Err(NetError::Protocol(format!("an answer of more than {} bytes", ask.most_bytes)));
            }
            read.extend_from_slice(&data);
        }
        let text =
            |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        Ok(Answer { status: head.status.as_u16(), content_type: text(CONTENT_TYPE).to_owned(), body: read.freeze() })
    }

    fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, NetError> {
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(format!("{}{}", self.origin.path, ask.resource))
            .header(HOST, &self.origin.authority)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, ask.accept);
        if !ask.content_type.is_empty() {
            request = request.header(CONTENT_TYPE, &ask.content_type);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let unfit = |error| NetError::Unready(format!("the request cannot be written: {error}"));
        request.body(Full::new(ask.body.clone())).map_err(unfit)
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>, NetError> {
        let tls = if self.origin.secure { self.service.tls.as_ref() } else { None };
        if self.origin.secure && tls.is_none() {
            return Err(NetError::Unready("url begins with https, and tls.ca is missing".to_owned()));
        }
        let line = line_to(&self.origin.host, self.origin.port, tls, self.service.connect_timeout()).await?;
        let (sender, connection) = handshake(TokioIo::new(line)).await.map_err(|error| broken(&error))?;
        // Ends when the sender is dropped or the service hangs up.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection to a DICOMweb service ended");
            }
        });
        Ok(sender)
    }
}

fn seconds(bytes: usize) -> Duration {
    Duration::from_secs(bytes as u64 / SLOWEST_BYTES_A_SECOND)
}

/// What broke a connection.
fn broken(error: &hyper::Error) -> NetError {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return NetError::of_line(io);
        }
        cause = inner.source();
    }
    if error.is_parse() {
        return wrong(
            "what it says is no HTTP; is this the port of its web server, and is url https where it should be?",
        );
    }
    if error.is_closed() || error.is_incomplete_message() || error.is_canceled() {
        return NetError::Closed;
    }
    NetError::Protocol(error.to_string())
}
