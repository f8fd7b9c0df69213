//! Budgets in the database: counters, approvals, stops. Read by the writer behind its lock, and beside it to foresee.

mod asked;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, Statement};
use tollgate_domain::{ApprovalId, Principal, ToolRef, UnixMillis};
use tollgate_ledger::budget::{
    Approval, BudgetChanges, Counter, NodeKey, Stop, Stops, Target, Usage, Wanted,
};

pub(super) use self::asked::{Asked, Known, Missing};
use super::convert::{self, ReadError, plain};
use super::written::WriteError;
use crate::budgets::KEPT_MS;
use crate::convert::millis;

macro_rules! approvals {
    ($tail:literal) => {
        concat!(
            "SELECT a.id, a.caller, a.server, a.tool, a.args, a.asset, a.amount::text, a.state, a.asked, a.expires, a.decided, ",
            "a.decided_by, a.call FROM ",
            $tail
        )
    };
}

/// The columns of [`usage`], then more.
macro_rules! usages {
    ($tail:literal) => {
        concat!("SELECT node, asset, span, start, last, used::text FROM budget_usage ", $tail)
    };
}

/// Everything that may not spend.
pub(super) const STOPS: &str = "SELECT target, reason, stopped_by, at FROM budget_stops";
const USAGES: &str =
    usages!("WHERE (node, asset, span) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))");
/// Every counter.
pub(super) const EVERY_USAGE: &str = usages!("");
/// The latest that was asked for exactly this and is not used.
const APPROVALS_OF: &str = approvals!(
    "unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[]) \
     w(caller, server, tool, args, asset, amount) CROSS JOIN LATERAL (SELECT * FROM approvals o WHERE o.caller = w.caller \
     AND o.state <> 'used' AND o.server = w.server AND o.tool = w.tool AND o.args = w.args AND o.asset = w.asset \
     AND o.amount = w.amount::numeric ORDER BY o.asked DESC, o.id DESC LIMIT 1) a"
);
/// Those with these ids.
pub(super) const APPROVALS: &str = approvals!("approvals a WHERE a.id = ANY($1)");
/// The latest, newest first.
pub(super) const LATEST: &str = approvals!("approvals a ORDER BY a.asked DESC, a.id DESC LIMIT $1");
/// How many calls of a caller wait at a moment.
const WAITING: &str = "SELECT w.caller, w.now, (SELECT count(*) FROM approvals a WHERE a.caller = w.caller AND a.state <> 'used' \
    AND a.state = 'waiting' AND a.expires > w.now) FROM unnest($1::text[], $2::bigint[]) w(caller, now)";

/// What counters say from now on.
pub(super) const UPSERT_USAGES: &str = "INSERT INTO budget_usage (node, asset, span, start, last, used) \
    SELECT v.node, v.asset, v.span, v.start, v.last, v.used::numeric \
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[]) \
    v(node, asset, span, start, last, used) ORDER BY v.node, v.asset, v.span ON CONFLICT (node, asset, span) DO UPDATE \
    SET start = excluded.start, last = excluded.last, used = excluded.used";

/// The prepared statements of the writer's connection.
pub(super) struct Queries {
    stops: Statement,
    usages: Statement,
    approvals_of: Statement,
    approvals: Statement,
    waiting: Statement,
}

impl Queries {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        let (stops, usages, approvals_of, approvals, waiting) = tokio::try_join!(
            client.prepare(STOPS),
            client.prepare(USAGES),
            client.prepare(APPROVALS_OF),
            client.prepare(APPROVALS),
            client.prepare(WAITING),
        )?;
        Ok(Self { stops, usages, approvals_of, approvals, waiting })
    }
}

