//! The store as the rest of the house sees it, whichever engine keeps it.

use std::collections::HashSet;
use std::path::Path;
#[cfg(feature = "postgres")]
use std::sync::Arc;

use crate::earnings::Earning;
use tollgate_attest::{PublicKey, Signer};
use tollgate_domain::{
    Amount, ApprovalId, AssetId, CallId, Digest, EscrowId, KeyId, PaymentKey, PayoutId, Principal, ReceiptId,
    ToolRef, UnixMillis,
};
use tollgate_ledger::CallHistory;
use tollgate_ledger::audit::Finding;
use tollgate_ledger::budget::{self, Ask, Barrier, Counter, Stops, Usage, Wanted};
use tollgate_ledger::escrow::{DueEscrow, EscrowFilter, EscrowHistory, EscrowPage, EscrowRow, EscrowStore};
use tollgate_ledger::payout::{PayeeRow, PayoutFilter, PayoutPage, PayoutRow, PayoutStore, ProviderName};
use tollgate_ledger::{
    AccountBalance, AccountName, Balances, Command, LedgerStore, Outcome, PendingSettlements, RecentCall,
    Record, SettlementRow, Spent, StoreError, StoredAnswer, Transfer,
};
use tollgate_registry::{Approval, Observed, PinPolicy, PinRecord, Sighting};

use crate::export::{Part, Row};
use crate::keys::{KeyRecord, NewKey};
use crate::open::{OpenError, Options};
use crate::postgres::DatabaseUrl;
use crate::shared_limits::{SharedTake, SharedWait};
use crate::store::Store as Embedded;

/// The ledger with its receipts, standings, API keys and pins. Clones share it; the last one to go finishes what is queued and
/// closes it.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Backend,
}

#[derive(Clone, Debug)]
enum Backend {
    /// A file in the data directory of the one gateway that uses it.
    Embedded(Embedded),
    /// A database that several gateways use.
    #[cfg(feature = "postgres")]
    Postgres(Arc<Shared>),
}

/// A database, as one gateway with a data directory of its own uses it.
#[cfg(feature = "postgres")]
#[derive(Debug)]
struct Shared {
    database: crate::postgres::PostgresStore,
    _lock: Option<crate::lock::DirectoryLock>,
}

/// The same of either engine.
macro_rules! either {
    ($store:expr, $backend:ident => $answer:expr) => {
        match &$store.backend {
            Backend::Embedded($backend) => $answer,
            #[cfg(feature = "postgres")]
            Backend::Postgres(shared) => {
                let $backend = &shared.database;
                $answer
            }
        }
    };
}

