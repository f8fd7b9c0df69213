//! A server on the official Rust SDK whose calls become tasks (`io.modelcontextprotocol/tasks`, 2026-07-28).

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CreateTaskResult, ErrorData,
    GetTaskParams, GetTaskResult, InputRequest, ListToolsResult, PaginatedRequestParams, ServerCapabilities,
    ServerConfig, UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

type Service = StreamableHttpService<Tasks, LocalSessionManager>;

/// A running server. It ends with this value.
///
/// Its tools: `count` answers at once, with a link to a resource; `greet` asks for a name; `wait` ends when it is cancelled;
/// `fail` ends in an error. For a client that knows no tasks `count` answers directly and the others are refused.
#[derive(Debug)]
pub struct TaskServer {
    port: u16,
    _serving: JoinSet<()>,
}

impl TaskServer {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let tasks = Tasks { manager: TaskManager::new() };
        let service = Arc::new(Service::new(
            move || Ok(tasks.clone()),
            LocalSessionManager::default().into(),
            StreamableHttpServerConfig::default(),
        ));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(serve(stream, Arc::clone(&service)));
                }
            }
        });
        Ok(Self { port, _serving: serving })
    }

    /// `http://127.0.0.1:<port>/mcp`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }
}

async fn serve(stream: TcpStream, service: Arc<Service>) {
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, std::convert::Infallible>(service.handle(request).await) }
    });
    // Clients hang up as they like.
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

#[derive(Clone)]
struct Tasks {
    manager: TaskManager,
}

impl ServerHandler for Tasks {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_tasks().build())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = ["count", "greet", "wait", "fail"]
            .map(|name| json!({ "name": name, "inputSchema": { "type": "object" } }));
        read(json!({ "tools": tools, "ttlMs": 0, "cacheScope": "public" }))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let knows_tasks = context.client_capabilities().is_some_and(|able| able.supports_tasks());
        let tool = request.name.into_owned();
        if !knows_tasks {
            return match tool.as_str() {
                "count" => counted().map(CallToolResponse::Complete),
                _ => Err(ErrorData::invalid_params("this tool is a task", None)),
            };
        }
        let options = TaskOptions::new().with_poll_interval_ms(10);
        let task = self.manager.spawn(options, |context| Box::pin(run(tool, context)));
        Ok(CallToolResponse::Task(CreateTaskResult::new(task)))
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        Ok(GetTaskResult::new(self.manager.get_task(&request.task_id)?))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.manager.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.manager.cancel_task(&request.task_id)
    }
}

async fn run(tool: String, context: TaskContext) -> Result<CallToolResult, TaskExit> {
    match tool.as_str() {
        "count" => Ok(counted()?),
        "greet" => {
            let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
            let params = json!({ "mode": "form", "message": "Who are you?", "requestedSchema": schema });
            let asked: InputRequest = read(json!({ "method": "elicitation/create", "params": params }))?;
            let said: Value = context.request_input("who", asked).await?;
            let name = said.pointer("/content/name").and_then(Value::as_str).unwrap_or("nobody");
            Ok(read(json!({ "content": [{ "type": "text", "text": format!("Hello, {name}.") }] }))?)
        }
        "wait" => {
            context.cancelled().await;
            Err(TaskExit::Cancelled)
        }
        _ => Err(ErrorData::internal_error("it cannot be done", None).into()),
    }
}

fn counted() -> Result<CallToolResult, ErrorData> {
    let link = json!({ "type": "resource_link", "uri": "test://counted", "name": "counted" });
    read(json!({ "content": [{ "type": "text", "text": "3" }, link] }))
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}
