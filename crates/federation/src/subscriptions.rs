//! `subscriptions/listen` over several servers: each is asked for its own part, and what they honour becomes one word.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tollgate_mcp::era::SUBSCRIPTION_ID_KEY;
use tollgate_mcp::{RequestId, raw, reply};

use crate::translate::Translator;

#[cfg(test)]
mod tests;

const URIS: &str = "resourceSubscriptions";
const TASKS: &str = "taskIds";
/// More names than this in one filter are not looked up.
const NAMES_MAX: usize = 10_000;

impl Translator<'_> {
    /// A server's part of a raw filter: its own resources and tasks under their own names, and what concerns every server.
    /// With `tools_only`, nothing about prompts and resources. `None` where nothing is left to listen to.
    pub fn filter(&self, filter: &[u8], tools_only: bool) -> Option<String> {
        let Ok(Value::Object(filter)) = serde_json::from_slice(filter) else { return None };
        let uri = |public: &str| {
            let (server, own) = self.names.resolve_uri(public)?;
            (server == self.server).then(|| own.into_owned())
        };
        let task = |public: &str| {
            let (server, own) = self.tasks.resolve(self.names, public)?;
            (server == self.server).then(|| own.to_owned())
        };
        let mut own = Map::new();
        for (name, value) in filter {
            let value = match name.as_str() {
                URIS => named(&value, uri),
                TASKS => named(&value, task),
                _ => value,
            };
            let hidden = tools_only && name != "toolsListChanged" && name != TASKS;
            let empty = value == json!(false) || value.as_array().is_some_and(Vec::is_empty);
            if !hidden && !empty {
                own.insert(name, value);
            }
        }
        (!own.is_empty()).then(|| Value::Object(own).to_string())
    }

    /// What a server honours of its part, in the names of this door.
    pub fn honoured(&self, filter: &[u8]) -> Map<String, Value> {
        let Ok(Value::Object(mut filter)) = serde_json::from_slice(filter) else { return Map::new() };
        for (name, value) in &mut filter {
            match name.as_str() {
                URIS => {
                    *value = named(value, |own| Some(self.names.public_uri(self.server, own).into_owned()))
                }
                TASKS => *value = named(value, |own| Some(self.tasks.public(self.names, self.server, own))),
                _ => {}
            }
        }
        filter
    }
}

fn named(names: &Value, name: impl Fn(&str) -> Option<String>) -> Value {
    let names = names.as_array().map(Vec::as_slice).unwrap_or_default();
    names.iter().take(NAMES_MAX).filter_map(|given| name(given.as_str()?)).collect()
}

/// The first message to the client: what all servers honour together.
pub fn acknowledged(id: &RequestId, honoured: impl IntoIterator<Item = Map<String, Value>>) -> Bytes {
    let mut all: Map<String, Value> = Map::new();
    for (name, value) in honoured.into_iter().flatten() {
        match (all.get_mut(&name), value) {
            (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
            (Some(known), more) => *known = json!(*known == json!(true) || more == json!(true)),
            (None, value) => {
                all.insert(name, value);
            }
        }
    }
    let params = json!({ "notifications": all, "_meta": {} }).to_string();
    let params = with_subscription(&params, id);
    reply::notification("notifications/subscriptions/acknowledged", Some(&params))
}

/// That the tools of a door may have changed.
pub fn tools_changed(id: &RequestId) -> Bytes {
    let params = with_subscription(r#"{"_meta":{}}"#, id);
    reply::notification("notifications/tools/list_changed", Some(&params))
}

/// The graceful end of a subscription.
pub fn ended(id: &RequestId) -> Bytes {
    reply::result(id, with_subscription(r#"{"resultType":"complete","_meta":{}}"#, id))
}

/// The object with the id of the subscription in its `_meta`, spelled as the client spelled it.
fn with_subscription(object: &str, id: &RequestId) -> String {
    let meta = raw::set(&Bytes::from_static(b"{}"), &[(SUBSCRIPTION_ID_KEY, id.raw())]).unwrap_or_default();
    let meta = String::from_utf8_lossy(&meta).into_owned();
    let object =
        raw::set(&Bytes::copy_from_slice(object.as_bytes()), &[("_meta", &meta)]).unwrap_or_default();
    String::from_utf8_lossy(&object).into_owned()
}
