use proptest::prelude::*;

use super::*;
use crate::statement::tests::{bare, full, plainly};
use crate::{StatementDraft, verify};

fn signer() -> Signer {
    Signer::from_seed(&[7; 32]).unwrap()
}

#[test]
fn sealing_adds_the_place_in_the_chain_and_nothing_else() {
    let signer = signer();
    for draft in [full(), bare()] {
        let prev = Digest::of(b"the one before");
        let sealed = seal(&draft.to_text(), 42, &prev, &signer).unwrap();
        assert_eq!(sealed.receipt_id, draft.receipt_id);

        let verified = verify(&sealed.envelope, &[signer.public()]).unwrap();
        let mut expected = plainly(&draft);
        expected["seq"] = 42.into();
        expected["prev"] = prev.to_string().into();
        expected["gateway"] = signer.public().did().into();
        assert_eq!(verified.payload(), serde_json_canonicalizer::to_string(&expected).unwrap());
        assert_eq!(*verified.hash(), sealed.hash);
    }
}

#[test]
fn a_receipt_says_what_was_drafted() {
    let signer = signer();
    let given_back = StatementDraft { refunded: Some(tollgate_domain::Amount::new(4)), ..full() };
    let entrusted = StatementDraft { escrow: Some(tollgate_domain::EscrowId::from_bytes([4; 16])), ..full() };
    for draft in [full(), bare(), given_back, entrusted] {
        let sealed = seal(&draft.to_text(), 1, &FIRST_PREVIOUS, &signer).unwrap();
        let said = verify(&sealed.envelope, &[signer.public()]).unwrap().call().unwrap().clone();
        assert_eq!((said.seq, said.prev, said.gateway.as_str()), (1, FIRST_PREVIOUS, signer.public().did()));
        assert_eq!(said.received, crate::statement::tests::RECEIVED);
        let StatementDraft {
            receipt_id,
            call_id,
            ts,
            caller,
            tool,
            schema_sha256,
            args_sha256,
            result_sha256,
            outcome,
            charged,
            price,
            payment_ref,
            refunded,
            settlement,
            escrow,
            decision,
            mode,
        } = draft;
        assert_eq!((said.receipt_id, said.call_id, said.ts, said.caller), (receipt_id, call_id, ts, caller));
        assert_eq!((said.tool, said.schema_sha256, said.args_sha256), (tool, schema_sha256, args_sha256));
        assert_eq!(
            (said.result_sha256, said.outcome.as_str(), said.charged),
            (result_sha256, outcome, charged)
        );
        assert_eq!(
            (said.price, said.payment_ref, said.settlement.as_str()),
            (price, payment_ref, settlement)
        );
        assert_eq!((said.decision, said.mode.as_str(), said.refunded), (decision, mode, refunded));
        assert_eq!(said.escrow, escrow);
    }
}

#[test]
fn sealing_is_deterministic() {
    let seal = |seq, seed| {
        seal(&full().to_text(), seq, &FIRST_PREVIOUS, &Signer::from_seed(&[seed; 32]).unwrap()).unwrap()
    };
    assert_eq!(seal(1, 7), seal(1, 7));
    assert_ne!(seal(1, 7).hash, seal(2, 7).hash);
    assert_ne!(seal(1, 7).hash, seal(1, 8).hash);
}

#[test]
fn what_is_no_draft_is_not_signed() {
    let (signer, good) = (signer(), full().to_text());
    let seal = |draft: &str, seq| seal(draft, seq, &FIRST_PREVIOUS, &signer);
    assert!(seal(&good, 1).is_ok(), "control");

    for broken in [
        String::new(),
        "{}".to_owned(),
        serde_json_canonicalizer::to_string(&plainly(&full())).unwrap(),
        good.replacen(GAP, "", 1),
        good.replacen("\"prev\"", "\"previous\"", 1),
        format!("{good}{GAP}"),
    ] {
        assert!(matches!(seal(&broken, 1), Err(SealError::Gaps)), "{broken}");
    }
    let id = full().receipt_id.to_string();
    for other in ["", "rcpt_1", &full().call_id.to_string()] {
        assert!(matches!(seal(&good.replacen(&id, other, 1), 1), Err(SealError::ReceiptId)), "{other}");
    }
    assert!(matches!(seal(&good, 0), Err(SealError::Sequence(0))));
    assert!(seal(&good, EXACT_MAX).is_ok(), "control");
    assert!(matches!(seal(&good, EXACT_MAX + 1), Err(SealError::Sequence(_))));
    let large = StatementDraft { payment_ref: Some("x".repeat(DRAFT_BYTES_MAX)), ..full() }.to_text();
    assert!(matches!(seal(&large, 1), Err(SealError::TooLarge)));
}

proptest! {
    /// Whatever visible or invisible characters a server puts into its tool's name or a rail into its reference.
    #[test]
    fn strange_texts_are_sealed_and_read_back(tool in "[^\\p{Cc}]{1,40}", reference in ".{0,60}", seq in 1u64..1_000_000) {
        let signer = signer();
        let mut draft = full();
        draft.tool.tool = tool.parse().unwrap();
        draft.payment_ref = Some(reference.clone());
        let sealed = seal(&draft.to_text(), seq, &FIRST_PREVIOUS, &signer).unwrap();
        let verified = verify(&sealed.envelope, &[signer.public()]).unwrap();
        prop_assert_eq!(verified.call().unwrap().tool.tool.as_str(), tool);
        prop_assert_eq!(verified.call().unwrap().payment_ref.as_deref(), Some(reference.as_str()));
        prop_assert_eq!(verified.place().seq, seq);
    }
}
