//! The embedded ledger store: one SQLite file with one writer.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tollgate_attest::{PublicKey, Signer};
use tollgate_domain::{
    Amount, ApprovalId, AssetId, CallId, Digest, KeyId, PaymentKey, Principal, ReceiptId, ToolRef, UnixMillis,
};
use tollgate_ledger::audit::Finding;
use tollgate_ledger::budget::{self, Ask, Barrier, Counter, Stops, Usage, Wanted, Weighed};
use tollgate_ledger::{
    AccountBalance, AccountName, Balances, Command, LedgerStore, Outcome, PendingSettlements, RecentCall,
    Record, SettlementRow, Spent, StoreError, StoredAnswer, Transfer,
};
use tollgate_registry::{Approval, Observed, PinPolicy, PinRecord, Sighting};

use crate::account_cache::AccountCache;
use crate::attempts::Attempts;
use crate::budgets::Forgotten;
use crate::database::{self, Kept, Opener, Schema};
use crate::keys::{self, KeyRecord, NewKey};
use crate::later::Later;
use crate::ledger::{File, LedgerSession};
use crate::lock::DirectoryLock;
use crate::open::{OpenError, Options};
use crate::readers::Readers;
use crate::redo::Redo;
use crate::standing_cache::StandingCache;
use crate::writer::{Hooks, Writer};
use crate::{budgets, calls, check, pending, pins, rows};

/// The ledger file.
pub(crate) static LEDGER: Schema = Schema {
    file: "ledger.db",
    application_id: i32::from_be_bytes(*b"TGlg"),
    migrations: &[
        include_str!("schema/ledger_1.sql"),
        include_str!("schema/ledger_2.sql"),
        include_str!("schema/ledger_3.sql"),
        include_str!("schema/ledger_4.sql"),
        include_str!("schema/ledger_5.sql"),
        include_str!("schema/ledger_6.sql"),
        include_str!("schema/ledger_7.sql"),
        include_str!("schema/ledger_8.sql"),
        include_str!("schema/ledger_9.sql"),
        include_str!("schema/ledger_10.sql"),
        include_str!("schema/ledger_11.sql"),
        include_str!("schema/ledger_12.sql"),
        include_str!("schema/ledger_13.sql"),
        include_str!("schema/ledger_14.sql"),
        include_str!("schema/ledger_15.sql"),
        include_str!("schema/ledger_16.sql"),
        include_str!("schema/ledger_17.sql"),
    ],
    // NORMAL would lose acknowledged calls on power loss.
    kept: Kept::OverPowerCut,
    redo: Some("ledger.redo"),
};

/// How many results are looked at in one transaction, so that pruning never holds calls up for long.
const PRUNED_ROWS_MAX: u32 = 256;

/// The ledger in a data directory. Clones share it; the last one to go finishes what is queued and closes the file.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    inner: Arc<Inner>,
}

/// Dropped in this order: the writer ends, then the readers, then the directory is free.
#[derive(Debug)]
struct Inner {
    writer: Arc<Writer<LedgerSession>>,
    readers: Readers<LedgerSession>,
    standings: Arc<StandingCache>,
    results_kept: Duration,
    budgets_forgotten: Forgotten,
    _lock: Option<DirectoryLock>,
}

