//! The body of a request that is passed on unread, with a limit on its length and on how long it may take to arrive.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::Sleep;
use tollgate_exec::{Body, BodyError};

use crate::config::Limits;

/// What is wrong with a body that a caller sends.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Spoiled {
    /// It did not arrive in time.
    #[error("it did not arrive in time")]
    Late,
    /// Its length was not announced, and is over the limit.
    #[error("it is too long")]
    TooLong,
    /// It broke off, or is no HTTP.
    #[error("it broke off")]
    Broken,
}

/// Tells when a body is spoiled: a caller's mistake must not be taken for a server that fails.
#[derive(Debug)]
pub(super) struct Arrival(Option<Arc<Notice>>);

#[derive(Debug, Default)]
struct Notice {
    told: Notify,
    what: OnceLock<Spoiled>,
}

impl Arrival {
    /// Waits until the body is spoiled, for ever if it is not.
    async fn spoiled(&self) -> Spoiled {
        let Some(notice) = &self.0 else { return std::future::pending().await };
        loop {
            notice.told.notified().await;
            if let Some(what) = notice.what.get() {
                return *what;
            }
        }
    }

    /// What `passing` comes to, unless the body is spoiled: then it has failed for that reason, even where both were there between one
    /// look and the next.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub(super) async fn unless_spoiled<T, E>(
        &self,
        passing: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, Spoiled> {
        let passed = tokio::select! {
            biased;
            what = self.spoiled() => return Err(what),
            passed = passing => passed,
        };
        match self.0.as_ref().and_then(|notice| notice.what.get()) {
            Some(what) if passed.is_err() => Err(*what),
            _ => Ok(passed),
        }
    }
}

/// The same request with its body within the limits, and what tells when it was not.
pub(super) fn timed(request: Request<Incoming>, limits: &Limits) -> (Request<Body>, Arrival) {
    if request.body().is_end_stream() {
        return (request.map(Body::Incoming), Arrival(None));
    }
    let notice = Arc::new(Notice::default());
    let request = request.map(|body| {
        Body::boxed(Timed {
            bytes_left: limits.body_bytes_max,
            body,
            limit: Duration::from_millis(limits.body_ms_max),
            waiting: None,
            notice: Arc::clone(&notice),
        })
    });
    (request, Arrival(Some(notice)))
}

struct Timed {
    body: Incoming,
    /// A length that was not announced is not known to be within the limit.
    bytes_left: usize,
    limit: Duration,
    /// Only once something is waited for.
    waiting: Option<Pin<Box<Sleep>>>,
    notice: Arc<Notice>,
}

impl Timed {
    fn spoiled(&self, what: Spoiled) -> BodyError {
        // The first word counts.
        self.notice.what.get_or_init(|| what);
        self.notice.told.notify_one();
        BodyError::Other(Box::new(what))
    }
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let limit = self.limit;
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                Poll::Ready(Some(match self.bytes_left.checked_sub(length) {
                    Some(left) => {
                        self.bytes_left = left;
                        Ok(frame)
                    }
                    None => Err(self.spoiled(Spoiled::TooLong)),
                }))
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(self.spoiled(Spoiled::Broken)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
                if waiting.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                Poll::Ready(Some(Err(self.spoiled(Spoiled::Late))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_is_spoiled_while_its_request_fails_is_why_it_failed() {
        let notice = Arc::new(Notice::default());
        let arrival = Arrival(Some(Arc::clone(&notice)));
        let failing = async {
            notice.what.get_or_init(|| Spoiled::Broken);
            notice.told.notify_one();
            Err::<(), _>("the connection to the server is at its end")
        };
        assert!(matches!(arrival.unless_spoiled(failing).await, Err(Spoiled::Broken)));
        // Control: of a body that arrives, what the server says counts.
        for arrival in [Arrival(Some(Arc::default())), Arrival(None)] {
            let passed = arrival.unless_spoiled(async { Err::<(), _>("down") }).await;
            assert!(matches!(passed, Ok(Err("down"))));
        }
    }
}
