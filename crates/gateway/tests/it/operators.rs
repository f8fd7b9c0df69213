//! The operator's side: start and stop, bad configuration, keys, a disk that fails, an upgrade taken back, and what the logs
//! and the command line say.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_testkit::http::get;
use tollgate_testkit::journal_server::{Behaviour, Script};
use tollgate_testkit::peers::{missing, port, withheld};

use crate::paid_calls::{api_key, until_known};
use crate::world::{
    Gateway, PRICE, PRICED, World, base64_decode, base64_encode, call, call_body, code, command, delivered,
    modern_headers, post, soon, statement,
};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder).args(arguments).output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Name and bytes of every file in a folder that holds something. SQLite's wal-index (`-shm`) is shared memory between
/// processes that look at a database; neither it nor an empty log holds anything of it, and any reader may tidy them away.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .filter(|(name, bytes)| !(name.ends_with("-shm") || name.ends_with("-wal") && bytes.is_empty()))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn f12_a_newer_database_is_refused_and_left_as_it_is() {
    let mut world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let meta = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
    delivered(&world.call_with("echo", &arguments, &meta).await);
    world.gateway.kill();
    let data = world.folder.path().join("data");
    let version = |to: Option<u32>| {
        let ledger = rusqlite::Connection::open(data.join("ledger.db")).unwrap();
        let found: u32 = ledger.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        if let Some(to) = to {
            ledger.pragma_update(None, "user_version", to).unwrap();
        }
        // Everything into the one file, so that comparing files compares the database.
        ledger.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(())).unwrap();
        found
    };
    let known = version(None);
    version(Some(known + 1));
    let before = contents(&data);
    let serve = ["dev", "--data", "data", "--config", "tollgate.yaml", "--listen", "127.0.0.1:0"];
    for refused in
        [run(world.folder.path(), &serve), run(world.folder.path(), &["ledger", "check", "--data", "data"])]
    {
        assert_eq!(refused.status.code(), Some(2));
        let said = errors(&refused);
        assert!(
            said.contains(&format!("schema version {}", known + 1)) && said.contains("newer version"),
            "{said}"
        );
    }
    let after = contents(&data);
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&after), names(&before));
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        assert!(before == after, "{name} was changed by a start that was refused");
    }

    version(Some(known));
    world.gateway = world.gateway.killed_and_restarted().await;
    delivered(&world.call_with("echo", &arguments, &meta).await);
    assert_eq!(
        world.journal.executions(),
        1,
        "control: the old database is served again, with its stored answer"
    );
    world.gateway.assert_books_in_order();
}

/// Lets the next `fdatasync` or `fsync` of each thread of a process fail with EIO, once.
async fn failing_disk(pid: u32, folder: &Path) -> Option<Stopped> {
    injected(pid, folder, "error=EIO:when=1").await
}

/// Does this to each `fdatasync` and `fsync` of a process, in the words of `strace`, while the value lives. `None` where the machine does
/// not allow it, after saying why.
pub(crate) async fn injected(pid: u32, folder: &Path, what: &str) -> Option<Stopped> {
    injected_into(pid, folder, ("fdatasync,fsync", what), &[]).await
}

/// The same to these calls of the kernel; if files are named, to those on them alone.
pub(crate) async fn injected_into(
    pid: u32,
    folder: &Path,
    (calls, what): (&str, &str),
    files: &[PathBuf],
) -> Option<Stopped> {
    let log = folder.join("strace.log");
    let spawned = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&log)
        .args(files.iter().flat_map(|file| [OsStr::new("-P"), file.as_os_str()]))
        .args([
            "-e",
            &format!("trace={calls}"),
            "-e",
            &format!("inject={calls}:{what}"),
            "-p",
            &pid.to_string(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut strace = match spawned {
        Ok(strace) => Stopped(strace),
        Err(error) => return missing(format!("strace cannot be started: {error}")),
    };
    let status = format!("/proc/{pid}/status");
    let traced = async {
        loop {
            let text = std::fs::read_to_string(&status).unwrap();
            let tracer =
                text.lines().find_map(|line| line.strip_prefix("TracerPid:")).unwrap().trim().to_owned();
            if tracer != "0" || strace.0.try_wait().unwrap().is_some() {
                return tracer != "0" && strace.0.try_wait().unwrap().is_none();
            }
            tokio::task::yield_now().await;
        }
    };
    if soon(traced).await {
        Some(strace)
    } else {
        withheld("strace may not trace here (ptrace is not allowed)")
    }
}

/// A process that ends with this value.
pub(crate) struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        drop((self.0.kill(), self.0.wait()));
    }
}

