//! Dev mode: one process on loopback with a demo server, sandbox money and a dev Lightning wallet. No account, no faucet,
//! no other server; it refuses real networks and addresses that others can reach.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tollgate_domain::{
    Amount, Asset, Assets, Caller, Digest, Price, Principal, Requirement, ServerName, TransferId, UnixMillis,
};
use tollgate_ledger::{AccountName, Balances, Clearing, Grant, Granted, LedgerStore, StoreError};
use tollgate_rails::evm::Address;
use tollgate_rails::lightning::dev::DevWallet;
use tollgate_registry::PinPolicy;
use tollgate_store::InvoiceStore;

use crate::config::{
    Breaker, Lightning, LightningBackend, SandboxRails, Server, Settling, ToolPolicy, Transport, X402,
};
use crate::demo;

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
    /// The wallet that `tollgate call` pays with.
    pub payer: Address,
}

/// Why dev mode does not start like that.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// Not a loopback address.
    #[error("dev mode listens on loopback only, not on {0}; it hands out money to anybody who asks")]
    NotLoopback(SocketAddr),
    /// A demo asset could not be named.
    #[error("name the sandbox assets: {0}")]
    Asset(#[from] tollgate_domain::AssetError),
    /// A demo name could not be used.
    #[error("name the demo server: {0}")]
    Name(#[from] tollgate_domain::NameError),
}

/// The assets of dev mode.
///
/// # Errors
/// Never, as long as the constants of this file are well formed.
pub fn assets() -> Result<Assets, DevError> {
    Ok(Assets::new([Asset::new(SANDBOX_ASSET, "USDC", 6)?, Asset::new(LIGHTNING_ASSET, "sat", 3)?]))
}

/// The rails of dev mode: x402 settled in sandbox money on the gateway's own books, Lightning on the dev wallet.
///
/// # Errors
/// [`DevError::NotLoopback`]: dev mode hands out money to anybody who asks.
pub fn rails(listen: SocketAddr, pay_to: Address) -> Result<SandboxRails, DevError> {
    if !listen.ip().is_loopback() {
        return Err(DevError::NotLoopback(listen));
    }
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

/// The demo server with its prices.
///
/// # Errors
/// Never, as long as the constants of this file are well formed.
pub fn demo_server(binary: &Path) -> Result<BTreeMap<ServerName, Server>, DevError> {
    let assets = assets()?;
    let priced = |texts: [&str; 2]| ToolPolicy {
        price: Price::any_of(texts.iter().filter_map(|text| assets.parse(text).ok())),
        requirement: Requirement::default(),
        deadline_ms: 30_000,
    };
    let tools = [
        ("weather".parse()?, priced(["0.01USDC", "10sat"])),
        ("digest".parse()?, priced(["0.002USDC", "2sat"])),
        ("flaky".parse()?, priced(["0.01USDC", "10sat"])),
    ];
    let demo = Server {
        transport: Transport::Stdio {
            command: vec![binary.display().to_string(), demo::SUBCOMMAND.to_owned()],
            env: Vec::new(),
        },
        credential: None,
        tools: BTreeMap::from(tools),
        every_tool: Some(ToolPolicy::default()),
        payment_as_http: false,
        // Its definitions are part of this binary: there is no stranger whose word could change.
        pins: PinPolicy::OFF,
        breaker: Breaker::default(),
    };
    Ok(BTreeMap::from([("demo".parse()?, demo)]))
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
