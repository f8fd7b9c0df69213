//! Disks that are slow, and data that cannot be written.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_testkit::http::get;
use tollgate_testkit::journal_server::{Behaviour, Script};
use tollgate_testkit::peers::withheld;

use crate::operators::{injected, injected_into};
use crate::world::{PRICE, PRICED, START, TOLLGATE, World, call, code, command, delivered, soon, statement};

/// Calls at once while the disk is slow.
const AT_ONCE: u64 = 120;

/// How long each sync of the slow disk takes: two tenths of a second by default; `TOLLGATE_SYNC_MS=n` so long.
fn sync_ms() -> u64 {
    std::env::var("TOLLGATE_SYNC_MS").map_or(200, |number| number.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f18_a_disk_that_takes_its_time_makes_calls_wait_and_none_is_lost_or_charged_without_a_result() {
    let limits = "limits: { calls_per_minute: 1000000, offers_per_minute: 1000000 }\n";
    let world = World::with(Script::echo(), &[("echo", PRICED)], limits, &[]).await;
    let mut payments = Vec::new();
    for n in 0..AT_ONCE {
        let arguments = json!({ "n": n });
        let meta = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
        payments.push((arguments, meta));
    }
    let syncs = async || -> u64 {
        let page = get(&format!("{}/metrics", world.gateway.url), &[]).await.unwrap().text();
        let count = page.lines().find_map(|line| line.strip_prefix("tollgate_db_commit_seconds_count "));
        count.unwrap().trim().parse().unwrap()
    };
    let before = syncs().await;
    // One call after the other would take a minute and more.
    let delay = format!("delay_enter={}", sync_ms() * 1_000);
    let Some(disk) = injected(world.gateway.pid(), world.folder.path(), &delay).await else {
        return;
    };
    let mut tasks = JoinSet::new();
    for (arguments, meta) in payments.clone() {
        let url = world.gateway.mcp();
        tasks.spawn(async move { call(&url, "echo", &arguments, &meta, &[]).await });
    }
    // A claim and an end wait for a sync each, and for the one that is under way when they come.
    let wait = std::time::Duration::from_millis(30_000 + 8 * sync_ms());
    let answers = tokio::time::timeout(wait, tasks.join_all()).await.expect("calls end");
    let mut charged = 0;
    for answer in &answers {
        if answer.json().is_ok_and(|body| body["result"].is_object() && body["result"]["isError"] != true) {
            charged += 1;
            continue;
        }
        // A queue that is full says so, and has taken nothing.
        assert_eq!((answer.status.as_u16(), code(answer).as_str()), (503, "store_busy"), "{}", answer.text());
        assert!(answer.headers.contains_key("retry-after"), "{}", answer.text());
    }
    assert!(charged > 0, "control: it goes on");
    assert_eq!(world.payer_balance().await, START - PRICE * charged);
    assert_eq!(world.journal.executions(), u64::try_from(charged).unwrap());
    let shared = syncs().await - before;
    assert!(shared < u64::try_from(2 * charged).unwrap(), "those who wait share their syncs: {shared}");
    drop(disk);
    // Whoever was refused, and whoever asks again, has the answer for the one payment.
    for (arguments, meta) in &payments {
        delivered(&world.call_with("echo", arguments, meta).await);
    }
    assert_eq!(world.payer_balance().await, START - PRICE * u128::from(AT_ONCE));
    assert_eq!(world.journal.executions(), AT_ONCE);
    world.gateway.assert_books_in_order();
}

/// How many lines of the log were lost.
async fn lost_lines(world: &World) -> u64 {
    let page = get(&format!("{}/metrics", world.gateway.url), &[]).await.unwrap().text();
    let count = page.lines().find_map(|line| line.strip_prefix("tollgate_log_lines_lost_total "));
    count.unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f17_a_full_disk_refuses_what_is_paid_and_nothing_else_until_there_is_space_again() {
    // Of the token alone: an invoice of dev mode's own node would be written down.
    let world = World::new(Script::echo(), &[("echo", "{ price: [0.01USDC] }")]).await;
    let payment = async |n: u64| {
        let arguments = json!({ "n": n });
        let payment = world.x402_payment("echo", &arguments).await;
        (arguments, json!({ "x402/payment": payment }))
    };
    let (arguments, first) = payment(0).await;
    let receipt =
        statement(&delivered(&world.call_with("echo", &arguments, &first).await))["receipt_id"].clone();
    let receipt = format!("{}/api/v1/receipts/{}", world.gateway.url, receipt.as_str().unwrap());
    // The disk of the data alone, then of its log as well.
    for (n, with_log) in [(1, false), (2, true)] {
        let (arguments, meta) = payment(n).await;
        let data = std::fs::read_dir(world.folder.path().join("data")).unwrap();
        let mut files: Vec<_> = data.map(|entry| entry.unwrap().path()).collect();
        if with_log {
            files.push(world.folder.path().join(format!("gateway-{}.log", world.gateway.port)));
        }
        let full = ("write,pwrite64,writev,pwritev", "error=ENOSPC");
        let Some(disk) = injected_into(world.gateway.pid(), world.folder.path(), full, &files).await else {
            return;
        };
        let lost = lost_lines(&world).await;
        for _ in 0..3 {
            let refused = world.call_with("echo", &arguments, &meta).await;
            assert_eq!(
                (refused.status.as_u16(), code(&refused).as_str()),
                (503, "store_busy"),
                "{}",
                refused.text()
            );
            assert!(refused.headers.contains_key("retry-after"), "{}", refused.text());
        }
        // What needs no space goes on: reads, the answer that was paid for, a demand.
        assert_eq!(get(&receipt, &[]).await.unwrap().status, 200);
        delivered(&world.call_with("echo", &json!({ "n": 0 }), &first).await);
        world.demand("echo", &json!({ "n": 9 })).await;
        let ready = get(&format!("{}/readyz", world.gateway.url), &[]).await.unwrap();
        assert_eq!(ready.status, 200, "nothing has to be restarted: {}", ready.text());
        assert_eq!(world.journal.executions(), n, "no tool ran for what could not be held");
        assert_eq!(world.payer_balance().await, START - PRICE * u128::from(n));
        let told = world.gateway.whole_log().contains("the disk is full");
        assert!(
            if with_log { lost_lines(&world).await > lost } else { told },
            "operators are told, or the loss counted"
        );
        drop(disk);
        delivered(&world.call_with("echo", &arguments, &meta).await);
        assert_eq!(
            world.journal.executions(),
            n + 1,
            "control: there is space again, and the same payment pays"
        );
        assert_eq!(world.payer_balance().await, START - PRICE * u128::from(n + 1));
        world.gateway.assert_books_in_order();
    }
}

/// A command of the binary in a namespace of its own, prepared by `before` in a shell there; `None` where the machine allows none.
fn apart(folder: &Path, namespaces: &str, before: &str, arguments: &[&str]) -> Option<Output> {
    let unshare = |script: &str, rest: &[&str]| {
        let mut command = Command::new("unshare");
        command.args([namespaces, "sh", "-c", script, "sh"]).args(rest).current_dir(folder);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder);
        command.output()
    };
    if !unshare(before, &[]).is_ok_and(|tried| tried.status.success()) {
        return withheld("no namespaces here");
    }
    let all: Vec<&str> = [TOLLGATE].iter().chain(arguments).copied().collect();
    Some(unshare(&format!("{before} && exec timeout 20 \"$@\""), &all).unwrap())
}

/// What a command has said, on both ways.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[tokio::test]
async fn f21_data_that_cannot_be_written_is_refused_at_the_start_and_named_by_doctor() {
    let mut world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let meta = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
    delivered(&world.call_with("echo", &arguments, &meta).await);
    world.gateway.kill();
    let folder = world.folder.path();
    let dev = ["dev", "--config", "tollgate.yaml", "--data", "data", "--listen", "127.0.0.1:0"];
    std::fs::write(
        folder.join("plain.yaml"),
        format!("servers: {{ up: {{ url: {} }} }}\n", world.journal.url()),
    )
    .unwrap();
    let doctor = ["doctor", "--config", "plain.yaml", "--data", "data", "--listen", "127.0.0.1:0"];
    let healthy = said(&command(folder).args(doctor).output().unwrap());
    assert!(healthy.contains("✓ the disk keeps what it is given"), "control: {healthy}");
    let read_only = "mount --bind data data && mount -o remount,ro,bind data";
    if let Some(refused) = apart(folder, "-m", read_only, &dev) {
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(
            said(&refused).contains("data/") && said(&refused).contains("Read-only file system"),
            "{}",
            said(&refused)
        );
        let looked = said(&apart(folder, "-m", read_only, &doctor).unwrap());
        assert!(
            looked.contains("✗ the disk keeps what it is given (write and sync): Read-only file system"),
            "{looked}"
        );
    }
    // In a user namespace nobody is root: what the owner may not write, the gateway may not.
    let permissions = |folder_mode: u32, file_mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(&folder.join("data"), 0o700);
        for file in std::fs::read_dir(folder.join("data")).unwrap() {
            set(&file.unwrap().path(), file_mode);
        }
        set(&folder.join("data"), folder_mode);
    };
    permissions(0o500, 0o400);
    let refused = apart(folder, "-U", "true", &dev);
    permissions(0o700, 0o600);
    if let Some(refused) = refused {
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains("data/"), "{}", said(&refused));
    }
    world.gateway = world.gateway.started_again().await;
    delivered(&world.call_with("echo", &arguments, &meta).await);
    assert_eq!(
        world.journal.executions(),
        1,
        "control: the same data is served again, with its stored answer"
    );
    world.gateway.assert_books_in_order();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f17_f18_an_ending_that_the_books_did_not_take_is_driven_on_once_they_do() {
    let script = Script::new().tool("echo", Behaviour::Hang);
    let world = World::new(script, &[("echo", PRICED)]).await;
    let arguments = json!({ "n": 1 });
    let payment = json!({ "x402/payment": world.x402_payment("echo", &arguments).await });
    let (answer, books) = tokio::join!(world.call_with("echo", &arguments, &payment), async {
        world.journal.wait_for_executions(1).await;
        // Somebody else has the file for longer than a commit waits for it.
        let books = rusqlite::Connection::open(world.folder.path().join("data/ledger.db")).unwrap();
        books.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        soon(async {
            while books.execute_batch("BEGIN IMMEDIATE").is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        world.journal.release();
        books
    });
    assert!(answer.status.is_server_error(), "{}", answer.text());
    books.execute_batch("ROLLBACK").unwrap();
    drop(books);
    // Nobody starts anything anew.
    let state = || {
        let listed = world.gateway.cli(&["calls", "list", "--json"]);
        serde_json::from_slice::<Value>(&listed.stdout).unwrap_or_default()["paid"]["state"].clone()
    };
    soon(async {
        while state() != "in_doubt" {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!((world.journal.executions(), world.gateway.account("payable:up")), (1, [0; 4]));
    world.gateway.assert_books_in_order();
}
