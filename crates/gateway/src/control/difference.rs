//! What is different between two configurations, and what may be while a gateway runs.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::config::{Config, Settings};

/// What is different between two configurations.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Difference {
    /// Servers that are new.
    pub added: Vec<String>,
    /// Servers that are gone.
    pub removed: Vec<String>,
    /// Servers whose settings are others.
    pub changed: Vec<String>,
    /// Other settings, by their first name.
    pub settings: Vec<String>,
}

impl Difference {
    /// From one to the next.
    pub fn between(before: &Settings, after: &Settings) -> Self {
        let mut difference = Self::default();
        let (before, after) = (members(&before.effective), members(&after.effective));
        let (old, new) = (member(before, "servers"), member(after, "servers"));
        for name in names(old, new) {
            match (old.get(name), new.get(name)) {
                (None, Some(_)) => difference.added.push(name.clone()),
                (Some(_), None) => difference.removed.push(name.clone()),
                (old, new) if old != new => difference.changed.push(name.clone()),
                _ => {}
            }
        }
        let others = names(before, after).into_iter().filter(|name| *name != "servers");
        difference.settings.extend(others.filter(|name| before.get(*name) != after.get(*name)).cloned());
        difference
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

fn members(tree: &Value) -> &Map<String, Value> {
    tree.as_object().unwrap_or(&NOTHING)
}

fn member<'a>(tree: &'a Map<String, Value>, name: &str) -> &'a Map<String, Value> {
    tree.get(name).map_or(&NOTHING, members)
}

fn names<'a>(before: &'a Map<String, Value>, after: &'a Map<String, Value>) -> BTreeSet<&'a String> {
    before.keys().chain(after.keys()).collect()
}

/// The settings that are different and stay what they are as long as the process lives.
pub(super) fn needing_restart(now: &Config, next: &Config) -> Vec<&'static str> {
    let Config {
        listen,
        data,
        public_url,
        tls,
        x402,
        lightning,
        secret,
        limits,
        receipts,
        otlp,
        database,
        payouts,
        ..
    } = now;
    let compared = [
        ("listen", *listen == next.listen),
        ("data", *data == next.data),
        ("database", *database == next.database),
        ("public_url", *public_url == next.public_url),
        ("tls", *tls == next.tls),
        ("payment.x402", *x402 == next.x402),
        ("payment.lightning", *lightning == next.lightning),
        (
            "payouts: confirmations, lnbits_admin_key, the first provider or limit of wallet_credit",
            payouts.funding == next.payouts.funding,
        ),
        ("GATE_HMAC_SECRET", *secret == next.secret),
        ("limits.body_bytes_max", limits.body_bytes_max == next.limits.body_bytes_max),
        ("limits.bodies_bytes_max", limits.bodies_bytes_max == next.limits.bodies_bytes_max),
        ("limits.answer_bytes_max", limits.answer_bytes_max == next.limits.answer_bytes_max),
        ("limits.answers_bytes_max", limits.answers_bytes_max == next.limits.answers_bytes_max),
        ("limits.connections_max", limits.connections_max == next.limits.connections_max),
        ("telemetry", *otlp == next.otlp),
        ("receipts.result_ttl_seconds", receipts.result_ttl_ms == next.receipts.result_ttl_ms),
    ];
    compared.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
}
