use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script);
    command
}

fn alive(pid: &str) -> bool {
    // A zombie is dead: only its parent has not looked yet.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn pid_in(file: &Path) -> String {
    loop {
        match std::fs::read_to_string(file) {
            Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
            _ => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn a_grandchild_dies_with_the_guard() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("sh -c 'echo $$ > {}; exec sleep 600' & wait", file.display());
    let guarded = Guarded::spawn(&shell(&script), &folder.path().join("log")).unwrap();
    let pid = pid_in(&file).await;
    assert!(alive(&pid));
    drop(guarded);
    while alive(&pid) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_peer_dies_when_the_test_process_vanishes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 600", file.display());
    let mut guarded = Guarded::spawn(&shell(&script), &folder.path().join("log")).unwrap();
    let pid = pid_in(&file).await;
    assert!(alive(&pid));
    // What a killed test process does to its end of the pipe, without killing this one.
    drop(guarded.watcher.stdin.take());
    while alive(&pid) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_program_that_ends_early_is_reported_with_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut guarded =
        Guarded::spawn(&shell("echo no such luck; exit 3"), &folder.path().join("log")).unwrap();
    let error = guarded.wait_until(Duration::from_secs(30), async || false).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no such luck") && text.contains('3'), "{text}");
}

#[tokio::test]
async fn a_ready_program_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut guarded = Guarded::spawn(&shell("exec sleep 600"), &folder.path().join("log")).unwrap();
    guarded.wait_until(Duration::from_secs(30), async || true).await.unwrap();
}
