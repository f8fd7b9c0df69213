//! One JSON-RPC 2.0 message: parsed strictly, kept as the bytes it came in, edited by byte splices.
//!
//! Owns the envelope (`jsonrpc`, `id`, `method`, `params`, `result`, `error`), the members of `params` and `result` and
//! their `_meta`. The whole document is scanned, arguments included, so what passes has one reading and its original
//! bytes are safe to forward. It never re-serialises what was not changed and knows no method but `tools/call`.

use std::ops::Range;

use bytes::Bytes;

use crate::json::{self, Limits, Name, Scanner};
use crate::names;
use crate::object::Object;
use crate::request_id::{IdError, RequestId};

mod error;
mod splice;

#[cfg(test)]
mod tests;

pub use error::{FrameError, FrameFault};

/// The method that runs a tool.
pub const TOOLS_CALL: &str = "tools/call";

const ENVELOPE: &[&str] = &["jsonrpc", "id", "method", "params", "result", "error"];
/// The members of `params` that decide what is called, by whom it is mirrored, and how a call goes on.
const PARAMS: &[&str] = &["name", "arguments", "_meta", "uri", "taskId", "inputResponses", "requestState"];
const RESULT: &[&str] = &["_meta"];

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A method with an id: wants an answer.
    Request,
    /// A method without an id.
    Notification,
    /// An answer with a result.
    Response,
    /// An answer with an error.
    ErrorResponse,
}

/// What a `tools/call` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCallView {
    /// `params.name`, unescaped.
    pub name: String,
    /// `params.arguments` as it was sent; `{}` where it is absent or null.
    pub arguments: Bytes,
}

/// One message and the places of its parts.
#[derive(Clone, Debug)]
pub struct Frame {
    body: Bytes,
    envelope: Object,
    kind: Kind,
    id: Option<RequestId>,
    method: Option<String>,
    /// The members of `params` or of `result`, where that is an object.
    content: Option<Object>,
    meta: Option<Object>,
    arguments: Option<Object>,
    tool: Option<String>,
}

/// What the scan of an envelope collects.
#[derive(Default)]
struct Parts {
    id: Option<RequestId>,
    id_null: bool,
    version: bool,
    method: Option<String>,
    params: Option<Content>,
    result: Option<Content>,
    error: bool,
}

/// `params` or `result`.
#[derive(Default)]
struct Content {
    null: bool,
    object: Option<Object>,
    meta: Option<Object>,
    arguments: Option<Object>,
}

impl Frame {
    /// Parses a message that a caller sent, within [`Limits::CALLER`].
    pub fn parse(body: Bytes) -> Result<Self, FrameError> {
        Self::parse_within(body, Limits::CALLER)
    }

    /// Parses a message that an upstream sent, within [`Limits::UPSTREAM`].
    ///
    /// Only the bounds are laxer. A name that appears twice is refused here too: a client that reads the first and a
    /// gateway that reads the last would disagree about `isError`, about which request is answered and about whose
    /// receipt stands in `_meta`, so money could be settled on a result that the caller never saw.
    pub fn parse_upstream(body: Bytes) -> Result<Self, FrameError> {
        Self::parse_within(body, Limits::UPSTREAM)
    }

    /// Parses a message within bounds of one's own.
    pub fn parse_within(body: Bytes, limits: Limits) -> Result<Self, FrameError> {
        let mut parts = Parts::default();
        let scanned = scan(&body, limits, &mut parts);
        let id = parts.id.clone();
        scanned
            .and_then(|envelope| assemble(body, envelope, parts))
            .map_err(|fault| FrameError::new(fault, id))
    }

    /// What the message is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The id. `None` for a notification and for an error that answers no request in particular.
    pub fn id(&self) -> Option<&RequestId> {
        self.id.as_ref()
    }

    /// The method, unescaped; `None` for an answer.
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// The message as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// `params` as it was sent; `None` where it is absent or null.
    pub fn params(&self) -> Option<Bytes> {
        self.content
            .as_ref()
            .filter(|_| self.method.is_some())
            .map(|object| self.body.slice(object.span.clone()))
    }

