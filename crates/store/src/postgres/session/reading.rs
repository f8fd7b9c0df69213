//! What a batch reads before it is decided: as few round trips as there are rounds of questions.

use std::sync::Arc;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Statement};
use tollgate_domain::{AssetId, Principal};
use tollgate_ledger::AccountName;

use super::super::accounts::{self, Known};
use super::super::books::{Loaded, Wanted};
use super::super::calls::{self, Calls};
use super::super::convert::{self, ReadError};
use super::super::rows::{self, settlements, transfers};
use super::super::{budgets, escrows, payouts};
use super::Session;
use crate::convert::{integer, millis};

impl Session {
    /// Keeps what was read, and that what was wanted and has no row is known to have none.
    pub(super) fn put(&mut self, read: Vec<Found>, loaded: &mut Loaded, wanted: &Wanted) {
        for found in read {
            match found {
                Found::Account(name, asset, known) => self.accounts.put(&name, &asset, known),
                found => found.put(loaded),
            }
        }
        for (name, asset) in &wanted.accounts {
            if self.accounts.get(name, asset).is_none() {
                self.accounts.put(name, asset, Known::default());
            }
        }
        loaded.nothing_for(wanted);
    }

    /// Reads what is wanted, in one round trip.
    pub(super) async fn load(&self, wanted: &Wanted) -> Result<Vec<Found>, ReadError> {
        let Wanted {
            settlements,
            accounts,
            transfers,
            resolutions,
            standings,
            escrows,
            payouts,
            payees,
            budgets,
            calls,
        } = wanted;
        let keys: Vec<String> = settlements.iter().map(ToString::to_string).collect();
        let accounts_wanted: Vec<&(AccountName, AssetId)> = accounts.iter().collect();
        let assets: Vec<&str> = accounts_wanted.iter().map(|(_, asset)| asset.as_str()).collect();
        let names: Vec<String> = accounts_wanted.iter().map(|(name, _)| name.to_string()).collect();
        let transfers: Vec<&[u8]> = transfers.iter().map(|id| id.as_bytes().as_slice()).collect();
        let resolved: Vec<&[u8]> = resolutions.iter().map(|id| id.as_bytes().as_slice()).collect();
        let principals: Vec<&str> = standings.iter().map(Principal::as_str).collect();
        let escrows: Vec<&[u8]> = escrows.iter().map(|id| id.as_bytes().as_slice()).collect();
        let payouts: Vec<&[u8]> = payouts.iter().map(|id| id.as_bytes().as_slice()).collect();
        let payees: Vec<&str> = payees.iter().map(tollgate_ledger::payout::Payee::as_str).collect();
        let calls: Vec<&Calls> = calls.iter().collect();
        let (settlements, accounts, transfers, resolutions, standings, escrows, budgets, counts) = tokio::join!(
            biased;
            async { self.query(keys.len(), &self.read.settlements, &[&keys]).await },
            async { self.query(names.len(), &self.read.accounts, &[&assets, &names]).await },
            async { self.query(transfers.len(), &self.read.transfers, &[&transfers]).await },
            async { self.query(resolved.len(), &self.read.resolutions, &[&resolved]).await },
            async { self.query(principals.len(), &self.read.standings, &[&principals]).await },
            async { self.query(escrows.len(), &self.read.escrows, &[&escrows]).await },
            // Boxed: five queries that are most often not asked.
            Box::pin(budgets::load(&self.client, Some(&self.read.budgets), budgets)),
            self.count(&calls),
        );
        let mut found = vec![Found::Budgets(Box::new(budgets?))];
        // Rare, so not worth a place beside what every batch asks.
        for row in self.query_text(payouts.len(), payouts::BY_IDS, &[(&payouts, Type::BYTEA_ARRAY)]).await? {
            found.push(Found::Payout(payouts::payout(&row)?));
        }
        for row in self.query_text(payees.len(), payouts::PAYEES, &[(&payees, Type::TEXT_ARRAY)]).await? {
            found.push(Found::Payee(payouts::payee(&row)?));
        }
        for row in settlements? {
            found.push(Found::Settlement(rows::settlement(&row)?));
        }
        for row in accounts? {
            let (place, known) = accounts::known(&row)?;
            if let Some((name, asset)) = accounts_wanted.get(place) {
                found.push(Found::Account(name.clone(), asset.clone(), known));
            }
        }
        for row in transfers? {
            found.push(Found::Transfer(rows::transfer(&row)?));
        }
        for row in resolutions? {
            found.push(Found::Resolution(rows::transfer(&row)?));
        }
        for row in standings? {
            let principal: Principal = convert::text(&row, 0)?;
            found.push(Found::Standing(principal, rows::record(&row, 1)?));
        }
        for row in escrows? {
            found.push(Found::Escrow(escrows::escrow(&row)?));
        }
        for (asked, row) in calls.into_iter().zip(counts?) {
            found.push(Found::Calls(asked.clone(), convert::count(&row, 0)?));
        }
        Ok(found)
    }