/// Parameters with their types, for a statement that may not be prepared.
type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// Reads everything that is asked for in one round trip; through prepared statements where there are any.
pub(super) async fn load(
    client: &Client,
    prepared: Option<&Queries>,
    asked: &Asked,
) -> Result<Known, ReadError> {
    let source = Source { client, prepared };
    let (stops, usages, approvals_of, approvals, waiting) = tokio::join!(
        biased;
        source.stops(asked.stops),
        source.usages(&asked.usages),
        source.approvals_of(&asked.approvals_of),
        source.approvals(&asked.approvals),
        source.waiting(&asked.waiting),
    );
    Ok(Known {
        stops: stops?,
        usages: usages?,
        approvals_of: approvals_of?,
        approvals: approvals?,
        waiting: waiting?,
    })
}

/// One connection. Asks nothing where nothing is asked for.
struct Source<'a> {
    client: &'a Client,
    prepared: Option<&'a Queries>,
}

impl Source<'_> {
    async fn rows(
        &self,
        prepared: fn(&Queries) -> &Statement,
        text: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Error> {
        match self.prepared {
            Some(queries) => {
                let values: Vec<_> = parameters.iter().map(|(value, _)| *value).collect();
                self.client.query(prepared(queries), &values).await
            }
            None => self.client.query_typed(text, parameters).await,
        }
    }

    async fn stops(&self, is_asked: bool) -> Result<Option<Arc<Stops>>, ReadError> {
        if !is_asked {
            return Ok(None);
        }
        let rows = self.rows(|queries| &queries.stops, STOPS, &[]).await?;
        let stops = rows.iter().map(stop).collect::<Result<_, _>>()?;
        Ok(Some(Arc::new(Stops(stops))))
    }

    async fn usages(&self, asked: &HashSet<Counter>) -> Result<HashMap<Counter, Option<Usage>>, ReadError> {
        let mut known: HashMap<_, _> = asked.iter().map(|counter| (counter.clone(), None)).collect();
        if asked.is_empty() {
            return Ok(known);
        }
        let nodes: Vec<&str> = asked.iter().map(|counter| counter.node.as_str()).collect();
        let assets: Vec<&str> = asked.iter().map(|counter| counter.asset.as_str()).collect();
        let spans: Vec<&str> = asked.iter().map(|counter| counter.span.word()).collect();
        let parameters: Parameters<'_> =
            &[(&nodes, Type::TEXT_ARRAY), (&assets, Type::TEXT_ARRAY), (&spans, Type::TEXT_ARRAY)];
        for row in self.rows(|queries| &queries.usages, USAGES, parameters).await? {
            let (counter, says) = usage(&row)?;
            known.insert(counter, Some(says));
        }
        Ok(known)
    }

    async fn approvals_of(
        &self,
        asked: &HashSet<Wanted>,
    ) -> Result<HashMap<Wanted, Option<Approval>>, ReadError> {
        let mut known: HashMap<_, _> = asked.iter().map(|wanted| (wanted.clone(), None)).collect();
        if asked.is_empty() {
            return Ok(known);
        }
        let callers: Vec<&str> = asked.iter().map(|wanted| wanted.caller.as_str()).collect();
        let servers: Vec<&str> = asked.iter().map(|wanted| wanted.tool.server.as_str()).collect();
        let tools: Vec<&str> = asked.iter().map(|wanted| wanted.tool.tool.as_str()).collect();
        let args: Vec<&[u8]> = asked.iter().map(|wanted| wanted.args.as_bytes().as_slice()).collect();
        let assets: Vec<&str> = asked.iter().map(|wanted| wanted.asset.as_str()).collect();
        let amounts: Vec<String> = asked.iter().map(|wanted| wanted.amount.to_string()).collect();
        let parameters: Parameters<'_> = &[
            (&callers, Type::TEXT_ARRAY),
            (&servers, Type::TEXT_ARRAY),
            (&tools, Type::TEXT_ARRAY),
            (&args, Type::BYTEA_ARRAY),
            (&assets, Type::TEXT_ARRAY),
            (&amounts, Type::TEXT_ARRAY),
        ];
        for row in self.rows(|queries| &queries.approvals_of, APPROVALS_OF, parameters).await? {
            let found = approval(&row)?;
            known.insert(found.wanted.clone(), Some(found));
        }
        Ok(known)
    }

    async fn approvals(
        &self,
        asked: &HashSet<ApprovalId>,
    ) -> Result<HashMap<ApprovalId, Option<Approval>>, ReadError> {
        let mut known: HashMap<_, _> = asked.iter().map(|id| (*id, None)).collect();
        if asked.is_empty() {
            return Ok(known);
        }
        let ids: Vec<&[u8]> = asked.iter().map(|id| id.as_bytes().as_slice()).collect();
        let parameters: Parameters<'_> = &[(&ids, Type::BYTEA_ARRAY)];
        for row in self.rows(|queries| &queries.approvals, APPROVALS, parameters).await? {
            let found = approval(&row)?;
            known.insert(found.id, Some(found));
        }
        Ok(known)
    }

    async fn waiting(
        &self,
        asked: &HashSet<(Principal, UnixMillis)>,
    ) -> Result<HashMap<(Principal, UnixMillis), u32>, ReadError> {
        if asked.is_empty() {
            return Ok(HashMap::new());
        }
        let callers: Vec<&str> = asked.iter().map(|(caller, _)| caller.as_str()).collect();
        let moments: Vec<i64> = asked.iter().map(|(_, now)| millis(*now)).collect();
        let parameters: Parameters<'_> = &[(&callers, Type::TEXT_ARRAY), (&moments, Type::INT8_ARRAY)];
        let rows = self.rows(|queries| &queries.waiting, WAITING, parameters).await?;
        let count = |row: &Row| {
            Ok(((convert::text(row, 0)?, convert::moment(row, 1)?), convert::small_count(row, 2)?))
        };
        rows.iter().map(count).collect()
    }
}

