//! What a power cut may leave of a few files: everything up to the last sync, and any part of what was written after it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::recording::Op;

/// Whole sectors reach the disk or do not.
const SECTOR: usize = 512;

/// What becomes of that which was not synced.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unsynced {
    /// All of it is gone.
    Lost,
    /// All of it is there.
    Kept,
    /// Any sectors of it are there, in any order: those that this seed chooses.
    Torn { seed: u64 },
}

/// The files of one directory.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    directory: PathBuf,
    files: BTreeMap<PathBuf, File>,
}

/// One file: what is durable, and what was done since.
#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    since: Vec<Change>,
    is_deleted: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

impl Disk {
    /// The files as they are now, all of it durable.
    pub(super) fn of(directory: &Path) -> Self {
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.filter(|path| path.is_file()).map(|path| {
            let durable = std::fs::read(&path).unwrap();
            (path, File { durable, ..File::default() })
        });
        Self { directory: directory.to_owned(), files: files.collect() }
    }

    /// These files after some operations.
    pub(super) fn after(&self, ops: &[Op]) -> Self {
        let mut disk = self.clone();
        for op in ops {
            match op {
                Op::Wrote { file, offset, bytes } => {
                    disk.file(file).since.push(Change::Write { offset: *offset, bytes: bytes.clone() });
                }
                Op::Truncated { file, length } => {
                    disk.file(file).since.push(Change::Truncate { length: *length });
                }
                Op::Synced { file } => {
                    let file = disk.file(file);
                    for change in std::mem::take(&mut file.since) {
                        change.apply(&mut file.durable);
                    }
                }
                // Whether a deletion has reached the disk is not known either; SQLite deletes only what it does not need, so
                // the harder case is that it has not.
                Op::Deleted { file } => disk.file(file).is_deleted = true,
                Op::Acknowledged(_) => {}
            }
        }
        disk
    }

    /// A file that is written to again after its deletion is a new one.
    fn file(&mut self, path: &Path) -> &mut File {
        let file = self.files.entry(path.to_owned()).or_default();
        if std::mem::take(&mut file.is_deleted) {
            *file = File::default();
        }
        file
    }

    /// Puts the files into another directory, as they may be found after the cut.
    pub(super) fn write(&self, into: &Path, unsynced: Unsynced) {
        std::fs::create_dir_all(into).unwrap();
        let mut dice = Dice(match unsynced {
            Unsynced::Torn { seed } => seed,
            Unsynced::Lost | Unsynced::Kept => 0,
        });
        for (path, file) in &self.files {
            let name = path.strip_prefix(&self.directory).unwrap();
            // The index in shared memory is not read after a crash: it is built anew.
            if name.to_string_lossy().ends_with("-shm") || (file.is_deleted && dice.0.is_multiple_of(2)) {
                continue;
            }
            let mut content = file.durable.clone();
            for change in &file.since {
                match unsynced {
                    Unsynced::Lost => {}
                    Unsynced::Kept => change.apply(&mut content),
                    Unsynced::Torn { .. } => change.apply_torn(&mut content, &mut dice),
                }
            }
            std::fs::write(into.join(name), content).unwrap();
        }
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => put(content, *offset, bytes),
            Self::Truncate { length } => content.resize(*length, 0),
        }
    }

    fn apply_torn(&self, content: &mut Vec<u8>, dice: &mut Dice) {
        match self {
            Self::Write { offset, bytes } => {
                let mut start = 0;
                while start < bytes.len() {
                    let to_boundary = SECTOR - (offset + start) % SECTOR;
                    let end = bytes.len().min(start + to_boundary);
                    if dice.roll() {
                        put(content, offset + start, &bytes[start..end]);
                    }
                    start = end;
                }
            }
            Self::Truncate { .. } if dice.roll() => self.apply(content),
            Self::Truncate { .. } => {}
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

/// Two faces, the same sequence for the same seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> bool {
        self.0 = self.0.max(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 63 == 1
    }
}
