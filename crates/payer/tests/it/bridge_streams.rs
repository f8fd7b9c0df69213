//! The bridge in front of a server that streams, hangs and breaks off, in both eras; its journal says what arrived.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::journal_server::{Behaviour, Journal, Script, Tool};

use crate::client::{Client, modern, modern_meta};
use crate::world::World;

const WAIT_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Era {
    Legacy,
    Modern,
}

const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

/// A server of only this era, and a client that has shaken hands where hands are shaken.
async fn connected(era: Era, script: Script) -> (Journal, Client) {
    let script = match era {
        Era::Legacy => script.legacy_only(),
        Era::Modern => script.modern_only(),
    };
    let journal = Journal::start(script).await.expect("a server");
    let mut client = Client::new(&journal.url(), &World::new());
    if era == Era::Legacy {
        let answer = client.initialize().await;
        assert_eq!(answer["result"]["serverInfo"]["name"], "journal");
    }
    (journal, client)
}

fn call(era: Era, id: i64, tool: &str) -> Value {
    let mut params = json!({ "name": tool, "arguments": { "n": id } });
    params["_meta"] = match era {
        Era::Legacy => json!({}),
        Era::Modern => modern_meta(),
    };
    params["_meta"]["progressToken"] = json!("p");
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT_MAX, future).await.expect("in time")
}

#[tokio::test]
async fn progress_is_passed_on_before_the_answer_exists() {
    for era in ERAS {
        let script = Script::new().tool("slow", Behaviour::Progress { steps: 2 });
        let (journal, mut client) = connected(era, script).await;
        client.say(&call(era, 4, "slow")).await;
        for step in 1..=2 {
            journal.step(1);
            let progress = client.hear().await;
            assert_eq!(progress["params"]["progress"], step, "{era:?}");
            assert_eq!(progress["params"]["progressToken"], "p");
        }
        let answer = client.hear().await;
        assert_eq!(
            (&answer["id"], &answer["result"]["structuredContent"]["echo"]),
            (&json!(4), &json!({ "n": 4 }))
        );
        client.end().await;
    }
}

#[tokio::test]
async fn f49_a_cancelled_call_ends_at_the_server_and_is_not_answered() {
    for era in ERAS {
        let script = Script::new().tool("hang", Behaviour::Hang).tool("echo", Behaviour::Echo);
        let (journal, mut client) = connected(era, script).await;
        client.say(&call(era, 4, "hang")).await;
        in_time(journal.wait_for_executions(1)).await;
        let cancelled =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 4 } });
        client.say(&cancelled).await;
        in_time(journal.wait_for_abandoned(1)).await;
        let told = journal.messages().iter().any(|method| method == "notifications/cancelled");
        assert_eq!(told, era == Era::Legacy, "{era:?}: a modern server hears it by the end of the stream");
        let answer = client.ask(&call(era, 5, "echo")).await;
        assert_eq!(answer["id"], 5, "positive control: the next call is answered, and nothing came for 4");
        assert_eq!(client.end().await, [] as [Value; 0]);
    }
}

#[tokio::test]
async fn f48_a_stream_that_breaks_after_progress_is_an_error_and_the_tool_runs_once() {
    for era in ERAS {
        let script = Script::new().tool("breaks", Behaviour::ProgressThenReset { steps: 2 });
        let script = script.tool("half", Behaviour::HalfClose).tool("cut", Behaviour::TruncatedChunk);
        let (journal, mut client) = connected(era, script).await;
        client.say(&call(era, 4, "breaks")).await;
        journal.step(1);
        assert_eq!(client.hear().await["params"]["progress"], 1);
        // A reset may overtake what was sent right before it.
        journal.step(1);
        let heard = client.hear().await;
        let broken = if heard["id"].is_null() { client.hear().await } else { heard };
        for (id, tool) in [(4, None), (5, Some("half")), (6, Some("cut"))] {
            let answer = match tool {
                Some(tool) => client.ask(&call(era, id, tool)).await,
                None => broken.clone(),
            };
            assert_eq!((&answer["id"], answer["error"].is_object()), (&json!(id), true), "{era:?}: {answer}");
        }
        assert_eq!(journal.executions(), 3, "{era:?}");
        client.end().await;
    }
}

#[tokio::test]
async fn what_a_server_says_by_itself_reaches_the_client_and_the_session_is_ended() {
    for era in ERAS {
        let (journal, mut client) = connected(era, Script::echo()).await;
        if era == Era::Modern {
            let filter = json!({ "notifications": { "toolsListChanged": true } });
            let acknowledged = client.ask(&modern(9, "subscriptions/listen", &filter)).await;
            assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
        }
        // A legacy client cannot know when its stream is open: it is announced until it is heard.
        let heard = in_time(async {
            loop {
                journal.replace_tools(vec![Tool::new("other", Behaviour::Echo)]);
                if let Ok(heard) = tokio::time::timeout(Duration::from_millis(20), client.hear()).await {
                    return heard;
                }
            }
        })
        .await;
        assert_eq!(heard["method"], "notifications/tools/list_changed", "{era:?}");
        client.end().await;
        let goodbyes = journal.messages().iter().filter(|message| *message == "DELETE").count();
        assert_eq!(goodbyes, usize::from(era == Era::Legacy));
    }
}

#[tokio::test]
async fn a_signal_ends_it_at_once_and_the_session_with_it() {
    let script = Script::new().tool("hang", Behaviour::Hang);
    let (journal, client) = connected(Era::Legacy, script).await;
    client.say(&call(Era::Legacy, 4, "hang")).await;
    in_time(journal.wait_for_executions(1)).await;
    client.stop.cancel();
    assert_eq!(client.end().await, [] as [Value; 0]);
    in_time(journal.wait_for_abandoned(1)).await;
    assert_eq!(journal.messages().last().map(String::as_str), Some("DELETE"));
}