/// A counter and what it says.
pub(super) fn usage(row: &Row) -> Result<(Counter, Usage), ReadError> {
    let counter = Counter {
        node: NodeKey::stored(plain(row, 0)?),
        asset: convert::text(row, 1)?,
        span: convert::text(row, 2)?,
    };
    let (start, last) = (convert::moment(row, 3)?, convert::moment(row, 4)?);
    Ok((counter, Usage { start, last, used: convert::text(row, 5)? }))
}

pub(super) fn approval(row: &Row) -> Result<Approval, ReadError> {
    Ok(Approval {
        id: convert::id(row, 0)?,
        wanted: Wanted {
            caller: convert::text(row, 1)?,
            tool: ToolRef { server: convert::text(row, 2)?, tool: convert::text(row, 3)? },
            args: convert::digest(row, 4)?,
            asset: convert::text(row, 5)?,
            amount: convert::text(row, 6)?,
        },
        state: convert::text(row, 7)?,
        asked: convert::moment(row, 8)?,
        expires: convert::moment(row, 9)?,
        decided: convert::optional_moment(row, 10)?,
        by: plain(row, 11)?,
        call: convert::optional_id(row, 12)?,
    })
}

/// What is stopped, and why.
pub(super) fn stop(row: &Row) -> Result<(Target, Stop), ReadError> {
    let stop = Stop { reason: plain(row, 1)?, by: plain(row, 2)?, at: convert::moment(row, 3)? };
    Ok((convert::text(row, 0)?, stop))
}

/// What these counters say, in their order.
pub(super) async fn usages(client: &Client, counters: &[Counter]) -> Result<Vec<Option<Usage>>, ReadError> {
    let asked = Asked { usages: counters.iter().cloned().collect(), ..Asked::default() };
    let known = load(client, None, &asked).await?;
    Ok(counters.iter().map(|counter| known.usages.get(counter).copied().flatten()).collect())
}