impl Store {
    /// Opens the ledger in `directory` for a gateway: makes or migrates it, and keeps every other gateway out.
    /// `signer` seals the receipts.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    pub(crate) fn open(directory: &Path, signer: Signer, options: Options) -> Result<Self, OpenError> {
        database::make_directory(directory)?;
        let lock = DirectoryLock::take(directory)?;
        Self::start(directory, Opener::Owner, Some(signer), options, Some(lock))
    }

    /// Opens the ledger in `directory` beside a gateway that may be running, for a short operation such as a grant or a
    /// new API key. It cannot seal receipts.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    pub(crate) fn open_shared(directory: &Path, options: Options) -> Result<Self, OpenError> {
        database::make_directory(directory)?;
        Self::start(directory, Opener::Guest, None, options, None)
    }

    fn start(
        directory: &Path,
        opener: Opener,
        signer: Option<Signer>,
        options: Options,
        lock: Option<DirectoryLock>,
    ) -> Result<Self, OpenError> {
        let connection = LEDGER.open(directory, opener)?;
        let standings = Arc::<StandingCache>::default();
        let session = LedgerSession::new(signer, Arc::clone(&standings));
        let hooks = Hooks {
            commits: options.commits,
            #[cfg(any(test, feature = "failpoints"))]
            failpoints: options.failpoints,
            ..Hooks::default()
        };
        let redo = LEDGER.redo_log(directory, opener, &connection)?;
        let writer =
            Writer::start("ledger-writer", connection, session, redo, options.queue_commands_max, hooks);
        let writer = Arc::new(writer.map_err(OpenError::Thread)?);
        let inner = Inner {
            readers: Readers::new(&LEDGER, directory.to_owned(), Arc::clone(&writer)),
            writer,
            standings,
            results_kept: options.results_kept,
            budgets_forgotten: Forgotten::default(),
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn readers(&self) -> &Readers<LedgerSession> {
        &self.inner.readers
    }

    /// Whether money operations are accepted: not any more after the disk failed to keep what it was given.
    pub(crate) fn is_open(&self) -> bool {
        self.inner.writer.is_open()
    }

    /// What is booked as earned in an asset, over all servers and as long as this ledger lives.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the file cannot be read.
    pub(crate) async fn earned(&self, asset: &AssetId) -> Result<Amount, StoreError> {
        let asset = asset.clone();
        self.inner.readers.read(move |connection| rows::earned(connection, &asset)).await
    }

    pub(crate) async fn settlements_since(
        &self,
        since: UnixMillis,
        limit: u32,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        self.inner.readers.read(move |connection| rows::settlements_since(connection, since, limit)).await
    }

    pub(crate) async fn settlements_by_reference(
        &self,
        references: HashSet<String>,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        self.inner
            .readers
            .read(move |connection| rows::settlements_by_reference(connection, &references))
            .await
    }

    /// Adds an API key.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when its id or secret is there already; any [`StoreError`] of a write.
    pub(crate) async fn create_key(&self, new: NewKey) -> Result<KeyRecord, StoreError> {
        self.inner.writer.write(move |batch| batch.create_key(&new)).await
    }

    /// Takes an API key back; `None` when there is none with this id. Revoking twice keeps the first moment.
    ///
    /// # Errors
    /// Any [`StoreError`] of a write.
    pub(crate) async fn revoke_key(
        &self,
        id: KeyId,
        now: UnixMillis,
    ) -> Result<Option<KeyRecord>, StoreError> {
        self.inner.writer.write(move |batch| batch.revoke_key(&id, now)).await
    }

    /// Every API key, oldest first, revoked ones included.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the file cannot be read.
    pub(crate) async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.inner.readers.read(keys::all).await
    }

    /// The API key whose secret has this SHA-256 digest; revoked ones too.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the file cannot be read.
    pub(crate) async fn key_by_hash(&self, hash: Digest) -> Result<Option<KeyRecord>, StoreError> {
        self.inner.readers.read(move |connection| keys::by_hash(connection, &hash)).await
    }

    /// A number that grows with every change of the API keys, whichever process made it: whoever keeps keys in memory
    /// reads them again when it differs. A single row, read on this thread in a few microseconds.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the file cannot be read.
    pub(crate) fn keys_version(&self) -> Result<u64, StoreError> {
        self.inner.readers.read_committed(keys::version)
    }

    /// Compares what one server says with what was approved, and keeps what changed; in the order of the sightings. New
    /// tools beyond [`PINS_PER_SERVER_MAX`](crate::PINS_PER_SERVER_MAX) are not kept, and not approved.
    ///
    /// # Errors
    /// Any [`StoreError`] of a write.
    pub(crate) async fn observe_pins(
        &self,
        sightings: Vec<Sighting>,
        policy: PinPolicy,
        now: UnixMillis,
    ) -> Result<Vec<Observed>, StoreError> {
        self.inner.writer.write(move |batch| batch.observe_pins(&sightings, policy, now)).await
    }

    /// Approves the definition of a tool with this hash, and no other; `None` when no such tool was ever seen.
    ///
    /// # Errors
    /// Any [`StoreError`] of a write.
    pub(crate) async fn approve_pin(
        &self,
        tool: ToolRef,
        hash: Digest,
        now: UnixMillis,
    ) -> Result<Option<Approval>, StoreError> {
        self.inner.writer.write(move |batch| batch.approve_pin(&tool, hash, now)).await
    }

    /// Every pin, by server and tool.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the file cannot be read, or a definition in it does not have its hash.
    pub(crate) async fn pins(&self) -> Result<Vec<PinRecord>, StoreError> {
        self.inner.readers.read(pins::all).await
    }

    /// A number that grows with every change of the pins, whichever process made it; see [`Store::keys_version`].
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the file cannot be read.
    pub(crate) fn pins_version(&self) -> Result<u64, StoreError> {
        self.inner.readers.read_committed(pins::version)
    }

    /// Forgets the results of calls that ended longer ago than results are kept; settlements and receipts stay. Results
    /// of open settlements are kept however old they are. Returns how many were forgotten.
    ///
    /// # Errors
    /// Any [`StoreError`] of a write; calling again continues.
    pub(crate) async fn prune(&self, now: UnixMillis) -> Result<usize, StoreError> {
        let kept = u64::try_from(self.inner.results_kept.as_millis()).unwrap_or(u64::MAX);
        let before = UnixMillis::new(now.get().saturating_sub(kept));
        if self.inner.budgets_forgotten.is_due(now) {
            self.inner.writer.write(move |batch| Ok(budgets::forget(batch.connection, now)?)).await?;
            self.inner.budgets_forgotten.done(now);
        }
        let (mut forgotten, mut after) = (0_usize, 0);
        loop {
            let pruned =
                self.inner.writer.write(move |batch| batch.prune(before, after, PRUNED_ROWS_MAX)).await?;
            forgotten = forgotten.saturating_add(pruned.forgotten);
            match pruned.looked_at {
                Some(last) => after = last,
                None => return Ok(forgotten),
            }
        }
    }

    /// Every key that ever signed a receipt here, the oldest first: what a gateway has to publish for old receipts to stay
    /// verifiable after a change of keys.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the file cannot be read.
    pub(crate) async fn signers(&self) -> Result<Vec<PublicKey>, StoreError> {
        self.inner.readers.read(rows::signers).await
    }

    /// Checks the books against each other, every receipt and its place in the chain against [`Self::signers`], and the
    /// file against itself; empty when everything is in order. Takes as long as reading everything does, and holds nobody
    /// up. Whoever can rewrite the file can rewrite the keys in it too: against that, compare them with the published ones.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the file cannot be read.
    pub(crate) async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        self.inner.readers.read(check::check).await
    }
}

