//! Keys of sessions: a new one takes over while what the one before has sealed lives on, and gateways may share them.

use std::path::Path;

use serde_json::json;
use tollgate_testkit::http::Answer;

use super::{Session, Two, write};
use crate::control::Operator;
use crate::world::{Gateway, delivered};

const OLD: &str = "0ld-0123456789abcdef0123456789abcdef";
const NEW: &str = "n3w-0123456789abcdef0123456789abcdef";

/// Two servers, and these keys of sessions.
fn yaml(two: &Two, keys: &str) -> String {
    format!(
        "servers:\n  a: {{ url: '{}' }}\n  b: {{ url: '{}' }}\nfederation: {{ session_keys: [{keys}] }}\n",
        two.a.url(),
        two.b.url()
    )
}

/// A second gateway in front of the same servers, with a secret of its own.
async fn beside(folder: &Path, two: &Two, keys: &str) -> Gateway {
    write(folder, &yaml(two, keys));
    Gateway::dev(folder).await
}

/// A call in a session, sent to another gateway than the one that opened it.
async fn call_at(gateway: &Gateway, session: &Session) -> Answer {
    let there = Session { url: gateway.mcp(), ..session.clone() };
    there.call("b__echo", &json!({})).await
}

#[tokio::test]
async fn a_new_key_takes_over_and_the_one_before_opens_until_it_is_dropped() {
    let two = Two::echoes().await;
    let operator = Operator::of(&two.gateway);
    let before = Session::open(&two.mcp()).await;
    operator.serve(&two.gateway, &yaml(&two, &format!("{OLD}, own"))).await;
    let old = Session::open(&two.mcp()).await;
    operator.serve(&two.gateway, &yaml(&two, &format!("{NEW}, {OLD}, own"))).await;
    let new = Session::open(&two.mcp()).await;
    for session in [&before, &old, &new] {
        delivered(&session.call("a__echo", &json!({})).await);
    }
    operator.serve(&two.gateway, &yaml(&two, NEW)).await;
    let asked = two.a.executions();
    for gone in [&before, &old] {
        assert_eq!(gone.call("a__echo", &json!({})).await.status, 404, "sealed by a key that was dropped");
    }
    assert_eq!(two.a.executions(), asked, "nobody was asked");
    delivered(&new.call("a__echo", &json!({})).await);
}

#[tokio::test]
async fn gateways_that_share_a_key_open_each_others_sessions_and_change_it_one_after_the_other() {
    let two = Two::echoes().await;
    let operator = Operator::of(&two.gateway);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let stranger = beside(folders[0].path(), &two, "own").await;
    let second = beside(folders[1].path(), &two, OLD).await;
    operator.serve(&two.gateway, &yaml(&two, OLD)).await;
    let session = Session::open(&two.mcp()).await;
    delivered(&call_at(&second, &session).await);
    assert_eq!(call_at(&stranger, &session).await.status, 404, "a gateway with a key of its own");

    // First every gateway learns to open with the new key, then each begins to seal with it, then the old one is dropped.
    let elsewhere = Operator::of(&second);
    for keys in [format!("{OLD}, {NEW}"), format!("{NEW}, {OLD}")] {
        operator.serve(&two.gateway, &yaml(&two, &keys)).await;
        let opened = Session::open(&two.mcp()).await;
        if keys.starts_with(OLD) {
            delivered(&call_at(&second, &opened).await);
        }
        elsewhere.serve(&second, &yaml(&two, &keys)).await;
        for session in [&session, &opened] {
            delivered(&call_at(&second, session).await);
        }
    }
    let last = Session::open(&two.mcp()).await;
    elsewhere.serve(&second, &yaml(&two, NEW)).await;
    delivered(&call_at(&second, &last).await);
    assert_eq!(call_at(&second, &session).await.status, 404, "control: the old key is gone");
}
