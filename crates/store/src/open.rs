//! How a store is opened, and every way that can fail.

use std::path::PathBuf;
use std::time::Duration;

/// Is told when the writer commits: how long that takes is for whoever has a clock. Called on the writer's thread, one commit
/// at a time; must not block.
pub trait Commits: Send + Sync + std::fmt::Debug {
    /// A commit begins.
    fn begins(&self);
    /// It has ended, well or not.
    fn ended(&self);
}

/// What can be set when a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many commands may wait for the writer; more are refused as busy.
    pub queue_commands_max: usize,
    /// How long the result of an ended call is kept for whoever repeats its proof.
    pub results_kept: Duration,
    /// How long a database of PostgreSQL may leave something unanswered before its connection is given up.
    pub answer_max: Duration,
    /// Who is told of each commit of the ledger.
    pub commits: Option<std::sync::Arc<dyn Commits>>,
    /// What a test hangs into the writer.
    #[cfg(any(test, feature = "failpoints"))]
    pub failpoints: Option<std::sync::Arc<dyn crate::Failpoints>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_commands_max: 4096,
            results_kept: Duration::from_hours(24),
            // Longer than the database itself lets a statement take.
            answer_max: Duration::from_secs(35),
            commits: None,
            #[cfg(any(test, feature = "failpoints"))]
            failpoints: None,
        }
    }
}

/// Why a store cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data directory cannot be made or entered.
    #[error("use the data directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The lock file cannot be used.
    #[error("lock {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another gateway process uses the directory.
    #[error("the data directory {} is in use by another gateway process", directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
    },
    /// The redo log cannot be used.
    #[error("use the redo log {}", path.display())]
    RedoLog {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The redo log is not the one of the file beside it, which was restored or swapped.
    #[error(
        "{} holds what was answered with another {} or with a later state of it: put that file back, or, if what was answered since \
         is to be given up, move the log away",
        path.display(), database.display()
    )]
    ForeignLog {
        /// The log.
        path: PathBuf,
        /// The file beside it.
        database: PathBuf,
    },
    /// A newer version wrote the file.
    #[error(
        "{} has schema version {found}, this version of tollgate knows up to {known}; \
         start the newer version again, or restore a backup from before the upgrade",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The file has to be migrated, and only the gateway does that.
    #[error("{} has schema version {found}, {known} is needed; start the gateway once to migrate it", path.display())]
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version needed.
        known: u32,
    },
    /// The file belongs to another program.
    #[error("{} is a database, but none of tollgate's", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The database engine failed.
    #[error("{step} {}", path.display())]
    Sqlite {
        /// What was being done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// What the engine said.
        source: rusqlite::Error,
    },
    /// Another process with this gateway's key uses the database.
    #[error(
        "{database} is in use by another process with the receipts' key of this one; give each gateway a data directory of its own"
    )]
    GatewayInUse {
        /// Where the database is.
        database: String,
    },
    /// A newer version wrote the database.
    #[error(
        "{database} has schema version {found}, this version of tollgate knows up to {known}; \
         start the newer version again, or restore a backup from before the upgrade"
    )]
    NewerDatabase {
        /// Where the database is.
        database: String,
        /// The version in the database.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The database has to be migrated, and only a gateway does that.
    #[error("{database} has schema version {found}, {known} is needed; start a gateway once to migrate it")]
    OlderDatabase {
        /// Where the database is.
        database: String,
        /// The version in the database.
        found: u32,
        /// The version needed.
        known: u32,
    },
    /// The database has a schema of the name `tollgate` that is somebody else's.
    #[error("{database} has a schema `tollgate`, but none of tollgate's")]
    ForeignDatabase {
        /// Where the database is.
        database: String,
    },
    /// The database cannot be reached, or refused.
    #[error("{step} {database}: {reason}")]
    Database {
        /// What was being done.
        step: &'static str,
        /// Where the database is.
        database: String,
        /// What went wrong; never a password.
        reason: String,
    },
    /// The writer's thread could not be started.
    #[error("start the writer thread")]
    Thread(#[source] std::io::Error),
}
