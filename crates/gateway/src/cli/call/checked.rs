//! Whether the receipt of a call is to be believed: checked with the keys that the gateway itself publishes.

use bytes::Bytes;
use http::Uri;
use tollgate_attest::{PublicKey, keys_from_jwks};
use tollgate_egress::{Client, Limits};

use crate::cli::out::one_line;
use crate::cli::receipt::{OfCall, check_of_call};

/// The result is there already: nobody waits long for its proof.
const KEYS_MS_MAX: u64 = 10_000;
const KEYS_BYTES_MAX: usize = 64 * 1024;

/// Where a gateway publishes its keys.
pub(super) struct Published {
    client: Client,
    url: String,
}

impl Published {
    /// Beside an MCP endpoint, where a proxy in front of the gateway may have put a path before its own, over the connections of this
    /// client.
    pub(super) fn beside(endpoint: &Uri, client: &Client) -> Self {
        let scheme = endpoint.scheme_str().unwrap_or("http");
        let authority = endpoint.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let limits = Limits { timeout_ms_max: KEYS_MS_MAX, response_bytes_max: KEYS_BYTES_MAX };
        let before = endpoint.path().strip_suffix("/mcp").unwrap_or_default();
        let before = match before.rsplit_once("/servers/") {
            Some((before, name)) if !name.contains('/') => before,
            Some(_) | None => before,
        };
        let url = format!("{scheme}://{authority}{before}/.well-known/jwks.json");
        Self { client: client.with_limits(limits), url }
    }

    /// The keys.
    ///
    /// # Errors
    /// Why they are not to be had.
    pub(super) async fn keys(&self) -> Result<Vec<PublicKey>, String> {
        let request = http::Request::get(&self.url).body(Bytes::new()).map_err(|error| error.to_string())?;
        let answer = self.client.send(request).await.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("HTTP status {}", answer.status().as_u16()));
        }
        let text = std::str::from_utf8(answer.body()).map_err(|_| "they are no text".to_owned())?;
        keys_from_jwks(text).map_err(|error| error.to_string())
    }
}

/// What came of the check.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Checked {
    /// The gateway signed it, for this call.
    Valid(OfCall),
    /// It is not what the gateway gives for this call.
    Wrong(String),
    /// Nobody knows: there are no keys to check it with.
    Unchecked(String),
}

impl Checked {
    /// The check of the receipt `{envelope, salts}` of a call.
    pub(super) fn of(
        receipt: &str,
        keys: Result<Vec<PublicKey>, String>,
        arguments: &str,
        result: &str,
    ) -> Self {
        match keys {
            Err(reason) => Self::Unchecked(reason),
            Ok(keys) => match check_of_call(receipt, &keys, arguments, result) {
                Ok(checked) => Self::Valid(checked),
                Err(error) => Self::Wrong(format!("{error:#}")),
            },
        }
    }

    /// On the lines below the receipt.
    pub(super) fn in_words(&self, published: &Published) -> String {
        let keys = tollgate_egress::shown_url(&published.url);
        match self {
            Self::Valid(OfCall { gateway, is_of_result }) => {
                // In front of several servers, a gateway puts addresses of its own into links of a result.
                let result =
                    if *is_of_result { "this result" } else { "a result that was changed on the way" };
                format!(
                    "verified   with the key that is published at {keys}: for these arguments and {result}, \
                     by {gateway}"
                )
            }
            Self::Wrong(reason) => format!(
                "NOT VERIFIED: {} (keys of {keys})\n\
                 next step: do not rely on this receipt; keep it (--json) and ask whoever runs the gateway",
                one_line(reason)
            ),
            Self::Unchecked(reason) => format!(
                "not verified: no keys could be had at {keys}: {}\n\
                 next step: get the gateway's keys and check it with tollgate receipt verify FILE --keys JWKS",
                one_line(reason)
            ),
        }
    }
}

#[cfg(test)]
mod tests;
