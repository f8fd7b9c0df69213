//! `ledger check` over a database: the auditor of `tollgate-ledger` over everything in it, and the receipts, in one snapshot.

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio::sync::mpsc;
use tokio_postgres::Client;
use tollgate_attest::{PublicKey, Segment, verify_chain};
use tollgate_domain::{Digest, TransferId};
use tollgate_ledger::StoreError;
use tollgate_ledger::audit::{Auditor, Finding};

use super::PostgresStore;
use super::convert::{self, ReadError, plain};
use super::export::{SNAPSHOT, each};
use super::rows::{self, accounts, settlements, transfers};
use super::{budgets, escrows, payouts};

/// How many envelopes may wait for their signature to be checked.
const ENVELOPES_MAX: usize = 256;

impl PostgresStore {
    /// Everything that does not hold, as of one moment. Runs beside all writers.
    pub(crate) async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        self.readers.with_patience(check).await
    }
}

async fn check(client: &Client) -> Result<Vec<Finding>, ReadError> {
    client.batch_execute(SNAPSHOT).await?;
    let findings = examine(client).await?;
    client.batch_execute("COMMIT").await?;
    Ok(findings)
}

/// Everything that does not hold of what this transaction sees.
pub(super) async fn examine(client: &Client) -> Result<Vec<Finding>, ReadError> {
    let mut auditor = Auditor::default();
    each(client, transfers!("ORDER BY t.seq"), |row| {
        auditor.transfer(&rows::transfer(row)?);
        Ok(())
    })
    .await?;
    each(client, accounts!(""), |row| {
        auditor.account(&rows::account(row)?);
        Ok(())
    })
    .await?;
    each(client, budgets::EVERY_USAGE, |row| {
        let (counter, usage) = budgets::usage(row)?;
        auditor.usage(counter, usage);
        Ok(())
    })
    .await?;
    each(client, settlements!("ORDER BY id"), |row| {
        auditor.settlement(&rows::settlement(row)?);
        Ok(())
    })
    .await?;
    each(client, escrows::EVERY, |row| {
        auditor.escrow(&escrows::escrow(row)?);
        Ok(())
    })
    .await?;
    each(client, payouts::EVERY, |row| {
        auditor.payout(&payouts::payout(row)?);
        Ok(())
    })
    .await?;
    let mut findings = auditor.finish();
    findings.extend(receipts(client).await?);
    let lost = "SELECT t.id FROM transfers t WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = t.debit) \
         OR NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = t.credit) ORDER BY t.seq LIMIT 20";
    each(client, lost, |row| {
        let transfer: TransferId = convert::id(row, 0)?;
        findings
            .push(Finding::Storage(format!("the transfer {transfer} names an account that is not there")));
        Ok(())
    })
    .await?;
    let missing = "SELECT s.call FROM settlements s WHERE s.receipt IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM receipts r WHERE r.id = s.receipt AND r.call = s.call)";
    each(client, missing, |row| {
        findings.push(Finding::ReceiptMissing(convert::id(row, 0)?));
        Ok(())
    })
    .await?;
    Ok(findings)
}

/// Verifies every envelope in its chain, and that the last of each chain is the one that the next would follow.
async fn receipts(client: &Client) -> Result<Vec<Finding>, ReadError> {
    let mut keys: Vec<PublicKey> = Vec::new();
    each(client, "SELECT key FROM gateways ORDER BY id", |row| {
        keys.push(rows::public_key(row, 0)?);
        Ok(())
    })
    .await?;
    let (envelopes, mut waiting) = mpsc::channel::<String>(ENVELOPES_MAX);
    let verifying = tokio::task::spawn_blocking(move || {
        verify_chain(std::iter::from_fn(move || waiting.blocking_recv()), &keys)
    });
    let query = "SELECT envelope FROM receipts ORDER BY position";
    {
        let mut rows = pin!(client.query_typed_raw::<&str, _>(query, []).await?);
        while let Some(row) = rows.try_next().await? {
            // It stops at the first that is wrong.
            if envelopes.send(plain(&row, 0)?).await.is_err() {
                break;
            }
        }
    }
    drop(envelopes);
    let segments = match verifying.await {
        Ok(Ok(segments)) => segments,
        Ok(Err(error)) => return Ok(vec![Finding::ReceiptChain(error.to_string())]),
        Err(error) => return Ok(vec![Finding::ReceiptChain(format!("the check was given up: {error}"))]),
    };
    let mut heads: Vec<(String, u64, Digest)> = Vec::new();
    let last = "SELECT DISTINCT ON (r.signer) g.key, r.seq, r.hash FROM receipts r JOIN gateways g ON g.id = r.signer \
         ORDER BY r.signer, r.position DESC";
    each(client, last, |row| {
        let key = rows::public_key(row, 0)?;
        heads.push((key.key_id().to_owned(), convert::count(row, 1)?, convert::digest(row, 2)?));
        Ok(())
    })
    .await?;
    let mut signed: Vec<_> =
        segments.into_iter().map(|Segment { key_id, last_seq, head }| (key_id, last_seq, head)).collect();
    heads.sort();
    signed.sort();
    let differ = (heads != signed)
        .then(|| Finding::ReceiptChain("the stored places are not those that were signed".to_owned()));
    Ok(differ.into_iter().collect())
}
