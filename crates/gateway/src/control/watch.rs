//! When the configuration is read again without being asked over the network: SIGHUP, or the file is another one, or the `.env`
//! file of the working folder, which is a part of it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Control;

/// How often it is looked whether the file is another one.
const LOOK_MS: u64 = 500;

/// What tells one state of a file from another: an editor writes it anew, or puts another file in its place.
type Stamp = (u64, u64, u64, i64, i64);

/// What a configuration is read from, at one moment: its own file, and the `.env` file. What is not there has no stamp.
type Stamps = (Option<Stamp>, Option<Stamp>);

/// Reads the configuration again on SIGHUP and when one of its files has changed, until `stop` is cancelled.
///
/// # Errors
/// When the signal cannot be waited for.
pub fn watch(
    control: Arc<Control>,
    stop: CancellationToken,
) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let hang_ups = signal(SignalKind::hangup())?;
    Ok(async move { stop.run_until_cancelled(watching(control, hang_ups)).await.unwrap_or_default() })
}

async fn watching(control: Arc<Control>, mut hang_ups: Signal) {
    let absolute = |file: &Path| std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let file = control.file().map(absolute);
    let environment = absolute(Path::new(".env"));
    // Nothing is known of the files: they may have changed since the gateway was started with them.
    let (mut read, mut seen): (Option<Stamps>, Option<Stamps>) = (None, None);
    loop {
        let by_signal = tokio::select! {
            _ = hang_ups.recv() => true,
            () = tokio::time::sleep(Duration::from_millis(LOOK_MS)) => false,
        };
        let now = (stamp(file.clone()).await, stamp(Some(environment.clone())).await);
        let is_there = file.is_none() || now.0.is_some();
        let now = is_there.then_some(now);
        // Read once it has been the same for two looks: an editor may not be done. A file that is gone is on its way back;
        // an `.env` file may be gone for good.
        let is_settled = now.is_some() && now == seen && now != read;
        seen = now;
        if by_signal || is_settled {
            read = now;
            let reloaded = control.reload(None).await;
            match &reloaded {
                Ok(applied) if applied.difference.is_empty() && by_signal => {
                    tracing::info!("the configuration is as it was");
                }
                // Said where it was put to work.
                Ok(_) => {}
                Err(refused) => {
                    tracing::error!(code = refused.code(), error = %refused, "the configuration stays as it was");
                }
            }
        }
    }
}

async fn stamp(file: Option<PathBuf>) -> Option<Stamp> {
    let found = tokio::fs::metadata(file?).await.ok()?;
    Some((found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
}
