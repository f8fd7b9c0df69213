use serde_json::{Value, json};
use tollgate_domain::Amount;

use super::*;

const TOKEN: &str = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
const PAY_TO: &str = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C";

/// "1 cup coffee" over 2500 µBTC within one minute: the example of BOLT 11 (CC-BY 4.0), payment hash 0001…0102.
const INVOICE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
const INVOICE_HASH: &str = "0001020304050607080900010203040506070809000102030405060708090102";
const INVOICE_MSAT: u128 = 250_000_000;
const INVOICE_CREATED_SECONDS: u64 = 1_496_314_658;

fn usdc(units: u128) -> Money {
    let id = format!("eip155:84532/erc20:{}", TOKEN.to_lowercase());
    Money { amount: Amount::new(units), asset: Asset::new(&id, "USDC", 6).expect("an asset") }
}

fn sats(msat: u128, network: &str) -> Money {
    let asset = Asset::new(&format!("lightning:{network}/msat"), "sat", 3).expect("an asset");
    Money { amount: Amount::new(msat), asset }
}

fn entry() -> Value {
    json!({
        "scheme": "exact", "network": "eip155:84532", "amount": "10000", "asset": TOKEN, "payTo": PAY_TO,
        "maxTimeoutSeconds": 60, "extra": { "name": "USDC", "version": "2", "quote": "sealed" },
    })
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut changed = entry();
    change(&mut changed);
    changed
}

fn demand(accepts: &[Value]) -> Demand {
    let required = json!({ "x402Version": 2, "accepts": accepts });
    let result = json!({ "isError": true, "structuredContent": required, "content": [] });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string();
    let frame = tollgate_mcp::Frame::parse_upstream(body.into()).expect("a frame");
    crate::demand::ResultParts::read(&frame).demand.expect("a demand")
}

fn judge(demand: Demand, limit: &Money, networks: &[&str]) -> Result<(Terms, Offer), PayError> {
    let networks = networks.iter().map(|network| (*network).to_owned()).collect();
    let now = UnixMillis::from_secs(INVOICE_CREATED_SECONDS);
    choose(&demand, Allowed { limit, networks: &networks, now })
}

fn judge_x402(accepts: &[Value], limit: u128) -> Result<Terms, PayError> {
    judge(demand(accepts), &usdc(limit), &["eip155:84532"]).map(|(terms, _)| terms)
}

#[test]
fn a_fitting_offer_is_chosen_and_its_terms_are_told() {
    let terms = judge_x402(&[entry()], 10_000).expect("the price is the limit");
    assert_eq!(terms.money, usdc(10_000));
    assert_eq!(
        (terms.network.as_str(), terms.rail, terms.recipient.as_str()),
        ("eip155:84532", Rail::X402, PAY_TO)
    );
}

#[test]
fn sandbox_money_is_what_the_server_says_is_some_and_nothing_else() {
    let told = |sandbox: Value| {
        let accepts = [with(|entry| entry["extra"]["sandbox"] = sandbox)];
        judge_x402(&accepts, 10_000).expect("payable").is_sandbox
    };
    assert!(told(json!(true)));
    // On the same network, with the same token: money of the test network.
    assert!(!judge_x402(&[entry()], 10_000).expect("payable").is_sandbox);
    for other in [json!(false), json!(null), json!("true"), json!({ "is": true })] {
        assert!(!told(other.clone()), "{other}");
    }
    let lightning = |denial: Value| {
        let challenge = json!({ "macaroon": "AgEC", "invoice": INVOICE, "payment_hash": INVOICE_HASH });
        let meta = json!({ "l402/challenge": challenge, "tollgate/denial": denial });
        let result = json!({ "isError": true, "content": [], "_meta": meta });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string();
        let frame = tollgate_mcp::Frame::parse_upstream(body.into()).expect("a frame");
        let demand = crate::demand::ResultParts::read(&frame).demand.expect("a demand");
        judge(demand, &sats(INVOICE_MSAT, "mainnet"), &["lightning:mainnet"]).expect("payable").0.is_sandbox
    };
    assert!(lightning(json!({ "error": "payment_required", "sandbox": true })));
    assert!(!lightning(json!({ "error": "payment_required", "sandbox": false })));
    assert!(!lightning(json!({ "error": "payment_required" })));
}

