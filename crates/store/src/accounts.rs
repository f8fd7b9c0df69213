//! The accounts that one transaction touches: read once, written once. An account that every call touches (the payable of
//! a server, say) costs one update per batch.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use tollgate_domain::AssetId;
use tollgate_ledger::{AccountName, Balances};

use crate::database::exactly_one;
use crate::rows;

/// The accounts of the open transaction.
#[derive(Debug, Default)]
pub(crate) struct Accounts(HashMap<AccountName, Vec<Account>>);

/// One account in one asset, as this transaction leaves it.
#[derive(Debug)]
struct Account {
    asset: AssetId,
    row: i64,
    balances: Balances,
    dirty: bool,
}

impl Accounts {
    /// A transaction begins: another process may have booked since the last one.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    /// What stands on an account; zeros for one that was never used.
    pub(crate) fn balances(
        &mut self,
        connection: &Connection,
        name: &AccountName,
        asset: &AssetId,
    ) -> rusqlite::Result<Balances> {
        if let Some(known) = self.find(name, asset) {
            return Ok(known.balances);
        }
        let Some((row, balances)) = rows::account(connection, name, asset)? else {
            return Ok(Balances::default());
        };
        self.keep(name, Account { asset: asset.clone(), row, balances, dirty: false });
        Ok(balances)
    }

    /// Sets what stands on an account; one that was never used is opened.
    pub(crate) fn set(
        &mut self,
        connection: &Connection,
        name: &AccountName,
        asset: &AssetId,
        balances: Balances,
    ) -> rusqlite::Result<()> {
        if let Some(known) = self.find_mut(name, asset) {
            (known.balances, known.dirty) = (balances, true);
            return Ok(());
        }
        let row = open(connection, name, asset)?;
        self.keep(name, Account { asset: asset.clone(), row, balances, dirty: true });
        Ok(())
    }

    /// The row of an account that was read or set in this transaction.
    pub(crate) fn row(&self, name: &AccountName, asset: &AssetId) -> rusqlite::Result<i64> {
        self.find(name, asset).map(|known| known.row).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// Writes what was set.
    pub(crate) fn flush(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut update = connection.prepare_cached(
            "UPDATE accounts SET debits_pending = ?2, debits_posted = ?3, credits_pending = ?4, credits_posted = ?5 \
             WHERE id = ?1",
        )?;
        for account in self.0.values().flatten().filter(|account| account.dirty) {
            let Balances { debits_pending, debits_posted, credits_pending, credits_posted } =
                &account.balances;
            let changed = update.execute(params![
                account.row,
                debits_pending.to_string(),
                debits_posted.to_string(),
                credits_pending.to_string(),
                credits_posted.to_string(),
            ])?;
            exactly_one(changed)?;
        }
        Ok(())
    }

    fn find(&self, name: &AccountName, asset: &AssetId) -> Option<&Account> {
        self.0.get(name)?.iter().find(|account| account.asset == *asset)
    }

    fn find_mut(&mut self, name: &AccountName, asset: &AssetId) -> Option<&mut Account> {
        self.0.get_mut(name)?.iter_mut().find(|account| account.asset == *asset)
    }

    fn keep(&mut self, name: &AccountName, account: Account) {
        match self.0.get_mut(name) {
            Some(accounts) => accounts.push(account),
            None => {
                self.0.insert(name.clone(), vec![account]);
            }
        }
    }
}

/// A new account with nothing on it.
fn open(connection: &Connection, name: &AccountName, asset: &AssetId) -> rusqlite::Result<i64> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO accounts (asset, name, debits_pending, debits_posted, credits_pending, credits_posted) \
         VALUES (?1, ?2, '0', '0', '0', '0')",
    )?;
    insert.insert(params![asset.as_str(), name.to_string()])
}
