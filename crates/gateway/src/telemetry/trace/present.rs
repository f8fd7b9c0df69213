//! Spans and durations, sampled and aggregated by OpenTelemetry's SDK and handed to the [`collector`](super::collector).

use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue};
use opentelemetry::metrics::{Histogram, MeterProvider};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span as SdkSpan};
use tollgate_domain::Digest;
use tollgate_mcp::json::quote;

use super::collector::{Collector, Queue, Reader};
use super::reading::{OTHER, TRACEPARENT, TRACESTATE};
use super::{Arrival, Sent};
use crate::config::{Otlp, Sampling};

/// What is long is cut: an id is chosen by the caller.
const ID_CHARS_MAX: usize = 64;
/// A span with more attributes than this is a mistake of ours.
const ATTRIBUTES_MAX: u32 = 48;
/// Upper bounds of the buckets in seconds, as the conventions give them.
const BOUNDS_SECONDS: [f64; 14] =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// What traces requests; one that was not told of a collector does nothing.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Tracing>>);

#[derive(Debug)]
struct Tracing {
    tracer: SdkTracer,
    served: Histogram<f64>,
    asked: Histogram<f64>,
    callers: bool,
    collector: Collector,
    /// Both end when they are dropped.
    _providers: (SdkTracerProvider, SdkMeterProvider),
}

impl Traces {
    /// Traces for this collector, or none; must be called inside a tokio runtime.
    pub fn of(otlp: Option<&Otlp>) -> Self {
        let Some(otlp) = otlp else { return Self(None) };
        let attributes = otlp.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let resource = Resource::builder_empty()
            .with_service_name(otlp.service.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attributes(attributes)
            .build();
        let (queue, waiting) = Queue::new(otlp);
        let reader = Reader::default();
        let tracers = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_sampler(sampler(otlp.sampling))
            .with_max_attributes_per_span(ATTRIBUTES_MAX)
            .with_span_processor(queue)
            .build();
        let meters =
            SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(reader.clone()).build();
        let meter = meters.meter("tollgate");
        let seconds = |name: &'static str, what: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(what);
            histogram.with_boundaries(BOUNDS_SECONDS.to_vec()).build()
        };
        Self(Some(Arc::new(Tracing {
            tracer: tracers.tracer("tollgate"),
            served: seconds("mcp.server.operation.duration", "How long requests to this gateway took."),
            asked: seconds("mcp.client.operation.duration", "How long requests to its servers took."),
            callers: otlp.callers,
            collector: Collector::start(otlp, &resource, waiting, reader),
            _providers: (tracers, meters),
        })))
    }

    /// A request arrives: its span begins, below the one that the caller names in `_meta` or, without that, in its headers.
    pub fn server(&self, arrival: Arrival<'_>) -> Span {
        let Some(tracing) = &self.0 else { return Span(None) };
        let (parent, links) = parent(arrival);
        let mut about = network("tcp");
        about.extend(arrival.version().map(|version| KeyValue::new("mcp.protocol.version", version)));
        let mut attributes = about.clone();
        attributes.push(KeyValue::new("network.protocol.name", "http"));
        if let Some(id) = arrival.id() {
            let id = id.as_str().unwrap_or_else(|| id.raw());
            let id: String = id.chars().take(ID_CHARS_MAX).collect();
            attributes.push(KeyValue::new("jsonrpc.request.id", id));
        }
        if let Some(session) = arrival.headers.get(tollgate_mcp::headers::SESSION_ID) {
            // Whoever knows a session id may use the session.
            let digest = Digest::of(session.as_bytes());
            let shown = hex::encode(digest.as_bytes().get(..8).unwrap_or_default());
            attributes.push(KeyValue::new("mcp.session.id", shown));
        }
        let method = arrival.method();
        Begun { kind: SpanKind::Server, method, about, attributes, links }.under(tracing, &parent)
    }

