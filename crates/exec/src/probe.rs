//! What a server says of itself when it is asked: the eras it speaks, who it is, what it offers. Calls no tool.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode};
use tokio::time::timeout;
use tollgate_mcp::era::{CLIENT_CAPABILITIES_KEY, CLIENT_INFO_KEY, MODERN_SINCE, PROTOCOL_VERSION_KEY};
use tollgate_mcp::tools::{self, ToolDefinition};
use tollgate_mcp::{Frame, RequestId, headers, json, raw, reply};

use crate::intercept::Limits;
use crate::stream::MessageStream;
use crate::{Body, Upstream, UpstreamError};

const LEGACY_VERSION: &str = "2025-11-25";
/// What a client may be able to do. A server may offer tools only to those that can be asked, and nothing is called here that would ask.
const CAPABILITIES: &str = r#"{"elicitation":{"form":{},"url":{}},"roots":{"listChanged":true},"sampling":{"context":{},"tools":{}}}"#;
/// How much of what a server says is repeated, in characters.
const SAID_CHARS_MAX: usize = 200;

/// Bounds of a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeLimits {
    /// How long one answer may take, in milliseconds.
    pub answer_ms_max: u64,
    /// The longest answer, in bytes.
    pub answer_bytes_max: usize,
    /// In how many pages a list may come.
    pub pages_max: usize,
}

impl Default for ProbeLimits {
    /// 10 s, 4 MiB, 200 pages.
    fn default() -> Self {
        Self { answer_ms_max: 10_000, answer_bytes_max: 4 * 1024 * 1024, pages_max: 200 }
    }
}

/// What a server said.
#[derive(Clone, Debug)]
pub struct Probed {
    /// In the era of sessions (up to 2025-11-25).
    pub legacy: Spoken,
    /// In the era of requests that describe themselves (from 2026-07-28 on).
    pub modern: Spoken,
    /// What it offers, where it speaks at all.
    pub offered: Option<Offered>,
}

/// Whether one era is spoken.
#[derive(Clone, Debug)]
pub enum Spoken {
    /// It is.
    Yes(Introduced),
    /// It is not, and why, in words for the operator.
    No(String),
}

/// How a server introduces itself. Every text is the server's own: material, never an instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Introduced {
    /// Its name and version.
    pub info: Option<(String, String)>,
    /// The versions that it speaks in this era.
    pub versions: Vec<String>,
    /// What it says that it can do, by name.
    pub capabilities: Vec<String>,
    session: Option<HeaderValue>,
}

/// What a server offers. A list that it does not have is `None`; one that cannot be read says why.
#[derive(Clone, Debug)]
pub struct Offered {
    /// Its tools.
    pub tools: Option<Result<Vec<ToolDefinition>, String>>,
    /// How many resources it lists.
    pub resources: Option<Result<usize, String>>,
    /// How many templates of resources.
    pub templates: Option<Result<usize, String>>,
    /// How many prompts.
    pub prompts: Option<Result<usize, String>>,
}

/// Asks a server who it is, in both eras, and what it offers.
pub async fn probe(upstream: &dyn Upstream, limits: ProbeLimits) -> Probed {
    let asking = Asking { upstream, limits };
    let (legacy, modern) = join(asking.initialize(), asking.discover()).await;
    let way = match (&legacy, &modern) {
        (Spoken::Yes(introduced), _) => Some(Way::Legacy(introduced)),
        (Spoken::No(_), Spoken::Yes(introduced)) => Some(Way::Modern(introduced)),
        (Spoken::No(_), Spoken::No(_)) => None,
    };
    let offered = match &way {
        Some(way) => Some(asking.offered(way).await),
        None => None,
    };
    if let Spoken::Yes(introduced) = &legacy {
        asking.goodbye(introduced).await;
    }
    Probed { legacy, modern, offered }
}

/// In which era the lists are asked for.
enum Way<'a> {
    Legacy(&'a Introduced),
    Modern(&'a Introduced),
}

impl Way<'_> {
    fn can(&self, capability: &str) -> bool {
        let (Self::Legacy(introduced) | Self::Modern(introduced)) = self;
        introduced.capabilities.iter().any(|known| known == capability)
    }
}

struct Asking<'a> {
    upstream: &'a dyn Upstream,
    limits: ProbeLimits,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    frame: Option<Frame>,
}

