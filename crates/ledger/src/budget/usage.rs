//! What was spent in one window of one node.

use tollgate_domain::{Amount, AssetId, UnixMillis};

use super::{Calendar, NodeKey, Span};

/// What is counted: the spending of one node in one asset over windows of one span.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Counter {
    /// The node.
    pub node: NodeKey,
    /// The asset.
    pub asset: AssetId,
    /// The span.
    pub span: Span,
}

/// What a counter says: one window, the latest in which something was reserved. An earlier one bounds nothing any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// When the window began.
    pub start: UnixMillis,
    /// When something was last reserved.
    pub last: UnixMillis,
    /// What is reserved or spent in it.
    pub used: Amount,
}

impl Usage {
    /// What counts now: what was used in the window that holds this moment. A clock that goes back opens no window again: what
    /// was spent in the later one still counts.
    pub fn at(known: Option<Self>, span: Span, now: UnixMillis, calendar: Calendar) -> Self {
        let start = span.start(now, calendar.zone);
        match known {
            Some(usage) if !usage.is_over(span, start, now, calendar) => usage,
            Some(_) | None => Self { start, last: now, used: Amount::ZERO },
        }
    }

    fn is_over(self, span: Span, start: UnixMillis, now: UnixMillis, calendar: Calendar) -> bool {
        match span {
            Span::Hour | Span::Day | Span::Month => start > self.start,
            Span::Session => now.millis_since(self.last) > calendar.session_idle_ms,
        }
    }

    /// With this much more. `None` when it does not fit 128 bits.
    pub fn reserve(self, amount: Amount, now: UnixMillis) -> Option<Self> {
        let used = self.used.checked_add(amount)?;
        Some(Self { used, last: self.last.max(now), ..self })
    }

    /// With this much less, where it was taken from this window. What was taken from an earlier one is in no sum any more.
    #[must_use]
    pub fn release(self, amount: Amount, taken_from: UnixMillis) -> Self {
        if taken_from != self.start {
            return self;
        }
        // More than is used is never given back: each reservation is released once, by its call's one end.
        Self { used: self.used.checked_sub(amount).unwrap_or_default(), ..self }
    }

    /// When all of it may be spent again.
    pub fn resets(self, span: Span, calendar: Calendar) -> UnixMillis {
        let idle = || self.last.plus_millis(calendar.session_idle_ms).plus_millis(1);
        span.end(self.start, calendar.zone).unwrap_or_else(idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_goes_on_with_each_call_and_ends_with_a_pause() {
        let calendar = Calendar { session_idle_ms: 1_000, ..Calendar::default() };
        let at = UnixMillis::new;
        let now = |known, millis| Usage::at(known, Span::Session, at(millis), calendar);
        let first = now(None, 5_000).reserve(Amount::new(3), at(5_000)).unwrap();
        let second = now(Some(first), 5_900).reserve(Amount::new(4), at(5_900)).unwrap();
        assert_eq!((second.used, second.last), (Amount::new(7), at(5_900)));
        // A second after the last call it is the same session still, though it began longer ago; a pause ends it.
        assert_eq!(now(Some(second), 6_900).used, Amount::new(7));
        assert_eq!(now(Some(second), 6_901).used, Amount::ZERO);
        assert_eq!(second.resets(Span::Session, calendar), at(6_901));
        // A call whose clock is behind makes the session no shorter.
        assert_eq!(second.reserve(Amount::new(1), at(5_000)).unwrap().last, at(5_900));
    }
}
