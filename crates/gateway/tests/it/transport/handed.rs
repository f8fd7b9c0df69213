//! What a server hands to one caller at its own door, and takes back from nobody else.

use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, send};
use tollgate_testkit::journal_server::{Behaviour, Script, Tool};

use super::Session;
use crate::paid_calls::{api_key, until_known};
use crate::world::{World, call, code, delivered, post};

const FREE: &str = "{ price: [] }";

async fn bare(session: &Session, method: Method) -> Answer {
    let mut headers = vec![("mcp-session-id", session.id.as_str()), ("accept", "text/event-stream")];
    headers.extend((!session.key.is_empty()).then_some(("x-api-key", session.key.as_str())));
    send(method, &session.url, &headers, "").await.unwrap()
}

#[tokio::test]
async fn m7_at_a_servers_own_door_a_session_is_its_callers_and_ends() {
    let world = World::new(Script::echo(), &[("echo", FREE)]).await;
    let mcp = world.gateway.mcp();
    let keys = [api_key(&world.gateway).1, api_key(&world.gateway).1];
    let (nobodys, keyed) = (Session::open(&mcp).await, Session::of(&mcp, &keys[0]).await);
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }).to_string();
    for session in [&nobodys, &keyed] {
        assert_eq!(session.post(list.clone()).await.status, 200, "control");
    }
    world.journal.clear();

    // The server's own id is what another caller may have guessed or read.
    let (own, tag) = keyed.id.rsplit_once('.').unwrap();
    let (before, _) = nobodys.id.rsplit_once('.').unwrap();
    let foreign = [
        ("another key", Session { key: keys[1].clone(), ..keyed.clone() }),
        ("no key", Session { key: String::new(), ..keyed.clone() }),
        ("a key for nobody's", Session { key: keys[0].clone(), ..nobodys.clone() }),
        ("guessed", Session { id: own.to_owned(), ..keyed.clone() }),
        ("guessed by nobody", Session { id: own.to_owned(), ..nobodys.clone() }),
        ("another session under its tag", Session { id: format!("{before}.{tag}"), ..keyed.clone() }),
        ("fixated", Session { id: "chosen".to_owned(), ..keyed.clone() }),
        ("none", Session { id: String::new(), ..keyed.clone() }),
    ];
    for (what, session) in &foreign {
        for refused in [
            session.call("echo", &json!({}), &json!({})).await,
            session.post(list.clone()).await,
            bare(session, Method::GET).await,
            bare(session, Method::DELETE).await,
        ] {
            assert_eq!(refused.status, 404, "{what}: {}", refused.text());
            assert_eq!(refused.json().unwrap()["error"]["message"], "Session not found", "{what}");
        }
    }
    // What the gateway asks on its own session comes when it comes.
    let mut asked = world.journal.messages();
    asked.retain(|method| !["tools/list", "GET"].contains(&method.as_str()));
    assert!(asked.is_empty() && world.journal.calls().is_empty(), "nobody was asked: {asked:?}");

    delivered(&until_known(async || keyed.call("echo", &json!({}), &json!({})).await).await);
    assert_eq!(bare(&keyed, Method::DELETE).await.status, 200);
    assert_eq!(keyed.post(list.clone()).await.status, 404, "ended");
    delivered(&nobodys.call("echo", &json!({}), &json!({})).await);
    let sent: Vec<_> =
        world.journal.calls().iter().map(|call| call.header("mcp-session-id").map(str::to_owned)).collect();
    assert_eq!(sent, [Some(own.to_owned()), Some(before.to_owned())], "control: the server's own ids");
}

