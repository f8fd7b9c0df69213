//! What the tests of this crate share: a dev wallet whose book is in memory and whose randomness counts.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tollgate_domain::UnixMillis;

use super::dev::{BookError, DevInvoice, DevWallet, InvoiceBook, Randomness};

/// A book in memory.
#[derive(Default)]
pub(crate) struct MemoryBook {
    pub(crate) invoices: Mutex<HashMap<[u8; 32], DevInvoice>>,
    pub(crate) is_broken: bool,
}

impl MemoryBook {
    fn check(&self) -> Result<(), BookError> {
        if self.is_broken { Err(BookError::new("the disk is full")) } else { Ok(()) }
    }
}

impl InvoiceBook for MemoryBook {
    async fn insert(&self, invoice: DevInvoice, _now: UnixMillis) -> Result<(), BookError> {
        self.check()?;
        let replaced = self.invoices.lock().unwrap().insert(invoice.payment_hash, invoice);
        if replaced.is_some() { Err(BookError::new("there already")) } else { Ok(()) }
    }

    async fn get(&self, payment_hash: [u8; 32]) -> Result<Option<DevInvoice>, BookError> {
        self.check()?;
        Ok(self.invoices.lock().unwrap().get(&payment_hash).cloned())
    }

    async fn mark_paid(
        &self,
        payment_hash: [u8; 32],
        now: UnixMillis,
    ) -> Result<Option<UnixMillis>, BookError> {
        self.check()?;
        let mut invoices = self.invoices.lock().unwrap();
        Ok(invoices.get_mut(&payment_hash).map(|invoice| *invoice.paid_at.get_or_insert(now)))
    }
}

/// Different bytes on every draw, with letters in their hexadecimal form.
pub(crate) fn counting() -> Randomness {
    let next = AtomicU8::new(0xa1);
    Arc::new(move || Ok([next.fetch_add(1, Ordering::Relaxed); 32]))
}

pub(crate) fn dev_wallet() -> DevWallet<MemoryBook> {
    DevWallet::new(&[7; 32], Arc::new(MemoryBook::default()), counting()).unwrap()
}

/// The result of a future that never waits.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits"),
    }
}
