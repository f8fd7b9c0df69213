use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use serde_json::Value;
use tollgate_egress::{Limits, Policy};

use super::super::testing::{dev_wallet, ready};
use super::*;

const NOW: UnixMillis = UnixMillis::from_secs(1_795_219_260);
const OK: StatusCode = StatusCode::OK;
const CREATED: StatusCode = StatusCode::CREATED;

fn request(sats: u64) -> InvoiceRequest {
    InvoiceRequest { sats, memo: "weather".to_owned(), expiry_seconds: 600, now: NOW }
}

fn invoice(sats: u64) -> Invoice {
    ready(dev_wallet().create_invoice(request(sats))).unwrap()
}

fn read(answer: &Value) -> Result<Invoice, WalletError> {
    created(CREATED, answer.to_string().as_bytes(), 10)
}

#[test]
fn an_invoice_is_read_under_either_name_of_its_fields() {
    let made = invoice(10);
    let hash = hex::encode(made.payment_hash);
    for answer in [
        json!({"payment_hash": hash, "bolt11": made.bolt11, "checking_id": "internal", "amount": 10_000}),
        json!({"checking_id": hash, "payment_request": made.bolt11}),
        json!({"payment_hash": hash.to_uppercase(), "bolt11": made.bolt11.to_uppercase()}),
        json!({"payment_hash": hash, "payment_request": made.bolt11, "bolt11": null}),
    ] {
        assert_eq!(read(&answer).unwrap(), made, "{answer}");
    }
}

#[test]
fn p13_an_invoice_over_another_amount_or_hash_is_refused() {
    let (made, under) = (invoice(10), invoice(9));
    let hash = hex::encode(made.payment_hash);
    // BOLT 11, "Examples" (CC BY 4.0): a donation of any amount.
    let any = "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqw\
        zqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8\
        qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql";
    for answer in [
        json!({"payment_hash": hex::encode(under.payment_hash), "bolt11": under.bolt11}),
        json!({"payment_hash": "00".repeat(32), "bolt11": made.bolt11}),
        json!({"payment_hash": "", "bolt11": made.bolt11}),
        json!({"payment_hash": hash, "bolt11": "lnbc1"}),
        json!({"payment_hash": "0001020304050607080900010203040506070809000102030405060708090102", "bolt11": any}),
    ] {
        assert!(matches!(read(&answer), Err(WalletError::OtherInvoice(_))), "{answer}");
    }
    assert!(read(&json!({"payment_hash": hash, "bolt11": made.bolt11})).is_ok());
}

#[test]
fn an_answer_without_an_invoice_is_a_busy_wallet() {
    for answer in [
        json!({}),
        json!({"detail": "Rate limit exceeded"}),
        json!({"payment_hash": "00"}),
        json!({"bolt11": "x"}),
    ] {
        assert!(matches!(read(&answer), Err(WalletError::Busy(_))), "{answer}");
    }
    let limited =
        created(StatusCode::TOO_MANY_REQUESTS, b"{\"error\":\"Rate limit exceeded: 200 per 1 minute\"}", 10);
    assert!(matches!(limited, Err(WalletError::Busy(_))));
}

#[test]
fn a_refusal_is_told_apart_from_a_failure() {
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        assert!(matches!(created(status, b"", 10), Err(WalletError::Forbidden(_))));
        assert!(matches!(looked_up(status, b"", &[0; 32]), Err(WalletError::Forbidden(_))));
    }
    let error =
        created(StatusCode::INTERNAL_SERVER_ERROR, b"{\"detail\":\"no\\u001bfunds\"}", 10).unwrap_err();
    assert!(matches!(&error, WalletError::Answer(text) if text.ends_with("nofunds")), "{error}");
    for body in [b"".as_slice(), b"<html>", b"[]"] {
        assert!(matches!(created(CREATED, body, 10), Err(WalletError::Answer(_))));
        assert!(matches!(created(StatusCode::BAD_GATEWAY, body, 10), Err(WalletError::Answer(_))));
    }
}

