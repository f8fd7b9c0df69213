use serde_json::json;

use super::*;
use crate::peers::available;

/// A server in a few lines of shell: it refuses the probe, shakes hands, lists one tool and answers one call; in between it
/// says something that is no MCP message.
const SERVER: &str = r#"
answer() { printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$1"; }
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id": *\([0-9]*\).*/\1/p')
  case "$line" in
    *server/discover*) answer '"error":{"code":-32601,"message":"unknown"}';;
    *'"initialize"'*) answer '"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}';;
    *tools/list*) echo 'not a message'; answer '"result":{"tools":[{"name":"greet","inputSchema":{"type":"object"}}]}';;
    *tools/call*) answer '"result":{"content":[{"type":"text","text":"hello"}]}';;
  esac
done"#;

#[tokio::test]
async fn the_official_client_speaks_to_a_server_over_stdio_and_reports_noise() {
    let Some(client) = available(McpPython::install().await) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for mode in [Mode::Auto, Mode::Legacy] {
        let calls = [ToolCall { tool: "greet".to_owned(), arguments: json!({}) }];
        let session = client.stdio(mode, folder.path(), &["sh", "-c", SERVER], &calls).await.unwrap();
        assert_eq!(session.protocol_version, "2025-11-25");
        assert_eq!(session.tools, ["greet"]);
        assert_eq!(session.results[0]["content"][0]["text"], "hello");
        assert_eq!(session.noise.len(), 1, "{:?}", session.noise);
    }
}
