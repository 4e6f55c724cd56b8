//! Bodies of the type multipart/related (RFC 2387), as DICOMweb sends files in them (PS3.18 8.6.1.2).

use bytes::Bytes;

use super::DICOM;

/// A DICOM file as the only part of a body; and the type of that body.
pub(super) fn of_file(file: &[u8]) -> (String, Bytes) {
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let head = format!("--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n");
    let tail = format!("\r\n--{boundary}--\r\n");
    let body = [head.as_bytes(), file, tail.as_bytes()].concat();
    (format!("multipart/related; type=\"{DICOM}\"; boundary={boundary}"), body.into())
}

/// The first part of a body of this type, shared with it.
///
/// # Errors
/// What is wrong with type or body.
pub(super) fn first_part(content_type: &str, body: &Bytes) -> Result<Bytes, &'static str> {
    let boundary =
        boundary(content_type).ok_or("an answer of several parts that does not say how they are kept apart")?;
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let begun = find(body, &delimiter).ok_or("an answer without its parts")? + delimiter.len();
    let headers = body.get(begun..).unwrap_or_default();
    let data = begun + find(headers, b"\r\n\r\n").ok_or("a part without an end of its headers")? + 4;
    let rest = body.get(data..).unwrap_or_default();
    let end = find(rest, &[b"\r\n", delimiter.as_slice()].concat()).ok_or("a part that is cut short")?;
    Ok(body.slice(data..data + end))
}

/// The parameter `boundary`, with or without quotes.
fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/related") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value.trim().trim_matches('"'))
    })?;
    (1..=70).contains(&value.len()).then_some(value)
}

fn find(within: &[u8], wanted: &[u8]) -> Option<usize> {
    within.windows(wanted.len().max(1)).position(|bytes| bytes == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_out_as_it_went_in() {
        // A part may hold what looks like the end of one.
        for file in [b"".as_slice(), b"abc", b"\r\n--\r\n\r\n--x--\r\n"] {
            let (kind, body) = of_file(file);
            assert_eq!(first_part(&kind, &body).unwrap(), file);
        }
        let body = Bytes::from_static(b"preamble\r\n--a b\r\nX: y\r\n\r\none\r\n--a b\r\n\r\ntwo\r\n--a b--");
        assert_eq!(
            first_part("Multipart/Related; type=\"application/dicom\"; boundary=\"a b\"", &body).unwrap(),
            "one"
        );
    }

    #[test]
    fn what_is_not_whole_is_told() {
        let body = |text: &'static str| Bytes::from_static(text.as_bytes());
        let kind = "multipart/related; boundary=x";
        for (kind, text) in [
            ("application/dicom", "--x\r\n\r\na\r\n--x--"),
            ("multipart/related; type=x", "--x\r\n\r\na\r\n--x--"),
            ("multipart/related; boundary=", "--\r\n\r\na\r\n--"),
            (kind, ""),
            (kind, "--x"),
            (kind, "--x\r\nA: b\r\n"),
            (kind, "--x\r\n\r\nabc"),
        ] {
            assert!(first_part(kind, &body(text)).is_err(), "{text:?}");
        }
    }
}
