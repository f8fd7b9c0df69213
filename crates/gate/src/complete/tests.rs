use super::*;

const EXPIRES: UnixMillis = UnixMillis::from_secs(100);

fn answer(rail: Rail, now: UnixMillis) -> SettlementAnswer {
    own_answer(&PaymentKey::new(rail, "aa").unwrap(), CallId::from_bytes([7; 16]), EXPIRES, now)
}

fn failed(reason: &str) -> SettlementAnswer {
    SettlementAnswer::Failed { reason: reason.to_owned() }
}

#[test]
fn a_signature_that_ran_out_while_the_tool_worked_moves_nothing() {
    let at_last = UnixMillis::new(EXPIRES.get() - 1);
    let SettlementAnswer::Settled { reference } = answer(Rail::X402, at_last) else { panic!("not settled") };
    assert!(reference.starts_with("sandbox:call_"), "nothing of a chain: {reference}");
    // `validBefore` itself is too late (EIP-3009).
    assert_eq!(answer(Rail::X402, EXPIRES), failed("invalid_exact_evm_payload_authorization_valid_before"));
}

#[test]
fn money_that_has_arrived_or_was_granted_moves_whenever_the_tool_answers() {
    let late = EXPIRES.plus_millis(1);
    let settled = |reference: &str| SettlementAnswer::Settled { reference: reference.to_owned() };
    assert_eq!(answer(Rail::L402, late), settled("lightning:aa"));
    let own = format!("ledger:{}", CallId::from_bytes([7; 16]));
    assert_eq!(answer(Rail::Credit, late), settled(&own));
}
