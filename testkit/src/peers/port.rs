//! Free loopback ports for programs that cannot listen on port 0.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use super::PeerError;

/// Another program may take the port between asking and using it; then the next one is tried.
const ATTEMPTS_MAX: u32 = 5;

/// Below the ports that Linux gives to outgoing connections (`ip_local_port_range`): one of those could take a port between
/// asking and using it.
const PORTS: Range<u16> = 20_000..32_000;

/// The ports that this process has been given, each kept by a locked file until it ends.
static GIVEN: Mutex<Vec<File>> = Mutex::new(Vec::new());
/// How many ports this process has looked at.
static LOOKED_AT: AtomicU16 = AtomicU16::new(0);

/// A loopback port that nobody listens on, and that no other test is given while this process lives: the tests of one run
/// are processes side by side.
///
/// # Errors
/// When there is none, or the temporary folder cannot be written.
pub fn free() -> io::Result<u16> {
    let folder = std::env::temp_dir().join("tollgate-test-ports");
    fs::create_dir_all(&folder)?;
    // Processes that start together begin far from one another.
    let first = std::process::id().wrapping_mul(7_919);
    for _ in PORTS {
        let step = u32::from(LOOKED_AT.fetch_add(1, Ordering::Relaxed));
        let offset = first.wrapping_add(step) % u32::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(offset).map_err(io::Error::other)?;
        let file = File::create(folder.join(port.to_string()))?;
        if file.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(file);
            return Ok(port);
        }
    }
    Err(io::Error::from(io::ErrorKind::AddrInUse))
}

/// Starts something on a free port, and again on another one when it ends before it is ready.
pub(crate) async fn on_a_free_port<T>(
    start: impl AsyncFn(u16) -> Result<T, PeerError>,
) -> Result<T, PeerError> {
    let mut attempt = 1;
    loop {
        match start(free()?).await {
            Err(PeerError::Process(crate::process::ProcessError::Ended { .. })) if attempt < ATTEMPTS_MAX => {
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports: BTreeSet<u16> = (0..50).map(|_| free().unwrap()).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()));
    }
}
