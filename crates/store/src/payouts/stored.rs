//! Payouts and providers as JSON columns. These forms are on disk: members are added, never renamed.

use serde::{Deserialize, Serialize};
use tollgate_domain::{Amount, AssetId, PayoutId, Principal, ServerName, UnixMillis};
use tollgate_ledger::payout::{
    Actor, Counted, Destination, ListedDestination, Payee, PayeeRow, PayoutRow, Source,
};

/// A stored text that is not of the form it was written in.
#[derive(Debug, thiserror::Error)]
#[error("a payout is not stored as it was written: {0}")]
pub(crate) struct Malformed(String);

fn malformed(what: impl ToString) -> Malformed {
    Malformed(what.to_string())
}

#[derive(Serialize, Deserialize)]
struct Place {
    rail: String,
    asset: AssetId,
    to: String,
}

impl Place {
    fn of(destination: &Destination) -> Self {
        let (rail, asset) = (destination.rail().word().to_owned(), destination.asset().clone());
        Self { rail, asset, to: destination.to().to_owned() }
    }

    fn read(self) -> Result<Destination, Malformed> {
        Destination::new(self.rail.parse().map_err(malformed)?, self.asset, &self.to).map_err(malformed)
    }
}

#[derive(Serialize, Deserialize)]
struct Payout {
    /// Whose earnings; or the next.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    server: Option<ServerName>,
    /// Whose credit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    credit: Option<Principal>,
    by: String,
    destination: Place,
    amount: Amount,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    invoice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    instruction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    evidence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    approved: Option<String>,
    created: UnixMillis,
    updated: UnixMillis,
}

/// The columns of a payout beside its text.
pub(crate) struct Columns<'a> {
    pub(crate) id: PayoutId,
    pub(crate) payee: &'a str,
    pub(crate) state: &'a str,
    pub(crate) version: u64,
}

/// A payout as text.
pub(crate) fn payout_text(row: &PayoutRow) -> Result<String, Malformed> {
    let (server, credit) = match &row.source {
        Source::Earned { server, .. } => (Some(server.clone()), None),
        Source::Credit { wallet, .. } => (None, Some(wallet.clone())),
    };
    let stored = Payout {
        server,
        credit,
        by: row.source.asked_by(),
        destination: Place::of(&row.destination),
        amount: row.amount,
        invoice: row.invoice.as_deref().map(str::to_owned),
        instruction: row.instruction.as_deref().map(str::to_owned),
        reference: row.reference.clone(),
        evidence: row.evidence.clone(),
        approved: row.approved.clone(),
        created: row.created,
        updated: row.updated,
    };
    serde_json::to_string(&stored).map_err(malformed)
}

/// A payout from its columns.
pub(crate) fn payout(columns: &Columns<'_>, text: &str) -> Result<PayoutRow, Malformed> {
    let stored: Payout = serde_json::from_str(text).map_err(malformed)?;
    let source = source(columns.payee, stored.server, stored.credit, &stored.by)?;
    Ok(PayoutRow {
        id: columns.id,
        source,
        destination: stored.destination.read()?,
        amount: stored.amount,
        invoice: stored.invoice.map(Into::into),
        state: columns.state.parse().map_err(malformed)?,
        instruction: stored.instruction.map(Into::into),
        reference: stored.reference,
        evidence: stored.evidence,
        approved: stored.approved,
        version: columns.version,
        created: stored.created,
        updated: stored.updated,
    })
}

/// Whose money a payout takes, from what is stored of that.
fn source(
    payee: &str,
    server: Option<ServerName>,
    credit: Option<Principal>,
    by: &str,
) -> Result<Source, Malformed> {
    match (payee.parse().map_err(malformed)?, server, credit) {
        (Payee::Provider(provider), Some(server), None) => {
            Ok(Source::Earned { provider, server, by: by.parse().map_err(malformed)? })
        }
        (Payee::Wallets, None, Some(wallet)) => match by.parse().map_err(malformed)? {
            Actor::Operator(by) => Ok(Source::Credit { wallet, by }),
            Actor::Provider { .. } | Actor::Gateway => Err(malformed("credit that no operator sent back")),
        },
        (payee, _, _) => Err(malformed(format!("{payee} with another source of money"))),
    }
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    destinations: Vec<Listed>,
    counted: Vec<Count>,
}

#[derive(Serialize, Deserialize)]
struct Listed {
    destination: Place,
    added: UnixMillis,
    by: String,
}

#[derive(Serialize, Deserialize)]
struct Count {
    payout: PayoutId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of_key: Option<PayoutId>,
    amount: Amount,
    asset: AssetId,
    at: UnixMillis,
}

/// What is remembered of a payee, as text.
pub(crate) fn payee_text(row: &PayeeRow) -> Result<String, Malformed> {
    let listed = |listed: &ListedDestination| Listed {
        destination: Place::of(&listed.destination),
        added: listed.added,
        by: listed.by.to_string(),
    };
    let counted = |counted: &Counted| Count {
        payout: counted.payout,
        of_key: counted.of_key,
        amount: counted.amount,
        asset: counted.asset.clone(),
        at: counted.at,
    };
    let stored = Remembered {
        destinations: row.destinations.iter().map(listed).collect(),
        counted: row.counted.iter().map(counted).collect(),
    };
    serde_json::to_string(&stored).map_err(malformed)
}

/// What is remembered of a payee, from its columns.
pub(crate) fn payee(payee: &str, version: u64, text: &str) -> Result<PayeeRow, Malformed> {
    let stored: Remembered = serde_json::from_str(text).map_err(malformed)?;
    let listed = |listed: Listed| {
        let Listed { destination, added, by } = listed;
        Ok(ListedDestination { destination: destination.read()?, added, by: by.parse().map_err(malformed)? })
    };
    let counted =
        |Count { payout, of_key, amount, asset, at }: Count| Counted { payout, of_key, amount, asset, at };
    Ok(PayeeRow {
        payee: payee.parse().map_err(malformed)?,
        destinations: stored.destinations.into_iter().map(listed).collect::<Result<_, Malformed>>()?,
        counted: stored.counted.into_iter().map(counted).collect(),
        version,
    })
}
