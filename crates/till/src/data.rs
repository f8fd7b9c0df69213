//! The data directory: the ledger's files and this gateway's keys, readable by their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// One data directory.
#[derive(Clone, Debug)]
pub struct DataDirectory {
    root: PathBuf,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder cannot be read or written.
    #[error("use {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key file can be read by others.
    #[error("{0} can be read by others than its owner; run: chmod 600 {0}")]
    Loose(PathBuf),
    /// A key file is a link to nothing: what it names was there once, or is not there yet. A key that is drawn in its place would be
    /// another one.
    #[error("{0} is a link to a file that is not there; mount or restore what it names")]
    Dangling(PathBuf),
    /// A key file does not hold 32 bytes in hexadecimal.
    #[error("{0} is not a key file of 64 hexadecimal digits; restore it from a backup")]
    Malformed(PathBuf),
    /// The operating system gives no randomness.
    #[error("draw a new key: {0}")]
    Randomness(getrandom::Error),
}

impl DataDirectory {
    /// Opens a data directory, creating it if it is not there.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(root: &Path) -> Result<Self, DataError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(|e| io(root, e))?;
        Ok(Self { root: root.to_owned() })
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The key in `name`, drawn anew the first time. A key file that others can read is refused, not repaired: whoever
    /// could read it may have.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn key(&self, name: &str) -> Result<[u8; 32], DataError> {
        let path = self.path(name);
        match fs::metadata(&path) {
            Ok(found) if found.mode() & 0o077 != 0 => return Err(DataError::Loose(path)),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
                    return Err(DataError::Dangling(path));
                }
                create_key(&path, &self.root)?;
            }
            Err(error) => return Err(io(&path, error)),
        }
        let text = fs::read_to_string(&path).map_err(|error| io(&path, error))?;
        let mut key = [0; 32];
        let digits = text.trim();
        // A payer's key may have been written by hand, as EVM keys are.
        hex::decode_to_slice(digits.strip_prefix("0x").unwrap_or(digits), &mut key)
            .map_err(|_| DataError::Malformed(path))?;
        Ok(key)
    }
}

/// Written whole under another name first: a crash leaves no half key behind. Of two processes that draw it at once, both use the key
/// of one: what one of them has signed with stays the key of the directory.
fn create_key(path: &Path, root: &Path) -> Result<(), DataError> {
    let (mut key, mut own) = ([0u8; 32], [0u8; 8]);
    getrandom::fill(&mut key).map_err(DataError::Randomness)?;
    getrandom::fill(&mut own).map_err(DataError::Randomness)?;
    let draft = path.with_extension(format!("{}.new", hex::encode(own)));
    let text = format!("{}\n", hex::encode(key));
    let written = write_synced(OpenOptions::new().create_new(true), &draft, &text);
    let placed = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        // A file system without links: nobody is kept from drawing at the same moment.
        Err(_) => fs::rename(&draft, path).map_err(|error| io(path, error)),
        Ok(()) => Ok(()),
    });
    // Gone already, if it was renamed.
    drop(fs::remove_file(&draft));
    placed?;
    // Its name too: a key that signed, or holds money, must not be gone after a power cut.
    File::open(root).and_then(|root| root.sync_all()).map_err(|error| io(root, error))
}

/// Puts a file in the place of another, whole: a crash leaves one or the other. Only one process may do so at a time.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), DataError> {
    let draft = path.with_extension("new");
    write_synced(OpenOptions::new().create(true).truncate(true), &draft, text)?;
    fs::rename(&draft, path).map_err(|error| io(path, error))
}

fn write_synced(how: &mut OpenOptions, path: &Path, text: &str) -> Result<(), DataError> {
    let mut file = how.write(true).mode(0o600).open(path).map_err(|error| io(path, error))?;
    file.write_all(text.as_bytes()).map_err(|error| io(path, error))?;
    file.sync_all().map_err(|error| io(path, error))
}

fn io(path: &Path, source: std::io::Error) -> DataError {
    DataError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn c1_a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(folder.path()).unwrap();
        let key = data.key("receipts.key").unwrap();
        assert_eq!(data.key("receipts.key").unwrap(), key, "control: drawn once");
        assert_eq!(fs::metadata(data.path("receipts.key")).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(data.path("receipts.key"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(data.key("receipts.key"), Err(DataError::Loose(_))));
    }

    #[test]
    fn a_key_that_is_a_link_to_nothing_is_not_drawn_anew() {
        let (folder, secrets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (data, mounted) = (DataDirectory::open(folder.path()).unwrap(), secrets.path().join("relayer"));
        std::os::unix::fs::symlink(&mounted, data.path("relayer.key")).unwrap();
        assert!(matches!(data.key("relayer.key"), Err(DataError::Dangling(_))));
        assert_eq!(fs::read_link(data.path("relayer.key")).unwrap(), mounted, "the link is left alone");
        fs::write(&mounted, format!("0x{}\n", "ab".repeat(32))).unwrap();
        fs::set_permissions(&mounted, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(data.key("relayer.key").unwrap(), [0xab; 32], "control: once it is mounted");
    }

    #[test]
    fn whoever_draws_a_key_at_the_same_moment_has_the_same_one() {
        const AT_ONCE: usize = 4;
        for _ in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            let start = std::sync::Barrier::new(AT_ONCE);
            let draw = || {
                let data = DataDirectory::open(folder.path()).unwrap();
                start.wait();
                data.key("receipts.key").unwrap()
            };
            let mut drawn: Vec<[u8; 32]> = std::thread::scope(|scope| {
                let drawing: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(draw)).collect();
                drawing.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            drawn.push(DataDirectory::open(folder.path()).unwrap().key("receipts.key").unwrap());
            drawn.dedup();
            assert_eq!(drawn.len(), 1, "and it is the one that stays");
            let names: Vec<_> =
                fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
            assert_eq!(names, ["receipts.key"], "no draft is left behind");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(folder.path()).unwrap();
        let whole = "ab".repeat(32);
        for text in ["", &whole[..63], "not a key at all", "-----BEGIN PRIVATE KEY-----"] {
            fs::write(data.path("gate.key"), text).unwrap();
            fs::set_permissions(data.path("gate.key"), fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(data.key("gate.key"), Err(DataError::Malformed(_))), "{text:?}");
            assert_eq!(fs::read_to_string(data.path("gate.key")).unwrap(), text);
        }
        fs::write(data.path("gate.key"), &whole).unwrap();
        assert_eq!(data.key("gate.key").unwrap(), [0xab; 32], "control");
    }
}