    /// Sends what waits, as far as the collector takes it. Whoever calls this sets the limit.
    pub async fn flush(&self) {
        if let Some(tracing) = &self.0 {
            tracing.collector.flush().await;
        }
    }
}

fn sampler(sampling: Sampling) -> Sampler {
    let share = Sampler::TraceIdRatioBased(f64::from(sampling.share.get()) / 10_000.0);
    if sampling.by_parent { Sampler::ParentBased(Box::new(share)) } else { share }
}

/// What a request says it is part of. What its message says counts; what only its transport says is linked.
fn parent(arrival: Arrival<'_>) -> (Context, Vec<Link>) {
    let propagator = TraceContextPropagator::new();
    let context = |parent, state| propagator.extract_with_context(&Context::new(), &Said { parent, state });
    let in_meta = context(arrival.in_meta(TRACEPARENT), arrival.in_meta(TRACESTATE));
    let header = |key| arrival.in_headers(key).map(str::to_owned);
    let in_headers = context(header(TRACEPARENT), header(TRACESTATE));
    let named = in_meta.span().span_context().clone();
    if !named.is_valid() {
        return (in_headers, Vec::new());
    }
    let carried = in_headers.span().span_context().clone();
    let is_another = carried.is_valid() && carried.span_id() != named.span_id();
    let links = is_another.then(|| Link::with_context(carried)).into_iter().collect();
    (in_meta, links)
}

fn network(transport: &'static str) -> Vec<KeyValue> {
    vec![KeyValue::new("network.transport", transport)]
}

/// One operation under way. Dropped, it has ended; its duration counts whether or not it is sampled.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Running>>);

#[derive(Debug)]
struct Running {
    span: SdkSpan,
    tracing: Arc<Tracing>,
    began: Instant,
    kind: SpanKind,
    method: Option<&'static str>,
    /// What is said of the duration as well: a handful of values each.
    about: Vec<KeyValue>,
}

/// A span that is about to begin.
struct Begun {
    kind: SpanKind,
    method: Option<&'static str>,
    about: Vec<KeyValue>,
    attributes: Vec<KeyValue>,
    links: Vec<Link>,
}

impl Begun {
    fn under(mut self, tracing: &Arc<Tracing>, parent: &Context) -> Span {
        if let Some(method) = self.method {
            self.about.push(KeyValue::new("mcp.method.name", method));
            self.attributes.push(KeyValue::new("mcp.method.name", method));
        }
        let builder = tracing.tracer.span_builder(name(self.method, None)).with_kind(self.kind.clone());
        let builder = builder.with_attributes(self.attributes).with_links(self.links);
        Span(Some(Box::new(Running {
            span: tracing.tracer.build_with_context(builder, parent),
            tracing: Arc::clone(tracing),
            began: now(),
            kind: self.kind,
            method: self.method,
            about: self.about,
        })))
    }
}

/// `{method} {tool}`; a call that is not MCP's is `execute_tool`.
fn name(method: Option<&str>, tool: Option<&str>) -> String {
    let method = match method {
        Some(OTHER) => "mcp",
        Some(method) => method,
        None => "execute_tool",
    };
    tool.map_or_else(|| method.to_owned(), |tool| format!("{method} {tool}"))
}

impl Span {
    /// No span.
    pub const fn none() -> Self {
        Self(None)
    }

    /// A station on the way of this request.
    pub fn station(&self, name: &'static str) -> Self {
        let Some(running) = &self.0 else { return Self(None) };
        let builder = running.tracing.tracer.span_builder(name).with_kind(SpanKind::Internal);
        Self(Some(Box::new(Running {
            span: running.tracing.tracer.build_with_context(builder, &running.below()),
            tracing: Arc::clone(&running.tracing),
            began: now(),
            kind: SpanKind::Internal,
            method: None,
            about: Vec::new(),
        })))
    }

