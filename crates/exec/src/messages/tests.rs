use proptest::prelude::*;

use super::*;

async fn body_of(chunks: Vec<Bytes>) -> Body {
    let (sender, body) = Body::channel(chunks.len());
    for chunk in chunks {
        sender.send(chunk).await.unwrap();
    }
    sender.finish();
    body
}

async fn read(framing: Framing, chunks: Vec<Bytes>) -> Result<Vec<Piece>, UpstreamError> {
    let mut messages = Messages::new(body_of(chunks).await, framing, 1 << 20, 1 << 20);
    let mut pieces = Vec::new();
    while let Some(piece) = messages.next().await? {
        pieces.push(piece);
    }
    Ok(pieces)
}

fn said(pieces: &[Piece]) -> Vec<String> {
    pieces.iter().filter_map(Piece::message).map(|m| String::from_utf8(m.to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn one_value_is_one_message_however_it_is_spelled() {
    for text in ["{\"a\":1}", " \n{\n \"a\" : [ {}, \"}{\\\"\" ]\n}\n", "{\"a\":\"[\\\\\"}\r\n"] {
        let pieces = read(Framing::Json, vec![Bytes::from(text)]).await.unwrap();
        assert_eq!(said(&pieces), [text.trim()]);
    }
}

#[tokio::test]
async fn several_values_are_several_messages() {
    let pieces =
        read(Framing::Json, vec!["{\"a\":1}\n{\"b\":\n2}\r\n\n{\"c\":3} {\"d\":4}".into()]).await.unwrap();
    assert_eq!(said(&pieces), ["{\"a\":1}", "{\"b\":\n2}", "{\"c\":3}", "{\"d\":4}"]);
}

#[tokio::test]
async fn a_line_is_a_message_before_the_next_one_comes() {
    let (sender, body) = Body::channel(2);
    let mut messages = Messages::new(body, Framing::Json, 100, 100);
    sender.send("{\"a\":1}\n".into()).await.unwrap();
    assert_eq!(messages.next().await.unwrap().unwrap().raw(), "{\"a\":1}\n");
    sender.send("{\"b\":1}".into()).await.unwrap();
    sender.finish();
    assert_eq!(messages.next().await.unwrap().unwrap().raw(), "{\"b\":1}");
    assert!(messages.next().await.unwrap().is_none());
}

#[tokio::test]
async fn f46_a_body_that_ends_inside_a_value_is_no_answer() {
    for text in ["{\"a\":", "{\"a\":\"}", "{\"a\":1}\n{", "[]", "null", "}", "x"] {
        let outcome = read(Framing::Json, vec![text.into()]).await;
        assert!(matches!(outcome, Err(UpstreamError::NotAnAnswer(_))), "{text}: {outcome:?}");
    }
    assert!(read(Framing::Json, vec![" \r\n".into()]).await.unwrap().is_empty());
}

#[tokio::test]
async fn events_that_are_no_messages_say_nothing() {
    let text = ": ping\n\nid: 1\ndata:\n\nevent: ping\ndata: {\"x\":1}\n\nevent: message\ndata: {\"a\":1}\n\ndata: {\"b\":\ndata: 2}\n\n";
    let pieces = read(Framing::Sse, vec![text.into()]).await.unwrap();
    assert_eq!(pieces.len(), 5);
    assert_eq!(said(&pieces), ["{\"a\":1}", "{\"b\":\n2}"]);
    let raw: Vec<u8> = pieces.iter().flat_map(|piece| piece.raw().to_vec()).collect();
    assert_eq!(raw, text.as_bytes());
}

#[tokio::test]
async fn d1_f50_a_message_and_a_stream_have_limits() {
    for (framing, text) in [(Framing::Json, "{\"a\":1}\n{\"b\":1}\n"), (Framing::Sse, "data:1\n\ndata:2\n\n")]
    {
        for (message_bytes_max, stream_bytes_max, fits) in [(8, 16, true), (7, 16, false), (8, 15, false)] {
            let chunks = text.as_bytes().chunks(5).map(Bytes::copy_from_slice).collect();
            let mut messages =
                Messages::new(body_of(chunks).await, framing, message_bytes_max, stream_bytes_max);
            let outcome = loop {
                match messages.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            let refused = matches!(outcome, Err(UpstreamError::TooLarge(_)));
            assert_eq!(refused, !fits, "{framing:?} {message_bytes_max} {stream_bytes_max}: {outcome:?}");
        }
    }
}

#[test]
fn compressed_and_foreign_bodies_carry_no_messages() {
    let of = |content_type: &str, encoding: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
        }
        Framing::of(&headers)
    };
    assert_eq!(of("Application/JSON; charset=utf-8", None), Some(Framing::Json));
    assert_eq!(of("application/problem+json", None), Some(Framing::Json));
    assert_eq!(of("text/event-stream", Some("identity")), Some(Framing::Sse));
    assert_eq!(of("text/event-stream", Some("gzip")), None);
    assert_eq!(of("text/html", None), None);
    assert_eq!(Framing::of(&HeaderMap::new()), None);
}

proptest! {
    #[test]
    fn how_a_body_is_chunked_does_not_matter(
        values in prop::collection::vec("[a-z\\[\\]{}]{0,6}", 1..5),
        ends in prop::collection::vec("[ \t]?\r?\n?", 5),
        cuts in prop::collection::vec(1usize..9, 1..40),
    ) {
        let text: String = values.iter().zip(&ends).map(|(v, end)| format!("{{\"v\":[\"{v}\"]}}{end}")).collect();
        let mut chunks = Vec::new();
        let mut rest = Bytes::from(text.clone());
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            chunks.push(rest.split_to((*cuts.next().unwrap()).min(rest.len())));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let pieces = runtime.block_on(read(Framing::Json, chunks)).unwrap();
        prop_assert_eq!(pieces.len(), values.len());
        let raw: Vec<u8> = pieces.iter().flat_map(|piece| piece.raw().to_vec()).collect();
        prop_assert_eq!(raw, text.into_bytes());
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), sse: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let framing = if sse { Framing::Sse } else { Framing::Json };
        let outcome = runtime.block_on(read(framing, vec![Bytes::from(bytes)]));
        prop_assert!(sse || outcome.is_ok() || matches!(outcome, Err(UpstreamError::NotAnAnswer(_))));
    }
}
