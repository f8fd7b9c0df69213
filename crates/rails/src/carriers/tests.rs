use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use http::HeaderValue;
use proptest::prelude::*;

use super::*;

/// An x402 payment whose base64 differs between the two alphabets.
const X402: &str = r#"{"x402Version":2,"note":"ÿþ??>>~~","accepted":{},"payload":{}}"#;
const MPP: &str = r#"{"challenge":{"id":"a"},"payload":{}}"#;

fn take(headers: &[(&'static str, &str)], meta: &[(&str, &str)]) -> Result<Option<Presented>, CarrierError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    extract(&map, |key| meta.iter().find(|(name, _)| *name == key).map(|(_, json)| json.as_bytes()))
}

fn x402() -> Result<Option<Presented>, CarrierError> {
    Ok(Some(Presented::X402(X402.to_owned())))
}

fn l402(token: &str, preimage: &str) -> Result<Option<Presented>, CarrierError> {
    Ok(Some(Presented::L402 { token: token.to_owned(), preimage: preimage.to_owned() }))
}

#[test]
fn a_request_without_payment_carries_none() {
    assert_eq!(take(&[], &[]), Ok(None));
    assert_eq!(
        take(&[("authorization", "Bearer tg_key"), ("x-api-key", "k")], &[("progressToken", "1")]),
        Ok(None)
    );
    assert_eq!(take(&[], &[("x402/payment", "null"), ("org.paymentauth/credential", " null ")]), Ok(None));
}

#[test]
fn every_carrier_is_read() {
    let standard = STANDARD.encode(X402);
    let quoted = format!("\"{standard}\"");
    for (headers, meta) in [
        (vec![], vec![("x402/payment", X402)]),
        (vec![], vec![("x402/payment", quoted.as_str())]),
        (vec![], vec![("x402.payment", quoted.as_str())]),
        (vec![("payment-signature", standard.as_str())], vec![]),
        (vec![("x-payment", standard.as_str())], vec![]),
    ] {
        assert_eq!(take(&headers, &meta), x402(), "{headers:?} {meta:?}");
    }
    for header in ["L402 AgEE:00ff", "LSAT AgEE:00ff", "l402   AgEE:00ff", "Bearer tg_key, L402 AgEE:00ff"] {
        assert_eq!(take(&[("authorization", header)], &[]), l402("AgEE", "00ff"), "{header}");
    }
    assert_eq!(take(&[], &[("l402/authorization", "\"AgEE:00ff\"")]), l402("AgEE", "00ff"));
    assert_eq!(take(&[], &[("l402/authorization", "\"L402 AgEE:00ff\"")]), l402("AgEE", "00ff"));
    assert_eq!(take(&[("macaroon", "0201ff")], &[]), l402("0201ff", ""));
    assert_eq!(take(&[("grpc-metadata-macaroon", "0201ff")], &[]), l402("0201ff", ""));
    let credential = format!("Payment {}", URL_SAFE_NO_PAD.encode(MPP));
    let mpp = Ok(Some(Presented::Mpp(MPP.to_owned())));
    assert_eq!(take(&[("authorization", &credential)], &[]), mpp);
    assert_eq!(take(&[], &[("org.paymentauth/credential", MPP)]), mpp);
}

#[test]
fn every_dialect_of_base64_is_read() {
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        let encoded = engine.encode(X402);
        assert_eq!(take(&[("payment-signature", &encoded)], &[]), x402(), "{encoded}");
    }
    assert_ne!(
        STANDARD_NO_PAD.encode(X402),
        URL_SAFE_NO_PAD.encode(X402),
        "the text must tell the alphabets apart"
    );
}

#[test]
fn an_l402_token_of_several_macaroons_stays_whole() {
    assert_eq!(take(&[("authorization", "L402 AgEE,AgEF:00ff")], &[]), l402("AgEE,AgEF", "00ff"));
}

#[test]
fn p6_two_payments_are_refused_wherever_they_stand() {
    let x402 = STANDARD.encode(X402);
    let payment = format!("Payment {}", URL_SAFE_NO_PAD.encode(MPP));
    let both = format!("L402 AgEE:00ff, {payment}");
    let headers: [(&str, &str); 8] = [
        ("payment-signature", &x402),
        ("payment-signature", &x402),
        ("x-payment", &x402),
        ("macaroon", "0201ff"),
        ("grpc-metadata-macaroon", "0201ff"),
        ("authorization", "L402 AgEE:00ff"),
        ("authorization", "LSAT AgEE:00ff"),
        ("authorization", &payment),
    ];
    let meta = [
        ("x402/payment", X402),
        ("l402/authorization", "\"AgEE:00ff\""),
        ("org.paymentauth/credential", MPP),
    ];
    let several = |result: Result<Option<Presented>, CarrierError>| match result {
        Err(CarrierError::Several(places)) => places.len(),
        other => panic!("{other:?}"),
    };
    for (place, first) in headers.iter().enumerate() {
        assert!(matches!(take(&[*first], &[]), Ok(Some(_))), "control: {first:?} alone");
        for second in headers.iter().skip(place + 1) {
            assert_eq!(several(take(&[*first, *second], &[])), 2, "{first:?} {second:?}");
        }
        for second in &meta {
            assert!(matches!(take(&[], &[*second]), Ok(Some(_))), "control: {second:?} alone");
            assert_eq!(several(take(&[*first], &[*second])), 2, "{first:?} {second:?}");
        }
    }
    assert_eq!(several(take(&[], &meta)), 3);
    assert_eq!(several(take(&[("authorization", &both)], &[])), 2);
    // One good and one unreadable payment are two payments: never "the first that works".
    assert_eq!(several(take(&[("payment-signature", "%%%"), ("x-payment", &x402)], &[])), 2);
}

#[test]
fn several_payments_are_named_in_the_refusal() {
    let error = take(&[("macaroon", "0201ff")], &[("x402/payment", X402)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a request carries one payment, this one carries 2: _meta[\"x402/payment\"], header Macaroon"
    );
}

#[test]
fn p1_garbage_in_a_carrier_is_unreadable_not_absent() {
    let list = STANDARD.encode("[1]");
    for (name, value) in [
        ("payment-signature", ""),
        ("payment-signature", "%%%"),
        ("payment-signature", list.as_str()),
        ("x-payment", "e30x"),
        ("macaroon", "xyz"),
        ("macaroon", ""),
        ("authorization", "L402"),
        ("authorization", "L402 AgEE"),
        ("authorization", "L402 :00ff"),
        ("authorization", "Payment"),
        ("authorization", "Payment ???"),
    ] {
        assert!(
            matches!(take(&[(name, value)], &[]), Err(CarrierError::Unreadable { .. })),
            "{name}: {value}"
        );
    }
    for (key, json) in [
        ("x402/payment", "7"),
        ("x402/payment", "[]"),
        ("x402/payment", "\"\""),
        ("x402/payment", "{\"x402Version\":"),
        ("x402/payment", "{\"x402Version\":\"2\"}"),
        ("l402/authorization", "{}"),
        ("l402/authorization", "\"x\""),
        ("org.paymentauth/credential", "true"),
    ] {
        assert!(matches!(take(&[], &[(key, json)]), Err(CarrierError::Unreadable { .. })), "{key}: {json}");
    }
}

#[test]
fn a_payment_of_x402_version_1_is_told_to_use_version_2() {
    let one = X402.replace("\"x402Version\":2", "\"x402Version\":1");
    let error = take(&[("x-payment", &STANDARD.encode(&one))], &[]).unwrap_err();
    assert_eq!(error, CarrierError::X402Version1("header X-PAYMENT"));
    assert!(error.to_string().contains("x402 version 2"));
    assert_eq!(take(&[("x-payment", &STANDARD.encode(X402))], &[]), x402());
}

#[test]
fn p7_urls_and_cookies_are_no_carriers() {
    assert_eq!(take(&[("cookie", "L402=AgEE:00ff"), ("referer", "http://x/?payment=1")], &[]), Ok(None));
}

#[test]
fn an_oversized_payment_is_refused_unread() {
    let padding = "a".repeat(CARRIED_BYTES_MAX);
    let large = X402.replace("??", &padding);
    assert!(matches!(take(&[], &[("x402/payment", &large)]), Err(CarrierError::Unreadable { .. })));
}

#[test]
fn authorization_lines_with_a_payment_are_recognised() {
    for value in ["L402 a:b", "lsat a:b", "Payment abc", "Bearer k, Payment abc", "L402"] {
        assert!(is_payment_authorization(value.as_bytes()), "{value}");
    }
    for value in
        ["", "Bearer L402", "Basic bDQwMg==", "Nostr abc", "Bearer a,b", "Digest username=\"L402 x\""]
    {
        assert!(!is_payment_authorization(value.as_bytes()), "{value}");
    }
}

#[test]
fn every_carrier_is_listed_for_stripping() {
    for header in ["payment-signature", "x-payment", "macaroon", "grpc-metadata-macaroon"] {
        assert!(PAYMENT_HEADERS.contains(&header));
    }
    for key in ["x402/payment", "x402.payment", "l402/authorization", "org.paymentauth/credential"] {
        assert!(PAYMENT_META_KEYS.contains(&key));
    }
}

proptest! {
    #[test]
    fn reading_never_panics(
        header in proptest::collection::vec(any::<u8>(), 0..80),
        authorization in "(L402|LSAT|Payment|Bearer)?[ ,:a-zA-Z0-9=_-]{0,60}",
        json in "\\PC{0,80}",
        which in 0_usize..4,
    ) {
        if let Ok(value) = HeaderValue::from_bytes(&header) {
            let mut map = HeaderMap::new();
            map.insert(PAYMENT_HEADERS[which], value);
            let _taken = extract(&map, |_| None);
        }
        let _taken = take(&[("authorization", &authorization)], &[]);
        let _taken = take(&[], &[(PAYMENT_META_KEYS[which], &json)]);
    }

    #[test]
    fn what_is_taken_is_what_would_be_stripped(line in "[ ,:a-zA-Z0-9=_-]{0,60}|(L402|Payment|Bearer x,) ?[a-z:]{0,9}") {
        // A line that is not stripped must not have been read as a payment.
        if !is_payment_authorization(line.as_bytes()) {
            prop_assert_eq!(take(&[("authorization", &line)], &[]), Ok(None));
        }
    }
}
