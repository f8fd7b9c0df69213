use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_domain::{Money, Price};

use super::*;
use crate::mpp::evm::challenge_nonce;
use crate::x402::sign_payment;
use crate::x402::testing::{MemoryToken, NOW, PAY_TO, config, payer, quote, quote_for, rail, ready, usdc};

/// The rail on a chain.
fn on_chain() -> ExactEvm {
    ExactEvm::new(config(Settling::Chain(Arc::new(MemoryToken::default())))).unwrap()
}

fn offer_of(rail: &ExactEvm, quote: &Quote) -> Offer {
    ready(rail.offer(quote, &Caller::Anonymous, [5; 32], NOW)).unwrap().unwrap()
}

/// A payment for this quote, as an honest client makes it.
fn payment_for(rail: &ExactEvm, quote: &Quote) -> Value {
    let entry = &offer_of(rail, quote).forms.x402_accepts[0];
    serde_json::from_str(&sign_payment(entry, None, &payer(), [3; 32], NOW).unwrap()).unwrap()
}

fn judge(
    rail: &ExactEvm,
    payment: &Value,
    quote: &Quote,
    now: UnixMillis,
) -> Result<Payment, PaymentRefusal> {
    let proof = rail.open(&Presented::X402(payment.to_string()))?;
    rail.verify(&proof, quote, now)
}

/// Changes the authorization and signs it again: a payer who means something else than the offer.
fn resigned(payment: &Value, field: &str, value: &str) -> Value {
    let mut changed = payment.clone();
    changed["payload"]["authorization"][field] = json!(value);
    let signed = SignedAuthorization::from_proof_text(&changed["payload"].to_string()).unwrap();
    changed["payload"]["signature"] =
        json!(payer().sign(&signed.authorization.digest(rail().domain())).to_hex());
    changed
}

fn mpp_payment_for(rail: &ExactEvm, quote: &Quote) -> Value {
    let challenge: Value = serde_json::from_str(&offer_of(rail, quote).forms.mpp_challenges[0]).unwrap();
    let unpaid = json!({"challenge": challenge, "payload": {}}).to_string();
    let nonce = challenge_nonce(mpp::Credential::parse(&unpaid).unwrap().challenge());
    let authorization = Authorization {
        from: payer().address(),
        to: PAY_TO.parse().unwrap(),
        value: Amount::new(10_000),
        valid_after: 0,
        valid_before: quote.expires.secs(),
        nonce,
    };
    let signature = payer().sign(&authorization.digest(rail.domain()));
    json!({
        "challenge": challenge,
        "source": format!("did:pkh:eip155:84532:{}", payer().address()),
        "payload": {
            "type": "authorization",
            "from": payer().address().to_string(), "to": PAY_TO, "value": "10000",
            "validAfter": "0", "validBefore": quote.expires.secs().to_string(),
            "nonce": authorization.nonce_hex(), "signature": signature.to_hex(),
        },
    })
}

fn judge_mpp(rail: &ExactEvm, credential: &Value, quote: &Quote) -> Result<Payment, PaymentRefusal> {
    let proof = rail.open(&Presented::Mpp(credential.to_string()))?;
    rail.verify(&proof, quote, NOW)
}

#[test]
fn an_offer_says_everything_a_client_needs() {
    let offer = offer_of(&rail(), &quote());
    let mut entry: Value = serde_json::from_str(&offer.forms.x402_accepts[0]).unwrap();
    let seal = entry["extra"].as_object_mut().unwrap().remove("tollgateQuote").unwrap();
    assert!(seal.as_str().is_some_and(|seal| seal.len() > 100));
    assert_eq!(
        entry,
        json!({
            "scheme": "exact", "network": "eip155:84532", "amount": "10000",
            "asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "payTo": PAY_TO, "maxTimeoutSeconds": 60,
            "extra": {"name": "USDC", "version": "2", "sandbox": true},
        })
    );
    assert_eq!((offer.rail, offer.amount), (Rail::X402, Amount::new(10_000)));
    let entry = &offer_of(&on_chain(), &quote()).forms.x402_accepts[0];
    assert!(!entry.contains("sandbox"), "{entry}");
}

