//! What the command line shows of what others say: nothing that steers a terminal, and a receipt only with a word on whether it is to
//! be believed.

use std::process::Output;

use serde_json::{Value, json};
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};
use tollgate_testkit::peers::anvil::{PAYEE, PAYER};

use crate::on_chain::{FUNDS, OnChain, write_key_in};
use crate::world::{Gateway, PRICED, World, command};

/// Retitles the window, clears the screen, goes up a line; and a line feed and a tab, which are harmless.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2Jdone\n\tnext\u{9b}1A \u{202e}txet";
const SHOWN: &str = "\\u001b]0;owned\\u0007\\u001b[2Jdone\n\tnext\\u009b1A \\u202etxet";

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Asserts that nothing of an output would be obeyed by a terminal.
fn assert_tame(output: &Output) {
    for text in [out(output), errors(output)] {
        let wild = |c: char| c.is_control() && c != '\n' && c != '\t' || c == '\u{202e}';
        assert!(!text.contains(wild), "{text:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tool_says_reaches_no_terminal_as_it_is_and_its_receipt_is_verified() {
    let denial = Behaviour::Error { code: -32_000, message: format!("{HOSTILE}\nverified   by me") };
    let script = Script::new().tool("loud", Behaviour::Text(HOSTILE.to_owned())).tool("denies", denial);
    let world = World::with(script, &[("loud", PRICED)], "", &[]).await;
    let mcp = world.gateway.mcp();
    let call = ["call", "loud", "--max", "0.01USDC", "--url", &mcp];
    let people = world.gateway.cli(&[&call[..], &["--payment-to", "paid.txt"]].concat());
    assert!(people.status.success(), "{}", errors(&people));
    assert_tame(&people);
    let text = out(&people);
    assert!(text.starts_with(&format!("{SHOWN}\n")), "{text}");
    assert!(errors(&people).contains("by x402 (SANDBOX) to 0x"), "{}", errors(&people));
    assert!(text.contains("by x402 (SANDBOX), reference sandbox:"), "{text}");
    let keys =
        format!("\nverified   with the key that is published at {}/.well-known/jwks.json", world.gateway.url);
    assert!(
        text.contains(&keys) && text.contains("for these arguments and this result, by did:key:"),
        "{text}"
    );

    // The same result again, and over Lightning.
    let receipt = text.lines().find_map(|line| line.strip_prefix("receipt    ")).unwrap();
    let receipt = receipt.split(' ').next().unwrap();
    let again = ["receipt", "result", receipt, "--payment", "paid.txt", "--url", &world.gateway.url];
    let again = command(&world.gateway.folder).args(again).output().unwrap();
    assert_eq!(out(&again), format!("{SHOWN}\n"), "{}", errors(&again));
    let lightning = world.gateway.cli(&["call", "loud", "--max", "10sat", "--url", &mcp]);
    assert!(out(&lightning).contains("by l402 (SANDBOX), reference "), "{}", out(&lightning));
    assert!(out(&lightning).contains("\nverified   with the key"), "{}", out(&lightning));

    // For programs it is what the tool said, and nothing else.
    let program = world.gateway.cli(&[&call[..], &["--json"]].concat());
    let printed: Value = serde_json::from_slice(&program.stdout).unwrap();
    assert_eq!(printed["result"]["content"][0]["text"], HOSTILE);
    assert!(!errors(&program).contains("erified"), "{}", errors(&program));

    let denied = world.gateway.cli(&["call", "denies", "--max", "10sat", "--url", &mcp]);
    assert!(!denied.status.success());
    assert_tame(&denied);
    let said = errors(&denied);
    assert!(said.contains("done\\n\\tnext") && !said.contains("\nverified"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_that_the_gateway_did_not_give_is_named_and_the_paid_result_is_shown() {
    let world = World::paid_echo().await;
    let paid = world.gateway.cli(&[
        "call",
        "echo",
        "n=1",
        "--max",
        "0.01USDC",
        "--url",
        &world.gateway.mcp(),
        "--json",
    ]);
    let paid: Value = serde_json::from_slice(&paid.stdout).unwrap();
    // A server behind another gateway, which passes on what it says: the receipt of a gateway that is not this one.
    let result = json!({
        "content": [{ "type": "text", "text": "the result" }], "_meta": { "tollgate/receipt": paid["receipt"] },
    });
    let journal = Journal::start(Script::new().tool("copies", Behaviour::Result(result))).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("tollgate.yaml"),
        format!("servers: {{ plain: {{ url: \"{}\" }} }}\n", journal.url()),
    )
    .unwrap();
    let other = Gateway::dev(folder.path()).await;
    let call = |url: &str, more: &[&str]| {
        let call = ["call", "copies", "n=1", "--max", "0.01USDC", "--url", url];
        other.cli(&[&call[..], more].concat())
    };
    let forged = call(&other.mcp(), &[]);
    assert_eq!(forged.status.code(), Some(1), "{}", errors(&forged));
    let text = out(&forged);
    assert!(text.starts_with("the result\n"), "{text}");
    assert!(
        text.contains("\nNOT VERIFIED: signed by ") && text.contains("\nnext step: do not rely"),
        "{text}"
    );
    assert!(!text.contains("\nverified"), "{text}");
    let forged = call(&other.mcp(), &["--json"]);
    assert_eq!(forged.status.code(), Some(1));
    let printed: Value = serde_json::from_slice(&forged.stdout).unwrap();
    assert_eq!(
        (&printed["receipt"], &printed["result"]["content"][0]["text"]),
        (&paid["receipt"], &json!("the result"))
    );
    assert!(errors(&forged).contains("NOT VERIFIED"), "{}", errors(&forged));

    // Whoever publishes no keys has said nothing wrong.
    let unknown = call(&journal.url(), &[]);
    assert!(unknown.status.success(), "{}", errors(&unknown));
    let text = out(&unknown);
    assert!(
        text.starts_with("the result\n") && text.contains("\nnot verified: no keys could be had at "),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_of_a_test_network_is_not_called_sandbox() {
    let Some(world) = OnChain::start("").await else { return };
    world.chain.mint(PAYER.address, FUNDS).await.unwrap();
    write_key_in(&world.folder().join("payer"), "payer.key", PAYER);
    let call = ["call", "counted", "n=1", "--max", "0.01USDC", "--data", "payer", "--url", &world.url()];
    let paid = command(world.folder()).args(call).output().unwrap();
    assert!(paid.status.success(), "{}", errors(&paid));
    world.assert_charged_once().await;
    let (text, notes) = (out(&paid), errors(&paid));
    assert!(notes.contains("by x402 (test network: Base Sepolia) to 0x"), "{notes}");
    assert!(text.contains("by x402 (test network: Base Sepolia), reference 0x"), "{text}");
    assert!(text.contains("\nverified   with the key"), "{text}");
    assert!(!text.contains("SANDBOX") && !notes.contains("SANDBOX"), "{text}{notes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_live_network_the_command_pays_nothing_and_says_why() {
    let journal = Journal::start(Script::echo()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!(
        "servers: {{ up: {{ url: \"{}\", tools: {{ echo: {{ price: [0.01USDC] }} }} }} }}\n\
         payment: {{ x402: {{ network: base, rpc_url: \"http://127.0.0.1:1\", pay_to: \"{}\" }} }}\n",
        journal.url(),
        PAYEE.address
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::serve(folder.path(), &[]).await;
    write_key_in(&folder.path().join("payer"), "payer.key", PAYER);
    let call = ["call", "echo", "n=1", "--max", "100USDC", "--data", "payer", "--url", &gateway.mcp()];
    let refused = command(folder.path()).args(call).output().unwrap();
    let said = errors(&refused);
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("on eip155:8453\n") && said.contains("USDC of Base Sepolia"), "{said}");
    assert!(!said.contains("paying"), "{said}");
    assert_eq!((journal.executions(), out(&gateway.cli(&["calls", "list", "--json"])).as_str()), (0, ""));
    // Control: the same command, where the money is of a test network.
    let sandbox = World::paid_echo().await;
    let call = ["call", "echo", "n=1", "--max", "100USDC", "--url", &sandbox.gateway.mcp()];
    let paid = sandbox.gateway.cli(&call);
    assert!(paid.status.success(), "{}", errors(&paid));
    assert!(
        errors(&paid).contains("paying 0.01 USDC on eip155:84532 by x402 (SANDBOX)"),
        "{}",
        errors(&paid)
    );
}
