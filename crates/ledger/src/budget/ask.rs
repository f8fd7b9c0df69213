//! What one call is asked for: the nodes that it belongs to, with their limits in one asset.

use std::fmt;
use std::sync::Arc;

use tollgate_domain::{Amount, AssetId};

use super::{Calendar, Counter, Span};

/// The name under which a node's spending is counted: the node's path, and behind `#` whose counter it is where each caller or
/// tool has one of its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey(Arc<str>);

impl NodeKey {
    /// The key of a node, and of one subject of it.
    pub fn new(path: &str, subject: Option<&str>) -> Self {
        Self(subject.map_or_else(|| path.into(), |subject| format!("{path}#{subject}").into()))
    }

    /// A key as it was stored.
    pub fn stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The node's path, without whose counter it is: what a caller may be told.
    pub fn path(&self) -> &str {
        self.0.split_once('#').map_or(&*self.0, |(path, _)| path)
    }
}

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that bounds one call in one asset. The default bounds nothing but what is stopped.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ask {
    /// By what windows begin and end.
    pub calendar: Calendar,
    /// The nodes that the call belongs to, the outermost first.
    pub nodes: Vec<Node>,
}

/// One node that a call belongs to, in the asset of the call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Under which it is counted.
    pub key: NodeKey,
    /// The most that one call may cost.
    pub per_call: Option<Amount>,
    /// Above which an approval is needed.
    pub approve_above: Option<Amount>,
    /// What is counted.
    pub counted: Vec<Counted>,
}

/// One counter of a node, with its limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counted {
    /// Over which windows.
    pub span: Span,
    /// The most that may be used in one; without it the counter only warns.
    pub limit: Option<Amount>,
    /// From how much on somebody is warned.
    pub warn: Option<Amount>,
}

impl Ask {
    /// The least amount above which a call needs an approval, or an escrow; `None`: none does.
    pub fn approve_above(&self) -> Option<Amount> {
        self.nodes.iter().filter_map(|node| node.approve_above).min()
    }

    /// The same for a call that needs no approval.
    #[must_use]
    pub fn without_approval(mut self) -> Self {
        for node in &mut self.nodes {
            node.approve_above = None;
        }
        self
    }

    /// Every counter of it.
    pub fn counters(&self, asset: &AssetId) -> impl Iterator<Item = (Counter, &Node, Counted)> {
        let counter = |node: &Node, span| Counter { node: node.key.clone(), asset: asset.clone(), span };
        self.nodes.iter().flat_map(move |node| {
            node.counted.iter().map(move |counted| (counter(node, counted.span), node, *counted))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(path: &str, approve_above: Option<u128>) -> Node {
        Node {
            key: NodeKey::new(path, Some("alice")),
            per_call: Some(Amount::new(7)),
            approve_above: approve_above.map(Amount::new),
            counted: Vec::new(),
        }
    }

    #[test]
    fn the_least_threshold_of_all_nodes_needs_an_approval_until_it_is_waived_alone() {
        let ask = |nodes: Vec<Node>| Ask { nodes, ..Ask::default() };
        assert_eq!(ask(vec![node("acme", None)]).approve_above(), None);
        let bounded =
            ask(vec![node("acme", Some(500)), node("acme/team", Some(100)), node("acme/team/a", None)]);
        assert_eq!(bounded.approve_above(), Some(Amount::new(100)));
        let waived = bounded.clone().without_approval();
        assert_eq!(waived.approve_above(), None);
        let others =
            |ask: &Ask| ask.nodes.iter().map(|node| (node.key.clone(), node.per_call)).collect::<Vec<_>>();
        assert_eq!(others(&waived), others(&bounded), "all other limits stay");
    }

    #[test]
    fn a_key_says_whose_counter_it_is_and_a_caller_is_told_the_path_alone() {
        let key = NodeKey::new("acme/team", Some("alice"));
        assert_eq!(
            (key.as_str(), key.path(), key.to_string().as_str()),
            ("acme/team#alice", "acme/team", "acme/team#alice")
        );
        assert_eq!(NodeKey::stored("acme/team#alice"), key);
        assert_eq!(NodeKey::new("acme", None).path(), "acme");
    }
}
