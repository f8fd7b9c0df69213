//! What operators see: metrics, the access log, and that neither says what it must not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::Script;

use crate::paid_calls::{api_key, until_known};
use crate::world::{Gateway, PRICED, World, call, code, delivered, post, soon, statement};

async fn metrics(gateway: &Gateway) -> String {
    let answer = get(&format!("{}/metrics", gateway.url), &[]).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.text()
}

/// The value of one sample, such as `tollgate_inflight` or `tollgate_x{a="b"}`.
fn sample(page: &str, series: &str) -> Option<String> {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(str::to_owned)
}

/// Waits until a sample has this value: what is read from the books is read now and then.
async fn until_sample(gateway: &Gateway, series: &str, value: &str) {
    soon(async {
        while sample(&metrics(gateway).await, series).as_deref() != Some(value) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The lines of the access log.
fn access_lines(gateway: &Gateway) -> Vec<Value> {
    let log = gateway.whole_log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let calls = lines.filter(|line| line["fields"]["message"] == "call");
    calls.map(|line| line["fields"].clone()).collect()
}

#[tokio::test]
async fn metrics_and_the_access_log_tell_how_each_call_ended() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let payment = world.x402_payment("echo", &arguments).await;
    let meta = json!({ "x402/payment": payment });
    let paid = delivered(&world.call_with("echo", &arguments, &meta).await);
    delivered(&world.call_with("echo", &arguments, &meta).await);
    assert_eq!(code(&world.call_with("echo", &json!({ "n": 2 }), &meta).await), "payment_other_call");
    let stranger = "a-name-that-only-a-caller-said";
    assert_eq!(code(&world.call(stranger, &json!({})).await), "unknown_tool");
    let rest = format!("{}/api/v1/execute", world.gateway.url);
    assert_eq!(post(&rest, &json!({ "tool_name": "echo", "arguments": {} }), &[]).await.status, 402);

    let page = metrics(&world.gateway).await;
    for (series, value) in [
        (r#"tollgate_calls_total{server="up",tool="echo",outcome="delivered"}"#, "1"),
        (r#"tollgate_calls_total{server="up",tool="echo",outcome="repeated"}"#, "1"),
        (r#"tollgate_calls_total{server="up",tool="echo",outcome="payment_required"}"#, "2"),
        (r#"tollgate_calls_total{server="up",tool="echo",outcome="payment_other_call"}"#, "1"),
        (r#"tollgate_calls_total{server="other",tool="other",outcome="unknown_tool"}"#, "1"),
        (r#"tollgate_payments_total{rail="x402",outcome="settled"}"#, "1"),
        (r#"tollgate_payments_total{rail="x402",outcome="voided"}"#, "0"),
        // A refused payment is answered with a fresh demand.
        ("tollgate_challenges_total", "3"),
        ("tollgate_replays_blocked_total", "0"),
        ("tollgate_call_duration_seconds_count", "6"),
        ("tollgate_overhead_seconds_count", "6"),
        ("tollgate_upstream_duration_seconds_count", "1"),
        ("tollgate_inflight", "0"),
        ("tollgate_ledger_open", "1"),
    ] {
        assert_eq!(sample(&page, series).as_deref(), Some(value), "{series}\n{page}");
    }
    assert!(!page.contains(stranger), "a caller's word became a label");
    assert_ne!(sample(&page, "tollgate_db_commit_seconds_count").as_deref(), Some("0"));

    let lines = access_lines(&world.gateway);
    let outcomes: Vec<&str> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(
        outcomes,
        [
            "payment_required",
            "delivered",
            "repeated",
            "payment_other_call",
            "unknown_tool",
            "payment_required"
        ]
    );
    let line = &lines[1];
    assert_eq!(line["call"], statement(&paid)["call_id"]);
    assert_eq!(line["caller"], format!("eip155:{}", world.payer_address().to_lowercase()));
    for (field, value) in [
        ("server", json!("up")),
        ("tool", json!("echo")),
        ("door", json!("mcp")),
        ("rail", json!("x402")),
        ("amount", json!("10000")),
        ("charged", json!(true)),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    assert!(line["total_us"].as_u64() >= line["upstream_us"].as_u64(), "{line}");
    assert_eq!((&lines[5]["door"], &lines[5]["charged"]), (&json!("rest"), &json!(false)));
    assert!(lines[4]["tool"].is_null(), "{}", lines[4]);

    // The same payment in another caller's hands.
    let (_, secret) = api_key(&world.gateway);
    let bearer = format!("Bearer {secret}");
    let headers = [("authorization", bearer.as_str())];
    let replay = async || call(&world.gateway.mcp(), "echo", &arguments, &meta, &headers).await;
    assert_eq!(code(&until_known(replay).await), "payment_replayed");
    let page = metrics(&world.gateway).await;
    assert_eq!(sample(&page, "tollgate_replays_blocked_total").as_deref(), Some("1"), "{page}");
}

#[tokio::test]
async fn what_only_the_books_know_is_in_the_metrics_a_moment_later_and_over_a_restart() {
    let world = World::paid_echo().await;
    delivered(&world.paid_call("echo", &json!({ "n": 1 })).await);
    let page = metrics(&world.gateway).await;
    assert_eq!(sample(&page, "tollgate_ledger_invariant_ok"), None, "nothing is said before a check");
    world.gateway.assert_books_in_order();
    until_sample(&world.gateway, "tollgate_ledger_invariant_ok", "1").await;
    let World { gateway, folder, journal } = world;
    let gateway = gateway.killed_and_restarted().await;
    until_sample(&gateway, "tollgate_audit_chain_ok", "1").await;
    // What was checked is read from a file, what was earned from the books a moment later.
    let earned = |line: &str| {
        line.starts_with("tollgate_revenue_atomic_total{")
            && line.contains("erc20")
            && line.ends_with(" 10000")
    };
    let page = soon(async {
        loop {
            let page = metrics(&gateway).await;
            if page.lines().any(earned) {
                return page;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(sample(&page, "tollgate_settlement_pending").as_deref(), Some("0"));
    drop((folder, journal));
}

#[tokio::test]
async fn metrics_need_their_token_where_one_is_set() {
    let token = "a-token-of-the-operator";
    let more = format!("metrics: {{ token: {token} }}\n");
    let world = World::with(Script::echo(), &[("echo", PRICED)], &more, &[]).await;
    let url = format!("{}/metrics", world.gateway.url);
    let bearer = format!("Bearer {token}");
    let ask = async |headers: &[(&str, &str)]| -> Answer { get(&url, headers).await.unwrap() };
    assert_eq!(ask(&[("authorization", &bearer)]).await.status, 200);
    let without = ask(&[]).await;
    assert_eq!((without.status.as_u16(), without.header("www-authenticate")), (401, Some("Bearer")));
    assert!(!without.text().contains("tollgate_calls_total"));
    assert_eq!(ask(&[("authorization", "Bearer another-token-than-this")]).await.status, 401);

    // Which servers there are is for the same readers; a probe without the token is a probe all the same.
    let ready = format!("{}/readyz", world.gateway.url);
    let names = async |headers: &[(&str, &str)]| {
        let answer = get(&ready, headers).await.unwrap();
        (answer.status.as_u16(), answer.json().unwrap()["servers"].is_object())
    };
    assert_eq!(names(&[]).await, (200, false));
    assert_eq!(names(&[("authorization", &bearer)]).await, (200, true));
    delivered(&world.paid_call("echo", &json!({ "n": 1 })).await);
    let listen = world.gateway.url.trim_start_matches("http://");
    std::fs::write(world.folder.path().join("empty.yaml"), format!("servers: {{}}\n{more}")).unwrap();
    let doctor = world.gateway.cli(&["doctor", "--config", "empty.yaml", "--listen", listen]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("server up, as the running gateway sees it"), "the doctor shows the token: {said}");
}

#[tokio::test]
async fn readyz_names_what_is_open_and_how_many_tools_are_known() {
    let world = World::paid_echo().await;
    delivered(&world.paid_call("echo", &json!({ "n": 1 })).await);
    let ready = get(&format!("{}/readyz", world.gateway.url), &[]).await.unwrap();
    let body = ready.json().unwrap();
    assert_eq!(
        (ready.status.as_u16(), &body["ready"], &body["ledger_open"]),
        (200, &json!(true), &json!(true))
    );
    assert_eq!(body["servers"]["up"]["tools"], 1, "{body}");
    // Somebody behind a proxy is told how many there are, and no names.
    let ready = get(&format!("{}/readyz", world.gateway.url), &[("x-forwarded-for", "192.0.2.7")]).await;
    let stranger = ready.unwrap();
    let told = json!({ "ready": true, "draining": false, "ledger_open": true, "servers_total": 1, "servers_down": 0 });
    assert_eq!((stranger.status.as_u16(), stranger.json().unwrap()), (200, told));
    assert_eq!(get(&format!("{}/healthz", world.gateway.url), &[]).await.unwrap().status, 200);
}

#[tokio::test]
async fn c4_no_secret_and_no_argument_is_in_logs_metrics_or_refusals_of_a_run() {
    let more = "    credential: { value: Bearer upstream-credential-canary }\n";
    let environment = [("TOLLGATE_LOG", "trace"), ("DEBUG", "true"), ("TOLLGATE_LOG_FORMAT", "json")];
    let world = World::with(Script::echo(), &[("echo", PRICED)], more, &environment).await;
    let arguments = json!({ "canary": "argument-canary" });
    let (id, secret) = api_key(&world.gateway);
    assert!(world.gateway.cli(&["credit", "add", &id, "1USDC"]).status.success());
    let (mcp, bearer) = (world.gateway.mcp(), format!("Bearer {secret}"));
    let by_key = async || call(&mcp, "echo", &arguments, &json!({}), &[("authorization", &bearer)]).await;
    delivered(&until_known(by_key).await);
    let payment = world.x402_payment("echo", &arguments).await;
    delivered(&world.call_with("echo", &arguments, &json!({ "x402/payment": payment })).await);
    let credential = world.l402_credential("echo", &arguments).await;
    let (macaroon, preimage) = credential.split_once(':').unwrap();
    delivered(&world.call_with("echo", &arguments, &json!({ "l402/authorization": credential })).await);

    // What is refused says why, without repeating what was presented.
    let other = json!({ "canary": "argument-canary", "more": 1 });
    let refused = [
        world.call_with("echo", &other, &json!({ "x402/payment": payment })).await,
        world.call_with("echo", &other, &json!({ "l402/authorization": credential })).await,
        call(&mcp, "echo", &arguments, &json!({}), &[("authorization", "Bearer tgk_wrong-key-canary")]).await,
    ];
    for answer in &refused {
        code(answer);
    }
    let (metrics, log) = (metrics(&world.gateway).await, world.gateway.whole_log());
    let signature = payment["payload"]["signature"].as_str().unwrap().trim_start_matches("0x");
    let secrets = [
        ("an API key", secret.as_str()),
        ("a wrong API key", "wrong-key-canary"),
        ("a signature", signature),
        ("a macaroon", macaroon),
        ("a preimage", preimage),
        ("an argument", "argument-canary"),
        ("the upstream's credential", "upstream-credential-canary"),
    ];
    let refusals: String = refused.iter().map(Answer::text).collect();
    for (what, secret) in secrets {
        for (place, text) in [("the log", &log), ("the metrics", &metrics), ("a refusal", &refusals)] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{what} is in {place}: {}", line.unwrap_or_default());
        }
    }
    // Positive control: all of them were really under way, and the log is one that would have shown them.
    let calls = world.journal.calls();
    assert_eq!(calls.len(), 3, "each way of paying ran the tool once");
    for call in calls {
        assert!(call.arguments.contains("argument-canary"));
        assert_eq!(call.header("authorization"), Some("Bearer upstream-credential-canary"));
    }
    assert!(log.contains("TRACE") && log.contains("DEBUG"), "the log was set to say everything");
    let paid: BTreeSet<String> = access_lines(&world.gateway)
        .iter()
        .filter_map(|line| line["rail"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(paid, ["credit", "l402", "x402"].map(str::to_owned).into());
    assert!(metrics.contains(r#"tollgate_payments_total{rail="credit",outcome="settled"} 1"#), "{metrics}");
}

/// The names of metrics in a text, as families: `_bucket`, `_sum` and `_count` of a histogram belong to it.
fn families(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (start, _) in text.match_indices("tollgate_") {
        let rest = &text[start..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = &rest[..end];
        let suffix = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        names.insert(suffix.unwrap_or(name).to_owned());
    }
    names
}

#[tokio::test]
async fn every_metric_of_the_dashboard_and_the_alerts_is_one_that_is_served() {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let world = World::paid_echo().await;
    let page = metrics(&world.gateway).await;
    let served: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
        .collect();
    let dashboard = std::fs::read_to_string(folder.join("grafana/tollgate.json")).unwrap();
    let alerts = std::fs::read_to_string(folder.join("prometheus/alerts.yaml")).unwrap();
    let guide = std::fs::read_to_string(folder.join("../docs/guides/observe.md")).unwrap();
    let panels: Value = serde_json::from_str(&dashboard).unwrap();
    let expressions: Vec<String> = panels["panels"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    assert!(expressions.len() >= 10, "{expressions:?}");
    for (file, text) in [("the dashboard", expressions.join("\n")), ("the alerts", alerts)] {
        let unknown: Vec<String> = families(&text).difference(&served).cloned().collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}, which nothing serves");
    }
    let undescribed: Vec<&String> = served.iter().filter(|name| !guide.contains(name.as_str())).collect();
    assert!(undescribed.is_empty(), "the guide does not explain {undescribed:?}");
    assert!(families("rate(tollgate_no_such_thing[5m])").difference(&served).count() == 1, "control");
}

/// What each family of a page is told apart by.
fn labels_served(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, _)) = line.split_once('}') else { continue };
        let (name, labels) = series.split_once('{').unwrap();
        let family = families(name).pop_first().unwrap();
        let names = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        all.entry(family).or_default().extend(names);
    }
    all
}

/// What an expression tells the series of its families apart by: the labels of selectors, and of `by`. The scraper's own are no matter.
fn labels_asked(expression: &str) -> BTreeSet<String> {
    let selectors = expression.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let selected = selectors.flat_map(|(labels, _)| labels.split(','));
    let names = selected.filter_map(|label| label.split(['=', '!']).next());
    let grouped = expression.split("by (").skip(1).filter_map(|rest| rest.split_once(')'));
    let groups = grouped.flat_map(|(labels, _)| labels.split(','));
    let all = names.chain(groups).map(|name| name.trim().to_owned());
    all.filter(|name| !["instance", "le"].contains(&name.as_str())).collect()
}

#[tokio::test]
async fn every_label_of_the_dashboard_and_the_alerts_is_one_of_its_metric() {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let world = World::paid_echo().await;
    delivered(&world.paid_call("echo", &json!({ "n": 1 })).await);
    let served = soon(async {
        loop {
            let served = labels_served(&metrics(&world.gateway).await);
            // What was earned is read from the books a moment later.
            if served.contains_key("tollgate_revenue_atomic_total") {
                return served;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let dashboard = std::fs::read_to_string(folder.join("grafana/tollgate.json")).unwrap();
    let alerts = std::fs::read_to_string(folder.join("prometheus/alerts.yaml")).unwrap();
    let panels: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = panels["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array());
    let drawn = panels.flatten().map(|target| target["expr"].as_str().unwrap().to_owned());
    let rules = alerts.split("- alert: ").skip(1);
    let watched = rules.map(|rule| rule[..rule.find("annotations:").unwrap()].split_once("expr:").unwrap().1);
    let watched = watched.map(|rest| rest.split("labels: {").next().unwrap().to_owned());
    let wrong = |expression: &str| -> Vec<String> {
        let of: BTreeSet<&String> =
            families(expression).iter().filter_map(|family| served.get(family)).flatten().collect();
        labels_asked(expression).into_iter().filter(|label| !of.contains(label)).collect()
    };
    let mut told_apart = 0;
    for expression in drawn.chain(watched) {
        assert_eq!(wrong(&expression), [""; 0], "{expression}");
        told_apart += usize::from(!labels_asked(&expression).is_empty());
    }
    assert!(told_apart >= 10, "control: {told_apart}");
    assert_eq!(wrong("sum by (tools) (rate(tollgate_calls_total{outcom=\"x\"}[5m]))"), ["outcom", "tools"]);
}
