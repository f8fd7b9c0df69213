//! The till itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tollgate_attest::{PublicKey, Signer};
use tollgate_domain::{AssetId, CallId, Digest};
use tollgate_ledger::{LedgerStore, StoreError};
use tollgate_rails::PaymentRail;
use tollgate_store::{Commits, DatabaseUrl, Options, Store};

use crate::data::{DataDirectory, DataError};
use crate::dispatch::DispatchMarks;
use crate::documents;
use crate::keys;
use crate::keys::KeySnapshot;
use crate::payment::{Lightning, SandboxRails, Secret, Settling, X402};
use crate::payouts::{PayoutFunding, PayoutRails};
use crate::rails::{RELAYER_KEY, RailError, Rails, rails};
use crate::sandbox::{self, Dev};
use crate::taken::{self, TakenError};

/// How long results of paid calls are kept by default: a day.
const RESULT_TTL_MS: u64 = 86_400_000;

/// What a till is opened with.
#[derive(Clone, Debug)]
pub struct Funding<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// The database of the ledger, where several gateways share one.
    pub database: Option<&'a DatabaseUrl>,
    /// The base URL callers use, without a trailing slash.
    pub public_url: &'a str,
    /// x402, if taken.
    pub x402: Option<&'a X402>,
    /// Lightning, if taken.
    pub lightning: Option<&'a Lightning>,
    /// What pays providers, if anything does.
    pub payouts: Option<&'a PayoutFunding>,
    /// The secret that quotes and macaroons are derived from; `None`: the one of the data directory.
    pub secret: Option<&'a Secret>,
    /// How long results of paid calls are kept for a repeated payment.
    pub result_ttl_ms: u64,
    /// Who is told how long commits take.
    pub commits: Option<Arc<dyn Commits>>,
}

impl<'a> Funding<'a> {
    /// Sandbox money, and nothing else said.
    pub fn sandbox(data: &'a Path, public_url: &'a str, rails: &'a SandboxRails) -> Self {
        Self {
            data,
            database: None,
            public_url,
            x402: Some(&rails.x402),
            lightning: Some(&rails.lightning),
            payouts: None,
            secret: None,
            result_ttl_ms: RESULT_TTL_MS,
            commits: None,
        }
    }
}

/// Everything that takes money, over one data directory.
#[derive(Debug)]
pub struct Till {
    /// The data directory.
    pub data: DataDirectory,
    /// The ledger.
    pub store: Store,
    /// API keys.
    pub keys: Arc<KeySnapshot>,
    /// The rails, in the order in which they are offered.
    pub rails: Vec<Arc<dyn PaymentRail>>,
    /// Which paid calls were sent.
    pub marks: Arc<DispatchMarks>,
    /// The public keys of its receipts: the one that signs, then every other one that had signed in this ledger when it was opened.
    pub receipt_keys: Vec<PublicKey>,
    /// The secret that quotes and macaroons are derived from.
    pub secret: [u8; 32],
    /// What only dev mode has.
    pub dev: Option<Dev>,
    /// What pays providers.
    pub payouts: PayoutRails,
}