#[test]
fn the_state_of_a_payment_is_read_where_wallets_put_it() {
    let preimage = Preimage::new([0xab; 32]);
    let hash = preimage.payment_hash();
    let settled = |preimage| InvoiceState::Settled { preimage, amount: None };
    let of = |msat| InvoiceState::Settled { preimage: None, amount: Some(Amount::new(msat)) };
    for (answer, expected) in [
        (json!({"paid": true, "preimage": preimage.to_hex(), "details": {}}), settled(Some(preimage))),
        (
            json!({"paid": false, "details": {"paid": true, "preimage": preimage.to_hex()}}),
            settled(Some(preimage)),
        ),
        (json!({"details": {"paid": true}}), settled(None)),
        (json!({"paid": true, "details": {"amount": 10_000}}), of(10_000)),
        (json!({"paid": true, "details": {"amount": -10_000}}), settled(None)),
        (json!({"paid": true, "preimage": "0".repeat(64)}), settled(None)),
        (json!({"paid": false, "details": {"status": "pending"}}), InvoiceState::Open),
        (json!({"paid": false, "details": {"status": "failed"}}), InvoiceState::Cancelled),
        (json!({"paid": false, "preimage": preimage.to_hex()}), InvoiceState::Open),
        (json!({}), InvoiceState::Open),
    ] {
        assert_eq!(looked_up(OK, answer.to_string().as_bytes(), &hash).unwrap(), expected, "{answer}");
    }
    assert_eq!(looked_up(StatusCode::NOT_FOUND, b"{}", &hash).unwrap(), InvoiceState::Unknown);
    assert!(matches!(looked_up(OK, b"true", &hash), Err(WalletError::Answer(_))));
}

fn client() -> Client {
    Client::new(Policy::public().allow_loopback(), Limits::default())
}

#[test]
fn a_wallet_needs_a_plain_url_and_a_key() {
    assert!(LnbitsWallet::new("https://lnbits.example/sub/", "abc", client()).is_ok());
    for url in [
        "",
        "lnbits.example",
        "ftp://lnbits.example",
        "https://",
        "https://u:p@lnbits.example",
        "https://x/?a=b",
    ] {
        assert_eq!(LnbitsWallet::new(url, "abc", client()).unwrap_err(), LnbitsConfigError::Url, "{url}");
    }
    for key in ["", "a b", "a\nb", "ü"] {
        let refused = LnbitsWallet::new("https://lnbits.example", key, client()).unwrap_err();
        assert_eq!(refused, LnbitsConfigError::Key, "{key}");
    }
    let printed =
        format!("{:?}", LnbitsWallet::new("https://lnbits.example", "s3cr3tkey", client()).unwrap());
    assert!(!printed.contains("s3cr3tkey"), "{printed}");
}

/// Answers one request on a socket of its own and hands back what was sent.
fn serve_once(status: &str, body: &str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut request = String::new();
        let mut chunk = [0; 1024];
        loop {
            let read = socket.read(&mut chunk).unwrap();
            request.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
            let head_end = request.find("\r\n\r\n");
            let length =
                request.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if read == 0 || head_end.is_some_and(|end| request.len() >= end + 4 + length.unwrap_or(0)) {
                break;
            }
        }
        socket.write_all(answer.as_bytes()).unwrap();
        request
    });
    (url, server)
}

#[tokio::test]
async fn the_wallet_asks_with_its_key_and_believes_only_what_it_checked() {
    let made = invoice(10);
    let body = json!({"payment_hash": hex::encode(made.payment_hash), "bolt11": made.bolt11}).to_string();
    let (url, server) = serve_once("201 Created", &body);
    let wallet: Arc<dyn LightningWallet> = Arc::new(LnbitsWallet::new(&url, "readkey", client()).unwrap());
    assert_eq!(wallet.create_invoice(request(10)).await.unwrap(), made);
    let sent = server.join().unwrap();
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /api/v1/payments HTTP/1.1\r\n"), "{head}");
    assert!(head.lines().any(|line| line == "x-api-key: readkey"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body, json!({"out": false, "amount": 10, "unit": "sat", "memo": "weather", "expiry": 600}));

    let (url, server) = serve_once("200 OK", "{\"paid\":true}");
    let wallet = LnbitsWallet::new(&format!("{url}/wallets/"), "readkey", client()).unwrap();
    let state = wallet.look_up(made.payment_hash, NOW).await.unwrap();
    assert_eq!(state, InvoiceState::Settled { preimage: None, amount: None });
    let path = format!("GET /wallets/api/v1/payments/{} HTTP/1.1\r\n", hex::encode(made.payment_hash));
    assert!(server.join().unwrap().starts_with(&path));
}

#[tokio::test]
async fn a_wallet_that_may_not_be_reached_is_unreachable() {
    // Loopback is not public: the guarded client refuses before it connects.
    let guarded = Client::new(Policy::public(), Limits::default());
    let wallet = LnbitsWallet::new("http://127.0.0.1:9", "readkey", guarded).unwrap();
    let error = wallet.create_invoice(request(1)).await.unwrap_err();
    assert!(matches!(error, WalletError::Unreachable(_)), "{error}");
    assert!(matches!(wallet.look_up([0; 32], NOW).await, Err(WalletError::Unreachable(_))));
}
