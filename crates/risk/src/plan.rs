use std::num::NonZeroU32;

use tollgate_domain::{ServerName, ToolName, ToolRef};

use crate::rule::{Counts, Rule, Scope};

/// How much one call of each tool of a server weighs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Weights {
    /// The server.
    pub server: ServerName,
    /// The tools that are stated by name.
    pub tools: Vec<(ToolName, NonZeroU32)>,
    /// All others.
    pub others: NonZeroU32,
}

/// Limits that can be kept: no call weighs more than a bucket that it is taken from.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Plan {
    pub(crate) rules: Vec<Rule>,
    pub(crate) weights: Vec<Weights>,
}

/// A call that could never pass.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a call weighs {weight}, more than the burst of {burst} of {limit}: raise that `burst`")]
pub struct TooHeavy {
    /// The server of its tool.
    pub server: ServerName,
    /// Its tool; `None`: those that are not stated by name.
    pub tool: Option<ToolName>,
    /// What it weighs.
    pub weight: u32,
    /// How much may be taken at once.
    pub burst: u32,
    /// The name of the limit.
    pub limit: String,
}

impl Plan {
    /// These rules, with these weights.
    ///
    /// # Errors
    /// Every tool that could never be called.
    pub fn new(rules: Vec<Rule>, weights: Vec<Weights>) -> Result<Self, Vec<TooHeavy>> {
        let plan = Self { rules, weights };
        let heavy: Vec<TooHeavy> = plan.weights.iter().flat_map(|weights| plan.too_heavy(weights)).collect();
        if heavy.is_empty() { Ok(plan) } else { Err(heavy) }
    }

    fn too_heavy(&self, weights: &Weights) -> Vec<TooHeavy> {
        let named = weights.tools.iter().map(|(tool, weight)| (Some(tool), *weight));
        let every = named.chain([(None, weights.others)]);
        let mut heavy = Vec::new();
        for (tool, weight) in every {
            let rules = self.holding(Counts::Calls, &weights.server, tool);
            heavy.extend(rules.filter(|rule| rule.rate.burst() < weight).map(|rule| TooHeavy {
                server: weights.server.clone(),
                tool: tool.cloned(),
                weight: weight.get(),
                burst: rule.rate.burst().get(),
                limit: rule.label.name.clone(),
            }));
        }
        heavy
    }

    /// The rules of one kind that hold for a tool of a server; `None`: one that is not stated by name. In their order.
    fn holding<'p>(
        &'p self,
        counts: Counts,
        server: &'p ServerName,
        tool: Option<&'p ToolName>,
    ) -> impl Iterator<Item = &'p Rule> {
        self.rules.iter().filter(move |rule| rule.counts == counts && rule.scope.holds(server, tool))
    }

    /// Whether a server's calls are limited in a way of their own.
    pub(crate) fn is_special(&self, weights: &Weights) -> bool {
        let heavy = |weight: NonZeroU32| weight != NonZeroU32::MIN;
        let named = self.rules.iter().any(|rule| rule.scope.names(&weights.server));
        named || heavy(weights.others) || weights.tools.iter().any(|(_, weight)| heavy(*weight))
    }
}

impl Scope {
    /// Whether it takes in a tool of a server; `None`: one that is not stated by name.
    pub(crate) fn holds(&self, server: &ServerName, tool: Option<&ToolName>) -> bool {
        match self {
            Self::Gateway => true,
            Self::Server(own) => own == server,
            Self::Tool(ToolRef { server: own, tool: named }) => own == server && Some(named) == tool,
            Self::OtherTools(own) => own == server && tool.is_none(),
        }
    }

    fn names(&self, server: &ServerName) -> bool {
        match self {
            Self::Gateway => false,
            Self::Server(own) | Self::OtherTools(own) => own == server,
            Self::Tool(tool) => tool.server == *server,
        }
    }
}
