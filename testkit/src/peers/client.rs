//! Runs a client program to its end and reads the lines of JSON that it prints.

use std::process::Stdio;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::PeerError;

/// A client starts an interpreter, connects, is asked for money, pays and calls again.
const RUN_SECONDS_MAX: u64 = 120;

/// Runs `command` and reads its last line of output. It is killed when the returned future is dropped.
pub(crate) async fn run<T: DeserializeOwned>(command: std::process::Command) -> Result<T, PeerError> {
    let (shown, printed) = output(command).await?;
    parse(&shown, printed.lines().last().unwrap_or_default())
}

/// The same for every line.
pub(crate) async fn run_lines<T: DeserializeOwned>(
    command: std::process::Command,
) -> Result<Vec<T>, PeerError> {
    let (shown, printed) = output(command).await?;
    printed.lines().map(|line| parse(&shown, line)).collect()
}

/// The same for everything that it printed, as one value.
pub(crate) async fn run_whole<T: DeserializeOwned>(command: std::process::Command) -> Result<T, PeerError> {
    let (shown, printed) = output(command).await?;
    parse(&shown, &printed)
}

/// The program's name, and what it printed if it succeeded.
async fn output(command: std::process::Command) -> Result<(String, String), PeerError> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let running = tokio::time::timeout(Duration::from_secs(RUN_SECONDS_MAX), command.output());
    let output =
        running.await.map_err(|_elapsed| PeerError::refused(format!("end {shown}"), "nothing in time"))??;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let said = format!("{}: {errors} after {printed}", output.status);
        return Err(PeerError::refused(format!("run {shown}"), said));
    }
    Ok((shown, printed))
}

fn parse<T: DeserializeOwned>(shown: &str, printed: &str) -> Result<T, PeerError> {
    serde_json::from_str(printed).map_err(|error| {
        PeerError::refused(format!("read what {shown} printed"), format!("{error}: {printed}"))
    })
}
