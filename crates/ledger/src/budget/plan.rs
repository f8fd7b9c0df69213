//! What an operator configured: the tree, and what it asks of one call.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tollgate_domain::{Amount, AssetId, Caller, Labels, Principal, ToolRef};

use super::{Ask, Calendar, Counted, Node, NodeKey, Selector, Span};

/// The path of the limits that hold for every caller, each with counters of its own.
pub const PER_CALLER: &str = "per_caller";
/// How long a call waits for an approval, and an approval for its call, unless it is said: an hour.
pub const APPROVAL_TTL_MS: u64 = 3_600_000;

/// All budgets of a gateway. The default bounds nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// By what windows begin and end.
    pub calendar: Calendar,
    /// The limits of every caller, unless an agent node of the tree says the same limit of it.
    pub per_caller: Limits,
    /// The tree.
    pub branches: Vec<Branch>,
    /// How long a call waits for an approval, and an approval for its call.
    pub approval_ttl_ms: u64,
    /// What a call above a threshold needs.
    pub high_value: HighValue,
}

/// What a call above the threshold of a node needs. Written `approval`, `escrow`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum HighValue {
    /// Somebody's approval.
    #[default]
    Approval,
    /// An escrow, whatever its tool says of itself; an approval where the caller can have none.
    Escrow,
}

impl FromStr for HighValue {
    type Err = KindError;

    fn from_str(word: &str) -> Result<Self, KindError> {
        match word {
            "approval" => Ok(Self::Approval),
            "escrow" => Ok(Self::Escrow),
            _ => Err(KindError { word: word.chars().take(32).collect(), known: "approval, escrow" }),
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            calendar: Calendar::default(),
            per_caller: Limits::default(),
            branches: Vec::new(),
            approval_ttl_ms: APPROVAL_TTL_MS,
            high_value: HighValue::default(),
        }
    }
}

/// One node of the tree, with what is below it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Branch {
    /// The names from the root to it, with `/` between them; unique in a plan.
    pub path: Arc<str>,
    /// What it stands for.
    pub kind: Kind,
    /// Which calls belong to it, of those that belong to the node above it.
    pub select: Selector,
    /// Whether each caller or tool has counters of its own.
    pub each: Option<Each>,
    /// Its limits.
    pub limits: Limits,
    /// The nodes below it. A call may belong to several: it reserves from all of them.
    pub branches: Vec<Branch>,
}

/// What a node stands for, the widest first. Below a node stand narrower ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// An organisation.
    Org,
    /// A team.
    Team,
    /// A project.
    Project,
    /// An agent, or agents.
    Agent,
    /// A tool, or tools.
    Tool,
}

/// Why a word is no [`Kind`] or [`Each`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is none of {known}")]
pub struct KindError {
    word: String,
    known: &'static str,
}

/// Whose counters are kept apart in one node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Each {
    /// Each caller's.
    Caller,
    /// Each tool's.
    Tool,
}

/// The limits of a node, by asset.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits(pub BTreeMap<AssetId, Bounds>);

/// The limits of a node in one asset. Zero forbids.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bounds {
    /// The most that one call may cost.
    pub per_call: Option<Amount>,
    /// Above which an approval is needed.
    pub approve_above: Option<Amount>,
    /// The most that may be used in one window.
    pub limit: BTreeMap<Span, Amount>,
    /// From how much on in one window somebody is warned.
    pub warn: BTreeMap<Span, Amount>,
}

/// Whose call it is, as far as budgets tell calls apart.
#[derive(Clone, Copy, Debug)]
pub struct Spender<'a> {
    /// Who calls.
    pub caller: Caller,
    /// The same as a name.
    pub principal: &'a Principal,
    /// What the operator says of the caller.
    pub labels: &'a Labels,
    /// What is called; `None` to ask about any tool.
    pub tool: Option<&'a ToolRef>,
}

impl Plan {
    /// Everything that bounds a call of this spender in this asset.
    pub fn ask(&self, spender: &Spender<'_>, asset: &AssetId) -> Ask {
        let mut nodes = Vec::new();
        let mut of_agents = Bounds::default();
        for branch in &self.branches {
            branch.collect(spender, asset, &mut nodes, &mut of_agents);
        }
        nodes.extend(self.of_caller(spender, asset, &of_agents));
        Ask { calendar: self.calendar, nodes }
    }

