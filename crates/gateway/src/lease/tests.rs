use super::*;

use tollgate_domain::{FailureKind, Rail};

/// How many calls may be leased at once in these tests.
const OPEN_MAX: usize = 100;
const NOW: UnixMillis = UnixMillis::new(1_000_000);

fn token(byte: u8) -> LeaseToken {
    LeaseToken::new(CallId::from_bytes([byte; 16]), [byte; 32])
}

fn key() -> PaymentKey {
    PaymentKey::new(Rail::X402, "network/asset/payer/nonce").unwrap()
}

fn answer(text: &'static str) -> Answer {
    Answer {
        status: http::StatusCode::OK,
        headers: http::HeaderMap::new(),
        body: bytes::Bytes::from_static(text.as_bytes()),
    }
}

fn lost() -> Outcome<ToolAnswer> {
    Outcome::Lost(FailureKind::Abandoned)
}

#[test]
fn a_lease_is_read_back_and_another_secret_is_not_it() {
    let leases = Leases::default();
    let granted = leases.grant(&token(1), None).unwrap();
    let read: LeaseToken = token(1).to_string().parse().unwrap();
    let forged = LeaseToken::new(read.call(), [9; 32]);
    assert!(leases.say(&forged, lost()).is_none());
    assert!(leases.say(&token(2), lost()).is_none(), "never given");
    assert!(leases.say(&read, lost()).is_some(), "control");
    assert!("call_x.00".parse::<LeaseToken>().is_err());
    assert!(!format!("{:?}", token(7)).contains("0707"), "a secret is never printed");
    drop(granted);
}

#[test]
fn the_first_word_counts_and_every_word_gets_the_same_answer() {
    let leases = Leases::default();
    let mut granted = leases.grant(&token(1), Some(&key())).unwrap();
    let first = leases.say(&token(1), lost()).unwrap();
    let second = leases.say(&token(1), Outcome::Lost(FailureKind::Broken)).unwrap();
    assert_eq!(granted.said.try_recv().unwrap(), lost());
    leases.end(token(1).call(), granted, answer("once"));
    for ended in [first, second, leases.say(&token(1), lost()).unwrap()] {
        assert_eq!(ended.borrow().as_ref().unwrap().body, "once");
    }
}

#[test]
fn a_payment_whose_lease_ran_out_is_not_leased_until_its_tool_has_ended() {
    let leases = Leases::default();
    let granted = leases.grant(&token(1), Some(&key())).unwrap();
    leases.ran_out(token(1).call(), leases.seat(OPEN_MAX, NOW).unwrap(), NOW);
    leases.end(token(1).call(), granted, answer("late"));
    assert_eq!(leases.grant(&token(2), Some(&key())).unwrap_err(), token(1).call());
    let other = PaymentKey::new(Rail::X402, "network/asset/payer/other").unwrap();
    assert!(leases.grant(&token(3), Some(&other)).is_ok(), "control: another payment");
    assert_eq!(leases.say(&token(1), lost()).unwrap().borrow().as_ref().unwrap().body, "late");
    assert!(leases.grant(&token(2), Some(&key())).is_ok(), "its tool has ended");
}

#[test]
fn a_tool_that_never_says_that_it_ended_is_given_up_after_a_time() {
    let leases = Leases::default();
    let granted = leases.grant(&token(1), Some(&key())).unwrap();
    leases.ran_out(token(1).call(), leases.seat(OPEN_MAX, NOW).unwrap(), NOW);
    leases.end(token(1).call(), granted, answer("late"));
    assert!(leases.seat(OPEN_MAX, NOW.plus_millis(LATE_MS)).is_some());
    assert!(leases.grant(&token(2), Some(&key())).is_err(), "control: not yet");
    assert!(leases.seat(OPEN_MAX, NOW.plus_millis(LATE_MS + 1)).is_some());
    assert!(leases.grant(&token(2), Some(&key())).is_ok());
}

#[test]
fn seats_and_memory_are_bounded() {
    let leases = Leases::default();
    let seats: Vec<Seat> = (0..OPEN_MAX).map(|_| leases.seat(OPEN_MAX, NOW).unwrap()).collect();
    assert!(leases.seat(OPEN_MAX, NOW).is_none());
    assert!(leases.seat(OPEN_MAX + 1, NOW).is_some(), "control: a larger bound");
    drop(seats);
    assert!(leases.seat(OPEN_MAX, NOW).is_some(), "control: given back");
    let _taken = leases.seat(2, NOW).unwrap();
    let _last = leases.seat(2, NOW).unwrap();
    assert!(leases.seat(2, NOW).is_none(), "a smaller bound counts those that are taken");
    assert!(leases.seat(3, NOW).is_some(), "control: a larger one");
    let call = |n: usize| {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&n.to_be_bytes());
        LeaseToken::new(CallId::from_bytes(bytes), [1; 32])
    };
    for n in 0..=ENDED_MAX {
        let granted = leases.grant(&call(n), None).unwrap();
        leases.end(call(n).call(), granted, answer(""));
    }
    assert!(leases.say(&call(0), lost()).is_none(), "the oldest is forgotten");
    assert!(leases.say(&call(1), lost()).is_some(), "control");
}
