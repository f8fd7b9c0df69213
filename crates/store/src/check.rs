//! `ledger check`: the auditor of `tollgate-ledger` over everything in the file, the receipts and the file itself, in one
//! snapshot.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tollgate_attest::{Segment, verify_chain};
use tollgate_domain::Digest;
use tollgate_ledger::audit::{Auditor, Finding};

use crate::{budgets, convert, escrows, payouts, proofs, rows};

/// Everything that does not hold, as of one moment. Runs beside the writer.
pub(crate) fn check(connection: &Connection) -> rusqlite::Result<Vec<Finding>> {
    // One read transaction, so that transfers, totals and settlements are those of one moment. It ends by being dropped.
    let snapshot = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
    let mut auditor = Auditor::default();
    rows::each_transfer(&snapshot, |transfer| auditor.transfer(&transfer))?;
    for account in rows::accounts(&snapshot)? {
        auditor.account(&account);
    }
    for (counter, usage) in budgets::usages(&snapshot)? {
        auditor.usage(counter, usage);
    }
    let mut unlisted = Vec::new();
    rows::each_settlement(&snapshot, |row| {
        auditor.settlement(&row);
        if !proofs::is_listed(&snapshot, &row)? {
            unlisted.push(Finding::Storage(format!(
                "the proof of {} is not listed: it could be spent again",
                row.call
            )));
        }
        Ok(())
    })?;
    escrows::each(&snapshot, |row| auditor.escrow(&row))?;
    payouts::each(&snapshot, |row| auditor.payout(&row))?;
    let mut findings = auditor.finish();
    findings.extend(unlisted);
    findings.extend(receipts(&snapshot)?);
    findings.extend(missing_receipts(&snapshot)?);
    findings.extend(storage(&snapshot)?);
    Ok(findings)
}

/// Verifies every envelope in its chain, and that the last of each chain is the one that the next would follow.
fn receipts(connection: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let mut query = connection.prepare("SELECT envelope FROM receipts ORDER BY position")?;
    let mut unreadable = None;
    let envelopes = query.query_map([], |row| convert::envelope(row, 0))?;
    let envelopes = envelopes.map_while(|envelope| envelope.map_err(|error| unreadable = Some(error)).ok());
    let verified = verify_chain(envelopes, &rows::signers(connection)?);
    if let Some(error) = unreadable {
        return Err(error);
    }
    let segments = match verified {
        Ok(segments) => segments,
        Err(error) => return Ok(vec![Finding::ReceiptChain(error.to_string())]),
    };
    let mut query = connection.prepare(
        // With max(), SQLite takes the other columns from the row that has it.
        "SELECT k.key, r.seq, r.hash FROM (SELECT signer, max(position), seq, hash FROM receipts GROUP BY signer) r \
         JOIN signers k ON k.id = r.signer",
    )?;
    let heads = query.query_map([], |row| {
        Ok((rows::signer(row, 0)?.key_id().to_owned(), convert::count(row, 1)?, convert::digest(row, 2)?))
    })?;
    let mut heads = heads.collect::<rusqlite::Result<Vec<(String, u64, Digest)>>>()?;
    let mut signed: Vec<_> =
        segments.into_iter().map(|Segment { key_id, last_seq, head }| (key_id, last_seq, head)).collect();
    heads.sort();
    signed.sort();
    let differ = (heads != signed)
        .then(|| Finding::ReceiptChain("the stored places are not those that were signed".to_owned()));
    Ok(differ.into_iter().collect())
}

fn missing_receipts(connection: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let mut query = connection.prepare(
        "SELECT s.call FROM settlements s WHERE s.receipt IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM receipts r WHERE r.id = s.receipt AND r.call = s.call)",
    )?;
    let calls = query.query_map([], |row| convert::id(row, 0).map(Finding::ReceiptMissing))?;
    calls.collect()
}

/// What SQLite finds wrong with the file itself.
fn storage(connection: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let mut query = connection.prepare("PRAGMA integrity_check(20)")?;
    let problems = query.query_map([], |row| row.get::<_, String>(0))?;
    let problems = problems.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(problems.into_iter().filter(|problem| problem != "ok").map(Finding::Storage).collect())
}
