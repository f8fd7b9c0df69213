//! Without the feature `otel`: nothing is traced and nothing is sent.

use std::fmt::Display;

use http::HeaderMap;

use super::{Arrival, Sent};
use crate::config::Otlp;

/// Nothing.
#[derive(Clone, Debug, Default)]
pub struct Traces;

/// No span.
#[derive(Debug, Default)]
pub struct Span;

impl Traces {
    /// None; a configuration that names a collector was refused.
    pub const fn of(_otlp: Option<&Otlp>) -> Self {
        Self
    }

    /// No span.
    pub const fn server(&self, _arrival: Arrival<'_>) -> Span {
        Span
    }

    /// Nothing waits to be sent.
    #[expect(clippy::unused_async, reason = "the same call as where something is sent")]
    pub async fn flush(&self) {}
}

impl Span {
    /// No span.
    pub const fn none() -> Self {
        Self
    }

    /// No span.
    pub const fn station(&self, _name: &'static str) -> Self {
        Self
    }

    /// No span.
    pub const fn sent(&self, _sent: Sent<'_>) -> Self {
        Self
    }

    /// The context of the caller passes as it came.
    pub const fn forward(&self, _headers: &mut HeaderMap) {}

    /// None.
    pub const fn context(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Whether callers are named.
    pub const fn names_callers(&self) -> bool {
        false
    }

    /// Nothing is said.
    pub const fn tool(&mut self, _name: &str) {}

    /// Nothing is said.
    pub fn say(&mut self, _key: &'static str, _value: impl Display) {}

    /// Nothing is said.
    pub const fn fail(&mut self, _kind: &str) {}
}
