//! How often a caller has called, and what it has spent: counted from the attempts themselves.

use tokio_postgres::Row;
use tollgate_domain::{Principal, ToolRef, UnixMillis};
use tollgate_ledger::Spent;

use super::convert::{self, ReadError};

/// The attempts that count, of API keys alone: the condition of the index, word for word, so that the index is used.
macro_rules! counted {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            " FROM settlements WHERE starts_with(caller, 'key_') ",
            "AND state NOT IN ('voided', 'failed', 'in_doubt', 'refund_due', 'refunded') ",
            $tail
        )
    };
}

/// Calls of a tool since a moment, counted no further than `most`. Each parameter is the array of one column; the answers are
/// in that order.
pub(super) const CALLS: &str = concat!(
    "SELECT (",
    counted!(
        "SELECT count(*) FROM (SELECT 1",
        "AND caller = asked.caller AND server = asked.server AND tool = asked.tool AND claimed >= asked.since LIMIT asked.most) c"
    ),
    ") FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) ",
    "WITH ORDINALITY AS asked (caller, server, tool, since, most, place) ORDER BY asked.place"
);

/// What a caller has spent on calls that it made since each of two moments, in all, and what its open calls have reserved. What went back,
/// from the escrow of a call as well, was not spent.
pub(super) const SPENT: &str = concat!(
    "SELECT asset, least(first, most)::text, least(second, most)::text, least(ever, most)::text, ",
    "least(reserved, most)::text FROM (",
    "SELECT asset, 340282366920938463463374607431768211455 AS most, ",
    "coalesce(sum(kept) FILTER (WHERE is_over AND claimed >= $2), 0) AS first, ",
    "coalesce(sum(kept) FILTER (WHERE is_over AND claimed >= $3), 0) AS second, ",
    "coalesce(sum(kept) FILTER (WHERE is_over), 0) AS ever, ",
    "coalesce(sum(kept) FILTER (WHERE NOT is_over), 0) AS reserved FROM (",
    counted!(
        "SELECT asset, claimed, state IN ('settled', 'delivered') AS is_over, \
         amount - refunded - CASE settle WHEN 'escrow' THEN coalesce((SELECT (standing::json ->> 'refunded')::numeric \
         FROM escrows WHERE id = settlements.call), 0) ELSE 0 END AS kept",
        "AND caller = $1"
    ),
    ") c WHERE kept > 0 GROUP BY asset) s ORDER BY asset COLLATE \"C\""
);

/// What is asked about calls: of whom, of which tool, since when, and how far to count.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Calls {
    pub(super) caller: Principal,
    pub(super) tool: ToolRef,
    pub(super) since: UnixMillis,
    pub(super) most: u64,
}

/// A row of [`SPENT`].
pub(super) fn spent(row: &Row) -> Result<Spent, ReadError> {
    Ok(Spent {
        asset: convert::text(row, 0)?,
        since: [convert::text(row, 1)?, convert::text(row, 2)?],
        ever: convert::text(row, 3)?,
        reserved: convert::text(row, 4)?,
    })
}