/// Writes what a batch changes: counters in one statement, what operators change one by one.
pub(super) async fn write(
    client: &Client,
    upsert: &Statement,
    changes: &BudgetChanges,
) -> Result<(), WriteError> {
    let BudgetChanges { usages, approvals, stops } = changes;
    if !usages.is_empty() {
        let nodes: Vec<&str> = usages.iter().map(|(counter, _)| counter.node.as_str()).collect();
        let assets: Vec<&str> = usages.iter().map(|(counter, _)| counter.asset.as_str()).collect();
        let spans: Vec<&str> = usages.iter().map(|(counter, _)| counter.span.word()).collect();
        let starts: Vec<i64> = usages.iter().map(|(_, usage)| millis(usage.start)).collect();
        let lasts: Vec<i64> = usages.iter().map(|(_, usage)| millis(usage.last)).collect();
        let used: Vec<String> = usages.iter().map(|(_, usage)| usage.used.to_string()).collect();
        let written = client.execute(upsert, &[&nodes, &assets, &spans, &starts, &lasts, &used]).await;
        WriteError::unless("budget_usage", usages.len(), written)?;
    }
    for approval in approvals {
        write_approval(client, approval).await?;
    }
    // One may have been ended and begun anew in this batch, or begun and ended, so that there is nothing to delete.
    for (target, stop) in stops {
        let target = target.to_string();
        match stop {
            Some(Stop { reason, by, at }) => {
                let upsert = "INSERT INTO budget_stops (target, reason, stopped_by, at) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (target) DO UPDATE SET reason = excluded.reason, stopped_by = excluded.stopped_by, \
                     at = excluded.at";
                let parameters: Parameters<'_> = &[
                    (&target, Type::TEXT),
                    (reason, Type::TEXT),
                    (by, Type::TEXT),
                    (&millis(*at), Type::INT8),
                ];
                WriteError::unless("budget_stops", 1, client.execute_typed(upsert, parameters).await)?;
            }
            None => {
                let delete = "DELETE FROM budget_stops WHERE target = $1";
                client.execute_typed(delete, &[(&target, Type::TEXT)]).await.map_err(WriteError::Database)?;
            }
        }
    }
    Ok(())
}

async fn write_approval(client: &Client, approval: &Approval) -> Result<(), WriteError> {
    let upsert = "INSERT INTO approvals (id, caller, server, tool, args, asset, amount, state, asked, expires, decided, \
         decided_by, call) VALUES ($1, $2, $3, $4, $5, $6, $7::text::numeric, $8, $9, $10, $11, $12, $13) \
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, expires = excluded.expires, decided = excluded.decided, \
         decided_by = excluded.decided_by, call = excluded.call";
    let wanted = &approval.wanted;
    let call = approval.call.as_ref().map(|call| call.as_bytes().as_slice());
    let parameters: Parameters<'_> = &[
        (&approval.id.as_bytes().as_slice(), Type::BYTEA),
        (&wanted.caller.as_str(), Type::TEXT),
        (&wanted.tool.server.as_str(), Type::TEXT),
        (&wanted.tool.tool.as_str(), Type::TEXT),
        (&wanted.args.as_bytes().as_slice(), Type::BYTEA),
        (&wanted.asset.as_str(), Type::TEXT),
        (&wanted.amount.to_string(), Type::TEXT),
        (&approval.state.word(), Type::TEXT),
        (&millis(approval.asked), Type::INT8),
        (&millis(approval.expires), Type::INT8),
        (&approval.decided.map(millis), Type::INT8),
        (&approval.by, Type::TEXT),
        (&call, Type::BYTEA),
    ];
    WriteError::unless("approvals", 1, client.execute_typed(upsert, parameters).await)
}

/// Forgets what says nothing any more. Whatever a batch has moved meanwhile is looked at again, and stays.
pub(super) async fn forget(client: &Client, now: UnixMillis) -> Result<(), ReadError> {
    let before = millis(now.minus_millis(KEPT_MS));
    let before: Parameters<'_> = &[(&before, Type::INT8)];
    client.execute_typed("DELETE FROM budget_usage WHERE last < $1", before).await?;
    client.execute_typed("DELETE FROM approvals WHERE state <> 'used' AND expires < $1", before).await?;
    Ok(())
}
