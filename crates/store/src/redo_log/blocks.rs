//! Whole blocks that are written past the page cache.

use std::fs::{File, OpenOptions};
use std::io::Error;
#[cfg(not(unix))]
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::STEP_BYTES_MAX;

/// What every disk and file system can write at once, or a multiple of that.
pub(super) const BLOCK_BYTES: usize = 4096;

/// The largest step with its head, in whole blocks, and room to begin at a multiple of one in memory.
const ROOM_BYTES: usize = STEP_BYTES_MAX + 3 * BLOCK_BYTES;

/// Opens or makes a file that only its owner can read, for writing past the page cache if that is possible.
pub(super) fn open(path: &Path) -> Result<File, Error> {
    #[cfg(target_os = "linux")]
    {
        let mut direct = options();
        let flags = nix::fcntl::OFlag::O_DIRECT.bits();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut direct, flags);
        match direct.open(path) {
            Err(error) if is_impossible(&error) => {}
            opened => return opened,
        }
    }
    open_cached(path)
}

/// The same for writing through the page cache.
pub(super) fn open_cached(path: &Path) -> Result<File, Error> {
    options().open(path)
}

/// How a file system says that it cannot write past the page cache: some when the file is opened, some with the first write.
pub(super) fn is_impossible(error: &Error) -> bool {
    error.kind() == std::io::ErrorKind::InvalidInput
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Bytes that fill whole blocks and begin, in memory too, where a block may.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    room: Vec<u8>,
    start: usize,
}

impl Blocks {
    /// Has `fill` append bytes, [`STEP_BYTES_MAX`] and a block at most, and zeros behind them up to the end of their block.
    pub(super) fn fill(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let Self { room, start } = self;
        room.clear();
        room.reserve(ROOM_BYTES);
        *start = room.as_ptr().align_offset(BLOCK_BYTES);
        room.resize(*start, 0);
        fill(room);
        let length = room.len().saturating_sub(*start).next_multiple_of(BLOCK_BYTES);
        room.resize(start.saturating_add(length), 0);
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.bytes().len()).unwrap_or(u64::MAX)
    }

    fn bytes(&self) -> &[u8] {
        self.room.get(self.start..).unwrap_or_default()
    }

    /// Writes them to this place of the file, a multiple of a block.
    #[cfg(unix)]
    pub(super) fn write(&self, file: &File, offset: u64) -> Result<(), Error> {
        std::os::unix::fs::FileExt::write_all_at(file, self.bytes(), offset)
    }

    /// Writes them to this place of the file, a multiple of a block.
    #[cfg(not(unix))]
    pub(super) fn write(&self, mut file: &File, offset: u64) -> Result<(), Error> {
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(self.bytes())
    }
}
