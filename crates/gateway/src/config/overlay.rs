//! Changes of servers and prices that lie over the file: what the admin API was told, kept in the data directory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Where a value comes from that the admin API was told.
pub const ORIGIN: &str = "the admin API";

/// Changes over the file.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overlay {
    /// Servers in place of the file's, or beside them; `null`: the file's server is gone.
    pub servers: BTreeMap<String, Option<Value>>,
    /// Prices, by server and tool, in place of those that the server's own settings name.
    pub prices: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Overlay {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.prices.is_empty()
    }

    /// Lays the changes over a file's settings. Returns the path and the origin of each value that was set. A price of a
    /// server that is not there any more is left out: it must not keep a file from being used.
    pub(super) fn lay_over(&self, tree: &mut Value) -> Vec<(String, String)> {
        let mut set = Vec::new();
        let Value::Object(tree) = tree else { return set };
        let servers = tree.entry("servers").or_insert_with(|| json!({}));
        if servers.is_null() {
            *servers = json!({});
        }
        let Value::Object(servers) = servers else { return set };
        for (name, server) in &self.servers {
            match server {
                Some(server) => {
                    servers.insert(name.clone(), server.clone());
                    set.push((format!("servers.{name}"), ORIGIN.to_owned()));
                }
                None => drop(servers.remove(name)),
            }
        }
        for (server, prices) in &self.prices {
            let Some(Value::Object(definition)) = servers.get_mut(server) else { continue };
            for (tool, price) in prices {
                put_price(definition, tool, price);
                set.push((format!("servers.{server}.tools.{tool}.price"), ORIGIN.to_owned()));
            }
        }
        set
    }

    /// Puts another server in place of whatever there was under its name, prices included.
    pub fn put_server(&mut self, name: &str, server: Value) {
        self.servers.insert(name.to_owned(), Some(server));
        self.prices.remove(name);
    }

    /// Takes a server away; `in_file`: the file has one of this name.
    pub fn remove_server(&mut self, name: &str, in_file: bool) {
        self.prices.remove(name);
        if in_file {
            self.servers.insert(name.to_owned(), None);
        } else {
            self.servers.remove(name);
        }
    }

    /// Sets the price of a tool.
    pub fn put_price(&mut self, server: &str, tool: &str, price: Value) {
        self.prices.entry(server.to_owned()).or_default().insert(tool.to_owned(), price);
    }

    /// Takes the price of a tool back: what its server's settings name counts again. Whether there was one.
    pub fn remove_price(&mut self, server: &str, tool: &str) -> bool {
        let Some(prices) = self.prices.get_mut(server) else { return false };
        let was_there = prices.remove(tool).is_some();
        if prices.is_empty() {
            self.prices.remove(server);
        }
        was_there
    }
}

/// A tool without settings of its own had those of every tool: it keeps them, but for the price.
fn put_price(server: &mut Map<String, Value>, tool: &str, price: &Value) {
    let every_tool = server.get("every_tool").filter(|policy| policy.is_object()).cloned();
    let tools = server.entry("tools").or_insert_with(|| json!({}));
    if !tools.is_object() {
        *tools = json!({});
    }
    let Value::Object(tools) = tools else { return };
    let policy = tools.entry(tool).or_insert_with(|| every_tool.unwrap_or_else(|| json!({})));
    if !policy.is_object() {
        *policy = json!({});
    }
    if let Value::Object(policy) = policy {
        policy.insert("price".to_owned(), price.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_keeps_what_else_every_tool_asks() {
        let mut tree = json!({ "servers": { "up": {
            "url": "http://127.0.0.1:1/mcp", "every_tool": { "api_key": true, "price": ["1sat"] },
        } } });
        let mut overlay = Overlay::default();
        overlay.put_price("up", "echo", json!(["2sat"]));
        overlay.put_price("gone", "echo", json!(["2sat"]));
        let set = overlay.lay_over(&mut tree);
        assert_eq!(tree["servers"]["up"]["tools"]["echo"], json!({ "api_key": true, "price": ["2sat"] }));
        assert_eq!(tree["servers"]["up"]["every_tool"]["price"], json!(["1sat"]), "the others keep theirs");
        assert!(tree["servers"].get("gone").is_none(), "a price makes no server");
        assert_eq!(set, [("servers.up.tools.echo.price".to_owned(), ORIGIN.to_owned())]);
    }

    #[test]
    fn what_was_removed_and_put_back_is_what_was_put() {
        let file = json!({ "servers": { "a": { "url": "http://127.0.0.1:1/mcp" } } });
        let laid = |overlay: &Overlay| {
            let mut tree = file.clone();
            overlay.lay_over(&mut tree);
            tree
        };
        let mut overlay = Overlay::default();
        overlay.put_price("a", "t", json!(["1sat"]));
        overlay.remove_server("a", true);
        assert_eq!(laid(&overlay), json!({ "servers": {} }));
        let other = json!({ "url": "http://127.0.0.1:2/mcp" });
        overlay.put_server("a", other.clone());
        assert_eq!(laid(&overlay), json!({ "servers": { "a": other } }), "without the price of before");
        overlay.put_server("b", other);
        overlay.remove_server("b", false);
        assert!(!overlay.servers.contains_key("b"), "nothing is kept of a server that no file has");
        assert!(!overlay.remove_price("a", "t"));
    }
}
