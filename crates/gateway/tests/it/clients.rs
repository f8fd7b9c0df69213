//! The official clients through every door: what they see is what they see of the server itself.
//!
//! One story (list, call, progress, questions to the user and the model, cancellation, and what its era has beside) is told
//! of the fixture directly, and then of a gateway in front of it, by clients that nobody here wrote.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_testkit::conformance::Fixture;
use tollgate_testkit::journal_server::{Behaviour, Journal, Script, Tool};
use tollgate_testkit::peers::sdk_clients::{Era, Sdk, story, unpaid};
use tollgate_testkit::peers::{Inspector, available};

use crate::world::{Gateway, PRICED};

/// A fixture, and every way to it through a gateway.
struct Doors {
    fixture: Fixture,
    several: Gateway,
    one: Gateway,
    federated: Gateway,
    federated_open: Gateway,
    _beside: Journal,
    _folders: [TempDir; 4],
}

impl Doors {
    async fn open() -> Option<Self> {
        let fixture = available(Fixture::start().await)?;
        let url = fixture.url();
        // With a policy each message is parsed and each call is vetted; it costs nothing.
        let policed = format!("{{ url: '{url}', every_tool: {{ price: [] }} }}");
        let (several, first) = gateway(&format!("open: {{ url: '{url}' }}, policed: {policed}")).await;
        let (one, second) = gateway(&format!("policed: {policed}")).await;
        // The clients call tools by the fixture's own names; the other server has none, so that the lists are the fixture's.
        let beside = Journal::start(Script::new()).await.unwrap();
        let as_one = async |policy: &str| {
            let plain = format!("{{ url: '{url}', names: plain{policy} }}");
            gateway(&format!("plain: {plain}, beside: {{ url: '{}' }}", beside.url())).await
        };
        let (federated, third) = as_one(", every_tool: { price: [] }").await;
        let (federated_open, fourth) = as_one("").await;
        let _folders = [first, second, third, fourth];
        Some(Self { fixture, several, one, federated, federated_open, _beside: beside, _folders })
    }

    /// The doors of the server without a policy, then those of the one with, then those of several servers as one, with and without.
    fn urls(&self) -> [(String, Policy); 5] {
        [
            (format!("{}/servers/open/mcp", self.several.url), Policy::Off),
            (format!("{}/servers/policed/mcp", self.several.url), Policy::On),
            (self.one.mcp(), Policy::On),
            (self.federated.mcp(), Policy::On),
            (self.federated_open.mcp(), Policy::Off),
        ]
    }

    fn assert_books_in_order(&self) {
        self.several.assert_books_in_order();
        self.one.assert_books_in_order();
        self.federated.assert_books_in_order();
        self.federated_open.assert_books_in_order();
    }
}

/// Whether anything is decided about the calls of a server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Off,
    On,
}

async fn gateway(servers: &str) -> (Gateway, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tollgate.yaml"), format!("servers: {{ {servers} }}\n")).unwrap();
    (Gateway::dev(folder.path()).await, folder)
}

/// What every client must have seen of the fixture; lists are compared as they are.
fn assert_complete(story: &[Value], sdk: Sdk, era: Era) {
    // The Rust client keeps the fields of a form in the order of the alphabet.
    let filled = match sdk {
        Sdk::Rust => "{\"email\":\"Ada\",\"username\":\"Ada\"}",
        Sdk::TypeScript | Sdk::OlderTypeScript | Sdk::Python => "{\"username\":\"Ada\",\"email\":\"Ada\"}",
    };
    let mut expected = vec![
        json!({ "step": "connect", "era": era.name() }),
        json!({ "step": "fail", "isError": true, "text": "This tool intentionally returns an error for testing" }),
        json!({ "step": "progress", "text": "Reported progress if wanted.", "progress": [0, 50, 100] }),
        json!({
            "step": "elicit", "asked": ["Who?"],
            "text": format!("User response: action=accept, content={filled}"),
        }),
        json!({ "step": "sample", "asked": ["Where?"], "text": "LLM response: Paris" }),
        json!({
            "step": "several", "asked": ["Generate a greeting", "What is your name?", "roots"],
            "text": "Paris Ada, you have 1 roots.",
        }),
        json!({
            "step": "rounds", "asked": ["Step 1: What is your name?", "Step 2: What is your favorite color?"],
            "text": "Ada likes Ada.",
        }),
        json!({ "step": "cancel", "refused": true, "cancelled": 1 }),
    ];
    match era {
        Era::Modern => expected.push(json!({ "step": "listen", "changed": true })),
        Era::Legacy => expected.extend([
            json!({ "step": "resume", "text": "Answered after a reconnection.", "resumptions": 1 }),
            json!({ "step": "subscribe", "changed": true }),
        ]),
    }
    for step in &expected {
        assert!(story.contains(step), "not told: {step} in {story:#?}");
    }
    let list = story.iter().find(|step| step["step"] == "list").unwrap();
    for (kind, name) in
        [("tools", "wait_until_cancelled"), ("resources", "static-text"), ("prompts", "test_simple_prompt")]
    {
        assert!(list[kind].as_array().unwrap().iter().any(|item| item["name"] == name), "{kind}: {list}");
    }
    assert_eq!(story.len(), expected.len() + ["list", "call", "read"].len());
}

