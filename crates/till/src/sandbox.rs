//! Sandbox money: rails that settle in the data directory's own books, and nothing real.

use std::path::Path;
use std::sync::Arc;

use http::StatusCode;
use serde_json::json;
use tollgate_domain::{Amount, Asset, AssetError, Assets, Caller, Digest, Principal, TransferId, UnixMillis};
use tollgate_gate::Answer;
use tollgate_ledger::{AccountName, Balances, Clearing, Grant, Granted, LedgerStore, StoreError};
use tollgate_rails::evm::{Address, SigningKey};
use tollgate_rails::lightning::dev::DevWallet;
use tollgate_store::{InvoiceStore, Store};

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
    /// The sandbox token.
    pub usdc: Asset,
    /// The wallet that a payer of this data directory pays with.
    pub payer: Address,
}

/// The assets of dev mode.
///
/// # Errors
/// Never, as long as the constants of this file are well formed.
pub fn assets() -> Result<Assets, AssetError> {
    Ok(Assets::new([Asset::new(SANDBOX_ASSET, "USDC", 6)?, Asset::new(LIGHTNING_ASSET, "sat", 3)?]))
}

/// Whether dev mode has been in these books: it makes money at its first start, which they show for ever.
///
/// # Errors
/// When they cannot be read.
pub async fn has_been(store: &Store) -> Result<bool, TillError> {
    let made = AccountName::Clearing(Clearing::Sandbox);
    for asset in assets().map_err(RailError::SandboxAsset)?.iter() {
        if !store.balance(&made, asset.id()).await?.debits_posted.is_zero() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Who is paid with sandbox money: an account of the data directory's own, whose key is drawn the first time.
///
/// # Errors
/// When the key file cannot be used.
pub fn payee(data: &Path) -> Result<Address, TillError> {
    let key = DataDirectory::open(data)?.key("merchant.key")?;
    Ok(SigningKey::from_bytes(&key).map_err(RailError::SigningKey)?.address())
}

/// The rails of dev mode: x402 settled in sandbox money on the ledger itself, Lightning on the dev wallet.
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

impl Dev {
    /// What stands on the account of a wallet in the sandbox token.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn balances(&self, ledger: &impl LedgerStore, wallet: Address) -> Result<Balances, StoreError> {
        ledger.balance(&AccountName::Credit(principal(wallet)), self.usdc.id()).await
    }

    /// Makes sandbox money for a wallet, once for each id.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where the amount is nothing or would not fit; any [`StoreError`] of a write.
    pub async fn mint(
        &self,
        ledger: &impl LedgerStore,
        wallet: Address,
        amount: Amount,
        id: TransferId,
        now: UnixMillis,
    ) -> Result<Granted, StoreError> {
        let grant = Grant {
            from: Clearing::Sandbox,
            to: principal(wallet),
            amount,
            asset: self.usdc.id().clone(),
            id,
            note: "SANDBOX money".to_owned(),
            now,
        };
        ledger.grant_credit(grant).await
    }

    /// Gives the payer its first sandbox money, once in the life of a ledger.
    ///
    /// # Errors
    /// When the ledger cannot be used.
    pub async fn fund_once(&self, ledger: &impl LedgerStore, now: UnixMillis) -> Result<(), StoreError> {
        let before = self.balances(ledger, self.payer).await?;
        if before.credits_posted.is_zero() {
            // The id follows from the wallet: whatever happens in between, this is booked once.
            let digest =
                *Digest::of(format!("sandbox start/{}", principal(self.payer)).as_bytes()).as_bytes();
            let mut id = [0; 16];
            id.copy_from_slice(&digest[..16]);
            let (amount, id) = (Amount::new(SANDBOX_START), TransferId::from_bytes(id));
            self.mint(ledger, self.payer, amount, id, now).await?;
        }
        Ok(())
    }
}

/// The wallet at this address, as the ledger names it.
fn principal(wallet: Address) -> Principal {
    Caller::Wallet(*wallet.as_bytes()).principal()
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
