//! Rows of the ledger file as values of the ledger, and the queries that read them. Used by the writer inside its
//! transaction and by readers beside it.

use std::collections::HashSet;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tollgate_attest::PublicKey;
use tollgate_domain::{
    Amount, AssetId, Binding, Bps, CallId, Digest, PaymentKey, Principal, ReceiptId, ToolRef, TransferId,
    UnixMillis,
};
use tollgate_ledger::{
    AccountBalance, AccountName, Balances, PaidCall, RecentCall, Record, SettlementRow, StoredAnswer,
    Transfer, TransferKind,
};

use crate::convert;
use crate::proofs::{self, is_credit};

macro_rules! settlements {
    ($($tail:expr),+) => {
        concat!(
            "SELECT key, attempt, call, caller, server, tool, args, price_version, amount, asset, funds, proof, expires, ",
            "state, claimed, updated, result, reference, reason, receipt, settle, coalesce(payer, caller), refund, ",
            "refunded, quote, coalesce(reserved, ''), coalesce(splits, '') FROM settlements ",
            $($tail),+
        )
    };
}

macro_rules! transfers {
    ($tail:literal) => {
        concat!(
            "SELECT t.id, t.kind, t.resolves, d.name, c.name, d.asset, t.amount, t.call, t.note, t.at, t.expires ",
            "FROM transfers t JOIN accounts d ON d.id = t.debit JOIN accounts c ON c.id = t.credit ",
            $tail
        )
    };
}

pub(crate) use settlements;

pub(crate) fn settlement(row: &Row<'_>) -> rusqlite::Result<SettlementRow> {
    Ok(SettlementRow {
        key: convert::text(row, 0)?,
        attempt: convert::small_count(row, 1)?,
        call: convert::id(row, 2)?,
        caller: convert::text(row, 3)?,
        binding: Binding {
            tool: ToolRef { server: convert::text(row, 4)?, tool: convert::text(row, 5)? },
            args: convert::digest(row, 6)?,
            price_version: convert::small_count(row, 7)?,
            quote: row.get::<_, Option<[u8; 32]>>(24)?.map(Digest::from_bytes),
        },
        amount: convert::text(row, 8)?,
        asset: convert::text(row, 9)?,
        funds: convert::text(row, 10)?,
        proof: row.get_ref(11)?.as_str()?.into(),
        expires: convert::moment(row, 12)?,
        state: convert::text(row, 13)?,
        claimed: convert::moment(row, 14)?,
        updated: convert::moment(row, 15)?,
        result: row.get::<_, Option<[u8; 32]>>(16)?.map(Digest::from_bytes),
        reference: row.get(17)?,
        reason: row.get(18)?,
        receipt: convert::optional_id(row, 19)?,
        settle: convert::text(row, 20)?,
        payer: convert::text(row, 21)?,
        refund: convert::optional_text(row, 22)?,
        refunded: convert::text(row, 23)?,
        reserved: convert::text(row, 25)?,
        splits: convert::text(row, 26)?,
    })
}

fn transfer(row: &Row<'_>) -> rusqlite::Result<Transfer> {
    let word: String = row.get(1)?;
    let kind = TransferKind::from_parts(&word, convert::optional_id(row, 2)?)
        .map_err(|error| convert::malformed(1, Type::Text, error))?;
    Ok(Transfer {
        id: convert::id(row, 0)?,
        kind,
        debit: convert::text(row, 3)?,
        credit: convert::text(row, 4)?,
        asset: convert::text(row, 5)?,
        amount: convert::text(row, 6)?,
        call: convert::optional_id(row, 7)?,
        note: row.get(8)?,
        at: convert::moment(row, 9)?,
        expires: convert::optional_moment(row, 10)?,
    })
}

fn balances(row: &Row<'_>, first: usize) -> rusqlite::Result<Balances> {
    let amount = |offset| convert::text::<Amount>(row, first.saturating_add(offset));
    Ok(Balances {
        debits_pending: amount(0)?,
        debits_posted: amount(1)?,
        credits_pending: amount(2)?,
        credits_posted: amount(3)?,
    })
}

/// The latest attempt with this key.
pub(crate) fn settlement_by_key(
    connection: &Connection,
    key: &PaymentKey,
) -> rusqlite::Result<Option<SettlementRow>> {
    match proofs::of(key) {
        Some(proof) => connection
            .prepare_cached(settlements!(
                "WHERE id = coalesce((SELECT settlement FROM proofs_lately WHERE proof = ?1 ORDER BY attempt DESC LIMIT 1), \
                 (SELECT settlement FROM proofs WHERE proof = ?1 ORDER BY attempt DESC LIMIT 1))"
            ))?
            .query_row(params![proof], settlement),
        None => connection
            .prepare_cached(settlements!(
                "WHERE key = ?1 AND ",
                is_credit!(),
                " ORDER BY attempt DESC LIMIT 1"
            ))?
            .query_row(params![key.to_string()], settlement),
    }
    .optional()
}

