//! Answers that flow to their caller while they are made: one piece behind, settled at their end.
//!
//! From the moment the first piece may flow, the answer is made to its end whether or not its caller still listens: who
//! hangs up before the last piece has had the others, and pays. The caller may come back with the same payment for the whole.
//! The handler never waits for a slow reader: what was made is kept anyway. It holds its share of the room for answers until
//! it is settled and its reader is gone.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response, header, response};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tollgate_domain::{CallId, FailureKind, Outcome};
use tollgate_gate::{Completed, Ending, Evidence, Fault, HeldCall, Permitted, ToolAnswer};
use tollgate_risk::Room;
use tollgate_risk::room::{Full, Share};
use tollgate_till::dispatch::Mark;
use tollgate_till::unfinished::Unfinished;
use tower::Service;

use super::arrived::Arrived;
use super::layer::{answered, whole};
use super::{Body, BoxError, answer, stored};
use crate::house::House;
use crate::run::{Claimed, Ended, Worked, complete, guarded, mark, permit};

/// What the handler answers at first.
enum First<R> {
    /// A 2xx, whose body flows.
    Flowing(Response<R>),
    /// The end already.
    Ended(Worked<Response<Body>>),
}

/// What the caller is given at first.
enum Begun {
    /// An answer that flows.
    Flowing(Response<Body>),
    /// The end already: a refusal of the handler, or none.
    Ended(Box<Ended<Response<Body>>>),
}

/// Carries out a held call whose answer flows.
pub(super) async fn exchange<S, B, R>(
    house: &Arc<House>,
    arrived: Arrived,
    claimed: Claimed,
    inner: S,
    request: Request<B>,
) -> Response<Body>
where
    S: Service<Request<B>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let call = claimed.held.id();
    let (begin, begun) = oneshot::channel();
    house.calls.spawn(carry_out(Arc::clone(house), claimed, inner, request, begin));
    match begun.await {
        Ok(Begun::Flowing(response)) => response,
        Ok(Begun::Ended(ended)) => answer::ended(&arrived, *ended),
        Err(_) => {
            let fault = Fault::Internal("the task of a flowing call ended without a word".to_owned());
            answer::say_fault(&arrived, &fault, call)
        }
    }
}

async fn carry_out<S, B, R>(
    house: Arc<House>,
    Claimed { held, mut unfinished }: Claimed,
    inner: S,
    request: Request<B>,
    mut begin: oneshot::Sender<Begun>,
) where
    S: Service<Request<B>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let ready = match house.gate.take(held).await {
        Ok(ready) => ready,
        Err(not_taken) => {
            let (call, completed) = (not_taken.call, not_taken.completed);
            unfinished.completed(&completed);
            drop(begin.send(Begun::Ended(Box::new(Ended { call, completed, given: None }))));
            return;
        }
    };
    let (permitted, held, deadline) = permit(ready);
    let call = permitted.call();
    let mark = match mark(&house, &permitted) {
        Ok(mark) => mark,
        Err(kind) => {
            let ending = (&permitted, None, &mut unfinished);
            return end_at_once(&house, ending, held, Worked::lost(kind), begin).await;
        }
    };
    unfinished.asks();
    let first = async {
        match answered(inner, request).await {
            None => First::Ended(Worked::lost(FailureKind::Broken)),
            Some(response) if response.status().is_success() => First::Flowing(response),
            Some(response) => {
                First::Ended(whole(response, house.limits.answer_bytes_max, &house.answers).await)
            }
        }
    };
    let first = tokio::select! {
        biased;
        () = begin.closed() => First::Ended(Worked::lost(FailureKind::Abandoned)),
        first = guarded(&permitted, deadline, first) => first.unwrap_or_else(|kind| First::Ended(Worked::lost(kind))),
    };
    let (mut parts, body) = match first {
        First::Flowing(response) => response.into_parts(),
        First::Ended(worked) => {
            return end_at_once(&house, (&permitted, mark, &mut unfinished), held, worked, begin).await;
        }
    };
    let kept_of = (parts.status, parts.headers.clone());
    let flow = Flow::within(&house);
    if let Err(kind) = flow.announced(body.size_hint()) {
        let ending = (&permitted, mark, &mut unfinished);
        return end_at_once(&house, ending, held, Worked::lost(kind), begin).await;
    }
    answer::name_call(&mut parts.headers, call);
    let reader = flow.reader();
    if begin.send(Begun::Flowing(head(parts, reader))).is_err() {
        let lost = Outcome::Lost(FailureKind::Abandoned);
        unfinished.completed(&complete(&house, (&permitted, mark), held, lost).await);
        return;
    }
    let outcome = match flow.fill(&permitted, deadline, body).await {
        Ok(()) => {
            Outcome::Delivered(ToolAnswer::Result(stored::written(kept_of.0, &kept_of.1, &flow.whole())))
        }
        Err(kind) => Outcome::Lost(kind),
    };
    let completed = complete(&house, (&permitted, mark), held, outcome).await;
    unfinished.completed(&completed);
    match completed {
        Ok(Completed { ending: Ending::Delivered(_), evidence, .. }) => {
            flow.end(Some(trailers(call, &evidence)))
        }
        // Withheld: the reader gets no clean end.
        Ok(_) | Err(_) => flow.end(None),
    }
}

