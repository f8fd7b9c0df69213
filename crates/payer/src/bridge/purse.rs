//! Buying one call: the offer that fits the wallet and the budget, reserved first, paid second. The only place of the bridge
//! that uses a wallet.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tollgate_domain::{Rail, UnixMillis};

use super::listing::Listing;
use crate::budget::{Allowance, BookError, Budget, BudgetError, Refused, Reservation};
use crate::demand::{Carrier, Demand};
use crate::offer::{self, Allowed, Offer, Terms};
use crate::payment::{self, Payment};
use crate::{PayError, Randomness, Wallets};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// What a bridge pays with and how far it may go.
#[derive(Clone)]
pub struct Purse {
    /// The wallets.
    pub wallets: Wallets,
    /// Fresh bytes for nonces.
    pub randomness: Arc<dyn Randomness>,
    /// The limits, and where they are counted. An asset without limits is not paid with.
    pub budget: Budget,
    /// The time of a payment.
    pub clock: Clock,
}

impl fmt::Debug for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purse")
            .field("wallets", &self.wallets)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

/// A payment that was made and not yet answered.
pub(super) struct Held {
    pub(super) payment: Payment,
    pub(super) carrier: Carrier,
    pub(super) terms: Terms,
    /// Taken when the answer has come.
    pub(super) reservation: Option<Reservation>,
}

impl Held {
    /// The answer has come; the money stays counted.
    pub(super) async fn settle(&mut self) {
        if let Some(reservation) = self.reservation.take()
            && let Err(error) = reservation.settle().await
        {
            tracing::warn!(%error, "a paid call is still shown as open in the budget");
        }
    }
}

/// Why a call was not bought. Apart from [`Unbought::InDoubt`] nothing left a wallet.
#[derive(Debug)]
pub(super) enum Unbought {
    /// The owner did not allow this tool.
    ToolNotAllowed,
    /// No wallet here can pay in any asset with limits.
    NoWallet,
    /// What is asked contradicts the server's own list.
    NotAsListed { terms: Box<Terms>, objection: String },
    /// A limit of this allowance does not let it pass.
    OverBudget { terms: Box<Terms>, allowance: Box<Allowance>, refused: Refused },
    /// The budget cannot be kept, so nothing is spent.
    NoBook(String),
    /// No offer fits: too dear for one call, another asset or network, or not sound.
    NoOffer(PayError),
    /// The header that would carry the payment is taken by the owner's credential.
    HeaderTaken,
    /// The wallet did not pay.
    NotPaid(PayError),
    /// The wallet may have paid; the money stays counted.
    InDoubt(PayError),
}

impl Unbought {
    /// The more of an offer fitted, the more its reason says.
    fn weight(&self) -> u8 {
        match self {
            Self::NoWallet | Self::ToolNotAllowed => 0,
            Self::NoOffer(PayError::PriceAboveLimit { .. }) => 3,
            Self::NoOffer(PayError::UnsoundOffer(_)) => 2,
            Self::NoOffer(_) => 1,
            Self::HeaderTaken => 4,
            Self::NotAsListed { .. } => 5,
            Self::OverBudget { .. } => 6,
            Self::NoBook(_) | Self::NotPaid(_) | Self::InDoubt(_) => 7,
        }
    }
}

/// A call that costs something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) tool: &'a str,
    pub(super) demand: &'a Demand,
    pub(super) listing: &'a Listing,
    /// The owner's own headers.
    pub(super) headers: &'a HeaderMap,
}

impl Purse {
    /// Buys a call: with the first asset of the owner's list for which an offer fits every limit.
    ///
    /// # Errors
    /// [`Unbought`]: why it was not bought.
    pub(super) async fn buy(&self, wanted: Wanted<'_>) -> Result<Held, Unbought> {
        if !self.budget.allowances().allows_tool(wanted.tool) {
            return Err(Unbought::ToolNotAllowed);
        }
        let now = (self.clock)();
        let mut why_not = Unbought::NoWallet;
        for allowance in self.budget.allowances().assets.iter().filter(|allowance| self.can_pay(allowance)) {
            match self.reserve(wanted, allowance, now).await {
                Ok((terms, offer, reservation)) => {
                    return self.pay(wanted.demand.carrier, terms, offer, reservation, now).await;
                }
                Err(reason) if reason.weight() > why_not.weight() => why_not = reason,
                Err(_) => {}
            }
        }
        Err(why_not)
    }

    fn can_pay(&self, allowance: &Allowance) -> bool {
        match allowance.asset.id().network().starts_with("lightning:") {
            true => self.wallets.lightning.is_some(),
            false => self.wallets.evm.is_some(),
        }
    }

    async fn reserve(
        &self,
        wanted: Wanted<'_>,
        allowance: &Allowance,
        now: UnixMillis,
    ) -> Result<(Terms, Offer, Reservation), Unbought> {
        let networks = BTreeSet::from([allowance.asset.id().network().to_owned()]);
        let allowed = Allowed { limit: &allowance.per_call(), networks: &networks, now };
        let (terms, offer) = offer::choose(wanted.demand, allowed).map_err(Unbought::NoOffer)?;
        if let Some(objection) = wanted.listing.objection(wanted.tool, &terms.money) {
            return Err(Unbought::NotAsListed { terms: Box::new(terms), objection });
        }
        // Two credentials in one header would let the server choose whom to charge.
        let in_authorization = terms.rail == Rail::L402 && wanted.demand.carrier == Carrier::Header;
        if in_authorization && wanted.headers.contains_key(AUTHORIZATION) {
            return Err(Unbought::HeaderTaken);
        }
        match self.budget.reserve(&terms.money, now).await {
            Ok(reservation) => Ok((terms, offer, reservation)),
            Err(BudgetError::Book(BookError::Refused(refused))) => {
                let allowance = Box::new(allowance.clone());
                Err(Unbought::OverBudget { terms: Box::new(terms), allowance, refused })
            }
            Err(error) => Err(Unbought::NoBook(error.to_string())),
        }
    }

    async fn pay(
        &self,
        carrier: Carrier,
        terms: Terms,
        offer: Offer,
        reservation: Reservation,
        now: UnixMillis,
    ) -> Result<Held, Unbought> {
        let made = payment::make(&offer, &terms.money, &self.wallets, self.randomness.as_ref(), now).await;
        match made {
            Ok(payment) => Ok(Held { payment, carrier, terms, reservation: Some(reservation) }),
            Err(error) if payment::nothing_left_the_wallet(&error) => {
                if let Err(error) = reservation.release().await {
                    tracing::warn!(%error, "money that was not spent stays counted in the budget");
                }
                Err(Unbought::NotPaid(error))
            }
            Err(error) => Err(Unbought::InDoubt(error)),
        }
    }
}
