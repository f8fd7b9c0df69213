use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

fn args(more: &[&str]) -> ConnectArgs {
    let line = ["tollgate", "connect"].iter().chain(more);
    match Cli::try_parse_from(line).unwrap().command {
        Command::Connect(args) => args,
        other => panic!("{other:?}"),
    }
}

fn limits(more: &[&str]) -> anyhow::Result<Vec<[String; 3]>> {
    let allowances = allowances(&args(more), &Funds::Sandbox.assets()?)?;
    let shown = |allowance: &Allowance| {
        let limits = allowance.limits;
        [limits.per_call, limits.per_day, limits.total].map(|amount| allowance.asset.display(amount))
    };
    Ok(allowances.assets.iter().map(shown).collect())
}

#[test]
fn small_limits_are_on_by_default_and_each_can_be_set() {
    let defaults = limits(&[]).unwrap();
    assert_eq!(defaults, [["0.05 USDC", "0.5 USDC", "5 USDC"], ["50 sat", "500 sat", "5000 sat"]]);
    let set = [
        "--max-per-call",
        "0.01USDC",
        "--max-per-call",
        "0sat",
        "--max-per-day",
        "1sat",
        "--max-total",
        "2 USDC",
    ];
    assert_eq!(limits(&set).unwrap(), [["0.01 USDC", "0.5 USDC", "2 USDC"], ["0 sat", "1 sat", "5000 sat"]]);
    for wrong in [["--max-total", "5"], ["--max-total", "5EUR"], ["--max-per-day", "1.0001sat"]] {
        assert!(limits(&wrong).is_err(), "{wrong:?}");
    }
    let twice = ["--max-total", "1USDC", "--max-total", "2usdc"];
    assert!(limits(&twice).unwrap_err().root_cause().to_string().contains("twice"));
}

#[test]
fn real_money_is_paid_on_one_network_only_and_only_when_told() {
    let ids = |funds: Funds| -> Vec<String> {
        funds.assets().unwrap().iter().map(|asset| asset.id().to_string()).collect()
    };
    assert!(
        ids(Funds::Sandbox)
            .iter()
            .all(|id| id.starts_with("eip155:84532/") || id.starts_with("lightning:regtest/"))
    );
    assert_eq!(ids(Funds::Live), ["eip155:8453/erc20:0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"]);
    let live = allowances(&args(&["--live"]), &Funds::Live.assets().unwrap()).unwrap();
    assert_eq!(live.assets[0].limits.per_call, Amount::new(50_000), "the limits are on there, too");
}

#[test]
fn headers_are_filled_from_the_environment_and_never_those_of_the_bridge() {
    let environment = Environment::of([("TOKEN".to_owned(), "s3cret".to_owned())]);
    let read = |texts: &[&str]| {
        headers(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), &environment)
    };
    let given = read(&["Authorization: Bearer ${TOKEN}", "X-Org:a"]).unwrap();
    assert_eq!(
        (&given["authorization"], &given["x-org"]),
        (&"Bearer s3cret".parse().unwrap(), &"a".parse().unwrap())
    );
    assert!(!format!("{given:?}").contains("s3cret"), "marked as a secret");
    let wrong: [&[&str]; 7] = [
        &["no colon"],
        &["a b: c"],
        &["X: ${UNSET}"],
        &["Host: x"],
        &["Mcp-Session-Id: x"],
        &["PAYMENT-SIGNATURE: x"],
        &["X: a", "x: b"],
    ];
    for texts in wrong {
        assert!(read(texts).is_err(), "{texts:?}");
    }
}
