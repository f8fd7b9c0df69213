use tempfile::TempDir;

use super::*;

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
    let open = || InvoiceStore::open(directory.path()).unwrap();

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
    let book = InvoiceStore::open(directory.path()).unwrap();
    book.insert(invoice_over(10), UnixMillis::new(1)).await.unwrap();
    let error = book.insert(invoice_over(10), UnixMillis::new(1)).await.unwrap_err();
    let printed = format!("{book:?} {error:?}");
    assert!(printed.contains("already"), "control: {printed}");
    assert!(!printed.contains(&"07".repeat(8)) && !printed.contains("7, 7, 7"), "{printed}");
}

#[tokio::test]
async fn what_was_answered_outlives_the_process_without_a_sync() {
    let directory = TempDir::new().unwrap();
    let book = InvoiceStore::open(directory.path()).unwrap();
    let hash = invoice_over(10).payment_hash;
    book.insert(invoice_over(10), UnixMillis::new(1)).await.unwrap();
    book.mark_paid(hash, UnixMillis::new(5)).await.unwrap();
    // What a killed process leaves behind: the files as they are at this moment, the log not moved into the file.
    let paid_in = async |files: &[&str]| {
        let left_behind = TempDir::new().unwrap();
        for file in files {
            std::fs::copy(directory.path().join(file), left_behind.path().join(file)).unwrap();
        }
        let found = InvoiceStore::open(left_behind.path()).unwrap().get(hash).await.unwrap();
        found.and_then(|invoice| invoice.paid_at)
    };
    assert_eq!(paid_in(&["sandbox.db", "sandbox.db-wal"]).await, Some(UnixMillis::new(5)));
    assert_eq!(paid_in(&["sandbox.db"]).await, None, "control: it stood in the log");
}

#[tokio::test]
async fn a_file_of_each_earlier_version_keeps_its_invoices_and_loses_its_token() {
    for version in 1..=2 {
        let directory = TempDir::new().unwrap();
        let invoice = invoice_over(10);
        {
            let old = Connection::open(directory.path().join(SANDBOX.file)).unwrap();
            for migration in &SANDBOX.migrations[..version] {
                old.execute_batch(migration).unwrap();
            }
            old.pragma_update(None, "application_id", SANDBOX.application_id).unwrap();
            old.pragma_update(None, "user_version", u32::try_from(version).unwrap()).unwrap();
            old.execute("INSERT INTO balances VALUES (?1, '70')", params![[1_u8; 20]]).unwrap();
            assert!(insert(&old, &invoice, UnixMillis::new(1)).unwrap());
        }
        let book = InvoiceStore::open(directory.path()).unwrap();
        assert_eq!(book.get(invoice.payment_hash).await.unwrap(), Some(invoice), "version {version}");
        let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name <> 'invoices'";
        let others: u32 = book.connection.lock().query_row(tables, [], |row| row.get(0)).unwrap();
        assert_eq!(others, 0, "version {version}");
    }
}
