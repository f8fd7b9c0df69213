//! What the pages of the examples say happens: their commands run, their code is the examples' own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use http::Method;
use serde_json::json;
use tollgate_testkit::peers::{X402Python, anvil, available};

use crate::crashes::Example;
use crate::world::{PRICE, START, ask, assert_earned, balance, built, payer};

/// The page of an example, and its source.
struct Page {
    text: String,
    source: String,
}

impl Page {
    fn of(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let read = |ending: &str| fs::read_to_string(folder.join(format!("{name}.{ending}"))).unwrap();
        Self { text: read("md"), source: read("rs") }
    }

    /// The blocks of code in a language.
    fn blocks(&self, language: &str) -> Vec<String> {
        let mut blocks: Vec<String> = Vec::new();
        let mut is_inside = false;
        for line in self.text.lines() {
            match (is_inside, line.strip_prefix("```")) {
                (false, Some(named)) if named == language => {
                    is_inside = true;
                    blocks.push(String::new());
                }
                (true, Some(_)) => is_inside = false,
                (true, None) => {
                    let block = blocks.last_mut().unwrap();
                    block.push_str(line);
                    block.push('\n');
                }
                (false, _) => {}
            }
        }
        blocks
    }

    /// Every line of Rust on the page stands in the example.
    fn assert_code_is_the_examples_own(&self) {
        let blocks = self.blocks("rust");
        assert!(!blocks.is_empty());
        let source: Vec<&str> = self.source.lines().map(str::trim).collect();
        for line in blocks.iter().flat_map(|block| block.lines()).map(str::trim) {
            assert!(source.contains(&line), "the example has no line {line:?}");
        }
    }

    /// The commands of the page; the first starts the example.
    fn commands(&self, name: &str) -> Vec<String> {
        let mut commands: Vec<String> =
            self.blocks("sh").iter().flat_map(|block| block.lines()).map(str::to_owned).collect();
        assert_eq!(commands.remove(0), format!("cargo run -p tollgate --example {name}"));
        commands
    }
}

/// Runs a command of a page in `folder`, where it names the page's port and data, with the programs it names.
fn run(command: &str, example: &Example, ports: (u16, u16), folder: &Path, program: PathBuf) -> Output {
    let here = command.replace(&ports.0.to_string(), &ports.1.to_string()).replace("tollgate-data", "data");
    let (_program, arguments) = here.split_once(' ').unwrap();
    let mut words: Vec<String> = Vec::new();
    // Quotes as a shell reads them.
    for (index, part) in arguments.split('"').enumerate() {
        match (index % 2, words.last_mut()) {
            (1, Some(last)) => last.push_str(part),
            _ => words.extend(part.split(' ').filter(|word| !word.is_empty()).map(str::to_owned)),
        }
    }
    assert!(here.contains(&example.port.to_string()), "{here}");
    let mut command = Command::new(program);
    command.args(words).current_dir(folder).env_clear().env("HOME", folder);
    command.output().unwrap()
}

/// A data directory whose payer is the account that the published clients hold.
fn funded(folder: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(data.join("payer.key")).unwrap();
    std::io::Write::write_all(&mut file, anvil::PAYER.private_key.trim_start_matches("0x").as_bytes())
        .unwrap();
}

#[tokio::test]
async fn the_page_of_the_axum_example_is_true_and_the_published_x402_client_pays_it() {
    let page = Page::of("axum_five_lines");
    page.assert_code_is_the_examples_own();
    let commands = page.commands("axum_five_lines");
    let folder = tempfile::tempdir().unwrap();
    let example = Example::start("axum_five_lines", folder.path(), None).await;
    let [curl, pay] = commands.as_slice() else { panic!("{commands:?}") };
    let url = curl.strip_prefix("curl -i ").unwrap().replace("4021", &example.port.to_string());
    assert_eq!(ask(Method::GET, &url, "").await.status, 402);
    let Some(client) = available(X402Python::install().await) else { return };
    let [script] = page.blocks("python").try_into().unwrap();
    fs::write(folder.path().join("pay.py"), script).unwrap();
    let paid = run(pay, &example, (4021, example.port), folder.path(), client.program());
    let said = String::from_utf8_lossy(&paid.stdout).into_owned();
    let address = payer(&folder.path().join("data")).address().to_string().to_lowercase();
    let expected = format!("200 Sunny. Thank you, eip155:{address}.\nreceipt ");
    assert!(said.starts_with(&expected), "{said}{}", String::from_utf8_lossy(&paid.stderr));
    assert_eq!(balance(&folder.path().join("data")).await, START - PRICE);
    assert_earned(&folder.path().join("data"), PRICE).await;
}

#[tokio::test]
async fn the_page_of_the_mcp_example_is_true() {
    let page = Page::of("mcp_tool");
    page.assert_code_is_the_examples_own();
    let commands = page.commands("mcp_tool");
    let folder = tempfile::tempdir().unwrap();
    let example = Example::start("mcp_tool", folder.path(), None).await;
    assert_eq!(commands.len(), 2, "one for each rail");
    for command in commands {
        let paid = run(&command, &example, (4022, example.port), folder.path(), built("tollgate"));
        let said = String::from_utf8_lossy(&paid.stdout).into_owned();
        assert!(paid.status.success(), "{said}{}", String::from_utf8_lossy(&paid.stderr));
        assert!(said.contains("\"words\":6"), "{said}");
    }
    assert_eq!(balance(&folder.path().join("data")).await, START - PRICE);
    assert_earned(&folder.path().join("data"), PRICE).await;
}

#[tokio::test]
async fn the_published_x402_client_for_mcp_pays_a_tool_of_ones_own_server() {
    let Some(client) = available(X402Python::install().await) else { return };
    let folder = tempfile::tempdir().unwrap();
    funded(folder.path());
    let example = Example::start("mcp_tool", folder.path(), None).await;
    let url = format!("{}/mcp", example.url());
    let free = client.call(&url, anvil::PAYER, "echo", &json!({ "text": "hello" })).await.unwrap();
    assert_eq!((free.text(), free.payment_made), (Some("hello"), false));
    let paid = client.call(&url, anvil::PAYER, "count", &json!({ "text": "to be" })).await.unwrap();
    assert!(paid.payment_made && !paid.is_error, "{paid:?}");
    assert_eq!(paid.structured.as_ref().unwrap()["words"], 2);
    assert_eq!(paid.payment_response.unwrap()["success"], true);
    assert_earned(&folder.path().join("data"), PRICE).await;
    let failed = client.call(&url, anvil::PAYER, "count", &json!({ "text": "" })).await.unwrap();
    assert!(failed.is_error, "{failed:?}");
    assert_earned(&folder.path().join("data"), PRICE).await;
    assert_eq!(balance(&folder.path().join("data")).await, START - PRICE, "a tool that failed costs nothing");
}
