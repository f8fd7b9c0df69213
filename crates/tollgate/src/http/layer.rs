//! The layer, and the service behind a toll.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tollgate_domain::{FailureKind, Outcome};
use tollgate_gate::{Denial, Listed, Refusal, ToolAnswer};
use tollgate_risk::Room;
use tollgate_risk::room::Full;
use tower::{Layer, Service, ServiceExt};

use super::arrived::Arrived;
use super::body::{self, NotHeld};
use super::{Body, BoxError, answer, flow, stored};
use crate::house::House;
use crate::paid::Paid;
use crate::run::{Claimed, Worked, authorize, run};
use crate::settings::Limits;

/// When whoever found no room may come back.
const FULL_RETRY_MS: u64 = 1_000;

/// The toll before an HTTP service, as a tower layer. Made by [`Tollgate::price`](crate::Tollgate::price).
///
/// Every request that reaches it is one call. Unpaid it is answered with 402 and the ways to pay; paid it runs, and is
/// settled when the answer is a 2xx. Any other answer passes as it is and costs nothing.
#[derive(Clone, Debug)]
pub struct Toll {
    house: Arc<House>,
    listed: Arc<Listed>,
    is_flowing: bool,
}

impl Toll {
    pub(crate) fn new(house: Arc<House>, listed: Arc<Listed>, is_flowing: bool) -> Self {
        Self { house, listed, is_flowing }
    }
}

impl<S> Layer<S> for Toll {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, toll: self.clone() }
    }
}

/// A service behind a toll.
#[derive(Clone, Debug)]
pub struct Gated<S> {
    inner: S,
    toll: Toll,
}

impl<S, B, R> Service<Request<B>> for Gated<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + From<Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    /// Always ready: the inner service is waited for when there is a call for it, in the task that carries it out.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (inner, toll) = (self.inner.clone(), self.toll.clone());
        Box::pin(async move { Ok(toll.exchange(inner, request).await) })
    }
}

impl Toll {
    async fn exchange<S, B, R>(self, inner: S, request: Request<B>) -> Response<Body>
    where
        S: Service<Request<B>, Response = Response<R>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + From<Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        let (parts, body) = request.into_parts();
        let mut arrived = Arrived::new(&self.house, parts);
        let (claimed, body) = match self.authorized(&arrived, body).await {
            Ok(claimed) => claimed,
            Err(refusal) => return answer::refused(&self.house, &arrived, &refusal),
        };
        let inner_request = arrived.for_handler(Paid::of(&claimed.held), body);
        if self.is_flowing {
            return flow::exchange(&self.house, arrived, claimed, inner, inner_request).await;
        }
        let house = Arc::clone(&self.house);
        let work = async move {
            let Some(response) = answered(inner, inner_request).await else {
                return Worked::lost(FailureKind::Broken);
            };
            whole(response, house.limits.answer_bytes_max, &house.answers).await
        };
        let ended = run(&self.house, claimed, work).await;
        answer::ended(&arrived, ended)
    }

    /// An answer that has begun to flow can be refused in words no more, so it is begun where there is room for the largest. It takes
    /// none of it before it grows: many that stay small may flow at once.
    fn room_to_flow(&self) -> Result<(), Denial> {
        let largest = self.house.limits.answer_bytes_max;
        self.house.answers.ask(largest).map_err(|Full| Denial::NoRoom { retry_after_ms: FULL_RETRY_MS })
    }

    /// The first half of the street, with the body that was read for it.
    async fn authorized<B>(&self, arrived: &Arrived, body: B) -> Result<(Claimed, Bytes), Refusal>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        arrived.check_host(self.house.mode()).map_err(Refusal::denied)?;
        if self.is_flowing {
            self.room_to_flow().map_err(Refusal::denied)?;
        }
        let Limits { body_bytes_max: bytes_max, body_ms_max, .. } = self.house.limits;
        let reading = body::whole(body, bytes_max, &self.house.bodies);
        // Nobody has paid yet: what never ends must not keep its share of the room for as long as the host bears it.
        let read = tokio::time::timeout(Duration::from_millis(body_ms_max), reading).await;
        let late = |_elapsed| Refusal::denied(Denial::RequestTimedOut { body_ms_max });
        let body = read.map_err(late)?.map_err(|why| {
            Refusal::denied(match why {
                NotHeld::TooLarge => Denial::BodyTooLarge { bytes_max },
                NotHeld::NoRoom => Denial::NoRoom { retry_after_ms: FULL_RETRY_MS },
                NotHeld::Broken(_) => {
                    Denial::MalformedFrame { json_rpc: -32_600, reason: "the body broke off".to_owned() }
                }
            })
        })?;
        let request = arrived.request(self.listed.tool.clone(), &body).map_err(Refusal::denied)?;
        Ok((authorize(&self.house, request).await?, body))
    }
}

/// What the inner service answers; `None` when it gives no answer.
pub(super) async fn answered<S, B, R>(inner: S, request: Request<B>) -> Option<Response<R>>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    match inner.oneshot(request).await {
        Ok(response) => Some(response),
        Err(error) => {
            tracing::warn!(error = %error.into(), "the service behind a toll gave no answer; not charged");
            None
        }
    }
}

/// A whole answer: delivered if it is a 2xx.
pub(super) async fn whole<R>(
    response: Response<R>,
    bytes_max: usize,
    room: &Arc<Room>,
) -> Worked<Response<Body>>
where
    R: http_body::Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    let (parts, body) = response.into_parts();
    let body = match body::whole(body, bytes_max, room).await {
        Ok(body) => body,
        Err(NotHeld::TooLarge) => {
            tracing::warn!(bytes_max, "the answer behind a toll is too large; not charged");
            return Worked::lost(FailureKind::Broken);
        }
        Err(NotHeld::Broken(error)) => {
            tracing::warn!(error, "the answer behind a toll broke off; not charged");
            return Worked::lost(FailureKind::Broken);
        }
        Err(NotHeld::NoRoom) => {
            tracing::warn!("no room for the answer behind a toll beside the others; not charged");
            return Worked::lost(FailureKind::NoRoom);
        }
    };
    let kept = ToolAnswer::Result(stored::written(parts.status, &parts.headers, &body));
    let outcome = if parts.status.is_success() { Outcome::Delivered(kept) } else { Outcome::Failed(kept) };
    Worked { outcome, given: Some(Response::from_parts(parts, Body::from(body))) }
}
