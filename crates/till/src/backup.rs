//! A backup of a data directory and its way back: databases as of one moment each, keys, and a manifest that shows whether a
//! file is the one that was written. Books in PostgreSQL are one more file, which whoever has the database writes and reads.
//!
//! The marks of calls in flight are left out on purpose: without them, whatever was open when the copy was made may have run,
//! so that a restored gateway neither runs such a call again nor calls its payment unused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tollgate_domain::{Digest, UnixMillis};
use tollgate_store::{CopyError, copy_databases, is_database, verify_database};

/// The manifest's name in a backup. It is written last: a folder without it is no backup.
pub const MANIFEST: &str = "manifest.json";
/// The books of a gateway that keeps them in PostgreSQL, as a file of a backup.
pub const BOOKS: &str = "books.sql";
/// The ledger of a gateway that keeps it in its data directory.
const LEDGER: &str = "ledger.db";
/// The version of its form.
const FORM: u32 = 1;
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;
/// What counts the spending of `tollgate connect`.
const BUDGET: &str = "payer.budget";
const READ_BYTES: usize = 64 * 1024;

/// What a backup holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this form.
    pub form: u32,
    /// The version of the program that made it.
    pub tollgate: String,
    /// When, in RFC 3339.
    pub made: String,
    /// Every file.
    pub files: Vec<Kept>,
}

/// One file of a backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Its name, in the backup and in the data directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of what is in it.
    pub sha256: Digest,
    /// Of a database: the version of its schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
}

/// Why a backup cannot be made or restored. Nothing was changed in the data directory.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no ledger to copy.
    #[error("{} holds no ledger; name a data directory", .0.display())]
    NoLedger(PathBuf),
    /// The target is in use.
    #[error("{} is there and is not empty; name a folder that is not there yet", .0.display())]
    NotEmpty(PathBuf),
    /// There is no manifest, or it cannot be read.
    #[error("{} is no backup: {reason}", folder.display())]
    NoBackup {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A file is not the one that was written.
    #[error("{} is not the file that was backed up: {found} instead of {expected}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The digest of the manifest.
        expected: Digest,
        /// The digest of what is there.
        found: Digest,
    },
    /// A database cannot be copied, or is damaged.
    #[error(transparent)]
    Database(#[from] CopyError),
    /// A file cannot be read or written.
    #[error("use {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Copies the data directory `data`, which a gateway may be using, into the new folder `into`.
///
/// # Errors
/// [`BackupError`]; a folder that was begun has no manifest then.
pub fn create(data: &Path, into: &Path, now: UnixMillis) -> Result<Manifest, BackupError> {
    if !data.join(LEDGER).is_file() {
        return Err(BackupError::NoLedger(data.to_owned()));
    }
    make_empty(into)?;
    finish(data, into, now, Vec::new())
}

/// The same of a gateway whose books are elsewhere: `write_books` writes them to the new file that it is given, and tells the
/// version of their schema.
///
/// # Errors
/// [`BackupError`], or what `write_books` fails with; a folder that was begun has no manifest then.
pub fn create_with<E: From<BackupError>>(
    data: &Path,
    into: &Path,
    now: UnixMillis,
    write_books: impl FnOnce(&Path) -> Result<u32, E>,
) -> Result<Manifest, E> {
    names(data)?;
    make_empty(into)?;
    // First, as a file would be: what they name in the other databases is there by then.
    let schema = write_books(&into.join(BOOKS))?;
    let books = Kept { schema: Some(schema), ..kept(into, BOOKS)? };
    Ok(finish(data, into, now, vec![books])?)
}

/// Copies the rest, and writes the manifest.
fn finish(data: &Path, into: &Path, now: UnixMillis, mut files: Vec<Kept>) -> Result<Manifest, BackupError> {
    for database in copy_databases(data, into)? {
        let kept = kept(into, database.file)?;
        files.push(Kept { schema: Some(database.schema), ..kept });
    }
    for name in names(data)?.into_iter().filter(|name| is_copied(name)) {
        files.push(copy(data, into, &name)?);
    }
    let manifest =
        Manifest { form: FORM, tollgate: env!("CARGO_PKG_VERSION").to_owned(), made: now.to_string(), files };
    let path = into.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| io(&path)(error.into()))?;
    let mut file = private(&path)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(io(&path))?;
    sync(into)?;
    Ok(manifest)
}

