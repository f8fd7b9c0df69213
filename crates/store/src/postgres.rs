//! The ledger in PostgreSQL, for several gateways at once.
//!
//! Every gateway writes. A batch holds the shard's row from its first statement to its commit, so that the batches of all gateways
//! come one after the other in the database, each decided on what the one before it committed: the same commands through the same
//! decisions as with SQLite. Waiting for the row costs nothing: what is asked for meanwhile goes into the next batch.
//!
//! A gateway is whoever has its receipts' key. It takes a new epoch when it starts; a process of an older one is refused with its
//! first batch, however long it was paused. Its chain of receipts has therefore one writer, and its open settlements one driver.
//! Beside the head of that chain it remembers accounts, for as long as no other batch comes between its own.

mod accounts;
mod books;
mod budgets;
mod calls;
mod check;
mod connect;
mod convert;
mod copy;
mod escrows;
mod exact;
mod export;
mod history;
mod keys;
mod migrate;
mod payouts;
mod pending;
mod pins;
mod readers;
mod rows;
mod session;
mod shared_limits;
mod tls;
mod url;
mod writer;
mod written;

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use tollgate_attest::{PublicKey, Signer};
use tollgate_domain::{
    Amount, ApprovalId, AssetId, CallId, PaymentKey, Principal, ReceiptId, ToolRef, UnixMillis,
};
use tollgate_ledger::budget::{Approval, Ask, Barrier, Counter, Stops, Usage, Wanted};
use tollgate_ledger::{
    AccountBalance, AccountName, Balances, Command, LedgerStore, Outcome, PendingSettlements, RecentCall,
    Record, SettlementRow, Spent, StoreError, StoredAnswer, Transfer,
};

use self::books::Loaded;
use self::connect::{Connector, described};
use self::convert::{ReadError, plain};
use self::readers::Readers;
use self::rows::{accounts, settlements, transfers};
use self::session::Identity;
use self::shared_limits::SharedLimits;
use self::writer::{Start, Writer};
use crate::budgets::Forgotten;
use crate::convert::{integer, millis};
use crate::database::Opener;
use crate::open::{OpenError, Options};
use crate::shared_limits::{SharedTake, SharedWait};
use crate::writer::Hooks;

pub use self::copy::{BooksCopyError, copy_books, write_books};
pub use self::url::{DatabaseUrl, DatabaseUrlError};

/// How many results are looked at in one statement.
const PRUNED_ROWS_MAX: i64 = 256;

/// How often a gateway asks to be itself while its predecessor's connection may still be ending, and how long it waits between.
const TAKES_MAX: u32 = 40;
const TAKE_AGAIN: Duration = Duration::from_millis(250);

