//! Tools that a server lists to clients and not to this gateway: what a client can do (sampling, elicitation, roots), or has done in its
//! session, may decide what it is offered. They are judged and priced like those that the gateway is shown itself.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use tollgate_domain::ServerName;
use tollgate_mcp::raw;
use tollgate_mcp::tools::{self, ToolDefinition};

use super::{ListError, ServerTools, Tools};
use crate::clock;

/// How long the definitions of all such tools of one server may be.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many names of its own list are remembered.
const NAMES_MAX: usize = 10_000;

/// The tools of one server that only clients are shown.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Names that stood in the gateway's own list: one that is gone from there was taken away, and a client that is still shown it has an
    /// older list.
    own: HashSet<String>,
    tools: BTreeMap<String, ToolDefinition>,
}

impl Beside {
    /// The gateway's own list and these.
    pub(super) fn joined(&mut self, mut own: Vec<ToolDefinition>) -> Vec<ToolDefinition> {
        if self.own.len() > NAMES_MAX {
            self.own.clear();
        }
        self.own.extend(own.iter().map(|tool| tool.name.clone()));
        self.tools.retain(|name, _| !self.own.contains(name));
        own.extend(self.tools.values().cloned());
        own
    }

    /// Takes over what a client was shown; whether that was anything new. A name that stands for two tools is left out.
    fn learn(&mut self, shown: Vec<ToolDefinition>) -> bool {
        let mut by_name: BTreeMap<String, Option<ToolDefinition>> = BTreeMap::new();
        for tool in shown {
            by_name
                .entry(tool.name.clone())
                .and_modify(|first| *first = first.take().filter(|first| first.raw == tool.raw))
                .or_insert(Some(tool));
        }
        let mut bytes: usize = self.tools.values().map(|tool| tool.raw.len()).sum();
        let mut is_news = false;
        for (name, tool) in by_name {
            let Some(tool) = tool.filter(|_| !self.own.contains(&name)) else { continue };
            let known = self.tools.get(&name);
            let without = bytes.saturating_sub(known.map_or(0, |known| known.raw.len()));
            let with = without.saturating_add(tool.raw.len());
            if known.is_some_and(|known| known.raw == tool.raw) || with > BYTES_MAX {
                continue;
            }
            (bytes, is_news) = (with, true);
            self.tools.insert(name, apart(tool));
        }
        is_news
    }
}

/// A definition in memory of its own: else it would keep the whole answer that it stood in.
fn apart(tool: ToolDefinition) -> ToolDefinition {
    let copied = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    ToolDefinition { input_schema: copied(&tool.input_schema), raw: copied(&tool.raw), ..tool }
}

impl Tools {
    /// Learns of the tools in a server's `tools/list` response that `is_unknown` picks out by name: where this gateway has a list that
    /// never had them, it has one with them afterwards.
    ///
    /// # Errors
    /// When the server gives no list.
    pub(super) async fn learn(
        &self,
        name: &ServerName,
        server: &ServerTools,
        response: &Bytes,
        is_unknown: impl Fn(&str) -> bool,
    ) -> Result<(), ListError> {
        let page = raw::member(response, "result").and_then(|result| tools::parse(&result).ok());
        let mut shown = page.map(|page| page.tools).unwrap_or_default();
        shown.retain(|tool| is_unknown(&tool.name));
        if shown.is_empty() || !server.beside.lock().learn(shown) {
            return Ok(());
        }
        let mut asked = server.asked.lock().await;
        self.read(name, server, &mut asked, clock::now()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, text: &str) -> ToolDefinition {
        let (description, input_schema, raw) =
            (None, Bytes::from_static(b"{}"), Bytes::from(text.to_owned()));
        ToolDefinition { name: name.to_owned(), description, input_schema, has_output_schema: false, raw }
    }

    fn names(tools: &[ToolDefinition]) -> Vec<&str> {
        tools.iter().map(|tool| tool.name.as_str()).collect()
    }

    #[test]
    fn what_only_clients_are_shown_stands_beside_the_own_list() {
        let mut beside = Beside::default();
        let own = || vec![tool("a", "1"), tool("gone", "1")];
        assert_eq!(names(&beside.joined(own())), ["a", "gone"]);
        assert!(beside.learn(vec![tool("asks", "1"), tool("a", "2")]));
        assert!(!beside.learn(vec![tool("asks", "1")]), "known");
        assert_eq!(names(&beside.joined(own())), ["a", "gone", "asks"], "its own definition of `a` counts");
        assert!(
            !beside.learn(vec![tool("two", "1"), tool("two", "2")]),
            "which of the two is meant nobody knows"
        );
        assert!(beside.learn(vec![tool("asks", "2")]), "another definition is news");
        assert_eq!(beside.joined(own())[2].raw, "2");
        // What was taken away does not come back by a list from before.
        assert_eq!(names(&beside.joined(vec![tool("a", "1")])), ["a", "asks"]);
        assert!(!beside.learn(vec![tool("gone", "1")]));
        // What it is shown itself from now on is its own.
        assert_eq!(names(&beside.joined(vec![tool("asks", "3")])), ["asks"]);
    }

    #[test]
    fn the_definitions_together_have_a_limit() {
        let mut beside = Beside::default();
        let half = "x".repeat(BYTES_MAX / 2);
        assert!(beside.learn(vec![tool("a", &half), tool("b", &half)]));
        assert!(!beside.learn(vec![tool("c", "x")]));
        assert!(beside.learn(vec![tool("b", "x")]), "control: in the place of a longer one");
        assert!(beside.learn(vec![tool("c", "x")]));
    }
}
