//! The requests under way: which of them may still be answered, under which id the server knows them, and how to stop them.
//!
//! Whoever closes an entry answers it: so a request is answered once, or, once it is cancelled, not at all.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tollgate_mcp::{Frame, RequestId};

/// How many requests may be under way at once.
pub(super) const IN_FLIGHT_MAX: usize = 128;

/// The board. Its keys are the ids that the client gave.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<HashMap<RequestId, Entry>>);

#[derive(Debug)]
struct Entry {
    /// The id under which the server knows the request.
    wire: RequestId,
    stop: CancellationToken,
    /// Takes an answer that came on another stream than the request's own.
    elsewhere: Option<oneshot::Sender<Frame>>,
    /// It stays open until somebody ends it.
    listens: bool,
}

/// Where an answer arrives that came on another stream than the request's own.
#[derive(Debug)]
pub(super) struct Elsewhere(Option<oneshot::Receiver<Frame>>);

impl Elsewhere {
    /// Waits for it, for ever where none can come any more. Dropping the future loses nothing.
    pub(super) async fn answer(&mut self) -> Frame {
        if let Some(receiver) = &mut self.0
            && let Ok(answer) = receiver.await
        {
            return answer;
        }
        // A channel that has ended must not be asked again.
        self.0 = None;
        std::future::pending().await
    }
}

/// Why a request is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NotTaken {
    /// Its id is that of a request under way.
    #[error("a request with this id is under way")]
    IdInUse,
    /// Too many are under way.
    #[error("{IN_FLIGHT_MAX} requests are under way already; try again when one is answered")]
    TooMany,
}

impl Board {
    fn entries(&self) -> MutexGuard<'_, HashMap<RequestId, Entry>> {
        // Every change is a single insertion or removal: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request; what is returned is cancelled when it is to stop.
    ///
    /// # Errors
    /// [`NotTaken`].
    pub(super) fn open(&self, id: &RequestId, listens: bool) -> Result<CancellationToken, NotTaken> {
        let mut entries = self.entries();
        if entries.contains_key(id) {
            return Err(NotTaken::IdInUse);
        }
        if entries.len() >= IN_FLIGHT_MAX {
            return Err(NotTaken::TooMany);
        }
        let stop = CancellationToken::new();
        let entry = Entry { wire: id.clone(), stop: stop.clone(), elsewhere: None, listens };
        entries.insert(id.clone(), entry);
        Ok(stop)
    }

    /// Says under which id the request goes out now, and waits for an answer that comes elsewhere.
    pub(super) fn expect(&self, id: &RequestId, wire: &RequestId) -> Elsewhere {
        let (sender, receiver) = oneshot::channel();
        if let Some(entry) = self.entries().get_mut(id) {
            entry.wire = wire.clone();
            entry.elsewhere = Some(sender);
        }
        Elsewhere(Some(receiver))
    }

    /// Gives an answer to the request that waits for it; `false` where none does.
    pub(super) fn hand_over(&self, answer: Frame) -> bool {
        let Some(wire) = answer.id().cloned() else { return false };
        let waiting = self
            .entries()
            .values_mut()
            .find(|entry| entry.wire == wire)
            .and_then(|entry| entry.elsewhere.take());
        waiting.is_some_and(|waiting| waiting.send(answer).is_ok())
    }

    /// Under which id the server knows a request.
    pub(super) fn wire_id(&self, id: &RequestId) -> Option<RequestId> {
        self.entries().get(id).map(|entry| entry.wire.clone())
    }

    /// Ends an entry; `true` for whoever may answer it.
    pub(super) fn close(&self, id: &RequestId) -> bool {
        self.entries().remove(id).is_some()
    }

    /// Stops a request without an answer.
    pub(super) fn cancel(&self, id: &RequestId) {
        if let Some(entry) = self.entries().remove(id) {
            entry.stop.cancel();
        }
    }

    /// Stops what would stay open for ever.
    pub(super) fn cancel_listening(&self) {
        self.entries().retain(|_, entry| {
            if entry.listens {
                entry.stop.cancel();
            }
            !entry.listens
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: i64) -> RequestId {
        RequestId::integer(value)
    }

    fn answer(raw: &'static str) -> Frame {
        Frame::parse_upstream(raw.into()).unwrap()
    }

    #[test]
    fn a_request_is_closed_once() {
        let board = Board::default();
        board.open(&id(1), false).unwrap();
        assert!(board.close(&id(1)), "positive control");
        assert!(!board.close(&id(1)));
        let stop = board.open(&id(1), false).unwrap();
        board.cancel(&id(1));
        assert!(stop.is_cancelled() && !board.close(&id(1)), "what is cancelled is not answered");
    }

    #[test]
    fn an_id_in_use_and_one_request_too_many_are_not_taken() {
        let board = Board::default();
        for n in 0..i64::try_from(IN_FLIGHT_MAX).unwrap() {
            board.open(&id(n), false).unwrap();
        }
        assert_eq!(board.open(&id(0), false).unwrap_err(), NotTaken::IdInUse);
        assert_eq!(board.open(&id(-1), false).unwrap_err(), NotTaken::TooMany);
        assert!(board.close(&id(0)));
        board.open(&id(-1), false).expect("positive control: there is room again");
    }

    #[tokio::test]
    async fn an_answer_from_elsewhere_reaches_the_request_by_the_id_it_went_out_with() {
        let board = Board::default();
        board.open(&id(1), false).unwrap();
        let mut first = board.expect(&id(1), &id(1));
        let mut second = board.expect(&id(1), &id(900));
        assert!(!board.hand_over(answer(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)), "it goes by 900 now");
        let nothing =
            tokio::select! { biased; _ = first.answer() => false, () = std::future::ready(()) => true };
        assert!(nothing && first.0.is_none(), "its channel has ended, and it may be asked again");
        assert!(board.hand_over(answer(r#"{"jsonrpc":"2.0","id":900,"result":{}}"#)));
        assert_eq!(second.answer().await.id(), Some(&id(900)));
        assert!(!board.hand_over(answer(r#"{"jsonrpc":"2.0","id":900,"result":{}}"#)), "once");
    }

    #[test]
    fn what_listens_can_be_stopped_apart() {
        let board = Board::default();
        let (call, listen) = (board.open(&id(1), false).unwrap(), board.open(&id(2), true).unwrap());
        board.cancel_listening();
        assert!(listen.is_cancelled() && !call.is_cancelled());
        assert!(board.close(&id(1)) && !board.close(&id(2)));
    }
}
