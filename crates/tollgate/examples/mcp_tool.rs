//! An MCP server of one's own on the official SDK, one of whose tools costs money; the story of it is in `mcp_tool.md`.

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ErrorData, ServerCapabilities, ServerConfig};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate::{Asked, Paid, Settings, Tollgate, Tool};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Text {
    /// The text to count.
    text: String,
}

#[derive(Serialize)]
struct Count {
    words: usize,
    caller: String,
}

async fn count(Text { text }: Text, paid: Paid) -> Result<Count, String> {
    match text.split_whitespace().count() {
        0 => Err("there is nothing to count".to_owned()), // costs nothing
        words => Ok(Count { words, caller: paid.caller().to_string() }),
    }
}

#[derive(Clone)]
struct Words {
    tool_router: ToolRouter<Self>,
    count: Tool,
}

#[tool_router]
impl Words {
    /// Free: no toll.
    #[tool(description = "Returns the text. Free.")]
    async fn echo(&self, Parameters(Text { text }): Parameters<Text>) -> String {
        text
    }

    /// Priced: whatever your library brings goes to the toll, and its reply back.
    #[tool(description = "Counts the words of a text, for 0.01 USDC.")]
    async fn count(
        &self,
        Parameters(text): Parameters<Text>,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let reply = self.count.call(Asked::new(&text).meta(&context.meta)).await;
        reply.read().map_err(|error| ErrorData::internal_error(error.to_string(), None))?
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Words {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:4022".to_owned());
    let data = arguments.next().unwrap_or_else(|| "tollgate-data".to_owned());

    let tollgate = Tollgate::open(Settings::dev(data)).await?;
    let count = tollgate.tool("count", "0.01USDC, 10sat", count)?;

    let words = Words { tool_router: Words::tool_router(), count };
    let service = StreamableHttpService::new(
        move || Ok(words.clone()),
        LocalSessionManager::default().into(),
        StreamableHttpServerConfig::default(),
    );
    let app = axum::Router::new().nest_service("/mcp", service).merge(tollgate.routes());
    axum::serve(tokio::net::TcpListener::bind(listen).await?, app).await?;
    Ok(())
}
