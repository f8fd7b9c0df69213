//! What is pasted into an MCP client to make it use a gateway: one place for `tollgate client`, `dev` and `wrap`.

use std::path::Path;

use serde_json::{Value, json};

/// The variable in which a user keeps an API key.
const KEY: &str = "TOLLGATE_KEY";
/// What VS Code calls the key that it asks its user for.
const INPUT: &str = "tollgate-key";

/// A program that uses MCP servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientKind {
    /// Claude Code.
    ClaudeCode,
    /// Claude Desktop: its file knows programs only, so it goes through `tollgate connect`.
    ClaudeDesktop,
    /// Cursor.
    Cursor,
    /// VS Code.
    VsCode,
}

/// What a client is to use.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    /// What the client calls it.
    pub label: &'a str,
    /// The URL of the MCP endpoint.
    pub url: &'a str,
    /// Whether an API key goes along.
    pub with_key: bool,
    /// For clients that start programs: this binary.
    pub binary: &'a Path,
    /// For clients that start programs: the folder with the payer's key and the budget.
    pub data: &'a Path,
}

impl ClientKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ClaudeCode, Self::ClaudeDesktop, Self::Cursor, Self::VsCode];

    /// The word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::ClaudeDesktop => "claude-desktop",
            Self::Cursor => "cursor",
            Self::VsCode => "vscode",
        }
    }

    /// Where its block belongs.
    pub const fn file(self) -> &'static str {
        match self {
            Self::ClaudeCode => ".mcp.json of the project",
            Self::ClaudeDesktop => "claude_desktop_config.json (Settings, Developer, Edit Config)",
            Self::Cursor => ".cursor/mcp.json of the project, or ~/.cursor/mcp.json",
            Self::VsCode => ".vscode/mcp.json of the project",
        }
    }

    /// The block to paste.
    pub fn block(self, endpoint: &Endpoint<'_>) -> Value {
        let Endpoint { label, url, with_key, .. } = endpoint;
        let headers = |reference: &str| json!({ "Authorization": format!("Bearer {reference}") });
        let with = |mut server: Value, reference: &str| {
            if let (true, Some(members)) = (*with_key, server.as_object_mut()) {
                members.insert("headers".to_owned(), headers(reference));
            }
            server
        };
        match self {
            Self::ClaudeCode => {
                let server = with(json!({ "type": "http", "url": url }), &format!("${{{KEY}}}"));
                json!({ "mcpServers": { *label: server } })
            }
            Self::ClaudeDesktop => json!({ "mcpServers": { *label: bridge(endpoint) } }),
            Self::Cursor => {
                let server = with(json!({ "url": url }), &format!("${{env:{KEY}}}"));
                json!({ "mcpServers": { *label: server } })
            }
            Self::VsCode => {
                let server = with(json!({ "type": "http", "url": url }), &format!("${{input:{INPUT}}}"));
                let mut block = json!({ "servers": { *label: server } });
                if let (true, Some(members)) = (*with_key, block.as_object_mut()) {
                    let about = "API key of the Tollgate gateway";
                    members.insert(
                        "inputs".to_owned(),
                        json!([{ "type": "promptString", "id": INPUT, "description": about, "password": true }]),
                    );
                }
                block
            }
        }
    }

    /// The command that does the same as the block, where the client has one.
    pub fn command(self, endpoint: &Endpoint<'_>) -> Option<String> {
        if self != Self::ClaudeCode {
            return None;
        }
        let header = if endpoint.with_key {
            format!(" --header \"Authorization: Bearer ${KEY}\"")
        } else {
            String::new()
        };
        Some(format!("claude mcp add --transport http {} {}{header}", endpoint.label, endpoint.url))
    }

    /// What its user has to do about the key.
    pub fn about_key(self) -> String {
        match self {
            Self::VsCode => "VS Code asks for the key when it starts the server, and keeps it".to_owned(),
            Self::ClaudeDesktop => {
                format!("put the key in the place of tgk_…: it is read from {KEY}, never from the arguments")
            }
            Self::ClaudeCode | Self::Cursor => format!("set {KEY} in the environment of the client"),
        }
    }
}

/// A server that the client starts itself. Such a client runs in a folder of its own, so every path is absolute.
fn bridge(endpoint: &Endpoint<'_>) -> Value {
    let absolute = |path: &Path| {
        std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
    };
    let mut arguments =
        vec!["connect".to_owned(), endpoint.url.to_owned(), "--data".to_owned(), absolute(endpoint.data)];
    let mut server = json!({ "command": absolute(endpoint.binary) });
    if endpoint.with_key {
        arguments.extend(["--header".to_owned(), format!("Authorization: Bearer ${{{KEY}}}")]);
    }
    if let Some(members) = server.as_object_mut() {
        members.insert("args".to_owned(), json!(arguments));
        if endpoint.with_key {
            members.insert("env".to_owned(), json!({ KEY: "tgk_…" }));
        }
    }
    server
}

/// One line for each client that speaks HTTP, for a welcome.
pub fn lines(endpoint: &Endpoint<'_>) -> String {
    format!(
        "\
Claude Code    {}
Cursor         {}
VS Code        {}
",
        ClientKind::ClaudeCode.command(endpoint).unwrap_or_default(),
        ClientKind::Cursor.block(endpoint),
        ClientKind::VsCode.block(endpoint),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(with_key: bool) -> Endpoint<'static> {
        let (binary, data) = (Path::new("/bin/tollgate"), Path::new("/data"));
        Endpoint { label: "tollgate", url: "http://127.0.0.1:3100/mcp", with_key, binary, data }
    }

    #[test]
    fn without_a_key_a_block_is_the_address_alone() {
        let plain = endpoint(false);
        assert_eq!(
            ClientKind::VsCode.block(&plain),
            json!({ "servers": { "tollgate": { "type": "http", "url": "http://127.0.0.1:3100/mcp" } } })
        );
        assert_eq!(
            ClientKind::ClaudeDesktop.block(&plain),
            json!({ "mcpServers": { "tollgate": {
                "command": "/bin/tollgate", "args": ["connect", "http://127.0.0.1:3100/mcp", "--data", "/data"],
            } } })
        );
    }

    #[test]
    fn a_key_is_a_reference_in_every_block_and_never_an_argument() {
        for (kind, reference) in [
            (ClientKind::ClaudeCode, "Bearer ${TOLLGATE_KEY}"),
            (ClientKind::ClaudeDesktop, "Authorization: Bearer ${TOLLGATE_KEY}"),
            (ClientKind::Cursor, "Bearer ${env:TOLLGATE_KEY}"),
            (ClientKind::VsCode, "Bearer ${input:tollgate-key}"),
        ] {
            assert!(!kind.block(&endpoint(false)).to_string().contains("Bearer"), "control");
            assert!(kind.block(&endpoint(true)).to_string().contains(reference), "{kind:?}");
        }
        let inputs = &ClientKind::VsCode.block(&endpoint(true))["inputs"];
        assert_eq!((&inputs[0]["id"], &inputs[0]["password"]), (&json!("tollgate-key"), &json!(true)));
    }
}
