//! The official Rust client, `rmcp` 3: the story of [`super::sdk_clients`], told in this process.
//!
//! HTTP below it is hyper: `rmcp` brings a client of its own only with `reqwest`.

mod story;
mod tasks;
mod transport;
mod user;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use rmcp::model::ProtocolVersion;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _};
use serde_json::Value;

pub use self::tasks::{SeenTasks, tasks};

use self::story::Story;
use self::transport::Hyper;
use self::user::User;
use super::PeerError;
use super::sdk_clients::Era;

/// As long as the other clients may take.
const STORY_SECONDS_MAX: u64 = 120;

/// Has the client use the TypeScript fixture at `url`, and says what it saw.
pub(super) async fn story(era: Era, url: &str) -> Result<Vec<Value>, PeerError> {
    let telling = tell(era, url);
    let told = tokio::time::timeout(Duration::from_secs(STORY_SECONDS_MAX), telling).await;
    told.map_err(|_elapsed| PeerError::refused("end the story of rmcp", "nothing in time"))?
}

async fn tell(era: Era, url: &str) -> Result<Vec<Value>, PeerError> {
    let resumptions = Arc::new(AtomicUsize::new(0));
    let http = Hyper::new(Arc::clone(&resumptions));
    let config = StreamableHttpClientTransportConfig::with_uri(url);
    let transport = StreamableHttpClientTransport::with_client(http, config);
    let mode = match era {
        Era::Legacy => ClientLifecycleMode::Initialize,
        Era::Modern => {
            ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
        }
    };
    let (user, seen) = User::new(era);
    let client = user.serve_with_lifecycle(transport, mode).await;
    let client = client.map_err(|error| PeerError::refused("connect with rmcp", error.to_string()))?;
    let told = Story::new(&client, seen, resumptions).tell(era).await;
    let told = told.map_err(|error| PeerError::refused("use a server with rmcp", error.to_string()))?;
    let ended = client.cancel().await;
    ended.map_err(|error| PeerError::refused("end a session with rmcp", error.to_string()))?;
    Ok(told)
}
