//! `tollgate server import`: files as clients keep them, taken over and served.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use tollgate_testkit::journal_server::{Journal, Script};

use crate::servers::{errors, lines, out, refused, run, succeeds};
use crate::world::{Gateway, TOLLGATE, call, delivered};

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn yaml(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("tollgate.yaml")).unwrap_or_default()
}

/// What Claude Desktop keeps, with Tollgate's own bridge among it.
fn desktop() -> String {
    json!({
        "globalShortcut": "Alt+Space",
        "mcpServers": {
            "demo": { "command": TOLLGATE, "args": ["demo-server"], "env": { "DEMO_API_KEY": "sk-0123456789abcdef", "LOG_LEVEL": "info" } },
            "tollgate": { "command": "/usr/local/bin/tollgate", "args": ["connect", "http://127.0.0.1:3100/mcp"] },
        },
    })
    .to_string()
}

const CURSOR: &str = r#"{
  "mcpServers": {
    "Linear (work)": { "url": "https://mcp.linear.example/mcp", "headers": { "Authorization": "Bearer ${env:LINEAR_TOKEN}" } },
    "files": { "command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "${workspaceFolder}/src"] }
  }
}"#;

const VSCODE: &str = r#"{
  // Keys are asked for once.
  "inputs": [
    { "type": "promptString", "id": "perplexity-key", "description": "Perplexity API Key", "password": true },
  ],
  "servers": {
    "perplexity": {
      "type": "stdio",
      "command": "npx",
      "args": ["-y", "server-perplexity-ask"],
      "env": { "PERPLEXITY_API_KEY": "${input:perplexity-key}" },
    },
    /* the old transport */
    "old": { "type": "sse", "url": "https://old.example/sse" },
  },
}"#;

const CLAUDE_CODE: &str = r#"{
  "mcpServers": {
    "search": { "type": "http", "url": "${SEARCH_URL:-https://search.example}/mcp", "headers": { "X-Api-Key": "abcdef" } }
  }
}"#;

