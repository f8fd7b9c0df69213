//! Names, lists and calls.

use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::send;
use tollgate_testkit::journal_server::{Behaviour, Journal, Script, Tool};
use tollgate_testkit::peers::port;

use super::{Session, Two, configured, modern, names, result};
use crate::world::{Demand, Gateway, PRICED, call, code, delivered, modern_headers, statement};

#[tokio::test]
async fn every_tool_of_every_server_is_listed_under_its_servers_name_with_its_own_bytes() {
    let odd =
        Tool::new("x.1", Behaviour::Echo).with_member("execution", json!({ "taskSupport": "optional" }));
    let two =
        Two::new([Script::echo(), Script::echo().with(odd)], ["", ", every_tool: { price: [] }"], "").await;
    let session = Session::open(&two.mcp()).await;
    for list in [
        result(&modern(&two.mcp(), "tools/list", &json!({})).await),
        result(&session.ask("tools/list", &json!({})).await),
    ] {
        assert_eq!(names(&list), ["a__echo", "b__echo", "b__x.1"], "in one order, whoever answers first");
        assert_eq!(list["tools"][2]["execution"]["taskSupport"], "optional");
        assert_eq!(list["tools"][0]["description"], "The tool echo of a mock upstream.");
        assert_eq!(list.get("nextCursor"), None);
    }
    let transparent = format!("{}/servers/b/mcp", two.gateway.url);
    let own = result(&modern(&transparent, "tools/list", &json!({})).await);
    assert_eq!(names(&own), ["echo", "x.1"], "control: at its own door a server keeps its names");
}

#[tokio::test]
async fn a_call_reaches_its_server_under_the_tools_own_name_with_its_arguments_as_they_were() {
    let two = Two::new([Script::echo(), Script::echo()], ["", ", every_tool: { price: [] }"], "").await;
    for server in ["a", "b"] {
        let tool = format!("{server}__echo");
        let arguments = r#"{ "n":1.10,"big":123456789012345678901234567890 ,"name":"a__echo"}"#;
        let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":"q","method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},"_meta":{meta}}}}}"#
        );
        let headers = modern_headers(&tool);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let answer = send(Method::POST, &two.mcp(), &headers, body).await.unwrap();
        delivered(&answer);
        assert_eq!(answer.json().unwrap()["id"], "q");
        let (asked, other) = if server == "a" { (&two.a, &two.b) } else { (&two.b, &two.a) };
        let calls = asked.calls();
        assert_eq!(calls.len(), 1);
        assert_eq!((calls[0].tool.as_str(), calls[0].header("mcp-name")), ("echo", Some("echo")));
        assert_eq!(calls[0].arguments, arguments);
        assert!(other.calls().is_empty());
        asked.clear();
    }
    let session = Session::open(&two.mcp()).await;
    delivered(&session.call("b__echo", &json!({ "n": 2 })).await);
    assert_eq!((two.a.executions(), two.b.executions()), (0, 1));
}