/// The ledger in a database.
#[derive(Debug)]
pub(crate) struct PostgresStore {
    /// Ends before the readers.
    writer: Writer,
    readers: Readers,
    identity: Option<Identity>,
    /// Keeps others from being this gateway until the writer has a connection of its own, and then some.
    _session: Option<Client>,
    results_kept: Duration,
    budgets_forgotten: Forgotten,
    shared_limits: SharedLimits,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the ledger for a gateway, or (without a signer) beside one.
    pub(crate) async fn open(
        url: DatabaseUrl,
        signer: Option<Signer>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let database = url.to_string();
        let failed = |step: &'static str| {
            let database = database.clone();
            move |error: tokio_postgres::Error| OpenError::Database {
                step,
                database,
                reason: described(&error),
            }
        };
        let connector = Connector::new(url.clone()).map_err(|error| OpenError::Database {
            step: "prepare TLS to",
            database: database.clone(),
            reason: error.to_string(),
        })?;
        let connector = connector.within(options.answer_max);
        let client = connector.connect().await.map_err(|error| OpenError::Database {
            step: "connect to",
            database: database.clone(),
            reason: error.to_string(),
        })?;
        let opener = if signer.is_some() { Opener::Owner } else { Opener::Guest };
        migrate::migrate(&client, &url, opener).await?;
        let identity = match &signer {
            None => None,
            Some(signer) => {
                let key = signer.public();
                let identity =
                    be(&client, key.as_bytes()).await.map_err(failed("take the gateway's place in"))?;
                Some(identity.ok_or_else(|| OpenError::GatewayInUse { database: database.clone() })?)
            }
        };
        let hooks = Hooks {
            commits: options.commits,
            #[cfg(any(test, feature = "failpoints"))]
            failpoints: options.failpoints,
            ..Hooks::default()
        };
        let start = Start {
            connector: connector.clone(),
            identity,
            signer,
            queue_commands_max: options.queue_commands_max,
            answer_max: options.answer_max,
            hooks,
        };
        let writer = Writer::start(start).map_err(OpenError::Thread)?;
        let _session = identity.map(|_| client);
        let shared_limits = SharedLimits::new(connector.clone());
        let readers = Readers::new(connector, options.answer_max);
        Ok(Self {
            writer,
            readers,
            identity,
            _session,
            results_kept: options.results_kept,
            budgets_forgotten: Forgotten::default(),
            shared_limits,
        })
    }

    pub(crate) async fn take_shared(&self, takes: &[SharedTake]) -> Result<Option<SharedWait>, StoreError> {
        self.shared_limits.take(takes).await
    }

    pub(crate) fn is_open(&self) -> bool {
        self.writer.is_open()
    }

    pub(crate) async fn is_open_elsewhere(
        &self,
        call: &CallId,
        caller: &Principal,
    ) -> Result<bool, StoreError> {
        let owner = self.identity.map(|identity| identity.gateway);
        let asked: [(&(dyn ToSql + Sync), Type); 3] = [
            (&call.as_bytes().as_slice(), Type::BYTEA),
            (&caller.to_string(), Type::TEXT),
            (&owner, Type::INT4),
        ];
        Ok(self.row(pending::OPEN_ELSEWHERE, &asked, |_| Ok(())).await?.is_some())
    }

    pub(crate) async fn earned(&self, asset: &AssetId) -> Result<Amount, StoreError> {
        let query = "SELECT least(coalesce(sum(credits_posted), 0), 340282366920938463463374607431768211455)::text \
             FROM accounts WHERE asset = $1 AND starts_with(name, 'payable:')";
        let found = self.row(query, &[(&asset.as_str(), Type::TEXT)], |row| convert::text(row, 0)).await?;
        Ok(found.unwrap_or_default())
    }

    /// Deletes the results of calls that ended long ago, a few at a time.
    pub(crate) async fn prune(&self, now: UnixMillis) -> Result<usize, StoreError> {
        let kept = u64::try_from(self.results_kept.as_millis()).unwrap_or(u64::MAX);
        let before = integer(now.get().saturating_sub(kept));
        if self.budgets_forgotten.is_due(now) {
            self.readers.with(async |client| budgets::forget(client, now).await).await?;
            self.budgets_forgotten.done(now);
        }
        if self.shared_limits.is_due(now) {
            self.readers.with(async |client| shared_limits::forget(client).await).await?;
        }
        let delete = "DELETE FROM results WHERE settlement IN (SELECT r.settlement FROM results r \
             JOIN settlements s ON s.id = r.settlement WHERE r.stored < $1 AND s.updated < $1 \
             AND s.state IN ('settled', 'delivered', 'refunded', 'voided', 'failed', 'in_doubt') ORDER BY r.settlement LIMIT $2)";
        let mut forgotten = 0_usize;
        loop {
            let deleted = self.readers.with(async |client| {
                Ok(client
                    .execute_typed(delete, &[(&before, Type::INT8), (&PRUNED_ROWS_MAX, Type::INT8)])
                    .await?)
            });
            let deleted = deleted.await?;
            forgotten = forgotten.saturating_add(usize::try_from(deleted).unwrap_or(usize::MAX));
            if deleted == 0 {
                return Ok(forgotten);
            }
        }
    }

    pub(crate) async fn signers(&self) -> Result<Vec<PublicKey>, StoreError> {
        let query = "SELECT key FROM gateways g WHERE EXISTS (SELECT 1 FROM receipts r WHERE r.signer = g.id) ORDER BY id";
        self.rows(query, &[], |row| rows::public_key(row, 0)).await
    }

    /// Every row of one statement, read in one round trip.
    async fn rows<T>(
        &self,
        query: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
        value: impl Fn(&tokio_postgres::Row) -> Result<T, ReadError>,
    ) -> Result<Vec<T>, StoreError> {
        let read = self.readers.with(async |client| {
            let rows = client.query_typed(query, parameters).await?;
            rows.iter().map(&value).collect::<Result<Vec<T>, ReadError>>()
        });
        read.await
    }

    /// The one row of one statement, if there is any.
    async fn row<T>(
        &self,
        query: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
        value: impl Fn(&tokio_postgres::Row) -> Result<T, ReadError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(query, parameters, value).await?.into_iter().next())
    }
}

