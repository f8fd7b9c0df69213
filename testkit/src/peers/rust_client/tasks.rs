//! What the Rust client's user sees of the tasks of [`crate::peers::task_server::TaskServer`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, GetTaskParams, ProtocolVersion,
    UpdateTaskParams,
};
use rmcp::service::{RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _};
use serde_json::{Value, json};

use super::transport::Hyper;
use super::user::User;
use crate::peers::PeerError;
use crate::peers::sdk_clients::Era;

/// How often a task is asked for, and how long between.
const POLLS_MAX: usize = 400;
const POLL_MS: u64 = 25;

/// What was seen of the tasks of one server.
#[derive(Clone, Debug)]
pub struct SeenTasks {
    /// One line for each step; no ids.
    pub story: Vec<Value>,
    /// The ids of all tasks.
    pub ids: BTreeSet<String>,
}

/// Has the client use the tools of a [`crate::peers::task_server::TaskServer`], named with `prefix` before their own names, at
/// `url`: every task to its end.
///
/// # Errors
/// [`PeerError::Refused`] when the client gives up.
pub async fn tasks(url: &str, prefix: &str) -> Result<SeenTasks, PeerError> {
    let refused = |step: &str, error: ServiceError| PeerError::refused(step, error.to_string());
    let transport = StreamableHttpClientTransport::with_client(
        Hyper::new(Arc::default()),
        StreamableHttpClientTransportConfig::with_uri(url),
    );
    let mode = ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    let (user, _seen) = User::with_tasks(Era::Modern);
    let client = user.serve_with_lifecycle(transport, mode).await;
    let client = client.map_err(|error| PeerError::refused("connect with rmcp", error.to_string()))?;
    let mut seen = Seen { client: &client, prefix, story: Vec::new(), ids: BTreeSet::new() };
    seen.tell().await.map_err(|error| refused("use tasks with rmcp", error))?;
    let Seen { story, ids, .. } = seen;
    let ended = client.cancel().await;
    ended.map_err(|error| PeerError::refused("end a session with rmcp", error.to_string()))?;
    Ok(SeenTasks { story, ids })
}

struct Seen<'a> {
    client: &'a RunningService<RoleClient, User>,
    prefix: &'a str,
    story: Vec<Value>,
    ids: BTreeSet<String>,
}

impl Seen<'_> {
    async fn tell(&mut self) -> Result<(), ServiceError> {
        let count = self.create("count").await?;
        let counted = self.until(&count, "completed").await?;
        self.say("count", &counted, "/result/content");

        let greet = self.create("greet").await?;
        let asked = self.until(&greet, "input_required").await?;
        self.say("asked", &asked, "/inputRequests");
        let answer = json!({ "who": { "action": "accept", "content": { "name": "Ada" } } });
        let answer = serde_json::from_value(answer).unwrap_or_default();
        self.client.update_task(UpdateTaskParams::new(greet.clone(), answer)).await?;
        let greeted = self.until(&greet, "completed").await?;
        self.say("greet", &greeted, "/result/content");

        let wait = self.create("wait").await?;
        let waiting = self.get(&wait).await?;
        self.say("wait", &waiting, "/status");
        self.client.cancel_task(CancelTaskParams::new(wait.clone())).await?;
        let cancelled = self.until(&wait, "cancelled").await?;
        self.say("cancel", &cancelled, "/status");

        let fail = self.create("fail").await?;
        let failed = self.until(&fail, "failed").await?;
        self.say("fail", &failed, "/error");

        let unknown = match self.get("nobody's").await {
            Err(ServiceError::McpError(error)) => json!({ "code": error.code.0 }),
            other => json!({ "unexpected": format!("{other:?}") }),
        };
        self.say("unknown", &unknown, "/code");
        Ok(())
    }

    fn say(&mut self, step: &str, seen: &Value, part: &str) {
        self.story.push(json!({ "step": step, "seen": seen.pointer(part) }));
    }

    /// Calls a tool, which must become a task, and gives its id.
    async fn create(&mut self, tool: &str) -> Result<String, ServiceError> {
        let response =
            self.client.call_tool_once(CallToolRequestParams::new(format!("{}{tool}", self.prefix)));
        let CallToolResponse::Task(created) = response.await? else {
            return Err(ServiceError::UnexpectedResponse);
        };
        let id = created.task.task_id.clone();
        self.ids.insert(id.clone());
        Ok(id)
    }

    /// A task as it stands, which must say its own id.
    async fn get(&self, id: &str) -> Result<Value, ServiceError> {
        let task = self.client.get_task(GetTaskParams::new(id)).await?;
        let task = serde_json::to_value(task).unwrap_or_default();
        if task.get("taskId").and_then(Value::as_str) != Some(id) {
            return Err(ServiceError::UnexpectedResponse);
        }
        Ok(task)
    }

    /// The task once it has this status.
    async fn until(&self, id: &str, status: &str) -> Result<Value, ServiceError> {
        for _ in 0..POLLS_MAX {
            let task = self.get(id).await?;
            if task.get("status").and_then(Value::as_str) == Some(status) {
                return Ok(task);
            }
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
        Err(ServiceError::UnexpectedResponse)
    }
}
