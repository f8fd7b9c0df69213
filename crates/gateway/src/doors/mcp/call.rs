//! `tools/call`: the street, then the caller's own exchange with the server, then the answer with its evidence.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tollgate_domain::{CallId, FailureKind, Outcome, ToolRef};
use tollgate_exec::in_place::boxed;
use tollgate_exec::intercept::{Intercepted, Limits, Streamed, Whole};
use tollgate_exec::{Body, UpstreamError};
use tollgate_gate::{
    Answer, Call, Completed, CreditUse, Denial, Door, Ending, Fault, Found, Held, IDEMPOTENCY_META,
    MAXIMUM_META, Permitted, Refusal, Screened, denied, faulted, render, request,
};
use tollgate_mcp::headers::check_params;
use tollgate_mcp::{Era, Frame, RequestId};
use tollgate_rails::carriers::PAYMENT_META_KEYS;

use super::batch::is_of_batch;
use super::handed::{Handed, Shown, given, principal};
use super::{Posted, forwarded};
use crate::begun::task_of;
use crate::call_ids::OwnId;
use crate::carrier::Carrier;
use crate::clock;
use crate::doors::{Peer, respond};
use crate::gateway::Gateway;
use crate::reserved::{is_http_demand, is_reserved};
use crate::result_scan::{NOTE_META, Note, Noted};
use crate::telemetry::{Arrival, StreamCount, Watch};
use crate::unfinished::Unfinished;

/// What the answer to one call depends on.
struct Asked {
    gateway: Arc<Gateway>,
    carrier: Arc<Carrier>,
    id: RequestId,
    era: Era,
    /// The tool, as it was named.
    tool: String,
    federated: Option<Federated>,
    shown: Shown,
    /// Whether a demand to pay is a plain HTTP 402.
    payment_as_http: bool,
}

/// The way of a call: to which server, and through which kind of door.
pub(super) struct Way {
    /// The server.
    pub(super) carrier: Arc<Carrier>,
    /// `None` at the server's own door.
    pub(super) federated: Option<Federated>,
}

/// Puts an answer into the names of a door; `None`: it stays as it came.
pub(super) type Translate = Box<dyn Fn(&Frame) -> Option<Frame> + Send + Sync>;

/// What a call through a federated door has of its own.
pub(super) struct Federated {
    /// The tool's name at that door, for demands to pay.
    pub(super) name: String,
    /// What is done to an answer before it is judged, stored and sealed: what the caller gets is what its receipt is about.
    pub(super) answer: Translate,
}

/// One `tools/call` at an MCP door.
pub(super) async fn call(
    gateway: Arc<Gateway>,
    way: Way,
    mut posted: Box<Posted>,
    id: RequestId,
    era: Era,
    peer: Peer,
) -> Response<Body> {
    let Way { carrier, federated } = way;
    let Posted { head, frame } = &*posted;
    let (tool, arguments) = frame.tool_call().map(|call| (call.name, call.arguments)).unwrap_or_default();
    let shown = Shown::by(&head.headers, frame);
    // There is one status for all of a batch.
    let payment_as_http = carrier.payment_as_http && !is_of_batch(head);
    let asked = Box::new(Asked { gateway, carrier, id, era, tool, federated, shown, payment_as_http });
    let watch = Watch::begin(&asked.gateway, asked.door().word()).traced(Arrival::of(&head.headers, frame));
    asked.gateway.foundation.cohort.step().await;
    let vetted = match asked.with_its_state(&mut posted) {
        Ok(()) => boxed(|| vetted(&asked, &watch, &posted, arguments, peer)).await,
        Err(refusal) => Err(refusal),
    };
    let vetted = match vetted {
        Ok(vetted) => vetted,
        Err(refusal) => {
            watch.refused(&refusal);
            return asked.refused(&refusal);
        }
    };
    let (reply, answered) = oneshot::channel();
    let gateway = Arc::clone(&asked.gateway);
    let call = vetted.id();
    // The claim is made in that task: a caller who hangs up meanwhile must not leave it without an end.
    // Boxed: its future is long, and a runtime moves what it is given a dozen times.
    gateway.foundation.calls.spawn(boxed(|| asked.see_through(watch, vetted, posted, reply)));
    answered.await.unwrap_or_else(|_| {
        let fault = Fault::Internal("the task of a call ended without a word".to_owned());
        respond(faulted(&fault, Some(call), Door::JsonRpc { id: None }, gateway.naming("")))
    })
}

