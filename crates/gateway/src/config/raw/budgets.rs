//! Budgets as an operator writes them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far callers may spend.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawBudgets {
    /// Where days and months begin: UTC, or a fixed distance from it such as +01:00. Default: UTC.
    pub zone: Option<String>,
    /// How long a pause ends a session, in seconds. Default: 1800.
    pub session_idle_seconds: Option<u64>,
    /// How long a call waits for an approval, and an approval for its call, in seconds. Default: 3600.
    pub approval_ttl_seconds: Option<u64>,
    /// What a call that costs more than a threshold (`HIGH_VALUE_THRESHOLD`, `approve_above`) needs: `approval`, or `escrow`, by
    /// which it is settled whatever its tool says. Who calls without an API key needs an approval all the same. Default: approval.
    pub above_high_value: Option<String>,
    /// The limits of every caller, each with counters of its own; an `agent` node that says the same limit takes its place for
    /// its callers. Default: 1000 USDC (or `MAX_DAILY_SPENT`) and 1000000 sat per day; an approval above 100 USDC (or
    /// `HIGH_VALUE_THRESHOLD`) and 100000 sat.
    pub per_caller: RawBudgetLimits,
    /// The tree of budgets: organisations, teams, projects, agents, tools, by name.
    pub tree: BTreeMap<String, RawBudgetNode>,
}

/// A node of the tree of budgets. A call belongs to it when everything in `select` holds, and it belongs to the node above.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawBudgetNode {
    /// What it stands for: org, team, project, agent or tool. Below a node stand narrower ones.
    pub kind: String,
    /// Which calls belong to it. Default: all that belong to the node above.
    pub select: RawSelect,
    /// Whether each `caller` or each `tool` has counters of its own. Default: all share them.
    pub each: Option<String>,
    /// Its limits.
    pub limits: RawBudgetLimits,
    /// The nodes below it, by name.
    pub nodes: BTreeMap<String, RawBudgetNode>,
}

/// Which calls belong to a node. `*` stands for any characters.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawSelect {
    /// Of these callers: `key_1…`, or `eip155:0x…` of a paying wallet.
    pub callers: Vec<String>,
    /// Of API keys with these labels (`tollgate keys create --label team=research`).
    pub labels: BTreeMap<String, String>,
    /// Of these tools: `server/tool`.
    pub tools: Vec<String>,
}

/// Limits on spending, each as money in every asset that it is for: `[5USDC, 5000sat]`. Zero forbids.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawBudgetLimits {
    /// The most that one call may cost.
    pub per_call: Vec<String>,
    /// The most in one hour.
    pub per_hour: Vec<String>,
    /// The most in one day.
    pub per_day: Vec<String>,
    /// The most in one month.
    pub per_month: Vec<String>,
    /// The most in one session: until a pause of `session_idle_seconds`.
    pub per_session: Vec<String>,
    /// Above which a call has to be approved by an operator.
    pub approve_above: Vec<String>,
    /// Amounts from which on the log and the metrics warn, and nothing is refused.
    pub warn: RawBudgetWarnings,
}

/// Soft limits.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawBudgetWarnings {
    /// In one hour.
    pub per_hour: Vec<String>,
    /// In one day.
    pub per_day: Vec<String>,
    /// In one month.
    pub per_month: Vec<String>,
    /// In one session.
    pub per_session: Vec<String>,
}
