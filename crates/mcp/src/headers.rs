//! The headers that mirror the body (2026-07-28 `basic/transports/streamable-http`, "Server Validation").
//!
//! Decides the era of a POST and refuses it where headers and body disagree. Everything that follows (price, policy,
//! routing to a tool) reads the body; after this check the headers say the same.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::era::{CLIENT_CAPABILITIES_KEY, Era, PROTOCOL_VERSION_KEY};
use crate::frame::{Frame, Kind};
use crate::json;
use crate::reply::code;

mod param;

#[cfg(test)]
mod tests;

pub use param::{AnnotationError, MirroredParam, ParamType, check_params, mirrored_params};

/// `MCP-Protocol-Version`
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `Mcp-Method`
pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// `Mcp-Name`
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// `Mcp-Session-Id`
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

const SENTINEL_START: &str = "=?base64?";
const SENTINEL_END: &str = "?=";

/// Why the headers of a POST do not fit its body. The HTTP status is 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderMismatch {
    /// A header that must stand alone stands twice.
    #[error("header mismatch: {header} is repeated")]
    Repeated {
        /// Which, in lower case.
        header: HeaderName,
    },
    /// A header that the body asks for is absent.
    #[error("header mismatch: {header} is missing")]
    Missing {
        /// Which, in lower case.
        header: HeaderName,
    },
    /// A value with characters outside visible ASCII, space and tab, or a base64 form that decodes to no text.
    #[error("header mismatch: {header} has invalid characters")]
    Malformed {
        /// Which, in lower case.
        header: HeaderName,
    },
    /// The header says something else than the body.
    #[error("header mismatch: {header} does not match the body")]
    Differs {
        /// Which, in lower case.
        header: HeaderName,
    },
    /// A content type or coding under which a server may read other text in the body than was checked here.
    #[error("{header} is not that of UTF-8 JSON")]
    Reading {
        /// Which, in lower case.
        header: HeaderName,
    },
    /// A `_meta` field that every modern request carries is absent or of another type.
    #[error("params._meta lacks a usable {key:?}")]
    Meta {
        /// Which.
        key: &'static str,
    },
}

impl HeaderMismatch {
    /// The JSON-RPC code: -32020, -32602 for a missing `_meta` field, or -32600 for a body of another reading.
    pub fn code(&self) -> i32 {
        match self {
            Self::Repeated { .. } | Self::Missing { .. } | Self::Malformed { .. } | Self::Differs { .. } => {
                code::HEADER_MISMATCH
            }
            Self::Meta { .. } => code::INVALID_PARAMS,
            Self::Reading { .. } => code::INVALID_REQUEST,
        }
    }
}

/// The era of a POSTed message, once its headers are known to agree with it.
///
/// A modern request has its version in `_meta` and the same one in the header, its method in `Mcp-Method`, and where
/// the method has one its name in `Mcp-Name`. A legacy message needs none of them. For notifications the specification
/// has no header rules: an `Mcp-Method` that is there must still be true.
pub fn check(headers: &HeaderMap, frame: &Frame) -> Result<Era, HeaderMismatch> {
    check_reading(headers)?;
    let era = era(headers, frame)?;
    let Some(method) = frame.method().filter(|_| era == Era::Modern) else {
        return Ok(era);
    };
    let is_request = frame.kind() == Kind::Request;
    match single(headers, &METHOD)? {
        Some(value) if value != method => return Err(HeaderMismatch::Differs { header: METHOD }),
        None if is_request => return Err(HeaderMismatch::Missing { header: METHOD }),
        _ => {}
    }
    if is_request {
        if frame.meta(CLIENT_CAPABILITIES_KEY).is_none_or(|raw| !raw.starts_with(b"{")) {
            return Err(HeaderMismatch::Meta { key: CLIENT_CAPABILITIES_KEY });
        }
        check_name(headers, frame, method)?;
    }
    Ok(era)
}

/// The body was read as UTF-8 JSON; the server must be told to do the same. Frameworks decode by what these headers say:
/// with `charset=utf-7` harmless ASCII turns into quotes and commas, and so into another call.
fn check_reading(headers: &HeaderMap) -> Result<(), HeaderMismatch> {
    let other = |header| Err(HeaderMismatch::Reading { header });
    if single(headers, &CONTENT_ENCODING)?.is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return other(CONTENT_ENCODING);
    }
    let Some(content_type) = single(headers, &CONTENT_TYPE)? else {
        return Ok(());
    };
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    // A parameter that is not understood may be one that another reader understands.
    let is_utf8 = |parameter: &str| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("charset")
                && value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    };
    if is_json && parts.all(|parameter| parameter.is_empty() || is_utf8(parameter)) {
        Ok(())
    } else {
        other(CONTENT_TYPE)
    }
}

