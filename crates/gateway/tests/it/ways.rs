//! The official reference server over every transport that a server may have: what an official client sees of it is the same.

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_testkit::peers::sdk_clients::{SeenTasks, reference, tasks};
use tollgate_testkit::peers::{Everything, available};

use crate::world::Gateway;

/// The reference server over streamable HTTP, and a gateway that reaches it in each way, without a policy and with one.
struct Ways {
    today: Everything,
    _first: Everything,
    gateway: Gateway,
    _folder: TempDir,
}

/// Each way, and the same with a policy.
const DOORS: [&str; 6] = ["http", "http-policed", "sse", "sse-policed", "stdio", "stdio-policed"];

impl Ways {
    async fn open() -> Option<Self> {
        let today = available(Everything::start().await)?;
        let first = available(Everything::start_sse().await)?;
        let program = available(Everything::program().await)?;
        let ways = [
            ("http", json!({ "url": today.url() })),
            ("sse", json!({ "url": first.url(), "transport": "sse" })),
            ("stdio", json!({ "command": program })),
        ];
        let mut servers = json!({});
        for (name, server) in ways {
            let mut policed = server.clone();
            policed["every_tool"] = json!({ "price": [] });
            servers[format!("{name}-policed")] = policed;
            servers[name] = server;
        }
        let folder = tempfile::tempdir().unwrap();
        // JSON is YAML.
        std::fs::write(folder.path().join("tollgate.yaml"), json!({ "servers": servers }).to_string())
            .unwrap();
        let gateway = Gateway::dev(folder.path()).await;
        Some(Self { today, _first: first, gateway, _folder: folder })
    }

    fn door(&self, server: &str) -> String {
        format!("{}/servers/{server}/mcp", self.gateway.url)
    }
}

/// What the client must have seen of the server itself, but for its lists and pictures.
fn assert_whole(story: &[Value]) {
    for step in [
        json!({ "step": "asked", "roots": true, "logged": true }),
        json!({ "step": "echo", "text": ["Echo: żółw \u{1f422}"] }),
        json!({ "step": "roots", "text": true }),
        json!({ "step": "cancel", "refused": true }),
        json!({ "step": "complete", "values": ["Sales", "Support"] }),
        json!({ "step": "subscribe", "logged": true }),
        json!({ "step": "update", "uri": "demo://resource/dynamic/text/7" }),
    ] {
        assert!(story.contains(&step), "not told: {step} in {story:#?}");
    }
    let told = |step: &str| story.iter().find(|told| told["step"] == step).unwrap();
    assert_eq!(told("progress")["progress"], json!([[1, 4], [2, 4], [3, 4], [4, 4]]));
    assert!(told("sample")["text"].to_string().contains("Paris"), "{}", told("sample"));
    assert!(told("elicit")["asked"][0].is_string(), "{}", told("elicit"));
    assert_eq!(told("wrong")["isError"], true);
    assert!(told("list")["tools"].as_array().unwrap().len() >= 10);
}

#[tokio::test]
async fn the_reference_server_is_the_same_in_every_way_that_leads_to_it() {
    let Some(ways) = Ways::open().await else { return };
    let Some(direct) = available(reference(ways.today.url()).await) else { return };
    assert_whole(&direct);
    for server in DOORS {
        let (through, mut expected) = (reference(&ways.door(server)).await.unwrap(), direct.clone());
        if server.ends_with("policed") {
            // Arguments and names of tools are looked at before anything else: the words are the gateway's.
            for step in
                expected.iter_mut().filter(|told| told["step"] == "wrong" || told["step"] == "unknown")
            {
                let own = through.iter().find(|told| told["step"] == step["step"]).unwrap();
                let refused = own["isError"] == true || own["code"] == -32_602;
                assert!(refused && own != step, "{server}: {own}");
                *step = own.clone();
            }
        }
        assert_eq!(through, expected, "{server}");
    }
    ways.gateway.assert_books_in_order();
}

#[tokio::test]
async fn tasks_of_the_reference_server_are_the_same_in_every_way_that_leads_to_it() {
    let Some(ways) = Ways::open().await else { return };
    let Some(SeenTasks { stories: direct, .. }) = available(tasks(ways.today.url(), &[""]).await) else {
        return;
    };
    assert_eq!(direct[0]["ended"], "completed", "control");
    for server in DOORS {
        assert_eq!(tasks(&ways.door(server), &[""]).await.unwrap().stories, direct, "{server}");
    }
}
