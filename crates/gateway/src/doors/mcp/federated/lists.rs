//! Lists: every server that has such a list is asked at once, their pages become one.

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Response, StatusCode};
use tollgate_domain::{FailureKind, ServerName};
use tollgate_exec::Body;
use tollgate_federation::{Cursor, Failure, Features, Kind, Page, Part, merged, page};
use tollgate_gate::Fault;
use tollgate_mcp::json::{self, quote};
use tollgate_mcp::reply::{self, code};
use tollgate_mcp::{Era, Frame, RequestId, raw};
use tollgate_risk::room::{Full, Share};

use super::super::list::{shown, viewer};
use super::asking::{Answered, Asking, json_response, unanswered};
use super::introduce::{modern, not_modern};
use crate::begun::Whose;
use crate::carrier::{Carrier, fault_of};
use crate::federation::Modern;

/// All pages together. A list past it comes without the servers that do not fit any more.
const LIST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What one server said.
enum Heard {
    Page(Page),
    /// It has no such list.
    Nothing,
    /// It does not speak the era of the request.
    OtherEra,
    BadCursor,
    SessionGone,
    Failed(&'static str, Fault),
}

/// One list request.
pub(super) async fn list(asking: &Asking, frame: &Frame, kind: Kind, id: &RequestId) -> Response<Body> {
    let cursor = match frame.param("cursor") {
        None | Some(b"null") => None,
        Some(raw) => match json::string(raw).map(|text| Cursor::decode(kind, &text)) {
            Some(Ok(cursor)) => Some(cursor),
            Some(Err(_)) | None => return asking.invalid(id, "Invalid cursor"),
        },
    };
    let asked = match &cursor {
        None => asking.federation.carriers().map(|carrier| (carrier, None)).collect(),
        Some(cursor) => {
            let part = |(server, cursor): &'_ (ServerName, String)| {
                Some((asking.federation.carrier(server)?, Some(cursor.clone())))
            };
            match cursor.parts.iter().map(part).collect::<Option<Vec<_>>>() {
                Some(parts) => parts,
                None => return asking.invalid(id, "Invalid cursor"),
            }
        }
    };
    let heard = join_all(
        asked
            .into_iter()
            .map(async |(carrier, cursor)| (carrier, ask(asking, carrier, frame, kind, cursor, id).await)),
    );
    answer(asking, kind, id, heard.await)
}

fn answer(
    asking: &Asking,
    kind: Kind,
    id: &RequestId,
    heard: Vec<(&std::sync::Arc<Carrier>, Heard)>,
) -> Response<Body> {
    let (mut parts, mut failures): (Vec<Part>, Vec<Failure>) = (Vec::new(), Vec::new());
    let (mut bytes, mut failed, mut spoken) = (0_usize, None, false);
    for (carrier, heard) in heard {
        let server = carrier.name.clone();
        spoken |= !matches!(heard, Heard::OtherEra);
        match heard {
            Heard::SessionGone => return asking.session_gone(),
            Heard::BadCursor => return asking.invalid(id, "Invalid cursor"),
            Heard::Nothing | Heard::OtherEra => {}
            Heard::Failed(reason, fault) => {
                failed = Some(fault);
                failures.push(Failure { server, reason });
            }
            Heard::Page(page) => {
                bytes += page.items.iter().map(Bytes::len).sum::<usize>();
                if bytes > LIST_BYTES_MAX {
                    failures.push(Failure { server, reason: "too_large" });
                } else {
                    parts.push(Part { server, page });
                }
            }
        }
    }
    match failed {
        Some(fault) if parts.is_empty() => asking.failed(&fault, id),
        _ if !spoken => not_modern(asking),
        _ => {
            let list = reply::result(id, merged(kind, asking.era, &parts, &failures));
            let mut share = Share::default();
            match share.grow(&asking.gateway.foundation.answers, list.len()) {
                Ok(()) => json_response(StatusCode::OK, share.keep(list)),
                Err(Full) => asking.failed(&Fault::Upstream { kind: FailureKind::NoRoom }, id),
            }
        }
    }
}

