//! Servers that are programs: one whose settings stay keeps its process, one that is taken away ends.

use serde_json::json;
use tollgate_testkit::http::get;

use super::{Operator, until_priced};
use crate::world::{Gateway, TOLLGATE, call, delivered, soon};

/// The processes of a program's server, by the mark in their environment.
fn processes(mark: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap();
    let mut found: Vec<u32> = all
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|line| line == mark.as_bytes())
        })
        .collect();
    found.sort_unstable();
    found
}

#[tokio::test]
async fn a_process_whose_settings_stay_lives_on_and_one_that_is_taken_away_ends() {
    let folder = tempfile::tempdir().unwrap();
    let unique = folder.path().file_name().unwrap().to_str().unwrap().replace('.', "");
    let marks = ["kept", "gone"].map(|name| format!("TOLLGATE_TEST_MARK={unique}-{name}"));
    let server = |name: &str, price: &str| {
        format!(
            "  {name}:\n    command: ['{TOLLGATE}', demo-server]\n    env: {{ TOLLGATE_TEST_MARK: '{unique}-{name}' }}\n    \
             every_tool: {{ price: [{price}] }}\n    tools: {{ echo: {{}} }}\n"
        )
    };
    let both = format!("servers:\n{}{}", server("gone", "0.01USDC"), server("kept", "0.01USDC"));
    std::fs::write(folder.path().join("tollgate.yaml"), both).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let operator = Operator::of(&gateway);
    for name in ["kept", "gone"] {
        let url = format!("{}/servers/{name}/mcp", gateway.url);
        delivered(&call(&url, "echo", &json!({ "text": "hello" }), &json!({}), &[]).await);
    }
    // The gateway's own session with each, a process of its own, is there once its tools are known.
    for name in ["kept", "gone"] {
        let ready = format!("{}/readyz", gateway.url);
        soon(async {
            while get(&ready, &[]).await.unwrap().json().unwrap()["servers"][name]["tools"].as_u64() < Some(1)
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    let before = marks.clone().map(|mark| processes(&mark));
    assert!(before.iter().all(|pids| !pids.is_empty()), "control: both run: {before:?}");

    let dearer = format!("servers:\n{}", server("kept", "0.02USDC"));
    let changed = operator.serve(&gateway, &dearer).await;
    assert_eq!(changed["servers"]["removed"], json!(["gone"]));
    assert_eq!(changed["servers"]["changed"], json!(["kept"]));
    soon(async {
        while !processes(&marks[1]).is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let url = format!("{}/servers/kept/mcp", gateway.url);
    delivered(&call(&url, "echo", &json!({ "text": "still" }), &json!({}), &[]).await);
    let after = processes(&marks[0]);
    assert!(before[0].iter().all(|pid| after.contains(pid)), "{before:?} {after:?}");
    until_priced(&gateway, "20000").await;
}
