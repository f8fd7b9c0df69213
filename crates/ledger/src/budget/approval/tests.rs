use super::*;

const NOW: UnixMillis = UnixMillis::new(1_000);
const EXPIRY: UnixMillis = UnixMillis::new(2_000);

fn wanted() -> Wanted {
    Wanted {
        caller: "anonymous".parse().unwrap(),
        tool: ToolRef { server: "up".parse().unwrap(), tool: "buy".parse().unwrap() },
        args: Digest::of(b"{}"),
        asset: "eip155:84532/erc20:0x1".parse().unwrap(),
        amount: Amount::new(150),
    }
}

fn asked() -> Approval {
    Approval::asked(ApprovalId::from_bytes([1; 16]), wanted(), NOW, EXPIRY)
}

fn approve() -> ApprovalEvent {
    ApprovalEvent::Approve { by: "eve".to_owned(), expires: UnixMillis::new(3_000) }
}

fn call(byte: u8) -> CallId {
    CallId::from_bytes([byte; 16])
}

#[test]
fn p21_an_approval_lets_one_call_pass_and_no_second() {
    let waiting = asked();
    assert!(!waiting.lets_pass(&wanted(), NOW));
    let approved = waiting.apply(&approve(), NOW).unwrap();
    assert!(approved.lets_pass(&wanted(), NOW), "control");
    let later = UnixMillis::new(1_500);
    let used = approved.apply(&ApprovalEvent::Use { call: call(1) }, later).unwrap();
    assert!(!used.lets_pass(&wanted(), NOW));
    // It says who decided when, and which call has used it.
    let eve = Some("eve".to_owned());
    assert_eq!((approved.decided, &approved.by, approved.call), (Some(NOW), &eve, None));
    assert_eq!((used.decided, &used.by, used.call), (Some(NOW), &eve, Some(call(1))));
    let again = ApprovalEvent::Use { call: call(2) };
    assert_eq!(used.apply(&again, NOW), Err(ApprovalError::Illegal(ApprovalState::Used)));
}

#[test]
fn an_approval_is_for_exactly_what_was_asked() {
    let approved = asked().apply(&approve(), NOW).unwrap();
    let other = |change: fn(&mut Wanted)| {
        let mut wanted = wanted();
        change(&mut wanted);
        wanted
    };
    assert!(approved.lets_pass(&other(|_| {}), NOW), "control");
    for (what, wanted) in [
        ("caller", other(|w| w.caller = format!("eip155:0x{}", "1".repeat(40)).parse().unwrap())),
        ("tool", other(|w| w.tool.tool = "sell".parse().unwrap())),
        ("args", other(|w| w.args = Digest::of(b"[]"))),
        ("amount", other(|w| w.amount = Amount::new(151))),
        ("asset", other(|w| w.asset = "lightning:regtest/msat".parse().unwrap())),
    ] {
        assert!(!approved.lets_pass(&wanted, NOW), "another {what}");
    }
}

#[test]
fn what_has_expired_is_neither_decided_nor_used() {
    let late = ApprovalEvent::Reject { by: "eve".to_owned() };
    assert_eq!(asked().apply(&approve(), EXPIRY), Err(ApprovalError::Expired));
    assert_eq!(asked().apply(&late, EXPIRY), Err(ApprovalError::Expired));
    let approved = asked().apply(&approve(), NOW).unwrap();
    let (last, over) = (UnixMillis::new(2_999), UnixMillis::new(3_000));
    assert!(approved.lets_pass(&wanted(), last), "control");
    assert!(!approved.lets_pass(&wanted(), over) && !approved.is_live(over));
    let used = ApprovalEvent::Use { call: call(1) };
    assert_eq!(approved.apply(&used, over), Err(ApprovalError::Expired));
}

#[test]
fn only_the_call_that_used_it_gives_it_back() {
    let used =
        asked().apply(&approve(), NOW).unwrap().apply(&ApprovalEvent::Use { call: call(1) }, NOW).unwrap();
    let back = |byte| used.apply(&ApprovalEvent::GiveBack { call: call(byte) }, NOW);
    assert_eq!(back(2), Err(ApprovalError::Illegal(ApprovalState::Used)));
    let given_back = back(1).unwrap();
    assert_eq!((given_back.state, given_back.call), (ApprovalState::Approved, None));
    let another = given_back.apply(&ApprovalEvent::Use { call: call(2) }, NOW).unwrap();
    assert_eq!(another.call, Some(call(2)), "it lets one more call pass, and remembers that one");
}

/// Every state with every event, at a moment before the expiry.
#[test]
fn every_state_and_event_is_decided() {
    let events = [
        approve(),
        ApprovalEvent::Reject { by: "eve".to_owned() },
        ApprovalEvent::Use { call: call(1) },
        ApprovalEvent::GiveBack { call: call(1) },
    ];
    use ApprovalState::{Approved, Rejected, Used, Waiting};
    let table = [
        (Waiting, [Some(Approved), Some(Rejected), None, None]),
        (Approved, [Some(Approved), Some(Rejected), Some(Used), None]),
        (Rejected, [None, Some(Rejected), None, None]),
        (Used, [None, None, None, Some(Approved)]),
    ];
    for (state, expected) in table {
        let call = (state == Used).then(|| call(1));
        let approval = Approval { state, call, ..asked() };
        for (event, expected) in events.iter().zip(expected) {
            let after = approval.apply(event, NOW).ok().map(|approval| approval.state);
            assert_eq!(after, expected, "{state} {event:?}");
        }
    }
}

#[test]
fn states_have_one_text_form() {
    for (state, word) in ApprovalState::ALL.into_iter().zip(["waiting", "approved", "rejected", "used"]) {
        assert_eq!((state.to_string().as_str(), word.parse().ok()), (word, Some(state)));
    }
    assert!("Waiting".parse::<ApprovalState>().is_err() && "".parse::<ApprovalState>().is_err());
}
