//! What the client's user answers when a server asks, and what it notes of it.
#![expect(deprecated, reason = "sampling and roots leave the protocol; servers of today use them")]

use std::sync::Arc;

use parking_lot::Mutex;
use rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams,
    ElicitResult, ElicitationAction, Implementation, ListRootsResult, ProgressNotificationParam,
    ProtocolVersion, Root, TASKS_EXTENSION_ID,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ClientHandler, ErrorData, RoleClient};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::peers::sdk_clients::Era;

/// More reports than any tool of the fixture makes.
const REPORTS_MAX: usize = 64;

/// A user who answers everything in the same way.
pub(super) struct User {
    config: ClientConfig,
    asked: Arc<Mutex<Vec<String>>>,
    progress: mpsc::Sender<f64>,
}

/// What the user has noted.
pub(super) struct Seen {
    pub(super) asked: Arc<Mutex<Vec<String>>>,
    pub(super) progress: mpsc::Receiver<f64>,
}

impl User {
    pub(super) fn new(era: Era) -> (Self, Seen) {
        Self::able(era, json!({ "elicitation": {}, "sampling": {}, "roots": {} }))
    }

    /// A user whose calls may become tasks.
    pub(super) fn with_tasks(era: Era) -> (Self, Seen) {
        Self::able(era, json!({ "elicitation": {}, "extensions": { TASKS_EXTENSION_ID: {} } }))
    }

    fn able(era: Era, capabilities: Value) -> (Self, Seen) {
        let capabilities: ClientCapabilities = serde_json::from_value(capabilities).unwrap_or_default();
        let version = match era {
            Era::Legacy => ProtocolVersion::V_2025_11_25,
            Era::Modern => ProtocolVersion::V_2026_07_28,
        };
        let config = ClientConfig::new(capabilities, Implementation::new("tollgate-testkit", "1.0.0"));
        let (sender, progress) = mpsc::channel(REPORTS_MAX);
        let asked = Arc::default();
        let user = Self {
            config: config.with_protocol_version(version),
            asked: Arc::clone(&asked),
            progress: sender,
        };
        (user, Seen { asked, progress })
    }
}

/// What a user enters into a form: the same into every field of a kind.
fn fill(schema: &Value) -> Value {
    let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let filled = fields.map(|(name, field)| {
        (name.clone(), if field.get("type") == Some(&json!("boolean")) { json!(true) } else { json!("Ada") })
    });
    Value::Object(filled.collect::<Map<_, _>>())
}

fn unreadable(error: &serde_json::Error) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

impl ClientHandler for User {
    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let asked = serde_json::to_value(&params.messages).map_err(|error| unreadable(&error))?;
        let places = ["/0/content/text", "/0/content/0/text"];
        let text = places.iter().find_map(|place| asked.pointer(place)?.as_str()).unwrap_or_default();
        self.asked.lock().push(text.to_owned());
        let answer =
            json!({ "role": "assistant", "content": { "type": "text", "text": "Paris" }, "model": "none" });
        serde_json::from_value(answer).map_err(|error| unreadable(&error))
    }

    async fn list_roots(&self, _context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        self.asked.lock().push("roots".to_owned());
        Ok(ListRootsResult::new(vec![Root::new("file:///work").with_name("work")]))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } = request else {
            return Ok(ElicitResult::new(ElicitationAction::Decline));
        };
        self.asked.lock().push(message);
        let schema = serde_json::to_value(&requested_schema).map_err(|error| unreadable(&error))?;
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(fill(&schema)))
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        // Nobody waits for a report that does not fit.
        let _is_noted = self.progress.try_send(params.progress).is_ok();
    }

    fn get_info(&self) -> ClientConfig {
        self.config.clone()
    }
}
