//! What is asked of a door, read so that whatever cannot be read is refused in the API's own words.

use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use serde::de::DeserializeOwned;
use tollgate_gate::Denial;

use super::body::object;
use super::documents::not_found;
use super::execute::read;
use crate::gateway::Gateway;

/// The variable parts of a path. A part that is no text names nothing that is here.
pub(crate) struct Segments<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(found)) => Ok(Self(found)),
            Err(_) => Err(not_found().await.into_response()),
        }
    }
}

/// A body in JSON, read strictly first: two parsers must not read two different requests.
///
/// `expected` shows the shape to whoever sent another.
///
/// # Errors
/// The denial, when it is too long, too late, or something else.
pub(crate) async fn read_json<T: DeserializeOwned>(
    gateway: &Gateway,
    body: axum::body::Body,
    expected: &str,
) -> Result<T, Denial> {
    let malformed = |reason: String| Denial::MalformedFrame { json_rpc: -32_600, reason };
    let body = read(gateway, body).await?;
    object(&body).map_err(|reason| malformed(format!("{reason}; expected {expected}")))
}
