//! Sandbox money: rails that settle in the data directory's own books, and nothing real.

use std::path::Path;
use std::sync::Arc;

use http::StatusCode;
use serde_json::json;
use tollgate_domain::{Amount, Asset, AssetError, Assets};
use tollgate_gate::Answer;
use tollgate_rails::evm::{Address, SigningKey};
use tollgate_rails::lightning::dev::DevWallet;
use tollgate_rails::x402::sandbox::{SandboxBook, SandboxError};
use tollgate_store::{InvoiceStore, SandboxStore};

use crate::clock;
use crate::data::DataDirectory;
use crate::documents::json_answer;
use crate::payment::{Lightning, LightningBackend, SandboxRails, Settling, X402};
use crate::rails::RailError;
use crate::till::TillError;

/// The chain that dev mode plays: the id of Base Sepolia, so that stock clients sign for it; nothing ever reaches it.
const SANDBOX_ASSET: &str = "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e";
const LIGHTNING_ASSET: &str = "lightning:regtest/msat";
/// What the sandbox wallet of a new data directory holds: 100 USDC.
pub const SANDBOX_START: u128 = 100_000_000;

/// What only dev mode has.
#[derive(Debug)]
pub struct Dev {
    /// The dev Lightning wallet.
    pub wallet: Arc<DevWallet<InvoiceStore>>,
    /// The sandbox token ledger.
    pub book: Arc<SandboxStore>,
    /// The sandbox token.
    pub usdc: Asset,
    /// The wallet that a payer of this data directory pays with.
    pub payer: Address,
}

/// Why a new payer has no sandbox money.
#[derive(Debug, thiserror::Error)]
pub enum FundError {
    /// The sandbox book cannot be used.
    #[error(transparent)]
    Book(#[from] SandboxError),
    /// What was given cannot be noted.
    #[error(transparent)]
    Note(#[from] std::io::Error),
}

/// The assets of dev mode.
///
/// # Errors
/// Never, as long as the constants of this file are well formed.
pub fn assets() -> Result<Assets, AssetError> {
    Ok(Assets::new([Asset::new(SANDBOX_ASSET, "USDC", 6)?, Asset::new(LIGHTNING_ASSET, "sat", 3)?]))
}

/// Who is paid with sandbox money: an account of the data directory's own, whose key is drawn the first time.
///
/// # Errors
/// When the key file cannot be used.
pub fn payee(data: &Path) -> Result<Address, TillError> {
    let key = DataDirectory::open(data)?.key("merchant.key")?;
    Ok(SigningKey::from_bytes(&key).map_err(RailError::SigningKey)?.address())
}

/// The rails of dev mode: x402 settled in the sandbox token ledger, Lightning on the dev wallet.
///
/// # Errors
/// Never, as long as the constants of this file are well formed.
pub fn rails(pay_to: Address) -> Result<SandboxRails, AssetError> {
    Ok(SandboxRails {
        x402: X402 {
            asset: Asset::new(SANDBOX_ASSET, "USDC", 6)?,
            name: "USDC".to_owned(),
            version: "2".to_owned(),
            pay_to,
            max_timeout_seconds: 120,
            settling: Settling::Sandbox,
        },
        lightning: Lightning {
            asset: Asset::new(LIGHTNING_ASSET, "sat", 3)?,
            backend: LightningBackend::Dev,
            ttl_seconds: 600,
        },
    })
}

/// Gives the payer of a new data directory its sandbox money, once.
///
/// # Errors
/// When the sandbox book cannot be used.
pub async fn fund_once(dev: &Dev, data: &DataDirectory) -> Result<(), FundError> {
    let funded = data.path("payer.funded");
    if !funded.exists() {
        dev.book.mint(dev.payer, Amount::new(SANDBOX_START)).await?;
        std::fs::write(&funded, "SANDBOX money was given once; delete this file for more\n")?;
    }
    Ok(())
}

/// `POST /dev/lightning/pay`: pays an invoice of the dev wallet and answers with its preimage.
pub async fn pay(dev: &Dev, bolt11: &str) -> Answer {
    match dev.wallet.pay(bolt11, clock::now()).await {
        Ok(paid) => json_answer(
            StatusCode::OK,
            &json!({
                "preimage": paid.preimage.to_hex(),
                "payment_hash": hex::encode(paid.payment_hash),
                "sats": paid.sats,
                "network": "regtest",
            }),
        ),
        Err(error) => {
            let body = json!({ "error": {
                "code": "invoice_not_paid", "message": error.to_string(),
                "next_step": "Pay an invoice that this gateway issued, before it expires.", "retryable": false,
            }});
            json_answer(StatusCode::CONFLICT, &body)
        }
    }
}
