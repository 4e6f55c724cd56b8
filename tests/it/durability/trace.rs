//! A record of `strace -f -yy -xx`, read back: one call a line, or two when another process came in between.

use std::collections::HashMap;

/// One system call. `begins` and `ends` are lines of the record, which is in the order of time.
#[derive(Debug, Clone)]
pub struct Call {
    pub process: u32,
    pub name: String,
    /// Arguments as strace shows them, with its hexadecimal escapes.
    arguments: String,
    pub succeeded: bool,
    pub begins: usize,
    pub ends: usize,
}

/// What a descriptor is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Socket {
    Tcp,
    /// Both ends by their inodes.
    Unix {
        ours: u64,
        theirs: u64,
    },
}

impl Call {
    pub fn is_send(&self) -> bool {
        matches!(self.name.as_str(), "sendto" | "sendmsg" | "write" | "writev") && self.socket().is_some()
    }

    /// What the first argument, a descriptor, stands for: `17</a/b>` or `6<UNIX-STREAM:[12->34,"/a"]>`.
    fn descriptor(&self) -> String {
        let of = self.arguments.split_once('<').map_or("", |(_, rest)| rest);
        let end = if of.contains("->") && of.find('[') < of.find("->") { of.find("]>") } else { of.find('>') };
        unescaped(&of[..end.unwrap_or(0)]).into_iter().map(char::from).collect()
    }

    /// Path of the file that the descriptor stands for; empty for anything else.
    pub fn path(&self) -> String {
        let descriptor = self.descriptor();
        if descriptor.starts_with('/') { descriptor } else { String::new() }
    }

    pub fn socket(&self) -> Option<Socket> {
        let descriptor = self.descriptor();
        if descriptor.starts_with("TCP") {
            return Some(Socket::Tcp);
        }
        let ends = descriptor.strip_prefix("UNIX")?.split_once('[')?.1;
        let (ours, theirs) = ends.split_once("->")?;
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
        Some(Socket::Unix { ours: digits(ours)?, theirs: digits(theirs)? })
    }

    /// Bytes of the first text behind the descriptor: what is written or sent.
    pub fn first_text(&self) -> Vec<u8> {
        let behind = self.arguments.split_once(">, ").map_or(self.arguments.as_str(), |(_, rest)| rest);
        behind.split('"').nth(1).map(unescaped).unwrap_or_default()
    }

    /// Every text, for calls whose arguments are paths.
    pub fn texts(&self) -> Vec<String> {
        let texts = self.arguments.split('"').skip(1).step_by(2);
        texts.map(|text| unescaped(text).into_iter().map(char::from).collect()).collect()
    }

    /// Whether the first text holds these bytes.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        self.first_text().windows(bytes.len()).any(|window| window == bytes)
    }
}

/// `\x41` to `A`; everything else as it is.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let code = rest
            .strip_prefix(b"\\x")
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex.get(..2)?).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &rest[4..] } else { behind };
    }
    bytes
}

/// The calls, in the order in which they began. Lines that are no calls (exits) are left out; a call that never ended
/// did not succeed.
pub fn parse(record: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut unfinished: HashMap<u32, usize> = HashMap::new();
    for (line_number, line) in record.lines().enumerate() {
        let Some((process, text)) = line.trim_start().split_once(' ') else { continue };
        let (Ok(process), text) = (process.parse::<u32>(), text.trim_start()) else { continue };
        if let Some(resumed) = text.strip_prefix("<... ") {
            let Some(call) = unfinished.remove(&process).map(|n| &mut calls[n]) else { continue };
            let end = resumed.split_once(" resumed>").map_or("", |(_, end)| end);
            call.arguments.push_str(end);
            (call.ends, call.succeeded) = (line_number, succeeded(end));
            continue;
        }
        let Some((name, arguments)) = text.split_once('(') else { continue };
        let (arguments, whole) = match arguments.split_once(" <unfinished ...>") {
            Some((begun, _)) => (begun, false),
            None => (arguments, true),
        };
        if !whole {
            unfinished.insert(process, calls.len());
        }
        calls.push(Call {
            process,
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            succeeded: whole && succeeded(arguments),
            begins: line_number,
            ends: if whole { line_number } else { usize::MAX },
        });
    }
    calls
}

/// ` = 0` and above behind the arguments; an error is ` = -1 ENOENT (...)`, an interrupted call ` = ?`.
fn succeeded(end: &str) -> bool {
    end.rsplit_once(" = ").is_some_and(|(_, result)| result.starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn a_record_is_read() {
    let record = "\
7522  write(21</s/blobs/a.dcm#1>, \"\\x00\\x41\", 2) = 2
7522  fsync(21</s/blobs/a.dcm#1> <unfinished ...>
7520  sendto(14<UNIX-STREAM:[154829->154834]>, \"\\x51\\x43\\x4f\", 3, MSG_NOSIGNAL, NULL, 0) = 3
7522  <... fsync resumed>)              = 0
7522  rename(\"\\x2f\\x61\", \"\\x2f\\x62\") = 0
7554  sendto(6<UNIX-STREAM:[154834->154829,\"\\x2f\\x72\"]>, \"\\x43\", 1, 0, NULL, 0) = 1
7520  sendto(20<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"\\x04\", 1, MSG_NOSIGNAL, NULL, 0) = -1 EPIPE (Broken pipe)
7520  fdatasync(4</s/pg_wal/1> <unfinished ...>
7520  +++ killed by SIGKILL +++
";
    let calls = parse(record);
    let names: Vec<_> = calls.iter().map(|c| (c.name.as_str(), c.begins, c.ends, c.succeeded)).collect();
    assert_eq!(
        names,
        [
            ("write", 0, 0, true),
            ("fsync", 1, 3, true),
            ("sendto", 2, 2, true),
            ("rename", 4, 4, true),
            ("sendto", 5, 5, true),
            ("sendto", 6, 6, false),
            ("fdatasync", 7, usize::MAX, false)
        ]
    );
    assert_eq!((calls[0].path().as_str(), calls[0].first_text()), ("/s/blobs/a.dcm#1", vec![0, b'A']));
    assert_eq!(calls[2].socket(), Some(Socket::Unix { ours: 154_829, theirs: 154_834 }));
    assert!(calls[2].holds(b"CO") && !calls[2].holds(b"OC"));
    assert_eq!(calls[3].texts(), ["/a", "/b"]);
    assert_eq!(calls[4].socket(), Some(Socket::Unix { ours: 154_834, theirs: 154_829 }));
    assert_eq!(calls[4].first_text(), b"C");
    assert_eq!(calls[5].socket(), Some(Socket::Tcp));
    assert_eq!(calls[1].socket(), None);
}
