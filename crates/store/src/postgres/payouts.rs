//! Payouts and providers in the database: written with the batch that moves them, read beside it.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use tollgate_domain::{PayoutId, ToolRef, UnixMillis};
use tollgate_ledger::StoreError;
use tollgate_ledger::payout::{
    PayeeChange, PayeeRow, PayoutChanges, PayoutFilter, PayoutPage, PayoutRow, PayoutState, PayoutStore,
    ProviderName,
};

use super::PostgresStore;
use super::convert::{self, ReadError, malformed, plain};
use super::written::WriteError;
use crate::convert::{integer, millis};
use crate::earnings::Earning;
use crate::payouts::{cut, stored};

/// The columns of [`payout`], then more.
macro_rules! payouts {
    ($tail:literal) => {
        concat!("SELECT id, payee, state, version, standing, seq FROM payouts ", $tail)
    };
}

/// The payouts with these ids.
pub(super) const BY_IDS: &str = payouts!("WHERE id = ANY($1)");
/// Every payout, in the order in which they were asked for.
pub(super) const EVERY: &str = payouts!("ORDER BY seq");
/// What is remembered of these payees.
pub(super) const PAYEES: &str = "SELECT payee, version, standing FROM payees WHERE payee = ANY($1)";

pub(super) fn payout(row: &Row) -> Result<PayoutRow, ReadError> {
    let columns = stored::Columns {
        id: convert::id(row, 0)?,
        payee: plain(row, 1)?,
        state: plain(row, 2)?,
        version: convert::count(row, 3)?,
    };
    stored::payout(&columns, plain(row, 4)?).map_err(|error| malformed(4, error))
}

pub(super) fn payee(row: &Row) -> Result<PayeeRow, ReadError> {
    stored::payee(plain(row, 0)?, convert::count(row, 1)?, plain(row, 2)?)
        .map_err(|error| malformed(2, error))
}

/// Writes each payout and provider as it stands now, provided that it still stood where it was read. One may have moved more than
/// once in a batch, so they are written one after the other.
pub(super) async fn write(
    client: &Client,
    payouts: &[PayoutChanges],
    payees: &[PayeeChange],
) -> Result<(), WriteError> {
    for change in payouts {
        write_payout(client, change).await?;
    }
    for PayeeChange { before, row } in payees {
        let upsert = "INSERT INTO payees (payee, version, standing) VALUES ($1, $3, $4) \
             ON CONFLICT (payee) DO UPDATE SET version = excluded.version, standing = excluded.standing \
             WHERE payees.version = $2";
        let parameters: &[(&(dyn ToSql + Sync), Type)] = &[
            (&row.payee.as_str(), Type::TEXT),
            (&integer(*before), Type::INT8),
            (&integer(row.version), Type::INT8),
            (&stored::payee_text(row).map_err(unwritable)?, Type::TEXT),
        ];
        WriteError::unless("payees", 1, client.execute_typed(upsert, parameters).await)?;
    }
    Ok(())
}

async fn write_payout(client: &Client, changes: &PayoutChanges) -> Result<(), WriteError> {
    let PayoutChanges { before, row } = changes;
    let (id, version, payee) = (row.id.as_bytes().as_slice(), integer(row.version), row.source.payee());
    let standing = stored::payout_text(row).map_err(unwritable)?;
    let Some(before) = before else {
        let insert = "INSERT INTO payouts (id, payee, state, version, standing) VALUES ($1, $2, $3, $4, $5)";
        let parameters: &[(&(dyn ToSql + Sync), Type)] = &[
            (&id, Type::BYTEA),
            (&payee.as_str(), Type::TEXT),
            (&row.state.word(), Type::TEXT),
            (&version, Type::INT8),
            (&standing, Type::TEXT),
        ];
        return WriteError::unless("payouts", 1, client.execute_typed(insert, parameters).await);
    };
    let update = "UPDATE payouts SET state = $3, version = $4, standing = $5 WHERE id = $1 AND version = $2";
    let parameters: &[(&(dyn ToSql + Sync), Type)] = &[
        (&id, Type::BYTEA),
        (&integer(*before), Type::INT8),
        (&row.state.word(), Type::TEXT),
        (&version, Type::INT8),
        (&standing, Type::TEXT),
    ];
    WriteError::unless("payouts", 1, client.execute_typed(update, parameters).await)
}

