//! One SQLite file: its settings and its schema version. Owns how a file is opened, created, migrated or refused.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::OpenError;
use crate::proofs;
use crate::redo_log::{self, RecoverError, RedoLog};

/// How long a connection waits for another process, such as a command-line tool, to finish its write.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How often it looks. SQLite's own way of waiting looks ever more seldom, and would miss the moments at which a busy gateway leaves
/// the file to others.
const BUSY_LOOKS: Duration = Duration::from_micros(200);

/// What a file of one kind looks like.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The file's name in the data directory.
    pub(crate) file: &'static str,
    /// `PRAGMA application_id`: four letters that say whose file it is.
    pub(crate) application_id: i32,
    /// Each takes the file one version further; the first makes it.
    pub(crate) migrations: &'static [&'static str],
    /// What a commit outlives.
    pub(crate) kept: Kept,
    /// The redo log's name in the data directory, if the file has one.
    pub(crate) redo: Option<&'static str>,
}

/// What a commit of a file outlives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kept {
    /// A power cut: the log is synced with every commit.
    OverPowerCut,
    /// The death of the process. The log is synced before it is moved into the file only; a power cut may take the last
    /// commits back, every one from some moment on, and leaves the file consistent.
    OverProcessDeath,
}

/// Who opens a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Opener {
    /// The one process that holds the directory: may migrate.
    Owner,
    /// A tool beside it: may create, may not migrate.
    Guest,
}

/// Makes a data directory that only its owner can enter: the files in it hold payment proofs. One that is there already
/// keeps its mode.
pub(crate) fn make_directory(directory: &Path) -> Result<(), OpenError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(|source| OpenError::Directory { path: directory.to_owned(), source })
}

/// Makes an empty file that only its owner reads, also in a directory that others enter; SQLite fills it, and its log has the same mode.
fn make_private(path: &Path) -> Result<(), OpenError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        // Somebody else was faster.
        Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(OpenError::Directory { path: path.to_owned(), source }),
    }
}

impl Schema {
    /// Opens the file for writing; makes or migrates it as far as `opener` may.
    pub(crate) fn open(&self, directory: &Path, opener: Opener) -> Result<Connection, OpenError> {
        let path = directory.join(self.file);
        let exists =
            path.try_exists().map_err(|source| OpenError::Directory { path: path.clone(), source })?;
        if exists {
            // Looked at through a connection that cannot write: opening for writing alone may move a log into the file.
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let looking = Connection::open_with_flags(&path, flags).map_err(sqlite("open", &path))?;
            looking.busy_timeout(BUSY_TIMEOUT).map_err(sqlite("open", &path))?;
            self.version(&looking, &path, opener)?;
        } else {
            self.nothing_was_answered(directory)?;
            make_private(&path)?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(sqlite("open", &path))?;
        configure(&mut connection, self.kept).map_err(sqlite("configure", &path))?;
        self.recover(directory, &connection)?;
        self.migrate(&mut connection, &path, opener)?;
        Ok(connection)
    }

    /// The redo log of the file that was opened, if it has one.
    pub(crate) fn redo_log(
        &self,
        directory: &Path,
        opener: Opener,
        connection: &Connection,
    ) -> Result<Option<RedoLog>, OpenError> {
        let Some(path) = self.redo.map(|file| directory.join(file)) else { return Ok(None) };
        match opener {
            Opener::Guest => Ok(Some(RedoLog::of_guest(path))),
            Opener::Owner => {
                let log = RedoLog::of_owner(path.clone());
                let mut log = log.map_err(|source| OpenError::RedoLog { path, source })?;
                log.begin_run(connection).map_err(|error| self.not_recovered(directory, error))?;
                Ok(Some(log))
            }
        }
    }

    /// A file that is not there may have been lost, and its log not: a new one must not take its place.
    fn nothing_was_answered(&self, directory: &Path) -> Result<(), OpenError> {
        let Some(log) = self.redo.map(|file| directory.join(file)) else { return Ok(()) };
        match redo_log::has_steps(&log) {
            Ok(false) => Ok(()),
            Ok(true) => Err(self.not_recovered(directory, RecoverError::Foreign)),
            Err(error) => Err(self.not_recovered(directory, RecoverError::Log(error))),
        }
    }

    fn not_recovered(&self, directory: &Path, error: RecoverError) -> OpenError {
        let database = directory.join(self.file);
        let path = self.redo.map(|file| directory.join(file)).unwrap_or_default();
        match error {
            RecoverError::Log(source) => OpenError::RedoLog { path, source },
            RecoverError::Foreign => OpenError::ForeignLog { path, database },
            RecoverError::Database(source) => sqlite("recover", &database)(source),
        }
    }

    /// Writes into the file what its redo log has beyond it. Waits for whoever writes.
    pub(crate) fn recover(&self, directory: &Path, connection: &Connection) -> Result<(), OpenError> {
        let Some(log) = self.redo.map(|file| directory.join(file)) else { return Ok(()) };
        let path = directory.join(self.file);
        let failed = sqlite("recover", &path);
        connection.execute_batch("BEGIN IMMEDIATE").map_err(&failed)?;
        let recovered = redo_log::recover(connection, &log, None);
        let end = if recovered.is_ok() { "COMMIT" } else { "ROLLBACK" };
        connection.execute_batch(end).map_err(&failed)?;
        match recovered {
            Ok(0) => Ok(()),
            Ok(steps) => {
                tracing::info!(steps, "what the redo log had beyond the ledger's file was written into it");
                Ok(())
            }
            Err(error) => Err(self.not_recovered(directory, error)),
        }
    }

    /// Opens the file, which is there, for reading.
    pub(crate) fn open_reader(&self, directory: &Path) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(directory.join(self.file), flags)?;
        prepare_once(&connection)?;
        Ok(connection)
    }

