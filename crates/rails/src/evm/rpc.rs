//! JSON-RPC 2.0 to an Ethereum node, over the guarded client.

use std::fmt;

use bytes::Bytes;
use http::{Method, Request, Uri};
use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_egress::Client;

use crate::rail::RailFuture;

/// How much of a node's error text is kept, in characters.
const MESSAGE_CHARS_MAX: usize = 200;

/// Why a call gave no result.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RpcError {
    /// The node answered with an error.
    #[error("the node refused {method}: {message} ({code})")]
    Node {
        /// Which method.
        method: &'static str,
        /// The node's number for it.
        code: i64,
        /// The node's words for it, cut short.
        message: String,
    },
    /// No whole answer came; unless `nothing_was_sent`, the call may have had its effect.
    #[error("no answer from the node to {method}: {reason}")]
    NoAnswer {
        /// Which method.
        method: &'static str,
        /// What happened.
        reason: String,
        /// Whether it is certain that the call did not reach the node.
        nothing_was_sent: bool,
    },
    /// What came is not what the method answers.
    #[error("the node's answer to {method} cannot be read: {reason}")]
    Answer {
        /// Which method.
        method: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// A node that can be asked.
pub trait JsonRpc: Send + Sync + fmt::Debug {
    /// Calls a method with these positional parameters.
    fn call<'a>(&'a self, method: &'static str, params: Value) -> RailFuture<'a, Result<Value, RpcError>>;
}

/// A node behind a URL.
pub struct HttpRpc {
    client: Client,
    url: Uri,
}

impl HttpRpc {
    /// The node at this URL, asked through this client.
    pub const fn new(client: Client, url: Uri) -> Self {
        Self { client, url }
    }

    async fn exchange(&self, method: &'static str, params: Value) -> Result<Value, RpcError> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let no_answer =
            |reason: String, nothing_was_sent| RpcError::NoAnswer { method, reason, nothing_was_sent };
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .map_err(|error| no_answer(error.to_string(), true))?;
        let response = self
            .client
            .send(request)
            .await
            .map_err(|error| no_answer(error.to_string(), error.nothing_was_sent()))?;
        // Nodes send JSON-RPC errors with any HTTP status: the body decides.
        match answer(method, response.body()) {
            Err(RpcError::Answer { .. }) if !response.status().is_success() => {
                Err(no_answer(format!("HTTP status {}", response.status().as_u16()), false))
            }
            result => result,
        }
    }
}

impl fmt::Debug for HttpRpc {
    /// URLs of nodes often hold an API key: only the host is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpRpc({})", self.url.host().unwrap_or("?"))
    }
}

impl JsonRpc for HttpRpc {
    fn call<'a>(&'a self, method: &'static str, params: Value) -> RailFuture<'a, Result<Value, RpcError>> {
        Box::pin(self.exchange(method, params))
    }
}

/// Reads a response object: its `result`, which may be null, or its `error`.
fn answer(method: &'static str, body: &[u8]) -> Result<Value, RpcError> {
    #[derive(Deserialize)]
    struct Failure {
        code: i64,
        #[serde(default)]
        message: String,
    }
    let unreadable = |reason: String| RpcError::Answer { method, reason };
    let mut object: serde_json::Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| unreadable(error.to_string()))?;
    match object.remove("error") {
        None | Some(Value::Null) => {}
        Some(error) => {
            let failure: Failure =
                serde_json::from_value(error).map_err(|error| unreadable(error.to_string()))?;
            let message = failure.message.chars().take(MESSAGE_CHARS_MAX).collect();
            return Err(RpcError::Node { method, code: failure.code, message });
        }
    }
    object.remove("result").ok_or_else(|| unreadable("neither result nor error".to_owned()))
}

#[cfg(test)]
mod tests;
