use tollgate_domain::{Caller, KeyId};

use super::*;

fn events() -> Vec<PayoutEvent> {
    let text = || "x".to_owned();
    vec![
        PayoutEvent::Approve,
        PayoutEvent::Cancel,
        PayoutEvent::Submit { instruction: text() },
        PayoutEvent::Settled { reference: text() },
        PayoutEvent::Failed { reason: text() },
        PayoutEvent::Unknown { evidence: text() },
    ]
}

fn actors() -> Vec<Actor> {
    let principal = Caller::ApiKey(KeyId::from_bytes([1; 16])).principal();
    vec![
        Actor::Provider { provider: "acme".parse().unwrap(), principal },
        Actor::Operator(None),
        Actor::Gateway,
    ]
}

#[test]
fn p21_every_state_event_and_actor_is_allowed_exactly_where_the_drawing_says() {
    use PayoutState::{Cancelled, Failed, Held, Requested, Settled, Submitted, Unknown};
    let mut allowed = Vec::new();
    for state in PayoutState::ALL {
        for event in events() {
            for actor in actors() {
                if let Ok((next, effect)) = state.apply(&event, &actor) {
                    allowed.push((state, event.word(), actor.word(), next, effect));
                    assert_eq!(effect == PayoutEffect::Post, next == Settled);
                    assert_eq!(effect == PayoutEffect::Void, matches!(next, Failed | Cancelled));
                }
            }
        }
    }
    let (nothing, post, void) = (PayoutEffect::Nothing, PayoutEffect::Post, PayoutEffect::Void);
    let expected = vec![
        (Requested, "approve", "operator", Held, nothing),
        (Requested, "cancel", "provider", Cancelled, void),
        (Requested, "cancel", "operator", Cancelled, void),
        (Held, "cancel", "provider", Cancelled, void),
        (Held, "cancel", "operator", Cancelled, void),
        (Held, "submit", "gateway", Submitted, nothing),
        (Held, "failed", "gateway", Failed, void),
        (Submitted, "settled", "gateway", Settled, post),
        (Submitted, "failed", "gateway", Failed, void),
        (Submitted, "unknown", "gateway", Unknown, nothing),
        (Unknown, "settled", "gateway", Settled, post),
        (Unknown, "failed", "gateway", Failed, void),
        (Unknown, "unknown", "gateway", Unknown, nothing),
    ];
    assert_eq!(allowed, expected);
}

#[test]
fn what_ended_stays_as_it_is_and_words_survive() {
    for state in PayoutState::ALL {
        assert_eq!(state.word().parse(), Ok(state));
        let moves =
            events().iter().any(|event| actors().iter().any(|actor| state.apply(event, actor).is_ok()));
        assert_eq!(moves, !state.is_terminal(), "{state}");
    }
    assert!("paid".parse::<PayoutState>().is_err());
}

#[test]
fn an_instruction_is_never_printed() {
    let event = PayoutEvent::Submit { instruction: "bearer".to_owned() };
    assert!(!format!("{event:?}").contains("bearer"));
}
