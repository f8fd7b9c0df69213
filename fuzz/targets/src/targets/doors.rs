//! A whole gateway behind its own listener: whatever callers, sellers and operators send, each request is answered, and never with
//! a fault.

use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_domain::{AdminKeyId, Caller, KeyId, TransferId, UnixMillis};
use tollgate_gate::Mode;
use tollgate_gateway::assemble::assemble;
use tollgate_gateway::config::{Environment, Overlay, Overrides, SettingsSource};
use tollgate_gateway::control::{Control, Started};
use tollgate_gateway::foundation::Foundation;
use tollgate_gateway::live::Live;
use tollgate_gateway::{dev, keys, server};
use tollgate_ledger::{Clearing, Grant, LedgerStore as _};
use tollgate_payer::{EvmWallet, NoRandomness};
use tollgate_store::{AdminKeyRecord, AuditRecord, NewKey};
use tollgate_trust::{AdminKey, ApiKey};

pub(crate) const WORDS: &[&str] = &[
    "POST /mcp\n",
    "POST /servers/app/mcp\n",
    "POST /servers/tollgate/mcp\n",
    "POST /api/v1/execute\n",
    "POST /api/v1/escrow\n",
    "/fund\n",
    "/dispute\n",
    "POST /api/v1/payments/authorize\n",
    "POST /gate/v1/authorize\n",
    "POST /gate/v1/complete\n",
    "GET /admin/v1/",
    "$ID",
    "authorization: Bearer $PAYER\n",
    "authorization: Bearer $PROVIDER\n",
    "authorization: Bearer $ADMIN\n",
    "authorization: Bearer $GATE\n",
    "idempotency-key: a\n",
    "?limit=",
    "&cursor=",
    "\n\n",
    "\n====\n",
    "\"tool_name\":\"app/render\",",
    "\"amount\":\"1\",",
    "\"asset\":\"USDC\",",
    "18446744073709551616",
    "\"expires_in_seconds\":",
    "\"max_price\":",
    "{}",
];
const SETTINGS: &str = "
servers:
  app:
    gate: true
    tools:
      render: { price: [0.01USDC, 10sat] }
      before: { price: [0.01USDC, 10sat], settle: before }
      work: { price: [0.01USDC], settle: escrow }
      tiered: { price: { type: free_tier, calls: 1, per: ever, then: [0.01USDC] } }
      free: {}
gate_api: { key: gate-key-of-a-test-0123456789abcdef }
builtin_tools: true
";
const GATE_KEY: &str = "gate-key-of-a-test-0123456789abcdef";
/// Requests of one input.
const REQUESTS_MAX: usize = 6;
/// What is read of one answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

thread_local! {
    static STAGE: Result<Stage, String> = Stage::new();
}

/// A gateway that runs for as long as its thread.
struct Stage {
    runtime: Runtime,
    address: String,
    names: Vec<(&'static str, String)>,
    _folder: TempDir,
}

/// Requests, `METHOD PATH`, header lines, an empty line and a body each, with `====` between them. `$PAYER`, `$PROVIDER`, `$ADMIN`
/// and `$GATE` stand for keys, `$PAYEE` for the provider's id, `$ID` for the last id that an answer named.
pub(crate) fn doors(input: &[u8]) {
    STAGE.with(|stage| {
        assert_eq!(stage.as_ref().err(), None, "the gateway does not start");
        let Ok(stage) = stage else { return };
        let mut id = String::new();
        for request in String::from_utf8_lossy(input).split("\n====\n").take(REQUESTS_MAX) {
            let mut request = request.replace("$ID", &id);
            for (name, value) in &stage.names {
                request = request.replace(*name, value);
            }
            let Some(request) = made(&request) else { continue };
            let answer = stage.runtime.block_on(asked(&stage.address, &request));
            let text = String::from_utf8_lossy(&answer);
            assert!(text.starts_with("HTTP/1.1 "), "no answer: {text:.200}");
            let is_fault = text.starts_with("HTTP/1.1 500");
            assert!(!is_fault, "{}\nwas answered\n{text}", String::from_utf8_lossy(&request));
            id = named(&text).unwrap_or(id);
        }
    });
}

/// The request as HTTP, if it is one that may be made: nothing here reaches another server.
fn made(request: &str) -> Option<Vec<u8>> {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = head.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let changes_servers = path.contains("admin") && method != "GET" && !path.ends_with("/price");
    let of_servers = path.contains("servers") || path.contains('%');
    if !["GET", "POST", "PUT", "DELETE"].contains(&method)
        || !path.starts_with('/')
        || !is_plain(path)
        || (changes_servers && of_servers)
    {
        return None;
    }
    let mut http = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for line in lines.take(16) {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let framing = ["host", "connection", "content-length", "transfer-encoding", "upgrade", "expect"];
        if line.contains(':') && is_plain(&name) && !framing.contains(&&*name) {
            http.push_str(line.trim_end_matches('\r'));
            http.push_str("\r\n");
        }
    }
    http.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    Some(http.into_bytes())
}

async fn asked(address: &str, request: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let Ok(mut stream) = TcpStream::connect(address).await else { return answer };
    // Reset instead of closed: a closed connection would keep its port for a minute, and there are not that many.
    let reset = stream.set_zero_linger().is_ok();
    if !reset || stream.write_all(request).await.is_err() {
        return answer;
    }
    while answer.len() < ANSWER_BYTES_MAX {
        match stream.read_buf(&mut answer).await {
            Ok(0) | Err(_) => break,
            // A stream of events has no end.
            Ok(_) if String::from_utf8_lossy(&answer).contains("text/event-stream") => break,
            Ok(_) => {}
        }
    }
    answer
}

/// The last id in an answer: of a call, an escrow, a payout, a receipt, or a lease.
fn named(answer: &str) -> Option<String> {
    let members =
        ["\"escrow_id\":\"", "\"lease\":\"", "\"call_id\":\"", "\"authorization_id\":\"", "\"id\":\""];
    let (at, member) = members.iter().find_map(|member| Some((answer.rfind(member)?, member)))?;
    let rest = answer.get(at + member.len()..)?;
    Some(rest.split('"').next()?.to_owned())
}

impl Stage {
    fn new() -> Result<Self, String> {
        fn text(error: impl std::fmt::Debug) -> String {
            format!("{error:?}")
        }
        let runtime = Builder::new_current_thread().enable_all().build().map_err(text)?;
        let folder = TempDir::new().map_err(text)?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data).map_err(text)?;
        let file = folder.path().join("tollgate.yaml");
        std::fs::write(&file, SETTINGS).map_err(text)?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(text)?;
        let listen = listener.local_addr().map_err(text)?;
        EvmWallet::open_or_create(&data.join("payer.key"), &payer_key).map_err(text)?;
        let merchant = EvmWallet::open_or_create(&data.join("merchant.key"), &merchant_key).map_err(text)?;
        let flags = Overrides { listen: Some(listen.to_string()), data: Some(data.display().to_string()) };
        let sandbox = Some(dev::rails(listen, merchant.address()).map_err(text)?);
        let source = SettingsSource { file: Some(file), flags, sandbox };
        let nothing = Environment::of([]);
        let settings = source.read_with(&Overlay::default(), &nothing).map_err(text)?;

