//! Rows of which only the latest value counts: balances, standings, counters of budgets. The open transaction has later values than the
//! file: each is in the redo log with the step that brought it, and in the file once, when the transaction ends.

use hashbrown::HashMap;
use rusqlite::{Connection, ToSql, params};
use tollgate_domain::Principal;
use tollgate_ledger::budget::{Counter, Usage};
use tollgate_ledger::{Balances, Record};

use crate::convert::{integer, millis};
use crate::database::exactly_one;
use crate::redo::{Redo, Statement};

const BALANCES: &str = "UPDATE accounts SET debits_pending = ?2, debits_posted = ?3, credits_pending = ?4, credits_posted = ?5 \
     WHERE id = ?1";

const STANDING: &str = "INSERT INTO standings (principal, reputation, settled, failed) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT (principal) DO UPDATE \
     SET reputation = excluded.reputation, settled = excluded.settled, failed = excluded.failed";

const USAGE: &str = "INSERT INTO budget_usage (node, asset, span, start, last, used) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
     ON CONFLICT (node, asset, span) DO UPDATE \
     SET start = excluded.start, last = excluded.last, used = excluded.used";

/// What the open transaction has not written into the file yet.
#[derive(Debug, Default)]
pub(crate) struct Later {
    /// By the row of the account.
    balances: HashMap<i64, Balances>,
    standings: HashMap<Principal, Record>,
    usages: HashMap<Counter, Usage>,
}

impl Later {
    /// What stands on an account, if that is later than the file.
    pub(crate) fn balances(&self, account: i64) -> Option<Balances> {
        self.balances.get(&account).copied()
    }

    /// The same of a principal.
    pub(crate) fn standing(&self, principal: &Principal) -> Option<Record> {
        self.standings.get(principal).copied()
    }

    /// The same of a counter.
    pub(crate) fn usage(&self, counter: &Counter) -> Option<Usage> {
        self.usages.get(counter).copied()
    }

    /// Sets what stands on an account that is in the file.
    pub(crate) fn set_balances(
        &mut self,
        redo: &mut Redo,
        account: i64,
        balances: Balances,
    ) -> rusqlite::Result<()> {
        with_balances(account, &balances, |values| redo.note(BALANCES, values))?;
        self.balances.insert(account, balances);
        Ok(())
    }

    /// Sets what is remembered of a principal.
    pub(crate) fn set_standing(
        &mut self,
        redo: &mut Redo,
        principal: &Principal,
        record: Record,
    ) -> rusqlite::Result<()> {
        with_standing(principal, &record, |values| redo.note(STANDING, values))?;
        match self.standings.get_mut(principal) {
            Some(known) => *known = record,
            None => drop(self.standings.insert(principal.clone(), record)),
        }
        Ok(())
    }

    /// Sets what a counter says.
    pub(crate) fn set_usage(
        &mut self,
        redo: &mut Redo,
        counter: &Counter,
        usage: &Usage,
    ) -> rusqlite::Result<()> {
        with_usage(counter, usage, |values| redo.note(USAGE, values))?;
        match self.usages.get_mut(counter) {
            Some(known) => *known = *usage,
            None => drop(self.usages.insert(counter.clone(), *usage)),
        }
        Ok(())
    }

    /// The transaction ends: writes everything.
    pub(crate) fn end(&mut self, connection: &Connection, redo: &mut Redo) -> rusqlite::Result<()> {
        let mut update = Statement::of(connection, BALANCES)?;
        for (account, balances) in self.balances.drain() {
            let execute = |values: &[&dyn ToSql]| redo.execute_noted(&mut update, values);
            exactly_one(with_balances(account, &balances, execute)?)?;
        }
        let mut set = Statement::of(connection, STANDING)?;
        for (principal, record) in self.standings.drain() {
            with_standing(&principal, &record, |values| redo.execute_noted(&mut set, values))?;
        }
        let mut set = Statement::of(connection, USAGE)?;
        for (counter, usage) in self.usages.drain() {
            with_usage(&counter, &usage, |values| redo.execute_noted(&mut set, values))?;
        }
        Ok(())
    }

    /// A transaction was undone: whatever of it is durable will be found in the file.
    pub(crate) fn forget(&mut self) {
        self.balances.clear();
        self.standings.clear();
        self.usages.clear();
    }
}

fn with_balances<T>(account: i64, balances: &Balances, execute: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
    let Balances { debits_pending, debits_posted, credits_pending, credits_posted } = balances;
    let [debits_pending, debits_posted, credits_pending, credits_posted] =
        [debits_pending, debits_posted, credits_pending, credits_posted].map(ToString::to_string);
    execute(params![account, debits_pending, debits_posted, credits_pending, credits_posted])
}

fn with_standing<T>(principal: &Principal, record: &Record, execute: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
    let (settled, failed) = (integer(record.settled), integer(record.failed));
    execute(params![principal.as_str(), record.reputation.get(), settled, failed])
}

fn with_usage<T>(counter: &Counter, usage: &Usage, execute: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
    let (node, asset) = (counter.node.as_str(), counter.asset.as_str());
    let (start, last, used) = (millis(usage.start), millis(usage.last), usage.used.to_string());
    execute(params![node, asset, counter.span.word(), start, last, used])
}

#[cfg(test)]
mod tests;
