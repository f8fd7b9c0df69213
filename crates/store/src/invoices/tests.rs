use tempfile::TempDir;

use super::*;
use crate::SandboxStore;

fn invoice_over(sats: u64) -> DevInvoice {
    let preimage = Preimage::new([7; 32]);
    DevInvoice {
        payment_hash: preimage.payment_hash(),
        preimage,
        bolt11: "lnbcrt1…".to_owned(),
        sats,
        expires: UnixMillis::new(1_000),
        paid_at: None,
    }
}

#[tokio::test]
async fn an_invoice_survives_a_restart_and_is_paid_once() {
    let directory = TempDir::new().unwrap();
    let invoice = invoice_over(10);
    let hash = invoice.payment_hash;
    let open = || SandboxStore::open(directory.path()).unwrap().invoices();

    let book = open();
    assert_eq!(book.get(hash).await.unwrap(), None);
    assert_eq!(book.mark_paid(hash, UnixMillis::new(5)).await.unwrap(), None, "there is no such invoice");
    book.insert(invoice.clone(), UnixMillis::new(1)).await.unwrap();
    assert!(book.insert(invoice_over(99), UnixMillis::new(2)).await.is_err(), "the hash is there already");
    drop(book);

    let book = open();
    assert_eq!(book.get(hash).await.unwrap(), Some(invoice.clone()));
    assert_eq!(book.mark_paid(hash, UnixMillis::new(5)).await.unwrap(), Some(UnixMillis::new(5)));
    assert_eq!(
        book.mark_paid(hash, UnixMillis::new(6)).await.unwrap(),
        Some(UnixMillis::new(5)),
        "the first stays"
    );
    drop(book);
    let paid = DevInvoice { paid_at: Some(UnixMillis::new(5)), ..invoice };
    assert_eq!(open().get(hash).await.unwrap(), Some(paid));
}

#[tokio::test]
async fn preimages_are_not_printed() {
    let directory = TempDir::new().unwrap();
    let book = SandboxStore::open(directory.path()).unwrap().invoices();
    book.insert(invoice_over(10), UnixMillis::new(1)).await.unwrap();
    let error = book.insert(invoice_over(10), UnixMillis::new(1)).await.unwrap_err();
    let printed = format!("{book:?} {error:?}");
    assert!(printed.contains("already"), "control: {printed}");
    assert!(!printed.contains(&"07".repeat(8)) && !printed.contains("7, 7, 7"), "{printed}");
}
