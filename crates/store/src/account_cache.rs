//! Accounts as the writer last saw them, each with its place in the table: what every call touches is neither read again nor
//! looked up by its name. Another process may write to the same file; the file's own version says whether one has.

use hashbrown::HashMap;
use rusqlite::Connection;
use tollgate_domain::AssetId;
use tollgate_ledger::{AccountName, Balances};

/// How many accounts are remembered; beyond that the memory starts anew. Some 200 bytes each.
const ACCOUNTS_MAX: usize = 32_768;

/// The writer's memory of accounts. Asked and told inside a transaction only.
#[derive(Debug, Default)]
pub(crate) struct AccountCache {
    accounts: HashMap<AccountName, Vec<Known>>,
    count: usize,
    /// `PRAGMA data_version`, which differs once another connection has committed something.
    version: i64,
}

/// An account in one asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Its row.
    pub(crate) id: i64,
    /// What stands on it.
    pub(crate) balances: Balances,
}

#[derive(Debug)]
struct Known {
    asset: AssetId,
    place: Place,
}

impl AccountCache {
    /// A transaction has begun, and nobody else can write until it ends. Forgets everything when another connection has written,
    /// or when what was told in the last transaction was not committed.
    pub(crate) fn begin(&mut self, connection: &Connection, was_committed: bool) -> rusqlite::Result<()> {
        let mut query = connection.prepare_cached("PRAGMA data_version")?;
        let version = query.query_row([], |row| row.get(0))?;
        if std::mem::replace(&mut self.version, version) != version
            || !was_committed
            || self.count > ACCOUNTS_MAX
        {
            self.accounts.clear();
            self.count = 0;
        }
        Ok(())
    }

    /// An account as it stands in this transaction, if it is remembered.
    pub(crate) fn get(&self, name: &AccountName, asset: &AssetId) -> Option<Place> {
        let known = self.accounts.get(name)?.iter().find(|known| known.asset == *asset)?;
        Some(known.place)
    }

    /// Remembers an account as it was read, or written, in this transaction.
    pub(crate) fn put(&mut self, name: &AccountName, asset: &AssetId, place: Place) {
        let known = match self.accounts.get_mut(name) {
            Some(known) => known,
            None => self.accounts.entry(name.clone()).or_default(),
        };
        match known.iter_mut().find(|known| known.asset == *asset) {
            Some(known) => known.place = place,
            None => {
                known.push(Known { asset: asset.clone(), place });
                self.count = self.count.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
