//! Everything that is counted, as Prometheus reads it (text format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

use tollgate_domain::Amount;
use tollgate_gate::Withheld;
use tollgate_ledger::budget::{Span, Spent};
use tollgate_ledger::escrow::EscrowState;
use tollgate_risk::Seen;

use super::instrument::{BOUNDS_NS, Snapshot};
use super::{LOST_LINES, LOST_METRICS, LOST_SPANS, PANICS, SUSPICIOUS_RESULTS};
use crate::gateway::Gateway;

/// The media type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Calls that were refused because the gateway is at its limit.
const SHED: [&str; 1] = ["store_busy"];
/// Denials by what an operator set, apart from payment and malformed requests.
const POLICY: [&str; 8] = [
    "unauthenticated",
    "trust_insufficient",
    "tool_not_approved",
    "price_above_maximum",
    "rate_limited",
    "budget_exceeded",
    "approval_required",
    "spending_stopped",
];

/// All metrics of a gateway. Every family is there from the start, with or without samples.
pub fn render(gateway: &Gateway) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    process(&mut page, gateway);
    calls(&mut page, gateway);
    money(&mut page, gateway);
    integrity(&mut page, gateway);
    page.0
}

fn process(page: &mut Page, gateway: &Gateway) {
    page.family("tollgate_build_info", "gauge", "Version and mode of this gateway; always 1.");
    page.sample(
        "tollgate_build_info",
        &[("version", env!("CARGO_PKG_VERSION")), ("mode", gateway.foundation.mode.word())],
        1,
    );
    page.gauge(
        "tollgate_start_time_seconds",
        "When this gateway started.",
        gateway.foundation.telemetry.started_seconds,
    );
    let draining = u8::from(gateway.foundation.readiness.is_draining());
    page.gauge("tollgate_draining", "Whether this gateway is on its way out.", draining);
    page.counter(
        "tollgate_panics_total",
        "Requests and tasks that ended in a panic: each is a bug.",
        PANICS.get(),
    );
    page.counter(
        "tollgate_log_lines_lost_total",
        "Lines of the log that were dropped because nobody read them fast enough.",
        LOST_LINES.get(),
    );
    page.counter(
        "tollgate_clock_steps_total",
        "How often the clock of this machine was set by more than a minute.",
        gateway.foundation.telemetry.look_at_clock().count(),
    );
    page.family(
        "tollgate_telemetry_lost_total",
        "counter",
        "Spans, and rounds of metrics, that were dropped because the collector took them too slowly or not at all.",
    );
    for (signal, lost) in [("spans", &LOST_SPANS), ("metrics", &LOST_METRICS)] {
        page.sample("tollgate_telemetry_lost_total", &[("signal", signal)], lost.get());
    }
}

fn calls(page: &mut Page, gateway: &Gateway) {
    let telemetry = &gateway.foundation.telemetry;
    page.family(
        "tollgate_calls_total",
        "counter",
        "Tool calls of servers with a policy, by tool and by how they ended: delivered, tool_failed, repeated, abandoned, or an error code.",
    );
    for (tool, outcome, count) in telemetry.tools.counts() {
        let (server, tool) =
            tool.map_or(("other", "other"), |tool| (tool.server.as_str(), tool.tool.as_str()));
        page.sample(
            "tollgate_calls_total",
            &[("server", server), ("tool", tool), ("outcome", outcome)],
            count,
        );
    }
    for (name, help, histogram) in [
        ("tollgate_call_duration_seconds", "From a call's arrival to its ending.", &telemetry.call),
        (
            "tollgate_overhead_seconds",
            "The part of it that was not spent waiting for the tool's server.",
            &telemetry.overhead,
        ),
        (
            "tollgate_upstream_duration_seconds",
            "The part that was; calls that were carried out only.",
            &telemetry.upstream,
        ),
    ] {
        page.histogram(name, help, &histogram.snapshot());
    }
    page.gauge("tollgate_inflight", "Tool calls that have not ended yet.", telemetry.inflight.get());
    page.gauge(
        "tollgate_bodies_bytes",
        "Memory that bodies of requests under way hold together, beyond small ones.",
        gateway.foundation.room.taken(),
    );
    page.counter(
        "tollgate_bodies_refused_total",
        "Requests whose body found no room.",
        gateway.foundation.room.refused(),
    );
    page.gauge(
        "tollgate_answers_bytes",
        "Memory that answers and messages of servers hold together while they are whole, beyond small ones.",
        gateway.foundation.answers.taken(),
    );
    page.counter(
        "tollgate_answers_refused_total",
        "Answers and messages of servers that found no room.",
        gateway.foundation.answers.refused(),
    );
    page.gauge(
        "tollgate_sse_streams",
        "Event streams that are open to callers of servers with a policy.",
        telemetry.streams.get(),
    );
    page.family("tollgate_shed_total", "counter", "Calls refused because the gateway is at its limit.");
    for reason in SHED {
        page.sample("tollgate_shed_total", &[("reason", reason)], telemetry.tools.total(reason));
    }
    page.family("tollgate_policy_denials_total", "counter", "Calls refused by policy.");
    for reason in POLICY {
        page.sample("tollgate_policy_denials_total", &[("reason", reason)], telemetry.tools.total(reason));
    }
    limits(page, gateway);
    page.family(
        "tollgate_suspicious_results_total",
        "counter",
        "Answers of tools in which the scan found something serious.",
    );
    for (action, counter) in &SUSPICIOUS_RESULTS {
        page.sample("tollgate_suspicious_results_total", &[("action", action)], counter.get());
    }
    let listed = gateway.tools.servers().flat_map(|server| gateway.tools.of(server));
    let drifted = listed.filter(|tool| matches!(tool.withheld, Some(Withheld::Drifted(_)))).count();
    page.gauge(
        "tollgate_pins_drift",
        "Tools that are withheld because their definition changed after it was approved.",
        drifted,
    );
}