impl Store {
    /// Opens the ledger in `directory` for a gateway: makes or migrates it, and keeps every other gateway out.
    /// `signer` seals the receipts.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    pub fn open(directory: &Path, signer: Signer, options: Options) -> Result<Self, OpenError> {
        let store = Embedded::open(directory, signer, options)?;
        Ok(Self { backend: Backend::Embedded(store) })
    }

    /// Opens the ledger in `directory` beside a gateway that may be running, for a short operation such as a grant or a
    /// new API key. It cannot seal receipts.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    pub fn open_shared(directory: &Path, options: Options) -> Result<Self, OpenError> {
        let store = Embedded::open_shared(directory, options)?;
        Ok(Self { backend: Backend::Embedded(store) })
    }

    /// Opens the ledger in a database for a gateway, beside any number of others: makes or migrates the tables, and keeps every
    /// other process with this `signer` out. `directory` is the gateway's own.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    #[cfg(feature = "postgres")]
    pub async fn connect(
        database: DatabaseUrl,
        directory: &Path,
        signer: Signer,
        options: Options,
    ) -> Result<Self, OpenError> {
        crate::database::make_directory(directory)?;
        let lock = crate::lock::DirectoryLock::take(directory)?;
        Self::start(database, Some(signer), options, Some(lock)).await
    }

    /// Opens the ledger in a database beside the gateways that may be running, like [`Store::open_shared`].
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    #[cfg(feature = "postgres")]
    pub async fn connect_shared(database: DatabaseUrl, options: Options) -> Result<Self, OpenError> {
        Self::start(database, None, options, None).await
    }

    #[cfg(feature = "postgres")]
    async fn start(
        database: DatabaseUrl,
        signer: Option<Signer>,
        options: Options,
        lock: Option<crate::lock::DirectoryLock>,
    ) -> Result<Self, OpenError> {
        let database = crate::postgres::PostgresStore::open(database, signer, options).await?;
        Ok(Self { backend: Backend::Postgres(Arc::new(Shared { database, _lock: lock })) })
    }

    /// Shows each row of these parts to `visit`, part after part, all of them as of one moment. Runs beside the writer and
    /// keeps one row at a time.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when the ledger cannot be read.
    pub async fn each_row<T: Send + 'static>(
        &self,
        parts: Vec<Part>,
        state: T,
        visit: impl FnMut(&mut T, Row) + Send + 'static,
    ) -> Result<T, StoreError> {
        either!(self, store => store.each_row(parts, state, visit).await)
    }

    /// There are no databases without the feature `postgres`.
    ///
    /// # Errors
    /// None: there is no such database.
    #[cfg(not(feature = "postgres"))]
    #[expect(clippy::unused_async, reason = "the signature is the one with the feature")]
    pub async fn connect(
        database: DatabaseUrl,
        _directory: &Path,
        _signer: Signer,
        _options: Options,
    ) -> Result<Self, OpenError> {
        match database {}
    }

    /// There are no databases without the feature `postgres`.
    ///
    /// # Errors
    /// None: there is no such database.
    #[cfg(not(feature = "postgres"))]
    #[expect(clippy::unused_async, reason = "the signature is the one with the feature")]
    pub async fn connect_shared(database: DatabaseUrl, _options: Options) -> Result<Self, OpenError> {
        match database {}
    }

    /// Whether money operations are accepted: not any more after the disk failed to keep what it was given, or after another
    /// process became this gateway.
    pub fn is_open(&self) -> bool {
        either!(self, store => store.is_open())
    }

    /// Whether a call of this caller has not ended and is another gateway's to end. Never where the ledger is in files.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when it cannot be read.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(unused_variables, reason = "without a database there is no other gateway")
    )]
    pub async fn is_open_elsewhere(&self, call: &CallId, caller: &Principal) -> Result<bool, StoreError> {
        match &self.backend {
            Backend::Embedded(_) => Ok(false),
            #[cfg(feature = "postgres")]
            Backend::Postgres(shared) => shared.database.is_open_elsewhere(call, caller).await,
        }
    }

    /// What is booked as earned in an asset, over all servers and as long as this ledger lives.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when it cannot be read.
    pub async fn earned(&self, asset: &AssetId) -> Result<Amount, StoreError> {
        either!(self, store => store.earned(asset).await)
    }

    /// What the calls have earned that were claimed at `since` or later and before `until`, and are settled. Reads every attempt;
    /// for people, not for calls.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when they cannot be read.
    pub async fn earnings(&self, since: UnixMillis, until: UnixMillis) -> Result<Vec<Earning>, StoreError> {
        either!(self, store => store.earnings(since, until).await)
    }

    /// Adds an API key.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when its id or secret is there already; any [`StoreError`] of a write.
    pub async fn create_key(&self, new: NewKey) -> Result<KeyRecord, StoreError> {
        either!(self, store => store.create_key(new).await)
    }

    /// Takes an API key back; `None` when there is none with this id. Revoking twice keeps the first moment.
    ///
    /// # Errors
    /// Any [`StoreError`] of a write.
    pub async fn revoke_key(&self, id: KeyId, now: UnixMillis) -> Result<Option<KeyRecord>, StoreError> {
        either!(self, store => store.revoke_key(id, now).await)
    }

    /// Every API key, oldest first, revoked ones included.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when they cannot be read.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        either!(self, store => store.keys().await)
    }

    /// The API key whose secret has this SHA-256 digest; revoked ones too.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when it cannot be read.
    pub async fn key_by_hash(&self, hash: Digest) -> Result<Option<KeyRecord>, StoreError> {
        either!(self, store => store.key_by_hash(hash).await)
    }

    /// A number that grows with every change of the API keys, whichever process made it: whoever keeps keys in memory
    /// reads them again when it differs. A single row: in the embedded store, read on this thread in a few microseconds.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when it cannot be read.
    pub async fn keys_version(&self) -> Result<u64, StoreError> {
        match &self.backend {
            Backend::Embedded(store) => store.keys_version(),
            #[cfg(feature = "postgres")]
            Backend::Postgres(shared) => shared.database.keys_version().await,
        }
    }

    /// Compares what one server says with what was approved, and keeps what changed; in the order of the sightings. New
    /// tools beyond [`PINS_PER_SERVER_MAX`](crate::PINS_PER_SERVER_MAX) are not kept, and not approved.
    ///
    /// # Errors
    /// Any [`StoreError`] of a write.
    pub async fn observe_pins(
        &self,
        sightings: Vec<Sighting>,
        policy: PinPolicy,
        now: UnixMillis,
    ) -> Result<Vec<Observed>, StoreError> {
        either!(self, store => store.observe_pins(sightings, policy, now).await)
    }

    /// Approves the definition of a tool with this hash, and no other; `None` when no such tool was ever seen.
    ///
    /// # Errors
    /// Any [`StoreError`] of a write.
    pub async fn approve_pin(
        &self,
        tool: ToolRef,
        hash: Digest,
        now: UnixMillis,
    ) -> Result<Option<Approval>, StoreError> {
        either!(self, store => store.approve_pin(tool, hash, now).await)
    }

    /// Every pin, by server and tool.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when they cannot be read, or a definition does not have its hash.
    pub async fn pins(&self) -> Result<Vec<PinRecord>, StoreError> {
        either!(self, store => store.pins().await)
    }

    /// A number that grows with every change of the pins, whichever process made it; see [`Store::keys_version`].
    ///
    /// # Errors
    /// [`StoreError::Definite`] when it cannot be read.
    pub async fn pins_version(&self) -> Result<u64, StoreError> {
        match &self.backend {
            Backend::Embedded(store) => store.pins_version(),
            #[cfg(feature = "postgres")]
            Backend::Postgres(shared) => shared.database.pins_version().await,
        }
    }

    /// Takes a call from buckets that all gateways on one database share: from all of them or from none. `Some`: one has no room.
    /// A file has one gateway, whose own count is that of all.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be told in time; it may have been taken then.
    pub async fn take_shared(&self, takes: &[SharedTake]) -> Result<Option<SharedWait>, StoreError> {
        match &self.backend {
            Backend::Embedded(_) => {
                let _ = takes;
                Ok(None)
            }
            #[cfg(feature = "postgres")]
            Backend::Postgres(shared) => shared.database.take_shared(takes).await,
        }
    }

    /// Forgets the results of calls that ended longer ago than results are kept; settlements and receipts stay. Results
    /// of open settlements are kept however old they are. Returns how many were forgotten.
    ///
    /// # Errors
    /// Any [`StoreError`] of a write; calling again continues.
    pub async fn prune(&self, now: UnixMillis) -> Result<usize, StoreError> {
        either!(self, store => store.prune(now).await)
    }

    /// Every key that ever signed a receipt here, the oldest first: what a gateway has to publish for old receipts to stay
    /// verifiable after a change of keys.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when they cannot be read.
    pub async fn signers(&self) -> Result<Vec<PublicKey>, StoreError> {
        either!(self, store => store.signers().await)
    }

    /// The latest attempts that changed at `since` or later, the newest first, at most `limit`: what is held against the rails.
    /// Reads every attempt; for people, not for calls.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when they cannot be read.
    pub async fn settlements_since(
        &self,
        since: UnixMillis,
        limit: u32,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        either!(self, store => store.settlements_since(since, limit).await)
    }

    /// Every attempt whose money is found under one of these references. Reads every attempt; for people, not for calls.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when they cannot be read.
    pub async fn settlements_by_reference(
        &self,
        references: HashSet<String>,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        either!(self, store => store.settlements_by_reference(references).await)
    }

    /// Checks the books against each other, every receipt and its place in the chain against [`Self::signers`], and a file
    /// against itself; empty when everything is in order. Takes as long as reading everything does, and holds nobody up. Whoever
    /// can rewrite the books can rewrite the keys in them too: against that, compare them with the published ones.
    ///
    /// # Errors
    /// [`StoreError::Definite`] when they cannot be read.
    pub async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        either!(self, store => store.check().await)
    }
}

