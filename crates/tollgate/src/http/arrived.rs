//! A request as it arrived: who asks for what, nothing believed.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, header};
use tollgate_domain::{Digest, Origin, ToolRef};
use tollgate_gate::{CreditUse, Denial, Found, Mode};
use tollgate_mcp::origin::{self, AllowedHosts};
use tollgate_rails::carriers::{PAYMENT_HEADERS, is_payment_authorization};

use super::Peer;
use crate::house::House;
use crate::paid::Paid;

/// A request without its body.
pub(super) struct Arrived {
    parts: Parts,
    /// Path and query as the caller wrote them, also below a router that cuts a prefix off.
    path_and_query: String,
    /// The base URL of answers to this request.
    pub(super) base_url: String,
}

impl Arrived {
    pub(super) fn new(house: &Arc<House>, parts: Parts) -> Self {
        let uri = original_uri(&parts);
        let path_and_query = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| uri.authority().map(http::uri::Authority::as_str));
        let base_url = house.base_url(host);
        Self { parts, path_and_query, base_url }
    }

    /// The URL that is paid for.
    pub(super) fn resource_url(&self) -> String {
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        format!("{}{path}", self.base_url)
    }

    /// Sandbox money is taken on loopback names only: whoever deploys a server with it gets refusals instead of worthless
    /// payments. With real money the host is the server's own business.
    pub(super) fn check_host(&self, mode: Mode) -> Result<(), Denial> {
        match mode {
            Mode::Live => Ok(()),
            Mode::Sandbox => {
                origin::check_request(&self.parts.uri, &self.parts.headers, &AllowedHosts::loopback())
                    .map_err(|error| {
                        Denial::OriginRefused(format!("{error}; SANDBOX money is taken on loopback only"))
                    })
            }
        }
    }

    /// The street's request: the digest binds a payment to this method, path, query and body.
    pub(super) fn request(&self, tool: ToolRef, body: &Bytes) -> Result<tollgate_gate::Request, Denial> {
        let found = Found {
            tool,
            arguments: Bytes::from_static(b"{}"),
            headers: &self.parts.headers,
            query: self.parts.uri.query(),
            credit: CreditUse::Allowed,
            maximum: None,
            origin: self.origin(),
        };
        let request = tollgate_gate::request(found, |_| None)?;
        Ok(tollgate_gate::Request { args_digest: Some(self.digest(body)), ..request })
    }

    /// SHA-256 of the method, path and query, and body, each on a line of its own behind the line `tollgate-http-1`. Neither
    /// a method nor a path can hold a line break.
    fn digest(&self, body: &Bytes) -> Digest {
        let head = format!("tollgate-http-1\n{}\n{}\n", self.parts.method, self.path_and_query);
        Digest::of(&[head.as_bytes(), body].concat())
    }

    /// Where the request comes from; all callers of a server that does not know are counted together.
    fn origin(&self) -> Origin {
        let extensions = &self.parts.extensions;
        #[cfg(feature = "axum")]
        if let Some(axum::extract::ConnectInfo(peer)) =
            extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>()
        {
            return Origin::of(peer.ip());
        }
        extensions.get::<Peer>().map_or_else(|| Origin::named("unknown"), |Peer(peer)| Origin::of(peer.ip()))
    }

    /// The request as the handler gets it: with what is known of the call, without the payment.
    pub(super) fn for_handler<B: From<Bytes>>(&mut self, paid: Paid, body: Bytes) -> Request<B> {
        let mut request = Request::new(B::from(body));
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = self.parts.uri.clone();
        *request.version_mut() = self.parts.version;
        *request.extensions_mut() = std::mem::take(&mut self.parts.extensions);
        request.extensions_mut().insert(paid);
        for (name, value) in &self.parts.headers {
            let is_payment = PAYMENT_HEADERS.contains(&name.as_str())
                || (name == header::AUTHORIZATION && is_payment_authorization(value.as_bytes()));
            // The body is whole now, whatever it came in.
            if !is_payment && name != header::TRANSFER_ENCODING {
                request.headers_mut().append(name.clone(), value.clone());
            }
        }
        request
    }
}

#[cfg(feature = "axum")]
fn original_uri(parts: &Parts) -> &http::Uri {
    parts.extensions.get::<axum::extract::OriginalUri>().map_or(&parts.uri, |original| &original.0)
}

#[cfg(not(feature = "axum"))]
fn original_uri(parts: &Parts) -> &http::Uri {
    &parts.uri
}