/// Limits have names that the operator chose, and are as many as the configuration says.
fn limits(page: &mut Page, gateway: &Gateway) {
    let limits: Vec<Seen> = gateway.gate.ports().limits.seen().collect();
    page.family("tollgate_rate_limited_total", "counter", "Refusals because a limit was reached, by limit.");
    for seen in &limits {
        page.sample("tollgate_rate_limited_total", &[("limit", &seen.label.name)], seen.refused);
    }
    let (at_once, refused) = gateway.crowd.seen();
    page.sample("tollgate_rate_limited_total", &[("limit", &at_once.name)], refused);
    page.family(
        "tollgate_rate_limit_keys",
        "gauge",
        "How many callers a limit remembers, because they used some of it.",
    );
    for seen in &limits {
        page.sample("tollgate_rate_limit_keys", &[("limit", &seen.label.name)], seen.keys);
    }
    page.sample("tollgate_rate_limit_keys", &[("limit", &at_once.name)], gateway.crowd.callers());
}

fn money(page: &mut Page, gateway: &Gateway) {
    let telemetry = &gateway.foundation.telemetry;
    page.counter("tollgate_challenges_total", "Answers that demanded a payment.", telemetry.challenges.get());
    page.family("tollgate_payments_total", "counter", "Calls with a claimed payment, by rail and by what had become of the money when the caller was answered.");
    for (rail, outcome, count) in telemetry.payments.counts() {
        let rail = rail.to_string();
        page.sample("tollgate_payments_total", &[("rail", &rail), ("outcome", outcome)], count);
    }
    page.family(
        "tollgate_escrows_total",
        "counter",
        "Escrows that came to a state at this gateway since its start, by asset.",
    );
    for (asset, state, count) in telemetry.escrows.counts() {
        page.sample("tollgate_escrows_total", &[("asset", asset.as_str()), ("state", state)], count);
    }
    let open: BTreeMap<&str, u64> = telemetry.surveyed.open_escrows.lock().iter().copied().collect();
    page.family(
        "tollgate_escrows_open",
        "gauge",
        "Escrows that have not ended, by state; from the ledger, over restarts and gateways.",
    );
    for state in EscrowState::OPEN_WORDS {
        let count = open.get(state).copied().unwrap_or_default();
        page.sample("tollgate_escrows_open", &[("state", state)], count);
    }
    page.counter(
        "tollgate_replays_blocked_total",
        "Payments refused because they were used before.",
        telemetry.tools.total("payment_replayed"),
    );
    let surveyed = &telemetry.surveyed;
    page.gauge(
        "tollgate_settlement_pending",
        "Settlements whose tool has answered and whose money is not decided yet.",
        surveyed.pending.load(Ordering::Relaxed),
    );
    page.family("tollgate_settlement_age_seconds_max", "gauge", "How long the oldest of them has been open.");
    let age_ns = surveyed.age_max_ms.load(Ordering::Relaxed).saturating_mul(1_000_000);
    page.sample("tollgate_settlement_age_seconds_max", &[], Seconds(age_ns));
    page.family(
        "tollgate_revenue_atomic_total",
        "counter",
        "What is booked as earned, in the smallest unit of each asset; from the ledger, over restarts.",
    );
    for (asset, earned) in &*surveyed.earned.lock() {
        page.sample("tollgate_revenue_atomic_total", &[("asset", asset.as_str())], earned);
    }
    budgets(page, gateway);
}

