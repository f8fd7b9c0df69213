//! A collector of OpenTelemetry: takes OTLP over HTTP (`http/protobuf`) and keeps what it was sent, or takes nothing at all.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric;
use opentelemetry_proto::tonic::trace::v1::{Span as WireSpan, span::SpanKind, status::StatusCode as Ended};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// One span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// `SERVER`, `CLIENT` or `INTERNAL`.
    pub kind: &'static str,
    /// The trace, as hex digits.
    pub trace: String,
    /// Its own id, as hex digits.
    pub id: String,
    /// The span above it; empty where it is the first of its trace.
    pub parent: String,
    /// What vendors added to the context.
    pub state: String,
    /// The spans it is linked to, by their ids.
    pub links: Vec<String>,
    /// What is said of it.
    pub attributes: BTreeMap<String, String>,
    /// Whether it failed.
    pub failed: bool,
}

/// The durations that were measured of one kind of operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The metric.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// What is said of these durations.
    pub attributes: BTreeMap<String, String>,
    /// How many there were.
    pub count: u64,
}

/// What has arrived.
#[derive(Debug, Default)]
struct Kept {
    spans: Vec<Span>,
    metrics: Vec<Measured>,
    bodies: Vec<Bytes>,
    headers: Vec<HeaderMap>,
    resource: BTreeMap<String, String>,
}

/// A running collector; it stops when it is dropped.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    requests: watch::Sender<u64>,
    stop: CancellationToken,
}

/// What a collector does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Takes,
    /// Reads nothing and says nothing.
    Silent,
}

impl Collector {
    /// One that takes everything.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn start() -> std::io::Result<Self> {
        Self::with(Manner::Takes).await
    }

    /// One that accepts connections, and then neither reads nor answers.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn silent() -> std::io::Result<Self> {
        Self::with(Manner::Silent).await
    }

    async fn with(manner: Manner) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let collector = Self {
            address: listener.local_addr()?,
            kept: Arc::default(),
            requests: watch::Sender::new(0),
            stop: CancellationToken::new(),
        };
        let (kept, requests, stop) =
            (Arc::clone(&collector.kept), collector.requests.clone(), collector.stop.clone());
        let connections = TaskTracker::new();
        let accepting = connections.clone();
        connections.spawn(async move {
            while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
                let Ok((stream, _peer)) = accepted else { continue };
                let (kept, requests, stop) = (Arc::clone(&kept), requests.clone(), stop.clone());
                accepting.spawn(async move {
                    if manner == Manner::Silent {
                        requests.send_modify(|count| *count = count.saturating_add(1));
                        stop.cancelled().await;
                        drop(stream);
                        return;
                    }
                    let service = service_fn(|request| answer(Arc::clone(&kept), requests.clone(), request));
                    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    // Whoever sends may hang up.
                    let _ended = stop.run_until_cancelled(serving).await;
                });
            }
        });
        Ok(collector)
    }

    /// Its address: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every span so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.kept.lock().spans.clone()
    }

    /// Every metric so far, the newest last.
    #[must_use]
    pub fn metrics(&self) -> Vec<Measured> {
        self.kept.lock().metrics.clone()
    }

    /// What the last sender says of itself.
    #[must_use]
    pub fn resource(&self) -> BTreeMap<String, String> {
        self.kept.lock().resource.clone()
    }

    /// The bodies of all requests, as they came.
    #[must_use]
    pub fn bodies(&self) -> Vec<Bytes> {
        self.kept.lock().bodies.clone()
    }

    /// The headers of all requests.
    #[must_use]
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.kept.lock().headers.clone()
    }

    /// Waits until what has arrived is as wanted: looks again after each request (of a silent one: each connection).
    pub async fn wait_until(&self, mut wanted: impl FnMut(&Self) -> bool) {
        let mut requests = self.requests.subscribe();
        loop {
            requests.mark_unchanged();
            if wanted(self) {
                return;
            }
            // It cannot fail: the sender is `self`.
            let _changed = requests.changed().await;
        }
    }

    /// How many requests arrived (at a silent one: connections).
    #[must_use]
    pub fn requests(&self) -> u64 {
        *self.requests.borrow()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn answer(
    kept: Arc<Mutex<Kept>>,
    requests: watch::Sender<u64>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Full::default());
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return Ok(response);
    };
    let is_protobuf = head.headers.get("content-type").is_some_and(|kind| kind == "application/x-protobuf");
    let is_read = is_protobuf && kept.lock().keep(head.uri.path(), &body);
    if is_read {
        let mut kept = kept.lock();
        kept.bodies.push(body);
        kept.headers.push(head.headers);
    } else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    requests.send_modify(|count| *count = count.saturating_add(1));
    Ok(response)
}

impl Kept {
    /// Whether the message is one of its path's.
    fn keep(&mut self, path: &str, body: &Bytes) -> bool {
        match path {
            "/v1/traces" => ExportTraceServiceRequest::decode(body.clone()).map(|sent| self.keep_spans(sent)),
            "/v1/metrics" => {
                ExportMetricsServiceRequest::decode(body.clone()).map(|sent| self.keep_metrics(sent))
            }
            _ => return false,
        }
        .is_ok()
    }

    fn keep_spans(&mut self, sent: ExportTraceServiceRequest) {
        for of_resource in sent.resource_spans {
            self.resource = texts(of_resource.resource.unwrap_or_default().attributes);
            let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans.extend(spans.map(read_span));
        }
    }

    fn keep_metrics(&mut self, sent: ExportMetricsServiceRequest) {
        let scopes = sent.resource_metrics.into_iter().flat_map(|of_resource| of_resource.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            let Some(metric::Data::Histogram(histogram)) = metric.data else { continue };
            self.metrics.extend(histogram.data_points.into_iter().map(|point| Measured {
                name: metric.name.clone(),
                unit: metric.unit.clone(),
                attributes: texts(point.attributes),
                count: point.count,
            }));
        }
    }
}

fn read_span(span: WireSpan) -> Span {
    let kind = match SpanKind::try_from(span.kind) {
        Ok(SpanKind::Server) => "SERVER",
        Ok(SpanKind::Client) => "CLIENT",
        Ok(SpanKind::Internal) => "INTERNAL",
        _ => "another",
    };
    Span {
        name: span.name,
        kind,
        trace: hex::encode(span.trace_id),
        id: hex::encode(span.span_id),
        parent: hex::encode(span.parent_span_id),
        state: span.trace_state,
        links: span.links.into_iter().map(|link| hex::encode(link.span_id)).collect(),
        attributes: texts(span.attributes),
        failed: span.status.is_some_and(|status| status.code == i32::from(Ended::Error)),
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<any_value::Value>| match value {
        Some(any_value::Value::StringValue(text)) => text,
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|pair| (pair.key, text(pair.value.and_then(|value| value.value)))).collect()
}
