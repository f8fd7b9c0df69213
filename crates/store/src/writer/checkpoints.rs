//! Moving SQLite's log into the file, beside the writer: each pass on a thread of its own, so that nobody who waits for the writer
//! waits for it. Everything in the log is durable already, and what cannot be moved stays in it.
//!
//! SQLite begins its log anew when all of it has been moved at the moment at which a transaction begins. Under load there is always
//! something behind a pass; so the writer itself moves what is left, between two transactions, once the log is long and little is left.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::JoinHandle;

use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use super::hooks::Hooks;

/// When the log is moved, in pages of 8 KiB, or 4 in files that were made earlier.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// So many more than the last pass has moved: there is another one.
    pub(crate) pass: i32,
    /// From this length on the log should begin anew.
    pub(crate) long: i32,
    /// No more than this is left for the writer itself then.
    pub(crate) left: i32,
    /// At this length it moves whatever is left.
    pub(crate) most: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pass: 1_000, long: 8_000, left: 1_500, most: 32_000 }
    }
}

/// The passes over the log of one file.
pub(super) struct Checkpoints {
    /// `None` if only the writer's own connection can reach it.
    file: Option<PathBuf>,
    hooks: Hooks,
    /// How long the log was after the last commit.
    pages: Arc<AtomicI32>,
    /// How much of it was moved.
    moved: i32,
    pass: Option<Pass>,
}

struct Pass {
    pages: i32,
    thread: JoinHandle<rusqlite::Result<()>>,
}

impl Checkpoints {
    /// In place of SQLite's own passes, which would swallow a failed sync.
    pub(super) fn of(connection: &mut Connection, hooks: Hooks) -> rusqlite::Result<Self> {
        let pages = Arc::new(AtomicI32::new(0));
        let counted = Arc::clone(&pages);
        let count = move |_: &mut Wal, pages| {
            counted.store(pages, Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(count))?;
        let file = connection.path().filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Self { file, hooks, pages, moved: 0, pass: None })
    }

    /// Looks after the log; between two transactions of `connection`, the writer's. Fails with what a pass has failed with.
    pub(super) fn tend(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let Limits { pass, long, left, most } = self.hooks.checkpoints;
        let pages = self.pages.load(Ordering::Relaxed);
        // Waits for a pass that lets the log grow on and on.
        if let Some(pass) = self.pass.take_if(|pass| pass.thread.is_finished() || pages >= most) {
            self.moved = pass.end()?;
        }
        if self.pass.is_some() {
            return Ok(());
        }
        if pages < self.moved {
            self.moved = 0; // it has begun anew
        }
        let not_moved = pages.saturating_sub(self.moved);
        let is_long = pages >= long && not_moved > 0;
        if is_long && (not_moved <= left || pages >= most) {
            self.moved = pages;
            return self.hooks.checkpoint(connection);
        }
        if not_moved >= pass || is_long {
            self.start(pages, connection)?;
        }
        Ok(())
    }

    fn start(&mut self, pages: i32, connection: &Connection) -> rusqlite::Result<()> {
        let Some(file) = self.file.clone() else {
            self.moved = pages;
            return self.hooks.checkpoint(connection);
        };
        let hooks = self.hooks.clone();
        match std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let beside = Connection::open_with_flags(file, flags)?;
            // What a pass that failed has left in the log must not be moved by closing the file.
            beside.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            beside.pragma_update(None, "synchronous", "FULL")?;
            hooks.checkpoint(&beside)
        }) {
            Ok(thread) => self.pass = Some(Pass { pages, thread }),
            Err(error) => {
                tracing::warn!(%error, "no thread to move the log into the file; it goes on growing")
            }
        }
        Ok(())
    }

    /// Waits for the pass that is under way.
    pub(super) fn finish(&mut self) -> rusqlite::Result<()> {
        self.pass.take().map_or(Ok(()), |pass| pass.end().map(drop))
    }
}

impl Pass {
    /// Up to where the log was moved.
    fn end(self) -> rusqlite::Result<i32> {
        match self.thread.join() {
            Ok(moved) => moved.map(|()| self.pages),
            Err(_) => {
                tracing::error!("the thread that moves the log into the file panicked");
                Ok(0)
            }
        }
    }
}

/// Moves as much of the log as readers allow.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::PASSIVE).map(drop)
}