fn era(headers: &HeaderMap, frame: &Frame) -> Result<Era, HeaderMismatch> {
    let header = single(headers, &PROTOCOL_VERSION)?;
    let Some(raw) = frame.method().and_then(|_| frame.meta(PROTOCOL_VERSION_KEY)) else {
        let era = header.and_then(Era::of_version).unwrap_or(Era::Legacy);
        return match (frame.kind(), era) {
            // A dual-era client may keep its header while it falls back.
            (Kind::Request, Era::Modern) if frame.method() == Some("initialize") => Ok(Era::Legacy),
            (Kind::Request, Era::Modern) => Err(HeaderMismatch::Meta { key: PROTOCOL_VERSION_KEY }),
            (_, era) => Ok(era),
        };
    };
    let body = json::string(raw).ok_or(HeaderMismatch::Meta { key: PROTOCOL_VERSION_KEY })?;
    match header {
        None => Err(HeaderMismatch::Missing { header: PROTOCOL_VERSION }),
        Some(header) if header != body => Err(HeaderMismatch::Differs { header: PROTOCOL_VERSION }),
        // A version that is no date came in the modern form: the upstream says that it does not know it.
        Some(header) => Ok(Era::of_version(header).unwrap_or(Era::Modern)),
    }
}

/// Whether the version that the header of a legacy request names, if it names one, is among those that are spoken. A server answers
/// 400 where it is not (`2025-11-25/basic/transports`, "Protocol Version Header").
pub fn version_is_spoken(headers: &HeaderMap, spoken: &[&str]) -> bool {
    let is_spoken = |version: &HeaderValue| {
        version.to_str().is_ok_and(|version| spoken.contains(&version.trim_matches([' ', '\t'])))
    };
    headers.get_all(PROTOCOL_VERSION).iter().all(is_spoken)
}

/// The member of `params` that `Mcp-Name` mirrors for `method`.
pub fn name_source(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

fn check_name(headers: &HeaderMap, frame: &Frame, method: &str) -> Result<(), HeaderMismatch> {
    let Some(source) = name_source(method) else {
        return Ok(());
    };
    let header = single(headers, &NAME)?.map(|value| decode(&NAME, value)).transpose()?;
    let body = frame.param(source).and_then(json::string);
    match (header, body) {
        (Some(header), Some(body)) if *header == *body => Ok(()),
        (None, Some(_)) => Err(HeaderMismatch::Missing { header: NAME }),
        // Without a source there is nothing to mirror: the upstream refuses the parameters.
        (None, None) => Ok(()),
        (Some(_), _) => Err(HeaderMismatch::Differs { header: NAME }),
    }
}

/// The one value of a header, without the optional whitespace around it.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, HeaderMismatch> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(HeaderMismatch::Repeated { header: name.clone() });
    }
    // `to_str` takes visible ASCII, space and tab.
    let text = value.to_str().map_err(|_| HeaderMismatch::Malformed { header: name.clone() })?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

/// Resolves the base64 form of a mirrored value.
fn decode<'a>(name: &HeaderName, value: &'a str) -> Result<Cow<'a, str>, HeaderMismatch> {
    let inner = value.strip_prefix(SENTINEL_START).and_then(|rest| rest.strip_suffix(SENTINEL_END));
    let Some(inner) = inner else {
        return Ok(Cow::Borrowed(value));
    };
    let bytes = BASE64_STANDARD.decode(inner).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Cow::Owned).ok_or_else(|| HeaderMismatch::Malformed { header: name.clone() })
}

/// `text` as the value of `Mcp-Name` or of an `Mcp-Param-*` header: itself where that is safe, else its base64 form.
pub fn encode_value(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
        && text.trim_matches([' ', '\t']) == text
        && !(text.starts_with(SENTINEL_START) && text.ends_with(SENTINEL_END));
    if plain {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{SENTINEL_START}{}{SENTINEL_END}", BASE64_STANDARD.encode(text)))
}
