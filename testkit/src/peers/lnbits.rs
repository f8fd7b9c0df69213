//! LNbits with its FakeWallet: real BOLT11 invoices and real preimages in a closed loop, as backend and as payer.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::install::PythonSet;
use super::{PeerError, port};
use crate::http::{self as peer_http, Answer};
use crate::process::Guarded;

/// LNbits 1.6 supports no other version.
const PYTHONS: &[&str] = &["3.12"];

/// Measured 5–21 s: it runs all its migrations.
const READY_SECONDS_MAX: u64 = 180;

/// What the payer's wallet starts with, in satoshis.
pub const PAYER_SATS: u64 = 1_000_000;

/// The one administrator of a wallet that lives as long as a test.
const PASSWORD: &str = "tollgate-test";

/// A running LNbits with two accounts: the gate's, which receives, and the payer's, which is funded.
#[derive(Debug)]
pub struct Lnbits {
    process: Guarded,
    url: String,
    gate: Wallet,
    payer: Wallet,
    _folder: TempDir,
}

/// A wallet's id and keys.
struct Wallet {
    id: String,
    admin_key: String,
    invoice_key: String,
}

impl fmt::Debug for Wallet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Wallet").field("id", &self.id).field("keys", &"[redacted]").finish()
    }
}

/// An invoice as LNbits made it.
#[derive(Clone, Debug)]
pub struct Invoice {
    /// BOLT11.
    pub bolt11: String,
    /// 32 bytes of hex.
    pub payment_hash: String,
}

impl Lnbits {
    /// Starts LNbits in a temporary folder and opens the two accounts. Takes 10–25 s.
    ///
    /// # Errors
    /// [`PeerError::Skip`] without Python 3.12.
    pub async fn start() -> Result<Self, PeerError> {
        let packages = PythonSet::install("peers/lnbits", PYTHONS).await?;
        // It mounts `lnbits/static` relative to its working directory.
        let site_packages = packages.site_packages()?;
        let (process, url, folder) = port::on_a_free_port(async |port| {
            let folder = tempfile::tempdir()?;
            let mut command = Command::new(packages.program("lnbits"));
            command
                .args(["--host", "127.0.0.1", "--port", &port.to_string()])
                .current_dir(&site_packages)
                .env("LNBITS_BACKEND_WALLET_CLASS", "FakeWallet")
                .env("FAKE_WALLET_SECRET", "tollgate-test")
                .env("LNBITS_DATA_FOLDER", folder.path())
                .env("LNBITS_EXTENSIONS_PATH", folder.path())
                .env("LNBITS_ADMIN_UI", "true")
                .env("LNBITS_EXTENSIONS_MANIFESTS", "")
                .env("AUTH_ALLOWED_METHODS", "user-id-only, username-password")
                .env("PYTHONDONTWRITEBYTECODE", "1");
            let mut process = Guarded::spawn(&command, &folder.path().join("lnbits.log"))?;
            let url = format!("http://127.0.0.1:{port}");
            let health = format!("{url}/api/v1/health");
            // Any answer: it listens only after its migrations, and until the first install it redirects.
            let ready = async || peer_http::get(&health, &[]).await.is_ok();
            process.wait_until(Duration::from_secs(READY_SECONDS_MAX), ready).await?;
            Ok((process, url, folder))
        })
        .await?;
        let (gate, payer) = set_up(&url).await?;
        Ok(Self { process, url, gate, payer, _folder: folder })
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes and looks up invoices of the gate's wallet; cannot spend.
    #[must_use]
    pub fn gate_invoice_key(&self) -> &str {
        &self.gate.invoice_key
    }

    /// Spends from the gate's wallet (refunds).
    #[must_use]
    pub fn gate_admin_key(&self) -> &str {
        &self.gate.admin_key
    }

    /// Spends from the payer's wallet.
    #[must_use]
    pub fn payer_admin_key(&self) -> &str {
        &self.payer.admin_key
    }

    /// Pays an invoice from the payer's wallet; the preimage as hex.
    ///
    /// # Errors
    /// [`PeerError::Refused`] when the wallet says no.
    pub async fn pay(&self, bolt11: &str) -> Result<String, PeerError> {
        let payment = json!({"out": true, "bolt11": bolt11});
        let answer = self.payments(&self.payer.admin_key, &payment).await?;
        field(&answer.json()?, "/preimage", "pay an invoice")
    }

    /// Makes an invoice of the gate's wallet: what the gateway's own backend does, for tests without the gateway.
    ///
    /// # Errors
    /// [`PeerError::Refused`] when the wallet says no.
    pub async fn invoice(&self, sats: u64, memo: &str) -> Result<Invoice, PeerError> {
        let invoice = json!({"out": false, "amount": sats, "memo": memo, "expiry": 600});
        let answer = self.payments(&self.gate.invoice_key, &invoice).await?.json()?;
        Ok(Invoice {
            bolt11: field(&answer, "/bolt11", "make an invoice")?,
            payment_hash: field(&answer, "/payment_hash", "make an invoice")?,
        })
    }

    /// Millisatoshis in the gate's wallet.
    ///
    /// # Errors
    /// [`PeerError::Refused`] when the wallet says no.
    pub async fn gate_balance_msat(&self) -> Result<u64, PeerError> {
        self.balance_msat(&self.gate.invoice_key).await
    }

    /// Millisatoshis in the payer's wallet.
    ///
    /// # Errors
    /// [`PeerError::Refused`] when the wallet says no.
    pub async fn payer_balance_msat(&self) -> Result<u64, PeerError> {
        self.balance_msat(&self.payer.invoice_key).await
    }

    /// Freezes LNbits: connections are accepted by the kernel, nothing answers.
    ///
    /// # Errors
    /// [`PeerError::Process`].
    pub fn pause(&self) -> Result<(), PeerError> {
        Ok(self.process.pause()?)
    }

    /// Undoes [`Lnbits::pause`].
    ///
    /// # Errors
    /// [`PeerError::Process`].
    pub fn resume(&self) -> Result<(), PeerError> {
        Ok(self.process.resume()?)
    }

    /// Kills LNbits: connections are refused from now on, and its wallets are lost.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    async fn payments(&self, key: &str, body: &Value) -> Result<Answer, PeerError> {
        let url = format!("{}/api/v1/payments", self.url);
        accepted("use a wallet", peer_http::post_json(&url, &[("x-api-key", key)], body).await?)
    }

