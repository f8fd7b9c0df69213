//! How far callers may spend.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::{Amount, AssetId, Assets, Labels, MoneyError};
use tollgate_ledger::budget::{
    APPROVAL_TTL_MS, Bounds, Branch, Calendar, Each, HighValue, Kind, Limits, PER_CALLER, Pattern, Plan,
    Selector, Span,
};
use tollgate_till::spending::{self, Caution};

use super::super::raw::{RawBudgetLimits, RawBudgetNode, RawBudgets, RawSelect};
use super::super::{Environment, X402};
use super::Reader;

/// A call is compared with every node at the top, and below those that it belongs to.
const NODES_MAX: usize = 256;
const NAME_CHARS_MAX: usize = 64;

impl Reader<'_> {
    /// All budgets.
    pub(super) fn budgets(
        &mut self,
        raw: &RawBudgets,
        assets: &Assets,
        x402: Option<&X402>,
        environment: &Environment,
    ) -> Plan {
        let zone = raw.zone.as_deref().unwrap_or("UTC");
        let zone =
            self.parse("budgets.zone", zone, "UTC or a distance from it such as +01:00").unwrap_or_default();
        let seconds =
            |raw: Option<u64>, default_ms: u64| raw.map_or(default_ms, |raw| raw.saturating_mul(1_000));
        let calendar = Calendar { zone, ..Calendar::default() };
        let session_idle_ms = seconds(raw.session_idle_seconds, calendar.session_idle_ms);
        let approval_ttl_ms = seconds(raw.approval_ttl_seconds, APPROVAL_TTL_MS);
        for (at, value) in [
            ("budgets.session_idle_seconds", session_idle_ms),
            ("budgets.approval_ttl_seconds", approval_ttl_ms),
        ] {
            if value == 0 {
                self.refuse(at, "is not at least 1");
            }
        }
        let mut per_caller = self.cautious(assets, x402, environment);
        let written = self.limits("budgets.per_caller", &raw.per_caller, assets);
        for (asset, bounds) in written.0 {
            per_caller.0.entry(asset).or_default().replace(bounds);
        }
        let branches = self.branches("budgets.tree", "", None, &raw.tree, assets);
        let plan = Plan {
            calendar: Calendar { session_idle_ms, ..calendar },
            per_caller,
            branches,
            approval_ttl_ms,
            high_value: self.high_value(raw.above_high_value.as_deref()),
        };
        if plan.paths().count() > NODES_MAX {
            self.refuse("budgets.tree", format!("more than {NODES_MAX} nodes"));
        }
        plan
    }

    fn high_value(&mut self, word: Option<&str>) -> HighValue {
        let Some(word) = word else { return HighValue::default() };
        self.parse("budgets.above_high_value", word, "approval or escrow").unwrap_or_default()
    }

    /// The limits of every caller where none are written: never none at all.
    fn cautious(&mut self, assets: &Assets, x402: Option<&X402>, environment: &Environment) -> Limits {
        let mut limits = spending::default_plan(assets).per_caller;
        let Some(x402) = x402 else {
            // Not converted, as there is no token; a number that is none is said all the same.
            for name in ["MAX_DAILY_SPENT", "HIGH_VALUE_THRESHOLD"] {
                if let Some(value) = environment.get(name).filter(|value| !is_decimal(value)) {
                    self.refuse(name, format!("{value:?} is not a decimal number of whole tokens"));
                }
            }
            return limits;
        };
        let mut read = |name: &str, of: fn(&str) -> Caution<'_>| {
            let value = environment.get(name)?;
            match spending::bounds(&x402.asset, of(value)) {
                Ok(bounds) => Some(bounds),
                Err(error) => {
                    self.refuse(name, not_a_number_of_tokens(value, &error));
                    None
                }
            }
        };
        let daily = read("MAX_DAILY_SPENT", |per_day| Caution { per_day, ..spending::TOKEN });
        let high = read("HIGH_VALUE_THRESHOLD", |approve_above| Caution { approve_above, ..spending::TOKEN });
        let bounds = limits.0.entry(x402.asset.id().clone()).or_default();
        if let Some(daily) = daily {
            bounds.limit = daily.limit;
        }
        if let Some(high) = high {
            bounds.approve_above = high.approve_above;
        }
        limits
    }

    fn branches(
        &mut self,
        at: &str,
        above: &str,
        wider: Option<Kind>,
        raw: &BTreeMap<String, RawBudgetNode>,
        assets: &Assets,
    ) -> Vec<Branch> {
        let mut branches = Vec::new();
        for (name, node) in raw {
            let at = format!("{at}.{name}");
            if !is_name(name) {
                let expected = format!(
                    "is not 1 to {NAME_CHARS_MAX} characters of a-z, A-Z, 0-9, \"-\", \"_\" and \".\""
                );
                self.refuse(&at, expected);
            }
            let kind =
                self.parse(&format!("{at}.kind"), &node.kind, "one of org, team, project, agent, tool");
            if let (Some(kind), Some(wider)) = (kind, wider)
                && kind <= wider
            {
                self.refuse(&format!("{at}.kind"), format!("is not narrower than the {wider} above it"));
            }
            let path = if above.is_empty() { name.clone() } else { format!("{above}/{name}") };
            let select = self.selector(&format!("{at}.select"), &node.select);
            let each: Option<Each> = node
                .each
                .as_deref()
                .and_then(|each| self.parse(&format!("{at}.each"), each, "caller or tool"));
            let limits = self.limits(&format!("{at}.limits"), &node.limits, assets);
            let below = self.branches(&format!("{at}.nodes"), &path, kind.or(wider), &node.nodes, assets);
            let kind = kind.unwrap_or(Kind::Org);
            branches.push(Branch { path: path.into(), kind, select, each, limits, branches: below });
        }
        branches
    }

    fn selector(&mut self, at: &str, raw: &RawSelect) -> Selector {
        let patterns = |reader: &mut Self, name: &str, raw: &[String]| {
            let read = |(index, text): (usize, &String)| {
                reader.parse::<Pattern>(&format!("{at}.{name}[{index}]"), text, "1 to 256 visible characters")
            };
            raw.iter().enumerate().filter_map(read).collect::<Vec<_>>()
        };
        let callers = patterns(self, "callers", &raw.callers);
        let tools = patterns(self, "tools", &raw.tools);
        for (index, tool) in raw.tools.iter().enumerate() {
            if !tool.contains('/') && tool != "*" {
                self.refuse(
                    &format!("{at}.tools[{index}]"),
                    format!("{tool:?} is not of the form server/tool"),
                );
            }
        }
        let mut labels = BTreeMap::new();
        for (name, value) in &raw.labels {
            let at = format!("{at}.labels.{name}");
            if Labels::new([format!("{name}=x").as_str()]).is_err() {
                self.refuse(&at, "is not the name of a label");
            }
            if let Some(pattern) = self.parse(&at, value, "1 to 256 visible characters") {
                labels.insert(name.clone(), pattern);
            }
        }
        Selector { callers, labels, tools }
    }

    fn limits(&mut self, at: &str, raw: &RawBudgetLimits, assets: &Assets) -> Limits {
        let mut limits = Limits::default();
        let warn = &raw.warn;
        for (name, raw) in [("per_call", &raw.per_call), ("approve_above", &raw.approve_above)] {
            for (asset, amount) in self.bounded(&format!("{at}.{name}"), raw, assets) {
                let bounds = limits.0.entry(asset).or_default();
                *(if name == "per_call" { &mut bounds.per_call } else { &mut bounds.approve_above }) =
                    Some(amount);
            }
        }
        for (span, name, hard, soft) in [
            (Span::Hour, "per_hour", &raw.per_hour, &warn.per_hour),
            (Span::Day, "per_day", &raw.per_day, &warn.per_day),
            (Span::Month, "per_month", &raw.per_month, &warn.per_month),
            (Span::Session, "per_session", &raw.per_session, &warn.per_session),
        ] {
            for (asset, amount) in self.bounded(&format!("{at}.{name}"), hard, assets) {
                limits.0.entry(asset).or_default().limit.insert(span, amount);
            }
            for (asset, amount) in self.bounded(&format!("{at}.warn.{name}"), soft, assets) {
                let bounds = limits.0.entry(asset).or_default();
                if bounds.limit.get(&span).is_some_and(|limit| amount > *limit) {
                    self.refuse(
                        &format!("{at}.warn.{name}"),
                        "is above the limit itself, so that nobody would be warned",
                    );
                }
                bounds.warn.insert(span, amount);
            }
        }
        limits
    }

    fn bounded(&mut self, at: &str, raw: &[String], assets: &Assets) -> Vec<(AssetId, Amount)> {
        let mut amounts = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, text) in raw.iter().enumerate() {
            let at = format!("{at}[{index}]");
            match assets.parse(text) {
                Ok(money) if !seen.insert(money.asset.id().clone()) => {
                    self.refuse(&at, format!("{} is there already", money.asset.symbol()));
                }
                Ok(money) => amounts.push((money.asset.id().clone(), money.amount)),
                Err(error) => self.refuse_money(&at, &error),
            }
        }
        amounts
    }
}

