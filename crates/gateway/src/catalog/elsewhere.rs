//! Tools that run elsewhere, in a program that asks the gate API before it runs one.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_domain::{Digest, ServerName, ToolName, ToolRef};
use tollgate_gate::Listed;

use super::{DEADLINE_MS, Tools, price_version};
use crate::config::ToolPolicy;

impl Tools {
    /// Adds the tools that run elsewhere: the operator's word is all that is known of them.
    #[must_use]
    pub fn with_elsewhere(mut self, servers: &BTreeMap<ServerName, BTreeMap<ToolName, ToolPolicy>>) -> Self {
        for (server, tools) in servers {
            for (tool, policy) in tools {
                let tool = ToolRef { server: server.clone(), tool: tool.clone() };
                self.elsewhere.insert(tool.clone(), Arc::new(listed(tool, policy)));
            }
        }
        self
    }

    /// A tool that runs elsewhere.
    pub fn elsewhere(&self, tool: &ToolRef) -> Option<&Arc<Listed>> {
        self.elsewhere.get(tool)
    }
}

fn listed(tool: ToolRef, policy: &ToolPolicy) -> Listed {
    Listed {
        tool,
        description: None,
        requirement: policy.requirement,
        price_version: price_version(&policy.price, None),
        price: policy.price.clone(),
        settle: policy.settle,
        overlaps: policy.overlaps,
        splits: policy.splits.clone(),
        schema: None,
        schema_digest: Digest::of(b"{}"),
        has_output_schema: false,
        deadline_ms: if policy.deadline_ms == 0 { DEADLINE_MS } else { policy.deadline_ms },
        withheld: None,
    }
}
