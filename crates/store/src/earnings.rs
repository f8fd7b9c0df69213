//! What settled calls have earned, summed up: for reports, not for calls.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use tollgate_domain::{Amount, AssetId, Principal, ToolRef, UnixMillis};
use tollgate_ledger::StoreError;

use crate::convert::{self, millis};
use crate::escrows::stored;
use crate::store::Store;

/// What one tool has earned in one asset from one caller and payer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Earning {
    /// The tool.
    pub tool: ToolRef,
    /// Of what.
    pub asset: AssetId,
    /// Who called.
    pub caller: Principal,
    /// Who paid.
    pub payer: Principal,
    /// How many calls that earned something.
    pub calls: u64,
    /// What they cost in all, or their escrows released. A total past what an amount holds stays there.
    pub gross: Amount,
    /// What is not kept of it: what the size of results left of their price, and what went back.
    pub refunded: Amount,
}

/// Server, tool, asset, caller and payer, as they are stored.
type Of = [String; 5];

#[derive(Default)]
struct Sum {
    calls: u64,
    gross: Amount,
    refunded: Amount,
}

impl Store {
    /// Of the calls that were claimed at `since` or later and before `until`.
    pub(crate) async fn earnings(
        &self,
        since: UnixMillis,
        until: UnixMillis,
    ) -> Result<Vec<Earning>, StoreError> {
        self.readers().read(move |connection| earnings(connection, since, until)).await
    }
}

/// A call that is settled by an escrow has earned what the escrow released so far.
fn earnings(connection: &Connection, since: UnixMillis, until: UnixMillis) -> rusqlite::Result<Vec<Earning>> {
    let mut query = connection.prepare(
        "SELECT server, tool, asset, caller, coalesce(settlements.payer, caller), amount, refunded, escrows.terms, escrows.standing \
         FROM settlements LEFT JOIN escrows ON settle = 'escrow' AND escrows.id = settlements.call \
         WHERE claimed >= ?1 AND claimed < ?2 AND settlements.state IN ('settled', 'delivered') AND amount <> '0' \
         AND (settle <> 'escrow' OR escrows.id IS NOT NULL)",
    )?;
    let mut sums: BTreeMap<Of, Sum> = BTreeMap::new();
    let mut rows = query.query(params![millis(since), millis(until)])?;
    while let Some(row) = rows.next()? {
        let of = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
        let (amount, back): (Amount, Amount) = (convert::text(row, 5)?, convert::text(row, 6)?);
        let (amount, back) = match (row.get_ref(7)?.as_str_or_null()?, row.get_ref(8)?.as_str_or_null()?) {
            (Some(terms), Some(standing)) => {
                let of_escrow = stored::released(terms, standing);
                let (agreed, released) =
                    of_escrow.map_err(|error| convert::malformed(8, rusqlite::types::Type::Text, error))?;
                // What the result left of the price never was in the escrow.
                let rest = amount.checked_sub(agreed).unwrap_or_default();
                (released, back.checked_sub(rest).unwrap_or_default())
            }
            _ => (amount, back),
        };
        if amount.is_zero() {
            continue;
        }
        let sum = sums.entry(of).or_default();
        sum.calls = sum.calls.saturating_add(1);
        sum.gross = saturating(sum.gross, amount);
        sum.refunded = saturating(sum.refunded, back);
    }
    let sums = sums.into_iter().map(|([server, tool, asset, caller, payer], sum)| {
        let Sum { calls, gross, refunded } = sum;
        let tool = ToolRef { server: parsed(0, &server)?, tool: parsed(1, &tool)? };
        let (asset, caller, payer) = (parsed(2, &asset)?, parsed(3, &caller)?, parsed(4, &payer)?);
        Ok(Earning { tool, asset, caller, payer, calls, gross, refunded })
    });
    sums.collect()
}

fn saturating(one: Amount, other: Amount) -> Amount {
    one.checked_add(other).unwrap_or(Amount::new(u128::MAX))
}

fn parsed<T>(column: usize, text: &str) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse().map_err(|error| convert::malformed(column, rusqlite::types::Type::Text, error))
}