#[test]
fn a_price_in_other_assets_is_not_offered_here() {
    let mut quote = quote();
    let sats = Asset::new("lightning:regtest/msat", "sat", 3).unwrap();
    quote.price = Price::any_of([Money { amount: Amount::new(10_000), asset: sats }]);
    assert_eq!(ready(rail().offer(&quote, &Caller::Anonymous, [5; 32], NOW)).unwrap(), None);
}

#[test]
fn an_honest_payment_pays_exactly_its_call() {
    let (rail, quote) = (rail(), quote());
    let payment = judge(&rail, &payment_for(&rail, &quote), &quote, NOW).unwrap();
    assert_eq!(Binding { quote: None, ..payment.binding.clone() }, quote.binding);
    assert_eq!((payment.amount, &payment.asset), (Amount::new(10_000), usdc().id()));
    assert_eq!(payment.payer, Caller::Wallet(*payer().address().as_bytes()));
    assert_eq!(payment.funds, Funds::Sandbox);
    let live = on_chain();
    let live = judge(&live, &payment_for(&live, &quote), &quote, NOW).unwrap();
    assert_eq!(live.funds, Funds::OnSettlement, "only the place of the money differs");
    assert_eq!((live.key, live.amount, live.expires), (payment.key.clone(), payment.amount, payment.expires));
    assert_eq!(payment.expires, NOW.plus_millis(60_000));
    assert_eq!(
        payment.key.to_string(),
        format!(
            "x402:eip155:84532/0x036cbd53842c5426634e7929541ec2318f3dcf7e/0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266/0x{}",
            "03".repeat(32)
        )
    );
}

#[test]
fn a_payment_may_come_with_nulls_additions_and_other_cases() {
    let (rail, quote) = (rail(), quote());
    let mut payment = payment_for(&rail, &quote);
    payment["resource"] = json!({"url": "mcp://tool/weather", "description": null, "tags": null});
    payment["extensions"] = Value::Null;
    payment["accepted"]["extra"]["added"] = json!({"by": "client"});
    payment["accepted"]["extra"]["paymentFlow"] = Value::Null;
    payment["accepted"]["asset"] = json!("0x036cbd53842c5426634e7929541ec2318f3dcf7e");
    payment["accepted"]["payTo"] = json!(format!("0x{}", PAY_TO[2..].to_uppercase()));
    let from = payment["payload"]["authorization"]["from"].as_str().unwrap().to_lowercase();
    payment["payload"]["authorization"]["from"] = json!(from);
    let now = NOW.secs() - 600;
    let payment = resigned(&payment, "validAfter", &now.to_string());
    assert!(judge(&rail, &payment, &quote, NOW).is_ok());
}

/// Recorded answers of official clients (origin and licence: `vectors/README.md`), taken through the extractor as they
/// would arrive.
#[test]
fn official_clients_answer_our_offer() {
    let (rail, quote) = (rail(), quote());
    let (mppx_http, mppx_mcp) =
        (include_str!("vectors/mppx-http.txt"), include_str!("vectors/mppx-mcp.json"));
    let x402 = include_str!("vectors/x402-client.json");
    let headers = |name: &'static str, value: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert(name, value.trim().parse().unwrap());
        headers
    };
    for (headers, meta) in [
        (headers("authorization", mppx_http), None),
        (headers("x-other", "none"), Some(("org.paymentauth/credential", mppx_mcp))),
        (headers("payment-signature", &crate::x402::wire::header(x402)), None),
        (headers("x-other", "none"), Some(("x402/payment", x402))),
    ] {
        let member = |key: &str| meta.filter(|(name, _)| *name == key).map(|(_, json)| json.as_bytes());
        let presented = crate::carriers::extract(&headers, member).unwrap().unwrap();
        let proof = rail.open(&presented).unwrap();
        assert_eq!(proof.payer, Caller::Wallet(*payer().address().as_bytes()));
        let payment = rail.verify(&proof, &quote, NOW).unwrap();
        assert_eq!(payment.amount, Amount::new(10_000));
        let other = quote_for("demo", "news", "{}", 10_000);
        assert_eq!(rail.verify(&proof, &other, NOW).unwrap_err(), PaymentRefusal::OtherCall("tool"));
    }
}

