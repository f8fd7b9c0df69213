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
