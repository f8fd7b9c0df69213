use proptest::prelude::*;
use tollgate_domain::UnixMillis;

use super::*;
use crate::lightning::testing::{dev_wallet, ready};
use crate::lightning::{Invoice, InvoiceRequest, LightningWallet as _};

fn invoice(sats: u64) -> Invoice {
    let now = UnixMillis::from_secs(1_795_219_260);
    ready(dev_wallet().create_invoice(InvoiceRequest { sats, memo: String::new(), expiry_seconds: 600, now }))
        .unwrap()
}

fn token(payment_hash: [u8; 32]) -> String {
    let identifier = Identifier { payment_hash, token_id: [2; 32] }.to_bytes();
    Macaroon::mint(&[1; 32], &identifier, "tollgate", []).unwrap().to_base64()
}

#[test]
fn a_challenge_is_found_in_every_form_in_use() {
    let expected = Some(L402Challenge { token: "AgE=".to_owned(), invoice: "lnbcrt1x".to_owned() });
    for value in [
        r#"L402 macaroon="AgE=", invoice="lnbcrt1x""#,
        r#"L402 version="0", token="AgE=", invoice="lnbcrt1x""#,
        r#"L402 macaroon="AgE=", invoice="lnbcrt1x", version="0", token="AgE=""#,
        r#"LSAT macaroon="AgE=", invoice="lnbcrt1x""#,
        r#"l402 Invoice=lnbcrt1x,Macaroon=AgE="#,
        r#"Payment id="1", method="lightning", L402 macaroon="AgE=", invoice="lnbcrt1x", Bearer realm="r""#,
        r#"L402 error="expired", LSAT macaroon="AgE=", invoice="lnbcrt1x""#,
    ] {
        assert_eq!(L402Challenge::from_www_authenticate(value), expected, "{value}");
    }
    for text in [
        r#"{"macaroon":"AgE=","invoice":"lnbcrt1x","payment_hash":"00","price_sats":10,"expires_at":1}"#,
        r#"{"token":"AgE=","payment_request":"lnbcrt1x","error":"payment required"}"#,
    ] {
        assert_eq!(L402Challenge::from_json(text), expected, "{text}");
    }
    for nothing in [
        "",
        "L402",
        "Bearer realm=\"r\"",
        r#"L402 macaroon="AgE=""#,
        r#"L402 invoice="lnbcrt1x""#,
        r#"L402 macaroon="", invoice="lnbcrt1x""#,
        r#"Bearer macaroon="AgE=", invoice="lnbcrt1x""#,
        "L402 macaroon=\"A\u{a0}\", invoice=\"lnbcrt1x\"",
    ] {
        assert_eq!(L402Challenge::from_www_authenticate(nothing), None, "{nothing}");
    }
    for nothing in ["", "[]", "{}", r#"{"macaroon":1,"invoice":"x"}"#, r#"{"macaroon":"a\nb","invoice":"x"}"#]
    {
        assert_eq!(L402Challenge::from_json(nothing), None, "{nothing}");
    }
}

#[test]
fn p8_only_the_offered_amount_is_paid() {
    let invoice = invoice(10);
    let challenge = L402Challenge { token: token(invoice.payment_hash), invoice: invoice.bolt11.clone() };
    assert_eq!(challenge.check(Amount::new(10_000)).unwrap().payment_hash, invoice.payment_hash);
    for offered in [0, 9_999, 10_001, 10, 10_000_000] {
        let offered = Amount::new(offered);
        let expected = ChallengeError::OtherAmount { invoice: Amount::new(10_000), offered };
        assert_eq!(challenge.check(offered), Err(expected));
    }
    let other = L402Challenge { token: token([9; 32]), ..challenge.clone() };
    assert_eq!(other.check(Amount::new(10_000)), Err(ChallengeError::OtherInvoice));
    // Somebody else's token, which says nothing of its invoice.
    let foreign = L402Challenge { token: "AgE".to_owned(), ..challenge };
    assert!(foreign.check(Amount::new(10_000)).is_ok());
    // BOLT 11, "Examples" (CC BY 4.0): a donation of any amount.
    let donation = "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcy\
        q5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fx\
        dwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql";
    let any = L402Challenge { invoice: donation.to_owned(), ..foreign.clone() };
    assert_eq!(any.check(Amount::new(10_000)), Err(ChallengeError::NoAmount));
    let broken = L402Challenge { invoice: "lnbc".to_owned(), ..foreign };
    assert!(matches!(broken.check(Amount::new(10_000)), Err(ChallengeError::Invoice(_))));
}

#[test]
fn an_answer_carries_token_and_preimage_and_is_not_printed() {
    let challenge = L402Challenge { token: "AgE=".to_owned(), invoice: "lnbcrt1x".to_owned() };
    let preimage = Preimage::new([0xab; 32]);
    assert_eq!(challenge.meta_text(&preimage), format!("AgE=:{}", "ab".repeat(32)));
    assert_eq!(challenge.authorization(&preimage), format!("L402 AgE=:{}", "ab".repeat(32)));
    assert_eq!(format!("{challenge:?}"), "L402Challenge([redacted], lnbcrt1x)");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,100}") {
        for challenge in [L402Challenge::from_json(&text), L402Challenge::from_www_authenticate(&text)].into_iter().flatten() {
            prop_assert!(challenge.check(Amount::new(10_000)).is_err());
        }
    }
}
