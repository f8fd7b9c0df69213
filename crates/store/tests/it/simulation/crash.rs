//! A process that dies, or whose machine does, inside a commit that was chosen: its files are kept as they were at that moment,
//! and whatever it says afterwards is heard by nobody.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tollgate_store::Failpoints;

use super::dice::Dice;

/// Whole sectors reach the disk or do not.
const SECTOR: usize = 512;
const LEDGER: &str = "ledger.db";
const LOG: &str = "ledger.db-wal";
const REDO: &str = "ledger.redo";

/// What is left of a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moment {
    /// The process dies before it.
    Before,
    /// The process dies after it, before anybody was told.
    After,
    /// The power goes while the logs are written: some sectors of the commit are on the disk, those that this seed chooses.
    Torn(u64),
    /// The power goes while the transaction ends whose steps, this one among them, are in the redo log: some sectors of it are
    /// on the disk, those that this seed chooses.
    End(u64),
}

/// What the writer meets at its commits.
#[derive(Debug, Default)]
pub(super) struct Crash {
    /// The first commit waits until a batch is together behind it.
    pub(super) reached: Notify,
    gate: Gate,
    armed: Mutex<Option<Armed>>,
    is_dead: AtomicBool,
}

#[derive(Debug, Default)]
struct Gate {
    is_shut: Mutex<bool>,
    opened: std::sync::Condvar,
}

#[derive(Debug)]
struct Armed {
    moment: Moment,
    from: PathBuf,
    into: PathBuf,
    /// The logs before the commit.
    log: Vec<u8>,
    redo: Vec<u8>,
}

impl Crash {
    /// The next commit waits for [`Self::open`].
    pub(super) fn shut(&self) {
        *self.gate.is_shut.lock().unwrap() = true;
    }

    pub(super) fn open(&self) {
        *self.gate.is_shut.lock().unwrap() = false;
        self.gate.opened.notify_all();
    }

    /// The commit after the one at the gate is the last; what is left of the files `from` goes `into` another directory.
    pub(super) fn arm(&self, moment: Moment, from: &Path, into: &Path) {
        let armed =
            Armed { moment, from: from.to_owned(), into: into.to_owned(), log: Vec::new(), redo: Vec::new() };
        *self.armed.lock().unwrap() = Some(armed);
    }

    /// Whether nobody hears it any more.
    pub(super) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Acquire)
    }
}

impl Failpoints for Crash {
    fn hit(&self, name: &str) {
        if name == "before_commit" {
            let mut is_shut = self.gate.is_shut.lock().unwrap();
            if *is_shut {
                self.reached.notify_one();
                while *is_shut {
                    is_shut = self.gate.opened.wait(is_shut).unwrap();
                }
                return;
            }
        }
        // The commit that waited at the gate passes here once more, after itself.
        let mut armed = self.armed.lock().unwrap();
        let Some(doom) = armed.as_mut() else { return };
        match (doom.moment, name) {
            (Moment::Before, "before_commit") => doom.keep(None),
            (Moment::Torn(_), "before_commit") | (Moment::End(_), "before_end") => {
                doom.log = std::fs::read(doom.from.join(LOG)).unwrap_or_default();
                doom.redo = std::fs::read(doom.from.join(REDO)).unwrap_or_default();
                return;
            }
            (Moment::End(seed), "after_end") if !doom.log.is_empty() => doom.keep(Some(seed)),
            (Moment::After, "after_commit") if !doom.log.is_empty() => doom.keep(None),
            (Moment::After, "before_commit") => {
                doom.log = vec![0];
                return;
            }
            (Moment::Torn(seed), "after_commit") if !doom.log.is_empty() => doom.keep(Some(seed)),
            _ => return,
        }
        *armed = None;
        self.is_dead.store(true, Ordering::Release);
    }
}

impl Armed {
    /// Copies the files; with a seed, the log as a power cut may leave it.
    fn keep(&self, torn: Option<u64>) {
        std::fs::create_dir_all(&self.into).unwrap();
        std::fs::copy(self.from.join(LEDGER), self.into.join(LEDGER)).unwrap();
        for (file, before) in [(LOG, &self.log), (REDO, &self.redo)] {
            let mut log = std::fs::read(self.from.join(file)).unwrap_or_default();
            if let Some(seed) = torn {
                log = tear(before, &log, seed);
            }
            std::fs::write(self.into.join(file), log).unwrap();
        }
    }
}

/// Every sector that a commit changed is there or not.
fn tear(before: &[u8], after: &[u8], seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut torn = Vec::with_capacity(after.len());
    for (number, sector) in after.chunks(SECTOR).enumerate() {
        let start = number * SECTOR;
        let old: Vec<u8> =
            (start..start + sector.len()).map(|place| before.get(place).copied().unwrap_or(0)).collect();
        torn.extend(if dice.percent(50) { sector.to_vec() } else { old });
    }
    torn
}