/// Whether there are books in a database. Makes nothing.
///
/// # Errors
/// [`OpenError`] when it cannot be reached, or its tables are somebody else's.
pub async fn has_books(url: &DatabaseUrl) -> Result<bool, OpenError> {
    let failed = |step, reason| OpenError::Database { step, database: url.to_string(), reason };
    let connector =
        Connector::new(url.clone()).map_err(|error| failed("prepare TLS to", error.to_string()))?;
    let client = connector.connect().await.map_err(|error| failed("connect to", error.to_string()))?;
    Ok(migrate::version(&client, url).await? != 0)
}

/// This gateway in a new epoch. Its predecessor may have been killed a moment ago; its connections end by themselves.
async fn be(client: &Client, key: &[u8; 32]) -> Result<Option<Identity>, tokio_postgres::Error> {
    for _ in 0..TAKES_MAX {
        if let Some(identity) = session::take(client, key).await? {
            return Ok(Some(identity));
        }
        tokio::time::sleep(TAKE_AGAIN).await;
    }
    Ok(None)
}

impl PostgresStore {
    pub(crate) async fn settlements_since(
        &self,
        since: UnixMillis,
        limit: u32,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        let (since, limit) = (crate::convert::millis(since), i64::from(limit));
        let asked: [(&(dyn ToSql + Sync), Type); 2] = [(&since, Type::INT8), (&limit, Type::INT8)];
        let query = settlements!("WHERE updated >= $1 ORDER BY id DESC LIMIT $2");
        self.rows(query, &asked, rows::settlement).await
    }

    pub(crate) async fn settlements_by_reference(
        &self,
        references: HashSet<String>,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        let references: Vec<String> = references.into_iter().collect();
        let asked: [(&(dyn ToSql + Sync), Type); 1] = [(&references, Type::TEXT_ARRAY)];
        self.rows(settlements!("WHERE reference = ANY($1) ORDER BY id"), &asked, rows::settlement).await
    }
}

impl LedgerStore for PostgresStore {
    fn commit(&self, command: Command) -> impl Future<Output = Result<Outcome, StoreError>> + Send {
        self.writer.commit(command)
    }

    async fn expired(
        &self,
        since: UnixMillis,
        now: UnixMillis,
        limit: u32,
    ) -> Result<Vec<Transfer>, StoreError> {
        let (since, now, limit) = (millis(since), millis(now), i64::from(limit));
        let query = transfers!(
            "WHERE t.expires > $1 AND t.expires <= $2 AND t.call IS NULL AND NOT EXISTS \
             (SELECT 1 FROM transfers r WHERE r.resolves = t.id AND r.call IS NULL) ORDER BY t.expires LIMIT $3"
        );
        self.rows(query, &[(&since, Type::INT8), (&now, Type::INT8), (&limit, Type::INT8)], rows::transfer)
            .await
    }

    async fn foresee(
        &self,
        asks: Vec<(Ask, Wanted)>,
        now: UnixMillis,
    ) -> Result<Vec<Option<Barrier>>, StoreError> {
        let mut asked = budgets::Asked::default();
        asks.iter().for_each(|(ask, wanted)| asked.weighing(ask, wanted));
        let foreseen = self.readers.with(async |client| {
            let mut loaded = Loaded::default();
            loop {
                loaded.budgets.add(Box::pin(budgets::load(client, None, &asked)).await?);
                match books::foresee(&loaded, &asks, now) {
                    Ok(barriers) => return Ok(barriers),
                    Err(more) => asked = *more,
                }
            }
        });
        foreseen.await
    }

