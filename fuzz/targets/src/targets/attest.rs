//! Receipts and keys as somebody hands them in: what the gateway did not seal verifies under no key of its own.

use std::sync::LazyLock;

use tollgate_attest::{
    FIRST_PREVIOUS, PublicKey, Signer, StatementDraft, Verified, envelope_of, jwks, kept_statement,
    keys_from_jwks, salted_digest, seal, verify, verify_chain,
};
use tollgate_domain::{CallId, Caller, Digest, ReceiptId, ToolRef, UnixMillis};

pub(crate) const WORDS: &[&str] = &[
    "{\"keys\":[",
    "\"kty\":\"OKP\",",
    "\"crv\":\"Ed25519\",",
    "\"x\":\"",
    "\"payload\":\"",
    "\"payloadType\":\"application/vnd.tollgate.call-receipt+json\",",
    "\"signatures\":[{\"keyid\":\"",
    "\"sig\":\"",
    "e30=",
    "==",
    "-_",
    ".",
    "\n",
];

/// The key of the gateway, and the one receipt that it ever sealed.
static ONLY: LazyLock<Option<(PublicKey, Verified)>> = LazyLock::new(only);

/// Receipts, one on each line in either form, or a set of keys. Whatever verifies is the one receipt that was sealed.
pub(crate) fn receipt(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    assert!(ONLY.is_some(), "control");
    let Some((key, only)) = &*ONLY else { return };
    let keys = std::slice::from_ref(key);
    let envelopes: Vec<_> = text.lines().filter_map(envelope_of).collect();
    for envelope in &envelopes {
        if let Ok(verified) = verify(envelope, keys) {
            assert_eq!(&verified, only, "verified, and nobody sealed it");
            assert!(kept_statement(envelope).is_some());
        }
    }
    assert!(envelopes.len() < 2 || verify_chain(&envelopes, keys).is_err(), "one receipt has one place");
    if let Ok(read) = keys_from_jwks(&text) {
        let again = keys_from_jwks(&jwks(&read));
        let ids = again.iter().flatten().map(PublicKey::key_id);
        assert!(ids.eq(read.iter().map(PublicKey::key_id)), "keys read back as themselves");
    }
}

fn only() -> Option<(PublicKey, Verified)> {
    let signer = Signer::from_seed(&[7; 32]).ok()?;
    let now = UnixMillis::from_secs(1_795_219_200);
    let draft = StatementDraft {
        receipt_id: ReceiptId::new(now, [1; 10]),
        call_id: CallId::new(now, [2; 10]),
        ts: now,
        caller: Caller::Anonymous.principal(),
        tool: ToolRef { server: "demo".parse().ok()?, tool: "weather".parse().ok()? },
        schema_sha256: None,
        args_sha256: salted_digest(&[9; 16], Digest::of(b"{}").as_bytes()),
        result_sha256: None,
        outcome: "timed_out",
        charged: false,
        price: None,
        payment_ref: None,
        refunded: None,
        settlement: "free",
        escrow: None,
        decision: None,
        mode: "sandbox",
    };
    let sealed = seal(&draft.to_text(), 1, &FIRST_PREVIOUS, &signer).ok()?;
    let verified = verify(&sealed.envelope, &[signer.public()]).ok()?;
    Some((signer.public(), verified))
}