#[test]
fn p8_only_a_whole_price_within_the_limit_is_paid() {
    judge_x402(&[entry()], 10_000).expect("positive control");
    match judge_x402(&[entry()], 9_999) {
        Err(PayError::PriceAboveLimit { price, limit }) => {
            assert_eq!((*price, *limit), (usdc(10_000), usdc(9_999)))
        }
        other => panic!("{other:?}"),
    }
    for amount in ["0", "-1", "1e3", "0x10", "10000.0", "", " 10000", "010000", "NaN", &"9".repeat(60)] {
        let accepts = [with(|entry| entry["amount"] = json!(amount))];
        assert!(matches!(judge_x402(&accepts, 10_000), Err(PayError::UnsoundOffer(_))), "{amount:?}");
    }
}

#[test]
fn p2_an_offer_in_another_scheme_network_asset_or_method_is_never_paid() {
    judge_x402(&[entry()], 10_000).expect("positive control");
    let upfront = with(|entry| entry["extra"]["paymentFlow"] = json!("upfront"));
    judge_x402(&[upfront], 10_000).expect("the same signature, and the money moves before the work");
    let others = [
        with(|entry| entry["scheme"] = json!("upto")),
        with(|entry| entry["network"] = json!("eip155:8453")),
        with(|entry| entry["network"] = json!("base-sepolia")),
        with(|entry| entry["asset"] = json!("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913")),
        with(|entry| entry["asset"] = json!("USDC")),
        with(|entry| entry["extra"]["assetTransferMethod"] = json!("permit2")),
        with(|entry| entry["extra"]["paymentFlow"] = json!("escrow")),
        with(|entry| entry["payTo"] = Value::Null),
        json!({ "scheme": "exact" }),
        json!("exact"),
    ];
    for other in &others {
        let refused = judge_x402(std::slice::from_ref(other), 10_000);
        assert!(matches!(refused, Err(PayError::NoOffer { .. })), "{other}: {refused:?}");
    }
    assert!(matches!(judge_x402(&others, 10_000), Err(PayError::NoOffer { .. })));
}

#[test]
fn the_first_offer_is_not_taken_for_its_position() {
    let other_asset = with(|entry| entry["asset"] = json!("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"));
    let dearer = with(|entry| entry["amount"] = json!("9999"));
    let cheaper = with(|entry| entry["amount"] = json!("5000"));
    let too_dear = with(|entry| entry["amount"] = json!("20000"));
    let terms = judge_x402(&[other_asset, too_dear, dearer, cheaper], 10_000).expect("one fits");
    assert_eq!(terms.money, usdc(5_000));
}

#[test]
fn the_signing_domain_must_be_named() {
    judge_x402(&[entry()], 10_000).expect("positive control");
    for extra in [json!({}), json!({ "name": "USDC" }), json!({ "version": "2" }), Value::Null] {
        let accepts = [with(|entry| entry["extra"] = extra.clone())];
        assert!(matches!(judge_x402(&accepts, 10_000), Err(PayError::UnsoundOffer(_))), "{extra}");
    }
}

#[test]
fn a_network_that_is_not_allowed_is_refused_whatever_is_offered() {
    judge(demand(&[entry()]), &usdc(10_000), &["eip155:84532"]).expect("positive control");
    for networks in [&[] as &[&str], &["eip155:8453"], &["lightning:regtest"]] {
        let refused = judge(demand(&[entry()]), &usdc(10_000), networks);
        assert!(
            matches!(refused, Err(PayError::NetworkNotAllowed { ref network }) if network == "eip155:84532")
        );
    }
}

