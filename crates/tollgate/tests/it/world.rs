//! A server of somebody else's, and a payer who pays it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate::{Paid, Settings, Tollgate};
use tollgate_domain::{AssetId, Caller};
use tollgate_ledger::{AccountName, LedgerStore};
use tollgate_rails::evm::SigningKey;
use tollgate_store::{Options, Store};
use tollgate_testkit::http::{Answer, send};
use tollgate_till::clock;

/// The sandbox token.
const USDC: &str = "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e";
/// 0.01 USDC in atomic units.
pub(crate) const PRICE: u128 = 10_000;
/// What the payer of a new data directory holds.
pub(crate) const START: u128 = 100_000_000;
pub(crate) const PRICED: &str = "0.01USDC, 10sat";
const MAX: Duration = Duration::from_secs(30);

/// How often the handlers of a server ran.
#[derive(Clone, Default)]
pub(crate) struct Runs(Arc<AtomicUsize>);

impl Runs {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Counts one run; returns how many there were before.
    pub(crate) fn one_more(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// A server with sandbox money.
pub(crate) struct Server {
    /// Lives as long as the server.
    _tollgate: Tollgate,
    pub(crate) folder: TempDir,
    pub(crate) url: String,
    pub(crate) runs: Runs,
}

impl Server {
    /// Serves the routes that `build` makes.
    pub(crate) async fn with(
        settings: impl FnOnce(Settings) -> Settings,
        build: impl FnOnce(&Tollgate, Runs) -> Router,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tollgate = Tollgate::open(settings(Settings::dev(folder.path()))).await.unwrap();
        let runs = Runs::default();
        let app = build(&tollgate, runs.clone()).merge(tollgate.routes());
        let url = serve(app).await;
        Self { _tollgate: tollgate, folder, url, runs }
    }

    /// Two routes: `GET /weather` says who pays, `POST /echo` returns what it was given.
    pub(crate) async fn new() -> Self {
        Self::with(|settings| settings, weather_and_echo).await
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub(crate) fn payer(&self) -> SigningKey {
        payer(self.folder.path())
    }

    pub(crate) async fn balance(&self) -> u128 {
        balance(self.folder.path()).await
    }

    /// The books are in order, and this much was earned in USDC.
    pub(crate) async fn assert_earned(&self, usdc: u128) {
        assert_earned(self.folder.path(), usdc).await;
    }

    /// Nothing happened: no handler ran, nothing was earned, the payer's money is whole.
    pub(crate) async fn assert_untouched(&self) {
        assert_eq!(self.runs.count(), 0, "a handler ran");
        assert_eq!(self.balance().await, START, "the payer was charged");
        self.assert_earned(0).await;
    }
}

pub(crate) fn weather_and_echo(tollgate: &Tollgate, runs: Runs) -> Router {
    async fn weather(State(runs): State<Runs>, paid: Paid) -> String {
        runs.one_more();
        format!("sunny for {}", paid.caller())
    }
    async fn echo(State(runs): State<Runs>, _paid: Paid, body: String) -> String {
        runs.one_more();
        body
    }
    Router::new()
        .route("/weather", get(weather).route_layer(tollgate.price("weather", PRICED).unwrap()))
        .route("/echo", post(echo).put(echo).route_layer(tollgate.price("echo", PRICED).unwrap()))
        .route("/other", post(echo).route_layer(tollgate.price("echo", PRICED).unwrap()))
        .with_state(runs)
}

/// Serves on a port of its own until the test ends.
pub(crate) async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
    });
    url
}

pub(crate) fn payer(data: &Path) -> SigningKey {
    let text = std::fs::read_to_string(data.join("payer.key")).unwrap();
    let bytes: [u8; 32] = decode_hex(text.trim()).try_into().unwrap();
    SigningKey::from_bytes(&bytes).unwrap()
}

