//! The inputs that every run begins with: good ones to start from, and every one that once found something.

use std::fs;
use std::io;
use std::path::PathBuf;

/// The files of a target's corpus, in the order of their names.
///
/// # Errors
/// When its folder cannot be read.
pub fn corpus(target: &str) -> io::Result<Vec<Vec<u8>>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    files.sort();
    files.iter().map(fs::read).collect()
}