    async fn usages(&self, counters: Vec<Counter>) -> Result<Vec<Option<Usage>>, StoreError> {
        self.readers.with(async |client| budgets::usages(client, &counters).await).await
    }

    async fn stops(&self) -> Result<Stops, StoreError> {
        let stops = self.rows(budgets::STOPS, &[], budgets::stop).await?;
        Ok(Stops(stops.into_iter().collect()))
    }

    async fn approval(&self, id: &ApprovalId) -> Result<Option<Approval>, StoreError> {
        let ids = [id.as_bytes().as_slice()];
        self.row(budgets::APPROVALS, &[(&ids.as_slice(), Type::BYTEA_ARRAY)], budgets::approval).await
    }

    async fn approvals(&self, limit: u32) -> Result<Vec<Approval>, StoreError> {
        self.rows(budgets::LATEST, &[(&i64::from(limit), Type::INT8)], budgets::approval).await
    }

    async fn settlement(&self, key: &PaymentKey) -> Result<Option<SettlementRow>, StoreError> {
        let query = settlements!("WHERE key = $1 ORDER BY attempt DESC LIMIT 1");
        self.row(query, &[(&key.to_string(), Type::TEXT)], rows::settlement).await
    }

    async fn settlement_by_call(&self, call: &CallId) -> Result<Option<SettlementRow>, StoreError> {
        let query = settlements!("WHERE call = $1");
        self.row(query, &[(&call.as_bytes().as_slice(), Type::BYTEA)], rows::settlement).await
    }

    /// Those of this gateway. What another gateway left open is its own to finish: only it knows which of its calls were sent.
    async fn open_settlements(
        &self,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        let owner = self.identity.map(|identity| identity.gateway);
        let (after, limit) = (after.map(|call| call.as_bytes().to_vec()), i64::from(limit));
        let asked: [(&(dyn ToSql + Sync), Type); 3] =
            [(&owner, Type::INT4), (&after, Type::BYTEA), (&limit, Type::INT8)];
        self.rows(pending::OPEN, &asked, rows::settlement).await
    }

    /// Those of other gateways: a gateway holds the lock of its session for as long as it is connected.
    async fn abandoned_settlements(
        &self,
        before: UnixMillis,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        let owner = self.identity.map(|identity| identity.gateway);
        let (before, after) = (millis(before), after.map(|call| call.as_bytes().to_vec()));
        let limit = i64::from(limit);
        let asked: [(&(dyn ToSql + Sync), Type); 5] = [
            (&owner, Type::INT4),
            (&before, Type::INT8),
            (&after, Type::BYTEA),
            (&session::GATEWAY_LOCK, Type::INT4),
            (&limit, Type::INT8),
        ];
        self.rows(pending::ABANDONED, &asked, rows::settlement).await
    }

    /// Those of this gateway, as of [`Self::open_settlements`].
    async fn pending_settlements(&self) -> Result<PendingSettlements, StoreError> {
        let owner = self.identity.map(|identity| identity.gateway);
        let found = self.row(pending::PENDING, &[(&owner, Type::INT4)], pending::counted).await?;
        Ok(found.unwrap_or_default())
    }

    /// Those of this gateway, as of [`Self::open_settlements`].
    async fn unknown_settlements(
        &self,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        let owner = self.identity.map(|identity| identity.gateway);
        let (after, limit) = (after.map(|call| *call.as_bytes()), i64::from(limit));
        let after: &[u8] = after.as_ref().map_or(&[], |bytes| bytes);
        let asked: [(&(dyn ToSql + Sync), Type); 3] =
            [(&owner, Type::INT4), (&after, Type::BYTEA), (&limit, Type::INT8)];
        self.rows(pending::UNKNOWN, &asked, rows::settlement).await
    }

    async fn answer(&self, call: &CallId) -> Result<Option<StoredAnswer>, StoreError> {
        let query = "SELECT s.state, r.body, r.private, e.envelope FROM settlements s \
             LEFT JOIN results r ON r.settlement = s.id LEFT JOIN receipts e ON e.id = s.receipt WHERE s.call = $1";
        let (bytes, call) = (call.as_bytes().as_slice(), *call);
        let answer = |row: &tokio_postgres::Row| {
            let (state, result) = (convert::text(row, 0)?, plain(row, 1)?);
            Ok(StoredAnswer { call, state, result, private: plain(row, 2)?, receipt: plain(row, 3)? })
        };
        self.row(query, &[(&bytes, Type::BYTEA)], answer).await
    }