    async fn balance_msat(&self, key: &str) -> Result<u64, PeerError> {
        let url = format!("{}/api/v1/wallet", self.url);
        let answer =
            accepted("tell a balance", peer_http::get(&url, &[("x-api-key", key)]).await?)?.json()?;
        let balance = answer.get("balance").and_then(Value::as_u64);
        balance.ok_or_else(|| PeerError::refused("tell a balance", answer))
    }
}

/// First install, settings (before any account), two accounts, and money for the payer.
async fn set_up(url: &str) -> Result<(Wallet, Wallet), PeerError> {
    let owner = json!({"username": "tollgate", "password": PASSWORD, "password_repeat": PASSWORD});
    let answer = send(Method::PUT, url, "/api/v1/auth/first_install", None, &owner).await?;
    let token = field(&answer, "/access_token", "install")?;
    // Without this every payment asks eight price servers first, and two hundred requests a minute are the limit.
    let settings = json!({
        "lnbits_price_aggregator_enabled": false,
        "lnbits_exchange_rate_providers": [],
        "lnbits_default_accounting_currency": null,
        "lnbits_rate_limit_no": 1_000_000
    });
    send(Method::PATCH, url, "/admin/api/v1/settings", Some(&token), &settings).await?;
    let gate = open(url, "gate").await?;
    let payer = open(url, "payer").await?;
    let credit = json!({"id": payer.id, "amount": PAYER_SATS});
    send(Method::PUT, url, "/users/api/v1/balance", Some(&token), &credit).await?;
    Ok((gate, payer))
}

async fn open(url: &str, name: &str) -> Result<Wallet, PeerError> {
    let answer = send(Method::POST, url, "/api/v1/account", None, &json!({"name": name})).await?;
    Ok(Wallet {
        id: field(&answer, "/id", "open an account")?,
        admin_key: field(&answer, "/adminkey", "open an account")?,
        invoice_key: field(&answer, "/inkey", "open an account")?,
    })
}

async fn send(
    method: Method,
    url: &str,
    path: &str,
    token: Option<&str>,
    body: &Value,
) -> Result<Value, PeerError> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    let answer = peer_http::send_json(method, &format!("{url}{path}"), &headers, body).await?;
    Ok(accepted(path, answer)?.json()?)
}

fn accepted(step: &str, answer: Answer) -> Result<Answer, PeerError> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    Err(PeerError::refused(step, format!("{} {}", answer.status, answer.text())))
}

fn field(answer: &Value, pointer: &str, step: &str) -> Result<String, PeerError> {
    let text = answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| PeerError::refused(step, answer))
}

#[cfg(test)]
mod tests;
