//! Where money comes in and goes out: whether the chain's node and the Lightning wallet are there, are those of the configuration
//! and take its keys, and whether the relayer can pay its gas. Asks only; nothing is sent, paid or made.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, Uri};
use serde_json::{Value, json};
use tollgate_domain::{Amount, Asset};
use tollgate_rails::evm::chain::Fees;
use tollgate_rails::evm::{Address, Chain, HttpRpc, JsonRpc, RpcError, SigningKey};

use super::{Check, Found, client, place};
use crate::config::{Config, Lightning, LightningBackend, Secret, Settling, X402};
use crate::data::DataDirectory;

/// The key that sends payments to their chain.
const RELAYER_KEY: &str = "relayer.key";
/// What one settlement may use, in gas: a `transferWithAuthorization` of USDC takes some 90,000, and the relayer asks for a fifth
/// more than is estimated.
const SETTLEMENT_GAS: u128 = 120_000;
const WEI_DECIMALS: u8 = 18;

/// Everything about money that can be asked for.
pub(super) async fn checks(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Some(X402 { settling: Settling::Chain { rpc_url, chain_id, .. }, .. }) = &config.x402 {
        let (node, is_right) = node(rpc_url, *chain_id).await;
        checks.push(node);
        // What another network says of the relayer means nothing.
        if is_right {
            checks.push(relayer(rpc_url, *chain_id, &config.data).await);
        }
    }
    if let Some(Lightning { backend: LightningBackend::Lnbits { url, invoice_key }, .. }) = &config.lightning
    {
        checks.push(wallet(url, invoice_key, Key::Invoice).await);
        let funding = config.payouts.funding.as_ref();
        if let Some(admin_key) = funding.and_then(|funding| funding.lnbits_admin_key.as_ref()) {
            checks.push(wallet(url, admin_key, Key::Admin).await);
        }
    }
    checks
}

fn chain(rpc_url: &Uri) -> (Arc<HttpRpc>, Chain) {
    let rpc = Arc::new(HttpRpc::new(client(rpc_url), rpc_url.clone()));
    (Arc::clone(&rpc), Chain::new(rpc))
}

/// Whether the node is one, and of the network that is configured.
async fn node(rpc_url: &Uri, chain_id: u64) -> (Check, bool) {
    let what = format!("chain node of eip155:{chain_id} at {}", place(rpc_url));
    let problem = match chain(rpc_url).1.id().await {
        Ok(id) if id == chain_id => None,
        Ok(other) => Some(format!(
            "it serves eip155:{other}, so no payment would be settled; name a node of eip155:{chain_id} in \
             payment.x402.rpc_url (RPC_URL), or its network in payment.x402.network (NETWORK)"
        )),
        Err(error @ RpcError::NoAnswer { nothing_was_sent: true, .. }) => Some(format!(
            "{error}; is it running? Start it, or name another one in payment.x402.rpc_url (RPC_URL)"
        )),
        Err(error @ (RpcError::NoAnswer { .. } | RpcError::Node { .. } | RpcError::Answer { .. })) => {
            Some(format!(
                "{error}; name the JSON-RPC URL of a node in payment.x402.rpc_url (RPC_URL), with the key that it may need"
            ))
        }
    };
    let is_right = problem.is_none();
    (Check::new(what, problem), is_right)
}

/// Whether the relayer can pay for a settlement at what gas costs now.
async fn relayer(rpc_url: &Uri, chain_id: u64, data: &std::path::Path) -> Check {
    let what = format!("gas of the relayer on eip155:{chain_id}");
    // Its key is drawn by the first start. Drawn here, it would make a directory of real money out of any.
    if !data.join(RELAYER_KEY).exists() {
        let note = "there is no relayer yet, the first start makes one (relayer.key); ask again then: it needs the network's coin";
        return Check { what, found: Found::Note(note.to_owned()) };
    }
    let key =
        DataDirectory::open(data).and_then(|data| data.key(RELAYER_KEY)).map_err(|error| error.to_string());
    let key = key.and_then(|key| SigningKey::from_bytes(&key).map_err(|error| error.to_string()));
    let address = match key {
        Ok(key) => key.address(),
        Err(error) => return Check::new(what, Some(error)),
    };
    let (rpc, chain) = chain(rpc_url);
    let asked = async { Ok::<_, RpcError>((coins(&*rpc, address).await?, chain.fees().await?)) };
    let problem = match asked.await {
        Ok((coins, fees)) => too_little(chain_id, address, coins, fees),
        Err(error) => Some(format!("{error}; name another node in payment.x402.rpc_url (RPC_URL)")),
    };
    Check::new(what, problem)
}