fn unwritable(error: stored::Malformed) -> WriteError {
    WriteError::Malformed(error.to_string())
}

impl PostgresStore {
    /// See [`crate::Store::earnings`].
    pub(crate) async fn earnings(
        &self,
        since: UnixMillis,
        until: UnixMillis,
    ) -> Result<Vec<Earning>, StoreError> {
        // Of a call that is settled by an escrow what the escrow released; what the result left of the price never was in it.
        let query = "SELECT server, tool, asset, caller, payer, count(*), \
             least(sum(gross), 340282366920938463463374607431768211455)::text, \
             least(sum(back), 340282366920938463463374607431768211455)::text FROM ( \
               SELECT server, tool, asset, caller, payer, amount AS gross, refunded AS back FROM settlements \
               WHERE claimed >= $1 AND claimed < $2 AND state IN ('settled', 'delivered') AND settle <> 'escrow' \
               UNION ALL \
               SELECT s.server, s.tool, s.asset, s.caller, s.payer, (e.standing::json ->> 'released')::numeric, \
                      s.refunded - (s.amount - (e.terms::json ->> 'amount')::numeric) \
               FROM settlements s JOIN escrows e ON e.id = s.call \
               WHERE s.claimed >= $1 AND s.claimed < $2 AND s.state = 'delivered' AND s.settle = 'escrow') earned \
             WHERE gross > 0 GROUP BY server, tool, asset, caller, payer";
        let earning = |row: &Row| {
            Ok(Earning {
                tool: ToolRef { server: convert::text(row, 0)?, tool: convert::text(row, 1)? },
                asset: convert::text(row, 2)?,
                caller: convert::text(row, 3)?,
                payer: convert::text(row, 4)?,
                calls: convert::count(row, 5)?,
                gross: convert::text(row, 6)?,
                refunded: convert::text(row, 7)?,
            })
        };
        self.rows(query, &[(&millis(since), Type::INT8), (&millis(until), Type::INT8)], earning).await
    }
}

impl PayoutStore for PostgresStore {
    async fn payout(&self, id: &PayoutId) -> Result<Option<PayoutRow>, StoreError> {
        self.row(payouts!("WHERE id = $1"), &[(&id.as_bytes().as_slice(), Type::BYTEA)], payout).await
    }

    async fn payouts(&self, filter: PayoutFilter, limit: u32) -> Result<PayoutPage, StoreError> {
        let provider = filter.provider.as_ref().map(ProviderName::as_str);
        let state = filter.state.map(PayoutState::word);
        let (before, more) = (filter.before.map(integer), i64::from(limit).saturating_add(1));
        let query = payouts!(
            "WHERE ($1 IS NULL OR payee = $1) AND ($2 IS NULL OR state = $2) AND ($3 IS NULL OR seq < $3) \
             ORDER BY seq DESC LIMIT $4"
        );
        let parameters: &[(&(dyn ToSql + Sync), Type)] =
            &[(&provider, Type::TEXT), (&state, Type::TEXT), (&before, Type::INT8), (&more, Type::INT8)];
        let found = self.rows(query, parameters, |row| Ok((convert::count(row, 5)?, payout(row)?))).await?;
        Ok(cut(found, limit))
    }

    async fn open_payouts(&self, after: Option<PayoutId>, limit: u32) -> Result<Vec<PayoutRow>, StoreError> {
        let (after, limit) = (after.map(|id| id.as_bytes().to_vec()), i64::from(limit));
        let query = payouts!(
            "WHERE state IN ('held', 'submitted', 'unknown') \
             AND seq > coalesce((SELECT seq FROM payouts WHERE id = $1), 0) ORDER BY seq LIMIT $2"
        );
        self.rows(query, &[(&after, Type::BYTEA), (&limit, Type::INT8)], payout).await
    }

    async fn payee(&self, provider: &ProviderName) -> Result<Option<PayeeRow>, StoreError> {
        let query = "SELECT payee, version, standing FROM payees WHERE payee = $1";
        self.row(query, &[(&provider.as_str(), Type::TEXT)], payee).await
    }
}
