use proptest::prelude::*;

use super::*;
use crate::statement::tests::{bare, full};
use crate::{Sealed, Signer, seal};

fn signer() -> Signer {
    Signer::from_seed(&[7; 32]).unwrap()
}

fn next() -> Signer {
    Signer::from_seed(&[9; 32]).unwrap()
}

/// `length` receipts of one key, alternating between two kinds of call.
fn history(signer: &Signer, length: u64) -> Vec<String> {
    let mut last: Option<Sealed> = None;
    (1..=length)
        .map(|seq| {
            let draft = if seq % 2 == 0 { full() } else { bare() };
            let prev = last.as_ref().map_or(FIRST_PREVIOUS, |sealed| sealed.hash);
            let sealed = seal(&draft.to_text(), seq, &prev, signer).unwrap();
            last = Some(sealed.clone());
            sealed.envelope
        })
        .collect()
}

fn check(envelopes: &[String]) -> Result<Vec<Segment>, ChainError> {
    verify_chain(envelopes, &[signer().public(), next().public()])
}

#[test]
fn a_whole_history_holds() {
    let envelopes = history(&signer(), 6);
    let segments = check(&envelopes).unwrap();
    let head = *verify(&envelopes[5], &[signer().public()]).unwrap().hash();
    assert_eq!(segments, [Segment { key_id: signer().key_id().to_owned(), last_seq: 6, head }]);
    assert_eq!(check(&[]).unwrap(), []);
}

#[test]
fn each_key_has_a_chain_of_its_own() {
    let (old, new) = (history(&signer(), 3), history(&next(), 2));
    let mixed: Vec<String> = [&old[0], &new[0], &old[1], &old[2], &new[1]].into_iter().cloned().collect();
    let segments = check(&mixed).unwrap();
    assert_eq!(segments.iter().map(|segment| segment.last_seq).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(segments[1].key_id, next().key_id());

    let without: Vec<String> = [&old[0], &new[0], &old[2], &new[1]].into_iter().cloned().collect();
    assert!(matches!(
        check(&without).unwrap_err(),
        ChainError { index: 2, fault: ChainFault::Missing { .. } }
    ));
}

#[test]
fn c8_an_edited_receipt_is_located() {
    let mut envelopes = history(&signer(), 5);
    assert!(check(&envelopes).is_ok(), "control");
    envelopes[2] = envelopes[2].replacen("In", "Im", 1); // a letter of the payload's base64
    let error = check(&envelopes).unwrap_err();
    assert!(
        matches!(error, ChainError { index: 2, fault: ChainFault::Receipt(VerifyError::Signature(_)) }),
        "{error}"
    );
}

#[test]
fn c8_a_missing_receipt_is_located() {
    let whole = history(&signer(), 5);
    assert!(check(&whole).is_ok(), "control");
    for cut in 0..4 {
        let mut envelopes = whole.clone();
        envelopes.remove(cut);
        let error = check(&envelopes).unwrap_err();
        assert_eq!(error.index, cut);
        let number = u64::try_from(cut).unwrap() + 1;
        let missing = matches!(error.fault, ChainFault::Missing { expected, found, .. } if expected == number && found == number + 1);
        assert!(missing, "{error}");
    }
    let cut_at_the_end = check(&whole[..4]).unwrap();
    assert_ne!(cut_at_the_end, check(&whole).unwrap(), "shown by the head alone");
}

#[test]
fn c8_a_changed_order_is_located() {
    let whole = history(&signer(), 5);
    assert!(check(&whole).is_ok(), "control");
    for first in 0..4 {
        let mut envelopes = whole.clone();
        envelopes.swap(first, first + 1);
        let error = check(&envelopes).unwrap_err();
        assert_eq!(error.index, first);
        assert!(matches!(error.fault, ChainFault::OutOfOrder { .. }), "{error}");
    }
    let twice: Vec<String> = [&whole[0], &whole[1], &whole[1]].into_iter().cloned().collect();
    let error = check(&twice).unwrap_err();
    let out_of_order =
        matches!(error, ChainError { index: 2, fault: ChainFault::OutOfOrder { expected: 3, found: 2, .. } });
    assert!(out_of_order, "{error}");
}

#[test]
fn c8_a_history_rewritten_by_the_key_holder_is_located() {
    let whole = history(&signer(), 4);
    assert!(check(&whole).is_ok(), "control");
    let prev = *verify(&whole[0], &[signer().public()]).unwrap().hash();
    let instead = seal(&bare().to_text(), 2, &prev, &signer()).unwrap().envelope;
    let rewritten: Vec<String> = [&whole[0], &instead, &whole[2], &whole[3]].into_iter().cloned().collect();
    let error = check(&rewritten).unwrap_err();
    assert!(matches!(error, ChainError { index: 2, fault: ChainFault::Forked { seq: 3, .. } }), "{error}");
}

#[test]
fn c8_a_receipt_of_an_unknown_key_does_not_slip_in() {
    let mut envelopes = history(&signer(), 3);
    envelopes.insert(1, history(&Signer::from_seed(&[11; 32]).unwrap(), 1).remove(0));
    let error = check(&envelopes).unwrap_err();
    assert!(
        matches!(error, ChainError { index: 1, fault: ChainFault::Receipt(VerifyError::UnknownKey(_)) }),
        "{error}"
    );
    envelopes.remove(1);
    assert!(check(&envelopes).is_ok(), "control");
}

#[test]
fn a_chain_holds_when_its_envelopes_are_printed_anew() {
    let pretty: Vec<String> = history(&signer(), 3)
        .iter()
        .map(|text| {
            serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(text).unwrap()).unwrap()
        })
        .collect();
    assert_eq!(check(&pretty).unwrap(), check(&history(&signer(), 3)).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Of all orders and selections of a history only its beginnings hold.
    #[test]
    fn c8_only_an_unbroken_beginning_holds(picked in proptest::collection::vec(0usize..6, 0..8)) {
        let whole = history(&signer(), 6);
        let envelopes: Vec<String> = picked.iter().map(|index| whole[*index].clone()).collect();
        let beginning = picked.iter().enumerate().all(|(place, index)| place == *index);
        prop_assert_eq!(check(&envelopes).is_ok(), beginning);
        if let Err(error) = check(&envelopes) {
            let first_wrong = picked.iter().enumerate().position(|(place, index)| place != *index);
            prop_assert_eq!(Some(error.index), first_wrong);
        }
    }
}
