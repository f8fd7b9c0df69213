//! A budget that is kept: reserve, then settle or give back, each step durable before it counts.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tollgate_domain::{Amount, AssetId, Money, UnixMillis};

use super::{Allowance, Allowances, Counted, Day, Event, Refused};

/// A boxed future: what keeps a budget is chosen at run time.
pub type BookFuture<'a> = Pin<Box<dyn Future<Output = Result<Counted, BookError>> + Send + 'a>>;

/// Where a budget is kept. Several payers, of several processes, may share one.
pub trait BudgetBook: Send + Sync {
    /// Applies one event ([`Counted::apply`]) to what is kept of an asset, as if nobody else were there, and returns what is
    /// kept now. When this returns, the change survives a crash.
    fn apply<'a>(&'a self, asset: &'a AssetId, event: Event) -> BookFuture<'a>;

    /// What is kept of an asset.
    fn counted<'a>(&'a self, asset: &'a AssetId) -> BookFuture<'a>;
}

/// Why a book did not change.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It cannot be read or written. Whoever cannot count does not pay.
    #[error("the budget cannot be kept: {0}")]
    Broken(String),
}

/// Why nothing was reserved.
#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    /// No limits are set for this asset.
    #[error("no limits are set for {0}")]
    UnknownAsset(AssetId),
    /// See [`BookError`].
    #[error(transparent)]
    Book(#[from] BookError),
}

/// What an owner allows, and where it is counted.
#[derive(Clone)]
pub struct Budget {
    allowances: Arc<Allowances>,
    book: Arc<dyn BudgetBook>,
}

impl Budget {
    /// A budget of these limits, counted in this book.
    pub fn new(allowances: Allowances, book: Arc<dyn BudgetBook>) -> Self {
        Self { allowances: Arc::new(allowances), book }
    }

    /// What the owner allows.
    pub fn allowances(&self) -> &Allowances {
        &self.allowances
    }

    /// What was spent of an asset so far.
    ///
    /// # Errors
    /// [`BookError`].
    pub async fn counted(&self, allowance: &Allowance) -> Result<Counted, BookError> {
        self.book.counted(allowance.asset.id()).await
    }

    /// Reserves money that is about to be handed out. Dropping the reservation leaves it counted.
    ///
    /// # Errors
    /// [`BudgetError`]: nothing was reserved.
    pub async fn reserve(&self, money: &Money, now: UnixMillis) -> Result<Reservation, BudgetError> {
        let asset = money.asset.id();
        let allowance = self.allowances.assets.iter().find(|allowance| allowance.asset.id() == asset);
        let limits = allowance.ok_or_else(|| BudgetError::UnknownAsset(asset.clone()))?.limits;
        let event = Event::Reserve { amount: money.amount, limits, today: Day::of(now) };
        let counted = self.book.apply(asset, event).await?;
        Ok(Reservation {
            book: Arc::clone(&self.book),
            asset: asset.clone(),
            amount: money.amount,
            counted_on: counted.day,
        })
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("allowances", &self.allowances).finish_non_exhaustive()
    }
}

/// Reserved money. It is counted until it is given back, which happens at most once and only by whoever holds this value.
#[must_use = "reserved money is settled, given back, or left counted on purpose"]
pub struct Reservation {
    book: Arc<dyn BudgetBook>,
    asset: AssetId,
    amount: Amount,
    counted_on: Day,
}

impl Reservation {
    /// The answer has come: the money is no longer open. It stays counted.
    ///
    /// # Errors
    /// [`BookError`]: the money is counted, but still shown as open.
    pub async fn settle(self) -> Result<(), BookError> {
        self.book.apply(&self.asset, Event::Settle { amount: self.amount }).await.map(|_| ())
    }

    /// Gives back what was surely never handed out.
    ///
    /// # Errors
    /// [`BookError`]: the money stays counted.
    pub async fn release(self) -> Result<(), BookError> {
        let event = Event::Release { amount: self.amount, counted_on: self.counted_on };
        self.book.apply(&self.asset, event).await.map(|_| ())
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("asset", &self.asset)
            .field("amount", &self.amount)
            .finish_non_exhaustive()
    }
}