#[tokio::test]
async fn f16_a_disk_that_fails_once_stops_the_money_and_nothing_else() {
    let mut world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let first = delivered(&world.paid_call("echo", &arguments).await);
    let unused = json!({ "x402/payment": world.x402_payment("echo", &json!({ "n": 2 })).await });
    let receipt = statement(&first)["receipt_id"].as_str().unwrap().to_owned();
    let Some(disk) = failing_disk(world.gateway.pid(), world.folder.path()).await else { return };
    let url = world.gateway.url.clone();

    let hit = world.call_with("echo", &json!({ "n": 2 }), &unused).await;
    // The call that was hit does not know what became of its commit; every one after it is told that the store is closed.
    assert!(["store_closed", "internal"].contains(&code(&hit).as_str()), "{}", hit.text());
    assert_eq!(hit.json().unwrap()["error"]["data"]["retryable"], true, "{}", hit.text());
    // The fault was there once. The disk works again, and is not trusted again.
    drop(disk);
    let stopped = world.call_with("echo", &json!({ "n": 2 }), &unused).await;
    assert_eq!((stopped.status.as_u16(), code(&stopped).as_str()), (503, "store_closed"));
    let ready = get(&format!("{url}/readyz"), &[]).await.unwrap();
    assert_eq!((ready.status.as_u16(), &ready.json().unwrap()["ledger_open"]), (503, &json!(false)));
    assert!(world.gateway.whole_log().contains("\"level\":\"ERROR\""), "the operator is alarmed");
    for readable in
        ["/healthz", "/api/v1/tools", &format!("/api/v1/receipts/{receipt}"), "/.well-known/jwks.json"]
    {
        assert_eq!(
            get(&format!("{url}{readable}"), &[]).await.unwrap().status,
            200,
            "{readable} needs no disk"
        );
    }
    assert_eq!(world.journal.executions(), 1, "nothing ran whose money could not be held");

    world.gateway = world.gateway.killed_and_restarted().await;
    world.gateway.assert_books_in_order();
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE, "the failed call was not charged");
    delivered(&world.call_with("echo", &json!({ "n": 2 }), &unused).await);
    assert_eq!(
        world.payer_balance().await,
        100_000_000 - 2 * PRICE,
        "control: after a restart the same payment works"
    );
    world.gateway.assert_books_in_order();
}

