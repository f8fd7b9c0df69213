use super::*;
use crate::peer::{chunk, text};

#[tokio::test]
async fn a_channel_ends_as_its_sender_says() {
    let (sender, body) = Body::channel(4);
    sender.send("ab".into()).await.unwrap();
    sender.send("c".into()).await.unwrap();
    sender.finish();
    assert_eq!(text(body).await.unwrap(), "abc");

    let (sender, mut body) = Body::channel(4);
    sender.send("ab".into()).await.unwrap();
    sender.fail(UpstreamError::TimedOut);
    assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "ab");
    assert!(matches!(chunk(&mut body).await, Some(Err(BodyError::Upstream(UpstreamError::TimedOut)))));
    assert!(chunk(&mut body).await.is_none());
}

#[tokio::test]
async fn f46_a_sender_that_vanishes_leaves_a_broken_body() {
    let (sender, mut body) = Body::channel(4);
    sender.send("ab".into()).await.unwrap();
    drop(sender);
    assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "ab");
    assert!(matches!(chunk(&mut body).await, Some(Err(BodyError::Other(_)))));
}

#[tokio::test]
async fn a_sender_learns_that_nobody_reads() {
    let (sender, body) = Body::channel(1);
    assert_eq!(sender.send("a".into()).await, Ok(()));
    drop(body);
    sender.gone().await;
    assert_eq!(sender.send("b".into()).await, Err(Gone));
}

#[tokio::test]
async fn d1_a_body_is_collected_up_to_its_limit() {
    for chunks in [vec!["abcde"], vec!["ab", "", "cde"], vec!["", "a", "b", "cde"]] {
        let filled = |chunks: Vec<&'static str>| async move {
            let (sender, body) = Body::channel(8);
            for chunk in chunks {
                sender.send(chunk.into()).await.unwrap();
            }
            sender.finish();
            body
        };
        assert_eq!(filled(chunks.clone()).await.collect_within(5).await.unwrap(), "abcde");
        let error = filled(chunks).await.collect_within(4).await.unwrap_err();
        assert!(matches!(error, UpstreamError::TooLarge(4)));
    }
    assert_eq!(Body::Empty.collect_within(0).await.unwrap(), "");
    assert_eq!(Body::from(Bytes::from_static(b"x")).collect_within(1).await.unwrap(), "x");
}

#[tokio::test]
async fn f59_a_reader_who_stops_holds_one_large_chunk_and_not_a_queue_of_them() {
    let (sender, mut body) = Body::channel(16);
    let large = || Bytes::from(vec![7; LARGE_BYTES_MIN + 1]);
    sender.send(large()).await.unwrap();
    {
        let mut second = std::pin::pin!(sender.send(large()));
        assert!(is_pending(second.as_mut()).await, "it waits until the first was taken");
        assert_eq!(chunk(&mut body).await.unwrap().unwrap().len(), LARGE_BYTES_MIN + 1);
        second.await.unwrap();
    }
    // Control: small ones queue up, behind a large one as well.
    for _ in 0..15 {
        sender.send("small".into()).await.unwrap();
    }
    assert!(is_pending(std::pin::pin!(sender.send("one too many".into()))).await);
    let mut sizes = Vec::new();
    for _ in 0..16 {
        sizes.push(chunk(&mut body).await.unwrap().unwrap().len());
    }
    assert_eq!(sizes, [[LARGE_BYTES_MIN + 1].as_slice(), &[5; 15]].concat());
    drop(body);
    assert_eq!(sender.send(large()).await, Err(Gone));
}

async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[tokio::test]
async fn f9_a_whole_body_takes_room_as_it_grows_and_gives_it_back() {
    let room = Room::new(50_000);
    let body = async || {
        let (sender, body) = Body::channel(4);
        for _ in 0..3 {
            sender.send(Bytes::from(vec![7; 10_000])).await.unwrap();
        }
        sender.finish();
        body
    };
    let first = body().await.collect_in(Some(&room), 100_000).await.unwrap();
    assert_eq!((first.len(), room.taken()), (30_000, 30_000));
    let second = body().await.collect_in(Some(&room), 100_000).await;
    assert!(matches!(second, Err(UpstreamError::NoRoom)), "{second:?}");
    let announced = Body::from(Bytes::from(vec![7; 20_001])).collect_in(Some(&room), 100_000).await;
    assert!(matches!(announced, Err(UpstreamError::NoRoom)), "{announced:?}");
    assert_eq!((room.taken(), room.refused()), (30_000, 2));
    drop(first);
    assert_eq!(room.taken(), 0);
    assert_eq!(body().await.collect_in(Some(&room), 100_000).await.unwrap().len(), 30_000, "control");
}
