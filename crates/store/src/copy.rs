//! Copies of the databases of a data directory, made while it is in use, and what shows that a file is whole.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::OpenError;
use crate::control::CONTROL;
use crate::database::{self, BUSY_TIMEOUT, Schema};
use crate::invoices::SANDBOX;
use crate::store::LEDGER;

/// The databases of a data directory. The ledger comes first: what it names in the others is there by then.
const DATABASES: [&Schema; 3] = [&LEDGER, &CONTROL, &SANDBOX];
/// How many problems of a file are named.
const PROBLEMS_MAX: u32 = 20;

/// One database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Database {
    /// Its file in the directory.
    pub file: &'static str,
    /// The version of its schema.
    pub schema: u32,
}

/// Why databases cannot be copied, or a copy not be used.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The file of the copy cannot be made.
    #[error("make {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What the redo log has beyond the ledger's file cannot be written into it.
    #[error(transparent)]
    Recover(Box<OpenError>),
    /// The database engine failed.
    #[error("{step} {}: {source}", path.display())]
    Sqlite {
        /// What was being done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// What the engine said.
        source: rusqlite::Error,
    },
    /// The file is another program's, or of a version that is not known here.
    #[error("{} is no database of this version of tollgate (schema {found}, known up to {known})", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version known here.
        known: u32,
    },
    /// The file is damaged.
    #[error("{} is damaged: {}", path.display(), problems.join("; "))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problems: Vec<String>,
    },
}

/// Copies every database of `from` into `into`, each as of one moment, while others write to it. Each copy is a file of its
/// own without a log, readable by its owner only.
///
/// # Errors
/// [`CopyError`]; what was copied by then is left to whoever made the directory.
pub fn copy_databases(from: &Path, into: &Path) -> Result<Vec<Database>, CopyError> {
    let mut copied = Vec::new();
    for schema in DATABASES {
        let (path, copy) = (from.join(schema.file), into.join(schema.file));
        if !path.is_file() {
            continue;
        }
        let failed = |step| sqlite(step, &path);
        if schema.redo.is_some() {
            // What a gateway has answered is in the copy, whether it runs or has died.
            let connection = writing(&path)?;
            schema.recover(from, &connection).map_err(|source| CopyError::Recover(Box::new(source)))?;
        }
        let connection = open(&path)?;
        let version = version(&connection, schema, &path)?;
        private(&copy)?;
        connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()]).map_err(failed("copy"))?;
        copied.push(Database { file: schema.file, schema: version });
    }
    Ok(copied)
}

/// Reads a whole database file against itself.
///
/// # Errors
/// [`CopyError`], with what is wrong and where.
pub fn verify_database(directory: &Path, file: &str) -> Result<Database, CopyError> {
    let path = directory.join(file);
    let unknown = || CopyError::Unknown { path: path.clone(), found: 0, known: 0 };
    let schema = DATABASES.into_iter().find(|schema| schema.file == file).ok_or_else(unknown)?;
    let connection = open(&path)?;
    let version = version(&connection, schema, &path)?;
    let failed = |step| sqlite(step, &path);
    let mut query =
        connection.prepare(&format!("PRAGMA integrity_check({PROBLEMS_MAX})")).map_err(failed("check"))?;
    let problems = query.query_map([], |row| row.get::<_, String>(0)).map_err(failed("check"))?;
    let problems: Vec<String> = problems.collect::<rusqlite::Result<_>>().map_err(failed("check"))?;
    if problems == ["ok"] {
        return Ok(Database { file: schema.file, schema: version });
    }
    Err(CopyError::Damaged { path, problems })
}

/// Whether this is the file of one of the databases.
pub fn is_database(file: &str) -> bool {
    DATABASES.iter().any(|schema| schema.file == file)
}

fn writing(path: &Path) -> Result<Connection, CopyError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite("open", path))?;
    database::wait_for_others(&mut connection).map_err(sqlite("open", path))?;
    Ok(connection)
}

fn open(path: &Path) -> Result<Connection, CopyError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite("open", path))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite("open", path))?;
    Ok(connection)
}

/// The version of a file that is one of ours. An older one is as good: what it is started with migrates it.
fn version(connection: &Connection, schema: &Schema, path: &Path) -> Result<u32, CopyError> {
    let pragma = |name| {
        let read = connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        read.map_err(sqlite("read the schema version of", path))
    };
    let (application, found) = (pragma("application_id")?, pragma("user_version")?);
    let version = u32::try_from(found).ok().filter(|version| (1..=schema.known()).contains(version));
    let is_ours = application == i64::from(schema.application_id);
    version.filter(|_| is_ours).ok_or_else(|| CopyError::Unknown {
        path: path.to_owned(),
        found,
        known: schema.known(),
    })
}

/// An empty file that only its owner reads; SQLite fills it.
fn private(path: &Path) -> Result<(), CopyError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|source| CopyError::File { path: path.to_owned(), source })
}

fn sqlite(step: &'static str, path: &Path) -> impl Fn(rusqlite::Error) -> CopyError + use<> {
    let path = path.to_owned();
    move |source| CopyError::Sqlite { step, path: path.clone(), source }
}