#[tokio::test]
async fn a_priced_tool_is_paid_under_its_federated_name_and_billed_to_its_server() {
    let policy = format!(", tools: {{ echo: {PRICED} }}");
    let two = Two::new([Script::echo(), Script::echo()], ["", &policy], "").await;
    let list = result(&modern(&two.mcp(), "tools/list", &json!({})).await);
    assert_eq!(list["tools"][0].pointer("/_meta/tollgate~1pricing"), None);
    assert!(list["tools"][1].pointer("/_meta/tollgate~1pricing").is_some(), "{list}");
    let (world, free) = two.into_world();
    let arguments = json!({ "n": 1 });
    let demand = world.demand("b__echo", &arguments).await;
    assert_eq!(demand.required["resource"]["url"], "mcp://tool/b__echo");
    assert!(world.journal.calls().is_empty(), "unpaid");
    let meta = json!({ "x402/payment": demand.sign(&world.payer()) });
    let paid = delivered(&world.call_with("b__echo", &arguments, &meta).await);
    assert_eq!(statement(&paid)["charged"], true);
    assert_eq!(world.payer_balance().await, 100_000_000 - 10_000);
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.gateway.account("payable:b")[1], 10_000);
    let session = Session::open(&world.gateway.mcp()).await;
    let demand = Demand::read(&session.call("b__echo", &json!({ "n": 2 })).await);
    let params = json!({ "name": "b__echo", "arguments": { "n": 2 },
        "_meta": { "x402/payment": demand.sign(&world.payer()) } });
    assert_eq!(statement(&delivered(&session.ask("tools/call", &params).await))["charged"], true);
    assert!(free.calls().is_empty());
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn m9_what_names_nobody_here_is_unknown_and_asks_nobody() {
    let two = Two::new([Script::echo(), Script::echo()], ["", ", every_tool: { price: [] }"], "").await;
    let session = Session::open(&two.mcp()).await;
    for tool in [
        "echo",
        "c__echo",
        "a_echo",
        "A__echo",
        "a__",
        "../a__echo",
        "a%5F%5Fecho",
        "a/echo",
        "a__echo\u{200b}/../x",
        "b__ghost",
    ] {
        if tool.is_ascii() {
            let refused = call(&two.mcp(), tool, &json!({}), &json!({}), &[]).await;
            let said = refused.json().unwrap();
            assert_eq!(
                (refused.status.as_u16(), &said["error"]["code"]),
                (404, &json!(-32_602)),
                "{tool}: {said}"
            );
            assert_eq!(code(&refused), "unknown_tool");
        }
        // The servers without a policy decide themselves about their own names.
        if !tool.starts_with("a__") {
            let refused = session.call(tool, &json!({})).await;
            let said = refused.json().unwrap();
            assert_eq!(
                (refused.status.as_u16(), &said["error"]["code"]),
                (200, &json!(-32_602)),
                "{tool}: {said}"
            );
        }
    }
    assert_eq!((two.a.executions(), two.b.executions()), (0, 0));
    delivered(&call(&two.mcp(), "a__echo", &json!({}), &json!({}), &[]).await);
    for path in [
        "/servers/c/mcp",
        "/servers/a%2F/mcp",
        "/servers/../mcp",
        "/servers//mcp",
        "/mcp/a",
        "/servers/A/mcp",
    ] {
        let answer = send(Method::POST, &format!("{}{path}", two.gateway.url), &[], "{}").await.unwrap();
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_dead_server_hides_nothing_of_the_others_and_is_named() {
    let two = Two::echoes().await;
    let session = Session::open(&two.mcp()).await;
    let whole = result(&modern(&two.mcp(), "tools/list", &json!({})).await);
    assert_eq!((names(&whole).len(), &whole["cacheScope"]), (2, &json!("public")), "control");
    two.b.stop().await;
    for list in [
        result(&modern(&two.mcp(), "tools/list", &json!({})).await),
        result(&session.ask("tools/list", &json!({})).await),
    ] {
        assert_eq!(names(&list), ["a__echo"]);
        let failed = &list["_meta"]["tollgate/federation"]["failed"];
        assert_eq!(failed, &json!([{ "server": "b", "reason": "unreachable" }]));
        assert!(
            list["cacheScope"] == Value::Null || list["cacheScope"] == "private",
            "part of a list is nobody's cache"
        );
    }
    let dead = call(&two.mcp(), "b__echo", &json!({}), &json!({}), &[]).await;
    assert_eq!((dead.status.as_u16(), code(&dead).as_str()), (502, "upstream_unreachable"));
    assert_eq!(dead.json().unwrap()["id"], 1);
    assert_eq!(session.call("b__echo", &json!({})).await.status, 502, "the session lives on");
    delivered(&session.call("a__echo", &json!({})).await);
    let opened = Session::open(&two.mcp()).await;
    assert_eq!(opened.opened["_meta"]["tollgate/federation"]["failed"][0]["server"], "b");
    delivered(&opened.call("a__echo", &json!({})).await);
    two.a.stop().await;
    let all = modern(&two.mcp(), "tools/list", &json!({})).await;
    assert_eq!((all.status.as_u16(), code(&all).as_str()), (502, "upstream_unreachable"));
}

#[tokio::test]
async fn f53_a_tool_that_vanishes_is_unknown_from_then_on() {
    let two = Two::echoes().await;
    delivered(&call(&two.mcp(), "b__echo", &json!({}), &json!({}), &[]).await);
    two.b.replace_tools(vec![Tool::new("other", Behaviour::Echo)]);
    let list = result(&modern(&two.mcp(), "tools/list", &json!({})).await);
    assert_eq!(names(&list), ["a__echo", "b__other"]);
    let gone = call(&two.mcp(), "b__echo", &json!({}), &json!({}), &[]).await;
    assert_eq!((gone.status.as_u16(), &gone.json().unwrap()["error"]["code"]), (404, &json!(-32_602)));
    delivered(&call(&two.mcp(), "b__other", &json!({}), &json!({}), &[]).await);
}

#[tokio::test]
async fn f51_what_is_no_answer_to_the_request_never_arrives() {
    let raw = |content_type: &str, body: &str| Behaviour::Raw {
        status: 200,
        content_type: content_type.to_owned(),
        body: body.to_owned(),
    };
    let secret = r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[],"secret":1}}"#;
    let script = Script::echo()
        .tool("broken", raw("application/json", r#"{"jsonrpc":"2.0","id":1,"result":"#))
        .tool("other", raw("application/json", r#"{"jsonrpc":"2.0","id":99,"result":{"secret":1}}"#))
        .tool(
            "twice",
            raw("application/json", r#"{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2,"secret":1}}"#),
        )
        .tool(
            "two",
            raw(
                "text/event-stream",
                &format!("data: {}\n\ndata: {secret}\n\n", secret.replace("secret", "first")),
            ),
        )
        .tool(
            "late",
            raw(
                "text/event-stream",
                &format!(
                    "data: {}\n\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"secret\"}}\n\n",
                    secret.replace("secret", "first")
                ),
            ),
        )
        .tool(
            "wrong",
            raw("text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{\"secret\":1}}\n\n"),
        );
    let two = Two::new([script.clone(), script], ["", ", every_tool: { price: [] }"], "").await;
    for server in ["a", "b"] {
        for tool in ["broken", "other", "twice"] {
            let refused = call(&two.mcp(), &format!("{server}__{tool}"), &json!({}), &json!({}), &[]).await;
            assert_eq!(
                (refused.status.as_u16(), code(&refused).as_str()),
                (502, "upstream_broken"),
                "{server} {tool}"
            );
            assert_eq!(refused.json().unwrap()["id"], 1, "{server} {tool}");
        }
        for tool in ["two", "late"] {
            let answer = call(&two.mcp(), &format!("{server}__{tool}"), &json!({}), &json!({}), &[]).await;
            let text = answer.text();
            assert!(text.contains("first") && !text.contains("secret"), "{server} {tool}: {text}");
        }
        let headers = modern_headers(&format!("{server}__wrong"));
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let body = crate::world::call_body(&format!("{server}__wrong"), &json!({}), &json!({}));
        let cut = send(Method::POST, &two.mcp(), &headers, body.to_string()).await;
        assert!(cut.is_err() || !cut.unwrap().text().contains("secret"), "{server}");
        delivered(&call(&two.mcp(), &format!("{server}__echo"), &json!({}), &json!({}), &[]).await);
    }
}

#[tokio::test]
async fn d1_one_limit_holds_in_both_eras_and_both_directions() {
    let script = Script::echo().tool("huge", Behaviour::Huge { bytes: 3_000 });
    let limits = "limits: { body_bytes_max: 2000, answer_bytes_max: 2000 }\n";
    let two = Two::new([script.clone(), script], ["", ", every_tool: { price: [] }"], limits).await;
    let session = Session::open(&two.mcp()).await;
    let long = json!({ "text": "x".repeat(3_000) });
    for server in ["a", "b"] {
        let tool = format!("{server}__echo");
        let refused = call(&two.mcp(), &tool, &long, &json!({}), &[]).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (413, "body_too_large"));
        assert_eq!(session.call(&tool, &long).await.status, 413);
        let huge = format!("{server}__huge");
        for refused in [
            call(&two.mcp(), &huge, &json!({}), &json!({}), &[]).await,
            session.call(&huge, &json!({})).await,
        ] {
            assert_eq!(
                (refused.status.as_u16(), code(&refused).as_str()),
                (502, "upstream_broken"),
                "{server}"
            );
        }
        delivered(&call(&two.mcp(), &tool, &json!({}), &json!({}), &[]).await);
        delivered(&session.call(&tool, &json!({})).await);
    }
    assert_eq!(two.a.calls_to("echo").len(), 2, "what was too long never arrived");
}

#[tokio::test]
async fn t4_a_plain_server_keeps_its_names_and_takes_nobody_elses() {
    let script = Script::echo().tool("b__echo", Behaviour::Text("stolen".to_owned()));
    let two = Two::new([script, Script::echo()], [", names: plain", ""], "").await;
    let list = result(&modern(&two.mcp(), "tools/list", &json!({})).await);
    assert_eq!(names(&list), ["echo", "a__b__echo", "b__echo"]);
    let called = async |tool: &str| delivered(&call(&two.mcp(), tool, &json!({}), &json!({}), &[]).await);
    called("b__echo").await;
    assert_eq!((two.a.executions(), two.b.executions()), (0, 1), "b's name is b's");
    called("echo").await;
    called("a__echo").await;
    assert_eq!(
        called("a__b__echo").await["content"][0]["text"],
        "stolen",
        "control: under a name of its own"
    );
    assert_eq!((two.a.executions(), two.b.executions()), (3, 1));

    let both = super::configured(
        "servers:\n  a: { url: 'http://127.0.0.1:1/mcp', names: plain }\n  b: { url: 'http://127.0.0.1:2/mcp', names: plain }\n",
    );
    let validated =
        crate::world::command(both.path()).args(["validate", "--config", "tollgate.yaml"]).output().unwrap();
    assert!(!validated.status.success());
    let said =
        String::from_utf8_lossy(&validated.stderr).into_owned() + &String::from_utf8_lossy(&validated.stdout);
    assert!(said.contains("servers.b.names") && said.contains("a has plain names already"), "{said}");
}

#[tokio::test]
async fn a_resting_server_says_when_to_come_back_and_the_other_one_is_called_meanwhile() {
    let journal = Journal::start(Script::echo()).await.unwrap();
    let nobody = port::free().unwrap();
    let folder = configured(&format!(
        "servers:\n  gone: {{ url: 'http://127.0.0.1:{nobody}/mcp', breaker: {{ failures_in_a_row: 1, rest_ms: 30000 }} }}\n  \
         here: {{ url: '{}' }}\n",
        journal.url()
    ));
    let gateway = Gateway::dev(folder.path()).await;
    let arguments = json!({});
    let first = call(&gateway.mcp(), "gone__echo", &arguments, &arguments, &[]).await;
    assert_eq!(code(&first), "upstream_unreachable");
    let resting = call(&gateway.mcp(), "gone__echo", &arguments, &arguments, &[]).await;
    assert_eq!(code(&resting), "upstream_unreachable");
    let said = resting.json().unwrap();
    assert!(said["error"]["data"]["retry_after_ms"].as_u64().is_some_and(|millis| millis > 0), "{said}");
    assert!(resting.headers.contains_key("retry-after"));
    delivered(&call(&gateway.mcp(), "here__echo", &arguments, &arguments, &[]).await);
}
