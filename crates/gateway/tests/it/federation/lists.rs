//! Pages, cursors, prompts, resources and completions.

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_testkit::conformance::Fixture;
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};
use tollgate_testkit::peers::available;

use super::{Session, Two, configured, message, modern, names, result};
use crate::world::Gateway;

fn numbered(count: usize) -> Script {
    (0..count).fold(Script::new(), |script, at| script.tool(&format!("t{at}"), Behaviour::Echo))
}

#[tokio::test]
async fn no_tool_is_lost_where_servers_list_in_pages_of_their_own() {
    let two =
        Two::new([numbered(5).paged(2), numbered(3).paged(1)], ["", ", every_tool: { price: [] }"], "").await;
    let session = Session::open(&two.mcp()).await;
    let mut every: Vec<String> = (0..5).map(|at| format!("a__t{at}")).collect();
    every.extend((0..3).map(|at| format!("b__t{at}")));
    for legacy in [false, true] {
        let (mut found, mut cursor, mut pages) = (Vec::new(), None, 0);
        loop {
            let params = cursor.as_ref().map_or(json!({}), |cursor| json!({ "cursor": cursor }));
            let answer = if legacy {
                session.ask("tools/list", &params).await
            } else {
                modern(&two.mcp(), "tools/list", &params).await
            };
            let page = result(&answer);
            found.extend(names(&page));
            pages += 1;
            cursor = page["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        found.sort();
        assert_eq!((found, pages), (every.clone(), 3), "legacy: {legacy}");
    }
    for cursor in [json!("nonsense"), json!(""), json!(7)] {
        let refused = modern(&two.mcp(), "tools/list", &json!({ "cursor": cursor })).await;
        let code = &refused.json().unwrap()["error"]["code"];
        assert_eq!((refused.status.as_u16(), code), (400, &json!(-32_602)), "{cursor}");
        let refused = session.ask("tools/list", &json!({ "cursor": cursor })).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json().unwrap()["error"]["code"]),
            (200, &json!(-32_602))
        );
    }
    // A cursor of the right form that a server did not give out.
    let first = result(&modern(&two.mcp(), "tools/list", &json!({})).await)["nextCursor"]
        .as_str()
        .unwrap()
        .to_owned();
    let text = String::from_utf8(base64_url(&first)).unwrap();
    assert_eq!(text, r#"["tools",[["a",""],["b",""]]]"#);
    let forged = encode(&text.replace(r#"["b",""]"#, r#"["b","0"]"#));
    let refused = modern(&two.mcp(), "tools/list", &json!({ "cursor": forged })).await;
    assert_eq!(refused.json().unwrap()["error"]["code"], -32_602);
}

fn base64_url(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn encode(text: &str) -> String {
    use base64::Engine;
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text)
}

/// The official TypeScript fixture beside a journaling server.
pub(super) struct Beside {
    pub(super) gateway: Gateway,
    pub(super) journal: Journal,
    _fixture: Fixture,
    _folder: TempDir,
}

impl Beside {
    pub(super) async fn start(policy: &str) -> Option<Self> {
        let fixture = available(Fixture::start().await)?;
        let journal = Journal::start(Script::echo()).await.unwrap();
        let folder = configured(&format!(
            "servers:\n  fx: {{ url: '{}'{policy} }}\n  j: {{ url: '{}' }}\n",
            fixture.url(),
            journal.url()
        ));
        let gateway = Gateway::dev(folder.path()).await;
        Some(Self { gateway, journal, _fixture: fixture, _folder: folder })
    }

    /// By a name that the fixture's own `Host` check accepts.
    pub(super) fn mcp(&self) -> String {
        format!("http://localhost:{}/mcp", self.gateway.port)
    }
}

#[tokio::test]
async fn prompts_resources_templates_and_completions_find_their_server_in_both_eras() {
    for policy in ["", ", every_tool: { price: [] }", ", names: plain"] {
        let Some(beside) = Beside::start(policy).await else { return };
        let session = Session::open(&beside.mcp()).await;
        let ask = async |legacy: bool, method: &str, params: Value| {
            let answer = if legacy {
                session.ask(method, &params).await
            } else {
                modern(&beside.mcp(), method, &params).await
            };
            let found = message(&answer);
            assert!(found["result"].is_object(), "{policy} {legacy} {method}: {} {found}", answer.status);
            found["result"].clone()
        };
        let (name, uri) = if policy.contains("plain") {
            (str::to_owned as fn(&str) -> String, str::to_owned as fn(&str) -> String)
        } else {
            (
                (|name: &str| format!("fx__{name}")) as fn(&str) -> String,
                (|uri: &str| uri.replace("test://", "test://fx__")) as fn(&str) -> String,
            )
        };
        for legacy in [false, true] {
            let prompts = ask(legacy, "prompts/list", json!({})).await;
            let listed =
                |name: &str| prompts["prompts"].as_array().unwrap().iter().any(|p| p["name"] == name);
            assert!(listed(&name("test_simple_prompt")), "{prompts}");
            let prompt = ask(legacy, "prompts/get", json!({ "name": name("test_simple_prompt") })).await;
            assert!(prompt["messages"][0]["content"].is_object(), "{prompt}");

            let resources = ask(legacy, "resources/list", json!({})).await;
            let all = resources["resources"].as_array().unwrap();
            assert!(all.iter().any(|r| r["uri"] == uri("test://static-text").as_str()), "{resources}");
            let text = ask(legacy, "resources/read", json!({ "uri": uri("test://static-text") })).await;
            assert_eq!(text["contents"][0]["uri"], uri("test://static-text").as_str());
            assert_eq!(text["contents"][0]["text"], "This is the content of the static text resource.");

            let templates = ask(legacy, "resources/templates/list", json!({})).await;
            assert_eq!(
                templates["resourceTemplates"][0]["uriTemplate"],
                uri("test://template/{id}/data").as_str()
            );
            let data = ask(legacy, "resources/read", json!({ "uri": uri("test://template/7/data") })).await;
            assert!(data["contents"][0]["text"].as_str().unwrap().contains("Data for ID: 7"), "{data}");

            let reference = json!({ "type": "ref/prompt", "name": name("test_prompt_with_arguments") });
            let argument = json!({ "name": "arg1", "value": "t" });
            let completed =
                ask(legacy, "completion/complete", json!({ "ref": reference, "argument": argument })).await;
            assert!(completed["completion"]["values"].is_array(), "{completed}");

            let tool = name("test_embedded_resource");
            let linked = ask(legacy, "tools/call", json!({ "name": tool, "arguments": {} })).await;
            let linked = &linked["content"][0]["resource"]["uri"];
            assert_eq!(
                linked,
                uri("test://embedded-resource").as_str(),
                "a result's resources can be asked for"
            );
        }
        for uri in ["test://nobody__static-text", "other://j__x"] {
            let unknown = modern(&beside.mcp(), "resources/read", &json!({ "uri": uri })).await;
            assert_eq!(message(&unknown)["result"], Value::Null, "{uri}");
        }
        assert!(beside.journal.calls().is_empty());
    }
}

#[tokio::test]
async fn m12_a_task_is_asked_for_by_its_own_caller_only() {
    let task = json!({ "task": { "taskId": "t-1", "status": "working", "ttl": 1, "createdAt": "x" } });
    let two =
        Two::new([Script::new().tool("long", Behaviour::Result(task)), Script::echo()], ["", ""], "").await;
    let keyed = |key: &'static str| [("x-api-key", key)];
    let (owner, other) = (
        Session::open_with(&two.mcp(), &keyed("tg_one")).await,
        Session::open_with(&two.mcp(), &keyed("tg_two")).await,
    );
    let made =
        result(&owner.ask("tools/call", &json!({ "name": "a__long", "arguments": {}, "task": {} })).await);
    let id = made["task"]["taskId"].as_str().unwrap();
    assert!(id.starts_with("a__t-1."), "{made}");
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        two.a.clear();
        for (session, id) in [(&other, id), (&owner, "t-1"), (&owner, "a__t-1"), (&owner, "b__t-1.AAAA")] {
            let refused = session.ask(method, &json!({ "taskId": id })).await;
            assert_eq!(refused.json().unwrap()["error"]["code"], -32_602, "{method} {id}");
        }
        assert!(two.a.messages().is_empty() && !two.b.messages().iter().any(|m| m.starts_with("tasks/")));
        owner.ask(method, &json!({ "taskId": id })).await;
        assert_eq!(two.a.messages(), [method], "control: its owner's request arrives");
    }
}

#[tokio::test]
async fn m12_a_merged_list_of_tasks_has_its_callers_own_alone() {
    let task = |id: &str| json!({ "taskId": id, "status": "working", "ttl": 1, "createdAt": "x" });
    let long = |id: &str| {
        let made = Behaviour::Result(json!({ "task": task(id) }));
        Script::new().tool("long", made).tasks(["t-1", "t-2"].map(task))
    };
    for policies in [["", ""], [", every_tool: { price: [] }", ", every_tool: { price: [] }"]] {
        let two = Two::new([long("t-1"), long("t-2")], policies, "").await;
        let keyed = |key: &'static str| [("x-api-key", key)];
        // A key that is none is somebody all the same, at a door that decides nothing about calls.
        let keys =
            if policies[0].is_empty() { [Some("tg_one"), Some("tg_two")] } else { [None, Some("tg_two")] };
        let open = async |key: Option<&'static str>| match key {
            Some(key) => Session::open_with(&two.mcp(), &keyed(key)).await,
            None => Session::open(&two.mcp()).await,
        };
        let (owner, other) = (open(keys[0]).await, open(keys[1]).await);
        let listed = async |session: &Session| -> Vec<String> {
            let listed = result(&session.ask("tasks/list", &json!({})).await);
            let tasks = listed["tasks"].as_array().unwrap_or_else(|| panic!("{listed}"));
            tasks.iter().map(|task| task["taskId"].as_str().unwrap().to_owned()).collect()
        };
        assert!(listed(&owner).await.is_empty(), "nobody has begun one");
        let mut own = Vec::new();
        for tool in ["a__long", "b__long"] {
            let call = json!({ "name": tool, "arguments": {}, "task": {} });
            let made = result(&owner.ask("tools/call", &call).await);
            own.push(made["task"]["taskId"].as_str().unwrap().to_owned());
        }
        assert_eq!(listed(&owner).await, own, "control: its own of each server, which list both ids");
        assert!(listed(&other).await.is_empty(), "another caller's");
        assert!(listed(&open(keys[0]).await).await.is_empty() == keys[0].is_none(), "another session's");
    }
}
