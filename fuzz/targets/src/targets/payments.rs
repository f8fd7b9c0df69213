//! Payments as strangers send them: one or none is taken, and what was changed is worth nothing.

use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate_domain::{Amount, Binding, Digest, ToolRef, UnixMillis};
use tollgate_rails::carriers::{self, CarrierError};
use tollgate_rails::evm::SignedAuthorization;
use tollgate_rails::foreign::{is_demand, strip_headers};
use tollgate_rails::l402::L402Challenge;
use tollgate_rails::l402::macaroon::Macaroon;
use tollgate_rails::l402::www_authenticate::challenges;
use tollgate_rails::lightning::InvoiceFacts;
use tollgate_rails::mpp::{Challenges, Credential};
use tollgate_rails::quote_seal::{QuoteSealer, SealedQuote};

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
pub(crate) const FOREIGN_WORDS: &[&str] = &[
    "\"x402Version\":2,",
    "\"accepts\":[]",
    "\"macaroon\":\"a\",",
    "\"invoice\":\"lnbc\"",
    "\"token\":",
    "\\u0078",
    "\\\"",
    "Bearer realm=\"a\", L402 macaroon=\"a\", invoice=\"b\"",
    "{",
    "}",
];

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
        assert!(header.check(Amount::new(u128::MAX)).is_err());
    }
}

/// A sealed quote opens as what was sealed and nothing else does; a challenge of ours that is echoed is recognised, whatever way
/// it went, and a changed one is not.
pub(crate) fn quote(input: &[u8]) {
    let text = &*String::from_utf8_lossy(input);
    let sealer = QuoteSealer::new(&[3; 32]);
    assert!(sealer.open(text).is_err(), "nobody sealed it");
    let (bytes, place) = input.split_at(input.len().min(56));
    let mut fixed = [0; 56];
    if let Some(fixed) = fixed.get_mut(..bytes.len()) {
        fixed.copy_from_slice(bytes);
    }
    let place = place.iter().fold(0_usize, |place, byte| place.wrapping_mul(31).wrapping_add((*byte).into()));
    if let Some(quote) = sealed_quote(&fixed) {
        let seal = sealer.seal(&quote);
        assert_eq!(sealer.open(&seal).as_ref(), Ok(&quote), "control");
        if let Ok(other) = sealer.open(&changed(&seal, place)) {
            assert_eq!(other, quote, "letter {place} was changed");
        }
    }
    if let Ok(credential) = Credential::parse(text)
        && let Ok(maker) = Challenges::new(&[3; 32], "tollgate")
    {
        assert!(maker.recognise(&credential).is_err(), "nobody made that challenge");
        let echoed = credential.challenge();
        let now = UnixMillis::new(1);
        let seal = echoed.seal().unwrap_or_default();
        let ours = maker.challenge(echoed.method(), echoed.intent(), echoed.request().clone(), now, &seal);
        let echo =
            |challenge: &str| Credential::parse(&format!("{{\"challenge\":{challenge},\"payload\":{{}}}}"));
        let back = echo(&ours.mcp_json());
        let bars = [echoed.method(), echoed.intent()].iter().any(|slot| slot.contains('|'));
        assert!(bars || back.is_ok_and(|back| maker.recognise(&back).is_ok()), "control");
        assert_eq!(ours.seal().as_deref(), Some(&*seal));
        if let Ok(back) = echo(&changed(&ours.mcp_json(), place)) {
            assert!(back.challenge() == &ours || maker.recognise(&back).is_err(), "letter {place}");
        }
        let header = ours.www_authenticate();
        let plain = [echoed.method(), echoed.intent()];
        if plain.iter().all(|slot| slot.bytes().all(|byte| byte.is_ascii_graphic())) {
            let read_back = challenges(&header);
            let [read] = &read_back[..] else { return assert_eq!(read_back.len(), 1, "{header}") };
            assert_eq!(read.param("id"), Some(ours.id()), "{header}");
            assert_eq!(read.param("method"), Some(echoed.method()), "{header}");
        }
    }
}

fn sealed_quote(bytes: &[u8; 56]) -> Option<SealedQuote> {
    let number = |at: usize| {
        bytes.get(at..at + 8).map_or(0, |eight| eight.iter().fold(0, |n: u64, b| n << 8 | u64::from(*b)))
    };
    let mut nonce = [0; 16];
    nonce.copy_from_slice(bytes.get(..16)?);
    let tool = ToolRef { server: "demo".parse().ok()?, tool: format!("t{}", number(16)).parse().ok()? };
    let args = Digest::of(bytes);
    Some(SealedQuote {
        binding: Binding { tool, args, price_version: u32::try_from(number(24) >> 32).ok()?, quote: None },
        amount: Amount::new(u128::from(number(32)) << 64 | u128::from(number(40))),
        asset: "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e".parse().ok()?,
        expires: UnixMillis::new(number(48)),
        buyer: None,
        nonce,
    })
}

/// The text with one letter of it another one.
fn changed(text: &str, place: usize) -> String {
    let mut changed = text.as_bytes().to_vec();
    let place = place % changed.len().max(1);
    if let Some(byte) = changed.get_mut(place) {
        *byte = if *byte == b'q' { b'p' } else { b'q' };
    }
    String::from_utf8_lossy(&changed).into_owned()
}

/// An error of somebody's tool that asks for a payment in a form that a client of ours reads is told from any other.
pub(crate) fn foreign(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = serde_json::from_str::<serde_json::Value>(text).ok();
    let asks = |name: &str, is: fn(&serde_json::Value) -> bool| {
        read.as_ref().and_then(|read| read.get(name)).is_some_and(is)
    };
    let x402 = asks("x402Version", |version| version == 2) && asks("accepts", serde_json::Value::is_array);
    let l402 = asks("macaroon", serde_json::Value::is_string) && L402Challenge::from_json(text).is_some();
    let quoted = serde_json::Value::from(text).to_string();
    for raw in [text.to_owned(), format!("{{\"content\":[{{\"type\":\"text\",\"text\":{quoted}}}]}}")] {
        let found = is_demand(raw.as_bytes());
        assert!(found || !(x402 || l402), "a demand passed: {raw}");
    }
    let mut headers = HeaderMap::new();
    for line in text.lines().take(8) {
        if let Ok(value) = HeaderValue::from_str(line) {
            headers.append(http::header::WWW_AUTHENTICATE, value);
        }
    }
    strip_headers(&mut headers);
    for left in headers.get_all(http::header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok())
    {
        assert!(L402Challenge::from_www_authenticate(left).is_none(), "a demand was left: {left}");
    }
}
