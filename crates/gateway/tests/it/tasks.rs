//! Tasks of servers on official SDKs, used by official clients: directly, through the doors of one server, and federated.
//!
//! The Rust SDK has the tasks of 2026-07-28 on both sides; the reference server and the older TypeScript client those of
//! 2025-11-25.

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_testkit::peers::rust_client;
use tollgate_testkit::peers::sdk_clients::{self, SeenTasks};
use tollgate_testkit::peers::{Everything, TaskServer, available};

use crate::world::Gateway;

/// Gateways in front of two servers: the first alone without a policy, alone with one, and both as one.
struct Doors {
    gateway: Gateway,
    _folder: TempDir,
}

impl Doors {
    async fn open(first: &str, second: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // What is decided about a call costs nothing here.
        let policy = "every_tool: { price: [] }";
        let yaml = format!(
            "servers:\n  open: {{ url: '{first}' }}\n  a: {{ url: '{first}', {policy} }}\n  b: {{ url: '{second}' }}\n"
        );
        std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
        Self { gateway: Gateway::dev(folder.path()).await, _folder: folder }
    }

    fn of(&self, server: &str) -> String {
        format!("{}/servers/{server}/mcp", self.gateway.url)
    }
}

/// What the Rust client must have seen of the server itself.
fn assert_whole(story: &[Value]) {
    let link = json!({ "type": "resource_link", "uri": "test://counted", "name": "counted" });
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
    let params = json!({ "mode": "form", "message": "Who are you?", "requestedSchema": schema });
    let expected = [
        json!({ "step": "count", "seen": [{ "type": "text", "text": "3" }, link] }),
        json!({ "step": "asked", "seen": { "who": { "method": "elicitation/create", "params": params } } }),
        json!({ "step": "greet", "seen": [{ "type": "text", "text": "Hello, Ada." }] }),
        json!({ "step": "wait", "seen": "working" }),
        json!({ "step": "cancel", "seen": "cancelled" }),
        json!({ "step": "fail", "seen": { "code": -32_603, "message": "it cannot be done" } }),
        json!({ "step": "unknown", "seen": -32_602 }),
    ];
    assert_eq!(story, expected);
}

#[tokio::test]
async fn tasks_of_the_rust_sdk_are_the_same_through_every_door() {
    let (one, other) = (TaskServer::start().await.unwrap(), TaskServer::start().await.unwrap());
    let doors = Doors::open(&one.url(), &other.url()).await;
    let direct = rust_client::tasks(&one.url(), "").await.unwrap();
    assert_whole(&direct.story);
    for server in ["open", "a", "b"] {
        let through = rust_client::tasks(&doors.of(server), "").await.unwrap();
        assert_eq!(through.story, direct.story, "{server}");
    }

    let mut all = Vec::new();
    for (server, prefix) in [("a", "a__"), ("b", "b__")] {
        let federated = rust_client::tasks(&doors.gateway.mcp(), prefix).await.unwrap();
        let mut story = direct.story.clone();
        // The result of a task is read at this door, so its resources have the names of this door.
        story[0]["seen"][1]["uri"] = json!(format!("test://{server}__counted"));
        assert_eq!(federated.story, story, "{server}");
        assert!(federated.ids.iter().all(|id| id.starts_with(prefix)), "{:?}", federated.ids);
        all.extend(federated.ids);
    }
    assert_eq!(all.len(), 8, "two servers, four tasks each");
    doors.gateway.assert_books_in_order();
}

/// What the TypeScript client must have seen of one server.
fn assert_whole_legacy(story: &Value, who: &str) {
    let text = story["text"].as_str().unwrap();
    assert!(
        text.contains("Research Report: python (snake)"),
        "{who}: the answer arrived within its task: {text}"
    );
    assert!(story["asked"].as_str().is_some_and(|asked| asked.contains("python")), "{who}: {story}");
    let mut rest = story.clone();
    for member in ["text", "asked"] {
        rest.as_object_mut().unwrap().remove(member);
    }
    let expected = json!({
        "created": "working", "waited": true, "ended": "completed", "related": true, "again": true,
        "announced": true, "cancelled": [true, "cancelled", "cancelled"], "unknown": -32_602,
        "listed": ["completed", "cancelled"],
    });
    assert_eq!(rest, expected, "{who}");
}

#[tokio::test]
async fn tasks_of_the_reference_server_are_the_same_through_every_door() {
    let Some(one) = available(Everything::start().await) else { return };
    let Some(other) = available(Everything::start().await) else { return };
    let doors = Doors::open(one.url(), other.url()).await;
    let (open, policed, federated) = (doors.of("open"), doors.of("a"), doors.gateway.mcp());
    let (direct, open, policed, federated) = tokio::join!(
        sdk_clients::tasks(one.url(), &[""]),
        sdk_clients::tasks(&open, &[""]),
        sdk_clients::tasks(&policed, &[""]),
        sdk_clients::tasks(&federated, &["a__", "b__"]),
    );
    let Some(SeenTasks { stories: direct, .. }) = available(direct) else { return };
    assert_whole_legacy(&direct[0], "directly");
    assert_eq!(open.unwrap().stories, direct, "without a policy");
    assert_eq!(policed.unwrap().stories, direct, "with a policy");
    let federated = federated.unwrap();
    assert_eq!(federated.stories, [direct[0].clone(), direct[0].clone()], "two servers at once as one");
    let of = |prefix: &str| federated.ids.iter().filter(|id| id.starts_with(prefix)).count();
    assert_eq!((of("a__"), of("b__"), federated.ids.len()), (2, 2, 4), "{:?}", federated.ids);
    doors.gateway.assert_books_in_order();
}
