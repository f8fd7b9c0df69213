//! Where a payer's budget is kept: one small file in the data directory, shared by every bridge on this machine.
//!
//! A file and not the gateway's database: a bridge runs where the client is, often without a gateway, and must not reach into
//! one's books. The file holds sums, so it never grows. A change is made under an exclusive lock on a file beside it, written
//! whole to a new file, synced, and renamed over the old one: a crash leaves the old sums or the new ones, and the lock goes
//! with its process. What cannot be read is never taken for nothing.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tollgate_domain::{Amount, AssetId};
use tollgate_payer::budget::{BookError, BookFuture, BudgetBook, Counted, Day, Event};

use crate::data::DataDirectory;

/// How long another bridge may hold the lock: a change takes milliseconds, so a longer wait means a stopped process.
const LOCK_TRIES_MAX: u32 = 1_000;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// The longest file that is read, in bytes: a few hundred assets.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The file.
#[derive(Clone, Debug)]
pub struct BudgetFile {
    path: PathBuf,
}

/// What stands in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sums {
    assets: BTreeMap<AssetId, Sum>,
}

/// [`Counted`], as written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sum {
    total: Amount,
    /// Days since 1970-01-01 in UTC.
    day: u64,
    of_day: Amount,
    open: Amount,
}

impl From<&Sum> for Counted {
    fn from(sum: &Sum) -> Self {
        Self { total: sum.total, day: Day::new(sum.day), of_day: sum.of_day, open: sum.open }
    }
}

impl From<Counted> for Sum {
    fn from(counted: Counted) -> Self {
        Self { total: counted.total, day: counted.day.get(), of_day: counted.of_day, open: counted.open }
    }
}

impl BudgetFile {
    /// The budget of a data directory; nothing is spent while there is no file.
    pub fn of(data: &DataDirectory) -> Self {
        Self { path: data.path("payer.budget") }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn change(&self, asset: &AssetId, event: Event) -> Result<Counted, BookError> {
        let _lock = self.lock()?;
        let mut sums = self.read()?;
        let before = sums.assets.get(asset).map(Counted::from).unwrap_or_default();
        let after = before.apply(event)?;
        sums.assets.insert(asset.clone(), after.into());
        self.write(&sums).map_err(|error| self.broken(&error))?;
        Ok(after)
    }

    /// Held until it is dropped, or its process dies. It stands beside the file because that one is replaced by each change.
    fn lock(&self) -> Result<File, BookError> {
        let path = self.path.with_extension("budget.lock");
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = open.map_err(|error| self.broken(&error))?;
        for _ in 0..LOCK_TRIES_MAX {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(self.broken(&error)),
            }
        }
        Err(self.broken(&"another process holds its lock and does not let go"))
    }

    fn read(&self) -> Result<Sums, BookError> {
        let length = match fs::metadata(&self.path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Sums::default()),
            Err(error) => return Err(self.broken(&error)),
        };
        if length > FILE_BYTES_MAX {
            return Err(self.broken(&"it is too long to be a budget"));
        }
        let text = fs::read(&self.path).map_err(|error| self.broken(&error))?;
        serde_json::from_slice(&text).map_err(|error| {
            self.broken(&format!("{error}; move it away to begin to count anew, if that is what you want"))
        })
    }

    fn write(&self, sums: &Sums) -> io::Result<()> {
        let draft = self.path.with_extension("budget.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        let mut text = serde_json::to_vec_pretty(sums)?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        // The rename itself must survive a crash, too.
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    fn broken(&self, reason: &dyn std::fmt::Display) -> BookError {
        BookError::Broken(format!("{}: {reason}", self.path.display()))
    }
}

impl BudgetBook for BudgetFile {
    fn apply<'a>(&'a self, asset: &'a AssetId, event: Event) -> BookFuture<'a> {
        let (file, asset) = (self.clone(), asset.clone());
        Box::pin(on_a_thread(move || file.change(&asset, event)))
    }

    fn counted<'a>(&'a self, asset: &'a AssetId) -> BookFuture<'a> {
        let (file, asset) = (self.clone(), asset.clone());
        Box::pin(on_a_thread(move || {
            Ok(file.read()?.assets.get(&asset).map(Counted::from).unwrap_or_default())
        }))
    }
}

/// A change that has begun is carried to its end, whoever waits for it: what was reserved for nobody stays counted.
async fn on_a_thread(
    work: impl FnOnce() -> Result<Counted, BookError> + Send + 'static,
) -> Result<Counted, BookError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(BookError::Broken("its work was given up".to_owned())))
}

#[cfg(test)]
mod tests;
