//! `tollgate wrap`: a price on a stdio server without a configuration file.

use serde_json::{Value, json};
use tollgate_testkit::http::get;

use crate::world::{Demand, Gateway, TOLLGATE, call, command, delivered, soon};

#[tokio::test]
async fn a_stdio_server_is_wrapped_and_paid_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let given = ["--price", "0.01USDC", "--price", "10sat", "--tool", "echo=free", "--tool", "digest=2sat"];
    let program = ["--", TOLLGATE, "demo-server"];
    let gateway = Gateway::wrap(folder.path(), &[&given[..], &program[..]].concat()).await;
    soon(async {
        while !(gateway.whole_log().contains("SANDBOX") && gateway.whole_log().contains("claude mcp add")) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The server is started and asked for its tools as soon as the gateway runs.
    let tools = format!("{}/api/v1/tools", gateway.url);
    soon(async {
        while !get(&tools, &[]).await.unwrap().text().contains("weather") {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let free = call(&gateway.mcp(), "echo", &json!({ "text": "hello" }), &json!({}), &[]).await;
    assert_eq!(delivered(&free)["content"][0]["text"], "hello");
    let oslo = json!({ "city": "Oslo" });
    let unpaid = call(&gateway.mcp(), "weather", &oslo, &json!({}), &[]).await;
    assert_eq!(Demand::read(&unpaid).entry()["amount"], "10000");
    let dearer = call(&gateway.mcp(), "digest", &json!({ "text": "x" }), &json!({}), &[]).await;
    let challenge: Value = dearer.json().unwrap()["result"]["_meta"]["l402/challenge"].clone();
    assert!(challenge["invoice"].is_string(), "its own price is in sat alone: {}", dearer.text());

    let paid = ["call", "weather", "city=Oslo", "--max", "0.01USDC", "--json", "--url", &gateway.mcp()];
    let paid = gateway.cli(&paid);
    assert!(paid.status.success(), "{}", String::from_utf8_lossy(&paid.stderr));
    assert_eq!(gateway.account("payable:wrapped"), [0, 10_000, 0, 0]);
    gateway.assert_books_in_order();
}

#[tokio::test]
async fn what_cannot_be_wrapped_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (&["--price", "0.01USDC"][..], "CMD"),
        (&["--price", "1EUR", "--", TOLLGATE, "demo-server"][..], "every_tool.price[0] (the command line)"),
        (&["--tool", "echo", "--", TOLLGATE, "demo-server"][..], "expected NAME=PRICE"),
        (&["--env", "NOT_SET_HERE", "--", TOLLGATE, "demo-server"][..], "--env NOT_SET_HERE"),
        (&["--listen", "0.0.0.0:0", "--", TOLLGATE, "demo-server"][..], "loopback only"),
        (&["--", "no-such-program-here", "serve"][..], "no program that can be run"),
        (&["--", "./missing"][..], "no program that can be run"),
        (&["--env", "PATH=/nowhere", "--", "sh"][..], "no program that can be run"),
    ] {
        let refused = command(folder.path()).arg("wrap").args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}

/// A program that heeds neither the end of its input nor a signal that can be ignored; its number stands in the file `pid`.
const STUBBORN: &str = r#"
trap '' HUP TERM INT
echo $$ > pid
while IFS= read -r line; do
  case $line in *'"id":'*) ;; *) continue ;; esac
  rest=${line#*'"id":'}; id=${rest%%[,\}]*}
  printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"tools":[]}}\n' "$id"
done
while :; do sleep 1; done
"#;

#[tokio::test]
async fn the_end_of_the_terminal_ends_the_gateway_in_order_and_its_program_with_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stubborn.sh"), STUBBORN).unwrap();
    let gateway = Gateway::wrap(folder.path(), &["--", "sh", "stubborn.sh"]).await;
    let program = soon(async {
        loop {
            let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap_or_default();
            if pid.ends_with('\n') {
                return format!("/proc/{}", pid.trim());
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(std::path::Path::new(&program).exists(), "control: it runs");
    let hung_up = std::process::Command::new("kill").args(["-HUP", &gateway.pid().to_string()]).status();
    assert!(hung_up.unwrap().success());
    soon(async {
        while !gateway.whole_log().contains("stopping: no new work")
            || std::path::Path::new(&program).exists()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_is_to_outlive_its_terminal_does() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("trap '' HUP\nexec {TOLLGATE:?} \"$@\"\n");
    std::fs::write(folder.path().join("nohup.sh"), script).unwrap();
    let port = tollgate_testkit::peers::port::free().unwrap();
    let listen = format!("127.0.0.1:{port}");
    let plain = command(folder.path());
    let mut start = std::process::Command::new("sh");
    start.arg("nohup.sh").args(["wrap", "--listen", &listen, "--", TOLLGATE, "demo-server"]);
    start.current_dir(folder.path()).env_clear();
    start.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut process =
        start.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let ready = format!("http://{listen}/readyz");
    let is_ready = async || get(&ready, &[]).await.is_ok_and(|answer| answer.status == 200);
    soon(async {
        while !is_ready().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let tell = |signal: &str| {
        let told = std::process::Command::new("kill").args([signal, &process.id().to_string()]).status();
        assert!(told.unwrap().success());
    };
    tell("-HUP");
    for _ in 0..50 {
        assert!(is_ready().await);
    }
    tell("-TERM");
    assert!(tokio::task::spawn_blocking(move || process.wait()).await.unwrap().unwrap().success());
}