#[tokio::test]
async fn m12_at_a_servers_own_door_a_task_is_its_callers_alone() {
    let working = json!({ "status": "working", "ttl": 1, "createdAt": "x" });
    let with_id = |id: &str| {
        let mut task = working.clone();
        task["taskId"] = json!(id);
        task
    };
    let script = Script::new().tool("long", Behaviour::Result(json!({ "task": with_id("t-1") })));
    let world = World::new(script, &[("long", FREE)]).await;
    let mcp = world.gateway.mcp();
    let (owner, other) = (Session::open(&mcp).await, Session::of(&mcp, &api_key(&world.gateway).1).await);
    let ask = async |session: &Session, method: &str, id: &str| -> Answer {
        let body = json!({ "jsonrpc": "2.0", "id": 4, "method": method, "params": { "taskId": id } });
        session.post(body.to_string()).await
    };
    let made = delivered(&owner.call("long", &json!({}), &json!({})).await);
    let id = made["task"]["taskId"].as_str().unwrap();
    assert!(id.starts_with("t-1."), "{made}");
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        world.journal.clear();
        for (session, id) in [(&other, id), (&owner, "t-1"), (&owner, "t-1.AAAA"), (&owner, "")] {
            let refused = ask(session, method, id).await;
            assert_eq!(
                (refused.status.as_u16(), code(&refused).as_str()),
                (200, "handle_unknown"),
                "{method} {id}"
            );
        }
        assert!(!world.journal.messages().iter().any(|asked| asked.starts_with("tasks/")));
        ask(&owner, method, id).await;
        assert!(
            world.journal.messages().contains(&method.to_owned()),
            "control: its owner's request arrives"
        );
    }

    // In the era without sessions the id alone says whose it is.
    let mut task = with_id("t-2");
    task["resultType"] = json!("task");
    world.journal.replace_tools(vec![Tool::new("long", Behaviour::Result(task))]);
    let made = delivered(&call(&mcp, "long", &json!({}), &json!({}), &[]).await);
    let id = made["taskId"].as_str().unwrap().to_owned();
    let (_, key) = api_key(&world.gateway);
    let get = async |id: &str, key: Option<&str>| -> Answer {
        let params = json!({ "taskId": id, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        } });
        let body: Value = json!({ "jsonrpc": "2.0", "id": 2, "method": "tasks/get", "params": params });
        let mut headers =
            vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tasks/get"), ("mcp-name", id)];
        headers.extend(key.map(|key| ("x-api-key", key)));
        post(&mcp, &body, &headers).await
    };
    world.journal.clear();
    for (id, key) in [(id.as_str(), Some(key.as_str())), ("t-2", None)] {
        assert_eq!(code(&get(id, key).await), "handle_unknown");
    }
    assert!(!world.journal.messages().contains(&"tasks/get".to_owned()));
    get(&id, None).await;
    assert!(world.journal.messages().contains(&"tasks/get".to_owned()), "control");
}

#[tokio::test]
async fn m12_at_a_servers_own_door_a_list_of_tasks_has_its_callers_own_alone() {
    let task = |id: &str| json!({ "taskId": id, "status": "working", "ttl": 1, "createdAt": "x" });
    let script = Script::new()
        .tool("long", Behaviour::Result(json!({ "task": task("t-1") })))
        .tasks(["t-1", "t-2", "t-3"].map(task));
    let world = World::new(script, &[("long", FREE)]).await;
    let mcp = world.gateway.mcp();
    let (owner, other) = (Session::open(&mcp).await, Session::of(&mcp, &api_key(&world.gateway).1).await);
    let listed = async |session: &Session| -> Vec<String> {
        let body = json!({ "jsonrpc": "2.0", "id": 4, "method": "tasks/list" });
        let listed = session.post(body.to_string()).await.json().unwrap();
        let tasks = listed["result"]["tasks"].as_array().unwrap_or_else(|| panic!("{listed}"));
        tasks.iter().map(|task| task["taskId"].as_str().unwrap().to_owned()).collect()
    };
    assert!(listed(&owner).await.is_empty(), "nobody has begun one");
    let made = delivered(&owner.call("long", &json!({}), &json!({})).await);
    let id = made["task"]["taskId"].as_str().unwrap().to_owned();
    assert_eq!(listed(&owner).await, [id], "control: its own");
    assert!(listed(&other).await.is_empty(), "another caller's, and those of nobody here");
    let stranger = Session::open(&mcp).await;
    assert!(listed(&stranger).await.is_empty(), "callers without a key are told apart by their sessions");

    // In the era without sessions there is no such list; a server that gives one gives no more away.
    let params = json!({ "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    } });
    let body = json!({ "jsonrpc": "2.0", "id": 2, "method": "tasks/list", "params": params });
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tasks/list")];
    let shown = post(&mcp, &body, &headers).await.json().unwrap();
    assert_eq!(
        shown["result"]["tasks"].as_array().map(Vec::len),
        Some(0),
        "whoever has neither a key nor a session is anybody: {shown}"
    );
    let (_, key) = api_key(&world.gateway);
    let [version, method] = headers;
    let shown = post(&mcp, &body, &[version, method, ("x-api-key", &key)]).await.json().unwrap();
    assert_eq!(shown["result"]["tasks"], json!([]), "{shown}");
}
