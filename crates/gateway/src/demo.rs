//! The demo MCP server of `tollgate dev`: a real server on the official Rust SDK, a subcommand of the same binary in a
//! process of its own, reached over stdio. Its tools are small and honest: what they return is computed or published.

mod climate;

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::{Json, ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The name of the subcommand that runs this server.
pub const SUBCOMMAND: &str = "demo-server";

#[derive(Clone, Debug)]
struct DemoServer {
    tool_router: ToolRouter<Self>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Echo {
    /// The text to return.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct City {
    /// The city, such as Oslo.
    city: String,
    /// The month, 1 to 12.
    #[serde(default)]
    #[schemars(range(min = 1, max = 12))]
    month: Option<u8>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Text {
    /// The text to digest.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Flaky {
    /// Whether to fail.
    fail: bool,
}

#[derive(Serialize, JsonSchema)]
struct TextDigest {
    /// SHA-256 of the UTF-8 bytes, in hexadecimal.
    sha256: String,
    /// How many bytes.
    bytes: usize,
}

#[tool_router(router = tool_router)]
impl DemoServer {
    /// Free.
    #[tool(name = "echo", description = "Return the text unchanged. Free.")]
    async fn echo(&self, Parameters(Echo { text }): Parameters<Echo>) -> String {
        text
    }

    /// Priced.
    #[tool(
        name = "weather",
        description = "Usual weather of a city: mean temperature per month (rounded climate normals 1991-2020, not a forecast) and the length of the day."
    )]
    async fn weather(
        &self,
        Parameters(City { city, month }): Parameters<City>,
    ) -> Result<Json<climate::UsualWeather>, String> {
        climate::usual_weather(&city, month).map(Json)
    }

    /// Priced.
    #[tool(name = "digest", description = "SHA-256 of a text.")]
    async fn digest(&self, Parameters(Text { text }): Parameters<Text>) -> Json<TextDigest> {
        Json(TextDigest { sha256: hex::encode(Sha256::digest(text.as_bytes())), bytes: text.len() })
    }

    /// Priced, and fails when asked to: shows that a failed tool costs nothing.
    #[tool(name = "flaky", description = "Succeed, or fail when asked to. A failed call is not charged.")]
    async fn flaky(&self, Parameters(Flaky { fail }): Parameters<Flaky>) -> Result<String, String> {
        if fail { Err("failed, as asked".to_owned()) } else { Ok("succeeded".to_owned()) }
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for DemoServer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("tollgate-demo", env!("CARGO_PKG_VERSION")))
            .with_instructions("Demo tools of `tollgate dev`. All money is sandbox money.")
    }
}

/// Serves the demo tools on standard input and output until the input ends.
///
/// # Errors
/// When the protocol cannot be started or breaks.
pub async fn serve_stdio() -> anyhow::Result<()> {
    let server = DemoServer { tool_router: DemoServer::tool_router() };
    server.serve(rmcp::transport::stdio()).await?.waiting().await?;
    Ok(())
}
