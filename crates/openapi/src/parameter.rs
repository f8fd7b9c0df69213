//! Where an argument stands in the request, and in which spelling.

use serde_json::{Map, Value};

use crate::document::{Document, Problem, left_out};

/// The part of the request that takes a parameter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

impl Place {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
        }
    }
}

/// How a value is written there (OpenAPI 3.1, "Style Values").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// `a,b`: in paths and headers.
    Simple { explode: bool },
    /// `name=a&name=b`, or `name=a,b`: in queries.
    Form { explode: bool },
    /// `name[key]=value`: in queries.
    DeepObject,
    /// The JSON text of the value.
    Json,
}

/// One parameter of an operation.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Parameter {
    /// Its name in the request.
    pub(crate) name: String,
    /// Its name among the tool's arguments.
    pub(crate) argument: String,
    pub(crate) place: Place,
    pub(crate) style: Style,
    pub(crate) required: bool,
    /// Whether a value of the path may have slashes: several steps of it.
    pub(crate) takes_steps: bool,
}

/// How a document says that a value of the path may have slashes, which OpenAPI has no word for: GitHub's.
const TAKES_STEPS: &str = "x-multi-segment";

/// Headers that are not a caller's to set: of the connection, of the message, or credentials.
const OURS: [&str; 17] = [
    // OpenAPI says that these three are ignored as parameters.
    "accept",
    "authorization",
    "content-type",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "forwarded",
    "x-forwarded-for",
];

/// A parameter as the document declares it, with its schema; `None` if no caller can set it.
pub(crate) fn declared<'a>(
    document: &'a Document,
    raw: &'a Map<String, Value>,
    own_headers: &[&str],
) -> Result<Option<(Parameter, Option<&'a Value>)>, Problem> {
    let text = |member: &str| raw.get(member).and_then(Value::as_str);
    let (Some(name), Some(place)) = (text("name"), text("in")) else {
        return left_out("a parameter has no name or no place");
    };
    let required = raw.get("required") == Some(&Value::Bool(true));
    let place = match place {
        "path" => Place::Path,
        "query" => Place::Query,
        "header" => {
            let lower = name.to_ascii_lowercase();
            let is_ours = OURS.contains(&lower.as_str()) || own_headers.iter().any(|own| lower == *own);
            if is_ours || http::HeaderName::from_bytes(lower.as_bytes()).is_err() {
                return Ok(None);
            }
            Place::Header
        }
        "cookie" if !required => return Ok(None),
        other => {
            return left_out(format!("its parameter {name:?} stands in a {other}, which cannot be set"));
        }
    };
    let content = raw.get("content").and_then(Value::as_object);
    let (style, schema) = match content {
        Some(content) => match content.iter().find(|(media, _)| is_json(media)) {
            Some((_, media)) => (Style::Json, document.object(media, name)?.get("schema")),
            None => return left_out(format!("its parameter {name:?} is no JSON")),
        },
        None => (style(place, text("style"), raw.get("explode"), name)?, raw.get("schema")),
    };
    let required = required || place == Place::Path;
    let takes_steps = raw.get(TAKES_STEPS) == Some(&Value::Bool(true));
    let (name, argument) = (name.to_owned(), name.to_owned());
    let parameter = Parameter { name, argument, place, style, required, takes_steps };
    Ok(Some((parameter, schema)))
}

fn style(place: Place, style: Option<&str>, explode: Option<&Value>, name: &str) -> Result<Style, Problem> {
    let explode = explode.and_then(Value::as_bool);
    match (place, style) {
        (Place::Path | Place::Header, None | Some("simple")) => {
            Ok(Style::Simple { explode: explode.unwrap_or(false) })
        }
        (Place::Query, None | Some("form")) => Ok(Style::Form { explode: explode.unwrap_or(true) }),
        (Place::Query, Some("deepObject")) => Ok(Style::DeepObject),
        (_, Some(other)) => left_out(format!("its parameter {name:?} has the style {other:?}")),
    }
}

/// Whether a media type carries JSON.
pub(crate) fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}
