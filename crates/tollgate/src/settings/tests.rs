use serde_json::json;

use super::*;

fn environment(values: &[(&str, &str)]) -> Environment {
    Environment::of(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn complaints(settings: &Settings) -> Vec<String> {
    match settings.understood() {
        Ok(_) => Vec::new(),
        Err(OpenError::Settings(SettingsError(complaints))) => {
            complaints.into_iter().map(|complaint| complaint.at).collect()
        }
        Err(other) => panic!("{other}"),
    }
}

const PAYEE: &str = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C";

#[test]
fn the_environment_alone_says_how_money_arrives() {
    let money = [("PAY_TO", PAYEE), ("LNBITS_URL", "http://127.0.0.1:5000"), ("LNBITS_INVOICE_KEY", "key")];
    let settings = Settings::of_tree(json!({}), environment(&money)).unwrap();
    let understood = settings.understood().unwrap();
    assert_eq!(understood.x402.unwrap().pay_to.to_string().to_lowercase(), PAYEE.to_lowercase());
    assert_eq!(understood.lightning.unwrap().ttl_seconds, 600);
    assert_eq!(understood.quote_ttl_ms, 600_000, "a credential lives no longer than its quote");
    let nobody = Settings::of_tree(json!({}), environment(&[])).unwrap();
    assert_eq!(complaints(&nobody), ["payment"], "nobody could pay");
}

#[test]
fn every_problem_is_said_at_once() {
    let tree = json!({
        "server": "Not A Name", "public_url": "ftp://x",
        "payment": { "x402": { "pay_to": "0x12" }, "lightning": { "network": "moon" } },
    });
    let settings = Settings::of_tree(tree, environment(&[("GATE_HMAC_SECRET", "short")])).unwrap();
    let expected =
        ["GATE_HMAC_SECRET", "server", "public_url", "payment.x402.pay_to", "payment.lightning.network"];
    assert_eq!(complaints(&settings), expected);
}

#[test]
fn an_unknown_key_and_an_unset_name_are_refused() {
    let known = json!({ "payment": { "x402": { "pay_to": "${PAYEE}" } } });
    assert!(Settings::of_tree(known.clone(), environment(&[("PAYEE", PAYEE)])).is_ok(), "control");
    let error = Settings::of_tree(known, environment(&[])).unwrap_err();
    assert_eq!(error.0[0].at, "${PAYEE}");
    let error = Settings::of_tree(json!({ "servers": {} }), environment(&[])).unwrap_err();
    assert!(error.to_string().contains("servers"), "{error}");
}

#[test]
fn sandbox_money_and_real_rails_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let real = RawX402 { pay_to: Some(PAYEE.to_owned()), ..RawX402::default() };
    assert_eq!(complaints(&Settings::dev(folder.path()).x402(real.clone())), ["payment"]);
    assert!(complaints(&Settings::dev(folder.path())).is_empty(), "control");
    assert!(complaints(&Settings::live(folder.path()).x402(real)).is_empty(), "control");
}