fn l402(challenge: &Value) -> Demand {
    let result = json!({ "isError": true, "content": [], "_meta": { "l402/challenge": challenge } });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string();
    let frame = tollgate_mcp::Frame::parse_upstream(body.into()).expect("a frame");
    crate::demand::ResultParts::read(&frame).demand.expect("a demand")
}

fn challenge() -> Value {
    json!({ "macaroon": "AgEEbHNhdA==", "invoice": INVOICE, "payment_hash": INVOICE_HASH, "price_sats": 250_000 })
}

#[test]
fn an_invoice_is_judged_by_what_it_says_itself() {
    let limit = sats(INVOICE_MSAT, "mainnet");
    let (terms, _) =
        judge(l402(&challenge()), &limit, &["lightning:mainnet"]).expect("the price is the limit");
    assert_eq!(terms.money, limit);
    assert_eq!(
        (terms.network.as_str(), terms.rail, terms.recipient.as_str()),
        ("lightning:mainnet", Rail::L402, INVOICE_HASH)
    );

    let mut cheap_words = challenge();
    cheap_words["price_sats"] = json!(1);
    let below = sats(INVOICE_MSAT - 1, "mainnet");
    let refused = judge(l402(&cheap_words), &below, &["lightning:mainnet"]);
    assert!(
        matches!(refused, Err(PayError::PriceAboveLimit { .. })),
        "the invoice counts, not the words beside it"
    );
}

#[test]
fn p16_an_unsound_invoice_is_never_paid() {
    let limit = sats(INVOICE_MSAT, "mainnet");
    judge(l402(&challenge()), &limit, &["lightning:mainnet"]).expect("positive control");

    let mut other_hash = challenge();
    other_hash["payment_hash"] = json!("ff".repeat(32));
    let mut tampered = challenge();
    tampered["invoice"] = json!(INVOICE.replacen("2500u", "2400u", 1));
    let mut broken = challenge();
    broken["invoice"] = json!("lnbc1");
    let mut header_splitting = challenge();
    header_splitting["macaroon"] = json!("AgE=\r\nX-Evil: 1");
    let mut colon = challenge();
    colon["macaroon"] = json!("a:b");
    for unsound in [other_hash, tampered, broken, header_splitting, colon] {
        let refused = judge(l402(&unsound), &limit, &["lightning:mainnet"]);
        assert!(matches!(refused, Err(PayError::UnsoundOffer(_))), "{unsound}: {refused:?}");
    }

    let networks = ["lightning:mainnet".to_owned()].into();
    let late = UnixMillis::from_secs(INVOICE_CREATED_SECONDS + 60);
    let refused = choose(&l402(&challenge()), Allowed { limit: &limit, networks: &networks, now: late });
    assert!(matches!(refused, Err(PayError::UnsoundOffer(_))), "an expired invoice");
}

#[test]
fn an_invoice_of_another_network_is_never_paid() {
    let limit = sats(INVOICE_MSAT, "regtest");
    let refused = judge(l402(&challenge()), &limit, &["lightning:regtest", "lightning:mainnet"]);
    assert!(matches!(refused, Err(PayError::NoOffer { .. })), "{refused:?}");
}

#[test]
fn the_rail_follows_the_asset_of_the_limit() {
    let mut both = l402(&challenge());
    both.x402 = demand(&[entry()]).x402;
    let networks = ["eip155:84532", "lightning:mainnet"];
    let (terms, _) = judge(both, &sats(INVOICE_MSAT, "mainnet"), &networks).expect("an invoice");
    assert_eq!(terms.rail, Rail::L402);

    let mut both = l402(&challenge());
    both.x402 = demand(&[entry()]).x402;
    let (terms, _) = judge(both, &usdc(10_000), &networks).expect("an x402 offer");
    assert_eq!(terms.rail, Rail::X402);

    assert!(matches!(judge(l402(&challenge()), &usdc(10_000), &networks), Err(PayError::NoOffer { .. })));
}
