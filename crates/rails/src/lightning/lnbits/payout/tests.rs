use std::io::{Read as _, Write as _};
use std::net::TcpListener;

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

/// An LNbits that knows no payment and answers `GET /api/v1/wallet` with this, for so many requests; hands back their first lines.
fn lnbits(wallet: &'static str, requests: usize) -> (LnbitsPayouts, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let answered = listener.incoming().take(requests).map(|socket| {
            let mut socket = socket.unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                let mut chunk = [0; 1024];
                let read = socket.read(&mut chunk).unwrap();
                request.extend_from_slice(&chunk[..read]);
            }
            let line = String::from_utf8(request).unwrap().lines().next().unwrap().to_owned();
            let (status, body) = match line.split(' ').nth(1) {
                Some(WALLET_PATH) => ("200 OK", wallet),
                _ => ("404 Not Found", r#"{"detail":"Payment does not exist."}"#),
            };
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            socket.write_all(answer.as_bytes()).unwrap();
            line
        });
        answered.collect()
    });
    let client = Client::new(Policy::public().allow_loopback(), Limits::default());
    (LnbitsPayouts::new(&url, "admin", client).unwrap(), server)
}

fn evidence(answer: &SettlementAnswer) -> &str {
    match answer {
        SettlementAnswer::Unknown { evidence } => evidence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_payout_is_looked_up_and_sent_by_the_wallet_that_was_told_to_pay_it_alone() {
    const FIRST: &str = r#"{"id":"first","name":"a","balance":0}"#;
    const OTHER: &str = r#"{"id":"other","name":"b","balance":0}"#;
    let order = order(10);
    let expired = NOW.plus_millis(600_000 + SETTLED_AFTER_MS);
    let (rail, server) = lnbits(FIRST, 6);
    let Prepared::Ready(instruction) = rail.prepare(&order, NOW).await else { panic!() };
    assert_eq!(instruction, format!("{}@first", order.invoice.as_deref().unwrap()));
    assert_eq!(rail.look_up(&instruction, NOW).await, SettlementAnswer::Absent, "control");
    assert!(matches!(rail.look_up(&instruction, expired).await, SettlementAnswer::Failed { .. }), "control");
    server.join().unwrap();

    let (rail, server) = lnbits(OTHER, 7);
    for time in [NOW, expired] {
        let answer = rail.look_up(&instruction, time).await;
        assert!(evidence(&answer).contains("the wallet first was told to pay"), "{answer:?}");
    }
    evidence(&rail.send(&instruction, NOW).await);
    let reference = hex::encode(InvoiceFacts::read(order.invoice.as_deref().unwrap()).unwrap().payment_hash);
    rail.confirm(&instruction, &reference, NOW).await.unwrap_err();
    let asked = server.join().unwrap();
    assert!(asked.iter().all(|line| line.starts_with("GET ")), "nothing was paid: {asked:?}");

    // What an earlier version made names no wallet.
    let (rail, server) = lnbits(OTHER, 1);
    assert_eq!(rail.look_up(order.invoice.as_deref().unwrap(), NOW).await, SettlementAnswer::Absent);
    server.join().unwrap();
}

#[tokio::test]
async fn a_key_that_may_not_pay_makes_no_instruction() {
    let (rail, server) = lnbits(r#"{"name":"a","balance":0}"#, 2);
    let Prepared::NotNow(reason) = rail.prepare(&order(10), NOW).await else { panic!() };
    assert!(reason.contains("admin key"), "{reason}");
    server.join().unwrap();
}
