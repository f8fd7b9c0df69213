//! Standings in memory: they are read on every call. Only the writer of this process changes standings while the
//! gateway runs, so the memory follows its commits.

use hashbrown::HashMap;
use parking_lot::Mutex;
use tollgate_domain::Principal;
use tollgate_ledger::Record;

/// How many principals are remembered; beyond that the memory starts anew.
const PRINCIPALS_MAX: usize = 65_536;

#[derive(Debug, Default)]
pub(crate) struct StandingCache(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    records: HashMap<Principal, Record>,
    /// Counts the commits that moved a standing.
    version: u64,
}

impl StandingCache {
    /// What is remembered of a principal; else the version to hand back with what was read from the file.
    pub(crate) fn get(&self, principal: &Principal) -> Result<Record, u64> {
        let remembered = self.0.lock();
        remembered.records.get(principal).copied().ok_or(remembered.version)
    }

    /// Remembers what was read, unless a commit since `version` may have made it stale.
    pub(crate) fn read(&self, principal: Principal, record: Record, version: u64) {
        let mut remembered = self.0.lock();
        if remembered.version == version {
            remembered.insert(principal, record);
        }
    }

    /// Remembers what was committed.
    pub(crate) fn committed(&self, moved: &mut Vec<(Principal, Record)>) {
        if moved.is_empty() {
            return;
        }
        let mut remembered = self.0.lock();
        remembered.version = remembered.version.wrapping_add(1);
        for (principal, record) in std::mem::take(moved) {
            remembered.insert(principal, record);
        }
    }
}

impl Remembered {
    fn insert(&mut self, principal: Principal, record: Record) {
        if self.records.len() >= PRINCIPALS_MAX && !self.records.contains_key(&principal) {
            self.records.clear();
        }
        self.records.insert(principal, record);
    }
}

#[cfg(test)]
mod tests;
