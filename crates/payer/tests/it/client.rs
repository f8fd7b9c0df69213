//! A stdio client without a process: what it writes goes into a bridge line by line, what the bridge says is read line by line.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tollgate_domain::{Amount, AssetId};
use tollgate_egress::{Client as Http, Limits as HttpLimits, Policy};
use tollgate_payer::bridge::{Bridge, Endpoint, Purse};
use tollgate_payer::budget::{
    Allowance, Allowances, BookError, BookFuture, Budget, BudgetBook, Counted, Event, Limits,
};
use tollgate_payer::{LightningPayer, Randomness, Retries, Wallets};

use crate::world::{NOW, World, sats, usdc, wallet};

/// A test that waits longer than this has failed.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A budget in memory.
#[derive(Default)]
pub(crate) struct Book(Mutex<HashMap<AssetId, Counted>>);

impl Book {
    /// What is counted in USDC: in all, and without an answer.
    pub(crate) fn usdc(&self) -> (u128, u128) {
        let counted = self.0.lock().expect("the book").get(usdc(0).asset.id()).copied().unwrap_or_default();
        (counted.total.get(), counted.open.get())
    }
}

impl BudgetBook for Book {
    fn apply<'a>(&'a self, asset: &'a AssetId, event: Event) -> BookFuture<'a> {
        Box::pin(async move {
            let mut book = self.0.lock().expect("the book");
            let counted = book.entry(asset.clone()).or_default();
            *counted = counted.apply(event).map_err(BookError::Refused)?;
            Ok(*counted)
        })
    }

    fn counted<'a>(&'a self, asset: &'a AssetId) -> BookFuture<'a> {
        Box::pin(async move { Ok(self.0.lock().expect("the book").get(asset).copied().unwrap_or_default()) })
    }
}

/// What one test sets.
pub(crate) struct Setting {
    pub(crate) per_call: u128,
    pub(crate) total: u128,
    pub(crate) tools: Vec<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) presented_max: u32,
}

impl Default for Setting {
    fn default() -> Self {
        let (tools, headers) = (Vec::new(), HeaderMap::new());
        Self { per_call: 10_000, total: 1_000_000, tools, headers, presented_max: 4 }
    }
}

/// The client and its bridge.
pub(crate) struct Client {
    input: Option<mpsc::Sender<Bytes>>,
    output: mpsc::Receiver<Bytes>,
    pub(crate) stop: CancellationToken,
    running: JoinSet<()>,
    pub(crate) book: Arc<Book>,
}

impl Client {
    pub(crate) fn new(url: &str, world: &World) -> Self {
        Self::with(url, world, Setting::default())
    }

    pub(crate) fn with(url: &str, world: &World, setting: Setting) -> Self {
        let amount = Amount::new;
        let limits = Limits {
            per_call: amount(setting.per_call),
            per_day: amount(1_000_000),
            total: amount(setting.total),
        };
        let sat = Limits { per_call: amount(50_000), per_day: amount(500_000), total: amount(500_000) };
        let assets =
            vec![Allowance { asset: usdc(0).asset, limits }, Allowance { asset: sats(0).asset, limits: sat }];
        let book = Arc::new(Book::default());
        let allowances = Allowances { assets, tools: setting.tools };
        let purse = Purse {
            wallets: Wallets {
                evm: Some(wallet()),
                lightning: Some(Arc::clone(&world.lightning) as Arc<dyn LightningPayer>),
            },
            randomness: Arc::clone(&world.draws) as Arc<dyn Randomness>,
            budget: Budget::new(allowances, Arc::clone(&book) as Arc<dyn BudgetBook>),
            clock: Arc::new(|| NOW),
        };
        let http = Http::new(
            Policy::public().allow_loopback(),
            HttpLimits { timeout_ms_max: 60_000, response_bytes_max: 1024 * 1024 },
        );
        let endpoint = Endpoint { client: http, url: url.to_owned(), headers: setting.headers };
        let (sender, output) = mpsc::channel(4);
        let (input, lines) = mpsc::channel(4);
        let retries = Retries { presented_max: setting.presented_max, pause_ms: 0 };
        let bridge = Bridge::new(endpoint, purse, retries, sender).expect("a bridge");
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(bridge.run(lines, stop.clone()));
        Self { input: Some(input), output, stop, running, book }
    }

    pub(crate) async fn say(&self, message: &Value) {
        self.write(&format!("{message}\n")).await;
    }

    pub(crate) async fn write(&self, text: &str) {
        let input = self.input.as_ref().expect("the input is open");
        input.send(Bytes::from(text.to_owned())).await.expect("the bridge reads");
    }

    /// The next line, without its end.
    pub(crate) async fn line(&mut self) -> String {
        let line = tokio::time::timeout(WAIT_MAX, self.output.recv()).await.expect("a line in time");
        let line = String::from_utf8(line.expect("a line").to_vec()).expect("UTF-8");
        let line = line.strip_suffix('\n').expect("a whole line");
        assert!(!line.contains('\n'), "one message is one line: {line}");
        line.to_owned()
    }

    pub(crate) async fn hear(&mut self) -> Value {
        serde_json::from_str(&self.line().await).expect("JSON")
    }

    /// Says something and hears the next thing.
    pub(crate) async fn ask(&mut self, message: &Value) -> Value {
        self.say(message).await;
        self.hear().await
    }

    /// Closes the input and waits for the end of the bridge; what it still said.
    pub(crate) async fn end(mut self) -> Vec<Value> {
        drop(self.input.take());
        let mut rest = Vec::new();
        while let Some(line) =
            tokio::time::timeout(WAIT_MAX, self.output.recv()).await.expect("an end in time")
        {
            rest.push(serde_json::from_slice(&line).expect("JSON"));
        }
        while let Some(ended) = self.running.join_next().await {
            ended.expect("the bridge does not panic");
        }
        rest
    }

    /// The legacy handshake.
    pub(crate) async fn initialize(&mut self) -> Value {
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let answer = self
            .ask(&json!({ "jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params }))
            .await;
        self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        answer
    }
}

/// The `_meta` of a modern request.
pub(crate) fn modern_meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// A modern request.
pub(crate) fn modern(id: i64, method: &str, params: &Value) -> Value {
    let mut params = params.clone();
    params["_meta"] = modern_meta();
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// A modern `tools/call` of the weather of Oslo.
pub(crate) fn call(id: i64) -> Value {
    modern(id, "tools/call", &json!({ "name": "weather", "arguments": { "city": "Oslo" } }))
}

/// The text of a tool result that reports failure.
pub(crate) fn failure(answer: &Value) -> &str {
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    answer["result"]["content"][0]["text"].as_str().expect("a text")
}
