//! Accounts as the writer last saw them, and how they are written: what every call touches is neither read again nor looked up by its
//! name while no other gateway has written.
//!
//! Two things say so. Every batch of every gateway takes the next number of the shard: one that follows our last was preceded by
//! nobody. And a row is written only over the version that was read, so that even a change by hand, which takes no number, is not
//! written over.

use std::collections::HashMap;

use tokio_postgres::{Client, Error, Row, Statement};
use tollgate_domain::AssetId;
use tollgate_ledger::{AccountName, Balances};

use super::convert::{self, ReadError, plain};
use super::exact::{Exact, Xid};
use super::written::WriteError;

/// How many accounts are remembered; beyond that the memory starts anew. Some 200 bytes each.
const ACCOUNTS_MAX: usize = 32_768;

/// An account in one asset, with how it stands.
pub(super) type Balanced = (AccountName, AssetId, Balances);

/// A row of the table.
#[derive(Clone, Copy, Debug)]
struct Place {
    id: i64,
    /// The transaction that wrote it last.
    version: Xid,
}

/// What is known of an account; without a place there is no row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    place: Option<Place>,
    pub(super) balances: Balances,
}

/// The number that a batch takes in the sequence of all gateways, and the transaction that it is written by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    seq: i64,
    xid: Xid,
}

impl Turn {
    /// From the columns `seq, xmin` of the shard's row, as this transaction has just written it.
    pub(super) fn of(row: &Row) -> Result<Self, ReadError> {
        Ok(Self { seq: plain(row, 0)?, xid: plain(row, 1)? })
    }
}

/// The writer's memory of accounts, all as of the end of one batch.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    known: HashMap<AccountName, Vec<(AssetId, Known)>>,
    count: usize,
    /// The number of that batch; `None` before the first.
    as_of: Option<i64>,
    /// Whether other gateways write in turns with this one: then it is cheaper to read at once than to find out first.
    is_shared: bool,
}

impl Accounts {
    /// A batch is about to ask for the shard: forgets what it will most likely have to read anyway.
    pub(super) fn make_ready(&mut self) {
        if self.is_shared || self.count > ACCOUNTS_MAX {
            self.forget();
        }
    }

    /// The batch holds the shard. True where something that was remembered is outdated, and forgotten by now.
    pub(super) fn begin(&mut self, turn: Turn) -> bool {
        let before = turn.seq.saturating_sub(1);
        self.is_shared = self.as_of.replace(before).is_some_and(|as_of| as_of != before);
        let is_outdated = self.is_shared && self.count > 0;
        if is_outdated {
            self.forget();
        }
        is_outdated
    }

    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.count = 0;
    }

    pub(super) fn get(&self, name: &AccountName, asset: &AssetId) -> Option<&Known> {
        self.known.get(name)?.iter().find_map(|(of, known)| (of == asset).then_some(known))
    }

    /// What was read behind the lock of this batch.
    pub(super) fn put(&mut self, name: &AccountName, asset: &AssetId, known: Known) {
        let assets = match self.known.get_mut(name) {
            Some(assets) => assets,
            None => self.known.entry(name.clone()).or_default(),
        };
        match assets.iter_mut().find(|(of, _)| of == asset) {
            Some((_, before)) => *before = known,
            None => {
                assets.push((asset.clone(), known));
                self.count = self.count.saturating_add(1);
            }
        }
    }

    /// The batch is committed, and these accounts stand as it has left them.
    pub(super) fn committed(&mut self, written: Written) {
        let Written { turn, accounts } = written;
        for (id, (name, asset, balances)) in accounts {
            let place = Some(Place { id, version: turn.xid });
            self.put(&name, &asset, Known { place, balances });
        }
        self.as_of = Some(turn.seq);
    }
}

/// The accounts of a batch and their rows, for when it is committed.
#[derive(Debug)]
pub(super) struct Written {
    turn: Turn,
    accounts: Vec<(i64, Balanced)>,
}

impl Written {
    /// `balances` and the rows that they were written to.
    pub(super) fn new(turn: Turn, balances: Vec<Balanced>, rows: Vec<i64>) -> Self {
        Self { turn, accounts: rows.into_iter().zip(balances).collect() }
    }
}

/// By place in what was asked for: the names need not be told again.
pub(super) const ACCOUNTS: &str = "SELECT v.place, a.id, a.xmin, a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted \
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY v(asset, name, place) \
    JOIN accounts a ON a.asset = v.asset AND a.name = v.name";

