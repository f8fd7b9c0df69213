//! One gateway process per data directory. The lock is the operating system's and ends with the process, however it
//! ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::OpenError;

/// Holds a data directory as long as it lives.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the directory, or says that another process has it.
    pub(crate) fn take(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join("gateway.lock");
        let failed = |source| OpenError::Lock { path: path.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { directory: directory.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}
