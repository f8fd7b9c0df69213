//! A second try, where it is certain that it does no harm, and a budget so that second tries never become a flood.
//!
//! Safe is: connecting again after a connection was refused, since nothing of a request was sent; and reading a list again,
//! which changes nothing. A request that may have arrived is never sent again here, whatever it is.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::Uri;
use tollgate_egress::{ConnectError, Connector};

use crate::Source;

/// A server that is just being replaced listens again in a moment.
const PAUSE: Duration = Duration::from_millis(50);

/// Of ten tries that went well one may be repeated later, and no more than ten in a row.
#[derive(Debug)]
pub(crate) struct RetryBudget(AtomicU32);

const COST: u32 = 10;
const SAVED_MAX: u32 = 100;

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU32::new(SAVED_MAX))
    }
}

impl RetryBudget {
    /// A try went well.
    pub(crate) fn save(&self) {
        // Nearly always full, and then nothing is written.
        if self.0.load(Ordering::Relaxed) < SAVED_MAX {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether one more second try is allowed; it is spent.
    pub(crate) fn spend(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| saved.checked_sub(COST)).is_ok()
    }
}

/// A connector that tries once more after a refused connection.
#[derive(Clone, Debug)]
pub(crate) struct Persistent {
    connector: Connector,
    budget: Arc<RetryBudget>,
}

impl Persistent {
    pub(crate) fn new(connector: Connector) -> Self {
        Self { connector, budget: Arc::default() }
    }

    pub(crate) async fn connect(
        mut self,
        url: Uri,
    ) -> Result<<Connector as tower::Service<Uri>>::Response, Source> {
        let first = tower::Service::call(&mut self.connector, url.clone()).await;
        let result = match first {
            Err(error) if is_refused(&*error) && self.budget.spend() => {
                tokio::time::sleep(PAUSE).await;
                tower::Service::call(&mut self.connector, url).await
            }
            other => other,
        };
        if result.is_ok() {
            self.budget.save();
        }
        result
    }
}

/// Whether the other machine said that nobody listens there.
fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(ConnectError::Connect { source, .. }) = inner.downcast_ref::<ConnectError>() {
            return source.kind() == io::ErrorKind::ConnectionRefused;
        }
        cause = inner.source();
    }
    false
}

#[cfg(test)]
mod tests;