    /// One member of `params`, raw, by its unescaped name.
    pub fn param(&self, name: &str) -> Option<&[u8]> {
        self.member(self.content.as_ref().filter(|_| self.method.is_some()), name)
    }

    /// One top-level member of the arguments of a `tools/call`, raw, by its unescaped name.
    pub fn argument(&self, name: &str) -> Option<&[u8]> {
        self.member(self.arguments.as_ref(), name)
    }

    /// One member of `params._meta` or, in an answer, of `result._meta`: raw, by its unescaped name.
    pub fn meta(&self, key: &str) -> Option<&[u8]> {
        self.member(self.meta.as_ref(), key)
    }

    /// What a `tools/call` asks for; `None` for every other message. A `tools/call` that names no tool, or whose
    /// arguments are no object, does not parse: no reader may see a call where the gateway sees none.
    pub fn tool_call(&self) -> Option<ToolCallView> {
        let name = self.tool.clone()?;
        let arguments = match &self.arguments {
            Some(object) => self.body.slice(object.span.clone()),
            None => Bytes::from_static(b"{}"),
        };
        Some(ToolCallView { name, arguments })
    }

    /// The raw result of a [`Kind::Response`].
    pub fn result(&self) -> Option<Bytes> {
        self.top("result").map(|value| self.body.slice(value))
    }

    /// One member of the result, raw, by its unescaped name; `None` where the result is no object.
    pub fn result_member(&self, name: &str) -> Option<&[u8]> {
        self.member(self.content.as_ref().filter(|_| self.kind == Kind::Response), name)
    }

    /// Whether this is a [`Kind::Response`] whose result is an object.
    pub(crate) fn has_result_object(&self) -> bool {
        self.kind == Kind::Response && self.content.is_some()
    }

    /// The raw error of a [`Kind::ErrorResponse`].
    pub fn error(&self) -> Option<Bytes> {
        self.top("error").map(|value| self.body.slice(value))
    }

    fn top(&self, name: &str) -> Option<Range<usize>> {
        self.envelope.find(&self.body, name)
    }

    fn member<'a>(&'a self, object: Option<&Object>, name: &str) -> Option<&'a [u8]> {
        self.body.get(object?.find(&self.body, name)?)
    }
}

fn scan(body: &[u8], limits: Limits, parts: &mut Parts) -> Result<Object, FrameFault> {
    let mut scanner = Scanner::new(body, limits)?;
    scanner.whole(|scanner| match scanner.peek() {
        Some(b'{') => Object::scan(scanner, |scanner, name| member(scanner, name, parts)),
        Some(b'[') => Err(FrameFault::Batch),
        _ => {
            scanner.value()?;
            Err(FrameFault::NotAnObject)
        }
    })
}

/// Scans the value of one envelope member.
fn member(scanner: &mut Scanner<'_>, name: &Name<'_>, parts: &mut Parts) -> Result<(), FrameFault> {
    match name.text.as_ref() {
        "jsonrpc" => parts.version = text(scanner, "jsonrpc")? == "2.0",
        "id" => parts.id = id(scanner, &mut parts.id_null)?,
        "method" => {
            let method = text(scanner, "method")?;
            // A server that ignores case or trims would run the tool of a message that nobody here saw as a call.
            refuse_look_alike(&method, &[TOOLS_CALL])?;
            parts.method = Some(method);
        }
        "params" => parts.params = Some(content(scanner, PARAMS)?),
        "result" => parts.result = Some(content(scanner, RESULT)?),
        "error" => {
            parts.error = true;
            if scanner.peek() != Some(b'{') {
                return Err(FrameFault::NotTheType { member: "error", expected: "an object" });
            }
            scanner.value()?;
        }
        other => {
            refuse_look_alike(other, ENVELOPE)?;
            scanner.value()?;
        }
    }
    Ok(())
}

fn refuse_look_alike(name: &str, reserved: &'static [&'static str]) -> Result<(), FrameFault> {
    names::taken_for(name, reserved).map_or(Ok(()), |reserved| Err(FrameFault::LookAlike { reserved }))
}

