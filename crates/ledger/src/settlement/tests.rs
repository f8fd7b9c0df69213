use proptest::prelude::*;

use super::*;

fn events() -> Vec<Event> {
    let text = || "why".to_owned();
    vec![
        Event::Executed { result: Digest::of(b"result") },
        Event::Submitted,
        Event::Settled { reference: text() },
        Event::RefundDue { cause: RefundCause::ToolFailed },
        Event::RefundDue { cause: RefundCause::NotAsked },
        Event::Refunded,
        Event::Voided { reason: text() },
        Event::Failed { reason: text() },
        Event::Unknown { evidence: text() },
        Event::FoundInDoubt,
        Event::HandedOver { reason: text() },
    ]
}

type Row = (&'static str, &'static str, &'static str, Effect);

/// The machine of `settle: after`, written down a second time.
const AFTER: &[Row] = &[
    ("executing", "executed", "executed", Effect::Nothing),
    ("executing", "voided", "voided", Effect::Void),
    ("executing", "found_in_doubt", "in_doubt", Effect::Void),
    ("executed", "submitted", "submitted", Effect::Nothing),
    ("executed", "failed", "failed", Effect::Void),
    ("submitted", "settled", "settled", Effect::Post),
    ("submitted", "failed", "failed", Effect::Void),
    ("submitted", "unknown", "unknown", Effect::Nothing),
    ("unknown", "submitted", "submitted", Effect::Nothing),
    ("unknown", "settled", "settled", Effect::Post),
    ("unknown", "failed", "failed", Effect::Void),
    ("unknown", "unknown", "unknown", Effect::Nothing),
    ("unknown", "handed_over", "manual", Effect::Nothing),
    ("manual", "settled", "settled", Effect::Post),
    ("manual", "voided", "voided", Effect::Void),
    ("manual", "failed", "failed", Effect::Void),
];

/// The machine of `settle: before`, written down a second time.
const BEFORE: &[Row] = &[
    ("claimed", "submitted", "submitted", Effect::Nothing),
    ("claimed", "settled", "executing", Effect::Post),
    ("claimed", "voided", "voided", Effect::Void),
    ("submitted", "settled", "executing", Effect::Post),
    ("submitted", "failed", "failed", Effect::Void),
    ("submitted", "unknown", "unknown", Effect::Nothing),
    ("unknown", "settled", "executing", Effect::Post),
    ("unknown", "failed", "failed", Effect::Void),
    ("unknown", "unknown", "unknown", Effect::Nothing),
    ("unknown", "handed_over", "manual", Effect::Nothing),
    ("manual", "settled", "executing", Effect::Post),
    ("manual", "failed", "failed", Effect::Void),
    ("executing", "executed", "delivered", Effect::Earn),
    ("executing", "refund_due", "refund_due", Effect::Nothing),
    ("executing", "found_in_doubt", "refund_due", Effect::Nothing),
    ("refund_due", "refunded", "refunded", Effect::Refund),
];

fn table(settle: Settle) -> Vec<Row> {
    match settle {
        Settle::After => AFTER.to_vec(),
        Settle::Before => BEFORE.to_vec(),
        // The same, but for what a delivery means for the money.
        Settle::Escrow => BEFORE
            .iter()
            .map(|row| match row {
                (from, "executed", to, _) => (*from, "executed", *to, Effect::Entrust),
                other => *other,
            })
            .collect(),
    }
}

#[test]
fn every_event_in_every_state_of_every_mode_does_what_the_table_says() {
    for settle in Settle::ALL {
        let mut allowed = std::collections::BTreeSet::new();
        for state in State::ALL {
            for event in events() {
                let rows = table(settle);
                let row = rows.iter().find(|(from, word, ..)| *from == state.word() && *word == event.word());
                match (state.apply(settle, &event), row) {
                    (Ok((to, effect)), Some((.., expected, expected_effect))) => {
                        allowed.insert((state.word(), event.word()));
                        assert_eq!((to.word(), effect), (*expected, *expected_effect), "{state} + {event:?}");
                    }
                    (Err(illegal), None) => {
                        assert_eq!(illegal, IllegalTransition { settle, state, event: event.word() });
                    }
                    (found, _) => panic!("{settle}: {state} + {event:?}: {found:?}"),
                }
            }
        }
        assert_eq!(allowed.len(), table(settle).len(), "{settle}");
    }
}

#[test]
fn only_a_crash_puts_a_paid_tool_in_doubt() {
    let said = Event::RefundDue { cause: RefundCause::InDoubt };
    assert!(State::Executing.apply(Settle::Before, &said).is_err());
    assert!(State::Executing.apply(Settle::Before, &Event::FoundInDoubt).is_ok(), "control");
}

/// The states that a mode can come to.
fn reached(settle: Settle) -> Vec<State> {
    let mut reached = vec![State::first(settle)];
    for index in 0.. {
        let Some(state) = reached.get(index).copied() else { return reached };
        for event in events() {
            if let Ok((to, _)) = state.apply(settle, &event)
                && !reached.contains(&to)
            {
                reached.push(to);
            }
        }
    }
    reached
}

#[test]
fn an_end_is_an_end_and_what_is_no_end_can_be_left() {
    for settle in Settle::ALL {
        for state in reached(settle) {
            let leaves = events().iter().any(|event| state.apply(settle, event).is_ok());
            assert_eq!(state.is_terminal(), !leaves, "{settle}: {state}");
        }
    }
    assert_eq!(reached(Settle::After).len(), 9);
    assert_eq!(reached(Settle::Before).len(), 10);
    assert_eq!(reached(Settle::Escrow).len(), 10);
}

#[test]
fn after_books_exactly_once_and_on_the_way_in() {
    for state in State::ALL {
        for event in events() {
            if let Ok((to, effect)) = state.apply(Settle::After, &event) {
                assert_eq!(effect != Effect::Nothing, to.is_terminal(), "{state} + {}", event.word());
                assert_eq!(effect == Effect::Post, to == State::Settled, "only what is settled is posted");
            }
        }
    }
}

#[test]
fn unknown_is_neither_failed_nor_free() {
    for settle in Settle::ALL {
        assert!(!State::Unknown.is_terminal());
        for freeing in [Event::Voided { reason: String::new() }, Event::Refunded, Event::FoundInDoubt] {
            assert!(State::Unknown.apply(settle, &freeing).is_err(), "{settle}: never frees the claim");
        }
        let settled = Event::Settled { reference: String::new() };
        assert!(State::Unknown.apply(settle, &settled).is_ok(), "{settle}: control");
    }
}

/// Where the money of one attempt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// With the payer, who promised it.
    Promised,
    /// With the payer, who is free of the promise.
    Kept,
    /// Taken, and not earned yet.
    Unearned,
    /// Owed to whoever runs the tool's server.
    Payable,
    /// In an escrow, which decides who gets it.
    Escrow,
    /// Credit of the payer.
    Back,
}

