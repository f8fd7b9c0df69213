//! What `strace -f -y -xx` printed, as operations on files, in order.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::Ack;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Bytes were written at a place.
    Wrote { file: PathBuf, offset: usize, bytes: Vec<u8> },
    /// The file got another length.
    Truncated { file: PathBuf, length: usize },
    /// Everything that was written to the file is on the disk.
    Synced { file: PathBuf },
    /// The file was deleted.
    Deleted { file: PathBuf },
    /// The process told somebody that a command is done.
    Acknowledged(Ack),
}

/// Reads the calls that succeeded on files in `directory`, and the acknowledgements on standard output. A call counts from the
/// moment that it returned.
pub(super) fn read(log: &str, directory: &Path) -> Vec<Op> {
    let mut unfinished: HashMap<&str, &str> = HashMap::new();
    let mut ops = Vec::new();
    for line in log.lines() {
        let Some((thread, call)) = line.trim_start().split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(begun) = call.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, begun);
        } else if let Some(resumed) = call.strip_prefix("<... ") {
            let begun = unfinished.remove(thread);
            let rest = resumed.split_once("resumed>").map(|(_, rest)| rest);
            if let (Some(begun), Some(rest)) = (begun, rest) {
                ops.extend(operation(&format!("{}{rest}", begun.trim_end()), directory));
            }
        } else {
            ops.extend(operation(call, directory));
        }
    }
    ops
}

/// `name(arguments) = result` as an operation, if it is one that counts.
fn operation(call: &str, directory: &Path) -> Option<Op> {
    let (call, result) = call.rsplit_once(" = ")?;
    if result.starts_with('-') {
        return None;
    }
    let (name, arguments) = call.trim_end().strip_suffix(')')?.split_once('(')?;
    let arguments: Vec<&str> = arguments.split(", ").collect();
    let inside = |file: PathBuf| (file != directory && file.starts_with(directory)).then_some(file);
    match name {
        "pwrite64" => {
            let bytes = unescaped(arguments.get(1)?.trim_matches('"'))?;
            let written: usize = result.split(' ').next()?.parse().ok()?;
            assert_eq!(bytes.len(), written, "a write was cut short, by the system or by strace");
            let offset = arguments.get(3)?.parse().ok()?;
            Some(Op::Wrote { file: inside(opened(arguments.first()?)?)?, offset, bytes })
        }
        "ftruncate" => {
            let length = arguments.get(1)?.parse().ok()?;
            Some(Op::Truncated { file: inside(opened(arguments.first()?)?)?, length })
        }
        "fsync" | "fdatasync" => Some(Op::Synced { file: inside(opened(arguments.first()?)?)? }),
        "unlink" | "unlinkat" => {
            let file = PathBuf::from(text(arguments.iter().find(|argument| argument.starts_with('"'))?)?);
            Some(Op::Deleted { file: inside(file)? })
        }
        "write" => {
            let line = text(arguments.get(1)?)?;
            let (what, number) = line.trim().strip_prefix("ACK ")?.split_once(' ')?;
            Some(Op::Acknowledged(Ack { what: *what.as_bytes().first()?, number: number.parse().ok()? }))
        }
        _ => None,
    }
}

/// The path of `5</a/path>`.
fn opened(descriptor: &str) -> Option<PathBuf> {
    let (_, path) = descriptor.split_once('<')?;
    text(path.strip_suffix('>')?).map(PathBuf::from)
}

fn text(escaped: &str) -> Option<String> {
    String::from_utf8(unescaped(escaped.trim_matches('"'))?).ok()
}

/// `\x41\x42` as bytes.
fn unescaped(escaped: &str) -> Option<Vec<u8>> {
    escaped.split("\\x").skip(1).map(|digits| u8::from_str_radix(digits, 16).ok()).collect()
}
