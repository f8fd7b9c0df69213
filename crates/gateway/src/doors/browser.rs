//! Pages in a browser: what it must be told before it sends a page's request, and before the page may read the answer (the CORS
//! protocol, <https://fetch.spec.whatwg.org/#http-cors-protocol>).
//!
//! Decides nothing: whoever comes here has an `Origin` that was found to be ours; who has another was refused. Without these words
//! a page of one of our own hosts could not open a session, see a price, or pay.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tollgate_exec::Body;

/// How long a browser need not ask again.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// A page that asks.
#[derive(Debug)]
pub(super) struct Page {
    origin: HeaderValue,
    /// The browser asks first whether the page's request may be sent, with these headers.
    preflight: Option<HeaderValue>,
}

impl Page {
    /// The page behind a request, if one is.
    pub(super) fn of<B>(request: &Request<B>) -> Option<Self> {
        let headers = request.headers();
        let origin = headers.get(ORIGIN)?.clone();
        let asks_first =
            request.method() == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let preflight = asks_first.then(|| asked.unwrap_or(HeaderValue::from_static("content-type")));
        Some(Self { origin, preflight })
    }

    /// This answer of a door of MCP, with what the browser wants to hear. A browser that asks first is told to go on, and `answer` is not
    /// begun.
    pub(super) async fn told(self, answer: impl Future<Output = Response<Body>>) -> Response<Body> {
        let mut response = match &self.preflight {
            None => answer.await,
            Some(_) => super::bare(StatusCode::NO_CONTENT),
        };
        let headers = response.headers_mut();
        self.may_read(headers);
        if let Some(asked) = self.preflight {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
            // Any header: clients mirror arguments into some of their own naming (`Mcp-Param-…`).
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked);
            headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
        }
        response
    }

    /// Lets this page, and no other, read an answer and every header of it: the session, the price, the receipt.
    ///
    /// What a server said of that was about its own origin. Credentials that a browser adds by itself are never taken.
    fn may_read(&self, headers: &mut HeaderMap) {
        let is_of_server = |name: &&HeaderName| name.as_str().starts_with("access-control-");
        let found: Vec<HeaderName> = headers.keys().filter(is_of_server).cloned().collect();
        for name in found {
            headers.remove(name);
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
}
