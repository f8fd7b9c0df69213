//! What a stranger's server answers to the client that pays: whatever it says, no more leaves the wallet than its owner allowed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::TaskTracker;
use tollgate_domain::{Amount, Asset, Assets, Money, UnixMillis};
use tollgate_egress::{Client, Limits, Policy};
use tollgate_payer::{
    EvmWallet, LightningError, LightningFuture, LightningPayer, NoRandomness, PayingClient, Retries, Wallets,
};
use tollgate_rails::evm::SigningKey;
use tollgate_rails::lightning::InvoiceFacts;

pub(crate) const WORDS: &[&str] = &[
    "200\n",
    "402\n",
    "404\n",
    "content-type: application/json\n",
    "content-type: text/event-stream\n",
    "payment-required: ",
    "www-authenticate: L402 macaroon=\"a\", invoice=\"",
    "mcp-session-id: s\n",
    "\n\n",
    "\n====\n",
    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":",
    "{\"jsonrpc\":\"2.0\",\"id\":$ID,\"error\":{\"code\":-32020,\"message\":\"m\"}}",
    "{\"code\":-32022,\"message\":\"m\",\"data\":{\"supported\":[\"2025-11-25\"]}}",
    "\"isError\":true,",
    "\"structuredContent\":{\"x402Version\":2,\"accepts\":[",
    "\"amount\":\"1\"",
    "\"protocolVersion\":\"2025-11-25\"",
    "data: ",
];
/// 0.01 of the dollar, and as many satoshi.
const LIMIT: u128 = 10_000;
const USDC: &str = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";
/// Answers after which the server says nothing more.
const ANSWERS_MAX: usize = 12;

/// What the server will say, one answer for each request, and what was wrong with what it was asked.
#[derive(Default)]
struct Told {
    answers: VecDeque<Vec<u8>>,
    wrong: Option<String>,
}

type Script = Arc<Mutex<Told>>;

thread_local! {
    static STAGE: Option<Stage> = Stage::new();
}

/// A client, and a server that it does not know.
struct Stage {
    runtime: Runtime,
    script: Script,
    payer: PayingClient,
    limits: [Money; 2],
}

