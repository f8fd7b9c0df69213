//! Official clients at the federated door: the official fixture, the official reference server and the demo server behind it.

use serde_json::json;
use tollgate_testkit::conformance::Fixture;
use tollgate_testkit::journal_server::{Journal, Script};
use tollgate_testkit::peers::mcp_client::{Mode, Seen, Use, python, typescript};
use tollgate_testkit::peers::{Everything, available};

use super::configured;
use crate::world::{Gateway, TOLLGATE};

/// What every client has to see of the fixture `fx` and the journaling server `j`.
fn assert_whole(seen: &Seen, who: &str) {
    for tool in ["fx__test_simple_text", "fx__test_image_content", "j__echo"] {
        assert!(seen.tools.iter().any(|name| name == tool), "{who}: {:?}", seen.tools);
    }
    assert!(seen.tools.iter().all(|name| name.contains("__")), "{who}: {:?}", seen.tools);
    assert!(seen.resources.iter().any(|uri| uri == "test://fx__static-text"), "{who}: {:?}", seen.resources);
    assert!(seen.prompts.iter().any(|name| name == "fx__test_simple_prompt"), "{who}: {:?}", seen.prompts);
    let [simple, echo, asked] = seen.results.as_slice() else { panic!("{who}: {:?}", seen.results) };
    assert_eq!(simple["content"][0]["text"], "This is a simple text response for testing.", "{who}");
    assert_eq!(echo["structuredContent"]["echo"], json!({ "n": 1 }), "{who}");
    assert_eq!(asked["content"][0]["text"], "Hello, Ada!", "{who}: {asked}");
    assert_eq!(seen.contents[0]["uri"], "test://fx__static-text", "{who}");
}

#[tokio::test]
async fn official_clients_use_several_servers_as_one() {
    let Some(fixture) = available(Fixture::start().await) else { return };
    let journal = Journal::start(Script::echo()).await.unwrap();
    let folder = configured(&format!(
        "servers:\n  fx: {{ url: '{}' }}\n  j: {{ url: '{}', every_tool: {{ price: [] }} }}\n",
        fixture.url(),
        journal.url()
    ));
    let gateway = Gateway::dev(folder.path()).await;
    let url = format!("http://localhost:{}/mcp", gateway.port);
    let calls = json!([
        ["fx__test_simple_text", {}],
        ["j__echo", { "n": 1 }],
        ["fx__test_input_required_result_elicitation", {}],
    ]);
    let reads = json!(["test://fx__static-text"]);
    let given = Use { url: &url, calls: &calls, reads: &reads };
    if let Some(seen) = available(typescript(given, Mode::Legacy).await) {
        assert_eq!(seen.era, "legacy");
        assert_whole(&seen, "TypeScript, legacy");
    }
    if let Some(seen) = available(typescript(given, Mode::Auto).await) {
        assert_eq!(seen.era, "modern");
        assert_whole(&seen, "TypeScript, modern");
    }
    if let Some(seen) = available(python(given).await) {
        assert_whole(&seen, "Python");
    }
}

#[tokio::test]
async fn a_reference_server_and_a_program_are_one_server_to_an_official_client() {
    let Some(everything) = available(Everything::start().await) else { return };
    let folder = configured(&format!(
        "servers:\n  all: {{ url: '{}' }}\n  demo: {{ command: ['{TOLLGATE}', demo-server] }}\n",
        everything.url()
    ));
    let gateway = Gateway::dev(folder.path()).await;
    let (calls, reads) = (json!([["all__echo", { "message": "hi" }]]), json!([]));
    let given = Use { url: &gateway.mcp(), calls: &calls, reads: &reads };
    // The reference server speaks the era of sessions only: a client that asks first still finds the other one there.
    let Some(legacy) = available(typescript(given, Mode::Legacy).await) else { return };
    assert!(legacy.tools.iter().any(|name| name.starts_with("demo__")), "{:?}", legacy.tools);
    assert!(legacy.results[0]["content"][0]["text"].as_str().unwrap().contains("hi"), "{:?}", legacy.results);
    let none = json!([]);
    let auto = typescript(Use { calls: &none, ..given }, Mode::Auto).await;
    let auto = available(auto).unwrap();
    assert_eq!(auto.era, "modern");
    assert!(
        auto.tools.iter().all(|name| name.starts_with("demo__")) && !auto.tools.is_empty(),
        "{:?}",
        auto.tools
    );
}