/// Copies the backup `from` to the data directory `data`, which must not be there or be empty: every file is checked against
/// the manifest and every database against itself, `check` looks at the whole, and only then the directory appears. [`BOOKS`] are
/// there for `check` alone: whoever writes them back takes them away.
///
/// # Errors
/// [`BackupError`], or what `check` fails with; there is no data directory then.
pub fn restore<E: From<BackupError>>(
    from: &Path,
    data: &Path,
    check: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<Manifest, E> {
    let manifest = read_manifest(from)?;
    if names_or_none(data)?.is_some_and(|names| !names.is_empty()) {
        return Err(BackupError::NotEmpty(data.to_owned()).into());
    }
    let staging = staging(data);
    // What an earlier attempt that was killed has left.
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(io(&staging))?;
    }
    let restored = staged(from, &staging, &manifest).map_err(E::from).and_then(|()| check(&staging));
    let placed = restored.and_then(|()| {
        sync(&staging)?;
        // An empty folder gives way to the one that takes its name.
        fs::rename(&staging, data).map_err(io(data))?;
        Ok(sync(data.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?)
    });
    if placed.is_err() && staging.exists() {
        drop(fs::remove_dir_all(&staging));
    }
    placed.map(|()| manifest)
}

/// Beside the data directory, so that one rename puts it there.
fn staging(data: &Path) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    data.with_file_name(name)
}

fn staged(from: &Path, staging: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    make_empty(staging)?;
    for expected in &manifest.files {
        let found = copy(from, staging, &expected.name)?;
        if found.sha256 != expected.sha256 {
            let path = from.join(&expected.name);
            return Err(BackupError::Changed { path, expected: expected.sha256, found: found.sha256 });
        }
        if is_database(&expected.name) {
            verify_database(staging, &expected.name)?;
        }
    }
    Ok(())
}

/// Reads the manifest; it names files that stand in the folder itself, and nothing else.
fn read_manifest(folder: &Path) -> Result<Manifest, BackupError> {
    let refused = |reason: String| BackupError::NoBackup { folder: folder.to_owned(), reason };
    let file = File::open(folder.join(MANIFEST)).map_err(|error| refused(format!("{MANIFEST}: {error}")))?;
    let mut text = String::new();
    file.take(MANIFEST_BYTES_MAX).read_to_string(&mut text).map_err(io(&folder.join(MANIFEST)))?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
    if manifest.form != FORM {
        return Err(refused(format!("its form is {}, this version knows {FORM}", manifest.form)));
    }
    let is_known = |name: &str| name == BOOKS || is_copied(name) || is_database(name);
    let strange = manifest.files.iter().find(|file| !is_known(&file.name));
    if let Some(file) = strange {
        return Err(refused(format!("it names {:?}, which is no file of a data directory", file.name)));
    }
    if !manifest.files.iter().any(|file| [LEDGER, BOOKS].contains(&file.name.as_str())) {
        return Err(refused("it names no ledger".to_owned()));
    }
    Ok(manifest)
}

/// Keys, and what is counted beside the ledger.
fn is_copied(name: &str) -> bool {
    let is_plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name == BUDGET || name.strip_suffix(".key").is_some_and(is_plain)
}

fn names(folder: &Path) -> Result<Vec<String>, BackupError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        let entry = entry.map_err(io(folder))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn names_or_none(folder: &Path) -> Result<Option<Vec<String>>, BackupError> {
    if folder.exists() { names(folder).map(Some) } else { Ok(None) }
}

/// A new folder that only its owner enters, or one that is there and empty.
fn make_empty(folder: &Path) -> Result<(), BackupError> {
    if names_or_none(folder)?.is_some_and(|names| !names.is_empty()) {
        return Err(BackupError::NotEmpty(folder.to_owned()));
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io(folder))
}

fn private(path: &Path) -> Result<File, BackupError> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io(path))
}

/// Copies a file, and tells what was written.
fn copy(from: &Path, into: &Path, name: &str) -> Result<Kept, BackupError> {
    let (path, copy) = (from.join(name), into.join(name));
    let mut source = File::open(&path).map_err(io(&path))?;
    let mut target = private(&copy)?;
    io::copy(&mut source, &mut target).map_err(io(&copy))?;
    drop(target);
    kept(into, name)
}

/// What stands in a file of a folder, once the disk has it.
fn kept(folder: &Path, name: &str) -> Result<Kept, BackupError> {
    let path = folder.join(name);
    let mut file = File::open(&path).map_err(io(&path))?;
    file.sync_all().map_err(io(&path))?;
    let mut hashing = Sha256::new();
    let (mut buffer, mut bytes) = (vec![0; READ_BYTES], 0_u64);
    loop {
        let read = file.read(&mut buffer).map_err(io(&path))?;
        if read == 0 {
            break;
        }
        hashing.update(buffer.get(..read).unwrap_or_default());
        bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
    Ok(Kept {
        name: name.to_owned(),
        bytes,
        sha256: Digest::from_bytes(hashing.finalize().into()),
        schema: None,
    })
}

fn sync(folder: &Path) -> Result<(), BackupError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io(folder))
}

fn io(path: &Path) -> impl Fn(io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::Io { path: path.clone(), source }
}

#[cfg(test)]
mod tests;
