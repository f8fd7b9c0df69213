use proptest::prelude::*;
use tollgate_domain::KeyId;

use super::*;

const KEY: Caller = Caller::ApiKey(KeyId::from_bytes([1; 16]));
const WALLET: Caller = Caller::Wallet([2; 20]);
const PREIMAGE: Caller = Caller::Preimage([3; 32]);

fn asks(api_key: bool, min_reputation: u16) -> Requirement {
    Requirement { api_key, min_reputation: Bps::new(min_reputation) }
}

fn trusted() -> Standing {
    Standing { tier: KyaTier::Organizational, reputation: Bps::new(9_000), settled_calls: 40 }
}

#[test]
fn a_tool_that_asks_nothing_takes_everybody() {
    for caller in [KEY, WALLET, PREIMAGE, Caller::Anonymous] {
        assert!(evaluate(&Requirement::default(), &caller, &NEWCOMER).is_ok(), "{caller:?}");
    }
}

#[test]
fn a_tool_for_key_holders_refuses_whoever_merely_pays() {
    assert_eq!(evaluate(&asks(true, 0), &KEY, &NEWCOMER), Ok(NEWCOMER), "control");
    for caller in [WALLET, PREIMAGE, Caller::Anonymous] {
        let shortfall = evaluate(&asks(true, 0), &caller, &trusted()).unwrap_err();
        assert!(matches!(shortfall, TrustShortfall::ApiKey { .. }), "{caller:?}");
        assert_eq!(shortfall.required(), &asks(true, 0));
    }
}

#[test]
fn reputation_decides_at_the_exact_limit() {
    assert!(evaluate(&asks(false, 9_000), &WALLET, &trusted()).is_ok(), "control: exactly enough");
    let shortfall = evaluate(&asks(false, 9_001), &WALLET, &trusted()).unwrap_err();
    assert_eq!(shortfall, TrustShortfall::Reputation { required: asks(false, 9_001), current: trusted() });
    assert_eq!(shortfall.to_string(), "the tool requires a reputation of 0.9001, the caller has 0.9");
}

#[test]
fn nobody_in_particular_has_no_reputation_to_show() {
    assert!(
        evaluate(&asks(false, 1), &WALLET, &NEWCOMER).is_ok(),
        "control: a wallet is known, and half-way"
    );
    for caller in [PREIMAGE, Caller::Anonymous] {
        let shortfall = evaluate(&asks(false, 1), &caller, &trusted()).unwrap_err();
        assert_eq!(shortfall.current().reputation, Bps::ZERO, "{caller:?}");
        assert_eq!(shortfall.current().settled_calls, 0);
        assert_eq!(judged(&caller, &trusted()).tier, KyaTier::Sandbox);
    }
}

proptest! {
    #[test]
    fn asking_for_more_never_admits_more(low in 0u16..=10_000, more in 0u16..=10_000, has in 0u16..=10_000) {
        let standing = Standing { reputation: Bps::new(has), ..NEWCOMER };
        let (easy, hard) = (asks(false, low.min(more)), asks(false, low.max(more)));
        prop_assert!(evaluate(&hard, &WALLET, &standing).is_err() || evaluate(&easy, &WALLET, &standing).is_ok());
    }
}
