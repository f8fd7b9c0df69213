//! What a server asks for before it runs a tool: recognising a demand to pay in the shapes that servers in the field use.
//!
//! Nothing is judged here; [`crate::offer`] decides what may be paid.

use base64::Engine as _;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tollgate_mcp::Frame;
use tollgate_mcp::json::{self, Limits};

use crate::answer::Facts;

/// Standard base64, padded or not: servers differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD_ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The most entries of one `accepts` array that are looked at.
const ACCEPTS_MAX: usize = 64;

/// A demand to pay, as sent.
#[derive(Debug)]
pub(crate) struct Demand {
    /// x402 `PaymentRequired`, if there is one.
    pub(crate) x402: Option<PaymentRequired>,
    /// An L402 challenge, if there is one.
    pub(crate) l402: Option<L402Challenge>,
    /// How the demand came, which is how the payment goes.
    pub(crate) carrier: Carrier,
    /// What a Tollgate says about its denial.
    pub(crate) facts: Facts,
}

/// How a payment travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Carrier {
    /// In `params._meta`, because the demand was a tool result.
    Meta,
    /// In a header, because the demand was a plain HTTP 402.
    Header,
}

/// x402 `PaymentRequired` (x402 specification v2, section 5). Peers' unknown fields survive: what must be echoed stays raw.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PaymentRequired {
    #[serde(rename = "x402Version")]
    version: u64,
    /// The server's sentence.
    #[serde(default)]
    pub(crate) error: Option<String>,
    /// What is paid for; echoed.
    #[serde(default)]
    pub(crate) resource: Option<Box<RawValue>>,
    /// The ways to pay; the chosen one is echoed.
    pub(crate) accepts: Vec<Box<RawValue>>,
    /// Declared extensions; echoed.
    #[serde(default)]
    pub(crate) extensions: Option<Box<RawValue>>,
}

/// A token and the invoice that makes it worth something.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct L402Challenge {
    /// The macaroon, as sent.
    pub(crate) macaroon: String,
    /// The BOLT11 invoice, as sent.
    pub(crate) invoice: String,
    /// The payment hash, where the server repeats it.
    #[serde(default)]
    pub(crate) payment_hash: Option<String>,
}

#[derive(Deserialize)]
struct ContentBlock {
    #[serde(default)]
    text: Option<String>,
}

/// A tool result, as far as this client reads it.
#[derive(Debug)]
pub(crate) struct ResultParts {
    /// The result, as sent.
    pub(crate) raw: String,
    /// Whether the tool reports failure.
    pub(crate) is_error: bool,
    /// The demand to pay, if the result is one.
    pub(crate) demand: Option<Demand>,
    /// What Tollgate says of a call that was refused, or has to be paid.
    pub(crate) denial: Option<Facts>,
    /// Tollgate's receipt, as sent.
    pub(crate) receipt: Option<String>,
    /// Where the money moved, as the server says (`_meta["x402/payment-response"].transaction`).
    pub(crate) transaction: Option<String>,
}

#[derive(Deserialize)]
struct PaymentResponse {
    #[serde(default)]
    transaction: Option<String>,
}

impl ResultParts {
    /// Reads the answer to a `tools/call`. What is not understood is an ordinary result.
    pub(crate) fn read(frame: &Frame) -> Self {
        let is_error = frame.result_member("isError") == Some(b"true".as_slice());
        let transaction = read::<PaymentResponse>(frame.meta("x402/payment-response"))
            .and_then(|response| response.transaction)
            .filter(|transaction| !transaction.is_empty());
        Self {
            raw: frame.result().map(|raw| text(&raw)).unwrap_or_default(),
            is_error,
            demand: is_error.then(|| Demand::of_result(frame)).flatten(),
            denial: is_error.then(|| read(frame.meta("tollgate/denial"))).flatten(),
            receipt: frame.meta("tollgate/receipt").map(text),
            transaction,
        }
    }
}

/// A part of a frame as text; a frame is UTF-8 or does not parse.
fn text(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).into_owned()
}

impl Demand {
    /// The demand of a tool result, if it is one.
    fn of_result(frame: &Frame) -> Option<Self> {
        // MCP libraries that drop structured content keep the text; x402 puts the same object into both.
        let content: Option<Vec<ContentBlock>> = read(frame.result_member("content"));
        let of_text = content.and_then(|blocks| blocks.into_iter().next()).and_then(|block| block.text);
        let places = [frame.result_member("structuredContent"), of_text.as_deref().map(str::as_bytes)];
        let x402 = places.into_iter().find_map(PaymentRequired::read);
        let l402 = read::<L402Challenge>(frame.meta("l402/challenge"))
            .or_else(|| places.into_iter().find_map(read::<L402Challenge>));
        let facts = read::<Facts>(frame.meta("tollgate/denial")).unwrap_or_default();
        (x402.is_some() || l402.is_some()).then_some(Self { x402, l402, carrier: Carrier::Meta, facts })
    }

    /// The demand of a plain HTTP 402: `PAYMENT-REQUIRED` (x402 `transports-v2/http.md`) and `WWW-Authenticate: L402`.
    pub(crate) fn of_http(headers: &HeaderMap) -> Option<Self> {
        let x402 = headers
            .get("payment-required")
            .and_then(|value| BASE64.decode(value.as_bytes()).ok())
            .and_then(|bytes| PaymentRequired::read(Some(&bytes)));
        let l402 = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(L402Challenge::of_header);
        (x402.is_some() || l402.is_some()).then(|| Self {
            x402,
            l402,
            carrier: Carrier::Header,
            facts: Facts::default(),
        })
    }

    /// The server's sentence.
    pub(crate) fn message(&self) -> String {
        let said = self.x402.as_ref().and_then(|required| required.error.clone());
        self.facts.message.clone().or(said).unwrap_or_else(|| "payment required".to_owned())
    }
}

impl PaymentRequired {
    fn read(value: Option<&[u8]>) -> Option<Self> {
        let mut required: Self = read(value)?;
        required.accepts.truncate(ACCEPTS_MAX);
        (required.version == 2).then_some(required)
    }
}

impl L402Challenge {
    /// Reads `L402 macaroon="…", invoice="…"`, in any order, with `token` as the newer name of `macaroon` and `LSAT` as the
    /// older name of the scheme. Unknown parameters are ignored, as the L402 specification asks.
    fn of_header(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("L402") && !scheme.eq_ignore_ascii_case("LSAT") {
            return None;
        }
        let parameters = parameters(rest);
        let find = |name: &str| {
            parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        };
        Some(Self {
            macaroon: find("macaroon").or_else(|| find("token"))?,
            invoice: find("invoice")?,
            payment_hash: None,
        })
    }
}

/// The `key="value"` and `key=value` parameters of a challenge (RFC 9110, section 11.2).
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => match quoted.split_once('"') {
                Some((value, after)) => (value, after),
                None => return found,
            },
            None => after.split_once(',').map_or((after.trim(), ""), |(value, after)| (value.trim(), after)),
        };
        found.push((key.trim().to_owned(), value.to_owned()));
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    found
}

/// Reads a raw value, strictly: what has two readings is not there.
fn read<T: DeserializeOwned>(value: Option<&[u8]>) -> Option<T> {
    let value = value.filter(|value| json::check(value, Limits::UPSTREAM).is_ok())?;
    serde_json::from_slice(value).ok()
}

#[cfg(test)]
mod tests;
