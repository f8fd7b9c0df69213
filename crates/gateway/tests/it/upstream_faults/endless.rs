//! Answers that have no end: they are cut at the limit, wait where they come from, and take no memory here.

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tollgate_testkit::journal_server::{Behaviour, Endless, Journal, Script, Tool};
use tollgate_testkit::memory;

use super::{assert_both_pay, assert_fault, assert_not_charged, last_message, payments};
use crate::crowds::{descriptors, raw_call};
use crate::world::{Gateway, PRICED, World, call, soon};

const KINDS: [Endless; 4] = [Endless::Json, Endless::Event, Endless::Events, Endless::Compressed];

#[tokio::test]
async fn f50_an_answer_of_a_gibibyte_is_cut_at_the_limit_takes_no_memory_and_costs_nothing() {
    for kind in KINDS {
        let what = format!("{kind:?}");
        let script = Script::new().tool("endless", Behaviour::Endless(kind));
        let world = World::new(script, &[("endless", PRICED)]).await;
        let payments = payments(&world, "endless").await;
        let before = memory::of_group(world.gateway.group()).unwrap();
        for (count, payment) in (1..).zip(&payments) {
            let cut = world.call_with("endless", &json!({}), payment).await;
            if kind == Endless::Events {
                // Its first notifications have gone to the caller, so the end of the stream says it.
                let last = last_message(&cut);
                assert_eq!(last["error"]["data"]["error"], "upstream_broken", "{what}: {last}");
            } else {
                assert_fault(&cut, 502, "upstream_broken", &what);
                assert!(cut.body.len() < 4_000, "{what}: a part of it was passed on");
            }
            soon(world.journal.wait_for_abandoned(count)).await;
        }
        let grown = memory::of_group(world.gateway.group()).unwrap().saturating_sub(before);
        assert!(grown < 48 << 20, "{what}: {grown} bytes");
        assert_not_charged(&world, &what).await;
        world.journal.replace_tools(vec![Tool::new("endless", Behaviour::Echo)]);
        assert_both_pay(&world, "endless", &payments).await;
    }
}

#[tokio::test]
async fn f59_two_thousand_streams_that_nobody_reads_stay_within_their_buffers_and_are_dropped() {
    // Each has a socket of its own at the caller, on both sides of the gateway, and at the server.
    let count = 2_000.min(usize::try_from(descriptors() / 5).unwrap());
    if count < 2_000 {
        eprintln!("only {count} streams: the hard limit of descriptors allows no more");
    }
    for policy in [", tools: { endless: {}, echo: {} }", ""] {
        let script = Script::echo().tool("endless", Behaviour::Endless(Endless::Events));
        let journal = Journal::start(script).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let yaml = format!(
            "servers: {{ up: {{ url: '{}'{policy} }} }}\nlimits: {{ unread_ms_max: 5000, connections_max: 3000, calls_per_minute: 60000 }}\n",
            journal.url()
        );
        std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
        let gateway = Gateway::dev(folder.path()).await;
        let request = raw_call("endless", &json!({}), &json!({}));
        let before = memory::of_group(gateway.group()).unwrap();
        let mut unread = Vec::new();
        for _ in 0..count {
            let mut socket = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
            socket.write_all(&request).await.unwrap();
            unread.push(socket);
        }
        soon(journal.wait_for_executions(count as u64)).await;
        let control = call(&gateway.mcp(), "echo", &json!({}), &json!({}), &[]).await;
        assert_eq!(control.status, 200, "another caller is answered meanwhile: {}", control.text());
        let grown = memory::of_group(gateway.group()).unwrap().saturating_sub(before);
        eprintln!("{} bytes for each of {count} unread streams, policy {policy:?}", grown / count as u64);
        assert!(grown < 512 << 20, "{grown} bytes for {count} unread streams, policy {policy:?}");
        // Nobody reads, so each is given up, and its server is told.
        soon(journal.wait_for_abandoned(count as u64)).await;
        drop(unread);
        let control = call(&gateway.mcp(), "echo", &json!({}), &json!({}), &[]).await;
        assert_eq!(control.status, 200, "control: {}", control.text());
    }
}