/// Why no money can be taken.
#[derive(Debug, thiserror::Error)]
pub enum TillError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The receipts' key is no key.
    #[error(transparent)]
    ReceiptKey(#[from] tollgate_attest::KeyError),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Open(#[from] tollgate_store::OpenError),
    /// The marks of calls that were sent cannot be read.
    #[error("use the dispatch marks")]
    Marks(#[source] std::io::Error),
    /// The books of this directory are in a database, and none is named.
    #[error(
        "the ledger of this data directory is in {database}, and no database is named: name it in database.url (TOLLGATE__DATABASE__URL), \
         or use another data directory (--data)"
    )]
    LedgerElsewhere {
        /// Where they are.
        database: String,
    },
    /// The books of this directory are a file in it, and a database is named.
    #[error(
        "the ledger of this data directory is {}, and the database that is named knows nothing of it: use another data directory \
         (--data), or move that file away to begin with other books",
        ledger.display()
    )]
    LedgerHere {
        /// The file.
        ledger: PathBuf,
    },
    /// It cannot be written down where the ledger is.
    #[error("write down where the ledger is")]
    Elsewhere(#[source] std::io::Error),
    /// It cannot be written down which assets are taken.
    #[error(transparent)]
    Taken(#[from] TakenError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A rail cannot be built.
    #[error(transparent)]
    Rail(#[from] RailError),
    /// Sandbox rails would decide about real money: a look at their own books finds no trace of it, and calls it failed.
    #[error(
        "{calls} call(s) in this data directory wait for real money on its rail, the first is {first}; open it with the \
         settings that it was used with, or use another data directory for sandbox money"
    )]
    RealMoneyOpen {
        /// How many.
        calls: usize,
        /// The first of them.
        first: CallId,
    },
    /// Money that dev mode made would pay for calls that cost real money: it is credit in the very asset that is taken.
    #[error(
        "{asset} in this data directory is SANDBOX money, made by dev mode, and would be taken for real; use another data \
         directory (--data) for real money"
    )]
    SandboxMoney {
        /// What is taken.
        asset: AssetId,
    },
    /// Money that dev mode makes would stand beside real money, and spend it.
    #[error(
        "this data directory settles real payments on a chain (it has {}); use another one (--data) for sandbox money",
        RELAYER_KEY
    )]
    RealMoneyKept,
}

/// How many open settlements are read at once, however many there are.
const ROWS_MAX: u32 = 256;
/// Says in a data directory that its ledger is in a database, without a password: whoever looks for a file is told.
const ELSEWHERE: &str = "ledger.database";

/// Where the ledger of the gateway with this data directory is, if it is in a database.
pub fn ledger_elsewhere(data: &Path) -> Option<String> {
    std::fs::read_to_string(data.join(ELSEWHERE)).ok()
}

/// Whose credit, receipts and used proofs are in one ledger must not be served from another by mistake: a setting that got lost on the way
/// would look like an empty one.
fn same_books(data: &DataDirectory, database: Option<&DatabaseUrl>) -> Result<(), TillError> {
    let (elsewhere, ledger) = (ledger_elsewhere(data.root()), data.path("ledger.db"));
    match (elsewhere, database) {
        (Some(database), None) => Err(TillError::LedgerElsewhere { database }),
        (None, Some(_)) if ledger.exists() => Err(TillError::LedgerHere { ledger }),
        (Some(_), Some(_)) | (None, _) => Ok(()),
    }
}

/// Writes down in a data directory that its ledger is in this database.
///
/// # Errors
/// When the note cannot be written.
pub fn ledger_is_in(data: &Path, database: &DatabaseUrl) -> std::io::Result<()> {
    std::fs::write(data.join(ELSEWHERE), database.to_string())
}

