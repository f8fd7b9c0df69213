//! A small text file that belongs to the operator: read whole, replaced whole.
//!
//! A new text is written beside the file and takes its place by a rename, with the file's mode: whoever reads sees the old text
//! or the new one. A file that somebody else changed meanwhile is not written over.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file as it was read.
#[derive(Debug)]
pub struct TextFile {
    /// Where it is: behind links, so that a link stays one.
    path: PathBuf,
    text: Option<String>,
    mode: Option<u32>,
}

/// Why a file was not read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum TextFileError {
    /// It cannot be read or written.
    #[error("use {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody else changed it meanwhile.
    #[error("{0} was changed by somebody else meanwhile; nothing was written, try again")]
    Changed(PathBuf),
}

impl TextFile {
    /// Reads a file; it need not be there.
    ///
    /// # Errors
    /// [`TextFileError::Io`].
    pub fn open(path: &Path) -> Result<Self, TextFileError> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (text, mode) = match fs::read_to_string(&path) {
            Ok(text) => {
                let found = fs::metadata(&path).map_err(|source| io(&path, source))?;
                (Some(text), Some(found.permissions().mode() & 0o7777))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (None, None),
            Err(source) => return Err(io(&path, source)),
        };
        Ok(Self { path, text, mode })
    }

    /// What it says; nothing where it is not there.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Whether it is there.
    pub const fn exists(&self) -> bool {
        self.text.is_some()
    }

    /// Whether others than its owner may read it.
    pub fn is_open_to_others(&self) -> bool {
        self.mode.is_some_and(|mode| mode & 0o077 != 0)
    }

    /// Replaces the text. The file keeps its mode; `mode` is that of a file that was not there.
    ///
    /// # Errors
    /// [`TextFileError`]; then the file is as it was.
    pub fn replace(&self, text: &str, mode: u32) -> Result<(), TextFileError> {
        self.replace_with_mode(text, self.mode.unwrap_or(mode))
    }

    /// Replaces the text, and gives the file this mode.
    ///
    /// # Errors
    /// As [`TextFile::replace`].
    pub fn replace_with_mode(&self, text: &str, mode: u32) -> Result<(), TextFileError> {
        let draft = self.draft()?;
        let failed = |source| {
            drop(fs::remove_file(&draft));
            io(&self.path, source)
        };
        // Never into a file that somebody laid there before.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode & 0o600)
            .open(&draft)
            .map_err(|source| io(&draft, source))?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        if self.is_changed() {
            drop(fs::remove_file(&draft));
            return Err(TextFileError::Changed(self.path.clone()));
        }
        fs::rename(&draft, &self.path).map_err(failed)?;
        // The name is durable once its folder is; a file system that cannot say so has done what it can.
        if let Some(Ok(folder)) = self.path.parent().map(|folder| match folder.as_os_str().is_empty() {
            true => fs::File::open("."),
            false => fs::File::open(folder),
        }) {
            drop(folder.sync_all());
        }
        Ok(())
    }

    fn is_changed(&self) -> bool {
        match fs::read_to_string(&self.path) {
            Ok(now) => self.text.as_deref() != Some(&*now),
            Err(error) => error.kind() != std::io::ErrorKind::NotFound || self.text.is_some(),
        }
    }

    /// A name that no other process takes, nor a draft that a crash left behind has.
    fn draft(&self) -> Result<PathBuf, TextFileError> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let mut word = [0_u8; 8];
        getrandom::fill(&mut word).map_err(|error| io(&self.path, std::io::Error::other(error)))?;
        Ok(self.path.with_file_name(format!(".{name}.{}.new", hex::encode(word))))
    }
}

fn io(path: &Path, source: std::io::Error) -> TextFileError {
    TextFileError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode_and_its_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.yaml"), folder.path().join("link.yaml"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        TextFile::open(&link).unwrap().replace("new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no draft is left behind");
    }

    #[test]
    fn a_new_file_gets_the_mode_that_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let file = TextFile::open(&path).unwrap();
        assert!(!file.exists() && file.text().is_empty());
        file.replace("A=1\n", 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_somebody_else_changed_meanwhile_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tollgate.yaml");
        fs::write(&path, "theirs").unwrap();
        let file = TextFile::open(&path).unwrap();
        fs::write(&path, "changed").unwrap();
        assert!(matches!(file.replace("ours", 0o600), Err(TextFileError::Changed(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "changed");
        assert!(TextFile::open(&path).unwrap().replace("ours", 0o600).is_ok(), "control");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
