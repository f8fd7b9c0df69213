//! From a tool's arguments to one HTTP request.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use serde_json::value::RawValue;

use crate::encode::{encode, encode_into, leaves_its_place};
use crate::parameter::{Parameter, Place, Style};

/// One operation of the API, and where each argument of its tool goes.
#[derive(Clone, PartialEq, Debug)]
pub struct Operation {
    pub(crate) method: Method,
    pub(crate) path: Vec<Piece>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Option<BodyArgument>,
}

/// A piece of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    /// As it stands in the document; checked when it was read.
    Text(String),
    /// The value of the path parameter of this name.
    Parameter(String),
}

/// The argument that is the body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BodyArgument {
    pub(crate) argument: String,
    pub(crate) content_type: HeaderValue,
    pub(crate) required: bool,
}

/// A request to the API, but for its address.
#[derive(Clone, PartialEq, Debug)]
pub struct RestRequest {
    /// The method.
    pub method: Method,
    /// Path and query, to be put behind the base URL: starts with a slash, percent-encoded.
    pub path_and_query: String,
    /// The headers that arguments set.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Content type and JSON text of the body: the argument's own bytes.
    pub body: Option<(HeaderValue, Bytes)>,
}

/// Why arguments make no request. Nothing is sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArgumentError {
    /// The arguments are no JSON object.
    #[error("the arguments are no JSON object")]
    NoObject,
    /// An argument must be there.
    #[error("the argument {0:?} is required")]
    Missing(String),
    /// No argument has this name.
    #[error("there is no argument {0:?}")]
    Unknown(String),
    /// The value cannot be written where it must stand.
    #[error("the argument {name:?} {reason}")]
    Unfit {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

type Arguments<'a> = BTreeMap<String, &'a RawValue>;

impl Operation {
    /// The request that these arguments, one JSON object, make.
    ///
    /// # Errors
    /// [`ArgumentError`].
    pub fn request(&self, arguments: &[u8]) -> Result<RestRequest, ArgumentError> {
        let mut arguments: Arguments<'_> =
            serde_json::from_slice(arguments).map_err(|_| ArgumentError::NoObject)?;
        let mut path_values: BTreeMap<&str, String> = BTreeMap::new();
        let mut query: Vec<String> = Vec::new();
        let mut headers = Vec::new();
        for parameter in &self.parameters {
            let raw = arguments.remove(&parameter.argument).filter(|raw| raw.get() != "null");
            let Some(raw) = raw else {
                if parameter.required {
                    return Err(ArgumentError::Missing(parameter.argument.clone()));
                }
                continue;
            };
            match parameter.place {
                Place::Path => {
                    path_values.insert(&parameter.name, parameter.in_path(raw)?);
                }
                Place::Query => query.extend(parameter.in_query(raw)?),
                Place::Header => headers.push(parameter.as_header(raw)?),
            }
        }
        let body = self.body(&mut arguments)?;
        if let Some(name) = arguments.into_keys().next() {
            return Err(ArgumentError::Unknown(name));
        }
        let mut path_and_query = self.filled(&path_values)?;
        for (pair, separator) in query.iter().zip(std::iter::once('?').chain(std::iter::repeat('&'))) {
            path_and_query.push(separator);
            path_and_query.push_str(pair);
        }
        Ok(RestRequest { method: self.method.clone(), path_and_query, headers, body })
    }

    fn body(&self, arguments: &mut Arguments<'_>) -> Result<Option<(HeaderValue, Bytes)>, ArgumentError> {
        let Some(body) = &self.body else { return Ok(None) };
        match arguments.remove(&body.argument) {
            Some(raw) => Ok(Some((body.content_type.clone(), Bytes::copy_from_slice(raw.get().as_bytes())))),
            None if body.required => Err(ArgumentError::Missing(body.argument.clone())),
            None => Ok(None),
        }
    }

    fn filled(&self, values: &BTreeMap<&str, String>) -> Result<String, ArgumentError> {
        let mut path = String::new();
        for piece in &self.path {
            match piece {
                Piece::Text(text) => path.push_str(text),
                Piece::Parameter(name) => match values.get(name.as_str()) {
                    Some(value) => path.push_str(value),
                    None => return Err(ArgumentError::Missing(name.clone())),
                },
            }
        }
        // Two harmless values side by side, such as "." and ".", must not make a step together.
        if path.split('/').any(|step| matches!(step, "." | "..")) {
            let name = values.keys().next().copied().unwrap_or_default().to_owned();
            return Err(ArgumentError::Unfit { name, reason: "would leave its place in the path" });
        }
        Ok(path)
    }
}

impl Parameter {
    fn unfit<T>(&self, reason: &'static str) -> Result<T, ArgumentError> {
        Err(ArgumentError::Unfit { name: self.argument.clone(), reason })
    }

    fn in_path(&self, raw: &RawValue) -> Result<String, ArgumentError> {
        let written = self.plain(raw, encode)?;
        let decoded = self.plain(raw, str::to_owned)?;
        if leaves_its_place(&decoded) {
            return self.unfit("would leave its place in the path");
        }
        // Many servers decode a path before they look whose it is: behind a slash another operation may begin, with another price.
        if decoded.contains('/') && !self.takes_steps {
            return self.unfit(
                "has a slash, behind which the API may see another path; where it takes slashes there, the OpenAPI document \
                 says `x-multi-segment: true` of the parameter",
            );
        }
        Ok(written)
    }

    fn as_header(&self, raw: &RawValue) -> Result<(HeaderName, HeaderValue), ArgumentError> {
        let text = self.plain(raw, str::to_owned)?;
        let name = HeaderName::from_bytes(self.name.as_bytes());
        match (name, HeaderValue::from_str(&text)) {
            (Ok(name), Ok(value)) => Ok((name, value)),
            _ => self.unfit("cannot stand in a header"),
        }
    }

    /// The value as one text, its parts written by `write`.
    fn plain(&self, raw: &RawValue, write: fn(&str) -> String) -> Result<String, ArgumentError> {
        match (self.style, Value::of(raw)) {
            (Style::Json, _) => Ok(write(raw.get())),
            (_, Some(Value::Scalar(text))) => Ok(write(&text)),
            (_, Some(Value::List(items))) => {
                let written: Vec<String> = items.iter().map(|item| write(item)).collect();
                Ok(written.join(","))
            }
            (Style::Simple { explode }, Some(Value::Members(members))) => {
                let between = if explode { "=" } else { "," };
                let written: Vec<String> = members
                    .iter()
                    .map(|(name, value)| format!("{}{between}{}", write(name), write(value)))
                    .collect();
                Ok(written.join(","))
            }
            _ => self.unfit("is nested deeper than its place allows"),
        }
    }

    /// The pairs of the query.
    fn in_query(&self, raw: &RawValue) -> Result<Vec<String>, ArgumentError> {
        let pair = |name: &str, value: &str| {
            let mut pair = encode(name);
            pair.push('=');
            encode_into(&mut pair, value);
            pair
        };
        let name = &self.name;
        match (self.style, Value::of(raw)) {
            (Style::Json, _) => Ok(vec![pair(name, raw.get())]),
            (_, Some(Value::Scalar(text))) => Ok(vec![pair(name, &text)]),
            (Style::Form { explode: true }, Some(Value::List(items))) => {
                Ok(items.iter().map(|item| pair(name, item)).collect())
            }
            (Style::Form { explode: true }, Some(Value::Members(members))) => {
                Ok(members.iter().map(|(name, value)| pair(name, value)).collect())
            }
            (Style::Form { explode: false }, Some(Value::List(items))) => {
                let written: Vec<String> = items.iter().map(|item| encode(item)).collect();
                let pair = format!("{}={}", encode(name), written.join(","));
                Ok(if items.is_empty() { Vec::new() } else { vec![pair] })
            }
            (Style::Form { explode: false }, Some(Value::Members(members))) => {
                let written: Vec<String> =
                    members.iter().flat_map(|(name, value)| [encode(name), encode(value)]).collect();
                let pair = format!("{}={}", encode(name), written.join(","));
                Ok(if members.is_empty() { Vec::new() } else { vec![pair] })
            }
            (Style::DeepObject, Some(Value::Members(members))) => {
                Ok(members.iter().map(|(key, value)| pair(&format!("{name}[{key}]"), value)).collect())
            }
            _ => self.unfit("is nested deeper than its place allows"),
        }
    }
}

/// A value that a style can write.
enum Value {
    Scalar(String),
    List(Vec<String>),
    Members(Vec<(String, String)>),
}

impl Value {
    fn of(raw: &RawValue) -> Option<Self> {
        match raw.get().bytes().next() {
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
                Some(Self::List(items.into_iter().map(scalar).collect::<Option<_>>()?))
            }
            Some(b'{') => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).ok()?;
                let members = members.into_iter().map(|(name, value)| Some((name, scalar(value)?)));
                Some(Self::Members(members.collect::<Option<_>>()?))
            }
            _ => scalar(raw).map(Self::Scalar),
        }
    }
}

/// Text as it is, anything else in its own spelling: no number is read and written again.
fn scalar(raw: &RawValue) -> Option<String> {
    match raw.get().bytes().next()? {
        b'"' => serde_json::from_str(raw.get()).ok(),
        b'[' | b'{' => None,
        _ => Some(raw.get().to_owned()),
    }
}

#[cfg(test)]
mod tests;
