//! A whole request body, within the limits of length and time.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tollgate_gate::Denial;

use crate::config::Limits;

/// Reads it.
///
/// # Errors
/// The denial: too long, too late, or broken off.
pub(crate) async fn within<B>(body: B, limits: &Limits) -> Result<Bytes, Denial>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Limits { body_bytes_max: bytes_max, body_ms_max, .. } = *limits;
    let collecting = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(Duration::from_millis(body_ms_max), collecting).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Denial::BodyTooLarge { bytes_max }),
        Ok(Err(_)) => Err(broken()),
        Err(_elapsed) => Err(Denial::RequestTimedOut { body_ms_max }),
    }
}

/// A body that broke off, or that is no HTTP, such as a chunk without a length.
pub(crate) fn broken() -> Denial {
    let reason = "the body of the request broke off or is not valid HTTP".to_owned();
    Denial::MalformedFrame { json_rpc: PARSE_ERROR, reason }
}

/// JSON-RPC 2.0, section 5.1.
const PARSE_ERROR: i32 = -32_700;