impl Place {
    /// What an effect does to it; `None`: it would move money that is not there.
    fn after(self, settle: Settle, effect: Effect) -> Option<Self> {
        match (effect, self) {
            (Effect::Nothing, place) => Some(place),
            (Effect::Post, Self::Promised) => Some(match settle {
                Settle::After => Self::Payable,
                Settle::Before | Settle::Escrow => Self::Unearned,
            }),
            (Effect::Void, Self::Promised) => Some(Self::Kept),
            (Effect::Earn, Self::Unearned) if settle == Settle::Before => Some(Self::Payable),
            (Effect::Entrust, Self::Unearned) if settle == Settle::Escrow => Some(Self::Escrow),
            (Effect::Refund, Self::Unearned) => Some(Self::Back),
            _ => None,
        }
    }
}

proptest! {
    /// Whatever happens in whatever order: no money moves twice, and where it is follows from the state alone. What was
    /// taken is owed to the server, back with the payer, or due.
    #[test]
    fn where_the_money_is_follows_from_the_state(
        settle in prop::sample::select(&Settle::ALL[..]),
        steps in prop::collection::vec(0..events().len(), 0..40),
    ) {
        let (mut state, mut place, mut ends) = (State::first(settle), Place::Promised, 0);
        for event in steps.into_iter().filter_map(|index| events().into_iter().nth(index)) {
            let Ok((to, effect)) = state.apply(settle, &event) else { continue };
            prop_assert!(!state.is_terminal(), "{} went on", state);
            let moved = place.after(settle, effect);
            prop_assert!(moved.is_some(), "{} + {:?} moves {:?}", state, event, place);
            (state, place) = (to, moved.unwrap());
            ends += u32::from(state.is_terminal());
            let expected: &[Place] = match state {
                State::Delivered if settle == Settle::Escrow => &[Place::Escrow],
                State::Settled | State::Delivered => &[Place::Payable],
                State::Refunded => &[Place::Back],
                State::RefundDue => &[Place::Unearned],
                State::Voided | State::Failed | State::InDoubt => &[Place::Kept],
                State::Executing if settle.takes_first() => &[Place::Unearned],
                State::Claimed
                | State::Executing
                | State::Executed
                | State::Submitted
                | State::Unknown
                | State::Manual => &[Place::Promised],
            };
            prop_assert!(expected.contains(&place), "{}: {:?}", state, place);
        }
        prop_assert!(ends <= 1);
    }
}

#[test]
fn from_wherever_a_crash_leaves_an_attempt_there_is_a_way_to_an_end() {
    for settle in Settle::ALL {
        for start in reached(settle) {
            let mut seen = vec![start];
            for index in 0.. {
                let Some(state) = seen.get(index).copied() else { break };
                let next = events().into_iter().filter_map(|event| state.apply(settle, &event).ok());
                let new: Vec<State> = next.map(|(to, _)| to).filter(|to| !seen.contains(to)).collect();
                seen.extend(new);
            }
            assert!(seen.iter().any(|state| state.is_terminal()), "{settle}: {start} has no end");
        }
    }
}

#[test]
fn words_have_one_text_form() {
    for state in State::ALL {
        assert_eq!(state.to_string().parse(), Ok(state));
    }
    for text in ["", "Settled", "settled ", "in-doubt"] {
        assert!(text.parse::<State>().is_err(), "{text:?}");
    }
    for cause in RefundCause::ALL {
        assert_eq!(cause.to_string().parse(), Ok(cause));
    }
    assert!("tool failed".parse::<RefundCause>().is_err());
}
