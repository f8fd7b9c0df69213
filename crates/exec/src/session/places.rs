//! Who gets a place for a session where all are taken, and whose session gives way.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

/// Whose request opens a session, as far as it decides who gets a place: the number says nothing here. It comes in the extensions of
/// the request; without it, whoever asks is a stranger like all others without it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Holder {
    /// One of those for whom nobody vouches, by what they have in common.
    Stranger(u128),
    /// One who is known.
    Known(u128),
    /// The gateway itself.
    House,
}

impl Default for Holder {
    fn default() -> Self {
        Self::Stranger(0)
    }
}

impl Holder {
    const fn standing(self) -> u8 {
        match self {
            Self::Stranger(_) => 0,
            Self::Known(_) => 1,
            Self::House => 2,
        }
    }

    /// Whether the last of this holder's `own` places is worth one of `other`'s `theirs`: of an equal, if that one has more, so that no
    /// two take a place from each other for ever; of one of lower standing, if it has no fewer; of one of higher standing never.
    const fn outweighs(self, own: usize, other: Self, theirs: usize) -> bool {
        if self.standing() == other.standing() {
            theirs > own
        } else {
            self.standing() > other.standing() && theirs >= own
        }
    }
}

/// How many places each holder has, the one asked for among them.
#[derive(Clone, Default, Debug)]
pub(super) struct Places(HashMap<Holder, usize>);

impl Places {
    pub(super) fn count(holders: impl IntoIterator<Item = Holder>) -> Self {
        let mut places = HashMap::new();
        for holder in holders {
            *places.entry(holder).or_default() += 1;
        }
        Self(places)
    }

    fn of(&self, holder: Holder) -> usize {
        self.0.get(&holder).copied().unwrap_or_default()
    }

    /// Whether a place of `other` may go to `newcomer`.
    pub(super) fn may_go(&self, newcomer: Holder, other: Holder) -> bool {
        newcomer != other && newcomer.outweighs(self.of(newcomer), other, self.of(other))
    }

    /// Whether even a request that is under way may lose its place: of a stranger who has more than a quarter of all `places_max`
    /// places, and more than one. Otherwise requests that never end would keep everybody else out.
    pub(super) fn are_too_many(&self, holder: Holder, places_max: usize) -> bool {
        matches!(holder, Holder::Stranger(_)) && self.of(holder) > (places_max / 4).max(1)
    }

    /// Whose place goes first: that of lower standing, then that of whoever has more.
    pub(super) fn order(&self, one: Holder, other: Holder) -> Ordering {
        let rank = |holder: Holder| (holder.standing(), Reverse(self.of(holder)));
        rank(one).cmp(&rank(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Holder = Holder::Stranger(1);
    const B: Holder = Holder::Stranger(2);
    const KNOWN: Holder = Holder::Known(1);

    fn places(counts: &[(Holder, usize)]) -> Places {
        Places::count(counts.iter().flat_map(|(holder, count)| std::iter::repeat_n(*holder, *count)))
    }

    #[test]
    fn among_equals_a_place_goes_only_from_whoever_has_more() {
        for (own, theirs, goes) in
            [(1, 64, true), (1, 2, true), (1, 1, false), (32, 33, true), (32, 32, false)]
        {
            assert_eq!(places(&[(A, own), (B, theirs)]).may_go(A, B), goes, "{own} {theirs}");
        }
        assert!(!places(&[(A, 64)]).may_go(A, A), "nobody gains by giving up its own");
    }

    #[test]
    fn whoever_is_known_has_a_first_place_before_any_stranger_and_none_is_taken_from_it_by_one() {
        assert!(places(&[(A, 1), (B, 1), (KNOWN, 1)]).may_go(KNOWN, A));
        assert!(!places(&[(A, 1), (KNOWN, 2)]).may_go(KNOWN, A), "but not each");
        assert!(places(&[(A, 2), (KNOWN, 2)]).may_go(KNOWN, A));
        let other = Holder::Known(2);
        let full = places(&[(KNOWN, 64), (A, 1), (other, 1)]);
        assert!(!full.may_go(A, KNOWN));
        assert!(full.may_go(other, KNOWN), "control: another who is known");
    }

    #[test]
    fn only_a_stranger_with_more_than_a_quarter_has_too_many() {
        for (own, places_max, are) in
            [(16, 64, false), (17, 64, true), (2, 8, false), (1, 1, false), (2, 3, true)]
        {
            assert_eq!(places(&[(A, own)]).are_too_many(A, places_max), are, "{own} of {places_max}");
            assert!(!places(&[(KNOWN, own), (Holder::House, own)]).are_too_many(KNOWN, places_max));
        }
    }

    #[test]
    fn the_gateway_itself_gives_way_to_nobody_and_is_let_in_by_everybody() {
        for other in [A, KNOWN] {
            let both = places(&[(other, 1), (Holder::House, 1)]);
            assert!(!both.may_go(other, Holder::House));
            assert!(both.may_go(Holder::House, other));
        }
    }

    #[test]
    fn strangers_give_way_first_and_of_them_who_has_most() {
        let places = places(&[(A, 1), (B, 5), (KNOWN, 58)]);
        let mut order = [KNOWN, A, B];
        order.sort_by(|one, other| places.order(*one, *other));
        assert_eq!(order, [B, A, KNOWN]);
    }
}
