//! Where traces and metrics are sent: what the file says, and over it the standard names of OpenTelemetry's environment.

use std::collections::BTreeMap;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri};
use tollgate_domain::Bps;

use super::Reader;
use crate::config::Environment;
use crate::config::meaning::{Otlp, OtlpHeaders, Sampling};
use crate::config::raw::{RawOtlp, RawTelemetry};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
/// What needs to be done where this binary cannot.
const NOT_BUILT_IN: &str = "this binary was built without OpenTelemetry; build one that has it: cargo build --release --package tollgate-gateway --features otel";

/// What of it counts while none is set.
mod default {
    pub(super) const TIMEOUT_MS: u64 = 10_000;
    pub(super) const SPANS_MAX: usize = 2_048;
    pub(super) const BATCH_MAX: usize = 512;
    pub(super) const BATCH_MS: u64 = 1_000;
    pub(super) const METRICS_MS: u64 = 60_000;
}

impl Reader<'_> {
    /// Where to send to; `None` where nothing is sent. The second is what an operator should know.
    pub(super) fn otlp(
        &mut self,
        raw: &RawTelemetry,
        environment: &Environment,
    ) -> (Option<Otlp>, Option<String>) {
        let is_named = [ENDPOINT, TRACES_ENDPOINT, METRICS_ENDPOINT];
        let is_named = is_named.into_iter().find(|name| environment.get(name).is_some());
        if environment.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return (None, None);
        }
        match (&raw.otlp, is_named, cfg!(feature = "otel")) {
            (None, None, _) => (None, None),
            (Some(_), _, false) => {
                self.refuse("telemetry.otlp", NOT_BUILT_IN);
                (None, None)
            }
            // The names are those of a whole machine: what is set for everybody must not keep one program from starting.
            (None, Some(name), false) => (None, Some(format!("{name} has no effect: {NOT_BUILT_IN}"))),
            (otlp, _, true) => {
                let otlp = otlp.clone().unwrap_or_default();
                (self.sent(&otlp, raw.callers, environment), None)
            }
        }
    }

    fn sent(&mut self, raw: &RawOtlp, callers: bool, environment: &Environment) -> Option<Otlp> {
        let problems = self.problems.len();
        let base = environment.get(ENDPOINT).or(raw.endpoint.as_deref());
        if let Some(protocol) = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
            && protocol != "http/protobuf"
        {
            self.refuse("OTEL_EXPORTER_OTLP_PROTOCOL", format!("{protocol:?}: only http/protobuf is spoken"));
        }
        let traces = self.endpoint(environment, TRACES_ENDPOINT, base, "/v1/traces");
        let metrics = self.endpoint(environment, METRICS_ENDPOINT, base, "/v1/metrics");
        if base.is_none() && traces.is_none() && metrics.is_none() {
            self.refuse(
                "telemetry.otlp.endpoint",
                "is missing: the collector's address, such as http://127.0.0.1:4318",
            );
        }
        let is_off = |name: &str| environment.get(name) == Some("none");
        let headers = self.headers(&raw.headers, environment);
        let sampling = self.sampling(raw, environment);
        let number = |reader: &mut Self, name: &str, at: &str, set: Option<u64>, default: u64| {
            let value = match environment.get(name) {
                Some(text) => reader.parse(name, text, "a whole number").or(set),
                None => set,
            };
            if value == Some(0) {
                reader.refuse(at, "is zero");
            }
            value.unwrap_or(default)
        };
        let timeout_ms = number(
            self,
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "telemetry.otlp.timeout_ms",
            raw.timeout_ms,
            default::TIMEOUT_MS,
        );
        let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let spans = u64::try_from(raw.spans_max.unwrap_or(default::SPANS_MAX)).ok();
        let spans_max = number(
            self,
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "telemetry.otlp.spans_max",
            spans,
            u64::try_from(default::SPANS_MAX).unwrap_or(u64::MAX),
        );
        let batch_ms =
            number(self, "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_SCHEDULE_DELAY", None, default::BATCH_MS);
        let metrics_ms = number(
            self,
            "OTEL_METRIC_EXPORT_INTERVAL",
            "telemetry.otlp.metrics_interval_ms",
            raw.metrics_interval_ms,
            default::METRICS_MS,
        );
        let service = environment.get("OTEL_SERVICE_NAME").unwrap_or("tollgate").to_owned();
        let resource = self.pairs(environment, "OTEL_RESOURCE_ATTRIBUTES");
        (self.problems.len() == problems).then(|| Otlp {
            traces: traces.filter(|_| !is_off("OTEL_TRACES_EXPORTER")),
            metrics: metrics.filter(|_| !is_off("OTEL_METRICS_EXPORTER")),
            headers: OtlpHeaders(headers),
            timeout_ms,
            sampling,
            callers,
            spans_max: count(spans_max).min(1_000_000),
            batch_max: default::BATCH_MAX.min(count(spans_max)),
            batch_ms,
            metrics_ms,
            service,
            resource,
        })
    }

    /// The address of one signal: its own as it is written, else a path below the one for all.
    fn endpoint(
        &mut self,
        environment: &Environment,
        own: &str,
        base: Option<&str>,
        path: &str,
    ) -> Option<Uri> {
        if let Some(text) = environment.get(own) {
            return self.url(own, text);
        }
        let base = self.url("telemetry.otlp.endpoint", base?)?;
        if base.query().is_some() {
            self.refuse("telemetry.otlp.endpoint", "the address of a collector has no query");
            return None;
        }
        let path = format!("{}{path}", base.path().trim_end_matches('/'));
        let mut parts = base.into_parts();
        parts.path_and_query = PathAndQuery::try_from(path).ok();
        Uri::from_parts(parts).ok()
    }

    fn headers(
        &mut self,
        raw: &BTreeMap<String, String>,
        environment: &Environment,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let file = raw.iter().map(|(name, value)| ("telemetry.otlp.headers", name.clone(), value.clone()));
        let set = self.pairs(environment, HEADERS);
        let set = set.into_iter().map(|(name, value)| (HEADERS, name, value));
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for (at, name, value) in file.chain(set) {
            match (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
                (Ok(name), Ok(mut value)) => {
                    value.set_sensitive(true);
                    headers.retain(|(known, _)| *known != name);
                    headers.push((name, value));
                }
                _ => self.refuse(at, format!("{name:?} is no header name, or its value no header value")),
            }
        }
        headers
    }

    /// `key=value,key=value`, values percent-encoded (W3C Baggage), as OpenTelemetry writes lists in its environment.
    fn pairs(&mut self, environment: &Environment, name: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for pair in environment.get(name).unwrap_or_default().split(',').map(str::trim) {
            match pair.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => match percent_decoded(value.trim()) {
                    Some(value) => pairs.push((key.trim().to_owned(), value)),
                    None => self.refuse(name, "a value is not percent-encoded text"),
                },
                _ if pair.is_empty() => {}
                _ => self.refuse(name, "is no list of key=value"),
            }
        }
        pairs
    }

    fn sampling(&mut self, raw: &RawOtlp, environment: &Environment) -> Sampling {
        const EXPECTED: &str = "a share between 0 and 1 with at most four decimals";
        let written = raw.sample.as_ref();
        let written: Option<Bps> =
            written.and_then(|share| self.parse("telemetry.otlp.sample", &share.0, EXPECTED));
        let argument = environment.get("OTEL_TRACES_SAMPLER_ARG");
        let share = match argument {
            Some(text) => self.parse("OTEL_TRACES_SAMPLER_ARG", text, EXPECTED).unwrap_or(Bps::ONE),
            None => written.unwrap_or(Bps::ONE),
        };
        let (share, by_parent) = match environment.get("OTEL_TRACES_SAMPLER") {
            None | Some("parentbased_traceidratio") => (share, true),
            Some("parentbased_always_on") => (Bps::ONE, true),
            Some("parentbased_always_off") => (Bps::ZERO, true),
            Some("traceidratio") => (share, false),
            Some("always_on") => (Bps::ONE, false),
            Some("always_off") => (Bps::ZERO, false),
            Some(other) => {
                self.refuse("OTEL_TRACES_SAMPLER", format!("{other:?} is none of the samplers known here"));
                (share, true)
            }
        };
        Sampling { share, by_parent }
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