    /// Every node, the outer before the inner.
    pub fn paths(&self) -> impl Iterator<Item = &Branch> {
        fn below<'a>(branch: &'a Branch, all: &mut Vec<&'a Branch>) {
            all.push(branch);
            branch.branches.iter().for_each(|branch| below(branch, all));
        }
        let mut all = Vec::new();
        self.branches.iter().for_each(|branch| below(branch, &mut all));
        all.into_iter()
    }

    /// The limits of every caller. Whoever cannot be recognised by the next call has no window: only what one call may cost
    /// bounds it.
    fn of_caller(&self, spender: &Spender<'_>, asset: &AssetId, of_agents: &Bounds) -> Option<Node> {
        let bounds = self.per_caller.0.get(asset)?;
        let is_known = spender.caller.is_known();
        let own = |name: Option<Amount>, agents: Option<Amount>| name.filter(|_| agents.is_none());
        let without = |mine: &BTreeMap<Span, Amount>, theirs: &BTreeMap<Span, Amount>| {
            let kept = mine.iter().filter(|(span, _)| is_known && !theirs.contains_key(span));
            kept.map(|(span, amount)| (*span, *amount)).collect()
        };
        let bounds = Bounds {
            per_call: own(bounds.per_call, of_agents.per_call),
            approve_above: own(bounds.approve_above, of_agents.approve_above),
            limit: without(&bounds.limit, &of_agents.limit),
            warn: without(&bounds.warn, &of_agents.limit),
        };
        let subject = is_known.then(|| spender.principal.as_str());
        Some(bounds.node(NodeKey::new(PER_CALLER, subject)))
    }
}

impl Branch {
    /// The node itself in an asset, where all its callers share its counters.
    pub fn shared(&self, asset: &AssetId) -> Option<Node> {
        let bounds = self.limits.0.get(asset).filter(|_| self.each.is_none())?;
        Some(bounds.clone().node(NodeKey::new(&self.path, None)))
    }

    fn collect(&self, spender: &Spender<'_>, asset: &AssetId, nodes: &mut Vec<Node>, of_agents: &mut Bounds) {
        let tool = spender.tool.map(ToString::to_string);
        let subject = match self.each {
            None => None,
            Some(Each::Caller) => Some(spender.principal.as_str()),
            Some(Each::Tool) => match &tool {
                Some(tool) => Some(tool.as_str()),
                None => return,
            },
        };
        if !self.select.selects(spender) {
            return;
        }
        let key = NodeKey::new(&self.path, subject);
        let bounds = self.limits.0.get(asset);
        if let Some(bounds) = bounds.filter(|_| self.kind == Kind::Agent) {
            of_agents.per_call = of_agents.per_call.or(bounds.per_call);
            of_agents.approve_above = of_agents.approve_above.or(bounds.approve_above);
            of_agents.limit.extend(bounds.limit.iter().map(|(span, amount)| (*span, *amount)));
        }
        // Without a limit in this asset it is there all the same: it may be stopped.
        nodes.push(bounds.cloned().unwrap_or_default().node(key));
        for branch in &self.branches {
            branch.collect(spender, asset, nodes, of_agents);
        }
    }
}

impl Bounds {
    fn node(&self, key: NodeKey) -> Node {
        let counted = Span::ALL.into_iter().filter_map(|span| {
            let (limit, warn) = (self.limit.get(&span).copied(), self.warn.get(&span).copied());
            (limit.is_some() || warn.is_some()).then_some(Counted { span, limit, warn })
        });
        Node { key, per_call: self.per_call, approve_above: self.approve_above, counted: counted.collect() }
    }
}

impl Kind {
    const ALL: [Self; 5] = [Self::Org, Self::Team, Self::Project, Self::Agent, Self::Tool];

    /// The word it is written with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Team => "team",
            Self::Project => "project",
            Self::Agent => "agent",
            Self::Tool => "tool",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Kind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        let known = "org, team, project, agent, tool";
        let found = Self::ALL.into_iter().find(|kind| kind.word() == text);
        found.ok_or_else(|| KindError { word: text.chars().take(32).collect(), known })
    }
}

impl FromStr for Each {
    type Err = KindError;

    fn from_str(text: &str) -> Result<Self, KindError> {
        match text {
            "caller" => Ok(Self::Caller),
            "tool" => Ok(Self::Tool),
            _ => Err(KindError { word: text.chars().take(32).collect(), known: "caller, tool" }),
        }
    }
}

#[cfg(test)]
mod tests;