async fn vetted(
    asked: &Asked,
    watch: &Watch,
    Posted { head, frame }: &Posted,
    arguments: Bytes,
    peer: Peer,
) -> Result<Call<Screened>, Refusal> {
    let gateway = &asked.gateway;
    let server = asked.carrier.name.clone();
    let Ok(tool) = asked.tool.parse() else {
        return Err(Refusal::denied(Denial::InvalidArguments(vec![
            "params.name is no tool name".to_owned(),
        ])));
    };
    let tool = ToolRef { server, tool };
    let now = clock::now();
    let ready = gateway.tools.ready(&tool, now).await;
    ready.map_err(|error| Refusal::faulted(error.fault()))?;
    // Whoever would be refused by the server is not asked to pay first.
    let has_session = || head.headers.contains_key(tollgate_mcp::headers::SESSION_ID);
    if asked.era == Era::Legacy && asked.carrier.gives_sessions() && !has_session() {
        return Err(Refusal::denied(Denial::SessionMissing));
    }
    if asked.era == Era::Modern
        && asked.carrier.has_price
        && asked.carrier.speaks_modern().await == Some(false)
    {
        return Err(Refusal::denied(Denial::SessionsOnly));
    }
    if asked.era == Era::Modern
        && let Some(mirrored) = gateway.tools.mirrored(&tool)
    {
        let checked = check_params(&head.headers, &arguments, &mirrored);
        checked.map_err(|error| {
            Refusal::denied(Denial::HeaderMismatch { json_rpc: error.code(), reason: error.to_string() })
        })?;
    }
    let maximum = gateway.tools.most(&tool, frame.meta(MAXIMUM_META), &gateway.config.assets);
    let maximum = maximum.map_err(Refusal::denied)?;
    let found = Found {
        tool,
        arguments,
        headers: &head.headers,
        query: head.uri.query(),
        credit: CreditUse::Allowed,
        maximum,
        origin: peer.origin,
    };
    let request = request(found, |key| frame.meta(key)).map_err(Refusal::denied)?;
    watch.vet(&gateway.gate, request, now).await
}

