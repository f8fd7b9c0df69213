//! What the client's user does with the fixture, step by step.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, ReadResourceRequestParams,
    ServerNotification, SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams,
};
use rmcp::service::{PeerRequestOptions, RunningService, ServiceError};
use serde_json::{Value, json};

use super::user::{Seen, User};
use crate::peers::sdk_clients::Era;

/// A cancellation travels on its own: how often its effect is asked for, and how long between.
const POLLS_MAX: usize = 200;
const POLL_MS: u64 = 25;
/// What the fixture's tool with progress reports.
const REPORTS: usize = 3;

/// One client, and what its user has seen.
pub(super) struct Story<'a> {
    client: &'a RunningService<RoleClient, User>,
    seen: Seen,
    resumptions: Arc<AtomicUsize>,
    told: Vec<Value>,
}

impl<'a> Story<'a> {
    pub(super) fn new(
        client: &'a RunningService<RoleClient, User>,
        seen: Seen,
        resumptions: Arc<AtomicUsize>,
    ) -> Self {
        Self { client, seen, resumptions, told: Vec::new() }
    }

    /// The steps of every SDK, in their order.
    pub(super) async fn tell(mut self, era: Era) -> Result<Vec<Value>, ServiceError> {
        self.say("connect", json!({ "era": era.name() }));
        let list = json!({
            "tools": self.client.list_all_tools().await?,
            "resources": self.client.list_all_resources().await?,
            "prompts": self.client.list_all_prompts().await?,
        });
        self.say("list", list);
        let image = self.call("test_image_content", json!({})).await?;
        let seen = json!({ "text": self.text("test_simple_text", json!({})).await?, "image": at(&image, "/content/0") });
        self.say("call", seen);
        let failed = self.call("test_error_handling", json!({})).await?;
        self.say(
            "fail",
            json!({ "isError": at(&failed, "/isError"), "text": at(&failed, "/content/0/text") }),
        );
        let read =
            self.client.read_resource(ReadResourceRequestParams::new("test://template/7/data")).await?;
        self.say("read", json!({ "contents": read.contents }));

        while self.seen.progress.try_recv().is_ok() {}
        let text = self.text("test_tool_with_progress", json!({})).await?;
        let progress = self.reports().await;
        self.say("progress", json!({ "text": text, "progress": progress }));

        self.asks("elicit", "test_elicitation", json!({ "message": "Who?" })).await?;
        self.asks("sample", "test_sampling", json!({ "prompt": "Where?" })).await?;
        self.asks("several", "test_input_required_result_multiple_inputs", json!({})).await?;
        self.asks("rounds", "test_input_required_result_multi_round", json!({})).await?;
        let cancelled = self.cancel().await?;
        self.say("cancel", cancelled);
        match era {
            Era::Modern => {
                let changed = self.listen().await?;
                self.say("listen", json!({ "changed": changed }));
            }
            Era::Legacy => {
                let resumed = self.resume().await;
                self.say("resume", resumed);
                let subscribed = self.subscribe("test://watched-resource").await?;
                self.say("subscribe", json!({ "changed": subscribed }));
            }
        }
        Ok(self.told)
    }

    fn say(&mut self, step: &str, seen: Value) {
        self.told.push(with(seen, "step", json!(step)));
    }

    async fn call(&self, tool: &'static str, arguments: Value) -> Result<Value, ServiceError> {
        let result: CallToolResult = self.client.call_tool(params(tool, arguments)).await?;
        Ok(serde_json::to_value(result).unwrap_or_default())
    }

    async fn text(&self, tool: &'static str, arguments: Value) -> Result<Value, ServiceError> {
        Ok(at(&self.call(tool, arguments).await?, "/content/0/text"))
    }

    /// A call in which the server asks something.
    async fn asks(&mut self, step: &str, tool: &'static str, arguments: Value) -> Result<(), ServiceError> {
        let text = self.text(tool, arguments).await?;
        let mut asked = std::mem::take(&mut *self.seen.asked.lock());
        if step == "several" {
            asked.sort();
        }
        self.say(step, json!({ "text": text, "asked": asked }));
        Ok(())
    }

    /// The reports of one call. Each is handled on its own, so that they may be noted after the answer and in any order.
    async fn reports(&mut self) -> Vec<i64> {
        let mut progress = Vec::new();
        while progress.len() < REPORTS {
            let Some(report) = self.seen.progress.recv().await else { break };
            progress.push(report);
        }
        progress.sort_by(f64::total_cmp);
        progress.into_iter().filter_map(|report| format!("{report:.0}").parse().ok()).collect()
    }

    /// Cancels a call that has begun, and sees it end in the server: the fixture counts.
    async fn cancel(&mut self) -> Result<Value, ServiceError> {
        let before = self.count_cancelled().await?;
        while self.seen.progress.try_recv().is_ok() {}
        let request = CallToolRequest::new(params("wait_until_cancelled", json!({})));
        let options = PeerRequestOptions::no_options();
        let request = ClientRequest::CallToolRequest(request);
        let handle = self.client.send_cancellable_request(request, options).await?;
        // It has begun.
        let begun = self.seen.progress.recv().await.is_some();
        handle.cancel(Some("no longer wanted".to_owned())).await?;
        let mut cancelled = 0;
        for _ in 0..POLLS_MAX {
            cancelled = self.count_cancelled().await? - before;
            if cancelled > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
        Ok(json!({ "refused": begun, "cancelled": cancelled }))
    }

    async fn count_cancelled(&self) -> Result<i64, ServiceError> {
        let count = self.text("count_cancelled", json!({})).await?;
        Ok(count.as_str().and_then(|count| count.parse().ok()).unwrap_or_default())
    }

    /// Whether a change that a tool announces arrives on a stream of subscriptions.
    async fn listen(&self) -> Result<bool, ServiceError> {
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        let mut subscription = self.client.listen(filter).await?;
        self.call("test_trigger_tool_change", json!({})).await?;
        let seen = subscription.next().await?;
        subscription.cancel().await?;
        Ok(matches!(seen, Some(ServerNotification::ToolListChangedNotification(_))))
    }

    /// Calls a tool whose stream the server hangs up: its answer comes on the resumed one.
    async fn resume(&self) -> Value {
        let before = self.resumptions.load(Ordering::Relaxed);
        let seen = match self.text("test_reconnection", json!({})).await {
            Ok(text) => json!({ "text": text }),
            Err(ServiceError::McpError(error)) => {
                let code = error.data.as_ref().and_then(|data| data.get("error").cloned());
                json!({ "refused": code.unwrap_or_else(|| json!(error.message)) })
            }
            Err(error) => json!({ "refused": error.to_string() }),
        };
        let resumptions = self.resumptions.load(Ordering::Relaxed) - before;
        with(seen, "resumptions", json!(resumptions))
    }

    #[expect(deprecated, reason = "what this step is about")]
    async fn subscribe(&self, uri: &str) -> Result<bool, ServiceError> {
        self.client.subscribe(SubscribeRequestParams::new(uri)).await?;
        self.client.unsubscribe(UnsubscribeRequestParams::new(uri)).await?;
        Ok(true)
    }
}

fn params(tool: &'static str, arguments: Value) -> CallToolRequestParams {
    let mut params = CallToolRequestParams::new(tool);
    params.arguments = arguments.as_object().cloned();
    params
}

/// A part of a value, or null.
fn at(value: &Value, place: &str) -> Value {
    value.pointer(place).cloned().unwrap_or_default()
}

/// An object with one more member.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
    object
}