impl LedgerStore for Store {
    fn commit(&self, command: Command) -> impl Future<Output = Result<Outcome, StoreError>> + Send {
        self.inner.writer.write(move |batch| batch.command(&command))
    }

    fn decide(&self, command: Command) -> impl Future<Output = Result<Outcome, StoreError>> + Send {
        self.inner.writer.decide(move |batch| batch.command(&command))
    }

    async fn expired(
        &self,
        since: UnixMillis,
        now: UnixMillis,
        limit: u32,
    ) -> Result<Vec<Transfer>, StoreError> {
        self.inner.readers.read(move |connection| rows::expired(connection, since, now, limit)).await
    }

    async fn foresee(
        &self,
        asks: Vec<(Ask, Wanted)>,
        now: UnixMillis,
    ) -> Result<Vec<Option<Barrier>>, StoreError> {
        let nobody = CallId::from_bytes([0; 16]);
        // A few single rows of small tables, for every demand to pay: on this thread.
        let foreseen = self.inner.readers.read_here(|connection| {
            let accounts = &mut AccountCache::default();
            let (attempts, redo) = (&mut Attempts::default(), &mut Redo::default());
            let mut books = File { connection, accounts, attempts, later: &Later::default(), redo };
            let barrier = |(ask, wanted): (Ask, Wanted)| {
                Ok(match budget::weigh(&mut books, &ask, &wanted, nobody, now)? {
                    Weighed::Within { .. } => None,
                    Weighed::Barred(barrier) => Some(barrier),
                })
            };
            asks.into_iter().map(barrier).collect()
        });
        foreseen.await
    }

