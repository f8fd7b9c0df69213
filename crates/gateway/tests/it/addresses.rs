//! Secrets in addresses (N6): the path and the query of a server's URL, and user information. They reach the server, and nobody
//! else.

use std::process::Output;

use http::Method;
use serde_json::json;
use tollgate_testkit::http::get;
use tollgate_testkit::journal_server::{Journal, Script};
use tollgate_testkit::peers::port;

use crate::control::Operator;
use crate::world::{Gateway, call, command};

const KEY: &str = "k3y0f7heP4th0fAServ3r";
const TOKEN: &str = "t0k3nInTheQuery0fAServ3r";
const PASSWORD: &str = "pa55w0rdOfAUs3r";
const SECRETS: [&str; 3] = [KEY, TOKEN, PASSWORD];

#[track_caller]
fn holds_no_secret(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} in {what}: {text}");
    }
}

#[track_caller]
fn said(what: &str, output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    holds_no_secret(what, &text);
    text
}

#[tokio::test]
async fn n6_secrets_in_the_address_of_a_server_reach_no_caller_no_log_and_no_operator() {
    let journal = Journal::start(Script::echo()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let nobody = port::free().unwrap();
    let gone = format!("http://127.0.0.1:{nobody}/s/{KEY}/mcp?token={TOKEN}");
    let yaml = format!(
        "servers:\n\
         \x20 up: {{ url: '{}?token={TOKEN}', tools: {{ echo: {{}} }} }}\n\
         \x20 policed: {{ url: '{gone}', tools: {{ echo: {{}} }} }}\n\
         \x20 plain: {{ url: '{gone}' }}\n\
         \x20 old: {{ url: '{gone}', transport: sse, tools: {{ echo: {{}} }} }}\n",
        journal.url()
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let gateway = Gateway::dev(folder.path()).await;
    let door = |server: &str| format!("{}/servers/{server}/mcp", gateway.url);
    let none = json!({});

    assert_eq!(call(&door("up"), "echo", &none, &none, &[]).await.status, 200, "control: a query is sent");
    for server in ["policed", "plain", "old"] {
        let answer = call(&door(server), "echo", &none, &none, &[]).await;
        assert_ne!(answer.status, 200, "{server} is not there");
        holds_no_secret(server, &answer.text());
        let (status, text) =
            get(&door(server), &[]).await.map(|answer| (answer.status, answer.text())).unwrap();
        assert_ne!(status, 200);
        holds_no_secret(server, &text);
    }
    for path in ["/metrics", "/api/v1/tools", "/readyz", "/healthz"] {
        holds_no_secret(path, &get(&format!("{}{path}", gateway.url), &[]).await.unwrap().text());
    }

    let operator = Operator::of(&gateway);
    let known = operator.get("/servers").await.to_string();
    assert!(known.contains("policed"), "control: {known}");
    holds_no_secret("the list of servers", &known);
    let shown = operator.get("/servers/policed").await;
    assert_eq!(shown["settings"]["url"], format!("http://127.0.0.1:{nobody}/s/***/mcp?***"));
    let changed = json!({ "url": gone, "tools": { "echo": {} } });
    let done = operator.done(Method::PUT, "/servers/policed", Some(changed)).await;
    holds_no_secret("a change", &done.to_string());
    // What was shown in a secret's place is not taken for the secret.
    let back = operator.ask(Method::PUT, "/servers/policed", Some(shown["settings"].clone()), &[]).await;
    assert_eq!(back.status, 400, "{}", back.text());
    let with_user = json!({ "url": format!("http://user:{PASSWORD}@127.0.0.1:{nobody}/mcp") });
    let refused = operator.ask(Method::PUT, "/servers/new", Some(with_user), &[]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("servers.new.url"), "control: the place is named: {}", refused.text());
    holds_no_secret("a refusal", &refused.text());
    let audit = operator.get("/audit").await.to_string();
    assert!(audit.contains("/s/***/mcp"), "control: the change is written down: {audit}");
    holds_no_secret("the audit", &audit);

    for arguments in [
        &["doctor", "--config", "tollgate.yaml"][..],
        &["server", "list", "--config", "tollgate.yaml", "--json"],
        &["server", "list", "--config", "tollgate.yaml"],
        &["server", "probe", "policed", "--config", "tollgate.yaml"],
    ] {
        let output = command(folder.path()).args(arguments).output().unwrap();
        let text = said(&arguments.join(" "), &output);
        assert!(text.contains("policed"), "control: {arguments:?} speaks of it: {text}");
    }
    let log = gateway.whole_log();
    assert!(log.contains("policed"), "control: the log speaks of it: {log}");
    holds_no_secret("the log", &log);
}

#[tokio::test]
async fn n6_a_url_that_is_refused_is_named_by_its_place_and_not_by_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let with_user = format!("http://user:{PASSWORD}@127.0.0.1:1/s/{KEY}/mcp?token={TOKEN}");
    let strange = format!("ftp://127.0.0.1/s/{KEY}/mcp?token={TOKEN}");
    for url in [&with_user, &strange] {
        let yaml = format!("servers: {{ up: {{ url: '{url}' }} }}\n");
        std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
        for words in [&["doctor"][..], &["serve", "--data", "data"]] {
            let output =
                command(folder.path()).args(words).args(["--config", "tollgate.yaml"]).output().unwrap();
            assert!(!output.status.success());
            let text = said(words[0], &output);
            assert!(text.contains("servers.up.url") && text.contains("127.0.0.1"), "control: {text}");
        }
        let environment = [("TOLLGATE__ESCROW__MEDIATION__URL", url)];
        std::fs::write(folder.path().join("tollgate.yaml"), "servers: {}\n").unwrap();
        let mut doctor = command(folder.path());
        doctor.args(["doctor", "--config", "tollgate.yaml"]).envs(environment);
        let text = said("doctor", &doctor.output().unwrap());
        assert!(text.contains("escrow.mediation"), "control: {text}");
    }
    // The paying side.
    for url in [&with_user, &strange, &format!("http://127.0.0.1:1/s/{KEY}/mcp?token={TOKEN}")] {
        let call =
            command(folder.path()).args(["call", "echo", "--max", "1sat", "--url", url]).output().unwrap();
        assert!(!call.status.success());
        let text = said("call", &call);
        assert!(text.contains("127.0.0.1"), "control: {text}");
    }
}
