//! What the stories share: money, a wallet with a known key, demands and results.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tollgate_domain::{Amount, Asset, Assets, Money, UnixMillis};
use tollgate_egress::{Client, Limits, Policy};
use tollgate_payer::{
    EvmWallet, LightningError, LightningFuture, LightningPayer, NoRandomness, PayingClient, Randomness,
    Retries, Wallets,
};
use tollgate_rails::evm::{Domain, SigningKey};
use tollgate_rails::lightning::dev::{BookError, DevInvoice, DevWallet, InvoiceBook};
use tollgate_rails::lightning::{Invoice, InvoiceRequest, LightningWallet as _};

pub(crate) const TOKEN: &str = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
pub(crate) const PAY_TO: &str = "0x209693Bc6afc0C5328bA36FaF03C514EF312287C";
pub(crate) const NOW: UnixMillis = UnixMillis::from_secs(1_795_219_200);

pub(crate) fn usdc(units: u128) -> Money {
    let asset =
        Asset::new(&format!("eip155:84532/erc20:{}", TOKEN.to_lowercase()), "USDC", 6).expect("an asset");
    Money { amount: Amount::new(units), asset }
}

pub(crate) fn sats(count: u128) -> Money {
    Money {
        amount: Amount::new(count * 1000),
        asset: Asset::new("lightning:regtest/msat", "sat", 3).expect("an asset"),
    }
}

pub(crate) fn domain() -> Domain {
    Domain::new("USDC", "2", 84_532, TOKEN.parse().expect("an address"))
}

pub(crate) fn wallet() -> EvmWallet {
    EvmWallet::new(SigningKey::from_bytes(&[7; 32]).expect("a key"))
}

/// Counts how often it is drawn: a payment needs exactly one draw.
#[derive(Default)]
pub(crate) struct Draws(AtomicU8);

impl Draws {
    pub(crate) fn count(&self) -> u8 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Randomness for Draws {
    fn bytes(&self) -> Result<[u8; 32], NoRandomness> {
        Ok([self.0.fetch_add(1, Ordering::SeqCst) + 1; 32])
    }
}

pub(crate) struct World {
    pub(crate) draws: Arc<Draws>,
    pub(crate) lightning: Arc<TestLightning>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { draws: Arc::default(), lightning: Arc::new(TestLightning::new()) }
    }

    pub(crate) fn client(&self, url: &str) -> PayingClient {
        let wallets = Wallets {
            evm: Some(wallet()),
            lightning: Some(Arc::clone(&self.lightning) as Arc<dyn LightningPayer>),
        };
        let client = Client::new(Policy::public().allow_loopback(), Limits::default());
        let randomness = Arc::clone(&self.draws) as Arc<dyn Randomness>;
        PayingClient::new(client, url, wallets, randomness)
            .allow_networks_of(&Assets::new([usdc(0).asset, sats(0).asset]))
            .with_retries(Retries { presented_max: 4, pause_ms: 0 })
    }
}

pub(crate) fn entry(amount: &str) -> Value {
    json!({
        "scheme": "exact", "network": "eip155:84532", "amount": amount, "asset": TOKEN, "payTo": PAY_TO,
        "maxTimeoutSeconds": 60, "extra": { "name": "USDC", "version": "2", "quote": "sealed" },
    })
}

pub(crate) fn required(accepts: &[Value]) -> Value {
    json!({
        "x402Version": 2, "error": "Payment required: weather costs 0.01 USDC per call.",
        "resource": { "url": "mcp://tool/weather" }, "accepts": accepts, "extensions": { "bazaar": { "info": {} } },
    })
}

pub(crate) fn demand(accepts: &[Value]) -> Value {
    json!({ "resultType": "complete", "isError": true, "structuredContent": required(accepts), "content": [] })
}

pub(crate) fn delivered() -> Value {
    json!({
        "resultType": "complete", "content": [{ "type": "text", "text": "12 °C" }],
        "_meta": {
            "tollgate/receipt": { "envelope": { "payload": "e30" }, "salts": {} },
            "x402/payment-response": { "success": true, "transaction": "sandbox:1", "network": "eip155:84532" },
        },
    })
}

/// The dev wallet on both sides: makes invoices for the server of a story, and pays them for its client.
pub(crate) struct TestLightning {
    wallet: DevWallet<Book>,
    paid: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Book(Mutex<HashMap<[u8; 32], DevInvoice>>);

impl InvoiceBook for Book {
    async fn insert(&self, invoice: DevInvoice, _now: UnixMillis) -> Result<(), BookError> {
        self.0.lock().expect("the book").insert(invoice.payment_hash, invoice);
        Ok(())
    }

    async fn get(&self, payment_hash: [u8; 32]) -> Result<Option<DevInvoice>, BookError> {
        Ok(self.0.lock().expect("the book").get(&payment_hash).cloned())
    }

    async fn mark_paid(
        &self,
        payment_hash: [u8; 32],
        now: UnixMillis,
    ) -> Result<Option<UnixMillis>, BookError> {
        let mut book = self.0.lock().expect("the book");
        Ok(book.get_mut(&payment_hash).map(|invoice| *invoice.paid_at.get_or_insert(now)))
    }
}

impl TestLightning {
    fn new() -> Self {
        let draws = Draws::default();
        let randomness = Arc::new(move || Ok(draws.bytes().unwrap_or([1; 32])));
        let wallet = DevWallet::new(&[9; 32], Arc::new(Book::default()), randomness).expect("a wallet");
        Self { wallet, paid: Mutex::default() }
    }

    pub(crate) async fn invoice(&self, sats: u64) -> Invoice {
        let request = InvoiceRequest { sats, memo: "weather".to_owned(), expiry_seconds: 600, now: NOW };
        self.wallet.create_invoice(request).await.expect("an invoice")
    }

    /// The invoices that were paid, in order.
    pub(crate) fn paid(&self) -> Vec<String> {
        self.paid.lock().expect("the list").clone()
    }
}

impl LightningPayer for TestLightning {
    fn name(&self) -> &str {
        "test"
    }

    fn pay<'a>(&'a self, bolt11: &'a str) -> LightningFuture<'a> {
        Box::pin(async move {
            self.paid.lock().expect("the list").push(bolt11.to_owned());
            let paid = self.wallet.pay(bolt11, NOW).await;
            paid.map(|paid| paid.preimage).map_err(|error| LightningError::Refused(error.to_string()))
        })
    }
}