fn text(scanner: &mut Scanner<'_>, member: &'static str) -> Result<String, FrameFault> {
    if scanner.peek() != Some(b'"') {
        scanner.value()?;
        return Err(FrameFault::NotTheType { member, expected: "a string" });
    }
    let token = scanner.string()?;
    Ok(scanner.unescape(&token).into_owned())
}

fn id(scanner: &mut Scanner<'_>, null: &mut bool) -> Result<Option<RequestId>, FrameFault> {
    let value = scanner.value()?;
    let raw = scanner.slice(value);
    *null = raw == "null";
    if *null { Ok(None) } else { Ok(Some(RequestId::from_raw(raw)?)) }
}

fn content(scanner: &mut Scanner<'_>, reserved: &'static [&'static str]) -> Result<Content, FrameFault> {
    let mut content = Content::default();
    if scanner.peek() != Some(b'{') {
        let value = scanner.value()?;
        content.null = scanner.slice(value) == "null";
        return Ok(content);
    }
    content.object = Some(Object::scan(scanner, |scanner, name| {
        match (name.text.as_ref(), scanner.peek()) {
            ("_meta", Some(b'{')) => content.meta = Some(Object::scan_values(scanner)?),
            ("_meta", Some(b'n')) => {
                scanner.value()?;
            }
            ("_meta", _) => {
                scanner.value()?;
                return Err(FrameFault::NotTheType { member: "_meta", expected: "an object" });
            }
            ("arguments", Some(b'{')) => content.arguments = Some(Object::scan_values(scanner)?),
            (other, _) => {
                refuse_look_alike(other, reserved)?;
                scanner.value()?;
            }
        }
        Ok::<_, FrameFault>(())
    })?);
    Ok(content)
}

fn assemble(body: Bytes, envelope: Object, parts: Parts) -> Result<Frame, FrameFault> {
    if !parts.version {
        return Err(FrameFault::NotVersion2);
    }
    let kind = match (&parts.method, &parts.result, parts.error) {
        (Some(_), None, false) if parts.id.is_some() || parts.id_null => Kind::Request,
        (Some(_), None, false) => Kind::Notification,
        (None, Some(_), false) => Kind::Response,
        (None, None, true) => Kind::ErrorResponse,
        _ => return Err(FrameFault::NotOneMessage),
    };
    match kind {
        Kind::Request | Kind::Response if parts.id_null => return Err(IdError::Null.into()),
        Kind::Response if parts.id.is_none() => return Err(IdError::Absent.into()),
        Kind::Response | Kind::ErrorResponse if parts.params.is_some() => {
            return Err(FrameFault::NotOneMessage);
        }
        Kind::Request | Kind::Notification | Kind::Response | Kind::ErrorResponse => {}
    }
    if parts.params.as_ref().is_some_and(|params| !params.null && params.object.is_none()) {
        return Err(FrameFault::NotTheType { member: "params", expected: "an object" });
    }
    let content = parts.params.or(parts.result).unwrap_or_default();
    let is_call = parts.method.as_deref() == Some(TOOLS_CALL);
    let tool = if is_call { Some(tool_name(&body, kind, &content)?) } else { None };
    Ok(Frame {
        body,
        envelope,
        kind,
        id: parts.id,
        method: parts.method,
        content: content.object,
        meta: content.meta,
        arguments: content.arguments.filter(|_| is_call),
        tool,
    })
}

/// The tool that a `tools/call` names, once it is sure that it is a call every reader would see.
fn tool_name(body: &[u8], kind: Kind, params: &Content) -> Result<String, FrameFault> {
    if kind != Kind::Request {
        return Err(FrameFault::CallWithoutId);
    }
    let raw = |name| params.object.as_ref().and_then(|object| body.get(object.find(body, name)?));
    if params.arguments.is_none() && raw("arguments").is_some_and(|raw| raw != b"null") {
        return Err(FrameFault::NotACall { member: "arguments", expected: "an object" });
    }
    raw("name").and_then(json::string).ok_or(FrameFault::NotACall { member: "name", expected: "a string" })
}