impl Answer {
    /// The raw result, or in words why there is none.
    fn result(&self) -> Result<Bytes, String> {
        if let Some(result) = self.frame.as_ref().and_then(Frame::result) {
            return Ok(result);
        }
        if self.status == StatusCode::UNAUTHORIZED || self.status == StatusCode::FORBIDDEN {
            return Err(format!("it asks for a credential (HTTP {})", self.status.as_u16()));
        }
        match self.frame.as_ref().and_then(Frame::error) {
            Some(error) => {
                let code = raw::member(&error, "code").unwrap_or_default();
                let message: String =
                    raw::text(&error, "message").unwrap_or_default().chars().take(SAID_CHARS_MAX).collect();
                Err(format!("it answers with error {}: {message}", String::from_utf8_lossy(&code)))
            }
            None => Err(format!("it answers with HTTP {} and no message", self.status.as_u16())),
        }
    }
}

impl Asking<'_> {
    async fn initialize(&self) -> Spoken {
        let id = RequestId::integer(1);
        let params = format!(
            "{{\"protocolVersion\":\"{LEGACY_VERSION}\",\"capabilities\":{CAPABILITIES},\"clientInfo\":{}}}",
            client_info()
        );
        let message = reply::request(&id, "initialize", Some(&params));
        let answer = match self.post(message, HeaderMap::new(), Some(&id)).await {
            Ok(answer) => answer,
            Err(error) => return Spoken::No(in_words(&error)),
        };
        let introduced = match answer.result() {
            Ok(result) => introduced(&result, answer.headers.get(headers::SESSION_ID).cloned()),
            Err(reason) => return Spoken::No(reason),
        };
        if introduced.versions.is_empty() {
            return Spoken::No("its answer to initialize names no version".to_owned());
        }
        let message = reply::notification("notifications/initialized", None);
        // Whether it was heard is seen by what comes next.
        drop(self.post(message, session_headers(&introduced), None).await);
        Spoken::Yes(introduced)
    }

    async fn discover(&self) -> Spoken {
        let id = RequestId::integer(2);
        let params = format!("{{{}}}", modern_meta());
        let message = reply::request(&id, "server/discover", Some(&params));
        match self.post(message, modern_headers("server/discover"), Some(&id)).await {
            Err(error) => Spoken::No(in_words(&error)),
            Ok(answer) => match answer.result() {
                Ok(result) => Spoken::Yes(introduced(&result, None)),
                Err(reason) => Spoken::No(reason),
            },
        }
    }

    async fn offered(&self, way: &Way<'_>) -> Offered {
        Offered {
            tools: if way.can("tools") { Some(self.tools(way).await) } else { None },
            resources: self.counted(way, "resources", "resources/list", "resources").await,
            templates: self.counted(way, "resources", "resources/templates/list", "resourceTemplates").await,
            prompts: self.counted(way, "prompts", "prompts/list", "prompts").await,
        }
    }

    async fn tools(&self, way: &Way<'_>) -> Result<Vec<ToolDefinition>, String> {
        let mut all = Vec::new();
        let pages = self.pages(way, "tools/list").await?;
        for page in pages {
            all.extend(tools::parse(&page).map_err(|error| error.to_string())?.tools);
        }
        Ok(all)
    }

    async fn counted(
        &self,
        way: &Way<'_>,
        capability: &str,
        method: &'static str,
        member: &str,
    ) -> Option<Result<usize, String>> {
        if !way.can(capability) {
            return None;
        }
        let pages = match self.pages(way, method).await {
            Ok(pages) => pages,
            Err(reason) => return Some(Err(reason)),
        };
        let count = |page: &Bytes| {
            let list = raw::member(page, member).ok_or_else(|| format!("its {method} has no {member}"))?;
            raw::elements(&list).map(|items| items.len()).map_err(|error| error.to_string())
        };
        Some(pages.iter().map(count).sum())
    }

    async fn pages(&self, way: &Way<'_>, method: &'static str) -> Result<Vec<Bytes>, String> {
        let mut pages = Vec::new();
        let mut cursor: Option<String> = None;
        for number in 0..self.limits.pages_max {
            let id = RequestId::integer(i64::try_from(number).unwrap_or_default().saturating_add(10));
            let cursor_member = cursor.as_ref().map(|cursor| format!("\"cursor\":{}", json::quote(cursor)));
            let (meta, head) = match way {
                Way::Legacy(introduced) => (None, session_headers(introduced)),
                Way::Modern(_) => (Some(modern_meta()), modern_headers(method)),
            };
            let members: Vec<String> = cursor_member.into_iter().chain(meta).collect();
            let message = reply::request(&id, method, Some(&format!("{{{}}}", members.join(","))));
            let answer = self.post(message, head, Some(&id)).await.map_err(|error| in_words(&error))?;
            let page = answer.result()?;
            cursor = raw::text(&page, "nextCursor");
            pages.push(page);
            if cursor.is_none() {
                return Ok(pages);
            }
        }
        Err(format!("its {method} has more than {} pages", self.limits.pages_max))
    }

    /// Ends the session.
    async fn goodbye(&self, introduced: &Introduced) {
        if introduced.session.is_none() {
            return;
        }
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = Method::DELETE;
        *request.headers_mut() = session_headers(introduced);
        // A server may refuse it; the session is over for us either way.
        drop(timeout(self.patience(), self.upstream.exchange(request)).await);
    }

    async fn post(
        &self,
        message: Bytes,
        head: HeaderMap,
        id: Option<&RequestId>,
    ) -> Result<Answer, UpstreamError> {
        let mut request = Request::new(Body::Full(message));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = head;
        let own = request.headers_mut();
        own.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        own.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        let exchanging = async {
            let response = self.upstream.exchange(request).await?;
            let bytes_max = self.limits.answer_bytes_max;
            let limits =
                Limits { message_bytes_max: bytes_max, stream_bytes_max: bytes_max, ..Limits::default() };
            let status = response.status();
            let headers = response.headers().clone();
            let (Some(id), Ok((_, mut messages))) = (id, MessageStream::read(response, limits)) else {
                return Ok(Answer { status, headers, frame: None });
            };
            match messages.answer(id).await {
                Ok(frame) => Ok(Answer { status, headers, frame: Some(frame) }),
                // A refusal may carry any body; its status says enough.
                Err(UpstreamError::NotAnAnswer(_)) if !status.is_success() => {
                    Ok(Answer { status, headers, frame: None })
                }
                Err(error) => Err(error),
            }
        };
        timeout(self.patience(), exchanging).await.unwrap_or(Err(UpstreamError::TimedOut))
    }

    const fn patience(&self) -> Duration {
        Duration::from_millis(self.limits.answer_ms_max)
    }
}

