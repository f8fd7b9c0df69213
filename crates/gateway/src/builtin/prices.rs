//! What there is, and what it costs.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tollgate_gate::{Catalog, Denial, Listed, Viewer, pricing};

use super::Refused;
use crate::clock;
use crate::gateway::Gateway;

const LIMIT: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Search {
    query: String,
    server: Option<String>,
    include_free: bool,
    limit: usize,
}

impl Default for Search {
    fn default() -> Self {
        Self { query: String::new(), server: None, include_free: true, limit: LIMIT }
    }
}

/// The tools that fit, those that fit best first.
pub(super) fn for_sale(gateway: &Gateway, search: &Search) -> Value {
    let query = search.query.to_lowercase();
    let words: Vec<&str> = query.split_whitespace().collect();
    let all = gateway.tools.all();
    let is_asked = |listed: &&Arc<Listed>| {
        gateway.tools.is_shown_to(&Viewer::stranger(), &listed.tool)
            && search.server.as_deref().is_none_or(|server| listed.tool.server.as_str() == server)
            && (search.include_free || !listed.price.is_free())
    };
    let mut found: Vec<(usize, &Arc<Listed>)> = all
        .iter()
        .filter(is_asked)
        .map(|listed| (hits(listed, &words), listed))
        .filter(|(hits, _)| words.is_empty() || *hits > 0)
        .collect();
    found.sort_by_key(|(hits, _)| std::cmp::Reverse(*hits));
    let tools: Vec<Value> =
        found.iter().take(search.limit).map(|(_, listed)| offered(gateway, listed)).collect();
    json!({ "tools": tools, "found": found.len(), "mode": gateway.foundation.mode.word() })
}

/// How many of the words a tool has in its names or in its description.
fn hits(listed: &Listed, words: &[&str]) -> usize {
    let text = format!(
        "{} {} {}",
        listed.tool.server,
        listed.tool.tool,
        listed.description.as_deref().unwrap_or_default()
    )
    .to_lowercase();
    words.iter().filter(|word| text.contains(**word)).count()
}

fn offered(gateway: &Gateway, listed: &Listed) -> Value {
    json!({
        "server": listed.tool.server,
        "tool": listed.tool.tool,
        "description": listed.description,
        "pricing": pricing(&listed.price),
        "requirement": {
            "api_key": listed.requirement.api_key, "min_reputation": listed.requirement.min_reputation,
        },
        "mcp_url": format!("{}/servers/{}/mcp", gateway.config.public_url, listed.tool.server),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Question<'a> {
    tool: String,
    #[serde(default)]
    server: Option<String>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

/// What a call would cost now. Nothing is reserved and no invoice is drawn: whoever calls is told the price again.
pub(super) async fn price_of(gateway: &Gateway, question: &Question<'_>) -> Result<Value, Refused> {
    let name = match &question.server {
        Some(server) => format!("{server}/{}", question.tool),
        None => question.tool.clone(),
    };
    let tool = crate::doors::resolve(gateway, &name).await?;
    gateway.tools.ready(&tool, clock::now()).await.map_err(|error| Refused::Faulted(error.fault()))?;
    let listed = gateway.tools.tool(&tool).ok_or_else(|| Denial::UnknownTool(tool.clone()))?;
    if let Some(why) = listed.withheld {
        return Err(Denial::ToolNotApproved { tool, why }.into());
    }
    if let (Some(arguments), Some(schema)) = (question.arguments, &listed.schema) {
        schema.check(arguments.get().as_bytes()).map_err(Denial::InvalidArguments)?;
    }
    let mut said = offered(gateway, &listed);
    if let Some(members) = said.as_object_mut() {
        members.insert("arguments_checked".to_owned(), json!(question.arguments.is_some()));
        members.insert("quote_seconds".to_owned(), json!(gateway.config.quote_ttl_ms / 1_000));
        members.insert("mode".to_owned(), json!(gateway.foundation.mode.word()));
    }
    Ok(said)
}