/// A configuration with one mistake of each kind that has a meaning.
const MISTAKEN: &str = "
listen: nowhere
servers:
  Weather!: { url: \"http://127.0.0.1:1/mcp\" }
  both: { url: \"http://127.0.0.1:1/mcp\", command: [weather] }
  priced:
    url: ftp://127.0.0.1/mcp
    tools:
      forecast: { price: [0.01EUR, 0USDC, abc], min_reputation: \"7\" }
payment:
  x402: { network: moon }
  lightning: { lnbits_url: \"http://127.0.0.1:5000\" }
";

#[test]
fn every_mistake_of_a_configuration_is_reported_at_once_with_its_place_and_origin() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tollgate.yaml"), MISTAKEN).unwrap();
    let places = [
        "listen",
        "servers.Weather!",
        "servers.both",
        "servers.priced.url",
        "servers.priced.tools.forecast.price[0]",
        "servers.priced.tools.forecast.price[1]",
        "servers.priced.tools.forecast.price[2]",
        "servers.priced.tools.forecast.min_reputation",
        "payment.x402.network",
        "payment.lightning",
        "MAX_DAILY_SPENT",
    ];
    for (subcommand, exit) in [("validate", 1), ("serve", 2), ("doctor", 1)] {
        let mut given = command(folder.path());
        given
            .args([subcommand, "--config", "tollgate.yaml", "--data", "data"])
            .env("MAX_DAILY_SPENT", "lots");
        let refused = given.env("TOLLGATE__LIMITS__DRAIN_MS", "1").output().unwrap();
        let errors = errors(&refused);
        assert_eq!(refused.status.code(), Some(exit), "{subcommand}: {errors}");
        for place in places {
            assert!(
                errors.lines().any(|line| line.trim_start().starts_with(&format!("{place} ("))),
                "{subcommand} {place}: {errors}"
            );
        }
        assert!(errors.contains("(tollgate.yaml)"), "{errors}");
        assert!(!folder.path().join("data/ledger.db").exists(), "{subcommand}: nothing was started");
    }
    let named =
        command(folder.path()).args(["validate"]).env("TOLLGATE__LISTEN", "nowhere").output().unwrap();
    assert!(errors(&named).contains("listen (TOLLGATE__LISTEN)"), "{}", errors(&named));
}

#[test]
fn unknown_keys_and_wrong_types_are_refused_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "lissten: x\nservers: { up: { url: \"http://127.0.0.1:1/mcp\", tols: {}, tools: { echo: { prize: [1sat], api_key: maybe } } } }\n";
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let refused = run(folder.path(), &["validate", "--config", "tollgate.yaml"]);
    let errors = errors(&refused);
    assert_eq!(refused.status.code(), Some(1));
    for word in ["lissten", "tols", "prize", "api_key"] {
        assert!(errors.contains(word), "{word}: {errors}");
    }
    let environment = command(folder.path())
        .arg("validate")
        .env("TOLLGATE__LIMITS__CALLS_PER_MINUT", "3")
        .output()
        .unwrap();
    assert_eq!(environment.status.code(), Some(1), "an unknown name of ours is no silent nothing");
    for (yaml, word) in [
        ("- a list\n", "mapping"),
        ("a: [\n", "YAML"),
        ("servers: { up: { url: \"${NO_SUCH}\" } }\n", "NO_SUCH"),
    ] {
        std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
        let refused = run(folder.path(), &["validate", "--config", "tollgate.yaml"]);
        assert!(
            refused.status.code() == Some(1) && self::errors(&refused).contains(word),
            "{}",
            self::errors(&refused)
        );
    }
    std::fs::write(
        folder.path().join("tollgate.yaml"),
        "servers: { up: { url: \"http://127.0.0.1:1/mcp\" } }\n",
    )
    .unwrap();
    let good = run(folder.path(), &["validate", "--config", "tollgate.yaml"]);
    assert!(good.status.success(), "control: {}", self::errors(&good));
    assert!(said(&good).contains("streamed unparsed"), "{}", said(&good));
}

#[test]
fn the_schema_is_one_that_refuses_what_the_gateway_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let printed = run(folder.path(), &["schema"]);
    let schema: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&json!({ "servers": { "up": { "url": "http://127.0.0.1:1/mcp" } } })));
    for wrong in
        [json!({ "lissten": "x" }), json!({ "servers": [] }), json!({ "limits": { "drain_ms": "soon" } })]
    {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}