        let now = UnixMillis::from_secs(1_795_219_200);
        let (payer, provider) = (ApiKey::from_random([1; 32]), ApiKey::from_random([2; 32]));
        let admin = AdminKey::from_random([3; 32]);
        let payee = KeyId::new(now, [2; 10]);
        runtime.block_on(async {
            let foundation = Foundation::open(&settings.config, Mode::Sandbox).await.map_err(text)?;
            for (id, key) in [(KeyId::new(now, [1; 10]), &payer), (payee, &provider)] {
                let (tier, labels) = (Default::default(), Default::default());
                let new = NewKey { id, name: "k".to_owned(), hash: key.hash(), tier, labels, now };
                foundation.store.create_key(new).await.map_err(text)?;
            }
            let id = AdminKeyId::new(now, [3; 10]);
            let record = AuditRecord {
                at: now,
                admin: None,
                what: "create_admin_key".to_owned(),
                target: id.to_string(),
                before: "null".to_owned(),
                after: "null".to_owned(),
            };
            let new =
                AdminKeyRecord { id, name: "a".to_owned(), hash: admin.hash(), created: now, revoked: None };
            foundation.control.create_admin_key(new, record).await.map_err(text)?;
            let usdc = dev::assets().map_err(text)?.parse("1000USDC").map_err(text)?;
            let grant = Grant {
                from: Clearing::Manual,
                to: Caller::ApiKey(KeyId::new(now, [1; 10])).principal(),
                amount: usdc.amount,
                asset: usdc.asset.id().clone(),
                id: TransferId::new(now, [4; 10]),
                note: String::new(),
                now,
            };
            foundation.store.grant_credit(grant).await.map_err(text)?;
            keys::reload(&foundation.store, &foundation.keys).await.map_err(text)?;
            let gateway = assemble(settings.config.clone(), &foundation, None).await.map_err(text)?;
            let (stop, background) = (CancellationToken::new(), TaskTracker::new());
            let live = Live::new(gateway, background.clone(), stop.clone());
            let started = Started { source: None, settings, overlay: Overlay::default(), stored: 0 };
            let control = Control::new(live, foundation, started, background.clone());
            background.spawn(server::serve(Arc::clone(&control), listener, stop));
            Ok::<_, String>(())
        })?;
        let names = vec![
            ("$PAYER", payer.expose().to_owned()),
            ("$PROVIDER", provider.expose().to_owned()),
            ("$ADMIN", admin.expose().to_owned()),
            ("$GATE", GATE_KEY.to_owned()),
            ("$PAYEE", payee.to_string()),
        ];
        Ok(Self { runtime, address: listen.to_string(), names, _folder: folder })
    }
}

fn payer_key() -> Result<[u8; 32], NoRandomness> {
    Ok([5; 32])
}

fn merchant_key() -> Result<[u8; 32], NoRandomness> {
    Ok([6; 32])
}
