//! Runs a client program to its end and reads the one line of JSON that it prints.

use std::process::Stdio;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::PeerError;

/// A client starts an interpreter, connects, is asked for money, pays and calls again.
const RUN_SECONDS_MAX: u64 = 120;

/// Runs `command` and reads its last line of output. It is killed when the returned future is dropped.
pub(crate) async fn run<T: DeserializeOwned>(command: std::process::Command) -> Result<T, PeerError> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let running = tokio::time::timeout(Duration::from_secs(RUN_SECONDS_MAX), command.output());
    let output =
        running.await.map_err(|_elapsed| PeerError::refused(format!("end {shown}"), "nothing in time"))??;
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(PeerError::refused(format!("run {shown}"), format!("{}: {errors}", output.status)));
    }
    let line = printed.lines().last().unwrap_or_default();
    serde_json::from_str(line)
        .map_err(|error| PeerError::refused(format!("read what {shown} printed"), format!("{error}: {line}")))
}