/// What must be told through a gateway: the same, but for the one thing that `docs/reference/conformance.md` names.
///
/// Where a server with a policy hangs up a call's stream, the gateway comes back for the rest itself: the answer must pass by the
/// receipt. The client sees one stream that nobody has to resume.
fn expected(direct: &[Value], policy: Policy) -> Vec<Value> {
    let mut story = direct.to_vec();
    if policy == Policy::On {
        for step in story.iter_mut().filter(|step| step["step"] == "resume") {
            step["resumptions"] = json!(0);
        }
    }
    story
}

/// Has a client tell its story directly and at every door.
async fn tells_the_same_story_at_every_door(sdk: Sdk, era: Era) {
    let Some(doors) = Doors::open().await else { return };
    let Some(direct) = available(story(sdk, era, &doors.fixture.url()).await) else { return };
    assert_complete(&direct, sdk, era);
    for (url, policy) in doors.urls() {
        assert_eq!(story(sdk, era, &url).await.unwrap(), expected(&direct, policy), "through {url}");
    }
    doors.assert_books_in_order();
}

#[tokio::test]
async fn the_typescript_client_sees_no_gateway_in_the_modern_era() {
    tells_the_same_story_at_every_door(Sdk::TypeScript, Era::Modern).await;
}

#[tokio::test]
async fn the_typescript_client_sees_no_gateway_in_the_legacy_era() {
    tells_the_same_story_at_every_door(Sdk::TypeScript, Era::Legacy).await;
}

#[tokio::test]
async fn the_older_typescript_client_sees_no_gateway() {
    tells_the_same_story_at_every_door(Sdk::OlderTypeScript, Era::Legacy).await;
}

#[tokio::test]
async fn the_python_client_sees_no_gateway_in_the_modern_era() {
    tells_the_same_story_at_every_door(Sdk::Python, Era::Modern).await;
}

#[tokio::test]
async fn the_python_client_sees_no_gateway_in_the_legacy_era() {
    tells_the_same_story_at_every_door(Sdk::Python, Era::Legacy).await;
}

#[tokio::test]
async fn the_rust_client_sees_no_gateway_in_the_modern_era() {
    tells_the_same_story_at_every_door(Sdk::Rust, Era::Modern).await;
}

#[tokio::test]
async fn the_rust_client_sees_no_gateway_in_the_legacy_era() {
    tells_the_same_story_at_every_door(Sdk::Rust, Era::Legacy).await;
}

/// It holds errors, too, against a tool's `outputSchema`, and says of one that does not fit that the answer is broken.
#[tokio::test]
async fn the_older_typescript_client_reads_the_price_of_a_tool_that_has_an_output_schema() {
    let schema =
        json!({ "type": "object", "properties": { "sum": { "type": "integer" } }, "required": ["sum"] });
    let tool = |name: &str| Tool::new(name, Behaviour::Text("never".to_owned()));
    let script = Script::new().with(tool("add").with_member("outputSchema", schema)).with(tool("plain"));
    let journal = Journal::start(script).await.unwrap();
    let (gateway, _folder) =
        gateway(&format!("policed: {{ url: '{}', every_tool: {PRICED} }}", journal.url())).await;
    let Some(told) = available(unpaid(&gateway.mcp()).await) else { return };
    let of = |name: &str| told.iter().find(|tool| tool["name"] == name).unwrap();
    for (name, structured) in [("add", false), ("plain", true)] {
        let said = of(name);
        assert_eq!(said["isError"], true, "{said}");
        // Without structured content the same demand stands where clients who pay look next.
        let demand: Value = serde_json::from_str(said["text"].as_str().unwrap()).unwrap();
        assert_eq!(demand["accepts"][0]["amount"], "10000", "{said}");
        assert_eq!(said["_meta"]["x402/error"], demand);
        assert_eq!(said["structuredContent"], if structured { demand } else { Value::Null }, "{name}");
    }
}

/// What the command line of the Inspector can ask: it has no user who would answer a question, and shows no progress.
const ASKED: [(&str, &[&str]); 7] = [
    ("tools/list", &[]),
    ("tools/call", &["--tool-name", "test_simple_text"]),
    ("resources/list", &[]),
    ("resources/templates/list", &[]),
    ("resources/read", &["--uri", "test://template/7/data"]),
    ("prompts/list", &[]),
    ("prompts/get", &["--prompt-name", "test_simple_prompt"]),
];

#[tokio::test]
async fn the_inspector_sees_no_gateway() {
    let Some(doors) = Doors::open().await else { return };
    let Some(inspector) = available(Inspector::install().await) else { return };
    for era in [Era::Legacy, Era::Modern] {
        let look = async |url: &str| {
            let mut seen = Vec::new();
            for (method, flags) in ASKED {
                let mut said = inspector.ask(url, era, method, flags).await.unwrap();
                // A call of a server with a policy has a receipt; its words are the server's.
                if method == "tools/call" {
                    said = said["content"].take();
                }
                seen.push((method, said));
            }
            seen
        };
        let direct = look(&doors.fixture.url()).await;
        assert_eq!(direct[1].1[0]["text"], "This is a simple text response for testing.");
        assert!(direct[4].1.to_string().contains("Data for ID: 7"), "{}", direct[4].1);
        // Each look starts two programs for each question, and the third door is the second one's under another name.
        let [open, policed, _, federated, federated_open] = doors.urls();
        let doors = [open, policed, federated, federated_open];
        let looks = doors.iter().map(|(url, _policy)| look(url));
        for ((url, _policy), seen) in doors.iter().zip(join_all(looks).await) {
            assert_eq!(seen, direct, "through {url}");
        }
    }
}