impl LedgerStore for Store {
    async fn commit(&self, command: Command) -> Result<Outcome, StoreError> {
        either!(self, store => store.commit(command).await)
    }

    async fn decide(&self, command: Command) -> Result<Outcome, StoreError> {
        either!(self, store => store.decide(command).await)
    }

    async fn expired(
        &self,
        since: UnixMillis,
        now: UnixMillis,
        limit: u32,
    ) -> Result<Vec<Transfer>, StoreError> {
        either!(self, store => store.expired(since, now, limit).await)
    }

    async fn foresee(
        &self,
        asks: Vec<(Ask, Wanted)>,
        now: UnixMillis,
    ) -> Result<Vec<Option<Barrier>>, StoreError> {
        either!(self, store => store.foresee(asks, now).await)
    }

    async fn usages(&self, counters: Vec<Counter>) -> Result<Vec<Option<Usage>>, StoreError> {
        either!(self, store => store.usages(counters).await)
    }

    async fn stops(&self) -> Result<Stops, StoreError> {
        either!(self, store => store.stops().await)
    }

    async fn approval(&self, id: &ApprovalId) -> Result<Option<budget::Approval>, StoreError> {
        either!(self, store => store.approval(id).await)
    }

    async fn approvals(&self, limit: u32) -> Result<Vec<budget::Approval>, StoreError> {
        either!(self, store => store.approvals(limit).await)
    }