#[test]
fn p2_a_payment_for_one_call_does_not_pay_another() {
    let rail = rail();
    let payment = payment_for(&rail, &quote());
    assert!(judge(&rail, &payment, &quote(), NOW).is_ok());
    for (other, what) in [
        (quote_for("demo", "news", r#"{"city":"Paris"}"#, 10_000), "tool"),
        (quote_for("demo", "weather", r#"{"city":"Rome"}"#, 10_000), "arguments"),
        (quote_for("other", "weather", r#"{"city":"Paris"}"#, 10_000), "server"),
    ] {
        assert_eq!(judge(&rail, &payment, &other, NOW).unwrap_err(), PaymentRefusal::OtherCall(what));
    }
}

#[test]
fn p2_a_payment_to_another_target_is_refused() {
    let (rail, quote) = (rail(), quote());
    let payment = payment_for(&rail, &quote);
    assert!(judge(&rail, &payment, &quote, NOW).is_ok());
    let other = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
    for (path, value) in [
        ("/accepted/scheme", json!("upto")),
        ("/accepted/network", json!("eip155:8453")),
        ("/accepted/network", json!("base-sepolia")),
        ("/accepted/asset", json!(other)),
        ("/accepted/payTo", json!(other)),
        ("/accepted/extra/name", json!("USD Coin")),
        ("/accepted/extra/version", json!("1")),
        ("/accepted/extra/sandbox", json!(false)),
    ] {
        let mut changed = payment.clone();
        *changed.pointer_mut(path).unwrap() = value;
        let refusal = judge(&rail, &changed, &quote, NOW).unwrap_err();
        assert!(matches!(refusal, PaymentRefusal::WrongTarget { .. }), "{path}: {refusal}");
    }
    // Signed for another recipient, while the echoed entry is ours.
    let elsewhere = resigned(&payment, "to", other);
    assert!(matches!(judge(&rail, &elsewhere, &quote, NOW), Err(PaymentRefusal::WrongTarget { .. })));
    for (key, value) in [("assetTransferMethod", "permit2"), ("paymentFlow", "escrow")] {
        let mut changed = payment.clone();
        changed["accepted"]["extra"][key] = json!(value);
        assert!(
            matches!(judge(&rail, &changed, &quote, NOW), Err(PaymentRefusal::WrongTarget { .. })),
            "{key}"
        );
    }
}

#[test]
fn a_payer_who_agreed_to_pay_for_an_answer_does_not_pay_before_there_is_one() {
    let (rail, after) = (rail(), quote());
    let before = tollgate_domain::Quote { settle: tollgate_domain::Settle::Before, ..quote() };
    let (for_an_answer, upfront) = (payment_for(&rail, &after), payment_for(&rail, &before));
    assert_eq!(upfront["accepted"]["extra"]["paymentFlow"], "upfront");
    assert_eq!(for_an_answer["accepted"]["extra"]["paymentFlow"], Value::Null);
    for (payment, quote) in [(&for_an_answer, &before), (&upfront, &after)] {
        let refused = judge(&rail, payment, quote, NOW);
        assert!(matches!(refused, Err(PaymentRefusal::OtherCall("payment flow"))), "{refused:?}");
    }
    for (payment, quote) in [(&for_an_answer, &after), (&upfront, &before)] {
        assert!(judge(&rail, payment, quote, NOW).is_ok(), "control");
    }
}

#[test]
fn p2_sandbox_money_does_not_pay_for_real() {
    let (sandbox, quote) = (rail(), quote());
    let payment = payment_for(&sandbox, &quote);
    assert!(judge(&sandbox, &payment, &quote, NOW).is_ok());
    let live = on_chain();
    assert!(matches!(judge(&live, &payment, &quote, NOW), Err(PaymentRefusal::WrongTarget { .. })));
}

#[test]
fn p2_a_quote_that_we_did_not_make_is_refused() {
    let (rail, quote) = (rail(), quote());
    let payment = payment_for(&rail, &quote);
    let mut foreign = config(Settling::Sandbox);
    foreign.sealer = QuoteSealer::new(&[8; 32]);
    let forged = payment_for(&ExactEvm::new(foreign).unwrap(), &quote);
    assert!(judge(&rail, &payment, &quote, NOW).is_ok());
    assert!(matches!(judge(&rail, &forged, &quote, NOW), Err(PaymentRefusal::Invalid(_))));
    for value in [Value::Null, json!("")] {
        let mut without = payment.clone();
        without["accepted"]["extra"]["tollgateQuote"] = value;
        assert!(matches!(judge(&rail, &without, &quote, NOW), Err(PaymentRefusal::Invalid(_))));
    }
}

#[test]
fn p8_neither_less_nor_more_than_the_price_is_accepted() {
    let (rail, quote) = (rail(), quote());
    let payment = payment_for(&rail, &quote);
    assert!(judge(&rail, &payment, &quote, NOW).is_ok());
    for amount in ["0", "1", "9999", "10001", "340282366920938463463374607431768211455"] {
        // Signed over another value, the entry as it was.
        let signed = resigned(&payment, "value", amount);
        let mut both = signed.clone();
        both["accepted"]["amount"] = json!(amount);
        // The entry changed, the signature as it was.
        let mut entry = payment.clone();
        entry["accepted"]["amount"] = json!(amount);
        for changed in [signed, both, entry] {
            let refusal = judge(&rail, &changed, &quote, NOW).unwrap_err();
            let expected =
                PaymentRefusal::WrongAmount { presented: amount.to_owned(), expected: Amount::new(10_000) };
            assert_eq!(refusal, expected);
        }
    }
    for amount in [
        "-1",
        "1e4",
        "1e-18",
        "NaN",
        "0x2710",
        "10000.0",
        "",
        "+10000",
        "340282366920938463463374607431768211456",
    ] {
        for path in ["/accepted/amount", "/payload/authorization/value"] {
            let mut changed = payment.clone();
            *changed.pointer_mut(path).unwrap() = json!(amount);
            assert!(
                matches!(judge(&rail, &changed, &quote, NOW), Err(PaymentRefusal::Unreadable(_))),
                "{path} {amount}"
            );
        }
    }
}

#[test]
fn while_the_seal_is_good_its_price_counts() {
    let rail = rail();
    let payment = payment_for(&rail, &quote());
    let mut dearer = quote_for("demo", "weather", r#"{"city":"Paris"}"#, 20_000);
    dearer.binding.price_version = 2;
    let paid = judge(&rail, &payment, &dearer, NOW).unwrap();
    assert_eq!((paid.amount, paid.binding.price_version), (Amount::new(10_000), 1));
    let at_last = judge(&rail, &payment, &dearer, NOW.plus_millis(120_000)).unwrap_err();
    assert_eq!(at_last, PaymentRefusal::Expired(NOW.plus_millis(120_000)));
}

#[test]
fn p18_the_time_window_must_cover_the_call() {
    let (rail, quote) = (rail(), quote());
    let payment = payment_for(&rail, &quote);
    let at = |field: &str, seconds: u64| {
        judge(&rail, &resigned(&payment, field, &seconds.to_string()), &quote, NOW)
    };
    let now = NOW.secs();
    assert!(at("validAfter", now - 1).is_ok());
    // As strict as the contract: `now > validAfter`.
    assert!(matches!(at("validAfter", now), Err(PaymentRefusal::Window(_))));
    assert!(at("validBefore", now + SETTLE_MARGIN_SECONDS).is_ok());
    assert!(matches!(at("validBefore", now + SETTLE_MARGIN_SECONDS - 1), Err(PaymentRefusal::Window(_))));
    assert_eq!(at("validBefore", now).unwrap_err(), PaymentRefusal::Expired(NOW));
    assert!(at("validBefore", u64::MAX).is_ok());
}

#[test]
fn p1_garbage_is_unreadable() {
    let rail = rail();
    for text in
        ["", "{}", "[]", "null", r#"{"x402Version":2}"#, r#"{"x402Version":2,"accepted":{},"payload":{}}"#]
    {
        let refusal = rail.open(&Presented::X402(text.to_owned())).map(|proof| proof.key).unwrap_err();
        assert!(matches!(refusal, PaymentRefusal::Unreadable(_)), "{text}: {refusal}");
    }
    for version in [json!(1), json!(3), Value::Null] {
        let mut payment = payment_for(&rail, &quote());
        payment["x402Version"] = version;
        assert!(matches!(judge(&rail, &payment, &quote(), NOW), Err(PaymentRefusal::Unreadable(_))));
    }
}

#[test]
fn p2_every_field_that_the_signature_covers_is_protected() {
    let (rail, quote) = (rail(), quote());
    let payment = payment_for(&rail, &quote);
    assert!(judge(&rail, &payment, &quote, NOW).is_ok());
    for (field, value) in [
        ("from", "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC".to_owned()),
        ("validAfter", "1".to_owned()),
        ("validBefore", (NOW.secs() + 61).to_string()),
        ("nonce", format!("0x{}", "04".repeat(32))),
        ("value", "10001".to_owned()),
        ("to", "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC".to_owned()),
    ] {
        let mut changed = payment.clone();
        changed["payload"]["authorization"][field] = json!(value);
        let refusal = judge(&rail, &changed, &quote, NOW).unwrap_err();
        assert!(matches!(refusal, PaymentRefusal::Invalid(_)), "{field}: {refusal}");
    }
    let mut long = payment.clone();
    long["payload"]["signature"] = json!(format!("0x{}", "00".repeat(160)));
    let refusal = judge(&rail, &long, &quote, NOW).unwrap_err();
    assert!(refusal.to_string().contains("ERC-1271"), "{refusal}");
}

#[test]
fn an_mpp_credential_pays_with_the_same_authorization() {
    let (rail, quote) = (rail(), quote());
    let credential = mpp_payment_for(&rail, &quote);
    let payment = judge_mpp(&rail, &credential, &quote).unwrap();
    assert_eq!((payment.amount, payment.binding.args), (Amount::new(10_000), quote.binding.args));
    // Carried as x402, the very same authorization has the very same key: it can be spent once.
    let mut x402 = payment_for(&rail, &quote);
    let mpp_payload = &credential["payload"];
    for field in ["from", "to", "value", "validAfter", "validBefore", "nonce"] {
        x402["payload"]["authorization"][field] = mpp_payload[field].clone();
    }
    x402["payload"]["signature"] = mpp_payload["signature"].clone();
    assert_eq!(judge(&rail, &x402, &quote, NOW).unwrap().key, payment.key);
}

#[test]
fn p2_an_mpp_credential_is_bound_to_its_challenge_and_call() {
    let (rail, quote) = (rail(), quote());
    let credential = mpp_payment_for(&rail, &quote);
    assert!(judge_mpp(&rail, &credential, &quote).is_ok());
    let other = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC";
    for (path, value) in [
        ("/challenge/id", json!("x")),
        ("/challenge/realm", json!("evil.example")),
        ("/challenge/method", json!("tempo")),
        ("/challenge/intent", json!("session")),
        ("/challenge/expires", json!("2030-01-01T00:00:00Z")),
        ("/challenge/opaque", Value::Null),
        ("/challenge/request/amount", json!("1")),
        ("/challenge/request/recipient", json!(other)),
        ("/challenge/request/methodDetails/chainId", json!(1)),
        ("/payload/type", json!("hash")),
        ("/payload/value", json!("1")),
        ("/payload/to", json!(other)),
        ("/payload/from", json!(other)),
        ("/payload/nonce", json!(format!("0x{}", "03".repeat(32)))),
        ("/payload/validBefore", json!("1895219260")),
        ("/source", json!(format!("did:pkh:eip155:84532:{other}"))),
    ] {
        let mut changed = credential.clone();
        *changed.pointer_mut(path).unwrap() = value;
        assert!(judge_mpp(&rail, &changed, &quote).is_err(), "{path}");
    }
    let another = quote_for("demo", "news", r#"{"city":"Paris"}"#, 10_000);
    assert_eq!(judge_mpp(&rail, &credential, &another).unwrap_err(), PaymentRefusal::OtherCall("tool"));
}

#[test]
fn a_rail_reads_its_own_forms_only() {
    let rail = rail();
    let mpp = mpp_payment_for(&rail, &quote());
    assert!(rail.reads(&Presented::X402("{}".to_owned())));
    assert!(rail.reads(&Presented::Mpp(mpp.to_string())));
    assert!(!rail.reads(&Presented::Mpp(mpp.to_string().replace("\"evm\"", "\"lightning\""))));
    assert!(!rail.reads(&Presented::L402 { token: "a".to_owned(), preimage: "b".to_owned() }));
    let mut without = config(Settling::Sandbox);
    without.challenges = None;
    let without = ExactEvm::new(without).unwrap();
    assert!(!without.reads(&Presented::Mpp(mpp.to_string())));
    assert!(offer_of(&without, &quote()).forms.mpp_challenges.is_empty());
}

/// A verified payment of this rail, as its settlement row keeps it.
fn row_of(rail: &ExactEvm) -> Settlement {
    let payment = judge(rail, &payment_for(rail, &quote()), &quote(), NOW).unwrap();
    let Payment { key, amount, asset, proof, expires, .. } = payment;
    Settlement { key, amount, asset, proof, expires, since: NOW }
}

#[test]
fn a_settlement_row_is_settled_from_its_stored_text_alone() {
    let token = Arc::new(MemoryToken::default());
    let started = || ExactEvm::new(config(Settling::Chain(Arc::clone(&token) as _))).unwrap();
    let rail = started();
    let row = row_of(&rail);
    assert_eq!(ready(rail.look_up(&row, NOW)), SettlementAnswer::Absent);
    // A row that does not agree with itself is never sent.
    let other = Settlement { amount: Amount::new(1), ..row.clone() };
    let broken = Settlement { proof: "{}".to_owned(), ..row.clone() };
    for row in [other, broken] {
        assert!(matches!(ready(rail.settle(&row, NOW)), SettlementAnswer::Unknown { .. }));
    }
    assert_eq!(token.transfers(), 0);
    let restarted = started();
    let settled = ready(restarted.settle(&row, NOW));
    assert!(matches!(settled, SettlementAnswer::Settled { .. }));
    assert_eq!(ready(restarted.look_up(&row, NOW)), settled);
    assert_eq!(token.transfers(), 1);
}

#[test]
fn a_row_that_an_earlier_sandbox_left_open_ends_without_a_charge() {
    let rail = rail();
    let row = row_of(&rail);
    for answer in [ready(rail.settle(&row, NOW)), ready(rail.look_up(&row, NOW))] {
        assert_eq!(answer, SettlementAnswer::Failed { reason: NO_CHAIN.to_owned() });
    }
    // Of another token, nothing is said: it may wait for a chain.
    let other = Settlement { asset: "eip155:8453/erc20:0x00".parse().unwrap(), ..row };
    assert!(matches!(ready(rail.look_up(&other, NOW)), SettlementAnswer::Unknown { .. }));
}

#[test]
fn wrong_settings_are_refused() {
    let refused = |change: fn(&mut ExactEvmConfig)| {
        let mut config = config(Settling::Sandbox);
        change(&mut config);
        ExactEvm::new(config).map(|rail| rail.network).unwrap_err()
    };
    assert!(ExactEvm::new(config(Settling::Sandbox)).is_ok());
    let lightning = refused(|config| config.asset = Asset::new("lightning:regtest/msat", "sat", 3).unwrap());
    assert!(matches!(lightning, ExactEvmConfigError::Asset(_)));
    assert_eq!(refused(|config| config.domain_name.clear()), ExactEvmConfigError::Domain);
    assert_eq!(refused(|config| config.pay_to = Address::ZERO), ExactEvmConfigError::PayTo);
    assert_eq!(refused(|config| config.max_timeout_seconds = 6), ExactEvmConfigError::Timeout(6));
}

proptest! {
    #[test]
    fn opening_never_panics(text in "\\PC{0,300}") {
        let rail = rail();
        prop_assert!(rail.open(&Presented::X402(text.clone())).is_err());
        prop_assert!(rail.open(&Presented::Mpp(text)).is_err());
    }

    #[test]
    fn p2_a_payment_with_any_character_changed_is_refused_or_the_same(place: prop::sample::Index, new in "[0-9a-zA-Z\"{},.:-]") {
        let (rail, quote) = (rail(), quote());
        let text = payment_for(&rail, &quote).to_string();
        let honest = judge(&rail, &serde_json::from_str(&text).unwrap(), &quote, NOW).unwrap();
        let at = place.index(text.len());
        let changed = format!("{}{new}{}", &text[..at], &text[at + 1..]);
        let judged = rail.open(&Presented::X402(changed)).and_then(|proof| rail.verify(&proof, &quote, NOW));
        if let Ok(payment) = judged {
            // What still passes (another case of a hexadecimal digit, an ignored field) is the same payment.
            prop_assert_eq!((payment.key, payment.amount, payment.binding), (honest.key, honest.amount, honest.binding));
        }
    }
}

#[test]
fn p2_an_offer_to_a_known_caller_says_who_may_use_it() {
    let (rail, quote) = (rail(), quote());
    let open = |buyer: &Caller| {
        let offer = ready(rail.offer(&quote, buyer, [5; 32], NOW)).unwrap().unwrap();
        let payment = sign_payment(&offer.forms.x402_accepts[0], None, &payer(), [3; 32], NOW).unwrap();
        rail.open(&Presented::X402(payment)).unwrap()
    };
    let key: Principal = "key_101FA1eLaDkGYdBvxVjH6d0".parse().unwrap();
    for buyer in [key.caller(), Caller::Wallet([9; 20])] {
        assert_eq!(rail.demanded_caller(&open(&buyer)), Some(&buyer.principal()));
    }
    for buyer in [Caller::Anonymous, Caller::Preimage([9; 32])] {
        assert_eq!(rail.demanded_caller(&open(&buyer)), None, "control");
    }
}

#[test]
fn p3_a_payment_is_bound_to_the_very_quote_that_it_came_with() {
    let (rail, quote) = (rail(), quote());
    let payment = payment_for(&rail, &quote);
    let paid = judge(&rail, &payment, &quote, NOW).unwrap();
    assert!(paid.binding.quote.is_some());
    // All of this can be read on the chain. The other quote is for the same request, and as good as the first.
    let other = ready(rail.offer(&quote, &Caller::Anonymous, [6; 32], NOW)).unwrap().unwrap();
    let mut stolen = payment.clone();
    stolen["accepted"] = serde_json::from_str(&other.forms.x402_accepts[0]).unwrap();
    let stolen = judge(&rail, &stolen, &quote, NOW).unwrap();
    assert_eq!(stolen.key, paid.key);
    assert_ne!(stolen.binding, paid.binding);
    assert_eq!(judge(&rail, &payment, &quote, NOW).unwrap().binding, paid.binding, "control");
    let mpp = judge_mpp(&rail, &mpp_payment_for(&rail, &quote), &quote).unwrap();
    assert_eq!(mpp.binding, paid.binding, "one quote in two forms");
}
