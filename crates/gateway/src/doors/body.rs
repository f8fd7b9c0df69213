//! A whole request body, within the limits of length and time, and of what all bodies may take together.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use serde::Deserialize;
use tollgate_gate::Denial;
use tollgate_mcp::{Limits, json};
use tollgate_risk::room::{Arriving, Excess, Room};

use crate::gateway::Gateway;

/// When whoever found no room may come back.
pub(crate) const FULL_RETRY_MS: u64 = 1_000;

/// Reads it.
///
/// # Errors
/// The denial: too long, too late, broken off, or no room for it now.
pub(crate) async fn within<B>(body: B, gateway: &Gateway) -> Result<Bytes, Denial>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let body_ms_max = gateway.config.limits.body_ms_max;
    let reading = whole(body, gateway.config.limits.body_bytes_max, &gateway.foundation.room);
    match tokio::time::timeout(Duration::from_millis(body_ms_max), reading).await {
        Ok(read) => read,
        Err(_elapsed) => Err(Denial::RequestTimedOut { body_ms_max }),
    }
}

/// A body that is one JSON object. Read strictly first: two parsers must not read two different requests. A list of the members in
/// their order is none, though it could be read as one.
///
/// # Errors
/// Why it is none.
pub(crate) fn object<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, String> {
    json::check(body, Limits::CALLER).map_err(|error| error.to_string())?;
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err("it is no JSON object".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

async fn whole<B: Body<Data = Bytes>>(body: B, bytes_max: usize, room: &Arc<Room>) -> Result<Bytes, Denial> {
    let mut body = pin!(body);
    let mut arriving = Arriving::new(bytes_max, room);
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| broken())?.into_data() else { continue };
        arriving.take(piece).map_err(|excess| match excess {
            Excess::TooLarge => Denial::BodyTooLarge { bytes_max },
            Excess::NoRoom => Denial::NoRoom { retry_after_ms: FULL_RETRY_MS },
        })?;
    }
    Ok(arriving.whole())
}

/// A body that broke off, or that is no HTTP, such as a chunk without a length.
pub(crate) fn broken() -> Denial {
    let reason = "the body of the request broke off or is not valid HTTP".to_owned();
    Denial::MalformedFrame { json_rpc: PARSE_ERROR, reason }
}

/// JSON-RPC 2.0, section 5.1.
const PARSE_ERROR: i32 = -32_700;

#[cfg(test)]
mod tests;