    async fn receipt(&self, id: &ReceiptId) -> Result<Option<String>, StoreError> {
        let query = "SELECT envelope FROM receipts WHERE id = $1";
        self.row(query, &[(&id.as_bytes().as_slice(), Type::BYTEA)], |row| plain(row, 0)).await
    }

    async fn calls(
        &self,
        caller: &Principal,
        tool: &ToolRef,
        since: UnixMillis,
        most: u64,
    ) -> Result<u64, StoreError> {
        let (server, tool) = (tool.server.as_str(), tool.tool.as_str());
        let texts = [[caller.as_str()], [server], [tool]];
        let [caller, server, tool] = texts.each_ref().map(<[&str; 1]>::as_slice);
        let numbers = [[millis(since)], [integer(most)]];
        let [since, most] = numbers.each_ref().map(<[i64; 1]>::as_slice);
        let parameters: [(&(dyn ToSql + Sync), Type); 5] = [
            (&caller, Type::TEXT_ARRAY),
            (&server, Type::TEXT_ARRAY),
            (&tool, Type::TEXT_ARRAY),
            (&since, Type::INT8_ARRAY),
            (&most, Type::INT8_ARRAY),
        ];
        let counted = self.row(calls::CALLS, &parameters, |row| convert::count(row, 0)).await?;
        Ok(counted.unwrap_or_default())
    }

    async fn spent(&self, caller: &Principal, since: [UnixMillis; 2]) -> Result<Vec<Spent>, StoreError> {
        let [first, second] = since.map(millis);
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&caller.as_str(), Type::TEXT), (&first, Type::INT8), (&second, Type::INT8)];
        self.rows(calls::SPENT, &parameters, calls::spent).await
    }

    /// Read each time: any gateway may have moved it.
    async fn standing(&self, principal: &Principal) -> Result<Record, StoreError> {
        let query = "SELECT reputation, settled, failed FROM standings WHERE principal = $1";
        let found = self.row(query, &[(&principal.as_str(), Type::TEXT)], |row| rows::record(row, 0)).await?;
        Ok(found.unwrap_or_default())
    }

    async fn balance(&self, account: &AccountName, asset: &AssetId) -> Result<Balances, StoreError> {
        let (asset, name) = (asset.as_str(), account.to_string());
        let query = accounts!("WHERE asset = $1 AND name = $2");
        let found = self.row(query, &[(&asset, Type::TEXT), (&name, Type::TEXT)], rows::account).await?;
        Ok(found.map(|account| account.balances).unwrap_or_default())
    }

    async fn trial_balance(&self) -> Result<Vec<AccountBalance>, StoreError> {
        self.rows(accounts!("ORDER BY asset COLLATE \"C\", name COLLATE \"C\""), &[], rows::account).await
    }

    async fn recent_calls(&self, limit: u32) -> Result<Vec<RecentCall>, StoreError> {
        let at_most = i64::from(limit);
        let newest: [(&(dyn ToSql + Sync), Type); 1] = [(&at_most, Type::INT8)];
        let paid = settlements!("ORDER BY call DESC LIMIT $1");
        let mut calls = self.rows(paid, &newest, |row| rows::settlement(row).map(rows::recent_paid)).await?;
        let free = "SELECT call, id FROM receipts WHERE free ORDER BY call DESC LIMIT $1";
        let free = self.rows(free, &newest, |row| {
            Ok(RecentCall { call: convert::id(row, 0)?, receipt: convert::optional_id(row, 1)?, paid: None })
        });
        calls.append(&mut free.await?);
        calls.sort_by_key(|recent| std::cmp::Reverse(recent.call));
        calls.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(calls)
    }
}

impl Hooks {
    /// A commit, with whoever is told how long it takes.
    async fn timed<T>(&self, commit: impl Future<Output = T>) -> T {
        if let Some(commits) = &self.commits {
            commits.begins();
        }
        let committed = commit.await;
        if let Some(commits) = &self.commits {
            commits.ended();
        }
        committed
    }
}