    /// The request is sent on to a server.
    pub fn sent(&self, sent: Sent<'_>) -> Self {
        let Some(running) = &self.0 else { return Self(None) };
        // What the gateway sends is MCP, whichever door the call came through.
        let method = running.method.or(Some("tools/call"));
        let about = network(if sent.is_program { "pipe" } else { "tcp" });
        let mut attributes = about.clone();
        attributes.push(KeyValue::new("tollgate.server", sent.server.as_str().to_owned()));
        let begun = Begun { kind: SpanKind::Client, method, about, attributes, links: Vec::new() };
        let mut span = begun.under(&running.tracing, &running.below());
        if let Some(tool) = sent.tool {
            span.tool(tool.tool.as_str());
        }
        span
    }

    /// Names this span as the parent of whatever the next hop does.
    pub fn forward(&self, headers: &mut HeaderMap) {
        let Some(running) = &self.0 else { return };
        // What it says of another parent is about that one.
        headers.remove(TRACESTATE);
        for (key, value) in running.said() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(key, value);
            }
        }
    }

    /// The same as members of `_meta`: keys and raw JSON.
    pub fn context(&self) -> Vec<(&'static str, String)> {
        let said = self.0.iter().flat_map(|running| running.said());
        said.map(|(key, value)| (key, quote(&value).to_string())).collect()
    }

    /// Whether callers are named.
    pub fn names_callers(&self) -> bool {
        self.0.as_ref().is_some_and(|running| running.tracing.callers)
    }

    /// It is a call of this tool, which the catalogue knows.
    pub fn tool(&mut self, tool: &str) {
        let Some(running) = &mut self.0 else { return };
        running.span.update_name(name(running.method, Some(tool)));
        let named = [
            KeyValue::new("gen_ai.operation.name", "execute_tool"),
            KeyValue::new("gen_ai.tool.name", tool.to_owned()),
        ];
        running.about.extend(named.clone());
        running.span.set_attributes(named);
    }

    /// Says more of it; `value` is written out only where there is a span.
    pub fn say(&mut self, key: &'static str, value: impl Display) {
        if let Some(running) = &mut self.0 {
            running.span.set_attribute(KeyValue::new(key, value.to_string()));
        }
    }

    /// It failed; `kind` is one word of a few.
    pub fn fail(&mut self, kind: &str) {
        let Some(running) = &mut self.0 else { return };
        let kind = KeyValue::new("error.type", kind.to_owned());
        running.about.push(kind.clone());
        running.span.set_attribute(kind);
        running.span.set_status(Status::error(""));
    }
}

impl Running {
    /// The context of what happens below this span.
    fn below(&self) -> Context {
        let own: SpanContext = self.span.span_context().clone();
        Context::new().with_remote_span_context(own)
    }

    /// Its context, as it is written.
    fn said(&self) -> Vec<(&'static str, String)> {
        let mut said = Said::default();
        TraceContextPropagator::new().inject_context(&self.below(), &mut said);
        let state = said.state.filter(|state| !state.is_empty());
        said.parent
            .map(|value| (TRACEPARENT, value))
            .into_iter()
            .chain(state.map(|value| (TRACESTATE, value)))
            .collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let took = self.began.elapsed().as_secs_f64();
        match self.kind {
            SpanKind::Server => self.tracing.served.record(took, &self.about),
            SpanKind::Client => self.tracing.asked.record(took, &self.about),
            SpanKind::Internal | SpanKind::Producer | SpanKind::Consumer => {}
        }
        self.span.end();
    }
}

/// A context as it is written.
#[derive(Debug, Default)]
struct Said {
    parent: Option<String>,
    state: Option<String>,
}

impl Extractor for Said {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => self.parent.as_deref(),
            TRACESTATE => self.state.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

impl Injector for Said {
    fn set(&mut self, key: &str, value: String) {
        match key {
            TRACEPARENT => self.parent = Some(value),
            TRACESTATE => self.state = Some(value),
            _ => {}
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch for operators; nothing is decided by it")]
fn now() -> Instant {
    Instant::now()
}
