//! What is known of the tools of servers that another configuration leaves where they are.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tollgate_domain::ToolName;
use tollgate_gate::Listed;
use tollgate_registry::Drift;

use super::{DEADLINE_MS, Entry, ServerTools, Tools, price_version};
use crate::config::{Server, ToolPolicy};

impl Tools {
    /// Takes over the lists that were read over ways which stay, under the policy that counts now: no call waits for a list
    /// because a price has changed.
    #[must_use]
    pub fn following(mut self, previous: &Self) -> Self {
        for (name, server) in &mut self.servers {
            let Some(before) = previous.servers.get(name) else { continue };
            if !Arc::ptr_eq(&server.client, &before.client) {
                continue;
            }
            if server.policy == before.policy {
                *server = Arc::clone(before);
                continue;
            }
            let shown = Arc::clone(&before.shown);
            let is_judged_alike = server.policy.pins == before.policy.pins
                && server.policy.has_policy() == before.policy.has_policy();
            if !is_judged_alike {
                *server = Arc::new(ServerTools {
                    policy: server.policy.clone(),
                    client: Arc::clone(&before.client),
                    listed: ArcSwapOption::empty(),
                    asked: Mutex::default(),
                    shown,
                    beside: Arc::clone(&before.beside),
                    missing: parking_lot::Mutex::default(),
                });
                continue;
            }
            // A list that is being read now goes to the older policy alone: it counts as not read here.
            let asked = before.asked.try_lock().map_or(None, |asked| *asked);
            let policy = server.policy.clone();
            let listed = before.listed.load_full().map(|listed| Arc::new(under(&listed, &policy)));
            *server = Arc::new(ServerTools {
                policy,
                client: Arc::clone(&before.client),
                listed: ArcSwapOption::new(listed),
                asked: Mutex::new(asked),
                shown,
                beside: Arc::clone(&before.beside),
                missing: parking_lot::Mutex::default(),
            });
        }
        self
    }
}

/// A list under another policy.
fn under(listed: &HashMap<ToolName, Entry>, policy: &Server) -> HashMap<ToolName, Entry> {
    let entry = |(name, entry): (&ToolName, &Entry)| {
        let ToolPolicy { price, settle, overlaps, splits, requirement, deadline_ms, .. } =
            policy.policy(name);
        let definition = entry.definition.as_ref().filter(|_| policy.pins.drift != Drift::Off);
        let listed = Listed {
            requirement,
            price_version: price_version(&price, definition),
            price,
            settle,
            overlaps,
            splits,
            deadline_ms: if deadline_ms == 0 { DEADLINE_MS } else { deadline_ms },
            ..entry.listed.as_ref().clone()
        };
        (name.clone(), Entry { listed: Arc::new(listed), ..entry.clone() })
    };
    listed.iter().map(entry).collect()
}