#[tokio::test]
async fn the_files_of_all_four_clients_become_servers_that_serve() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "claude_desktop_config.json", &desktop());
    write(folder.path(), ".cursor/mcp.json", CURSOR);
    write(folder.path(), ".vscode/mcp.json", VSCODE);
    write(folder.path(), ".mcp.json", CLAUDE_CODE);
    write(folder.path(), "tollgate.yaml", "# Mine.\nlisten: 127.0.0.1:3100\n");
    write(folder.path(), ".env", "LINEAR_TOKEN=lin\nPERPLEXITY_KEY=pplx\n");
    let import = [
        "server",
        "import",
        "claude_desktop_config.json",
        ".cursor/mcp.json",
        ".vscode/mcp.json",
        ".mcp.json",
    ];
    let dry = run(folder.path(), &[&import[..], &["--dry-run"]].concat());
    assert!(dry.status.success() && out(&dry).contains("command: [npx"), "{}{}", out(&dry), errors(&dry));
    assert_eq!(yaml(folder.path()), "# Mine.\nlisten: 127.0.0.1:3100\n", "nothing is written");
    let done = run(folder.path(), &[&import[..], &["--json"]].concat());
    assert!(done.status.success(), "{}{}", out(&done), errors(&done));
    let outcomes: Vec<String> = lines(&out(&done))
        .iter()
        .map(|row| format!("{} {}", row["entry"].as_str().unwrap(), row["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(
        outcomes,
        [
            "demo taken",
            "tollgate skipped",
            "Linear (work) taken",
            "files taken",
            "old taken",
            "perplexity taken",
            "search taken"
        ]
    );
    let project = std::fs::canonicalize(folder.path()).unwrap();
    let expected = format!(
        "# Mine.
listen: 127.0.0.1:3100
servers:
  demo:
    command: [{TOLLGATE}, demo-server]
    env:
      DEMO_API_KEY: \"${{DEMO_API_KEY}}\"
      LOG_LEVEL: info
  linear-work:
    url: https://mcp.linear.example/mcp
    credential: {{ value: \"Bearer ${{LINEAR_TOKEN}}\" }}
  files:
    command: [npx, \"-y\", \"@modelcontextprotocol/server-filesystem\", {}/src]
  old:
    url: https://old.example/sse
    transport: sse
  perplexity:
    command: [npx, \"-y\", server-perplexity-ask]
    env:
      PERPLEXITY_API_KEY: \"${{PERPLEXITY_KEY}}\"
  search:
    url: https://search.example/mcp
    credential: {{ header: x-api-key, value: \"${{SEARCH_TOKEN}}\" }}
",
        project.display()
    );
    assert_eq!(
        yaml(folder.path())
            .replace(&format!("\"{}/src\"", project.display()), &format!("{}/src", project.display())),
        expected
    );
    let env = std::fs::read_to_string(folder.path().join(".env")).unwrap();
    assert_eq!(
        env,
        "LINEAR_TOKEN=lin\nPERPLEXITY_KEY=pplx\nDEMO_API_KEY='sk-0123456789abcdef'\nSEARCH_TOKEN='abcdef'\n"
    );
    assert_eq!(std::fs::metadata(folder.path().join(".env")).unwrap().permissions().mode() & 0o777, 0o600);

    let gateway = Gateway::dev(folder.path()).await;
    let at = format!("{}/servers/demo/mcp", gateway.url);
    let answer = call(&at, "echo", &json!({ "text": "hi" }), &json!({}), &[]).await;
    assert_eq!(delivered(&answer)["content"][0]["text"], "hi");
}

#[tokio::test]
async fn one_bad_server_stops_all_unless_it_is_said_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), ".vscode/mcp.json", VSCODE);
    let said = refused(folder.path(), &["server", "import", ".vscode/mcp.json"]);
    assert!(
        said.contains("${input:perplexity-key} (Perplexity API Key)") && said.contains("set PERPLEXITY_KEY"),
        "{said}"
    );
    assert!(!folder.path().join("tollgate.yaml").exists() && !folder.path().join(".env").exists());
    succeeds(folder.path(), &["server", "import", ".vscode/mcp.json", "--skip-invalid"]);
    assert_eq!(
        yaml(folder.path()),
        "servers:\n  old:\n    url: https://old.example/sse\n    transport: sse\n"
    );
}

#[tokio::test]
async fn several_headers_and_a_file_of_variables_come_along_and_stay_secret() {
    let journal = Journal::start(Script::echo()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let servers = json!({ "servers": {
        "up": { "type": "http", "url": journal.url(), "headers": {
            "Authorization": "Bearer tok-s3cret", "X-Tenant": "acme", "X-Api-Key": "key-s3cret",
        } },
        "program": {
            "command": "sh", "args": ["-c", format!("case \"$DB_HOST\" in db-s*t) exec {TOLLGATE} demo-server;; esac")],
            "envFile": "${workspaceFolder}/program.env", "env": { "LOG_LEVEL": "info" },
        },
    } });
    write(folder.path(), ".vscode/mcp.json", &servers.to_string());
    write(folder.path(), "program.env", "# Of the project.\nexport DB_HOST='db-s3cret'\nLOG_LEVEL=debug\n");
    let import = ["server", "import", ".vscode/mcp.json"];
    let dry = run(folder.path(), &[&import[..], &["--dry-run"]].concat());
    let done = run(folder.path(), &import);
    let listed = run(folder.path(), &["server", "list", "--json"]);
    for said in [&dry, &done, &listed] {
        let said = format!("{}{}", out(said), errors(said));
        assert!(!said.contains("s3cret"), "{said}");
    }
    assert!(done.status.success(), "{}{}", out(&done), errors(&done));
    assert!(!yaml(folder.path()).contains("s3cret"), "{}", yaml(folder.path()));
    let env = std::fs::read_to_string(folder.path().join(".env")).unwrap();
    assert_eq!(env.matches("s3cret").count(), 3, "{env}");

    // What was taken over is what it was: the program starts with its variable only, the server gets its headers.
    let gateway = Gateway::dev(folder.path()).await;
    for server in ["program", "up"] {
        let at = format!("{}/servers/{server}/mcp", gateway.url);
        delivered(&call(&at, "echo", &json!({ "text": "x" }), &json!({}), &[("x-tenant", "somebody")]).await);
    }
    let calls = journal.calls_to("echo");
    let sent = |name: &str| calls[0].header(name);
    assert_eq!(
        (sent("authorization"), sent("x-tenant"), sent("x-api-key")),
        (Some("Bearer tok-s3cret"), Some("acme"), Some("key-s3cret"))
    );
    assert!(!gateway.whole_log().contains("s3cret"), "{}", gateway.whole_log());
}

#[tokio::test]
async fn collisions_are_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "a.json",
        r#"{ "mcpServers": { "My Server": { "command": "x" }, "my-server": { "command": "y" } } }"#,
    );
    let said = refused(folder.path(), &["server", "import", "a.json"]);
    assert!(said.contains("becomes my-server"), "{said}");
    write(folder.path(), "b.json", r#"{ "mcpServers": { "up": { "command": "new" } } }"#);
    let before = "servers:\n  up: { command: [old] }   # mine\n";
    write(folder.path(), "tollgate.yaml", before);
    let said = refused(folder.path(), &["server", "import", "b.json"]);
    assert!(said.contains("there is a server up already") && yaml(folder.path()) == before, "{said}");
    succeeds(folder.path(), &["server", "import", "b.json", "--replace"]);
    assert_eq!(yaml(folder.path()), "servers:\n  up:\n    command: [new]\n");
}

#[tokio::test]
async fn the_block_that_the_gateway_prints_is_never_imported() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "tollgate.yaml", "listen: 127.0.0.1:4321\n");
    for client in ["claude-code", "claude-desktop", "cursor", "vscode"] {
        let block = succeeds(folder.path(), &["client", client]);
        write(folder.path(), "block.json", &block);
        let said = run(folder.path(), &["server", "import", "block.json", "--json"]);
        assert!(said.status.success(), "{}", errors(&said));
        assert_eq!(lines(&out(&said))[0]["outcome"], "skipped", "{client}: {}", out(&said));
    }
    assert_eq!(yaml(folder.path()), "listen: 127.0.0.1:4321\n");
    assert!(refused(folder.path(), &["server", "import", "tollgate.yaml"]).contains("is not JSON"));
}
