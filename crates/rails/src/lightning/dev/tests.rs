use tollgate_domain::Amount;

use super::super::lnd_rest::{router_send_failed, router_send_succeeded};
use super::super::testing::{MemoryBook, counting, dev_wallet, ready};
use super::*;

const NOW: UnixMillis = UnixMillis::from_secs(1_795_219_260);

fn request(sats: u64) -> InvoiceRequest {
    InvoiceRequest { sats, memo: "weather".to_owned(), expiry_seconds: 600, now: NOW }
}

fn made(wallet: &DevWallet<MemoryBook>, sats: u64) -> Invoice {
    ready(wallet.create_invoice(request(sats))).unwrap()
}

#[test]
fn the_dev_wallet_writes_real_regtest_invoices() {
    let wallet = dev_wallet();
    let invoice = made(&wallet, 10);
    assert!(invoice.bolt11.starts_with("lnbcrt100n1"), "{}", invoice.bolt11);
    let facts = InvoiceFacts::read(&invoice.bolt11).unwrap();
    assert_eq!(facts.network, LightningNetwork::Regtest);
    assert_eq!(facts.amount, Some(Amount::new(10_000)));
    assert_eq!(facts.payment_hash, invoice.payment_hash);
    assert_eq!(facts.expires, NOW.plus_millis(600_000));
    let parsed: Bolt11Invoice = invoice.bolt11.parse().unwrap();
    assert_eq!(parsed.description().to_string(), "weather");
    assert_eq!(
        parsed.recover_payee_pub_key(),
        SecretKey::from_slice(&[7; 32]).unwrap().public_key(SECP256K1)
    );
    assert_ne!(made(&wallet, 10).payment_hash, invoice.payment_hash);
    assert_eq!(ready(wallet.look_up(invoice.payment_hash, NOW)).unwrap(), InvoiceState::Open);
    assert_eq!(ready(wallet.look_up([9; 32], NOW)).unwrap(), InvoiceState::Unknown);
}

#[test]
fn paying_gives_the_preimage_once_and_for_all() {
    let wallet = dev_wallet();
    let invoice = made(&wallet, 10);
    let paid = ready(wallet.pay(&invoice.bolt11, NOW)).unwrap();
    assert_eq!((paid.sats, paid.payment_hash, paid.paid_at), (10, invoice.payment_hash, NOW));
    assert!(paid.preimage.opens(&invoice.payment_hash));
    let state = InvoiceState::Settled { preimage: Some(paid.preimage), amount: Some(Amount::new(10_000)) };
    assert_eq!(ready(wallet.look_up(invoice.payment_hash, NOW)).unwrap(), state);
    // Again, later than it could be paid, and as a QR code writes it.
    let much_later = NOW.plus_millis(10_000_000);
    assert_eq!(ready(wallet.pay(&invoice.bolt11, much_later)).unwrap(), paid);
    assert_eq!(ready(wallet.pay(&format!(" {} ", invoice.bolt11.to_uppercase()), NOW)).unwrap(), paid);
}

#[test]
fn only_its_own_unexpired_regtest_invoices_are_paid() {
    let wallet = dev_wallet();
    let (invoice, late) = (made(&wallet, 10), made(&wallet, 11));
    let end = NOW.plus_millis(600_000);
    assert!(matches!(ready(wallet.pay(&late.bolt11, end)), Err(PayError::Expired(at)) if at == end));
    assert_eq!(ready(wallet.look_up(late.payment_hash, end)).unwrap(), InvoiceState::Expired);

    // BOLT 11, "Examples" (CC BY 4.0): on mainnet.
    let mainnet = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqs\
        yqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3\
        qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
    assert!(matches!(ready(wallet.pay(mainnet, NOW)), Err(PayError::NotRegtest(LightningNetwork::Mainnet))));
    assert!(matches!(ready(wallet.pay("lnbcrt1", NOW)), Err(PayError::Malformed(_))));

    let other = made(
        &DevWallet::new(&[8; 32], Arc::new(MemoryBook::default()), Arc::new(|| Ok([99; 32]))).unwrap(),
        10,
    );
    assert!(matches!(ready(wallet.pay(&other.bolt11, NOW)), Err(PayError::UnknownInvoice)));
    // The same payment hash in an invoice of somebody else, over less.
    let stranger = DevWallet::new(&[8; 32], Arc::new(MemoryBook::default()), counting()).unwrap();
    let copy = made(&stranger, 1);
    assert_eq!(copy.payment_hash, invoice.payment_hash);
    assert!(matches!(ready(wallet.pay(&copy.bolt11, NOW)), Err(PayError::UnknownInvoice)));

    assert!(ready(wallet.pay(&invoice.bolt11, end.plus_millis(0))).is_err());
    assert!(ready(wallet.pay(&invoice.bolt11, NOW)).is_ok());
}