    async fn settlement(&self, key: &PaymentKey) -> Result<Option<SettlementRow>, StoreError> {
        either!(self, store => store.settlement(key).await)
    }

    async fn settlement_by_call(&self, call: &CallId) -> Result<Option<SettlementRow>, StoreError> {
        either!(self, store => store.settlement_by_call(call).await)
    }

    async fn open_settlements(
        &self,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        either!(self, store => store.open_settlements(after, limit).await)
    }

    async fn pending_settlements(&self) -> Result<PendingSettlements, StoreError> {
        either!(self, store => store.pending_settlements().await)
    }

    async fn unknown_settlements(
        &self,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        either!(self, store => store.unknown_settlements(after, limit).await)
    }

    async fn abandoned_settlements(
        &self,
        before: UnixMillis,
        after: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        either!(self, store => store.abandoned_settlements(before, after, limit).await)
    }

    async fn answer(&self, call: &CallId) -> Result<Option<StoredAnswer>, StoreError> {
        either!(self, store => store.answer(call).await)
    }

    async fn receipt(&self, id: &ReceiptId) -> Result<Option<String>, StoreError> {
        either!(self, store => store.receipt(id).await)
    }

    async fn calls(
        &self,
        caller: &Principal,
        tool: &ToolRef,
        since: UnixMillis,
        most: u64,
    ) -> Result<u64, StoreError> {
        either!(self, store => store.calls(caller, tool, since, most).await)
    }

    async fn spent(&self, caller: &Principal, since: [UnixMillis; 2]) -> Result<Vec<Spent>, StoreError> {
        either!(self, store => store.spent(caller, since).await)
    }

    async fn standing(&self, principal: &Principal) -> Result<Record, StoreError> {
        either!(self, store => store.standing(principal).await)
    }

    async fn balance(&self, account: &AccountName, asset: &AssetId) -> Result<Balances, StoreError> {
        either!(self, store => store.balance(account, asset).await)
    }

    async fn trial_balance(&self) -> Result<Vec<AccountBalance>, StoreError> {
        either!(self, store => store.trial_balance().await)
    }

    async fn recent_calls(&self, limit: u32) -> Result<Vec<RecentCall>, StoreError> {
        either!(self, store => store.recent_calls(limit).await)
    }
}

impl EscrowStore for Store {
    async fn escrow(&self, id: &EscrowId) -> Result<Option<EscrowRow>, StoreError> {
        either!(self, store => store.escrow(id).await)
    }

    async fn escrow_history(&self, id: &EscrowId) -> Result<EscrowHistory, StoreError> {
        either!(self, store => store.escrow_history(id).await)
    }

    async fn escrows(&self, filter: EscrowFilter, limit: u32) -> Result<EscrowPage, StoreError> {
        either!(self, store => store.escrows(filter, limit).await)
    }

    async fn open_escrows(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        either!(self, store => store.open_escrows().await)
    }

    async fn due_escrows(&self, now: UnixMillis, limit: u32) -> Result<Vec<DueEscrow>, StoreError> {
        either!(self, store => store.due_escrows(now, limit).await)
    }
}

impl PayoutStore for Store {
    async fn payout(&self, id: &PayoutId) -> Result<Option<PayoutRow>, StoreError> {
        either!(self, store => store.payout(id).await)
    }

    async fn payouts(&self, filter: PayoutFilter, limit: u32) -> Result<PayoutPage, StoreError> {
        either!(self, store => store.payouts(filter, limit).await)
    }

    async fn open_payouts(&self, after: Option<PayoutId>, limit: u32) -> Result<Vec<PayoutRow>, StoreError> {
        either!(self, store => store.open_payouts(after, limit).await)
    }

    async fn payee(&self, provider: &ProviderName) -> Result<Option<PayeeRow>, StoreError> {
        either!(self, store => store.payee(provider).await)
    }
}

impl CallHistory for Store {
    async fn calls_of(
        &self,
        caller: &Principal,
        before: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<RecentCall>, StoreError> {
        either!(self, store => store.calls_of(caller, before, limit).await)
    }
}
