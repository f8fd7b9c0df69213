//! Free loopback ports for programs that cannot listen on port 0.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use super::PeerError;

/// Another program may take the port between asking and using it; then the next one is tried.
const ATTEMPTS_MAX: u32 = 5;

/// A loopback port that nobody listens on at this moment.
///
/// # Errors
/// When the operating system has none.
pub fn free() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
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