impl Asked {
    fn door(&self) -> Door<'_> {
        Door::Mcp { era: self.era, id: Some(&self.id), payment_as_http: self.payment_as_http }
    }

    fn resource_url(&self) -> String {
        let public = self.federated.as_ref().map_or(&self.tool, |federated| &federated.name);
        format!("mcp://tool/{public}")
    }

    fn refused(&self, refusal: &Refusal) -> Response<Body> {
        let Refusal { call, verdict, .. } = refusal;
        respond(render(verdict, *call, self.door(), self.gateway.naming(&self.resource_url())))
    }

    /// Claims, carries out and completes a call, whatever happens to the caller meanwhile.
    async fn see_through(
        self: Box<Self>,
        watch: Box<Watch>,
        vetted: Call<Screened>,
        posted: Box<Posted>,
        reply: oneshot::Sender<Response<Body>>,
    ) {
        self.gateway.foundation.cohort.step().await;
        let mut unfinished = Unfinished::begin(&self.gateway, vetted.id());
        match boxed(|| watch.hold(&self.gateway.gate, vetted)).await {
            Ok(held) => self.carry_out((watch, &mut unfinished), held, posted, reply).await,
            Err(refusal) => {
                let response = self.refused(&refusal);
                watch.refused(&refusal);
                unfinished.refused(&refusal);
                drop(reply.send(response));
            }
        }
    }

    async fn carry_out(
        self: Box<Self>,
        (mut watch, unfinished): (Box<Watch>, &mut Unfinished),
        held: Call<Held>,
        posted: Box<Posted>,
        mut reply: oneshot::Sender<Response<Body>>,
    ) {
        let ready = match boxed(|| self.gateway.gate.take(held)).await {
            Ok(ready) => ready,
            Err(not_taken) => {
                watch.not_taken(&not_taken);
                unfinished.completed(&not_taken.completed);
                drop(reply.send(respond(self.instead(not_taken.call, not_taken.completed))));
                return;
            }
        };
        let deadline = Instant::now() + Duration::from_millis(ready.listed().deadline_ms);
        let answer_bytes_max = self.gateway.config.limits.answer_bytes_max;
        let room = Some(&self.gateway.foundation.answers);
        let limits = Limits { message_bytes_max: answer_bytes_max, room, ..Limits::default() };
        let (permitted, held) = ready.permit();
        watch.asks(&held);
        let (own_id, unnamed) =
            match self.carrier.own_id(&permitted, self.era, &posted.head.headers, &self.id) {
                Ok(own_id) => (own_id, None),
                Err(error) => (None, Some(error)),
            };
        let id = own_id.as_ref().map_or(&self.id, OwnId::id);
        let request = self.sent(&mut watch, &permitted, *posted, id);
        // Kept until the end is on the books.
        let (mark, unmarked) = match self.carrier.mark(&permitted) {
            Ok(mark) => (mark, unnamed),
            Err(error) => (None, Some(error)),
        };
        self.gateway.foundation.cohort.step().await;
        unfinished.asks();
        let exchange = boxed(|| {
            self.carrier.exchange(&permitted, request, id, limits, deadline, &self.gateway.foundation.tasks)
        });
        let intercepted = tokio::select! {
            biased;
            // The caller hung up before the answer: the server is told by the end of its exchange, nothing is charged.
            () = reply.closed() => Err(UpstreamError::Abandoned),
            () = self.gateway.foundation.readiness.given_up() => Err(UpstreamError::TimedOut),
            intercepted = async {
                match unmarked {
                    Some(error) => Err(error),
                    None => exchange.await,
                }
            } => intercepted,
        };
        self.gateway.foundation.cohort.step().await;
        let complete = async |outcome| {
            let completed =
                boxed(|| watch.complete(&self.gateway.gate, held, (&permitted, mark), outcome)).await;
            unfinished.completed(&completed);
            completed
        };
        match intercepted {
            Err(error) => {
                unanswered(permitted.call(), &error);
                let completed = complete(Outcome::Lost(error.kind())).await;
                drop(reply.send(respond(self.instead(permitted.call(), completed))));
            }
            Ok(Intercepted::Refused(response)) => {
                own_id.into_iter().for_each(OwnId::answered);
                let demands = is_http_demand(&response);
                let kind = if demands { FailureKind::DemandedPayment } else { FailureKind::Broken };
                let completed = complete(self.carrier.noted(&permitted, Outcome::Lost(kind)).outcome).await;
                drop(reply.send(match completed {
                    // Such as 404 for a session that has ended: the client must see it as the server said it.
                    Ok(_) if !demands => response,
                    completed => respond(self.instead(permitted.call(), completed)),
                }));
            }
            Ok(Intercepted::Whole(whole)) => {
                own_id.into_iter().for_each(OwnId::answered);
                let raw_answer = whole.answer();
                let translated = self.translated(raw_answer);
                let answer = translated.as_ref().unwrap_or(raw_answer);
                let (Noted { outcome, note }, own) = self.carrier.noted_answer(&permitted, answer);
                let translated = own.or(translated);
                let task = task_of(raw_answer);
                let completed = complete(outcome).await;
                self.hand_over(task, &completed);
                drop(reply.send(self.whole(permitted.call(), whole, translated, completed, note)));
            }
            Ok(Intercepted::Streamed(Streamed { response, answer, release })) => {
                let _stream = StreamCount::begin(&self.gateway);
                drop(reply.send(response));
                let answer = tokio::select! {
                    answer = answer => answer.unwrap_or(Err(UpstreamError::NotAnAnswer("its relay ended"))),
                    () = self.gateway.foundation.readiness.given_up() => Err(UpstreamError::TimedOut),
                };
                match &answer {
                    Ok(_) => own_id.into_iter().for_each(OwnId::answered),
                    Err(error) => self.carrier.broke_off(error),
                }
                let task = answer.as_ref().ok().and_then(task_of);
                let answer = answer.map(|answer| self.translated(&answer).unwrap_or(answer));
                let (Noted { outcome, note }, own) = match &answer {
                    Ok(answer) => self.carrier.noted_answer(&permitted, answer),
                    Err(error) => (self.carrier.noted(&permitted, Outcome::Lost(error.kind())), None),
                };
                let answer = answer.map(|answer| own.unwrap_or(answer));
                let completed = complete(outcome).await;
                self.hand_over(task, &completed);
                let message = match (&answer, completed) {
                    (Ok(answer), Ok(completed)) if completed.ending.has_answer() => {
                        enriched(answer, &completed, note.as_ref())
                    }
                    (_, completed) => self.instead(permitted.call(), completed).body,
                };
                drop(release.send(message));
            }
        }
    }

    /// The caller's message as the server gets it. What pays or identifies the caller ends here; the rest goes on byte for
    /// byte. Where it belongs in a trace is told in a header, and in `_meta` only if the message is another one anyway.
    fn sent(
        &self,
        watch: &mut Watch,
        permitted: &Permitted,
        posted: Posted,
        id: &RequestId,
    ) -> Request<Body> {
        let Posted { mut head, frame } = posted;
        watch.leaves(&self.carrier, permitted, &mut head.headers);
        let ends_here =
            |key: &str| PAYMENT_META_KEYS.contains(&key) || [IDEMPOTENCY_META, MAXIMUM_META].contains(&key);
        let (whole, body) = if *id == self.id {
            (frame.bytes().clone(), frame.without_meta(ends_here))
        } else {
            (frame.with_id(id), frame.with_id_without_meta(id, ends_here))
        };
        let is_renamed = self.federated.as_ref().is_some_and(|federated| federated.name != self.tool);
        let is_another = body != whole || is_renamed || self.carrier.is_program;
        let context = if is_another { watch.context() } else { Vec::new() };
        let body = context.into_iter().fold(body, |body, (key, raw)| with_meta(body, key, &raw));
        forwarded(head, body)
    }

    /// The call with its `requestState` as the server gave it (M8).
    fn with_its_state(&self, posted: &mut Posted) -> Result<(), Refusal> {
        if posted.frame.param("requestState").is_none() {
            return Ok(());
        }
        let own = principal(&posted.head.headers)
            .and_then(|who| Handed::to(&self.gateway, &self.carrier, who).take_state(&posted.frame))
            .map_err(Refusal::denied)?;
        own.into_iter().for_each(|own| posted.frame = own);
        Ok(())
    }

    /// The tool's answer under the caller's own id, in the names of this door, and with what it hands out as this caller gets it.
    fn translated(&self, answer: &Frame) -> Option<Frame> {
        let is_of_own_id = answer.id().is_some_and(|id| *id != self.id);
        let own = is_of_own_id.then(|| Frame::parse_upstream(answer.with_id(&self.id)).ok()).flatten();
        let current = own.as_ref().unwrap_or(answer);
        let named = self.federated.as_ref().and_then(|federated| (federated.answer)(current)).or(own);
        let current = named.as_ref().unwrap_or(answer);
        given(&self.gateway, &self.carrier, &self.shown, current, self.federated.is_none()).or(named)
    }

    /// The task that the answer was is the caller's from now on, if they get it.
    fn hand_over(&self, task: Option<String>, completed: &Result<Completed, Fault>) {
        let is_theirs = completed.as_ref().is_ok_and(|completed| completed.ending.has_answer());
        let whose = self.shown.whose(&self.gateway.handle_keys);
        if let (Some(task), true, Some(whose)) = (task, is_theirs, whose) {
            self.gateway.foundation.begun.note(&whose, &self.carrier.name, &task);
        }
    }

    /// The response for an answer that came at once.
    fn whole(
        &self,
        call: CallId,
        whole: Whole,
        translated: Option<Frame>,
        completed: Result<Completed, Fault>,
        note: Option<Note>,
    ) -> Response<Body> {
        match completed {
            Ok(completed) if completed.ending.has_answer() => {
                let answer = translated.as_ref().unwrap_or(whole.answer());
                let message = enriched(answer, &completed, note.as_ref());
                let mut response = whole.respond(message);
                note.into_iter().for_each(|note| note.mark(response.headers_mut()));
                completed.evidence.mark(response.headers_mut());
                response
            }
            // A refusal that is a plain HTTP answer at this door cannot take the place of a message.
            completed => respond(self.instead(call, completed)),
        }
    }

    /// What is said in place of the tool's answer.
    fn instead(&self, call: CallId, completed: Result<Completed, Fault>) -> Answer {
        match completed {
            Err(fault) => self.faulted(call, &fault),
            Ok(Completed { ending: Ending::Lost(kind), evidence, .. }) => {
                self.faulted(call, &self.carrier.lost(kind).with_refund(&evidence))
            }
            Ok(Completed { ending: Ending::PaymentPending, .. }) => {
                self.faulted(call, &Fault::PaymentPending { call })
            }
            Ok(Completed { ending: Ending::PaymentFailed { reason, demand }, .. }) => denied(
                &Denial::PaymentFailed { reason, demand },
                Some(call),
                self.door(),
                self.gateway.naming(&self.resource_url()),
            ),
            Ok(Completed {
                ending: Ending::Pending | Ending::Delivered(_) | Ending::ToolFailed(_), ..
            }) => self.faulted(call, &Fault::SettlementPending { call }),
        }
    }

    fn faulted(&self, call: CallId, fault: &Fault) -> Answer {
        faulted(fault, Some(call), self.door(), self.gateway.naming(&self.resource_url()))
    }
}

/// The same message with one more member of `_meta`.
fn with_meta(message: Bytes, key: &str, raw: &str) -> Bytes {
    // It was parsed before one member was taken out.
    Frame::parse(message.clone()).map_or(message, |frame| frame.with_meta_value(key, raw))
}

fn unanswered(call: CallId, error: &UpstreamError) {
    let source: &dyn std::error::Error = error;
    tracing::warn!(%call, error = source, "the tool gave no answer");
}

/// The server's own answer with our evidence in its `_meta`, and without anything there that only we may say.
fn enriched(answer: &Frame, completed: &Completed, note: Option<&Note>) -> Bytes {
    let mut meta = completed.evidence.meta();
    meta.extend(note.map(|note| (NOTE_META, note.json())));
    let entries: Vec<(&str, &str)> = meta.iter().map(|(key, value)| (*key, value.as_str())).collect();
    // An error has no `_meta` to write to and stays as it is.
    answer.with_result_meta(&entries, is_reserved).unwrap_or_else(|_| answer.bytes().clone())
}