    /// The newest version known here.
    pub(crate) fn known(&self) -> u32 {
        u32::try_from(self.migrations.len()).unwrap_or(u32::MAX)
    }

    /// The file's version, if this program and this opener can work with it. 0 is an empty file.
    fn version(&self, connection: &Connection, path: &Path, opener: Opener) -> Result<u32, OpenError> {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let found = pragma("user_version").map_err(sqlite("read the schema version of", path))?;
        let application = pragma("application_id").map_err(sqlite("read the schema version of", path))?;
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(sqlite("read the schema version of", path))?;
        let foreign = || OpenError::Foreign { path: path.to_owned() };
        let empty = found == 0 && tables == 0;
        if !empty && application != i64::from(self.application_id) {
            return Err(foreign());
        }
        let (found, known) = (u32::try_from(found).map_err(|_| foreign())?, self.known());
        let path = path.to_owned();
        if found > known {
            return Err(OpenError::NewerSchema { path, found, known });
        }
        if opener == Opener::Guest && found != 0 && found < known {
            return Err(OpenError::OlderSchema { path, found, known });
        }
        Ok(found)
    }

    fn migrate(&self, connection: &mut Connection, path: &Path, opener: Opener) -> Result<(), OpenError> {
        let failed = sqlite("migrate", path);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        // Read again under the lock: another process may have made the file in between.
        let found = self.version(&transaction, path, opener)?;
        if found == self.known() {
            return Ok(());
        }
        self.bring_up(&transaction, found).map_err(&failed)?;
        transaction.pragma_update(None, "application_id", self.application_id).map_err(&failed)?;
        transaction.pragma_update(None, "user_version", self.known()).map_err(&failed)?;
        transaction.commit().map_err(&failed)
    }

    /// Takes the tables from a version to the newest.
    pub(crate) fn bring_up(&self, connection: &Connection, from: u32) -> rusqlite::Result<()> {
        proofs::prepare_migration(connection)?;
        let done = usize::try_from(from).unwrap_or(usize::MAX);
        self.migrations.iter().skip(done).try_for_each(|migration| connection.execute_batch(migration))
    }
}

/// The settings of every connection: wait for others, and keep prepared statements.
fn prepare_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Without this promise SQLite prepares a statement anew for every bound value that might fit a partial index.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Has a connection wait for others.
pub(crate) fn wait_for_others(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(|looks| {
        std::thread::sleep(BUSY_LOOKS);
        BUSY_LOOKS.saturating_mul(u32::try_from(looks).unwrap_or(0)) < BUSY_TIMEOUT
    }))
}

/// The settings of a connection that writes.
fn configure(connection: &mut Connection, kept: Kept) -> rusqlite::Result<()> {
    prepare_once(connection)?;
    wait_for_others(connection)?;
    // Of a file that is still empty: half as many pages in the log of a transaction of a thousand calls.
    connection.pragma_update(None, "page_size", 8192)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match kept {
        Kept::OverPowerCut => "FULL",
        Kept::OverProcessDeath => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "cache_size", -16384)
}

/// What was read a moment ago in the same transaction must still be there.
pub(crate) fn exactly_one(changed: usize) -> rusqlite::Result<()> {
    if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
}

/// Whether a statement failed, and wrote nothing, because the value of this unique column (`table.column`) is there
/// already.
pub(crate) fn is_taken(error: &rusqlite::Error, column: &str) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, Some(message)) => {
            failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE && message.ends_with(column)
        }
        _ => false,
    }
}

fn sqlite(step: &'static str, path: &Path) -> impl Fn(rusqlite::Error) -> OpenError + use<> {
    let path: PathBuf = path.to_owned();
    move |source| OpenError::Sqlite { step, path: path.clone(), source }
}