#[test]
fn an_invoice_that_cannot_be_written_or_kept_is_an_error() {
    let wallet = dev_wallet();
    assert!(ready(wallet.create_invoice(request(1))).is_ok());
    for sats in [0, crate::lightning::SATS_MAX + 1, u64::MAX] {
        assert!(
            matches!(ready(wallet.create_invoice(request(sats))), Err(WalletError::Request(_))),
            "{sats}"
        );
    }
    let long = InvoiceRequest { memo: "x".repeat(640), ..request(1) };
    assert!(matches!(ready(wallet.create_invoice(long)), Err(WalletError::Request(_))));
    let full = MemoryBook { is_broken: true, ..MemoryBook::default() };
    let wallet = DevWallet::new(&[7; 32], Arc::new(full), counting()).unwrap();
    assert!(matches!(ready(wallet.create_invoice(request(1))), Err(WalletError::Backing(_))));
    let dry: Randomness = Arc::new(|| Err(RandomnessError("no entropy".into())));
    let wallet = DevWallet::new(&[7; 32], Arc::new(MemoryBook::default()), dry).unwrap();
    assert!(matches!(ready(wallet.create_invoice(request(1))), Err(WalletError::Backing(_))));
    assert_eq!(DevWallet::new(&[0; 32], Arc::new(MemoryBook::default()), counting()).unwrap_err(), KeyError);
}

#[test]
fn the_wallet_answers_in_the_shape_of_lnd() {
    let wallet = dev_wallet();
    let invoice = made(&wallet, 10);
    let paid = ready(wallet.pay(&invoice.bolt11, NOW)).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&router_send_succeeded(&paid)).unwrap();
    assert_eq!(
        answer,
        serde_json::json!({"result": {
            "status": "SUCCEEDED",
            "payment_hash": hex::encode(invoice.payment_hash),
            "payment_preimage": paid.preimage.to_hex(),
            "value_sat": "10", "value_msat": "10000", "fee_sat": "0", "fee_msat": "0",
            "failure_reason": "FAILURE_REASON_NONE",
        }})
    );
    let failed: serde_json::Value =
        serde_json::from_str(&router_send_failed(&PayError::Expired(NOW))).unwrap();
    assert_eq!(failed["result"]["status"], "FAILED");
    let refused = router_send_failed(&PayError::NotRegtest(LightningNetwork::Mainnet));
    let refused: serde_json::Value = serde_json::from_str(&refused).unwrap();
    assert_eq!(refused["error"]["code"], 3);
}

#[test]
fn neither_key_nor_preimage_is_printed() {
    let wallet = dev_wallet();
    let paid = ready(wallet.pay(&made(&wallet, 1).bolt11, NOW)).unwrap();
    let printed = format!("{wallet:?} {paid:?} {:?}", wallet.book.invoices.lock().unwrap());
    for secret in [[7; 32], *paid.preimage.as_bytes()] {
        assert!(!printed.contains(&hex::encode(secret)), "{printed}");
        assert!(!printed.contains(&format!("{secret:?}")), "{printed}");
    }
}
