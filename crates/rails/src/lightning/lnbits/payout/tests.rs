use tollgate_domain::PayoutId;
use tollgate_egress::{Limits, Policy};

use super::super::super::testing::{dev_wallet, ready};
use super::*;
use crate::lightning::{InvoiceRequest, LightningWallet};

const NOW: UnixMillis = UnixMillis::from_secs(1_795_219_260);

fn rail() -> LnbitsPayouts {
    let client = Client::new(Policy::public(), Limits::default());
    LnbitsPayouts::new("https://lnbits.example", "admin", client).unwrap()
}

fn order(sats: u64) -> PayoutOrder {
    let request = InvoiceRequest { sats, memo: "payout".to_owned(), expiry_seconds: 600, now: NOW };
    let bolt11 = ready(dev_wallet().create_invoice(request)).unwrap().bolt11;
    PayoutOrder {
        id: PayoutId::from_bytes([1; 16]),
        to: invoice_payee(&bolt11).unwrap(),
        amount: Amount::new(u128::from(sats) * 1_000),
        invoice: Some(bolt11),
    }
}

#[test]
fn p21_an_invoice_is_of_the_listed_node_over_the_amount_and_still_payable() {
    let (rail, right) = (rail(), order(10));
    let hash = InvoiceFacts::read(right.invoice.as_deref().unwrap()).unwrap().payment_hash;
    assert_eq!(rail.read(&right, NOW), Ok(Some(hash)), "control");
    let other_node = PayoutOrder { to: format!("02{}", "a".repeat(64)), ..right.clone() };
    assert!(rail.read(&other_node, NOW).unwrap_err().contains("another node"));
    let other_amount = PayoutOrder { amount: Amount::new(9_999), ..right.clone() };
    assert!(rail.read(&other_amount, NOW).unwrap_err().contains("another amount"));
    let none = PayoutOrder { invoice: None, ..right.clone() };
    assert!(rail.read(&none, NOW).unwrap_err().contains("invoice"));
    let unreadable = PayoutOrder { invoice: Some("lnbcrt1".to_owned()), ..right.clone() };
    assert!(rail.read(&unreadable, NOW).is_err());
    assert!(rail.read(&right, NOW.plus_millis(570_000)).is_ok(), "half a minute is left");
    assert!(rail.read(&right, NOW.plus_millis(570_001)).unwrap_err().contains("expired"));
}

#[test]
fn the_payee_of_an_invoice_is_whoever_signed_it() {
    let payee = order(1).to;
    assert_eq!((payee.len(), &payee[..1]), (66, "0"));
    assert_eq!(order(2).to, payee, "the same node");
}