pub(crate) fn decode_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub(crate) async fn balance(data: &Path) -> u128 {
    let store = Store::open_shared(data, Options::default()).unwrap();
    let payer = Caller::Wallet(*payer(data).address().as_bytes()).principal();
    let asset: AssetId = USDC.parse().unwrap();
    let balances = store.balance(&AccountName::Credit(payer), &asset).await.unwrap();
    balances.credits_posted.get() - balances.debits_posted.get()
}

pub(crate) async fn assert_earned(data: &Path, usdc: u128) {
    let store = Store::open_shared(data, Options::default()).unwrap();
    let findings = store.check().await.unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    let asset: AssetId = USDC.parse().unwrap();
    assert_eq!(store.earned(&asset).await.unwrap().get(), usdc);
}

/// A request without a payment.
pub(crate) async fn ask(method: Method, url: &str, body: &str) -> Answer {
    request(method, url, &[], body).await
}

pub(crate) async fn request(method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    send(method, url, headers, body.to_owned()).await.unwrap()
}

/// The x402 payment that an unpaid request is asked for, ready for the header `PAYMENT-SIGNATURE`.
pub(crate) async fn x402_payment(payer: &SigningKey, method: Method, url: &str, body: &str) -> String {
    let demand = ask(method, url, body).await;
    assert_eq!(demand.status, 402, "{}", demand.text());
    let required = STANDARD.decode(demand.header("payment-required").unwrap()).unwrap();
    let required: Value = serde_json::from_slice(&required).unwrap();
    STANDARD.encode(sign(payer, &required))
}

/// Signs the first offer of an x402 demand.
pub(crate) fn sign(payer: &SigningKey, required: &Value) -> String {
    let (entry, resource) = (required["accepts"][0].to_string(), required["resource"].to_string());
    let nonce = clock::random().unwrap();
    tollgate_rails::x402::sign_payment(&entry, Some(&resource), payer, nonce, clock::now()).unwrap()
}

/// The L402 credential for a request, its invoice paid from the dev wallet.
pub(crate) async fn l402_credential(server: &Server, method: Method, url: &str, body: &str) -> String {
    let demand = ask(method, url, body).await;
    assert!(demand.header("www-authenticate").unwrap().starts_with("L402 "), "the first challenge");
    let facts = demand.json().unwrap()["error"]["data"]["l402"].clone();
    let pay = json!({ "bolt11": facts["invoice"] }).to_string();
    let headers = [("content-type", "application/json")];
    let paid = request(Method::POST, &server.at("/dev/lightning/pay"), &headers, &pay).await;
    let preimage = paid.json().unwrap()["preimage"].as_str().unwrap().to_owned();
    format!("L402 {}:{preimage}", facts["macaroon"].as_str().unwrap())
}

/// The code of a refusal.
pub(crate) fn code(answer: &Answer) -> String {
    answer.json().unwrap()["error"]["code"].as_str().unwrap().to_owned()
}

/// The receipt of an answer: verified, as its statement.
pub(crate) async fn receipt(url: &str, answer: &Answer) -> Value {
    let text = STANDARD.decode(answer.header("tollgate-receipt").expect("a receipt")).unwrap();
    let receipt: Value = serde_json::from_slice(&text).unwrap();
    let jwks = ask(Method::GET, &format!("{url}/.well-known/jwks.json"), "").await;
    let keys = tollgate_attest::keys_from_jwks(&jwks.text()).unwrap();
    tollgate_attest::verify(&receipt["envelope"].to_string(), &keys).expect("the signature is good");
    let payload = STANDARD.decode(receipt["envelope"]["payload"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

/// Waits for what must happen; a test that would wait for ever fails instead.
pub(crate) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(MAX, event).await.expect("this must happen")
}

/// A program that was built with these tests: an example, or the `tollgate` binary of the workspace.
pub(crate) fn built(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let target = tests.parent().and_then(Path::parent).unwrap();
    let found =
        [target.join("examples").join(name), target.join(name)].into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built; run the tests of the whole workspace"))
}
