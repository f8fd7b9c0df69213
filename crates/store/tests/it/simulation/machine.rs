//! A gateway's store, its files, and what is left of them when it dies.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use tempfile::TempDir;
use tollgate_ledger::{Command, LedgerStore as _, Outcome, StoreError};
use tollgate_store::{Options, Store};

use super::crash::Crash;
use crate::world::signer;

/// A gateway's store that can crash.
pub(super) struct Machine {
    folder: TempDir,
    pub(super) directory: PathBuf,
    pub(super) store: Store,
    pub(super) crash: Arc<Crash>,
    lives: u32,
}

impl Machine {
    pub(super) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let directory = folder.path().join("0");
        let (store, crash) = Self::open(&directory);
        Self { folder, directory, store, crash, lives: 0 }
    }

    fn open(directory: &std::path::Path) -> (Store, Arc<Crash>) {
        let crash = Arc::new(Crash::default());
        let failpoints: Arc<dyn tollgate_store::Failpoints> = Arc::<Crash>::clone(&crash);
        let options = Options { failpoints: Some(failpoints), ..Options::default() };
        (Store::open(directory, signer(), options).unwrap(), crash)
    }

    pub(super) fn next_directory(&self) -> PathBuf {
        self.folder.path().join((self.lives + 1).to_string())
    }

    /// Opens what the crash has left.
    pub(super) fn restart(&mut self) {
        let directory = self.next_directory();
        self.lives += 1;
        let (store, crash) = Self::open(&directory);
        (self.store, self.crash) = (store, crash);
        std::fs::remove_dir_all(&self.directory).unwrap();
        self.directory = directory;
    }

    /// Has these commands committed together, behind one that is committed alone.
    pub(super) async fn batch(
        &self,
        first: Command,
        commands: &[Command],
    ) -> Vec<Result<Outcome, StoreError>> {
        self.crash.shut();
        let behind = async {
            self.crash.reached.notified().await;
            let queued = commands.iter().map(|command| self.store.commit(command.clone()));
            // Polled in this order: by the time that the gate opens, all of them are in the queue.
            let (answers, ()) = join(join_all(queued), async { self.crash.open() }).await;
            answers
        };
        let (before, answers) = join(self.store.commit(first), behind).await;
        std::iter::once(before).chain(answers).collect()
    }
}