/// What an account has of the chain's own coin, in wei.
async fn coins(node: &impl JsonRpc, account: Address) -> Result<u128, RpcError> {
    let method = "eth_getBalance";
    let said = node.call(method, json!([account.to_lower(), "latest"])).await?;
    let digits = said.as_str().and_then(|text| text.strip_prefix("0x"));
    let wei = digits
        .filter(|digits| !digits.starts_with('+'))
        .and_then(|digits| u128::from_str_radix(digits, 16).ok());
    wei.ok_or_else(|| RpcError::Answer { method, reason: "it is no hexadecimal quantity".to_owned() })
}

/// The relayer offers twice the base fee and the usual tip, and a node takes no transaction that could not be paid at that.
fn too_little(chain_id: u64, address: Address, coins: u128, fees: Fees) -> Option<String> {
    let needed = fees.base.saturating_mul(2).saturating_add(fees.priority).saturating_mul(SETTLEMENT_GAS);
    (coins < needed.max(1)).then(|| {
        format!(
            "{address} has {} of the network's coin, and one settlement may take {} now; send it some, or nothing that is \
             paid on eip155:{chain_id} is settled",
            decimal(chain_id, coins),
            decimal(chain_id, needed.max(1))
        )
    })
}

fn decimal(chain_id: u64, wei: u128) -> String {
    let coin = Asset::new(&format!("eip155:{chain_id}/slip44:60"), "coin", WEI_DECIMALS);
    coin.map_or_else(|_| format!("{wei} wei"), |coin| coin.decimal(Amount::new(wei)))
}

/// Which key of an LNbits wallet is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Key {
    /// Makes invoices and looks them up.
    Invoice,
    /// Spends.
    Admin,
}

impl Key {
    const fn name(self) -> &'static str {
        match self {
            Self::Invoice => "invoice key",
            Self::Admin => "admin key",
        }
    }

    const fn setting(self) -> &'static str {
        match self {
            Self::Invoice => "payment.lightning.lnbits_invoice_key (LNBITS_INVOICE_KEY)",
            Self::Admin => "payouts.lnbits_admin_key",
        }
    }
}

/// Whether LNbits is there and takes the key: `GET /api/v1/wallet`.
async fn wallet(url: &Uri, key: &Secret, kind: Key) -> Check {
    let what = format!("{} of the LNbits wallet at {}", kind.name(), place(url));
    let Ok(mut header) = HeaderValue::from_bytes(&key.0) else {
        let problem = format!("it cannot stand in a header; copy it again into {}", kind.setting());
        return Check::new(what, Some(problem));
    };
    header.set_sensitive(true);
    let base = url.to_string();
    let request = http::Request::get(format!("{}/api/v1/wallet", base.trim_end_matches('/')))
        .header("x-api-key", header)
        .header("accept", "application/json")
        .body(Bytes::new());
    let found = match request {
        Err(error) => Found::Problem(error.to_string()),
        Ok(request) => match client(url).send(request).await {
            Ok(answer) => judged(kind, answer.status(), answer.body()),
            Err(error) => Found::Problem(format!(
                "{error}; is LNbits running? Start it, or name it in payment.lightning.lnbits_url (LNBITS_URL)"
            )),
        },
    };
    Check { what, found }
}

/// What an answer means. LNbits (1.x, `core/views/wallet_api.py`) tells name and balance to either key, and the wallet's `id` to
/// its admin key alone; to a key of no wallet it says 404 and why, earlier versions 401.
fn judged(kind: Key, status: StatusCode, body: &[u8]) -> Found {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = said.get("detail").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let is_refused = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        || status == StatusCode::NOT_FOUND && detail.contains("wallet");
    if is_refused {
        return Found::Problem(format!(
            "LNbits refuses it (HTTP {}); copy the {} of the wallet (API keys, on the wallet's page) into {}",
            status.as_u16(),
            match kind {
                Key::Invoice => "invoice/read key",
                Key::Admin => "admin key",
            },
            kind.setting()
        ));
    }
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        return Found::Problem(format!(
            "LNbits answers HTTP {} and says nothing of the key; look at its log, and ask again",
            status.as_u16()
        ));
    }
    if !status.is_success() || said.get("balance").and_then(Value::as_i64).is_none() {
        return Found::Problem(format!(
            "what answers there (HTTP {}) is no LNbits; name its address, without /api, in payment.lightning.lnbits_url (LNBITS_URL)",
            status.as_u16()
        ));
    }
    match (kind, said.get("id").is_some()) {
        (Key::Invoice, false) | (Key::Admin, true) => Found::Well,
        (Key::Invoice, true) => Found::Note(format!(
            "it is the wallet's admin key, which can spend; the invoice/read key is enough: put that into {}",
            kind.setting()
        )),
        (Key::Admin, false) => Found::Problem(format!(
            "it cannot spend: it is the wallet's invoice/read key; copy the admin key into {}",
            kind.setting()
        )),
    }
}

#[cfg(test)]
mod tests;