    async fn usages(&self, counters: Vec<Counter>) -> Result<Vec<Option<Usage>>, StoreError> {
        let read = self.inner.readers.read(move |connection| {
            counters.iter().map(|counter| budgets::usage(connection, counter)).collect()
        });
        read.await
    }

    async fn stops(&self) -> Result<Stops, StoreError> {
        let stops = self.inner.readers.read(budgets::stops).await?;
        Ok(Stops::clone(&stops))
    }

    async fn approval(&self, id: &ApprovalId) -> Result<Option<budget::Approval>, StoreError> {
        let id = *id;
        self.inner.readers.read(move |connection| budgets::approval(connection, &id)).await
    }

    async fn approvals(&self, limit: u32) -> Result<Vec<budget::Approval>, StoreError> {
        self.inner.readers.read(move |connection| budgets::approvals(connection, limit)).await
    }

    async fn settlement(&self, key: &PaymentKey) -> Result<Option<SettlementRow>, StoreError> {
        let key = key.clone();
        self.inner.readers.read(move |connection| rows::settlement_by_key(connection, &key)).await
    }

    async fn settlement_by_call(&self, call: &CallId) -> Result<Option<SettlementRow>, StoreError> {
        let call = *call;
        self.inner.readers.read(move |connection| rows::settlement_by_call(connection, &call)).await
    }

    async fn open_settlements(
        &self,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        self.inner.readers.read(move |connection| pending::open(connection, after, limit)).await
    }

    async fn pending_settlements(&self) -> Result<PendingSettlements, StoreError> {
        self.inner.readers.read(pending::pending).await
    }

    async fn unknown_settlements(
        &self,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        self.inner.readers.read(move |connection| pending::unknown(connection, after, limit)).await
    }

    async fn answer(&self, call: &CallId) -> Result<Option<StoredAnswer>, StoreError> {
        let call = *call;
        let read = self.inner.readers.read(move |connection| {
            let row = rows::settlement_by_call(connection, &call)?;
            row.map(|row| rows::answer(connection, &row)).transpose()
        });
        read.await
    }

    async fn receipt(&self, id: &ReceiptId) -> Result<Option<String>, StoreError> {
        let id = *id;
        self.inner.readers.read(move |connection| rows::receipt(connection, &id)).await
    }

    async fn standing(&self, principal: &Principal) -> Result<Record, StoreError> {
        let version = match self.inner.standings.get(principal) {
            Ok(record) => return Ok(record),
            Err(version) => version,
        };
        let wanted = principal.clone();
        let record = self.inner.readers.read(move |connection| rows::standing(connection, &wanted)).await?;
        self.inner.standings.read(principal.clone(), record, version);
        Ok(record)
    }

    async fn calls(
        &self,
        caller: &Principal,
        tool: &ToolRef,
        since: UnixMillis,
        most: u64,
    ) -> Result<u64, StoreError> {
        let (caller, tool) = (caller.clone(), tool.clone());
        self.inner.readers.read(move |connection| calls::calls(connection, &caller, &tool, since, most)).await
    }

    async fn spent(&self, caller: &Principal, since: [UnixMillis; 2]) -> Result<Vec<Spent>, StoreError> {
        let caller = caller.clone();
        self.inner.readers.read(move |connection| calls::spent(connection, &caller, since)).await
    }

    async fn balance(&self, account: &AccountName, asset: &AssetId) -> Result<Balances, StoreError> {
        let (account, asset) = (account.clone(), asset.clone());
        let read = self.inner.readers.read(move |connection| rows::account(connection, &account, &asset));
        Ok(read.await?.map(|(_, balances)| balances).unwrap_or_default())
    }

    async fn trial_balance(&self) -> Result<Vec<AccountBalance>, StoreError> {
        self.inner.readers.read(rows::accounts).await
    }

    async fn recent_calls(&self, limit: u32) -> Result<Vec<RecentCall>, StoreError> {
        self.inner.readers.read(move |connection| rows::recent_calls(connection, limit)).await
    }
}

#[cfg(test)]
mod tests;
