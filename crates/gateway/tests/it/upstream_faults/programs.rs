//! A server that is a program, and crashes, leaves children behind, talks without end or blocks: no call of it is charged, the next one
//! has a new program, and the other server's tools go on.

use std::path::Path;

use serde_json::json;
use tollgate_testkit::journal_server::{Journal, Script};

use super::{assert_fault, assert_not_charged, payments};
use crate::world::{Gateway, PRICE, PRICED, START, World, delivered, soon, statement, when_released};

/// A server in POSIX shell that notes each of its starts, and does what a tool's name says until the file `well` is there.
const PROGRAM: &str = r#"
answer() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$1" "$2"; }
echo $$ >> started
while IFS= read -r line; do
  rest=${line#*'"id":'}; id=${rest%%[,\}]*}
  case $line in
    *'"method":"notifications/'*) continue ;;
    *'"method":"server/discover"'*)
      answer "$id" '{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}'
      continue ;;
    *'"method":"tools/list"'*)
      tools=
      for name in crash fork flood block; do tools="$tools,{\"name\":\"$name\",\"inputSchema\":{\"type\":\"object\"}}"; done
      answer "$id" '{"resultType":"complete","ttlMs":0,"cacheScope":"public","tools":['"${tools#,}"']}'
      continue ;;
    *'"method":"tools/call"'*) ;;
    *) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}\n' "$id"; continue ;;
  esac
  if [ ! -e well ]; then
    case $line in
      *'"name":"crash"'*) exit 3 ;;
      *'"name":"fork"'*) sleep 1000 </dev/null >/dev/null 2>&1 & echo $! > child; exit 3 ;;
      *'"name":"block"'*) while [ ! -e well ]; do sleep 0.05; done; continue ;;
    esac
  fi
  case $line in
    *'"name":"flood"'*) i=0; while [ $i -lt 20000 ]; do echo "noise $i" >&2; i=$((i+1)); done ;;
  esac
  answer "$id" '{"resultType":"complete","content":[{"type":"text","text":"done"}]}'
done
"#;

/// The program as the server `up`, beside another one.
async fn world() -> World {
    let journal = Journal::start(Script::echo()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("program.sh"), PROGRAM).unwrap();
    let blocked = "{ price: [0.01USDC, 10sat], deadline_ms: 2000 }";
    let yaml = format!(
        "servers:\n  up: {{ command: [sh, program.sh], tools: {{ block: {blocked} }}, every_tool: {PRICED} }}\n  \
         other: {{ url: '{}', every_tool: {{ price: [] }} }}\n",
        journal.url()
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev_with(folder.path(), &[("TOLLGATE_LOG", "debug")]).await;
    World { journal, gateway, folder }
}

fn started(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("started")).unwrap_or_default().lines().count()
}

/// Whether a process runs; one that nobody has collected yet does not.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn until(mut holds: impl FnMut() -> bool) {
    soon(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn f54_a_program_that_crashes_forks_blocks_or_floods_costs_nothing_and_is_started_again() {
    let world = world().await;
    let folder = world.folder.path();
    let other = async || delivered(&world.call("other__echo", &json!({ "n": 1 })).await);
    let failing = [
        ("up__crash", 502, "upstream_broken"),
        ("up__fork", 502, "upstream_broken"),
        ("up__block", 504, "upstream_timed_out"),
    ];
    let mut paid = Vec::new();
    for (tool, status, word) in failing {
        let payments = payments(&world, tool).await;
        for payment in &payments {
            let failed = world.call_with(tool, &json!({}), payment).await;
            assert_fault(&failed, status, word, tool);
            other().await;
        }
        paid.push((tool, payments));
    }
    assert!(started(folder) >= 5, "each crash was followed by another process: {}", started(folder));
    let child = std::fs::read_to_string(folder.join("child")).unwrap();
    until(|| !runs(child.trim())).await;
    assert_not_charged(&world, "a program that fails").await;

    std::fs::write(folder.join("well"), "").unwrap();
    for (tool, payments) in &paid {
        for payment in payments {
            let answer = when_released(async || world.call_with(tool, &json!({}), payment).await).await;
            assert_eq!(statement(&delivered(&answer))["charged"], true, "control: {tool}");
        }
    }
    // What a program says on standard error neither holds it up nor fills the log.
    let flooded = delivered(&world.paid_call("up__flood", &json!({})).await);
    assert_eq!(statement(&flooded)["charged"], true);
    until(|| world.gateway.whole_log().contains("floods stderr")).await;
    let noise = world.gateway.whole_log().matches("noise ").count();
    assert!((1..=1_000).contains(&noise), "{noise} lines");
    other().await;
    assert_eq!(world.payer_balance().await, START - 4 * PRICE, "x402: three tools once, and the flood");
    world.gateway.assert_books_in_order();
}
