//! Payments as strangers send them: one or none is taken, and what was changed is worth nothing.

use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate_rails::carriers::{self, CarrierError};
use tollgate_rails::evm::SignedAuthorization;
use tollgate_rails::l402::L402Challenge;
use tollgate_rails::l402::macaroon::Macaroon;
use tollgate_rails::l402::www_authenticate::challenges;
use tollgate_rails::lightning::InvoiceFacts;
use tollgate_rails::mpp::Credential;

pub(crate) const CARRIER_WORDS: &[&str] = &[
    "L402 ",
    "LSAT ",
    "Payment ",
    "Bearer ",
    "eyJ4NDAyVmVyc2lvbiI6Mn0=",
    ":",
    ", ",
    "payment-signature: ",
    "authorization: ",
    "macaroon: ",
    "\n",
];
pub(crate) const X402_WORDS: &[&str] = &["\"", "0x", "00", ":", ",", "nonce", "1", "{", "}"];
pub(crate) const BOLT11_WORDS: &[&str] = &["lnbc", "lntb", "lnbcrt", "1", "u", "p", "q"];
pub(crate) const CHALLENGE_WORDS: &[&str] =
    &["L402 ", "Payment ", "macaroon=\"", "invoice=\"", "\"", ", ", "=", "\\\"", "id=\"a\", ", "realm=x"];

/// Header lines, `name: value` each. Whatever they hold, one more payment beside a payment is ambiguous.
pub(crate) fn carriers(input: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(16) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let alone = carriers::extract(&headers, |_| None);
    assert_eq!(alone.is_err(), carriers::extract(&headers, |_| None).is_err());
    let second =
        carriers::extract(&headers, |key| (key == "x402/payment").then_some(&b"{\"x402Version\":2}"[..]));
    match alone {
        Ok(None) => assert!(!matches!(second, Err(CarrierError::Several(_))), "nothing beside one is one"),
        Ok(Some(_)) | Err(_) => {
            assert!(matches!(second, Err(CarrierError::Several(_))), "two, and not refused")
        }
    }
}

/// Signed authorizations and MPP credentials go there and back.
pub(crate) fn x402(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(signed) = SignedAuthorization::from_proof_text(text) {
        assert_eq!(
            SignedAuthorization::from_proof_text(&signed.to_proof_text()).ok().as_ref(),
            Some(&signed)
        );
        let json: Result<serde_json::Value, _> = serde_json::from_str(&signed.to_payload_json());
        assert!(json.is_ok(), "a payload that is no JSON");
    }
    if let Ok(credential) = Credential::parse(text) {
        let echoed = format!("{{\"challenge\":{},\"payload\":{{}}}}", credential.challenge().mcp_json());
        let again = Credential::parse(&echoed);
        assert_eq!(again.ok().map(|again| again.challenge().clone()).as_ref(), Some(credential.challenge()));
    }
}

/// Bytes and texts of a macaroon read back as themselves, a stranger's never verifies, and one of ours with a bit changed does not.
pub(crate) fn macaroon(input: &[u8]) {
    let key = [3; 32];
    if let Ok(read) = Macaroon::parse(input.to_vec()) {
        assert_eq!(read.as_bytes(), input, "print and parse agree");
        for text in [read.to_base64(), read.to_hex()] {
            assert_eq!(Macaroon::from_text(&text).as_ref().map(Macaroon::as_bytes), Ok(input), "{text}");
        }
        assert!(read.verify_signature(&key).is_err(), "a signature that nobody made");
        if let Ok(narrowed) = read.add_first_party_caveat(b"expires=1") {
            assert_eq!(narrowed.caveats().count(), read.caveats().count() + 1);
            assert!(narrowed.verify_signature(&key).is_err(), "a caveat made it valid");
        }
    }
    let (caveat, place) = input.split_at(input.len().min(40));
    let Ok(ours) = Macaroon::mint(&key, b"identifier", "tollgate", [caveat]) else { return };
    assert_eq!(ours.verify_signature(&key), Ok(()), "control");
    let place = place
        .iter()
        .fold(caveat.len(), |place, byte| place.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let mut changed = ours.as_bytes().to_vec();
    let place = place % changed.len();
    if let Some(byte) = changed.get_mut(place) {
        *byte ^= 1 << (place % 8);
    }
    if let Ok(changed) = Macaroon::parse(changed) {
        // Where it was made is the one part that is not signed.
        let same = changed.identifier() == ours.identifier()
            && changed.caveats().eq(ours.caveats())
            && changed.location() != ours.location();
        assert!(same || changed.verify_signature(&key).is_err(), "byte {place} was changed, and it verifies");
    }
}

/// An invoice means the same in either case of letters, and no letter of it can be changed.
pub(crate) fn bolt11(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(facts) = InvoiceFacts::read(text) else { return };
    let (upper, lower) = (text.to_uppercase(), text.to_lowercase());
    assert_eq!(InvoiceFacts::read(&upper).as_ref(), Ok(&facts));
    assert_eq!(InvoiceFacts::read(&lower).as_ref(), Ok(&facts));
    for (at, letter) in lower.char_indices().filter(|(at, _)| at % 7 == 0) {
        let other = if letter == 'q' { 'p' } else { 'q' };
        let mut changed = lower.clone();
        changed.replace_range(at..at + letter.len_utf8(), &other.to_string());
        assert_ne!(InvoiceFacts::read(&changed).as_ref(), Ok(&facts), "letter {at} was changed");
    }
}

/// Challenges in the header of a stranger's 402: what is read can be written so that it reads the same.
pub(crate) fn challenge(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let found = challenges(text);
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if found.iter().all(|challenge| {
        !challenge.params.is_empty()
            && challenge.params.iter().all(|(name, value)| plain(name) && plain(value))
            && plain(&challenge.scheme)
    }) {
        let written: Vec<String> = found
            .iter()
            .map(|challenge| {
                let params: Vec<String> =
                    challenge.params.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
                format!("{} {}", challenge.scheme, params.join(", "))
            })
            .collect();
        assert_eq!(challenges(&written.join(", ")), found);
    }
    for header in
        [L402Challenge::from_www_authenticate(text), L402Challenge::from_json(text)].into_iter().flatten()
    {
        // Whoever is asked for another amount than the invoice's does not pay.
        assert!(header.check(tollgate_domain::Amount::new(u128::MAX)).is_err());
    }
}
