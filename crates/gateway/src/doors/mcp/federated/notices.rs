//! What wants no answer of one server: notifications, answers to a server's own requests, the log level.

use futures_util::future::join_all;
use http::{Method, Response, StatusCode};
use tollgate_domain::ServerName;
use tollgate_exec::Body;
use tollgate_federation::{Features, home_id, home_progress};
use tollgate_mcp::reply::code;
use tollgate_mcp::{Era, Frame, RequestId};

use super::super::forwarded;
use super::asking::{Asking, unanswered};

/// How long a server may take to accept a notification.
const NOTICE_MS_MAX: u64 = 10_000;

/// A client's notification. Progress of a server's request goes to that server; everything else goes to all servers of the
/// session: an id that is cancelled is known only to the one that works on it.
pub(super) async fn notification(asking: &Asking, frame: &Frame) -> Response<Body> {
    if asking.era == Era::Modern {
        // A modern client cancels by hanging up; there is nothing else that it announces.
        return super::super::super::bare(StatusCode::ACCEPTED);
    }
    if frame.method() == Some("notifications/progress") {
        return match home_progress(frame) {
            Some((server, body)) => tell(asking, &server, body).await,
            None => super::super::super::bare(StatusCode::ACCEPTED),
        };
    }
    let servers: Vec<ServerName> =
        asking.session.iter().flat_map(|session| &session.members).map(|m| m.server.clone()).collect();
    let told = join_all(servers.iter().map(|server| tell(asking, server, frame.bytes().clone()))).await;
    // A server that has forgotten the session has forgotten it for the client, too.
    let gone = told.into_iter().find(|response| response.status() == StatusCode::NOT_FOUND);
    gone.unwrap_or_else(|| super::super::super::bare(StatusCode::ACCEPTED))
}

/// A client's answer to a server's request, told by its id.
pub(super) async fn answer(asking: &Asking, frame: &Frame) -> Response<Body> {
    let home = frame.id().and_then(home_id).filter(|(server, _)| {
        asking.session.as_ref().is_some_and(|session| session.member(server).is_some())
    });
    let Some((server, id)) = home else {
        let text = "the message answers no request of this session";
        return asking.error(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, text, None);
    };
    let translated = asking.translator(&server).to_server(frame).and_then(|body| Frame::parse(body).ok());
    let body = translated.as_ref().unwrap_or(frame).with_id(&id);
    tell(asking, &server, body).await
}

/// `logging/setLevel`: every server that logs is told.
pub(super) async fn set_level(asking: &Asking, frame: &Frame, id: &RequestId) -> Response<Body> {
    let members = asking.session.iter().flat_map(|session| &session.members);
    let logging: Vec<_> = members.filter(|member| member.features.has(Features::LOGGING)).collect();
    if logging.is_empty() {
        return super::unknown_method(asking, id, "logging/setLevel");
    }
    let asked = logging.into_iter().map(async |member| {
        let carrier = asking.federation.carrier(&member.server)?;
        let head = asking.head_for(&member.server, None)?;
        let answered = asking.ask(carrier, head, frame.bytes().clone(), id, NOTICE_MS_MAX).await;
        answered.inspect_err(|error| unanswered(&member.server, error)).ok()
    });
    let answers = join_all(asked).await;
    let answers: Vec<_> = answers.into_iter().flatten().collect();
    if answers.iter().any(|answered| answered.is_gone(asking.era)) {
        return asking.session_gone();
    }
    // A level that every server refuses is refused with the words of the first.
    let refused = answers.iter().all(|answered| answered.result().is_none());
    match answers.first().and_then(|answered| answered.frame.as_ref()) {
        Some(refusal) if refused => super::asking::json_response(StatusCode::OK, refusal.bytes().clone()),
        _ => asking.result(id, "{}"),
    }
}

/// Hands one server what wants no answer.
async fn tell(asking: &Asking, server: &ServerName, body: bytes::Bytes) -> Response<Body> {
    let accepted = super::super::super::bare(StatusCode::ACCEPTED);
    let (Some(carrier), Some(mut head)) = (asking.federation.carrier(server), asking.head_for(server, None))
    else {
        return accepted;
    };
    head.method = Method::POST;
    let told = Frame::parse(body.clone()).ok().and_then(|frame| carrier.told(&head.headers, &frame));
    let telling = carrier.pass(forwarded(head, told.map_or(body, |told| told.bytes().clone())));
    let limit = std::time::Duration::from_millis(NOTICE_MS_MAX);
    match tokio::time::timeout(limit, telling).await {
        Ok(Ok(response)) if response.status() == StatusCode::NOT_FOUND => asking.session_gone(),
        Ok(Ok(_)) => accepted,
        Ok(Err(error)) => {
            unanswered(server, &error);
            accepted
        }
        Err(_) => {
            unanswered(server, &tollgate_exec::UpstreamError::TimedOut);
            accepted
        }
    }
}
