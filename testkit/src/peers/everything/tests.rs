use serde_json::json;

use super::*;
use crate::peers::available;

#[tokio::test]
async fn the_reference_server_opens_a_session() {
    let Some(mut server) = available(Everything::start().await) else {
        return;
    };
    let initialize = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    });
    let accept = [("accept", "application/json, text/event-stream")];
    let answer = http::post_json(server.url(), &accept, &initialize).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.header("mcp-session-id").is_some());
    assert!(answer.text().contains("\"serverInfo\""), "{}", answer.text());
    server.kill();
    assert!(http::post_json(server.url(), &accept, &initialize).await.is_err());
}
