//! The limits that every house has.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use tollgate_risk::{Counts, Label, Limits, Part, Per, Plan, Rate, Refill, Rule, Scope};

/// How long past its expiry an unsettled payment is watched: an authorization that expired cannot be mined any more, this
/// leaves room for a block that was on its way.
pub const FINALITY_MS: u64 = 60_000;
/// How many callers each limit remembers.
pub const CALLERS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(99_999);

/// The limits that there are without being asked for: a burst of a tenth of a minute's allowance (at least 20), for each
/// caller.
pub fn per_minute(calls: u32, offers: u32) -> Vec<Rule> {
    let rule = |name: &str, counts: Counts, per_minute: u32| {
        let units = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        let refill = Refill::per_minute(units);
        let per = Per::of([Part::Caller]);
        let label = Label { name: name.to_owned(), rate: refill.to_string(), per: per.to_string() };
        let rate = Rate::of(refill, NonZeroU32::new((per_minute / 10).max(20)));
        Rule { label: Arc::new(label), counts, scope: Scope::Gateway, per, rate, shared: false }
    };
    vec![
        rule("limits.calls_per_minute", Counts::Calls, calls),
        rule("limits.offers_per_minute", Counts::Offers, offers),
    ]
}

/// Those limits alone.
pub fn limits(calls_per_minute: u32, offers_per_minute: u32) -> Limits {
    // Nothing weighs more than one there, so that there is always room for it.
    let plan = Plan::new(per_minute(calls_per_minute, offers_per_minute), Vec::new()).unwrap_or_default();
    Limits::new(&plan, CALLERS_MAX)
}
