//! Under which ids a server knows the calls of a session that cost something.
//!
//! In the era of sessions an answer is told by the id of its request alone, and servers, official ones among them, give it to whichever
//! request of the session has that id by then. Whoever cancels a paid call, or hangs up, could take its id for a request that costs
//! nothing, and its answer would come with that one (M6). So a paid call goes out under an id that its caller does not know. What is
//! remembered here serves cancellation alone: a server must be told which of its requests is meant.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use tollgate_domain::Digest;
use tollgate_mcp::{Frame, Kind, RequestId, headers};

/// How many calls without an answer are remembered, for a cancellation that comes after their callers have hung up.
const LEFT_MAX: usize = 4_096;
const CANCELLED: &str = "notifications/cancelled";
const REQUEST_ID: &str = "requestId";

/// The ids at one server.
#[derive(Debug, Default)]
pub struct CallIds(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    known: HashMap<Key, RequestId>,
    /// Those of calls that ended without an answer, the oldest first.
    left: VecDeque<Key>,
}

/// The session, and the id that the caller gave.
type Key = (Digest, RequestId);

/// One call under an id of its own. Dropped before it was answered, it can still be cancelled for a while.
#[derive(Debug)]
pub struct OwnId {
    ids: Arc<CallIds>,
    /// `None`: it belongs to no session, and nobody can cancel it.
    key: Option<Key>,
    id: RequestId,
}

impl CallIds {
    /// An id for a call of the session that these headers name, of the same kind as the caller's: there are servers that read but one.
    pub fn own(self: &Arc<Self>, headers: &HeaderMap, called: &RequestId, random: [u8; 16]) -> OwnId {
        let id = match called.as_integer() {
            // There are servers that read no more than 32 bits. A guess is a request that has to be open while the call runs.
            Some(_) => {
                let [a, b, c, d, ..] = random;
                RequestId::integer(i64::from(u32::from_be_bytes([a, b, c, d]) >> 2 | 1 << 30))
            }
            None => {
                let text = hex::encode(random);
                // Far shorter than an id may be; were it not, the number alone would do.
                RequestId::string(&text).unwrap_or_else(|_| RequestId::integer(i64::MAX))
            }
        };
        let key = key(headers, called);
        if let Some(key) = &key {
            self.0.lock().known.insert(key.clone(), id.clone());
        }
        OwnId { ids: Arc::clone(self), key, id }
    }

    /// The cancellation of a call as its server is to be told of it. `None`: as it came.
    pub fn told(&self, headers: &HeaderMap, frame: &Frame) -> Option<Frame> {
        if frame.kind() != Kind::Notification || frame.method() != Some(CANCELLED) {
            return None;
        }
        let named = std::str::from_utf8(frame.param(REQUEST_ID)?).ok()?;
        let key = key(headers, &RequestId::from_raw(named).ok()?)?;
        let id = self.0.lock().known.get(&key).cloned()?;
        Frame::parse(frame.with_param(REQUEST_ID, id.raw())).ok()
    }
}

fn key(headers: &HeaderMap, called: &RequestId) -> Option<Key> {
    let session = headers.get(headers::SESSION_ID).map(HeaderValue::as_bytes)?;
    Some((Digest::of(session), called.clone()))
}

impl OwnId {
    /// The id.
    pub const fn id(&self) -> &RequestId {
        &self.id
    }

    /// The call was answered: there is nothing left to cancel.
    pub fn answered(mut self) {
        if let Some(key) = self.key.take() {
            let mut kept = self.ids.0.lock();
            // Another call of the session may have the same id by now.
            if kept.known.get(&key) == Some(&self.id) {
                kept.known.remove(&key);
            }
        }
    }
}

impl Drop for OwnId {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let mut kept = self.ids.0.lock();
        kept.left.push_back(key);
        if kept.left.len() > LEFT_MAX
            && let Some(oldest) = kept.left.pop_front()
        {
            kept.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(session: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(headers::SESSION_ID, HeaderValue::from_static(session))])
    }

    fn cancel(id: &str) -> Frame {
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"r"}}}}"#
        );
        Frame::parse(text.into()).unwrap()
    }

    fn told(ids: &CallIds, session: &'static str, id: &str) -> Option<String> {
        let told = ids.told(&within(session), &cancel(id))?;
        Some(String::from_utf8(told.param(REQUEST_ID).unwrap().to_vec()).unwrap())
    }

    #[test]
    fn m6_a_call_has_an_id_of_its_own_kind_and_its_cancellation_finds_it() {
        let ids = Arc::new(CallIds::default());
        let (number, text) = (RequestId::integer(7), RequestId::string("seven").unwrap());
        let one = ids.own(&within("s"), &number, [0xff; 16]);
        let other = ids.own(&within("s"), &text, [0xab; 16]);
        assert_eq!(
            one.id().as_integer(),
            Some((1 << 30) | 0x3fff_ffff),
            "31 bits, and none that clients count to"
        );
        assert_eq!(ids.own(&within("s"), &RequestId::integer(8), [0; 16]).id().as_integer(), Some(1 << 30));
        assert_eq!(other.id().as_str(), Some("ab".repeat(16).as_str()));
        assert_eq!(told(&ids, "s", "7"), Some(one.id().raw().to_owned()));
        assert_eq!(told(&ids, "s", "\"seven\""), Some(other.id().raw().to_owned()));
        // Not of another session, of another request, or of what is no cancellation.
        assert_eq!(
            (told(&ids, "t", "7"), told(&ids, "s", "\"7\""), told(&ids, "s", "9")),
            (None, None, None)
        );
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"requestId":7}}"#;
        assert!(ids.told(&within("s"), &Frame::parse(progress.into()).unwrap()).is_none());
        // Without a session nobody can say whose call it is.
        let alone = ids.own(&HeaderMap::new(), &number, [1; 16]);
        assert!(alone.key.is_none() && ids.told(&HeaderMap::new(), &cancel("7")).is_none());

        one.answered();
        assert_eq!(told(&ids, "s", "7"), None, "what was answered is not cancelled");
        drop(other);
        assert!(told(&ids, "s", "\"seven\"").is_some(), "what was not is, also once its caller has hung up");
    }

    #[test]
    fn calls_that_nobody_waits_for_are_forgotten_the_oldest_first() {
        let ids = Arc::new(CallIds::default());
        for id in 0..=i64::try_from(LEFT_MAX).unwrap() {
            drop(ids.own(&within("s"), &RequestId::integer(id), [1; 16]));
        }
        let kept = ids.0.lock();
        assert_eq!((kept.known.len(), kept.left.len()), (LEFT_MAX, LEFT_MAX));
        drop(kept);
        assert!(told(&ids, "s", "0").is_none() && told(&ids, "s", "1").is_some());
    }
}
