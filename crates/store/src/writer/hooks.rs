//! Who is told of what a writer does to the disk, when SQLite's log is moved, and how tests reach into it: points at which a process can be ended, and faults in the
//! place of a sync.

use std::sync::Arc;

use rusqlite::Connection;

use super::checkpoints::Limits;
use crate::redo_log::RedoLog;

/// Who is told of commits, and what tests hang into a writer.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) commits: Option<Arc<dyn crate::Commits>>,
    pub(crate) checkpoints: Limits,
    #[cfg(any(test, feature = "failpoints"))]
    pub(crate) failpoints: Option<Arc<dyn crate::Failpoints>>,
}

impl Hooks {
    /// Has a step made durable, and tells who wants to know how long that takes.
    pub(super) fn timing<T>(&self, make_durable: impl FnOnce() -> T) -> T {
        let Some(commits) = &self.commits else { return make_durable() };
        commits.begins();
        let made = make_durable();
        commits.ended();
        made
    }
}

#[cfg(not(any(test, feature = "failpoints")))]
impl Hooks {
    pub(crate) fn hit(&self, _name: &str) {}

    pub(super) fn commit(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch("COMMIT")
    }

    pub(super) fn end(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch("COMMIT")
    }

    pub(super) fn append(&self, log: &mut RedoLog, step: &[u8]) -> std::io::Result<()> {
        log.append(step)
    }

    pub(super) fn checkpoint(&self, connection: &Connection) -> rusqlite::Result<()> {
        super::checkpoints::checkpoint(connection)
    }
}

#[cfg(any(test, feature = "failpoints"))]
impl Hooks {
    pub(crate) fn hit(&self, name: &str) {
        if let Some(failpoints) = &self.failpoints {
            failpoints.hit(name);
        }
    }

    fn fault(&self) -> Option<crate::DiskFault> {
        self.failpoints.as_ref().and_then(|failpoints| failpoints.disk_fault())
    }

    pub(super) fn commit(&self, connection: &Connection) -> rusqlite::Result<()> {
        committed(connection, self.fault())
    }

    pub(super) fn end(&self, connection: &Connection) -> rusqlite::Result<()> {
        committed(connection, self.failpoints.as_ref().and_then(|failpoints| failpoints.end_fault()))
    }

    pub(super) fn append(&self, log: &mut RedoLog, step: &[u8]) -> std::io::Result<()> {
        use std::io::{Error, ErrorKind};

        use crate::DiskFault;

        let fault = match self.fault() {
            None => return log.append(step),
            Some(DiskFault::Full) => return Err(Error::from(ErrorKind::StorageFull)),
            Some(fault) => fault,
        };
        log.append_unsynced(step, fault == DiskFault::SyncKept)?;
        Err(Error::other("the sync failed"))
    }

    pub(super) fn checkpoint(&self, connection: &Connection) -> rusqlite::Result<()> {
        use crate::DiskFault;
        use rusqlite::ffi;

        let code = match self.fault() {
            None => return super::checkpoints::checkpoint(connection),
            Some(DiskFault::SyncKept | DiskFault::SyncLost) => ffi::SQLITE_IOERR_FSYNC,
            Some(DiskFault::Full) => ffi::SQLITE_FULL,
        };
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }
}

/// Commits, or does what SQLite does under this fault: a transaction whose commit fails is undone.
#[cfg(any(test, feature = "failpoints"))]
fn committed(connection: &Connection, fault: Option<crate::DiskFault>) -> rusqlite::Result<()> {
    use crate::DiskFault;
    use rusqlite::ffi;

    let (end, code) = match fault {
        None => return connection.execute_batch("COMMIT"),
        Some(DiskFault::SyncKept) => ("COMMIT", ffi::SQLITE_IOERR_FSYNC),
        Some(DiskFault::SyncLost) => ("ROLLBACK", ffi::SQLITE_IOERR_FSYNC),
        Some(DiskFault::Full) => ("ROLLBACK", ffi::SQLITE_FULL),
    };
    connection.execute_batch(end)?;
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
}