    async fn count(&self, calls: &[&Calls]) -> Result<Vec<tokio_postgres::Row>, Error> {
        let callers: Vec<&str> = calls.iter().map(|asked| asked.caller.as_str()).collect();
        let servers: Vec<&str> = calls.iter().map(|asked| asked.tool.server.as_str()).collect();
        let tools: Vec<&str> = calls.iter().map(|asked| asked.tool.tool.as_str()).collect();
        let since: Vec<i64> = calls.iter().map(|asked| millis(asked.since)).collect();
        let most: Vec<i64> = calls.iter().map(|asked| integer(asked.most)).collect();
        self.query(calls.len(), &self.read.calls, &[&callers, &servers, &tools, &since, &most]).await
    }

    /// The same, with a statement that is not prepared.
    async fn query_text(
        &self,
        wanted: usize,
        statement: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<tokio_postgres::Row>, Error> {
        if wanted == 0 { Ok(Vec::new()) } else { self.client.query_typed(statement, parameters).await }
    }

    /// Asks nothing where nothing is wanted.
    async fn query(
        &self,
        wanted: usize,
        statement: &Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, Error> {
        if wanted == 0 { Ok(Vec::new()) } else { self.client.query(statement, parameters).await }
    }
}

/// A row that was read.
pub(super) enum Found {
    Settlement(tollgate_ledger::SettlementRow),
    Account(AccountName, AssetId, Known),
    Transfer(tollgate_ledger::Transfer),
    Resolution(tollgate_ledger::Transfer),
    Standing(Principal, tollgate_ledger::Record),
    Escrow(tollgate_ledger::escrow::EscrowRow),
    Payout(tollgate_ledger::payout::PayoutRow),
    Payee(tollgate_ledger::payout::PayeeRow),
    /// Everything that was asked for.
    Budgets(Box<budgets::Known>),
    Calls(Calls, u64),
}

impl Found {
    fn put(self, loaded: &mut Loaded) {
        match self {
            Self::Settlement(row) => {
                loaded.settlements.insert(row.key.clone(), Some(Arc::new(row)));
            }
            // Kept apart, because they outlive the batch.
            Self::Account(..) => {}
            Self::Transfer(transfer) => {
                loaded.transfers.insert(transfer.id, Some(transfer));
            }
            Self::Resolution(transfer) => {
                let of = transfer.kind.resolves().unwrap_or(transfer.id);
                loaded.resolutions.insert(of, Some(transfer));
            }
            Self::Standing(principal, record) => {
                loaded.standings.insert(principal, record);
            }
            Self::Escrow(row) => {
                loaded.escrows.insert(row.id, Some(Arc::new(row)));
            }
            Self::Payout(row) => {
                loaded.payouts.insert(row.id, Some(Arc::new(row)));
            }
            Self::Payee(row) => {
                loaded.payees.insert(row.payee.clone(), Some(Arc::new(row)));
            }
            Self::Budgets(known) => loaded.budgets.add(*known),
            Self::Calls(asked, count) => {
                loaded.calls.insert(asked, count);
            }
        }
    }
}

impl Loaded {
    /// What was wanted and has no row is known to have none.
    fn nothing_for(&mut self, wanted: &Wanted) {
        for key in &wanted.settlements {
            self.settlements.entry(key.clone()).or_default();
        }
        for id in &wanted.transfers {
            self.transfers.entry(*id).or_default();
        }
        for id in &wanted.resolutions {
            self.resolutions.entry(*id).or_default();
        }
        for principal in &wanted.standings {
            self.standings.entry(principal.clone()).or_default();
        }
        for id in &wanted.escrows {
            self.escrows.entry(*id).or_default();
        }
        for id in &wanted.payouts {
            self.payouts.entry(*id).or_default();
        }
        for payee in &wanted.payees {
            self.payees.entry(payee.clone()).or_default();
        }
    }
}

/// The prepared statements that come before a decision.
pub(super) struct Queries {
    pub(super) hold: Statement,
    pub(super) fence: Statement,
    settlements: Statement,
    accounts: Statement,
    transfers: Statement,
    resolutions: Statement,
    standings: Statement,
    escrows: Statement,
    budgets: budgets::Queries,
    calls: Statement,
}

impl Queries {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        let (hold, fence, settlements, accounts, transfers, resolutions, standings, escrows, budgets, calls) =
            tokio::try_join!(
                client.prepare("UPDATE shards SET seq = seq + 1 WHERE id = 1 RETURNING seq, xmin"),
                client.prepare("UPDATE gateways SET batch = $3 WHERE id = $1 AND epoch = $2"),
                client.prepare(settlements!(
                    "DISTINCT ON (key)",
                    "WHERE key = ANY($1) ORDER BY key, attempt DESC"
                )),
                client.prepare(accounts::ACCOUNTS),
                client.prepare(transfers!("WHERE t.id = ANY($1) AND (t.call IS NULL OR t.kind = 'posted')")),
                client.prepare(transfers!("WHERE t.resolves = ANY($1) AND t.call IS NULL")),
                client.prepare(
                    "SELECT principal, reputation, settled, failed FROM standings WHERE principal = ANY($1)"
                ),
                client.prepare(escrows::BY_IDS),
                budgets::Queries::prepare(client),
                client.prepare(calls::CALLS),
            )?;
        Ok(Self {
            hold,
            fence,
            settlements,
            accounts,
            transfers,
            resolutions,
            standings,
            escrows,
            budgets,
            calls,
        })
    }
}
