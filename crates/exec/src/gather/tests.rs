use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};

use super::*;
use crate::UpstreamError;

#[derive(Default)]
struct Turns(AtomicUsize);

impl Wake for Turns {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A reader that polls by hand, as hyper does: it writes what it has when nothing more is ready.
struct Reader {
    gathered: Gathered,
    turns: Arc<Turns>,
}

impl Reader {
    fn of(body: Body) -> Self {
        Self { gathered: Gathered::new(body), turns: Arc::default() }
    }

    /// What goes out with one write.
    fn write(&mut self) -> Vec<Bytes> {
        let waker = Waker::from(Arc::clone(&self.turns));
        let mut cx = Context::from_waker(&waker);
        let mut out = Vec::new();
        while let Poll::Ready(Some(chunk)) = self.gathered.poll_chunk(&mut cx) {
            out.push(chunk.unwrap().into_data().unwrap());
        }
        out
    }

    fn turns(&self) -> usize {
        self.turns.0.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_by_itself_is_never_kept() {
    let (sender, body) = Body::channel(1);
    let mut reader = Reader::of(body);
    for event in ["one", "two", "three"] {
        assert!(reader.write().is_empty());
        sender.send(event.into()).await.unwrap();
        assert_eq!(reader.write(), [event]);
        tokio::time::sleep(CLOSE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_come_one_behind_the_other_leave_together_and_in_order() {
    // A queue of one, as hyper's own: the next event comes when the one before it was taken.
    let (sender, body) = Body::channel(1);
    let mut reader = Reader::of(body);
    let events: Vec<Bytes> = (0..40).map(|n| Bytes::from(format!("data: {n}\n\n"))).collect();
    let mut writes: Vec<Vec<Bytes>> = Vec::new();
    for event in &events {
        sender.send(event.clone()).await.unwrap();
        writes.push(reader.write());
    }
    sender.finish();
    let turns = reader.turns();
    writes.push(reader.write());
    assert!(turns >= events.len() - 4, "each kept event asks for a turn of its own: {turns}");
    writes.retain(|write| !write.is_empty());
    let sizes: Vec<usize> = writes.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 16, 16, 7], "the first at once");
    assert_eq!(writes.concat(), events);
    assert!(reader.gathered.is_over());
}

#[tokio::test(start_paused = true)]
async fn when_nothing_comes_within_two_turns_what_was_kept_leaves() {
    let (sender, body) = Body::channel(4);
    let mut reader = Reader::of(body);
    sender.send("one".into()).await.unwrap();
    sender.send("two".into()).await.unwrap();
    assert_eq!(reader.write(), ["one"], "at once");
    assert!(reader.write().is_empty());
    assert_eq!(reader.turns(), 2, "the second asks for a turn, and for one more");
    assert_eq!(reader.write(), ["two"]);
    drop(sender);
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_behind_what_came_before() {
    let chunks = ["one", "two", "three"].map(|chunk| Ok(Frame::data(Bytes::from(chunk))));
    let broken = [Err(BodyError::Upstream(UpstreamError::TimedOut))];
    let body = Body::boxed(StreamBody::new(stream::iter(chunks.into_iter().chain(broken))));
    let mut gathered = Gathered::begin(body).await;
    let mut seen = Vec::new();
    let error = loop {
        match poll_fn(|cx| gathered.poll_chunk(cx)).await {
            Some(Ok(chunk)) => seen.push(chunk.into_data().unwrap()),
            Some(Err(error)) => break error,
            None => panic!("it ended as if it were whole"),
        }
    };
    assert_eq!(seen, ["one", "two", "three"]);
    assert!(matches!(error, BodyError::Upstream(UpstreamError::TimedOut)));
}

#[tokio::test]
async fn the_first_event_is_there_with_the_head_and_a_stream_without_one_is_not_waited_for() {
    let (sender, body) = Body::channel(1);
    sender.send("one".into()).await.unwrap();
    let gathered = Gathered::begin(body).await;
    assert_eq!(gathered.kept.len(), 1);
    let (_silent, body) = Body::channel(1);
    let gathered = Gathered::begin(body).await;
    assert!(gathered.kept.is_empty() && !gathered.is_over());

    let full = Body::from(Bytes::from("four"));
    let body = Body::Gathered(Box::new(Gathered::begin(full).await));
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(4), "what is kept counts");
    assert_eq!(body.collect().await.unwrap().to_bytes(), "four");
}
