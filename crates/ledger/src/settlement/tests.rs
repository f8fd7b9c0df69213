use super::*;

fn events() -> Vec<Event> {
    let text = || "why".to_owned();
    vec![
        Event::Executed { result: Digest::of(b"result") },
        Event::Submitted,
        Event::Settled { reference: text() },
        Event::Voided { reason: text() },
        Event::Failed { reason: text() },
        Event::Unknown { evidence: text() },
        Event::FoundInDoubt,
        Event::HandedOver { reason: text() },
    ]
}

/// The whole machine, written down a second time.
const ALLOWED: &[(&str, &str, &str, Effect)] = &[
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

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    let mut allowed = 0;
    for state in State::ALL {
        for event in events() {
            let row = ALLOWED.iter().find(|(from, word, ..)| *from == state.word() && *word == event.word());
            match (state.apply(&event), row) {
                (Ok((to, effect)), Some((.., expected, expected_effect))) => {
                    allowed += 1;
                    assert_eq!(
                        (to.word(), effect),
                        (*expected, *expected_effect),
                        "{state} + {}",
                        event.word()
                    );
                }
                (Err(illegal), None) => assert_eq!(illegal, IllegalTransition { state, event: event.word() }),
                (found, _) => panic!("{state} + {}: {found:?}", event.word()),
            }
        }
    }
    assert_eq!(allowed, ALLOWED.len());
}

#[test]
fn an_end_is_an_end_and_books_exactly_once_on_the_way_in() {
    for state in State::ALL {
        let leaves = events().iter().any(|event| state.apply(event).is_ok());
        assert_eq!(state.is_terminal(), !leaves, "{state}");
        for event in events() {
            if let Ok((to, effect)) = state.apply(&event) {
                assert_eq!(effect != Effect::Nothing, to.is_terminal(), "{state} + {}", event.word());
                assert_eq!(effect == Effect::Post, to == State::Settled, "only what is settled is posted");
            }
        }
    }
}

#[test]
fn unknown_is_neither_failed_nor_free() {
    assert!(!State::Unknown.is_terminal());
    assert!(State::Unknown.apply(&Event::Voided { reason: String::new() }).is_err(), "never frees the claim");
    assert!(State::Unknown.apply(&Event::Settled { reference: String::new() }).is_ok(), "control");
}

#[test]
fn states_have_one_text_form() {
    for state in State::ALL {
        assert_eq!(state.to_string().parse(), Ok(state));
    }
    for text in ["", "Settled", "settled ", "in-doubt"] {
        assert!(text.parse::<State>().is_err(), "{text:?}");
    }
}
