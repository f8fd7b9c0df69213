//! What an operation says of itself: constants beside its handler.

use tollgate_gate::CODES;

/// One operation of the HTTP API.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Its `operationId`: never changed, generated clients name methods after it.
    pub(crate) id: &'static str,
    /// Where it stands in the document.
    pub(crate) group: Group,
    /// Who may ask.
    pub(crate) access: Access,
    /// What it does, in half a line.
    pub(crate) summary: &'static str,
    /// What else there is to know.
    pub(crate) about: &'static str,
    /// What is asked for beside the body.
    pub(crate) parameters: &'static [Parameter],
    /// The body of the request, in JSON.
    pub(crate) body: Option<Body>,
    /// The answers that are no errors, and errors in a shape of their own.
    pub(crate) told: &'static [Told],
    /// The codes of errors in the usual shape, beside those that [`Access::codes`] brings.
    pub(crate) codes: &'static [&'static [&'static str]],
}

/// A part of the API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Group {
    Tools,
    Escrow,
    Payments,
    Payouts,
    JsonRpc,
    Documents,
    GateApi,
    Admin,
    Operations,
    Dev,
}

impl Group {
    /// In the order of the document.
    pub(crate) const ALL: [Self; 10] = [
        Self::Tools,
        Self::Escrow,
        Self::Payments,
        Self::Payouts,
        Self::JsonRpc,
        Self::Documents,
        Self::GateApi,
        Self::Admin,
        Self::Operations,
        Self::Dev,
    ];

    /// The tag.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tools => "Tools and calls",
            Self::Escrow => "Escrow",
            Self::Payments => "Payments",
            Self::Payouts => "Payouts",
            Self::JsonRpc => "JSON-RPC",
            Self::Documents => "Documents",
            Self::GateApi => "Gate API",
            Self::Admin => "Admin API",
            Self::Operations => "Health and metrics",
            Self::Dev => "Dev mode",
        }
    }

    /// What belongs to it, and when it is there.
    pub(crate) const fn about(self) -> &'static str {
        match self {
            Self::Tools => "Find a tool, call it, pay for it, and see what became of a call.",
            Self::Escrow => {
                "Money between two holders of API keys, held until the work is accepted, given up, or judged."
            }
            Self::Payments => {
                "Beside a call: what it would cost, whether a payment would do, a reservation for later, what was spent."
            }
            Self::Payouts => "What providers have earned, and how they withdraw it to listed destinations.",
            Self::JsonRpc => {
                "The same in plain JSON-RPC 2.0. MCP itself is spoken at `/mcp` and `/servers/{server}/mcp`."
            }
            Self::Documents => "What everybody may read: public keys, error codes, this document.",
            Self::GateApi => {
                "For programs that run their own tools: ask before a tool runs, say afterwards how it ended. Off unless `gate_api.key` is set."
            }
            Self::Admin => {
                "Servers and prices, changed while the gateway serves. Off until there is an admin key; on the gateway's own machine only, unless `admin.remote` is set."
            }
            Self::Operations => "For probes and monitoring.",
            Self::Dev => {
                "Sandbox money and the dev Lightning wallet. These paths exist in dev mode only; a live gateway answers 404."
            }
        }
    }
}

/// Who may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// Anyone, within the limits of requests.
    Anyone,
    /// Anyone; a credential says who calls, a payment pays.
    Caller,
    /// Whoever has an API key.
    ApiKey,
    /// Probes: anyone, as often as they like.
    Probe,
    /// This machine, or whoever has the token of the metrics.
    Metrics,
    /// The program with the operator's key.
    GateKey,
    /// An operator.
    AdminKey,
    /// Anyone, in dev mode.
    Dev,
}

