//! What servers have earned in a period, by provider, tool and asset. What a party paid to itself is no revenue, and stands apart.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tollgate_domain::{AssetId, Assets, Caller, Principal, ServerName, ToolRef, UnixMillis};
use tollgate_ledger::StoreError;
use tollgate_ledger::payout::{PayeeRow, PayoutStore, ProviderName};
use tollgate_store::{Earning, Store};

use crate::config::{Payouts, Provider};

/// A period: from the first moment on, and before the second one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) since: UnixMillis,
    pub(crate) until: UnixMillis,
}

/// What one tool has earned in one asset.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Earned {
    calls: u64,
    amount: u128,
    refunded: u128,
}

/// A line of the report.
type Line = (ToolRef, AssetId);

/// Earnings by provider; `None`: of servers that are nobody's.
#[derive(Debug, Default)]
pub(crate) struct Revenue {
    earned: BTreeMap<(Option<ProviderName>, Line), Earned>,
    own: BTreeMap<(Option<ProviderName>, Line), Earned>,
}

/// Who the parties behind a provider are.
#[derive(Debug, Default)]
pub(crate) struct Parties {
    by_server: BTreeMap<ServerName, ProviderName>,
    own: BTreeMap<ProviderName, BTreeSet<Principal>>,
}

impl Parties {
    /// The keys, wallets, listed destinations and organisations of each provider, as they are known now.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) async fn of(payouts: &Payouts, store: &Store) -> Result<Self, StoreError> {
        let keys = store.keys().await?;
        let mut parties = Self::default();
        for (name, provider) in &payouts.providers {
            let listed = store.payee(name).await?;
            let mut own = own(provider, listed.as_ref());
            let organisation = provider.organisation.as_deref();
            // Revoked keys too: what they paid was paid by the same party.
            let members = keys.iter().filter(|key| {
                organisation.is_some_and(|organisation| key.labels.get("org") == Some(organisation))
            });
            own.extend(members.map(|key| Caller::ApiKey(key.id).principal()));
            parties.by_server.extend(provider.servers.iter().map(|server| (server.clone(), name.clone())));
            parties.own.insert(name.clone(), own);
        }
        Ok(parties)
    }

    fn provider(&self, server: &ServerName) -> Option<&ProviderName> {
        self.by_server.get(server)
    }

    /// Whether whoever called or paid is the party that earns.
    fn is_own(&self, earning: &Earning) -> bool {
        let provider = self.provider(&earning.tool.server);
        let own = provider.and_then(|provider| self.own.get(provider));
        own.is_some_and(|own| own.contains(&earning.caller) || own.contains(&earning.payer))
    }
}

fn own(provider: &Provider, listed: Option<&PayeeRow>) -> BTreeSet<Principal> {
    let listed = listed.into_iter().flat_map(|payee| payee.destinations.iter());
    let listed = listed.map(|listed| &listed.destination);
    let wallets = provider.destinations.iter().chain(listed);
    wallets
        .filter_map(tollgate_ledger::payout::Destination::wallet)
        .chain(provider.wallets.iter().cloned())
        .chain(provider.keys.iter().map(|key| Caller::ApiKey(*key).principal()))
        .collect()
}

/// What was earned by calls that were claimed within a period.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) async fn revenue(store: &Store, parties: &Parties, span: Span) -> Result<Revenue, StoreError> {
    let mut revenue = Revenue::default();
    for earning in store.earnings(span.since, span.until).await? {
        revenue.add(&earning, parties);
    }
    Ok(revenue)
}

impl Revenue {
    fn add(&mut self, earning: &Earning, parties: &Parties) {
        let provider = parties.provider(&earning.tool.server).cloned();
        let key = (provider, (earning.tool.clone(), earning.asset.clone()));
        let lines = if parties.is_own(earning) { &mut self.own } else { &mut self.earned };
        let line = lines.entry(key).or_default();
        line.calls = line.calls.saturating_add(earning.calls);
        line.amount = line.amount.saturating_add(earning.gross.get());
        line.refunded = line.refunded.saturating_add(earning.refunded.get());
    }

    /// The report, of one provider or of all.
    pub(crate) fn to_json(&self, span: Span, only: Option<&ProviderName>, assets: &Assets) -> Value {
        let lines = |lines: &BTreeMap<(Option<ProviderName>, Line), Earned>| -> Vec<Value> {
            let wanted =
                lines.iter().filter(|((provider, _), _)| only.is_none() || provider.as_ref() == only);
            wanted.map(|((provider, line), earned)| shown(provider.as_ref(), line, *earned, assets)).collect()
        };
        json!({
            "since": span.since.to_string(),
            "until": span.until.to_string(),
            "revenue": lines(&self.earned),
            "self_payments": lines(&self.own),
        })
    }
}

fn shown(provider: Option<&ProviderName>, (tool, asset): &Line, earned: Earned, assets: &Assets) -> Value {
    let net = tollgate_domain::Amount::new(earned.amount.saturating_sub(earned.refunded));
    let known = assets.by_id(asset);
    json!({
        "provider": provider.map(ProviderName::as_str),
        "server": tool.server,
        "tool": tool.tool,
        "asset": asset,
        "symbol": known.map(|asset| asset.symbol()),
        "calls": earned.calls,
        "gross": earned.amount.to_string(),
        "refunded": earned.refunded.to_string(),
        "net": net,
        "display": known.map(|asset| asset.display(net)),
    })
}
