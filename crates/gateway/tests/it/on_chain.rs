//! A gateway in live mode over a chain of its own, and what the chain and the books say.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tollgate_rails::evm::SigningKey;
use tollgate_testkit::http::{Answer, get};
use tollgate_testkit::journal_server::{Behaviour, Journal, Script};
use tollgate_testkit::peers::anvil::{Account, PAYEE, PAYER, RELAYER, Transfer};
use tollgate_testkit::peers::{Chain, available};

use crate::world::{Demand, Gateway, PRICE, call, call_body, modern_headers};

/// What a payer starts with: one token.
pub(crate) const FUNDS: u128 = 1_000_000;
/// A settlement that hangs is looked up every two seconds; a loaded machine gets thirty times that.
const SETTLED_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A gateway that settles on a chain of its own, in front of a journaling upstream.
pub(crate) struct OnChain {
    pub(crate) chain: Chain,
    pub(crate) journal: Journal,
    pub(crate) gateway: Gateway,
    folder: TempDir,
}

impl OnChain {
    /// `None` where the chain cannot run; `more` are further servers.
    pub(crate) async fn start(more: &str) -> Option<Self> {
        Self::with(more, &[]).await
    }

    /// A gateway that dies at `failpoint`, until it is started again.
    pub(crate) async fn doomed_at(failpoint: &str) -> Option<Self> {
        // A new tool's pin is a commit too, and whoever counts commits counts those of the call.
        let unpinned = "    pins: { drift: off, findings: off }\n";
        Self::with(unpinned, &[("TOLLGATE_FAILPOINT", failpoint)]).await
    }

    async fn with(more: &str, environment: &[(&str, &str)]) -> Option<Self> {
        let script = Script::new().tool("counted", Behaviour::Echo);
        Self::selling(script, "{ price: [0.01USDC] }", more, environment).await
    }

    /// The tool `counted` of a script, under another policy.
    pub(crate) async fn selling(
        script: Script,
        policy: &str,
        more: &str,
        environment: &[(&str, &str)],
    ) -> Option<Self> {
        let chain = available(Chain::start().await)?;
        let journal = Journal::start(script).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_key(folder.path(), "relayer.key", RELAYER);
        let yaml = format!(
            "servers:\n  journal:\n    url: {}\n    tools:\n      counted: {policy}\n{more}\
             payment:\n  x402: {{ network: base-sepolia, rpc_url: \"{}\", pay_to: \"{}\" }}\n",
            journal.url(),
            chain.rpc_url(),
            PAYEE.address,
        );
        std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
        let gateway = Gateway::serve(folder.path(), environment).await;
        Some(Self { chain, journal, gateway, folder })
    }

    /// Where its settings are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Another house may send from the same account.
    pub(crate) fn give_relayer(&self, folder: &Path) {
        write_key(folder, "relayer.key", RELAYER);
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/servers/journal/mcp", self.gateway.url)
    }

    pub(crate) async fn call(&self, arguments: &Value, meta: &Value) -> Answer {
        call(&self.url(), "counted", arguments, meta, &[]).await
    }

    /// The `_meta` that pays for a call.
    pub(crate) async fn payment(&self, arguments: &Value) -> Value {
        let demand = Demand::read(&self.call(arguments, &json!({})).await);
        json!({ "x402/payment": demand.sign(&wallet(PAYER)) })
    }

    /// Starts a paid call that goes on while the test looks elsewhere.
    pub(crate) fn begin(&self, arguments: &Value, meta: &Value) -> JoinSet<Result<Answer, String>> {
        let (url, body) = (self.url(), call_body("counted", arguments, meta));
        let mut running = JoinSet::new();
        running.spawn(async move {
            let headers = modern_headers("counted");
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let sent =
                tollgate_testkit::http::send(http::Method::POST, &url, &headers, body.to_string()).await;
            sent.map_err(|error| error.to_string())
        });
        running
    }

    /// The only paid call that the gateway remembers.
    pub(crate) fn only_call(&self) -> Value {
        let listed = self.gateway.cli(&["calls", "list", "--json"]);
        let text = String::from_utf8(listed.stdout).unwrap();
        let calls: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls[0].clone()
    }

    /// What the status URL says of the only call.
    pub(crate) async fn status(&self) -> Value {
        let id = self.only_call()["call_id"].as_str().unwrap().to_owned();
        get(&format!("{}/api/v1/calls/{id}", self.gateway.url), &[]).await.unwrap().json().unwrap()
    }

    pub(crate) async fn until_state(&self, state: &str) {
        until(&format!("a call in state {state}"), async || self.status().await["state"] == state).await;
    }

    /// Asserts that no money moved and none is reserved.
    pub(crate) async fn assert_not_charged(&self, why: &str) {
        assert_eq!(self.chain.transfers().await.unwrap(), [], "{why}");
        assert_eq!(self.gateway.account("payable:journal"), [0; 4], "{why}");
        self.gateway.assert_books_in_order();
    }

    /// Asserts that the books hold the price back and have posted nothing.
    pub(crate) fn assert_reserved(&self, why: &str) {
        assert_eq!(self.gateway.account("payable:journal"), [0, 0, 0, PRICE], "{why}");
        assert_eq!(self.gateway.account("clearing:x402"), [0, 0, PRICE, 0], "{why}");
        self.gateway.assert_books_in_order();
    }

    /// Asserts that the chain and the books show exactly one payment.
    pub(crate) async fn assert_charged_once(&self) {
        assert_eq!(self.chain.transfers().await.unwrap(), [transfer()]);
        assert_eq!(self.chain.balance_of(PAYER.address).await.unwrap(), FUNDS - PRICE);
        assert_eq!(self.gateway.account("payable:journal"), [0, PRICE, 0, 0]);
        assert_eq!(self.gateway.account("clearing:x402"), [PRICE, 0, 0, 0]);
        self.gateway.assert_books_in_order();
    }
}

/// The one movement of money that these tests pay with.
pub(crate) fn transfer() -> Transfer {
    let lower = |account: Account| account.address.to_ascii_lowercase();
    Transfer { from: lower(PAYER), to: lower(PAYEE), amount: PRICE }
}

pub(crate) fn wallet(account: Account) -> SigningKey {
    let bytes: [u8; 32] =
        hex::decode(account.private_key.trim_start_matches("0x")).unwrap().try_into().unwrap();
    SigningKey::from_bytes(&bytes).unwrap()
}

/// Puts a key into the data directory before the first start, as an operator would.
fn write_key(folder: &Path, name: &str, account: Account) {
    write_key_in(&folder.join("data"), name, account);
}

pub(crate) fn write_key_in(data: &Path, name: &str, account: Account) {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    std::fs::DirBuilder::new().mode(0o700).create(data).unwrap();
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(data.join(name)).unwrap();
    std::io::Write::write_all(&mut file, account.private_key.trim_start_matches("0x").as_bytes()).unwrap();
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(SETTLED_MAX, async {
        while !holds().await {
            tokio::time::sleep(POLL).await;
        }
    });
    assert!(waited.await.is_ok(), "never saw {what}");
}
