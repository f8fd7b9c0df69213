//! Several messages in one line, which only the revision 2025-03-26 has. In a session of that revision each is taken as if it had a line
//! of its own, and the answers come back in one; to any other client each request is refused on its own, as it waits for an answer to it.
//!
//! To the server they are requests of their own, and an agent's budget is decided call by call.

use std::sync::Arc;

use bytes::Bytes;
use tollgate_mcp::era::LEGACY_DEFAULT;
use tollgate_mcp::reply::{self, code};
use tollgate_mcp::{Frame, Kind, batch};

use super::Shared;

/// More than this is answered as a whole.
const MESSAGES_MAX: usize = 1_000;
const MESSAGE: &str = "JSON-RPC batches are not accepted by this bridge.";
/// As every refusal of a Tollgate says it.
const FACTS: &str =
    r#"{"error":"batch_refused","next_step":"Send each request on its own line.","retryable":false}"#;

/// Takes a line that holds a batch.
pub(super) async fn take(shared: &Arc<Shared>, line: &Bytes) {
    let Ok(messages) = batch::parse(line, MESSAGES_MAX) else {
        return shared.say(&refusal(None)).await;
    };
    let has_batches = shared.far.session().is_some_and(|session| session.version == LEGACY_DEFAULT);
    let opens = messages.iter().flatten().any(|frame| frame.method() == Some("initialize"));
    if !has_batches || opens {
        let frames = messages.iter().flatten();
        let requests: Vec<&Frame> = frames.filter(|frame| frame.kind() == Kind::Request).collect();
        if requests.is_empty() {
            return shared.say(&refusal(None)).await;
        }
        for request in requests {
            shared.say(&refusal(Some(request))).await;
        }
        return;
    }
    let (mut answers, mut taken) = (Vec::new(), Vec::new());
    for message in messages {
        match message {
            Err(error) => answers.push(super::unreadable(&error)),
            Ok(frame) => match frame.id().cloned() {
                Some(id) if frame.kind() == Kind::Request => match shared.open(&id, &frame) {
                    Ok(stop) => taken.push((frame, id, stop)),
                    Err(refused) => answers.push(refused),
                },
                _ => shared.take_notice(&frame).await,
            },
        }
    }
    let answering = taken.into_iter().map(|(frame, id, stop)| Arc::clone(shared).answered(frame, id, stop));
    let answering: Vec<_> = answering.map(|answered| shared.tasks.spawn(answered)).collect();
    let all = Arc::clone(shared);
    shared.tasks.spawn(async move {
        for answered in answering {
            answers.extend(answered.await.ok().flatten());
        }
        if !answers.is_empty() {
            all.say(&[b"[", answers.join(&b","[..]).as_slice(), b"]"].concat()).await;
        }
    });
}

fn refusal(request: Option<&Frame>) -> Bytes {
    reply::error(request.and_then(Frame::id), code::INVALID_REQUEST, MESSAGE, Some(FACTS))
}
