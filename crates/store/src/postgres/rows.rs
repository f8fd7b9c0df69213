//! Rows of the database as values of the ledger, and the columns that each is read from.

use tokio_postgres::Row;
use tollgate_attest::PublicKey;
use tollgate_domain::{Amount, Binding, Bps, Digest, ToolRef};
use tollgate_ledger::{
    AccountBalance, Balances, PaidCall, RecentCall, Record, SettlementRow, Transfer, TransferKind,
};

use super::convert::{self, ReadError, malformed, plain};

/// The columns of [`settlement`], then more.
macro_rules! settlements {
    ($tail:literal) => {
        settlements!("", $tail)
    };
    ($distinct:literal, $tail:literal) => {
        concat!(
            "SELECT ",
            $distinct,
            " key, attempt, call, caller, server, tool, args, price_version, amount::text, asset, funds, proof, expires, ",
            "state, claimed, updated, result, reference, reason, receipt, settle, payer, refund, refunded::text, quote, reserved, splits ",
            "FROM settlements ",
            $tail
        )
    };
}

/// The columns of [`transfer`], then more.
macro_rules! transfers {
    ($tail:literal) => {
        concat!(
            "SELECT t.id, t.kind, t.resolves, d.name, c.name, d.asset, t.amount::text, t.call, t.note, t.at, t.expires ",
            "FROM transfers t JOIN accounts d ON d.id = t.debit JOIN accounts c ON c.id = t.credit ",
            $tail
        )
    };
}

/// The columns of [`account`], then more.
macro_rules! accounts {
    ($tail:literal) => {
        concat!(
            "SELECT name, asset, debits_pending::text, debits_posted::text, credits_pending::text, ",
            "credits_posted::text FROM accounts ",
            $tail
        )
    };
}

pub(super) use {accounts, settlements, transfers};

pub(super) fn settlement(row: &Row) -> Result<SettlementRow, ReadError> {
    Ok(SettlementRow {
        key: convert::text(row, 0)?,
        attempt: convert::small_count(row, 1)?,
        call: convert::id(row, 2)?,
        caller: convert::text(row, 3)?,
        binding: Binding {
            tool: ToolRef { server: convert::text(row, 4)?, tool: convert::text(row, 5)? },
            args: convert::digest(row, 6)?,
            price_version: convert::small_count(row, 7)?,
            quote: convert::optional_bytes(row, 24)?.map(Digest::from_bytes),
        },
        amount: convert::text(row, 8)?,
        asset: convert::text(row, 9)?,
        funds: convert::text(row, 10)?,
        proof: plain::<&str>(row, 11)?.into(),
        expires: convert::moment(row, 12)?,
        state: convert::text(row, 13)?,
        claimed: convert::moment(row, 14)?,
        updated: convert::moment(row, 15)?,
        result: convert::optional_bytes(row, 16)?.map(Digest::from_bytes),
        reference: plain(row, 17)?,
        reason: plain(row, 18)?,
        receipt: convert::optional_id(row, 19)?,
        settle: convert::text(row, 20)?,
        payer: convert::text(row, 21)?,
        refund: convert::optional_text(row, 22)?,
        refunded: convert::text(row, 23)?,
        reserved: convert::text(row, 25)?,
        splits: convert::text(row, 26)?,
    })
}

pub(super) fn transfer(row: &Row) -> Result<Transfer, ReadError> {
    let kind = TransferKind::from_parts(plain(row, 1)?, convert::optional_id(row, 2)?)
        .map_err(|error| malformed(1, error))?;
    Ok(Transfer {
        id: convert::id(row, 0)?,
        kind,
        debit: convert::text(row, 3)?,
        credit: convert::text(row, 4)?,
        asset: convert::text(row, 5)?,
        amount: convert::text(row, 6)?,
        call: convert::optional_id(row, 7)?,
        note: plain(row, 8)?,
        at: convert::moment(row, 9)?,
        expires: convert::optional_moment(row, 10)?,
    })
}

pub(super) fn account(row: &Row) -> Result<AccountBalance, ReadError> {
    let amount = |column| convert::text::<Amount>(row, column);
    let balances = Balances {
        debits_pending: amount(2)?,
        debits_posted: amount(3)?,
        credits_pending: amount(4)?,
        credits_posted: amount(5)?,
    };
    Ok(AccountBalance { account: convert::text(row, 0)?, asset: convert::text(row, 1)?, balances })
}

/// From the columns `reputation, settled, failed`, the first of which is `first`.
pub(super) fn record(row: &Row, first: usize) -> Result<Record, ReadError> {
    let reputation: i32 = plain(row, first)?;
    let reputation = u16::try_from(reputation).map_err(|error| malformed(first, error))?;
    Ok(Record {
        reputation: Bps::new(reputation),
        settled: convert::count(row, first.saturating_add(1))?,
        failed: convert::count(row, first.saturating_add(2))?,
    })
}

/// The column as a public key.
pub(super) fn public_key(row: &Row, column: usize) -> Result<PublicKey, ReadError> {
    PublicKey::from_bytes(convert::bytes(row, column)?).map_err(|error| malformed(column, error))
}

pub(super) fn recent_paid(row: SettlementRow) -> RecentCall {
    let payment = PaidCall {
        tool: row.binding.tool,
        caller: row.caller,
        amount: row.amount,
        asset: row.asset,
        key: row.key,
        state: row.state,
        claimed: row.claimed,
    };
    RecentCall { call: row.call, receipt: row.receipt, paid: Some(payment) }
}
