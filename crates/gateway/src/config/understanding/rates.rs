//! How often callers may come, and whose word on their address is taken.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use tollgate_domain::{ServerName, ToolName, ToolRef};
use tollgate_risk::{Counts, Label, Part, Per, Plan, Rate, Refill, Rule, Scope, TooHeavy, Weights};

use super::super::raw::{
    RawConfig, RawCounts, RawForwarded, RawPer, RawProxies, RawRate, RawServer, RawTool,
};
use tollgate_store::SHARED_FULL_MS_MAX;
use tollgate_till::per_minute;

use super::Reader;
use crate::proxies::{ForwardedIn, Network, TrustedProxies};

/// Each has memory of its own for callers.
const RATES_MAX: usize = 256;
const NAME_CHARS_MAX: usize = 64;

impl Reader<'_> {
    /// All limits on how often callers may come, wherever they stand.
    pub(super) fn rates(&mut self, raw: &RawConfig) -> Plan {
        let limits = &raw.limits;
        let mut rules =
            per_minute(limits.calls_per_minute.unwrap_or(6_000), limits.offers_per_minute.unwrap_or(600));
        let mut weights = Vec::new();
        self.rules(&mut rules, "limits", &Scope::Gateway, &raw.limits.rates);
        for (name, server) in &raw.servers {
            // A name that is none is reported where the servers are read.
            let Ok(name) = name.parse::<ServerName>() else { continue };
            weights.push(self.server_rates(&mut rules, &name, server));
        }
        if rules.len() > RATES_MAX {
            self.refuse(
                "limits.rates",
                format!("more than {RATES_MAX} limits, those of servers and tools included"),
            );
        }
        let mut names = BTreeSet::new();
        for rule in &rules {
            if !names.insert(rule.label.name.as_str()) {
                self.refuse("limits.rates", format!("two limits have the name {:?}", rule.label.name));
            }
        }
        Plan::new(rules, weights).unwrap_or_else(|heavy| {
            heavy.iter().for_each(|heavy| self.too_heavy(heavy));
            Plan::default()
        })
    }

    fn server_rates(&mut self, rules: &mut Vec<Rule>, name: &ServerName, raw: &RawServer) -> Weights {
        let at = format!("servers.{name}");
        let has_policy = !raw.tools.is_empty() || raw.every_tool.is_some();
        for (index, rate) in raw.rates.iter().enumerate() {
            let of_requests = rate.of == RawCounts::Requests;
            let place = format!("{at}.rates[{index}].of");
            if !of_requests && !has_policy {
                self.refuse(
                    &place,
                    "this server has no policy: it is streamed unparsed, so its calls are not seen; add `every_tool: {}`, or count `requests`",
                );
            }
            if of_requests && raw.gate {
                self.refuse(
                    &place,
                    "with `gate: true` there is no door for requests; count `calls` or `offers`",
                );
            }
        }
        self.rules(rules, &at, &Scope::Server(name.clone()), &raw.rates);
        let mut tools = Vec::new();
        for (tool, policy) in &raw.tools {
            let at = format!("{at}.tools.{tool}");
            let Ok(tool) = tool.parse::<ToolName>() else { continue };
            let scope = Scope::Tool(ToolRef { server: name.clone(), tool: tool.clone() });
            tools.push((tool, self.tool_rates(rules, &at, &scope, policy)));
        }
        let others = raw.every_tool.as_ref().map_or(NonZeroU32::MIN, |policy| {
            let scope = Scope::OtherTools(name.clone());
            self.tool_rates(rules, &format!("{at}.every_tool"), &scope, policy)
        });
        Weights { server: name.clone(), tools, others }
    }

    fn tool_rates(&mut self, rules: &mut Vec<Rule>, at: &str, scope: &Scope, raw: &RawTool) -> NonZeroU32 {
        for (index, _) in raw.rates.iter().enumerate().filter(|(_, rate)| rate.of == RawCounts::Requests) {
            self.refuse(
                &format!("{at}.rates[{index}].of"),
                "requests are counted before their tool is known: set this limit on the server, or count `calls`",
            );
        }
        self.rules(rules, at, scope, &raw.rates);
        NonZeroU32::new(raw.weight.unwrap_or(1)).unwrap_or_else(|| {
            self.refuse(&format!("{at}.weight"), "is not at least 1");
            NonZeroU32::MIN
        })
    }

    fn rules(&mut self, rules: &mut Vec<Rule>, at: &str, scope: &Scope, raw: &[RawRate]) {
        for (index, raw) in raw.iter().enumerate() {
            rules.extend(self.rule(&format!("{at}.rates[{index}]"), scope, raw));
        }
    }

    fn rule(&mut self, at: &str, scope: &Scope, raw: &RawRate) -> Option<Rule> {
        let refill: Option<Refill> = match raw.rate.parse() {
            Ok(refill) => Some(refill),
            Err(error) => {
                self.refuse(&format!("{at}.rate"), error.to_string());
                None
            }
        };
        let burst = raw.burst.map(|burst| NonZeroU32::new(burst).ok_or(()));
        if burst == Some(Err(())) {
            self.refuse(&format!("{at}.burst"), "is not at least 1");
        }
        let counts = match raw.of {
            RawCounts::Calls => Counts::Calls,
            RawCounts::Offers => Counts::Offers,
            RawCounts::Requests => Counts::Requests,
        };
        let mut per = self.per(&format!("{at}.per"), counts, raw.per.as_ref())?;
        if matches!(scope, Scope::OtherTools(_)) {
            per = per.and(Part::Tool); // each of them for itself
        }
        let name = match &raw.name {
            Some(name) => self.limit_name(&format!("{at}.name"), name)?,
            None => at.to_owned(),
        };
        let (refill, burst) = (refill?, burst.transpose().ok()?);
        let rate = Rate::of(refill, burst);
        if raw.shared {
            self.shared(&format!("{at}.shared"), counts, rate);
        }
        let label = Label { name, rate: refill.to_string(), per: per.to_string() };
        Some(Rule { label: Arc::new(label), counts, scope: scope.clone(), per, rate, shared: raw.shared })
    }

    fn shared(&mut self, at: &str, counts: Counts, rate: Rate) {
        if counts != Counts::Calls {
            self.refuse(at, "only `calls` are counted by all gateways together");
        }
        if !self.has_database {
            self.refuse(at, "gateways count together in the database that they share: set `database.url`");
        }
        if rate.full_ms() > SHARED_FULL_MS_MAX {
            self.refuse(at, "a burst that takes more than ten years to come back cannot be shared");
        }
    }

    fn per(&mut self, at: &str, counts: Counts, raw: Option<&RawPer>) -> Option<Per> {
        let Some(RawPer(words)) = raw else {
            return Some(Per::of([if counts == Counts::Requests { Part::Address } else { Part::Caller }]));
        };
        if words.as_slice() == ["all"] {
            return Some(Per::default());
        }
        if words.is_empty() {
            self.refuse(at, "names nothing; write `all` for one limit that everybody shares");
            return None;
        }
        let mut parts = Vec::new();
        for word in words {
            match word.parse::<Part>() {
                Ok(part @ (Part::Caller | Part::Tool)) if counts == Counts::Requests => {
                    self.refuse(
                        at,
                        format!("requests are counted before their {word} is known: count `calls`, or per `address`"),
                    );
                    parts.push(part);
                }
                Ok(part) => parts.push(part),
                Err(error) => {
                    self.refuse(at, format!("{error}; `all` stands alone"));
                    return None;
                }
            }
        }
        Some(Per::of(parts))
    }

    fn limit_name(&mut self, at: &str, name: &str) -> Option<String> {
        let is_visible = name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !is_visible {
            self.refuse(at, format!("is not 1 to {NAME_CHARS_MAX} characters of ASCII"));
            return None;
        }
        Some(name.to_owned())
    }

    fn too_heavy(&mut self, heavy: &TooHeavy) {
        let TooHeavy { server, tool, .. } = heavy;
        let place = match tool {
            Some(tool) => format!("servers.{server}.tools.{tool}.weight"),
            None => format!("servers.{server}.every_tool.weight"),
        };
        self.refuse(&place, heavy.to_string());
    }

    pub(super) fn proxies(&mut self, raw: &RawProxies) -> TrustedProxies {
        let mut networks = Vec::new();
        for (index, text) in raw.addresses.iter().enumerate() {
            let at = format!("trusted_proxies.addresses[{index}]");
            let network: Option<Network> =
                self.parse(&at, text, "an address, or a network such as 10.0.0.0/8");
            networks.extend(network);
        }
        let header = match raw.header {
            RawForwarded::XForwardedFor => ForwardedIn::XForwardedFor,
            RawForwarded::Forwarded => ForwardedIn::Forwarded,
        };
        TrustedProxies::new(networks, header)
    }
}
