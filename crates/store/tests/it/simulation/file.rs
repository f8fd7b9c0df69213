//! One gateway's store in files, and what is left of them when it dies.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use tempfile::TempDir;
use tollgate_ledger::{Command, LedgerStore as _};
use tollgate_store::{Options, Store};

use super::crash::{Crash, Moment};
use super::dice::Dice;
use super::machine::{Machine, Told};
use crate::world::signer;

/// A gateway's store that can crash.
pub(super) struct Files {
    folder: TempDir,
    directory: PathBuf,
    store: Store,
    crash: Arc<Crash>,
    dies_at_an_end: bool,
    lives: u32,
}

impl Files {
    pub(super) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let directory = folder.path().join("0");
        let (store, crash) = Self::open(&directory);
        Self { folder, directory, store, crash, dies_at_an_end: false, lives: 0 }
    }

    fn open(directory: &std::path::Path) -> (Store, Arc<Crash>) {
        let crash = Arc::new(Crash::default());
        let failpoints: Arc<dyn tollgate_store::Failpoints> = Arc::<Crash>::clone(&crash);
        let options = Options { failpoints: Some(failpoints), ..Options::default() };
        (Store::open(directory, signer(), options).unwrap(), crash)
    }

    fn next_directory(&self) -> PathBuf {
        self.folder.path().join((self.lives + 1).to_string())
    }

    /// Opens what the crash has left.
    fn restart(&mut self) {
        let directory = self.next_directory();
        self.lives += 1;
        let (store, crash) = Self::open(&directory);
        (self.store, self.crash) = (store, crash);
        std::fs::remove_dir_all(&self.directory).unwrap();
        self.directory = directory;
    }
}

impl Machine for Files {
    const HAS_OTHERS: bool = false;

    fn arm(&mut self, dice: &mut Dice) {
        let moment = match dice.below(10) {
            0 => Moment::Before,
            1 => Moment::After,
            2 | 3 => Moment::Torn(dice.roll()),
            4 | 5 => Moment::End(dice.roll()),
            _ => return,
        };
        self.dies_at_an_end = matches!(moment, Moment::End(_));
        self.crash.arm(moment, &self.directory, &self.next_directory());
    }

    async fn batch(
        &mut self,
        first: Command,
        commands: &[Command],
        _beside: &[Command],
    ) -> Result<Told, String> {
        self.crash.shut();
        let behind = async {
            self.crash.reached.notified().await;
            let queued = commands.iter().map(async |command| match command {
                // Every other one is answered once it is decided. What it is answered is no other, and no crash leaves more or less.
                Command::Claim(claim)
                    if claim.call.as_bytes().iter().fold(0, |sum, byte| sum ^ byte) & 1 == 1 =>
                {
                    self.store.decide(command.clone()).await
                }
                command => self.store.commit(command.clone()).await,
            });
            // Polled in this order: by the time that the gate opens, all of them are in the queue.
            let (answers, ()) = join(join_all(queued), async { self.crash.open() }).await;
            answers
        };
        let (first, answers) = join(self.store.commit(first), behind).await;
        // Whoever looks has the open transaction ended, so that a crash at its end comes now and not at some time.
        self.store.trial_balance().await.map_err(|error| error.to_string())?;
        if !self.crash.is_dead() {
            return Ok(Told::of(first, answers, Vec::new()));
        }
        self.restart();
        // At an end, everything was answered before.
        let least = if self.dies_at_an_end { commands.len() } else { 0 };
        Ok(Told { died: Some(least), ..Told::of(first, Vec::new(), Vec::new()) })
    }

    fn store(&self) -> &Store {
        &self.store
    }

    async fn open_settlements(&self) -> usize {
        self.store.open_settlements(None, 99).await.unwrap().len()
    }
}