/// Nodes have names that the operator chose, and are as many as the configuration says; callers are not told apart.
fn budgets(page: &mut Page, gateway: &Gateway) {
    let telemetry = &gateway.foundation.telemetry;
    page.family(
        "tollgate_budget_warnings_total",
        "counter",
        "Soft limits of budgets that were passed, by the window that they are over.",
    );
    for (span, counter) in Span::ALL.into_iter().zip(&telemetry.budget_warnings) {
        page.sample("tollgate_budget_warnings_total", &[("window", span.word())], counter.get());
    }
    let surveyed = &telemetry.surveyed;
    page.gauge(
        "tollgate_approvals_waiting",
        "Calls that wait for an operator's approval.",
        surveyed.approvals_waiting.load(Ordering::Relaxed),
    );
    page.gauge(
        "tollgate_spending_stops",
        "What an operator has stopped from spending.",
        surveyed.stops.load(Ordering::Relaxed),
    );
    let used = "What is used of a budget that callers share, in the smallest unit of the asset.";
    let limit = "The most that may be used of it in one window.";
    let spent = surveyed.budgets.lock();
    for (name, help, amount) in [
        ("tollgate_budget_used_atomic", used, (|line| Some(line.used)) as fn(&Spent) -> Option<Amount>),
        ("tollgate_budget_limit_atomic", limit, |line| line.limit),
    ] {
        page.family(name, "gauge", help);
        for line in &*spent {
            let labels =
                [("node", line.node.path()), ("window", line.span.word()), ("asset", line.asset.as_str())];
            if let Some(amount) = amount(line) {
                page.sample(name, &labels, amount);
            }
        }
    }
}

fn integrity(page: &mut Page, gateway: &Gateway) {
    let open = u8::from(gateway.gate.ports().store.is_open());
    page.gauge(
        "tollgate_ledger_open",
        "Whether money operations are accepted: not after the disk failed.",
        open,
    );
    page.histogram(
        "tollgate_db_commit_seconds",
        "How long commits of the ledger take.",
        &gateway.foundation.telemetry.commits.seconds.snapshot(),
    );
    // Nothing is said of books that were not looked at yet.
    let checked = *gateway.foundation.telemetry.surveyed.checked.lock();
    for (name, help, value) in [
        (
            "tollgate_ledger_invariant_ok",
            "Whether the last check found the books in order.",
            checked.map(|checked| u64::from(checked.books_ok)),
        ),
        (
            "tollgate_audit_chain_ok",
            "Whether the last check found every receipt in its place of the chain.",
            checked.map(|checked| u64::from(checked.receipts_ok)),
        ),
        (
            "tollgate_ledger_checked_time_seconds",
            "When the last check ended.",
            checked.map(|checked| checked.at_seconds),
        ),
    ] {
        page.family(name, "gauge", help);
        if let Some(value) = value {
            page.sample(name, &[], value);
        }
    }
}

/// A page under way.
struct Page(String);

impl Page {
    /// Writing to a `String` cannot fail.
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).unwrap_or_default();
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            escape(&mut self.0, text);
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.put(format_args!(" {value}\n"));
    }

    fn histogram(&mut self, name: &str, help: &str, seen: &Snapshot) {
        self.family(name, "histogram", help);
        for (bound, count) in BOUNDS_NS.into_iter().zip(seen.up_to) {
            self.put(format_args!("{name}_bucket{{le=\"{}\"}} {count}\n", Seconds(bound)));
        }
        self.put(format_args!("{name}_bucket{{le=\"+Inf\"}} {}\n", seen.count));
        self.put(format_args!("{name}_sum {}\n{name}_count {}\n", Seconds(seen.sum_ns), seen.count));
    }
}

/// Nanoseconds as a decimal number of seconds, without a float.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, fraction) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:09}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// A label's value: tool names come from servers, and may hold anything but control characters.
fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_strangers_cannot_break_out_and_seconds_are_exact() {
        let mut page = Page(String::new());
        page.sample("m", &[("tool", "a\"} 1\\\nb"), ("outcome", "delivered")], Seconds(1_050_000_000));
        assert_eq!(page.0, "m{tool=\"a\\\"} 1\\\\\\nb\",outcome=\"delivered\"} 1.05\n");
        for (ns, text) in [(0, "0"), (50_000, "0.00005"), (60_000_000_000, "60"), (1, "0.000000001")] {
            assert_eq!(Seconds(ns).to_string(), text);
        }
    }
}