/// The attempt of this call.
pub(crate) fn settlement_by_call(
    connection: &Connection,
    call: &CallId,
) -> rusqlite::Result<Option<SettlementRow>> {
    let mut query = connection.prepare_cached(settlements!("WHERE call = ?1"))?;
    query.query_row(params![call.as_bytes()], settlement).optional()
}

/// The latest attempts that changed at `since` or later, the newest first, at most `limit`.
pub(crate) fn settlements_since(
    connection: &Connection,
    since: UnixMillis,
    limit: u32,
) -> rusqlite::Result<Vec<SettlementRow>> {
    let mut query = connection.prepare(settlements!("WHERE updated >= ?1 ORDER BY id DESC LIMIT ?2"))?;
    query.query_map(params![convert::millis(since), limit], settlement)?.collect()
}

/// Every attempt with one of these references.
pub(crate) fn settlements_by_reference(
    connection: &Connection,
    references: &HashSet<String>,
) -> rusqlite::Result<Vec<SettlementRow>> {
    let mut query = connection.prepare(settlements!("WHERE reference IS NOT NULL ORDER BY id"))?;
    let rows = query.query_map([], |row| {
        let wanted = references.contains(row.get_ref(17)?.as_str()?);
        wanted.then(|| settlement(row)).transpose()
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// Every attempt, in order of claiming.
pub(crate) fn each_settlement(
    connection: &Connection,
    mut visit: impl FnMut(SettlementRow) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut query = connection.prepare(settlements!("ORDER BY id"))?;
    for row in query.query_map([], settlement)? {
        visit(row?)?;
    }
    Ok(())
}

/// The named transfer with this id.
pub(crate) fn named_transfer(connection: &Connection, id: &TransferId) -> rusqlite::Result<Option<Transfer>> {
    // The condition is the one of the index, word for word, so that the index is used.
    let mut query =
        connection.prepare_cached(transfers!("WHERE t.id = ?1 AND (t.call IS NULL OR t.kind = 'posted')"))?;
    query.query_row(params![id.as_bytes()], transfer).optional()
}

/// What resolves this named pending transfer.
pub(crate) fn resolution(connection: &Connection, of: &TransferId) -> rusqlite::Result<Option<Transfer>> {
    let mut query = connection.prepare_cached(transfers!("WHERE t.resolves = ?1 AND t.call IS NULL"))?;
    query.query_row(params![of.as_bytes()], transfer).optional()
}

/// Pending transfers that expired after `since` and by `now`, and are not resolved.
pub(crate) fn expired(
    connection: &Connection,
    since: UnixMillis,
    now: UnixMillis,
    limit: u32,
) -> rusqlite::Result<Vec<Transfer>> {
    let mut query = connection.prepare_cached(transfers!(
        "WHERE t.expires > ?1 AND t.expires <= ?2 AND t.call IS NULL AND NOT EXISTS \
         (SELECT 1 FROM transfers r WHERE r.resolves = t.id AND r.call IS NULL) ORDER BY t.expires LIMIT ?3"
    ))?;
    query.query_map(params![convert::millis(since), convert::millis(now), limit], transfer)?.collect()
}

/// Every transfer, in the order of booking.
pub(crate) fn each_transfer(
    connection: &Connection,
    mut visit: impl FnMut(Transfer),
) -> rusqlite::Result<()> {
    let mut query = connection.prepare(transfers!("ORDER BY t.seq"))?;
    for row in query.query_map([], transfer)? {
        visit(row?);
    }
    Ok(())
}

/// The row of an account and what stands on it.
pub(crate) fn account(
    connection: &Connection,
    account: &AccountName,
    asset: &AssetId,
) -> rusqlite::Result<Option<(i64, Balances)>> {
    let mut query = connection.prepare_cached(
        "SELECT id, debits_pending, debits_posted, credits_pending, credits_posted FROM accounts \
         WHERE asset = ?1 AND name = ?2",
    )?;
    query
        .query_row(params![asset.as_str(), account.to_string()], |row| Ok((row.get(0)?, balances(row, 1)?)))
        .optional()
}

/// What all servers have earned in an asset. A total past what an amount holds stays there.
pub(crate) fn earned(connection: &Connection, asset: &AssetId) -> rusqlite::Result<Amount> {
    // Names from `payable:` on, before whatever follows them: a range of the index.
    let mut query = connection.prepare_cached(
        "SELECT credits_posted FROM accounts WHERE asset = ?1 AND name >= 'payable:' AND name < 'payable;'",
    )?;
    let mut earned = Amount::ZERO;
    for credited in query.query_map(params![asset.as_str()], |row| convert::text::<Amount>(row, 0))? {
        earned = earned.checked_add(credited?).unwrap_or(Amount::new(u128::MAX));
    }
    Ok(earned)
}

/// Every account, ordered by asset and name.
pub(crate) fn accounts(connection: &Connection) -> rusqlite::Result<Vec<AccountBalance>> {
    let mut query = connection.prepare_cached(
        "SELECT name, asset, debits_pending, debits_posted, credits_pending, credits_posted FROM accounts \
         ORDER BY asset, name",
    )?;
    let accounts = query.query_map([], |row| {
        Ok(AccountBalance {
            account: convert::text(row, 0)?,
            asset: convert::text(row, 1)?,
            balances: balances(row, 2)?,
        })
    })?;
    accounts.collect()
}

/// The sealed envelope with this id.
pub(crate) fn receipt(connection: &Connection, id: &ReceiptId) -> rusqlite::Result<Option<String>> {
    let mut query = connection.prepare_cached("SELECT envelope FROM receipts WHERE id = ?1")?;
    query.query_row(params![id.as_bytes()], |row| convert::envelope(row, 0)).optional()
}

/// The column as a public key.
pub(crate) fn signer(row: &Row<'_>, column: usize) -> rusqlite::Result<PublicKey> {
    PublicKey::from_bytes(row.get(column)?).map_err(|error| convert::malformed(column, Type::Blob, error))
}

/// Every key that ever signed a receipt here, in the order of their first receipts.
pub(crate) fn signers(connection: &Connection) -> rusqlite::Result<Vec<PublicKey>> {
    connection
        .prepare_cached("SELECT key FROM signers ORDER BY id")?
        .query_map([], |row| signer(row, 0))?
        .collect()
}

/// What the call of this settlement left behind.
pub(crate) fn answer(connection: &Connection, row: &SettlementRow) -> rusqlite::Result<StoredAnswer> {
    let mut query = connection.prepare_cached(
        "SELECT body, private FROM results WHERE settlement = (SELECT id FROM settlements WHERE call = ?1)",
    )?;
    let stored = query
        .query_row(params![row.call.as_bytes()], |stored| Ok((stored.get(0)?, stored.get(1)?)))
        .optional()?;
    let (result, private) = stored.unwrap_or_default();
    let receipt = match &row.receipt {
        Some(id) => receipt(connection, id)?,
        None => None,
    };
    Ok(StoredAnswer { call: row.call, state: row.state, result, private, receipt })
}

/// What is remembered of a principal.
pub(crate) fn standing(connection: &Connection, principal: &Principal) -> rusqlite::Result<Record> {
    let mut query = connection
        .prepare_cached("SELECT reputation, settled, failed FROM standings WHERE principal = ?1")?;
    let stored = query
        .query_row(params![principal.as_str()], |row| {
            Ok(Record {
                reputation: Bps::new(row.get(0)?),
                settled: convert::count(row, 1)?,
                failed: convert::count(row, 2)?,
            })
        })
        .optional()?;
    Ok(stored.unwrap_or_default())
}

/// The latest paid calls of one caller, newest first.
pub(crate) fn calls_of(
    connection: &Connection,
    caller: &Principal,
    before: CallId,
    limit: u32,
) -> rusqlite::Result<Vec<RecentCall>> {
    let mut query = connection
        .prepare_cached(settlements!("WHERE caller = ?1 AND call < ?2 ORDER BY call DESC LIMIT ?3"))?;
    let calls = query.query_map(params![caller.as_str(), before.as_bytes(), limit], |row| {
        settlement(row).map(recent_paid)
    })?;
    calls.collect()
}

fn recent_paid(row: SettlementRow) -> RecentCall {
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

/// The latest calls that are paid for or have a receipt, newest first. Ids are in time order.
pub(crate) fn recent_calls(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<RecentCall>> {
    let mut paid = connection.prepare_cached(settlements!("ORDER BY call DESC LIMIT ?1"))?;
    let paid = paid.query_map(params![limit], |row| settlement(row).map(recent_paid))?;
    let mut calls = paid.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut free = connection
        .prepare_cached("SELECT call, id FROM receipts WHERE free = 1 ORDER BY call DESC LIMIT ?1")?;
    let free = free.query_map(params![limit], |row| {
        Ok(RecentCall { call: convert::id(row, 0)?, receipt: convert::optional_id(row, 1)?, paid: None })
    })?;
    for call in free {
        calls.push(call?);
    }
    calls.sort_by_key(|recent| std::cmp::Reverse(recent.call));
    calls.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(calls)
}