/// Nodes whose limits leave an asset out that is taken: a limit that can be walked around is said, never silent.
pub(super) fn unbounded(plan: &Plan, assets: &Assets) -> Vec<String> {
    let limited = plan.paths().filter(|branch| !branch.limits.0.is_empty());
    let left_out = |branch: &Branch| {
        let missing = assets.iter().filter(|asset| !branch.limits.0.contains_key(asset.id()));
        let missing: Vec<&str> = missing.map(|asset| asset.symbol()).collect();
        let path = &branch.path;
        (!missing.is_empty()).then(|| {
            format!(
                "the budget {path} says nothing of {}: payments in that are not bounded by it",
                missing.join(", ")
            )
        })
    };
    limited.filter_map(left_out).collect()
}

/// What is written takes the place of what is there.
trait Replace {
    fn replace(&mut self, written: Self);
}

impl Replace for Bounds {
    fn replace(&mut self, written: Self) {
        self.per_call = written.per_call.or(self.per_call);
        self.approve_above = written.approve_above.or(self.approve_above);
        self.limit.extend(written.limit);
        self.warn.extend(written.warn);
    }
}

/// The path of what holds for every caller is nobody else's.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= NAME_CHARS_MAX && name != PER_CALLER && name.bytes().all(allowed)
}

fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').map_or_else(|| digits(text), |(whole, fraction)| digits(whole) && digits(fraction))
}

fn not_a_number_of_tokens(value: &str, error: &MoneyError) -> String {
    format!("{value:?} is not a decimal number of whole tokens: {error}")
}