async fn ask(
    asking: &Asking,
    carrier: &Carrier,
    frame: &Frame,
    kind: Kind,
    cursor: Option<String>,
    id: &RequestId,
) -> Heard {
    let server = &carrier.name;
    let features = match &asking.session {
        Some(session) => match session.member(server) {
            Some(member) => member.features,
            // It was not there when the session was opened.
            None => {
                return Heard::Failed(
                    "not_in_this_session",
                    Fault::Upstream { kind: FailureKind::Unreachable },
                );
            }
        },
        None => match modern(asking, carrier).await {
            Ok(Modern::Yes { versions, features }) if speaks(asking, &versions) => features,
            Ok(Modern::Yes { .. } | Modern::No) => return Heard::OtherEra,
            Err(error) => {
                unanswered(server, &error);
                return Heard::Failed(error.kind().word(), fault_of(&error));
            }
        },
    };
    if !features.has(feature(kind)) {
        return Heard::Nothing;
    }
    let Some(head) = asking.head_for(server, None) else { return Heard::Nothing };
    let had_cursor = cursor.is_some();
    let body = match cursor {
        Some(cursor) => frame.with_param("cursor", &quote(&cursor)),
        None => frame.bytes().clone(),
    };
    let answered = match asking.ask(carrier, head, body, id, asking.federation.list_ms_max).await {
        Ok(answered) => answered,
        Err(error) => {
            unanswered(server, &error);
            return Heard::Failed(error.kind().word(), fault_of(&error));
        }
    };
    if answered.is_gone(asking.era) {
        return Heard::SessionGone;
    }
    match (answered.result(), answered.error_code()) {
        (Some(result), _) => read(asking, carrier, kind, &answered, result).await,
        (None, Some(code::METHOD_NOT_FOUND)) => Heard::Nothing,
        (None, Some(code::INVALID_PARAMS)) if had_cursor => Heard::BadCursor,
        (None, _) => Heard::Failed("refused", Fault::Upstream { kind: FailureKind::Broken }),
    }
}

/// One page under the names of this door: approved tools with their prices, and without what is not offered here.
async fn read(asking: &Asking, carrier: &Carrier, kind: Kind, answered: &Answered, result: Bytes) -> Heard {
    let server = &carrier.name;
    let vetted = answered.frame.as_ref().filter(|_| kind == Kind::Tools && carrier.has_policy);
    let result = match vetted {
        None => result,
        Some(frame) => {
            let viewer = viewer(&asking.gateway, carrier, &asking.head.headers).await;
            match shown(&asking.gateway, carrier, frame.bytes(), viewer.as_ref()).await {
                Ok(answer) => raw::member(&answer, "result").unwrap_or(result),
                Err(error) => return Heard::Failed(error.kind().word(), fault_of(&error)),
            }
        }
    };
    let mut page = match page(kind, &result) {
        Ok(page) => page,
        Err(error) => {
            tracing::warn!(%server, %error, "a list cannot be read");
            return Heard::Failed(FailureKind::Broken.word(), Fault::Upstream { kind: FailureKind::Broken });
        }
    };
    if kind == Kind::Tools && asking.federation.tools_only() {
        let is_offered = |item: &Bytes| {
            raw::text(item, "name").is_some_and(|name| asking.federation.offers(server, &name))
        };
        page.items.retain(is_offered);
    }
    let translator = asking.translator(server);
    if kind == Kind::Tasks {
        let session = asking.own_session(server);
        let whose = Whose { tasks: translator.tasks, session: session.as_ref() };
        page.items.retain(|task| asking.gateway.foundation.begun.is_own(&whose, server, task));
    }
    for item in &mut page.items {
        if let Some(renamed) = translator.item(kind, item) {
            *item = renamed;
        }
    }
    Heard::Page(page)
}

/// Whether the version of the request is among these.
fn speaks(asking: &Asking, versions: &[String]) -> bool {
    let asked = asking.head.headers.get(tollgate_mcp::headers::PROTOCOL_VERSION);
    asking.era == Era::Modern && versions.iter().any(|v| asked.is_some_and(|asked| asked == v.as_str()))
}

const fn feature(kind: Kind) -> Features {
    match kind {
        Kind::Tools => Features::TOOLS,
        Kind::Prompts => Features::PROMPTS,
        Kind::Resources | Kind::Templates => Features::RESOURCES,
        Kind::Tasks => Features::TASKS,
    }
}
