//! The few JSON-RPC shapes that the mock upstream reads and writes. Arguments and ids keep their bytes.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::record::Era;

/// The modern protocol version.
pub(super) const MODERN: &str = "2026-07-28";
/// The newest legacy protocol version.
pub(super) const LEGACY: &str = "2025-11-25";
/// The ones before it that are agreed to, too.
pub(super) const OLDER: [&str; 2] = ["2025-06-18", "2025-03-26"];

/// One message of a client.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) params: Option<Params<'a>>,
}

/// The members of any request's `params` that matter here.
#[derive(Debug, Deserialize)]
pub(super) struct Params<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) cursor: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "protocolVersion")]
    pub(super) version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta")]
    pub(super) meta: Option<Meta<'a>>,
}

/// The members of `_meta` that matter here.
#[derive(Debug, Deserialize)]
pub(super) struct Meta<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    pub(super) version: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "progressToken")]
    pub(super) progress_token: Option<&'a RawValue>,
}

impl Message<'_> {
    pub(super) fn era(&self) -> Era {
        let meta = self.params.as_ref().and_then(|params| params.meta.as_ref());
        if meta.is_some_and(|meta| meta.version.is_some()) { Era::Modern } else { Era::Legacy }
    }

    pub(super) fn id(&self) -> &str {
        self.id.map_or("null", RawValue::get)
    }
}

/// A JSON-RPC answer with a result object; modern ones are marked complete.
pub(super) fn result(id: &str, era: Era, mut result: Value) -> String {
    if let (Era::Modern, Some(members)) = (era, result.as_object_mut()) {
        members.entry("resultType").or_insert_with(|| json!("complete"));
    }
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// A JSON-RPC error.
pub(super) fn error(id: &str, code: i64, message: &str) -> String {
    let error = json!({"code": code, "message": message});
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}

/// One server-sent event that carries a JSON-RPC message.
pub(super) fn event(message: &str) -> String {
    format!("event: message\ndata: {message}\n\n")
}

/// A progress notification; `token` is JSON text.
pub(super) fn progress(token: &str, done: u32, total: u32) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{done},"total":{total}}}}}"#
    )
}

/// A progress notification with a message, which is no JSON text.
pub(super) fn progress_saying(token: &str, done: u32, total: u32, message: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{done},"total":{total},"message":"{message}"}}}}"#
    )
}

/// A changed tool list; `subscription` is the id of the listening request on a modern stream.
pub(super) fn tools_changed(subscription: Option<&str>) -> String {
    let params = subscription.map_or_else(String::new, |id| {
        format!(r#","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}"#)
    });
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed"{params}}}"#)
}

/// The first message of a modern listening stream.
pub(super) fn acknowledged(id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"notifications":{{"toolsListChanged":true}},"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
    )
}
