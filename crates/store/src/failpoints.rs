//! Named stop points for tests that kill the process, or the disk under it. Compiled only with the
//! feature `failpoints`, and into this crate's own tests.

use std::fmt;

/// How a commit is made to fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskFault {
    /// The commit is undone and reported as a failed sync: what a dead disk that kept nothing does.
    SyncLost,
    /// The commit takes place and is reported as a failed sync: what a dead disk that kept it does.
    SyncKept,
    /// The disk is full.
    Full,
}

/// What a test hangs into the ledger's writer.
pub trait Failpoints: Send + Sync + fmt::Debug {
    /// The writer passes the place `name`: `before_commit` (everything is written, nothing is durable) or
    /// `after_commit` (durable, nobody has been told); only steps that write pass them. Or `before_end` and `after_end` of a
    /// transaction whose steps are durable in the redo log.
    fn hit(&self, name: &str);

    /// Asked once per step: the fault to play, if any.
    fn disk_fault(&self) -> Option<DiskFault> {
        None
    }

    /// Asked when a transaction ends whose steps are in the redo log: the fault to play, if any.
    fn end_fault(&self) -> Option<DiskFault> {
        None
    }
}
