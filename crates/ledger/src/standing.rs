//! Local reputation: an exponential moving average over how the calls of one principal ended. Owns the arithmetic and
//! whom it is kept for.

use tollgate_domain::{Bps, Principal};

/// How much one call weighs: λ = 0.1.
const WEIGHT: Bps = Bps::new(1_000);
/// Where everyone begins.
const START: Bps = Bps::new(5_000);

/// How a call ended, as far as standing is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// It was paid.
    Settled,
    /// Its payment was definitely refused after the tool had run.
    Failed,
}

/// What is remembered of a principal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Record {
    /// The moving average, from 0.5.
    pub reputation: Bps,
    /// How many calls were settled.
    pub settled: u64,
    /// How many payments failed.
    pub failed: u64,
}

impl Default for Record {
    fn default() -> Self {
        Self { reputation: START, settled: 0, failed: 0 }
    }
}

impl Record {
    /// Whether a record is kept for this principal: those that can come back, an API key or a wallet. A payment hash is
    /// new with every payment, and `anonymous` is everybody.
    pub fn is_kept_for(principal: &Principal) -> bool {
        principal.as_str().starts_with("key_") || principal.as_str().starts_with("eip155:")
    }

    /// The record after one more call.
    #[must_use]
    pub fn after(self, verdict: Verdict) -> Self {
        match verdict {
            Verdict::Settled => Self {
                reputation: self.reputation.moved_towards(Bps::ONE, WEIGHT),
                settled: self.settled.saturating_add(1),
                ..self
            },
            Verdict::Failed => Self {
                reputation: self.reputation.moved_towards(Bps::ZERO, WEIGHT),
                failed: self.failed.saturating_add(1),
                ..self
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_domain::{Caller, KeyId};

    #[test]
    fn a_settled_call_lifts_and_a_failed_payment_lowers() {
        let once = Record::default().after(Verdict::Settled);
        assert_eq!(once, Record { reputation: Bps::new(5_500), settled: 1, failed: 0 });
        assert_eq!(
            once.after(Verdict::Failed),
            Record { reputation: Bps::new(4_950), settled: 1, failed: 1 }
        );
    }

    #[test]
    fn only_those_who_can_come_back_have_a_record() {
        let kept = |caller: Caller| Record::is_kept_for(&caller.principal());
        assert!(kept(Caller::ApiKey(KeyId::from_bytes([1; 16]))));
        assert!(kept(Caller::Wallet([1; 20])));
        assert!(!kept(Caller::Preimage([1; 32])));
        assert!(!kept(Caller::Anonymous));
    }
}