/// Which of those that were asked for this row is, and what stands on it.
pub(super) fn known(row: &Row) -> Result<(usize, Known), ReadError> {
    let amount = |column| plain::<Exact>(row, column).map(|Exact(amount)| amount);
    let place = usize::try_from(convert::count(row, 0)?).unwrap_or(usize::MAX);
    let balances = Balances {
        debits_pending: amount(3)?,
        debits_posted: amount(4)?,
        credits_pending: amount(5)?,
        credits_posted: amount(6)?,
    };
    let row = Place { id: plain(row, 1)?, version: plain(row, 2)? };
    Ok((place.saturating_sub(1), Known { place: Some(row), balances }))
}

const CHANGED: &str = "UPDATE accounts a SET debits_pending = v.dp, debits_posted = v.d, credits_pending = v.cp, credits_posted = v.c \
    FROM unnest($1::bigint[], $2::xid[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[]) \
    v(id, version, dp, d, cp, c) WHERE a.id = v.id AND a.xmin = v.version";

const MADE: &str = "INSERT INTO accounts (asset, name, debits_pending, debits_posted, credits_pending, credits_posted) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[]) \
    v(asset, name, dp, d, cp, c) ORDER BY v.asset, v.name RETURNING id, asset, name";

/// The prepared statements that write accounts.
pub(super) struct Statements {
    changed: Statement,
    made: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        let (changed, made) = tokio::try_join!(client.prepare(CHANGED), client.prepare(MADE))?;
        Ok(Self { changed, made })
    }
}

/// Rows in the form of the parameters.
struct Columns {
    totals: [Vec<Exact>; 4],
}

impl Columns {
    fn of<'a>(rows: impl Iterator<Item = &'a Balances> + Clone) -> Self {
        let column = |total: fn(&Balances) -> Exact| rows.clone().map(total).collect();
        Self {
            totals: [
                column(|balances| Exact(balances.debits_pending)),
                column(|balances| Exact(balances.debits_posted)),
                column(|balances| Exact(balances.credits_pending)),
                column(|balances| Exact(balances.credits_posted)),
            ],
        }
    }
}

/// Makes the rows that are not there yet, and tells the row of each account, in order. Asks nothing where all are there.
pub(super) async fn place(
    client: &Client,
    statements: &Statements,
    balances: &[Balanced],
    accounts: &Accounts,
) -> Result<Vec<i64>, WriteError> {
    let place = |(name, asset, _): &Balanced| accounts.get(name, asset).and_then(|known| known.place);
    let places: Vec<Option<Place>> = balances.iter().map(place).collect();
    let missing = || balances.iter().zip(&places).filter(|(_, place)| place.is_none()).map(|(row, _)| row);
    let mut made = HashMap::new();
    if missing().next().is_some() {
        let assets: Vec<&str> = missing().map(|(_, asset, _)| asset.as_str()).collect();
        let names: Vec<String> = missing().map(|(name, ..)| name.to_string()).collect();
        let Columns { totals: [dp, d, cp, c] } = Columns::of(missing().map(|(.., balances)| balances));
        let rows = client.query(&statements.made, &[&assets, &names, &dp, &d, &cp, &c]).await;
        for row in rows.map_err(WriteError::Database)? {
            let of: (String, String) = (row.get(1), row.get(2));
            made.insert(of, row.get::<_, i64>(0));
        }
    }
    let rows = balances.iter().zip(places).map(|((name, asset, _), place)| match place {
        Some(Place { id, .. }) => Ok(id),
        None => made.get(&(asset.as_str().to_owned(), name.to_string())).copied().ok_or(WriteError::Rows {
            table: "accounts",
            expected: 1,
            written: 0,
        }),
    });
    rows.collect()
}

/// Writes how the accounts stand that were there before.
pub(super) async fn write(
    client: &Client,
    statements: &Statements,
    balances: &[Balanced],
    accounts: &Accounts,
) -> Result<(), WriteError> {
    let place = |(name, asset, balances): &Balanced| Some((accounts.get(name, asset)?.place?, *balances));
    let mut rows: Vec<(Place, Balances)> = balances.iter().filter_map(place).collect();
    if rows.is_empty() {
        return Ok(());
    }
    // Neighbours in the table one after the other.
    rows.sort_unstable_by_key(|(place, _)| place.id);
    let ids: Vec<i64> = rows.iter().map(|(place, _)| place.id).collect();
    let versions: Vec<Xid> = rows.iter().map(|(place, _)| place.version).collect();
    let Columns { totals: [dp, d, cp, c] } = Columns::of(rows.iter().map(|(_, balances)| balances));
    let written = client.execute(&statements.changed, &[&ids, &versions, &dp, &d, &cp, &c]).await;
    match WriteError::unless("accounts", rows.len(), written) {
        Err(WriteError::Rows { .. }) => Err(WriteError::Outdated),
        written => written,
    }
}

#[cfg(test)]
mod tests;
