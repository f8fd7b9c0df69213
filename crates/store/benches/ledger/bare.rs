//! The floor: the same rows into the same tables in the same batches, by a loop that decides nothing, reads nothing and answers
//! nobody.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, params};
use tollgate_domain::UnixMillis;
use tollgate_ledger::{AccountName, Transfer, TransferKind};

use super::Failure;
use super::work::{BATCH, To, Work};

/// A ledger file under a connection of its own.
pub(crate) struct Bare {
    connection: Connection,
    accounts: HashMap<AccountName, Account>,
}

/// What stands on an account. Nothing is pending in this bench.
struct Account {
    place: i64,
    debits: u128,
    credits: u128,
}

/// Everything that one transaction writes, as SQLite takes it.
pub(crate) struct Rows {
    accounts: Vec<(i64, String, String)>,
    transfers: Vec<(Transfer, i64, i64, String)>,
}

impl Bare {
    /// Opens a file that the store has made and filled, with the settings of the store's writer.
    pub(crate) fn open(directory: &Path) -> Result<Self, Failure> {
        let connection = Connection::open(directory.join("ledger.db"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.pragma_update(None, "cache_size", -16384)?;
        // From the same number of pages on as the writer moves its log into the file under load.
        connection.pragma_update(None, "wal_autocheckpoint", 16_000)?;
        connection.set_prepared_statement_cache_capacity(64);
        let mut accounts = HashMap::new();
        {
            let mut read =
                connection.prepare("SELECT name, id, debits_posted, credits_posted FROM accounts")?;
            let mut rows = read.query([])?;
            while let Some(row) = rows.next()? {
                let total = |place| Ok::<u128, Failure>(row.get::<_, String>(place)?.parse()?);
                let account = Account { place: row.get(1)?, debits: total(2)?, credits: total(3)? };
                accounts.insert(row.get::<_, String>(0)?.parse()?, account);
            }
        }
        Ok(Self { connection, accounts })
    }

    /// The rows of these transfers, made ready before the clock runs.
    pub(crate) fn rows(
        &mut self,
        work: &Work,
        numbers: std::ops::Range<u64>,
        to: To,
    ) -> Result<Vec<Rows>, Failure> {
        let transfers = numbers.map(|number| work.transfer(number, to, TransferKind::Posted));
        let transfers = transfers.collect::<Result<Vec<_>, _>>()?;
        transfers.chunks(BATCH).map(|batch| self.rows_of(batch)).collect()
    }

    fn rows_of(&mut self, batch: &[Transfer]) -> Result<Rows, Failure> {
        let mut touched = std::collections::BTreeSet::new();
        let mut transfers = Vec::with_capacity(batch.len());
        for transfer in batch {
            let amount = transfer.amount.get();
            let mut place = |name: &AccountName, debited: u128, credited: u128| {
                let account = self.accounts.get_mut(name)?;
                account.debits += debited;
                account.credits += credited;
                touched.insert(name.clone());
                Some(account.place)
            };
            let debit = place(&transfer.debit, amount, 0).ok_or("no such account")?;
            let credit = place(&transfer.credit, 0, amount).ok_or("no such account")?;
            transfers.push((transfer.clone(), debit, credit, transfer.amount.to_string()));
        }
        let accounts = touched.iter().filter_map(|name| {
            let account = self.accounts.get(name)?;
            Some((account.place, account.debits.to_string(), account.credits.to_string()))
        });
        Ok(Rows { accounts: accounts.collect(), transfers })
    }

    /// One transaction.
    pub(crate) fn write(&self, rows: &Rows) -> Result<(), Failure> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        {
            let mut update = self.connection.prepare_cached(
                "UPDATE accounts SET debits_pending = ?2, debits_posted = ?3, credits_pending = ?4, credits_posted = ?5 \
                 WHERE id = ?1",
            )?;
            for (place, debits, credits) in &rows.accounts {
                update.execute(params![place, "0", debits, "0", credits])?;
            }
            let mut insert = self.connection.prepare_cached(
                "INSERT INTO transfers (id, kind, resolves, debit, credit, amount, call, note, at, expires) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?;
            for (transfer, debit, credit, amount) in &rows.transfers {
                insert.execute(params![
                    transfer.id.as_bytes(),
                    transfer.kind.word(),
                    None::<&[u8]>,
                    debit,
                    credit,
                    amount,
                    None::<&[u8]>,
                    transfer.note,
                    i64::try_from(transfer.at.get())?,
                    transfer.expires.map(UnixMillis::get).map(i64::try_from).transpose()?,
                ])?;
            }
        }
        self.connection.execute_batch("COMMIT")?;
        Ok(())
    }
}
