//! The data directory: the ledger's files and this gateway's keys, readable by their owner only.

use std::fs::{self, OpenOptions};
use std::io::Write;
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
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create_key(&path)?,
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

fn create_key(path: &Path) -> Result<(), DataError> {
    let mut key = [0u8; 32];
    getrandom::fill(&mut key).map_err(DataError::Randomness)?;
    write_whole(path, &format!("{}\n", hex::encode(key)))
}

/// Written whole under another name first: a crash leaves no half file behind.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), DataError> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(|error| io(&draft, error))?;
    file.write_all(text.as_bytes()).map_err(|error| io(&draft, error))?;
    file.sync_all().map_err(|error| io(&draft, error))?;
    fs::rename(&draft, path).map_err(|error| io(path, error))
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
}