#[tokio::test]
async fn the_doctor_names_what_is_wrong_and_what_to_do() {
    let world = World::paid_echo().await;
    let folder = tempfile::tempdir().unwrap();
    let config = |url: &str| {
        std::fs::write(
            folder.path().join("tollgate.yaml"),
            format!("servers: {{ up: {{ url: \"{url}\" }} }}\n"),
        )
        .unwrap()
    };
    let listen = format!("127.0.0.1:{}", port::free().unwrap());
    let doctor = |listen: &str| {
        run(folder.path(), &["doctor", "--config", "tollgate.yaml", "--data", "data", "--listen", listen])
    };
    config(&world.journal.url());
    let well = doctor(&listen);
    assert!(well.status.success(), "{}{}", said(&well), errors(&well));
    assert!(!said(&well).contains('✗'), "{}", said(&well));

    let nobody = port::free().unwrap();
    config(&format!("http://127.0.0.1:{nobody}/mcp"));
    let key = folder.path().join("data/receipts.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ill = doctor(world.gateway.url.trim_start_matches("http://"));
    assert_eq!(ill.status.code(), Some(1));
    let findings: Vec<String> =
        said(&ill).lines().filter(|line| line.starts_with('✗')).map(str::to_owned).collect();
    for (what, remedy) in
        [("listen on", "--listen"), ("data directory", "chmod 600"), ("server up", "is it running?")]
    {
        assert!(
            findings.iter().any(|line| line.contains(what) && line.contains(remedy)),
            "{what}: {findings:?}"
        );
    }
}

#[tokio::test]
async fn c1_keys_belong_to_their_owner_alone_or_nothing_starts() {
    let world = World::paid_echo().await;
    let data = world.folder.path().join("data");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let keys = ["receipts.key", "gate.key", "payer.key", "merchant.key", "lightning.key"];
    for key in keys {
        assert_eq!(mode(&data.join(key)), 0o600, "{key}");
    }
    let Gateway { folder, .. } = &world.gateway;
    let folder = folder.clone();
    let mut gateway = world.gateway;
    gateway.kill();
    for key in keys {
        let path = data.join(key);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused =
            run(&folder, &["dev", "--data", "data", "--config", "tollgate.yaml", "--listen", "127.0.0.1:0"]);
        assert_eq!(refused.status.code(), Some(2), "{key}");
        let said = errors(&refused);
        assert!(said.contains(key) && said.contains("600"), "{key}: {said}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::write(data.join("gate.key"), "too short\n").unwrap();
    let refused =
        run(&folder, &["dev", "--data", "data", "--config", "tollgate.yaml", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(errors(&refused).contains("64 hexadecimal digits"), "{}", errors(&refused));
    drop(world.folder);

    // With real money there is the key that pays the gas.
    let live = tempfile::tempdir().unwrap();
    let yaml = "payment: { x402: { rpc_url: 'http://127.0.0.1:1', pay_to: '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC' } }\n";
    std::fs::write(live.path().join("tollgate.yaml"), yaml).unwrap();
    let mut gateway = Gateway::serve(live.path(), &[]).await;
    gateway.kill();
    let relayer = live.path().join("data/relayer.key");
    assert_eq!(mode(&relayer), 0o600);
    std::fs::set_permissions(&relayer, std::fs::Permissions::from_mode(0o640)).unwrap();
    let serve = ["serve", "--data", "data", "--config", "tollgate.yaml", "--listen", "127.0.0.1:0"];
    let refused = run(live.path(), &serve);
    assert_eq!(refused.status.code(), Some(2));
    assert!(errors(&refused).contains("relayer.key"), "{}", errors(&refused));
}

/// Sends a signal to a process.
fn signal(pid: u32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

#[tokio::test]
async fn sigterm_lets_a_running_call_finish_and_be_charged() {
    let script = Script::new().tool("slow", Behaviour::Hang);
    let mut world = World::new(script, &[("slow", PRICED)]).await;
    world.gateway.kill();
    let mut start = command(world.folder.path());
    start.args([
        "dev",
        "--data",
        "data",
        "--config",
        "tollgate.yaml",
        "--listen",
        &format!("127.0.0.1:{}", world.gateway.port),
    ]);
    let log = std::fs::File::create(world.folder.path().join("drain.log")).unwrap();
    let mut process = Stopped(start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    let ready = format!("{}/readyz", world.gateway.url);
    soon(async {
        while !get(&ready, &[]).await.is_ok_and(|answer| answer.status == 200) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let arguments = json!({ "n": 1 });
    let meta = json!({ "x402/payment": world.x402_payment("slow", &arguments).await });
    let (url, body) = (world.gateway.mcp(), call_body("slow", &arguments, &meta));
    let mut running = JoinSet::new();
    running.spawn(async move {
        let headers = modern_headers("slow");
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        tollgate_testkit::http::send(http::Method::POST, &url, &headers, body.to_string()).await
    });
    world.journal.wait_for_executions(1).await;
    signal(process.0.id(), nix::sys::signal::Signal::SIGTERM);
    // New work is not taken any more, before the running call has ended.
    soon(async {
        while get(&ready, &[]).await.is_ok_and(|answer| answer.status == 200) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(process.0.try_wait().unwrap().is_none(), "it waits for the running call");
    assert!(running.try_join_next().is_none());
    world.journal.release();
    let result = delivered(&soon(running.join_next()).await.unwrap().unwrap().unwrap());
    assert_eq!(statement(&result)["charged"], true);
    let ended = soon(tokio::task::spawn_blocking(move || process.0.wait().unwrap())).await.unwrap();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(world.gateway.account("payable:slow"), [0; 4]);
    assert_eq!(world.gateway.account("payable:up"), [0, PRICE, 0, 0]);
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_receipt_fails_its_check_for_every_other_key_argument_result_and_byte() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let result = delivered(&world.paid_call("echo", &arguments).await);
    let folder = world.folder.path();
    let jwks = get(&format!("{}/.well-known/jwks.json", world.gateway.url), &[]).await.unwrap();
    assert_eq!(jwks.header("content-type"), Some("application/jwk-set+json"));
    let keys = jwks.json().unwrap();
    let key = &keys["keys"][0];
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")));
    assert!(key["kid"].is_string() && key["d"].is_null(), "public alone: {key}");

    let stranger = tempfile::tempdir().unwrap();
    let other = Gateway::dev(stranger.path()).await;
    let others = get(&format!("{}/.well-known/jwks.json", other.url), &[]).await.unwrap();
    let receipt = &result["_meta"]["tollgate/receipt"];
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("jwks.json", &jwks.text());
    write("others.json", &others.text());
    write("none.json", r#"{"keys":[]}"#);
    write("receipt.json", &receipt.to_string());
    write("envelope.json", &receipt["envelope"].to_string());
    write("arguments.json", &arguments.to_string());
    write("wrong.json", r#"{"n":2}"#);
    write("result.json", &result.to_string());
    let mut signature = receipt.clone();
    let mut bytes = base64_decode(signature["envelope"]["signatures"][0]["sig"].as_str().unwrap());
    bytes[0] ^= 1;
    signature["envelope"]["signatures"][0]["sig"] = json!(base64_encode(&bytes));
    write("signature.json", &signature.to_string());
    let mut kind = receipt.clone();
    kind["envelope"]["payloadType"] = json!("application/json");
    write("kind.json", &kind.to_string());
    write("garbage.json", "{");
    write("answer.json", &json!({ "result": result, "receipt": receipt }).to_string());
    write("altered.json", &json!({ "result": { "content": [] }, "receipt": receipt }).to_string());

    let verify = |more: &[&str]| run(folder, &[&["receipt", "verify"], more].concat());
    let good: [&[&str]; 5] = [
        &["answer.json", "--keys", "jwks.json"],
        &["receipt.json", "--keys", "jwks.json"],
        &["envelope.json", "--keys", "jwks.json"],
        &["receipt.json", "--keys", "jwks.json", "--arguments", "arguments.json", "--result", "result.json"],
        &["receipt.json", "--data", "data"],
    ];
    for arguments in good {
        let verified = verify(arguments);
        assert!(verified.status.success(), "{arguments:?}: {}", errors(&verified));
    }
    let bad: [(&[&str], i32); 10] = [
        (&["altered.json", "--keys", "jwks.json"], 1),
        (&["receipt.json", "--keys", "others.json"], 1),
        (&["receipt.json", "--keys", "none.json"], 1),
        (&["signature.json", "--keys", "jwks.json"], 1),
        (&["kind.json", "--keys", "jwks.json"], 1),
        (&["garbage.json", "--keys", "jwks.json"], 1),
        (&["receipt.json", "--keys", "jwks.json", "--arguments", "wrong.json"], 1),
        (&["receipt.json", "--keys", "jwks.json", "--result", "wrong.json"], 1),
        (&["missing.json", "--keys", "jwks.json"], 2),
        (&["receipt.json", "--data", "nowhere"], 2),
    ];
    for (arguments, exit) in bad {
        let refused = verify(arguments);
        assert!(
            [Some(exit), Some(2)].contains(&refused.status.code()),
            "{arguments:?}: {:?} {}",
            refused.status,
            said(&refused)
        );
        assert!(!errors(&refused).is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_operator_sees_calls_and_gives_credit_only_when_it_is_meant() {
    let world = World::paid_echo().await;
    let result = delivered(&world.paid_call("echo", &json!({ "n": 1 })).await);
    let listed = said(&world.gateway.cli(&["calls", "list", "--json"]));
    let call: Value = serde_json::from_str(listed.trim()).unwrap();
    assert_eq!(call["call_id"], statement(&result)["call_id"]);
    assert_eq!((&call["paid"]["state"], &call["paid"]["tool"]), (&json!("settled"), &json!("echo")));
    let shown = said(&world.gateway.cli(&["calls", "list"]));
    assert!(shown.contains("up/echo") && shown.contains("settled"), "{shown}");
    assert_eq!(said(&world.gateway.cli(&["calls", "list", "--limit", "0"])), "");

    let (id, secret) = api_key(&world.gateway);
    let account = format!("credit:{id}");
    let dry = world.gateway.cli(&["credit", "add", &id, "5USDC", "--dry-run"]);
    assert!(dry.status.success() && said(&dry).contains("would give"), "{}", errors(&dry));
    assert_eq!(world.gateway.account(&account), [0; 4], "a dry run books nothing");
    for wrong in [["key_1unknown", "5USDC"], [&id, "5EUR"], [&id, "0USDC"], [&id, "-5USDC"], [&id, "five"]] {
        let refused = world.gateway.cli(&["credit", "add", wrong[0], wrong[1]]);
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}: {}", said(&refused));
    }
    assert_eq!(world.gateway.account(&account), [0; 4]);
    assert!(world.gateway.cli(&["credit", "add", &id, "5USDC"]).status.success());
    assert_eq!(world.gateway.account(&account), [0, 5_000_000, 0, 0], "control");
    let keys = said(&world.gateway.cli(&["keys", "list", "--json"]));
    assert!(keys.contains(&id) && !keys.contains(&secret), "{keys}");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn the_logs_name_calls_and_hold_no_secret() {
    let environment = [("TOLLGATE_LOG", "trace"), ("DEBUG", "true")];
    let world = World::with(Script::echo(), &[("echo", PRICED)], "", &environment).await;
    let arguments = json!({ "canary": "argument-canary" });
    let (id, secret) = api_key(&world.gateway);
    let bearer = format!("Bearer {secret}");
    assert!(world.gateway.cli(&["credit", "add", &id, "1USDC"]).status.success());
    let mcp = world.gateway.mcp();
    let by_key =
        until_known(async || call(&mcp, "echo", &arguments, &json!({}), &[("authorization", &bearer)]).await)
            .await;
    let payment = world.x402_payment("echo", &arguments).await;
    let by_x402 = world.call_with("echo", &arguments, &json!({ "x402/payment": payment })).await;
    let credential = world.l402_credential("echo", &arguments).await;
    let (macaroon, preimage) = credential.split_once(':').unwrap();
    let by_l402 = world.call_with("echo", &arguments, &json!({ "l402/authorization": credential })).await;
    let (url, body) = (
        format!("{}/api/v1/execute", world.gateway.url),
        json!({ "tool_name": "echo", "arguments": arguments }),
    );
    assert_eq!(post(&url, &body, &[("authorization", &format!("L402 {credential}"))]).await.status, 200);
    let wrong = format!("{macaroon}:{}", preimage.chars().rev().collect::<String>());
    code(&world.call_with("echo", &arguments, &json!({ "l402/authorization": wrong })).await);
    code(
        &call(&mcp, "echo", &arguments, &json!({}), &[("authorization", "Bearer tgk_canary-of-a-wrong-key")])
            .await,
    );

    let log = world.gateway.whole_log();
    for answer in [by_key, by_x402, by_l402] {
        let call = statement(&delivered(&answer))["call_id"].as_str().unwrap().to_owned();
        assert!(log.contains(&call), "a call without a line in the log");
    }
    let signature = payment["payload"]["signature"].as_str().unwrap().trim_start_matches("0x");
    let key = std::fs::read_to_string(world.folder.path().join("data/receipts.key")).unwrap();
    for (what, secret) in [
        ("the API key", secret.as_str()),
        ("a wrong API key", "canary-of-a-wrong-key"),
        ("the signature", signature),
        ("the macaroon", macaroon),
        ("the preimage", preimage),
        ("an argument", "argument-canary"),
        ("the receipts key", key.trim()),
    ] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{what} is in the log: {}", line.unwrap_or_default());
    }
}

#[tokio::test]
async fn credit_is_given_in_the_assets_that_the_gateway_takes() {
    const BASE: &str = "eip155:8453/erc20:0x833589fcd6edb6e08f4c7c32d4f71b54bda02913";
    let (node, payee) = ("http://127.0.0.1:1", "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC");
    let folder = tempfile::tempdir().unwrap();
    let yaml =
        format!("payment: {{ x402: {{ network: base, rpc_url: \"{node}\", pay_to: \"{payee}\" }} }}\n");
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    // Before a gateway was here nobody knows what it will take. Credit in the money of dev mode would look given, and pay for nothing.
    let made = run(folder.path(), &["keys", "create", "--name", "first", "--data", "data", "--json"]);
    assert!(errors(&made).contains("data is a new data directory"), "{}", errors(&made));
    let made: Value = serde_json::from_str(&said(&made)).unwrap();
    let id = made["id"].as_str().unwrap().to_owned();
    let add = |money: &str, environment: &[(&str, &str)], more: &[&str]| {
        let mut add = command(folder.path());
        add.args(["credit", "add", &id, money, "--json", "--data", "data"]).args(more);
        add.envs(environment.iter().copied()).output().unwrap()
    };
    let given = |output: Output, available: &str| {
        let told: Value =
            serde_json::from_str(&said(&output)).unwrap_or_else(|_| panic!("{}", errors(&output)));
        assert_eq!((&told["asset"], &told["available"]), (&json!(BASE), &json!(available)));
    };
    let refused = add("5USDC", &[], &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(errors(&refused).contains("--config"), "{}", errors(&refused));
    let base = [("NETWORK", "base"), ("RPC_URL", node), ("PAY_TO", payee)];
    given(add("1USDC", &base, &[]), "1000000");
    given(add("1USDC", &[], &["--config", "tollgate.yaml"]), "2000000");

    let another = run(folder.path(), &["keys", "create", "--name", "another", "--data", "data", "--json"]);
    assert!(!errors(&another).contains("new data directory"), "{}", errors(&another));

    // Afterwards it is what the gateway takes, whatever the environment of the command would mean alone.
    let gateway = Gateway::serve(folder.path(), &[]).await;
    given(add("1USDC", &[], &[]), "3000000");
    given(add("1USDC", &[("PAY_TO", payee)], &[]), "4000000");
    assert_eq!(gateway.account(&format!("credit:{id}"))[1], 4_000_000);
    let unknown = add("5sat", &[], &[]);
    assert_eq!(unknown.status.code(), Some(2), "{}", said(&unknown));
}

#[test]
fn c1_whatever_makes_a_data_directory_makes_it_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &str| std::fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    let make = |data: &str, more: &[&str]| {
        let made = run(folder.path(), &[&["keys", "create", "--name", "ci", "--data", data], more].concat());
        assert!(made.status.success(), "{}", errors(&made));
    };
    make("data", &[]);
    make("data", &["--admin"]);
    assert_eq!((mode("data"), mode("data/ledger.db"), mode("data/control.db")), (0o700, 0o600, 0o600));
    // One that is there keeps its mode, such as the volume of a container: what is in it is the owner's all the same.
    std::fs::create_dir(folder.path().join("open")).unwrap();
    std::fs::set_permissions(folder.path().join("open"), PermissionsExt::from_mode(0o755)).unwrap();
    make("open", &[]);
    make("open", &["--admin"]);
    assert_eq!((mode("open"), mode("open/ledger.db"), mode("open/control.db")), (0o755, 0o600, 0o600));
}