impl Access {
    /// The codes that come with it at every door.
    pub(crate) const fn codes(self) -> &'static [&'static str] {
        match self {
            Self::Anyone | Self::Caller | Self::ApiKey => &["origin_refused", "rate_limited"],
            Self::Probe => &["origin_refused"],
            Self::Metrics => &["origin_refused", "unauthenticated", "not_found"],
            Self::GateKey => &["origin_refused", "rate_limited", "unauthenticated", "not_found", "internal"],
            Self::AdminKey => &["origin_refused", "rate_limited", "unauthenticated", "not_found", "internal"],
            Self::Dev => &["origin_refused", "rate_limited", "not_found"],
        }
    }

    /// The names of the security schemes, one of which is needed.
    pub(crate) const fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Anyone | Self::Probe | Self::Dev => &[],
            Self::Caller => &["apiKey", "apiKeyHeader", "x402", "l402", "payment"],
            Self::ApiKey => &["apiKey", "apiKeyHeader"],
            Self::Metrics => &["metricsToken"],
            Self::GateKey => &["gateKey"],
            Self::AdminKey => &["adminKey"],
        }
    }

    /// Whether it goes without a credential, too.
    pub(crate) const fn is_open(self) -> bool {
        !matches!(self, Self::GateKey | Self::AdminKey | Self::ApiKey)
    }
}

/// One part of the path, the query or the headers.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) place: Place,
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) shape: Shape,
    /// A value, as it is written there.
    pub(crate) example: &'static str,
}

/// Where a parameter stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

impl Place {
    /// The word of OpenAPI.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
        }
    }
}

/// The body of a request.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) shape: Shape,
    pub(crate) examples: &'static [Example],
}

/// An example: what it shows, and its JSON.
#[derive(Debug)]
pub(crate) struct Example {
    pub(crate) shows: &'static str,
    pub(crate) json: &'static str,
}

/// A schema, in the dialect of OpenAPI 3.1 (JSON Schema 2020-12).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// One of the document's, by name.
    Named(&'static str),
    /// Its JSON text.
    Json(&'static str),
}

/// A schema with a name.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) name: &'static str,
    pub(crate) json: &'static str,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) about: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) shape: Shape,
    /// JSON, or the text itself where the content is none.
    pub(crate) example: Option<&'static str>,
    /// Headers to know of: name, and what stands there.
    pub(crate) headers: &'static [(&'static str, &'static str)],
}

impl Told {
    /// An answer in JSON.
    pub(crate) const fn json(
        status: u16,
        about: &'static str,
        shape: Shape,
        example: Option<&'static str>,
    ) -> Self {
        Self { status, about, content_type: "application/json", shape, example, headers: &[] }
    }

    /// An answer in text of this type.
    pub(crate) const fn text(
        status: u16,
        about: &'static str,
        content_type: &'static str,
        example: Option<&'static str>,
    ) -> Self {
        let shape = Shape::Json(r#"{"type":"string"}"#);
        Self { status, about, content_type, shape, example, headers: &[] }
    }
}

/// The codes of bodies that cannot be read.
pub(crate) const UNREAD: &[&str] = &["malformed_frame", "body_too_large", "request_timed_out"];

/// Codes that are no part of the table of denials and faults: of doors that no call comes through.
const OTHER: &[(&str, u16)] = &[
    ("not_found", 404),
    ("method_not_allowed", 405),
    ("malformed", 400),
    ("masked_value", 400),
    ("invoice_not_paid", 409),
    ("command_refused", 403),
    ("needs_restart", 409),
    ("no_configuration_file", 409),
    ("conflict", 409),
    ("nothing_to_refund", 409),
    ("refund_exceeds", 409),
    ("refund_id_reused", 409),
    ("version_mismatch", 412),
    ("configuration_refused", 422),
];

/// Every code of the API with its status.
pub(crate) fn codes() -> impl Iterator<Item = (&'static str, u16)> {
    CODES.iter().map(|code| (code.word, code.http)).chain(OTHER.iter().copied())
}

/// Whether a code has a page of its own.
pub(crate) fn has_page(word: &str) -> bool {
    CODES.iter().any(|code| code.word == word)
}

impl Operation {
    /// The codes of its errors by status, each once, in order.
    pub(crate) fn errors(&self) -> Vec<(u16, Vec<&'static str>)> {
        let named = self.codes.iter().flat_map(|some| some.iter());
        let mut words: Vec<&'static str> = self.access.codes().iter().chain(named).copied().collect();
        words.sort_unstable();
        words.dedup();
        let mut errors: Vec<(u16, Vec<&'static str>)> = Vec::new();
        for word in words {
            let status = codes().find(|(known, _)| *known == word).map_or(0, |(_, status)| status);
            match errors.iter_mut().find(|(known, _)| *known == status) {
                Some((_, words)) => words.push(word),
                None => errors.push((status, vec![word])),
            }
        }
        errors.sort_by_key(|(status, _)| *status);
        errors
    }
}