async fn end_at_once(
    house: &House,
    (permitted, mark, unfinished): (&Permitted, Option<Mark<'_>>, &mut Unfinished<House>),
    held: HeldCall,
    worked: Worked<Response<Body>>,
    begin: oneshot::Sender<Begun>,
) {
    let completed = complete(house, (permitted, mark), held, worked.outcome).await;
    unfinished.completed(&completed);
    let ended = Ended { call: permitted.call(), completed, given: worked.given };
    drop(begin.send(Begun::Ended(Box::new(ended))));
}

/// The head of a flowing answer: its length is not known, and its receipt comes behind it.
fn head(mut parts: response::Parts, body: Body) -> Response<Body> {
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    parts.headers.insert(header::TRAILER, HeaderValue::from_static("tollgate-receipt"));
    Response::from_parts(parts, body)
}

fn trailers(call: CallId, evidence: &Evidence) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    match answer::receipt_value(evidence) {
        Some(receipt) => drop(trailers.insert(answer::RECEIPT, receipt)),
        None => answer::name_call(&mut trailers, call),
    }
    trailers
}

/// The pieces of one answer, between the handler that makes them and the caller who reads them.
struct Flow {
    made: Arc<Mutex<Made>>,
    progress: watch::Sender<Progress>,
    bytes_max: usize,
    room: Arc<Room>,
}

/// What was made of an answer so far.
#[derive(Default)]
struct Made {
    pieces: Vec<Bytes>,
    bytes: usize,
    share: Share,
}

/// How far an answer has come.
#[derive(Clone, Default)]
struct Progress {
    /// How many pieces may be read.
    released: usize,
    end: Option<End>,
}

#[derive(Clone)]
enum End {
    /// Settled; with what stands behind the body.
    Whole(HeaderMap),
    /// Not settled, or not whole.
    Broken,
}

impl Made {
    /// Takes a piece in; returns how many there were before.
    fn push(&mut self, piece: Bytes, bytes_max: usize, room: &Arc<Room>) -> Result<usize, FailureKind> {
        let bytes = self.bytes.saturating_add(piece.len());
        if bytes > bytes_max {
            tracing::warn!(bytes_max, "a flowing answer is too large; not charged");
            return Err(FailureKind::Broken);
        }
        self.share.grow(room, bytes).map_err(no_room)?;
        let before = self.pieces.len();
        self.pieces.push(piece);
        self.bytes = bytes;
        Ok(before)
    }
}

fn no_room(Full: Full) -> FailureKind {
    tracing::warn!("no room for a flowing answer beside the others; not charged");
    FailureKind::NoRoom
}

impl Flow {
    fn within(house: &House) -> Self {
        Self {
            made: Arc::default(),
            progress: watch::Sender::default(),
            bytes_max: house.limits.answer_bytes_max,
            room: Arc::clone(&house.answers),
        }
    }

    /// Takes room for what the handler says to come: what finds none is refused in words while nothing of it has flown.
    fn announced(&self, size: SizeHint) -> Result<(), FailureKind> {
        let announced = usize::try_from(size.lower()).unwrap_or(usize::MAX).min(self.bytes_max);
        self.made.lock().share.grow(&self.room, announced).map_err(no_room)
    }

    /// Takes in what the handler makes, and releases all but the latest piece.
    async fn fill<R>(&self, permitted: &Permitted, deadline: Instant, body: R) -> Result<(), FailureKind>
    where
        R: http_body::Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        let filling = async {
            let mut body = std::pin::pin!(body);
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| {
                    tracing::warn!(error = %error.into(), "a flowing answer broke off; not charged");
                    FailureKind::Broken
                })?;
                let Ok(piece) = frame.into_data() else { continue };
                if piece.is_empty() {
                    continue;
                }
                let released = self.made.lock().push(piece, self.bytes_max, &self.room)?;
                self.progress.send_modify(|progress| progress.released = released);
            }
            Ok(())
        };
        guarded(permitted, deadline, filling).await.and_then(|filled| filled)
    }

    fn whole(&self) -> Vec<u8> {
        self.made.lock().pieces.concat()
    }

    fn end(&self, trailers: Option<HeaderMap>) {
        let all = self.made.lock().pieces.len();
        self.progress.send_modify(|progress| match trailers {
            Some(trailers) => *progress = Progress { released: all, end: Some(End::Whole(trailers)) },
            None => progress.end = Some(End::Broken),
        });
    }

    /// The reading side. Reads what is there at its own pace.
    fn reader(&self) -> Body {
        let made = Arc::clone(&self.made);
        let reading = (made, self.progress.subscribe(), Some(0_usize));
        let frames = stream::unfold(reading, |(made, mut progress, next)| async move {
            let next = next?;
            loop {
                let now = progress.borrow_and_update().clone();
                if next < now.released {
                    let piece = made.lock().pieces.get(next).cloned().unwrap_or_default();
                    return Some((Ok(Frame::data(piece)), (made, progress, Some(next.saturating_add(1)))));
                }
                match now.end {
                    Some(End::Whole(trailers)) => {
                        return Some((Ok(Frame::trailers(trailers)), (made, progress, None)));
                    }
                    Some(End::Broken) => return Some((Err(broken()), (made, progress, None))),
                    None => {}
                }
                if progress.changed().await.is_err() {
                    return Some((Err(broken()), (made, progress, None)));
                }
            }
        });
        Body::new(StreamBody::new(frames))
    }
}

fn broken() -> BoxError {
    "the answer was not settled, or broke off: it is not to be taken for whole".into()
}
