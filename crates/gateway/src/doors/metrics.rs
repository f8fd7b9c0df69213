//! `GET /metrics`: for this machine, for whoever has the token, or for everybody, as the operator says.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;
use tollgate_domain::Digest;

use crate::config::Metrics;
use crate::described::{Access, Group, Operation, Told};
use crate::doors::Peer;
use crate::doors::holder::bearer;
use crate::gateway::Gateway;
use crate::telemetry;

/// What a proxy in front of the gateway says of whoever asked it: then loopback is only the proxy.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// All metrics, in the Prometheus text format.
pub(crate) async fn metrics(
    State(gateway): State<Arc<Gateway>>,
    axum::Extension(peer): axum::Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    match may_read(&gateway.config.metrics, peer.address, &headers) {
        Ok(()) => {
            ([(header::CONTENT_TYPE, telemetry::CONTENT_TYPE)], telemetry::render(&gateway)).into_response()
        }
        Err((status, next_step)) => {
            let code = if status == StatusCode::UNAUTHORIZED { "unauthenticated" } else { "not_found" };
            let body = json!({ "error": {
                "code": code, "message": "The metrics are not for this caller.",
                "next_step": next_step, "retryable": false,
            }});
            let mut response = (status, axum::Json(body)).into_response();
            if status == StatusCode::UNAUTHORIZED {
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

/// Whether somebody may read what is for operators: a token counts for every caller; without one, callers on this machine may, unless a
/// proxy speaks for them.
pub(super) fn may_read(
    rule: &Metrics,
    peer: SocketAddr,
    headers: &HeaderMap,
) -> Result<(), (StatusCode, &'static str)> {
    if let Some(token) = &rule.token {
        let presented = bearer(headers);
        // Digests are compared, so that the time it takes tells nothing of the token.
        let fits = presented.is_some_and(|presented| Digest::of(presented) == Digest::of(&token.0));
        return if fits {
            Ok(())
        } else {
            Err((StatusCode::UNAUTHORIZED, "Send the token of `metrics.token` as `Authorization: Bearer …`."))
        };
    }
    if rule.public || is_near(peer, headers) {
        return Ok(());
    }
    Err((
        StatusCode::NOT_FOUND,
        "Ask from the gateway's own machine, or set `metrics.token` (or `metrics.public`) in its configuration.",
    ))
}

/// Whether a caller is on this machine, and no proxy speaks for somebody else.
pub(super) fn is_near(peer: SocketAddr, headers: &HeaderMap) -> bool {
    peer.ip().to_canonical().is_loopback() && !is_forwarded(headers)
}

/// Whether a proxy speaks for somebody else.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    FORWARDED.iter().any(|name| headers.contains_key(*name))
}

/// How [`metrics`] is described.
pub(crate) const METRICS: Operation = Operation {
    id: "metrics",
    group: Group::Operations,
    access: Access::Metrics,
    summary: "All metrics, in the Prometheus text format.",
    about: "Without `metrics.token` they are for callers on the gateway's own machine; with it, for whoever shows it; with `metrics.public`, for everybody.",
    parameters: &[],
    body: None,
    told: &[Told::text(
        200,
        "The metrics.",
        telemetry::CONTENT_TYPE,
        Some("# TYPE tollgate_ready gauge\ntollgate_ready 1\n"),
    )],
    codes: &[],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn status(rule: &Metrics, peer: &str, headers: &[(&'static str, &str)]) -> u16 {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        may_read(rule, peer.parse().unwrap(), &headers).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn metrics_are_for_this_machine_or_whoever_has_the_token() {
        let (near, near_v6, far) = ("127.0.0.1:5000", "[::1]:5000", "192.0.2.7:5000");
        let closed = Metrics::default();
        assert_eq!(status(&closed, near, &[]), 200);
        assert_eq!(status(&closed, near_v6, &[]), 200);
        assert_eq!(status(&closed, "[::ffff:127.0.0.1]:5000", &[]), 200);
        assert_eq!(status(&closed, far, &[]), 404);
        for proxied in FORWARDED {
            assert_eq!(status(&closed, near, &[(proxied, "192.0.2.7")]), 404, "{proxied}");
        }
        let public = Metrics { public: true, token: None };
        assert_eq!(status(&public, far, &[]), 200);
        for public in [false, true] {
            let token = Metrics { public, token: Some(Secret(b"a-long-token".to_vec())) };
            assert_eq!(status(&token, far, &[("authorization", "Bearer a-long-token")]), 200);
            assert_eq!(status(&token, near, &[]), 401);
            assert_eq!(status(&token, near, &[("authorization", "Bearer a-long-toke")]), 401);
            assert_eq!(status(&token, near, &[("authorization", "a-long-token")]), 401);
        }
    }
}