/// Answers of a server, `STATUS`, header lines, an empty line and a body each, with `====` between them.
pub(crate) fn demand(input: &[u8]) {
    STAGE.with(|stage| {
        let Some(stage) = stage else { return };
        let limit = stage.limits.get(usize::from(input.first() == Some(&b'\n'))).unwrap_or(&stage.limits[0]);
        let answers = split(input, b"\n====\n");
        let told = || stage.script.lock().unwrap_or_else(PoisonError::into_inner);
        *told() = Told { answers: answers.map(<[u8]>::to_vec).collect(), wrong: None };
        let now = UnixMillis::from_secs(1_795_219_200);
        let outcome = stage.runtime.block_on(stage.payer.call("weather", r#"{"city":"Oslo"}"#, limit, now));
        assert_eq!(told().wrong, None);
        match outcome {
            Ok(paid) => assert!(paid.paid.is_none_or(|paid| paid.money.amount <= limit.amount)),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}

impl Stage {
    fn new() -> Option<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().ok()?;
        let usdc = Asset::new(&format!("eip155:84532/erc20:{USDC}"), "USDC", 6).ok()?;
        let sat = Asset::new("lightning:regtest/msat", "sat", 3).ok()?;
        let assets = Assets::new([usdc.clone(), sat.clone()]);
        let script = Script::default();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).ok()?;
        let url = format!("http://{}/mcp", listener.local_addr().ok()?);
        runtime.spawn(listen(listener, Arc::clone(&script)));
        let wallets = Wallets {
            evm: Some(EvmWallet::new(SigningKey::from_bytes(&[7; 32]).ok()?)),
            lightning: Some(Arc::new(Purse)),
        };
        let limits = Limits { timeout_ms_max: 2_000, response_bytes_max: 1024 * 1024 };
        let client = runtime.block_on(async { Client::new(Policy::public().allow_loopback(), limits) });
        let payer = PayingClient::new(client, url, wallets, Arc::new(chance))
            .allow_networks_of(&assets)
            .with_retries(Retries { presented_max: 2, pause_ms: 0 });
        let money = |asset| Money { amount: Amount::new(LIMIT), asset };
        Some(Self { runtime, script, payer, limits: [money(usdc), money(sat)] })
    }
}

fn chance() -> Result<[u8; 32], NoRandomness> {
    Ok([5; 32])
}

/// A wallet that looks at what it is asked to pay.
struct Purse;

impl LightningPayer for Purse {
    fn name(&self) -> &str {
        "purse"
    }

    fn pay<'a>(&'a self, bolt11: &'a str) -> LightningFuture<'a> {
        let amount = InvoiceFacts::read(bolt11).ok().and_then(|facts| facts.amount);
        assert!(amount.is_some_and(|amount| amount.get() <= LIMIT), "asked to pay {amount:?}");
        Box::pin(async { Err(LightningError::Refused("empty".to_owned())) })
    }
}

async fn listen(listener: TcpListener, script: Script) {
    let connections = TaskTracker::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(answer(stream, Arc::clone(&script)));
    }
}

/// Answers one connection's requests by the script.
async fn answer(mut stream: TcpStream, script: Script) {
    let mut read = Vec::new();
    loop {
        let request = loop {
            if let Some(end) = whole(&read) {
                break read.drain(..end).collect::<Vec<u8>>();
            }
            match stream.read_buf(&mut read).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        };
        let next = {
            let mut told = script.lock().unwrap_or_else(PoisonError::into_inner);
            told.wrong = told.wrong.take().or_else(|| too_much(&request));
            told.answers.pop_front()
        };
        let answer = next.map_or_else(
            || b"HTTP/1.1 500 E\r\ncontent-length: 0\r\n\r\n".to_vec(),
            |text| made(&text, &request),
        );
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// Where a request ends.
fn whole(read: &[u8]) -> Option<usize> {
    let head = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(read.get(..head)?).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let end = head + length.unwrap_or(0);
    (read.len() >= end).then_some(end)
}

/// A payment of more than the limit, or in another token.
fn too_much(request: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(request);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let header = head.lines().find_map(|line| line.strip_prefix("payment-signature: "));
    let header = header.and_then(|value| BASE64_STANDARD.decode(value).ok());
    let header: Option<Value> = header.and_then(|json| serde_json::from_slice(&json).ok());
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let payments = header.iter().chain(body.pointer("/params/_meta/x402~1payment"));
    let is_fair = |payment: &&Value| {
        let value = payment.pointer("/payload/authorization/value").and_then(Value::as_str);
        let token = payment.pointer("/accepted/asset").and_then(Value::as_str).unwrap_or_default();
        value.and_then(|value| value.parse::<u128>().ok()).is_some_and(|value| value <= LIMIT)
            && token.eq_ignore_ascii_case(USDC)
    };
    payments.filter(|payment| !is_fair(payment)).map(|payment| format!("paid {payment}")).next()
}

/// An answer as HTTP, with the id of the request where it says `$ID`.
fn made(answer: &[u8], request: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let body = text.split_once("\r\n\r\n").unwrap_or_default().1;
    let id = serde_json::from_str::<Value>(body).ok().and_then(|body| body.get("id").cloned());
    let id = id.unwrap_or_default().to_string();
    let mut parts = split(answer.trim_ascii_start(), b"\n\n");
    let head = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let at = head.len().min(answer.trim_ascii_start().len());
    let body = answer.trim_ascii_start().get(at + 2..).unwrap_or_default();
    let mut filled = Vec::new();
    for (place, piece) in split(body, b"$ID").enumerate() {
        if place > 0 {
            filled.extend_from_slice(id.as_bytes());
        }
        filled.extend_from_slice(piece);
    }
    let mut lines = head.lines();
    let status =
        lines.next().and_then(|line| line.trim().parse().ok()).filter(|status| (200..600).contains(status));
    let mut http = format!("HTTP/1.1 {} S\r\n", status.unwrap_or(200_u16)).into_bytes();
    let framing = ["content-length", "transfer-encoding", "connection", "upgrade"];
    let is_framing = |line: &str| framing.iter().any(|name| line.to_ascii_lowercase().starts_with(name));
    for line in lines.filter(|line| !is_framing(line)).take(16) {
        http.extend_from_slice(format!("{line}\r\n").as_bytes());
    }
    http.extend_from_slice(format!("content-length: {}\r\n\r\n", filled.len()).as_bytes());
    http.extend_from_slice(&filled);
    http
}

/// The pieces between separators.
fn split<'a>(mut text: &'a [u8], separator: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let end = text.windows(separator.len()).position(|window| window == separator);
        is_over = end.is_none();
        let (piece, rest) = text.split_at(end.unwrap_or(text.len()));
        text = rest.get(separator.len()..).unwrap_or_default();
        Some(piece)
    })
    .take(ANSWERS_MAX)
}
