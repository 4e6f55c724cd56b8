//! Specific Character Set (0008,0005) to Unicode, code extensions by escape sequences included (PS3.3 C.12.1.1.2).

use dicom_encoding::text::{SpecificCharacterSet, TextCodec};

const ESC: u8 = 0x1B;

/// Escape sequences (without ESC) and the character set that they switch to.
const ESCAPES: [(&[u8], &str); 17] = [
    (b"(B", "ISO_IR 6"),
    (b"(J", "ISO_IR 13"),
    (b")I", "ISO_IR 13"),
    (b"-A", "ISO_IR 100"),
    (b"-B", "ISO_IR 101"),
    (b"-C", "ISO_IR 109"),
    (b"-D", "ISO_IR 110"),
    (b"-F", "ISO_IR 126"),
    (b"-G", "ISO_IR 127"),
    (b"-H", "ISO_IR 138"),
    (b"-L", "ISO_IR 144"),
    (b"-T", "ISO_IR 166"),
    (b"$)C", "ISO_IR 149"),
    (b"$)A", "GBK"),
    (b"$B", KANJI),
    (b"$@", KANJI),
    (b"$(D", KANJI),
];

/// The Japanese two-byte sets keep their escape sequence: their codec reads it itself.
const KANJI: &str = "ISO_IR 87";

/// Decodes text bytes under the values of Specific Character Set; `None` when a set or a byte sequence is not known.
pub(super) fn decode(bytes: &[u8], declared: &[String]) -> Option<String> {
    let first = declared.first().map_or("", |name| name.trim());
    let initial =
        if first.is_empty() { SpecificCharacterSet::default() } else { SpecificCharacterSet::from_code(first)? };
    let mut text = String::new();
    let mut parts = bytes.split(|b| *b == ESC);
    text.push_str(&initial.decode(parts.next().unwrap_or_default()).ok()?);
    for part in parts {
        let (escape, name) = ESCAPES.iter().find(|(escape, _)| part.starts_with(escape))?;
        let set = SpecificCharacterSet::from_code(name)?;
        if *name == KANJI {
            let mut whole = vec![ESC];
            whole.extend_from_slice(part);
            text.push_str(&set.decode(&whole).ok()?);
        } else {
            text.push_str(&set.decode(part.get(escape.len()..)?).ok()?);
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn single_sets() {
        assert_eq!(decode(b"M\xFCller^J\xF6rg", &sets(&["ISO_IR 100"])).unwrap(), "Müller^Jörg");
        assert_eq!(decode("Müller".as_bytes(), &sets(&["ISO_IR 192"])).unwrap(), "Müller");
        assert_eq!(decode(b"Plain^Name", &[]).unwrap(), "Plain^Name");
        assert_eq!(decode(b"x", &sets(&["KLINGON"])), None);
    }

    /// The examples of PS3.5 annexes H and I.
    #[test]
    fn code_extensions() {
        let japanese = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
        assert_eq!(decode(japanese, &sets(&["", "ISO 2022 IR 87"])).unwrap(), "Yamada^Tarou=山田^太郎=やまだ^たろう");
        let korean = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf";
        assert_eq!(decode(korean, &sets(&["", "ISO 2022 IR 149"])).unwrap(), "Hong^Gildong=洪^吉洞=홍^길동");
        assert_eq!(decode(b"A\x1b%Gx", &sets(&["", "ISO 2022 IR 87"])), None);
    }
}
