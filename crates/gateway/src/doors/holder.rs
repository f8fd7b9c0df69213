//! The doors for holders of API keys: who asks, under which key of its own, and how it is told that nothing is done.

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tollgate_domain::{Caller, KeyId};
use tollgate_gate::{Denial, Door, Fault, denied, faulted};
use tollgate_ledger::escrow::EscrowRefusal;
use tollgate_ledger::payout::PayoutRefusal;
use tollgate_ledger::{Refusal, StoreError};
use tollgate_store::Store;
use tollgate_trust::{authenticate, presented_key};

use super::execute::into_response;
use crate::described::{Parameter, Place, Shape};
use crate::gateway::Gateway;

/// The longest idempotency key.
pub(super) const KEY_BYTES_MAX: usize = 128;
/// What whoever shows no known key is told, and whoever comes when the ledger is not there.
pub(super) const CODES: &[&str] = &["unauthenticated", "store_busy", "store_closed", "internal"];

/// `Idempotency-Key`, described.
pub(super) const fn key(about: &'static str, example: &'static str) -> Parameter {
    Parameter {
        place: Place::Header,
        name: "Idempotency-Key",
        about,
        shape: Shape::Json(r#"{"type":"string","minLength":1,"maxLength":128,"pattern":"^[!-~]+$"}"#),
        example,
    }
}

/// Why nothing is done.
pub(super) enum No {
    Denied(Denial),
    Faulted(Fault),
}

impl From<Denial> for No {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<Fault> for No {
    fn from(fault: Fault) -> Self {
        Self::Faulted(fault)
    }
}

impl From<EscrowRefusal> for No {
    fn from(refusal: EscrowRefusal) -> Self {
        Self::Denied(refusal.into())
    }
}

impl From<PayoutRefusal> for No {
    fn from(refusal: PayoutRefusal) -> Self {
        Self::Denied(refusal.into())
    }
}

impl From<StoreError> for No {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(Refusal::Escrow(refusal)) => refusal.into(),
            StoreError::Refused(Refusal::Payout(refusal)) => (*refusal).into(),
            StoreError::Busy | StoreError::NoSpace => Self::Faulted(Fault::StoreBusy),
            StoreError::Closed | StoreError::Unknown(_) => {
                Self::Faulted(Fault::StoreClosed(error.to_string()))
            }
            other => Self::Faulted(Fault::Internal(format!("the ledger: {other}"))),
        }
    }
}

/// What was done, or why nothing was.
pub(super) fn answer(gateway: &Gateway, done: Result<Response, No>) -> Response {
    let naming = gateway.naming("");
    done.unwrap_or_else(|no| {
        into_response(match &no {
            No::Denied(denial) => denied(denial, None, Door::Rest, naming),
            No::Faulted(fault) => {
                tracing::error!(error = %fault, "could not do what the holder of a key asked for");
                faulted(fault, None, Door::Rest, naming)
            }
        })
    })
}

pub(super) fn malformed(reason: impl Into<String>) -> Denial {
    Denial::MalformedFrame { json_rpc: -32_600, reason: reason.into() }
}

pub(super) fn ledger(gateway: &Gateway) -> &Store {
    &gateway.gate.ports().store
}

/// Who asks, by the API key that this very request shows; nobody in particular without one.
///
/// # Errors
/// The denial, for a key that is none.
pub(super) fn caller(gateway: &Gateway, headers: &HeaderMap) -> Result<Caller, Denial> {
    let lines = |name: &'static str| {
        headers.get_all(HeaderName::from_static(name)).iter().filter_map(|value| value.to_str().ok())
    };
    let unauthenticated = |reason: String| Denial::Unauthenticated { reason };
    let key = presented_key(lines("authorization"), lines("x-api-key"))
        .map_err(|error| unauthenticated(error.to_string()))?;
    authenticate(key, None, gateway.foundation.keys.as_ref())
        .map_err(|error| unauthenticated(error.to_string()))
}

/// Whose key it is; `message` is told to whoever shows none.
///
/// # Errors
/// The denial, also for whoever shows none.
pub(super) fn holder(gateway: &Gateway, headers: &HeaderMap, message: &'static str) -> Result<KeyId, Denial> {
    match caller(gateway, headers)? {
        Caller::ApiKey(id) => Ok(id),
        Caller::Anonymous | Caller::Wallet(_) | Caller::Preimage(_) => Err(Denial::no_key(message)),
    }
}

/// What stands alone as `Authorization: Bearer`, in whatever case the scheme is written (RFC 9110, section 11.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let line = lines.next().filter(|_| lines.next().is_none())?;
    let (scheme, token) = line.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// `Idempotency-Key`, if one is sent.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Denial> {
    let refused =
        || malformed(format!("one Idempotency-Key has 1 to {KEY_BYTES_MAX} visible ASCII characters"));
    let mut lines = headers.get_all("idempotency-key").iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let is_plain = |text: &&str| {
        (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let text = line.to_str().ok().filter(is_plain).filter(|_| lines.next().is_none());
    text.map(|text| Some(text.to_owned())).ok_or_else(refused)
}

/// For whoever asked, and for no cache.
pub(super) fn private(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Where what was made can be read.
pub(super) fn at_place(mut response: Response, place: &str) -> Response {
    if let Ok(place) = HeaderValue::from_str(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_of_a_bearer_token_has_any_case_and_the_token_its_own() {
        let read = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(line));
            }
            bearer(&headers).map(<[u8]>::to_vec)
        };
        for line in ["Bearer Key", "bearer Key", "BEARER Key"] {
            assert_eq!(read(&[line]), Some(b"Key".to_vec()), "{line}");
        }
        for lines in [&["Basic Key"][..], &["Bearer"], &["Key"], &[], &["Bearer Key", "Bearer Key"]] {
            assert_eq!(read(lines), None, "{lines:?}");
        }
    }
}
