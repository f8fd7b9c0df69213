//! How often a caller has called, and what it has spent: counted from the attempts themselves.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use tollgate_domain::{Amount, AssetId, Principal, ToolRef, UnixMillis};
use tollgate_ledger::{Spent, State};

use crate::convert::{self, integer, millis};
use crate::escrows::stored;

/// The condition of the index, word for word, so that the index is used.
macro_rules! counted {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            " FROM settlements WHERE caller >= 'key_' AND caller < 'key`' ",
            "AND state <> 'voided' AND state <> 'failed' AND state <> 'in_doubt' ",
            "AND state <> 'refund_due' AND state <> 'refunded' AND caller = ?1 ",
            $tail
        )
    };
}

/// How many calls of a tool an API key has claimed since a moment that did not come to nothing, counted no further than `most`.
/// Zero for any other caller.
pub(crate) fn calls(
    connection: &Connection,
    caller: &Principal,
    tool: &ToolRef,
    since: UnixMillis,
    most: u64,
) -> rusqlite::Result<u64> {
    let mut query = connection.prepare_cached(counted!(
        "SELECT count(*) FROM (SELECT 1",
        "AND server = ?2 AND tool = ?3 AND claimed >= ?4 LIMIT ?5)"
    ))?;
    let (server, tool) = (tool.server.as_str(), tool.tool.as_str());
    query.query_row(params![caller.as_str(), server, tool, millis(since), integer(most)], |row| {
        convert::count(row, 0)
    })
}

/// What the settled calls of an API key have cost, of those that it made since each of these moments and of all, and what its open ones
/// have reserved. What goes back later, from the escrow of a call as well, was not spent, and makes no call younger.
pub(crate) fn spent(
    connection: &Connection,
    caller: &Principal,
    since: [UnixMillis; 2],
) -> rusqlite::Result<Vec<Spent>> {
    let mut query = connection.prepare_cached(counted!(
        "SELECT asset, amount, refunded, state, claimed, \
         CASE settle WHEN 'escrow' THEN (SELECT standing FROM escrows WHERE id = settlements.call) END",
        ""
    ))?;
    let mut rows = query.query(params![caller.as_str()])?;
    let mut assets: BTreeMap<AssetId, Spent> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let asset: AssetId = convert::text(row, 0)?;
        let amount: Amount = convert::text(row, 1)?;
        let amount = amount.checked_sub(convert::text(row, 2)?).unwrap_or_default();
        let back = match row.get_ref(5)?.as_str_or_null()? {
            Some(standing) => {
                let back = stored::given_back(standing);
                back.map_err(|error| convert::malformed(5, rusqlite::types::Type::Text, error))?
            }
            None => Amount::ZERO,
        };
        let amount = amount.checked_sub(back).unwrap_or_default();
        let (state, claimed) = (convert::text::<State>(row, 3)?, convert::moment(row, 4)?);
        if amount.is_zero() {
            continue;
        }
        let spent = assets.entry(asset.clone()).or_insert(Spent {
            asset,
            since: [Amount::ZERO; 2],
            ever: Amount::ZERO,
            reserved: Amount::ZERO,
        });
        let add = |total: &mut Amount| *total = total.checked_add(amount).unwrap_or(Amount::new(u128::MAX));
        if matches!(state, State::Settled | State::Delivered) {
            add(&mut spent.ever);
            for (total, since) in spent.since.iter_mut().zip(since) {
                if claimed >= since {
                    add(total);
                }
            }
        } else {
            add(&mut spent.reserved);
        }
    }
    Ok(assets.into_values().collect())
}
