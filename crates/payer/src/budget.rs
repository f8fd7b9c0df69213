//! How much an owner lets a payer spend: per call, per day and in all, for each asset.
//!
//! The rules are pure: [`Counted::apply`] is their only spelling, and a [`BudgetBook`] applies them to what is kept, one at a
//! time. Money is reserved before it is spent. Once it may have left the wallet it counts for good: an authorization that was
//! handed out can be used until it expires, whatever its receiver says, so only what was surely never handed out is given back.

mod book;
mod limits;

use tollgate_domain::{Amount, UnixMillis};

pub use book::{BookError, BookFuture, Budget, BudgetBook, BudgetError, Reservation};
pub use limits::{Allowance, Allowances};

const DAY_MS: u64 = 86_400_000;

/// A calendar day in UTC: days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Day(u64);

impl Day {
    /// The day of a moment.
    pub const fn of(now: UnixMillis) -> Self {
        Self(now.get() / DAY_MS)
    }

    /// The day that is so many days after 1970-01-01.
    pub const fn new(days: u64) -> Self {
        Self(days)
    }

    /// Days since 1970-01-01.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What was spent of one asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// In all: everything that was reserved and not given back.
    pub total: Amount,
    /// The last day on which something was reserved.
    pub day: Day,
    /// On that day.
    pub of_day: Amount,
    /// The part of `total` for which no answer has come (yet).
    pub open: Amount,
}

/// What happens to a budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Money is about to be handed out.
    Reserve {
        /// How much.
        amount: Amount,
        /// What the owner allows.
        limits: Limits,
        /// The day.
        today: Day,
    },
    /// The answer to a reserved call has come.
    Settle {
        /// How much was reserved.
        amount: Amount,
    },
    /// Reserved money was never handed out.
    Release {
        /// How much was reserved.
        amount: Amount,
        /// On which day it was counted.
        counted_on: Day,
    },
}

/// The limits of one asset. Zero forbids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most one call may cost.
    pub per_call: Amount,
    /// The most that may be spent on one day in UTC.
    pub per_day: Amount,
    /// The most that may be spent in all.
    pub total: Amount,
}

/// Which limit a price does not fit into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// [`Limits::per_call`].
    PerCall,
    /// [`Limits::per_day`].
    PerDay,
    /// [`Limits::total`].
    Total,
}

/// A budget does not change like that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// A limit would be passed. Nothing was reserved.
    #[error("a limit would be passed")]
    Exceeded {
        /// Which one.
        limit: Limit,
        /// How much may be spent at most.
        allowed: Amount,
        /// How much of it is spent already.
        spent: Amount,
    },
    /// More is settled or given back than was reserved.
    #[error("more is settled or given back than was reserved")]
    NotReserved,
}

impl Counted {
    /// The only way a budget changes.
    ///
    /// # Errors
    /// [`Refused`]; the budget stays as it is.
    pub fn apply(self, event: Event) -> Result<Self, Refused> {
        match event {
            Event::Reserve { amount, limits, today } => self.reserve(amount, limits, today),
            Event::Settle { amount } => {
                let open = self.open.checked_sub(amount).ok_or(Refused::NotReserved)?;
                Ok(Self { open, ..self })
            }
            Event::Release { amount, counted_on } => self.release(amount, counted_on),
        }
    }

    fn reserve(self, amount: Amount, limits: Limits, today: Day) -> Result<Self, Refused> {
        // A clock that goes back renews nothing: money of the later day still counts.
        let day = today.max(self.day);
        let of_day = if day > self.day { Amount::ZERO } else { self.of_day };
        let within = |limit, allowed: Amount, spent: Amount| match spent.checked_add(amount) {
            Some(sum) if sum <= allowed => Ok(sum),
            _ => Err(Refused::Exceeded { limit, allowed, spent }),
        };
        within(Limit::PerCall, limits.per_call, Amount::ZERO)?;
        let total = within(Limit::Total, limits.total, self.total)?;
        let of_day = within(Limit::PerDay, limits.per_day, of_day)?;
        let open = self.open.checked_add(amount).ok_or(Refused::NotReserved)?;
        Ok(Self { total, day, of_day, open })
    }

    fn release(self, amount: Amount, counted_on: Day) -> Result<Self, Refused> {
        let less = |from: Amount| from.checked_sub(amount).ok_or(Refused::NotReserved);
        // What was counted on an earlier day is no longer in the sum of this one.
        let of_day = if counted_on == self.day { less(self.of_day)? } else { self.of_day };
        Ok(Self { total: less(self.total)?, open: less(self.open)?, of_day, ..self })
    }
}

#[cfg(test)]
mod tests;