impl Till {
    /// Opens the till. [`recover`](tollgate_gate::Gate::recover) must run before the first call is taken.
    ///
    /// # Errors
    /// What is missing or cannot be opened, as a sentence for the operator.
    pub async fn open(funding: Funding<'_>) -> Result<Self, TillError> {
        let data = DataDirectory::open(funding.data)?;
        same_books(&data, funding.database)?;
        let signer = Signer::from_seed(&data.key("receipts.key")?)?;
        let own = signer.public();
        let options = Options {
            commits: funding.commits.clone(),
            results_kept: Duration::from_millis(funding.result_ttl_ms),
            #[cfg(feature = "failpoints")]
            failpoints: Some(Arc::new(crate::failpoint::StorePoints)),
            ..Options::default()
        };
        let store = match funding.database {
            None => Store::open(funding.data, signer, options)?,
            Some(url) => Store::connect(url.clone(), funding.data, signer, options).await?,
        };
        let noted = funding.database.map(|database| ledger_is_in(funding.data, database));
        noted.transpose().map_err(TillError::Elsewhere)?;
        let receipt_keys = documents::receipt_keys(&store, &[own]).await?;
        let marks = DispatchMarks::open(&data.path("dispatch.marks")).map_err(TillError::Marks)?;
        let snapshot = Arc::new(KeySnapshot::default());
        keys::reload(&store, &snapshot).await?;
        let secret = match funding.secret {
            Some(secret) => *Digest::of(&secret.0).as_bytes(),
            None => data.key("gate.key")?,
        };
        // Before the rails, which make their keys: who is refused leaves nothing behind.
        if funding.x402.is_some_and(|x402| matches!(x402.settling, Settling::Sandbox)) {
            without_real_money(&store).await?;
            if data.path(RELAYER_KEY).exists() {
                return Err(TillError::RealMoneyKept);
            }
        } else {
            without_sandbox_money(&store, &funding).await?;
        }
        let Rails { offered, dev, payouts } = rails(&funding, &data, &secret)?;
        let assets =
            [funding.x402.map(|x402| &x402.asset), funding.lightning.map(|lightning| &lightning.asset)];
        taken::write_down(&data, assets.into_iter().flatten())?;
        Ok(Self {
            data,
            store,
            keys: snapshot,
            rails: offered,
            marks: Arc::new(marks),
            receipt_keys,
            secret,
            dev,
            payouts,
        })
    }
}

/// Dev mode has the ids of test networks, so that stock clients sign for it: with them its money would be worth what theirs is.
async fn without_sandbox_money(store: &Store, funding: &Funding<'_>) -> Result<(), TillError> {
    let sandbox = sandbox::assets().map_err(RailError::SandboxAsset)?;
    let taken = [funding.x402.map(|x402| &x402.asset), funding.lightning.map(|lightning| &lightning.asset)];
    match taken.into_iter().flatten().find(|asset| sandbox.by_id(asset.id()).is_some()) {
        Some(asset) if sandbox::has_been(store).await? => {
            Err(TillError::SandboxMoney { asset: asset.id().clone() })
        }
        _ => Ok(()),
    }
}

/// Sandbox money is on our books from the claim on: what waits for a rail is not sandbox money.
async fn without_real_money(store: &Store) -> Result<(), TillError> {
    let (mut calls, mut first, mut after) = (0_usize, None, None);
    loop {
        let open = store.open_settlements(after, ROWS_MAX).await?;
        for row in open.iter().filter(|row| !row.funds.settles_on_our_books()) {
            calls = calls.saturating_add(1);
            first = first.or(Some(row.call));
        }
        after = open.last().map(|row| row.call);
        match (after, first) {
            (Some(_), _) => {}
            (None, Some(first)) => return Err(TillError::RealMoneyOpen { calls, first }),
            (None, None) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_of_a_directory_are_not_left_behind_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(folder.path()).unwrap();
        assert!(same_books(&data, None).is_ok(), "a new directory");
        std::fs::write(data.path(ELSEWHERE), "the database tg at db.internal").unwrap();
        let left = same_books(&data, None).unwrap_err().to_string();
        assert!(left.contains("tg at db.internal") && left.contains("database.url"), "{left}");
        #[cfg(feature = "postgres")]
        {
            let database = "postgresql://tg:secret@db.internal/tg".parse().unwrap();
            assert!(same_books(&data, Some(&database)).is_ok());
            std::fs::write(data.path("ledger.db"), "").unwrap();
            assert!(same_books(&data, Some(&database)).is_ok(), "left behind once, and on purpose");
            std::fs::remove_file(data.path(ELSEWHERE)).unwrap();
            let here = same_books(&data, Some(&database)).unwrap_err().to_string();
            assert!(here.contains("ledger.db") && !here.contains("secret"), "{here}");
        }
    }
}