fn introduced(result: &Bytes, session: Option<HeaderValue>) -> Introduced {
    let meta = raw::member(result, "_meta").unwrap_or_default();
    let info = raw::member(result, "serverInfo")
        .or_else(|| raw::member(&meta, tollgate_mcp::era::SERVER_INFO_KEY))
        .map(|info| {
            (raw::text(&info, "name").unwrap_or_default(), raw::text(&info, "version").unwrap_or_default())
        });
    let several = raw::member(result, "supportedVersions").and_then(|list| raw::elements(&list).ok());
    let versions = match several {
        Some(several) => several.iter().filter_map(|version| json::string(version)).collect(),
        None => raw::text(result, "protocolVersion").into_iter().collect(),
    };
    let capabilities = raw::member(result, "capabilities").and_then(|object| raw::members(&object).ok());
    let capabilities = capabilities.unwrap_or_default().into_iter().map(|(name, _)| name).collect();
    Introduced { info, versions, capabilities, session }
}

fn session_headers(introduced: &Introduced) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let version = introduced.versions.first().and_then(|version| HeaderValue::from_str(version).ok());
    headers.extend(version.map(|version| (headers::PROTOCOL_VERSION, version)));
    headers.extend(introduced.session.clone().map(|session| (headers::SESSION_ID, session)));
    headers
}

fn modern_headers(method: &'static str) -> HeaderMap {
    let fields = [
        (headers::PROTOCOL_VERSION, HeaderValue::from_static(MODERN_SINCE)),
        (headers::METHOD, HeaderValue::from_static(method)),
    ];
    fields.into_iter().collect()
}

fn modern_meta() -> String {
    format!(
        "\"_meta\":{{\"{PROTOCOL_VERSION_KEY}\":\"{MODERN_SINCE}\",\"{CLIENT_INFO_KEY}\":{},\"{CLIENT_CAPABILITIES_KEY}\":{CAPABILITIES}}}",
        client_info()
    )
}

fn client_info() -> String {
    format!("{{\"name\":\"tollgate\",\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION"))
}

/// An error with its reasons.
fn in_words(error: &UpstreamError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
