//! What goes to the collector: a bounded queue of spans that never makes a request wait, and one task that empties it.
//!
//! What the queue has no room for is dropped and counted, and so is what the collector does not take.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, Temporality};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_egress::{Client, EgressError, Limits};

use super::{LOST_METRICS, LOST_SPANS};
use crate::assemble::endpoint_policy;
use crate::config::Otlp;

/// How often one batch is sent before it counts as lost.
const TRIES_MAX: u32 = 3;
/// The pause before the second try; each further one is twice as long.
const PAUSE_MS: u64 = 500;
/// The longest pause that a collector may ask for.
const PAUSE_MS_MAX: u64 = 5_000;

/// Ended spans on their way to the task that sends them.
#[derive(Debug)]
pub(super) struct Queue(mpsc::Sender<SpanData>);

impl Queue {
    pub(super) fn new(otlp: &Otlp) -> (Self, mpsc::Receiver<SpanData>) {
        let (queue, waiting) = mpsc::channel(otlp.spans_max.max(1));
        (Self(queue), waiting)
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        // A span that was not sampled is not sent. Nobody waits for room.
        if span.span_context.is_sampled() && self.0.try_send(span).is_err() {
            LOST_SPANS.increment();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// What was measured, read by the task that sends it.
#[derive(Clone, Debug, Default)]
pub(super) struct Reader(Arc<ManualReader>);

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

/// The task that sends, from outside.
#[derive(Debug)]
pub(super) struct Collector {
    flushes: mpsc::Sender<oneshot::Sender<()>>,
    /// From here on nothing is sent a second time.
    hurry: CancellationToken,
    /// It ends when this is dropped.
    _task: TaskTracker,
}

impl Collector {
    pub(super) fn start(
        otlp: &Otlp,
        resource: &Resource,
        waiting: mpsc::Receiver<SpanData>,
        reader: Reader,
    ) -> Self {
        let (flushes, asked) = mpsc::channel(1);
        let hurry = CancellationToken::new();
        let limits = Limits { timeout_ms_max: otlp.timeout_ms, ..Limits::default() };
        let way = |url: &Uri| (url.clone(), Client::new(endpoint_policy(url), limits));
        let sender = Sender {
            traces: otlp.traces.as_ref().map(way),
            metrics: otlp.metrics.as_ref().map(way),
            resource: resource.into(),
            otlp: otlp.clone(),
            reader,
            hurry: hurry.clone(),
            is_refused: false,
        };
        let task = TaskTracker::new();
        task.spawn(sender.run(waiting, asked));
        Self { flushes, hurry, _task: task }
    }

    pub(super) async fn flush(&self) {
        self.hurry.cancel();
        let (reply, done) = oneshot::channel();
        if self.flushes.send(reply).await.is_ok() {
            // Without a word the task has ended: nothing is left to send.
            done.await.unwrap_or_default();
        }
    }
}

struct Sender {
    traces: Option<(Uri, Client)>,
    metrics: Option<(Uri, Client)>,
    resource: ResourceAttributesWithSchema,
    otlp: Otlp,
    reader: Reader,
    hurry: CancellationToken,
    /// Whether the last thing that was sent was not taken: it is said once, not each time.
    is_refused: bool,
}

/// Why something was not taken.
#[derive(Debug, thiserror::Error)]
enum Untaken {
    #[error("it was not reached")]
    Unreached(#[from] EgressError),
    #[error("it answered with status {0}")]
    Status(StatusCode),
}

impl Untaken {
    /// Whether it may be sent once more: the statuses that OTLP gives for this, or nothing has left.
    fn may_come_again(&self) -> bool {
        match self {
            Self::Status(status) => [429, 502, 503, 504].contains(&status.as_u16()),
            Self::Unreached(error) => error.nothing_was_sent(),
        }
    }
}

impl Sender {
    async fn run(
        mut self,
        mut waiting: mpsc::Receiver<SpanData>,
        mut flushes: mpsc::Receiver<oneshot::Sender<()>>,
    ) {
        let batch_max = self.otlp.batch_max.max(1);
        let mut batch: Vec<SpanData> = Vec::with_capacity(batch_max);
        let metrics_every = Duration::from_millis(self.otlp.metrics_ms);
        let mut metrics_due = Instant::now() + metrics_every;
        let mut batch_due = metrics_due;
        loop {
            let room = batch_max.saturating_sub(batch.len());
            let next = if batch.is_empty() { metrics_due } else { metrics_due.min(batch_due) };
            tokio::select! {
                biased;
                asked = flushes.recv() => {
                    let Some(reply) = asked else { return };
                    while let Ok(span) = waiting.try_recv() {
                        batch.push(span);
                        if batch.len() >= batch_max {
                            self.send_spans(std::mem::take(&mut batch)).await;
                        }
                    }
                    self.send_spans(std::mem::take(&mut batch)).await;
                    self.send_metrics().await;
                    // Whoever asked may have stopped waiting.
                    reply.send(()).unwrap_or_default();
                }
                () = tokio::time::sleep_until(next) => {
                    let now = Instant::now();
                    if batch_due <= now {
                        self.send_spans(std::mem::take(&mut batch)).await;
                    }
                    if metrics_due <= now {
                        self.send_metrics().await;
                        metrics_due = Instant::now() + metrics_every;
                    }
                }
                came = waiting.recv_many(&mut batch, room) => {
                    if came == 0 {
                        return;
                    }
                    if batch.len() == came {
                        batch_due = Instant::now() + Duration::from_millis(self.otlp.batch_ms);
                    }
                    if batch.len() >= batch_max {
                        self.send_spans(std::mem::take(&mut batch)).await;
                    }
                }
            }
        }
    }

    async fn send_spans(&mut self, batch: Vec<SpanData>) {
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let Some((url, client)) = self.traces.clone().filter(|_| count > 0) else { return };
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let message = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let Some(answer) = self.send(&url, &client, message.into()).await else {
            LOST_SPANS.add(count);
            return;
        };
        // An answer that cannot be read is one without complaints.
        let partly = ExportTraceServiceResponse::decode(answer).unwrap_or_default().partial_success;
        let refused = partly.map_or(0, |partly| partly.rejected_spans);
        LOST_SPANS.add(u64::try_from(refused).unwrap_or_default());
    }

    async fn send_metrics(&mut self) {
        let Some((url, client)) = self.metrics.clone() else { return };
        let mut metrics = ResourceMetrics::default();
        if self.reader.collect(&mut metrics).is_err() || metrics.scope_metrics().next().is_none() {
            return;
        }
        let message = ExportMetricsServiceRequest::from(&metrics).encode_to_vec();
        if self.send(&url, &client, message.into()).await.is_none() {
            LOST_METRICS.increment();
        }
    }

    /// Sends one message, again where that may help; `None`: it was not taken.
    async fn send(&mut self, url: &Uri, client: &Client, message: Bytes) -> Option<Bytes> {
        let mut pause_ms = PAUSE_MS;
        let mut tried = 1;
        loop {
            let (untaken, asked_ms) = match client.send(self.request(url, message.clone())).await {
                Ok(answer) if answer.status().is_success() => {
                    if std::mem::take(&mut self.is_refused) {
                        tracing::info!("the collector takes traces and metrics again");
                    }
                    return Some(answer.into_body());
                }
                Ok(answer) => (Untaken::Status(answer.status()), asked_pause_ms(answer.headers())),
                Err(error) => (Untaken::Unreached(error), None),
            };
            if tried == TRIES_MAX || !untaken.may_come_again() || self.hurry.is_cancelled() {
                if !std::mem::replace(&mut self.is_refused, true) {
                    let source: &dyn std::error::Error = &untaken;
                    tracing::warn!(
                        error = source,
                        "the collector takes no traces and metrics: they are dropped and counted"
                    );
                }
                return None;
            }
            let pause = Duration::from_millis(asked_ms.unwrap_or(pause_ms).min(PAUSE_MS_MAX));
            self.hurry.run_until_cancelled(tokio::time::sleep(pause)).await;
            pause_ms = pause_ms.saturating_mul(2);
            tried += 1;
        }
    }

    fn request(&self, url: &Uri, message: Bytes) -> Request<Bytes> {
        let mut request = Request::new(message);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        let headers = request.headers_mut();
        headers.extend(self.otlp.headers.0.iter().cloned());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        request
    }
}

fn asked_pause_ms(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(seconds.saturating_mul(1_000))
}
