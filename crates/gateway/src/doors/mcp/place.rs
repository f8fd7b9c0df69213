//! Whose the places are that sessions take where the gateway keeps them for a server (`tollgate_exec::session`).

use http::Method;
use http::request::Parts;
use tollgate_domain::{Caller, Digest};
use tollgate_exec::session::Holder;
use tollgate_mcp::{Era, headers};

use super::era_of;
use crate::doors::{Peer, holder};
use crate::gateway::Gateway;

/// Says whose session a request may open. A key counts if it is one: a stranger could make up another for each request.
pub(super) fn name(gateway: &Gateway, head: &mut Parts, peer: Peer) {
    let holder = match holder::caller(gateway, &head.headers) {
        Ok(Caller::ApiKey(key)) => Holder::Known(number(&key.to_string())),
        Ok(Caller::Anonymous | Caller::Wallet(_) | Caller::Preimage(_)) | Err(_) => {
            Holder::Stranger(number(&peer.origin.to_string()))
        }
    };
    head.extensions.insert(holder);
}

/// Whether a request may open a session, as far as its head tells.
pub(super) fn may_open(head: &Parts) -> bool {
    head.method == Method::POST
        && !head.headers.contains_key(headers::SESSION_ID)
        && era_of(&head.headers) == Era::Legacy
}

fn number(text: &str) -> u128 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = *Digest::of(text.as_bytes()).as_bytes();
    u128::from_be_bytes([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
}
