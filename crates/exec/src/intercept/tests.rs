use http::HeaderValue;
use tokio::sync::mpsc;

use super::*;
use crate::peer::{Peer, chunk, full, post, text};
use tollgate_risk::room::Share;

const ANSWER: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"secret"}]}}"#;
const OTHER: &str = r#"{"jsonrpc":"2.0","id":8,"result":{"content":[{"type":"text","text":"secret"}]}}"#;
const PROGRESS: &str =
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#;
const REPLACED: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[],"_meta":{"receipt":1}}}"#;

fn later() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

async fn take(response: Response<Body>) -> Result<Intercepted, UpstreamError> {
    intercept(response, &RequestId::integer(7), Limits::default(), later(), &TaskTracker::new()).await
}

async fn whole(response: Response<Body>) -> Whole {
    match take(response).await.unwrap() {
        Intercepted::Whole(whole) => whole,
        other => panic!("{other:?}"),
    }
}

async fn streamed(response: Response<Body>) -> Streamed {
    match take(response).await.unwrap() {
        Intercepted::Streamed(streamed) => streamed,
        other => panic!("{other:?}"),
    }
}

/// A response whose body the test writes.
fn open(content_type: &'static str) -> (BodySender, Response<Body>) {
    let (sender, body) = Body::channel(8);
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
    (sender, response)
}

fn event(message: &str) -> Bytes {
    format!("event: message\ndata: {message}\n\n").into()
}

#[tokio::test]
async fn a_json_answer_is_withheld_and_replaced_as_json() {
    let mut response = full("application/json", ANSWER);
    response.headers_mut().insert("content-length", HeaderValue::from_static("77"));
    response.headers_mut().insert("content-digest", HeaderValue::from_static("sha-256=:x:"));
    response.headers_mut().insert("x-kept", HeaderValue::from_static("1"));
    let whole = whole(response).await;
    assert_eq!(whole.answer().bytes(), ANSWER);
    let response = whole.respond(REPLACED.into());
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["x-kept"], "1");
    assert!(
        !response.headers().contains_key("content-length")
            && !response.headers().contains_key("content-digest")
    );
    assert_eq!(text(response.into_body()).await.unwrap(), REPLACED);
}

#[tokio::test]
async fn an_event_that_is_the_answer_keeps_its_other_lines() {
    let stream = format!("id: 41\nevent: message\ndata: {ANSWER}\n\n");
    let whole = whole(full("text/event-stream", stream)).await;
    assert_eq!(whole.answer().bytes(), ANSWER);
    let response = whole.respond(REPLACED.into());
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let expected = format!("id: 41\nevent: message\ndata: {REPLACED}\n\n");
    assert_eq!(text(response.into_body()).await.unwrap(), expected);
}

#[tokio::test]
async fn what_comes_before_the_answer_flows_at_once_and_the_answer_waits() {
    let (upstream, response) = open("text/event-stream");
    upstream.send(": hello\n\n".into()).await.unwrap();
    let Streamed { mut response, answer, release } = streamed(response).await;
    assert_eq!(chunk(response.body_mut()).await.unwrap().unwrap(), ": hello\n\n");
    upstream.send(event(PROGRESS)).await.unwrap();
    assert_eq!(chunk(response.body_mut()).await.unwrap().unwrap(), event(PROGRESS));

    upstream.send(event(ANSWER)).await.unwrap();
    assert_eq!(answer.await.unwrap().unwrap().bytes(), ANSWER);
    release.send(REPLACED.into()).unwrap();
    assert_eq!(
        text(response.into_body()).await.unwrap(),
        String::from_utf8(event(REPLACED).to_vec()).unwrap()
    );
}

#[tokio::test]
async fn lines_of_json_stay_lines_of_json() {
    let (upstream, response) = open("application/json");
    upstream.send(format!("{PROGRESS}\n").into()).await.unwrap();
    let Streamed { mut response, answer, release } = streamed(response).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(chunk(response.body_mut()).await.unwrap().unwrap(), format!("{PROGRESS}\n"));
    upstream.send(ANSWER.into()).await.unwrap();
    upstream.finish();
    assert_eq!(answer.await.unwrap().unwrap().bytes(), ANSWER);
    release.send(REPLACED.into()).unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), format!("{REPLACED}\n"));
}

#[tokio::test]
async fn f46_no_part_of_a_json_answer_that_breaks_off_is_handed_over() {
    let (upstream, response) = open("application/json");
    upstream.send(ANSWER.split_at(40).0.to_owned().into()).await.unwrap();
    drop(upstream);
    assert!(matches!(take(response).await, Err(UpstreamError::Broken(_))));

    // A whole value whose transfer is not: the chunked body lacks its end.
    let (upstream, response) = open("application/json");
    upstream.send(ANSWER.into()).await.unwrap();
    drop(upstream);
    assert!(matches!(take(response).await, Err(UpstreamError::Broken(_))));

    let (upstream, response) = open("application/json");
    upstream.send(ANSWER.into()).await.unwrap();
    upstream.finish();
    assert_eq!(whole(response).await.answer().bytes(), ANSWER);
}

#[tokio::test]
async fn f48_a_stream_that_breaks_after_progress_ends_with_what_is_released() {
    for cleanly in [false, true] {
        let (upstream, response) = open("text/event-stream");
        upstream.send(event(PROGRESS)).await.unwrap();
        let Streamed { response, answer, release } = streamed(response).await;
        // The first half of the answer must not reach the client.
        upstream.send(event(ANSWER).slice(..60)).await.unwrap();
        if cleanly {
            upstream.finish()
        } else {
            drop(upstream)
        }
        let error = answer.await.unwrap().unwrap_err();
        assert_eq!(matches!(error, UpstreamError::NotAnAnswer(_)), cleanly, "{error:?}");
        release.send(REPLACED.into()).unwrap();
        let body = text(response.into_body()).await.unwrap();
        assert!(body.starts_with(std::str::from_utf8(&event(PROGRESS)).unwrap()));
        assert!(body.ends_with(&format!("data: {REPLACED}\n\n")), "{body}");
        assert!(!body.contains("secret"));
    }
}

#[tokio::test]
async fn an_answer_that_is_never_released_never_reaches_the_client() {
    let (upstream, response) = open("text/event-stream");
    upstream.send(event(PROGRESS)).await.unwrap();
    let Streamed { mut response, answer, release } = streamed(response).await;
    upstream.send(event(ANSWER)).await.unwrap();
    assert_eq!(answer.await.unwrap().unwrap().bytes(), ANSWER);
    drop(release);
    assert_eq!(chunk(response.body_mut()).await.unwrap().unwrap(), event(PROGRESS));
    assert!(matches!(chunk(response.body_mut()).await, Some(Err(BodyError::Upstream(_)))));
}

#[tokio::test(start_paused = true)]
async fn f45_the_deadline_ends_a_call_before_and_after_the_first_message() {
    let soon = || Instant::now() + Duration::from_secs(5);
    let (id, limits, tasks) = (RequestId::integer(7), Limits::default(), TaskTracker::new());
    for framing in ["application/json", "text/event-stream"] {
        let (upstream, response) = open(framing);
        let outcome = intercept(response, &id, limits, soon(), &tasks).await;
        assert!(matches!(outcome, Err(UpstreamError::TimedOut)));
        upstream.gone().await;
    }
    let (upstream, response) = open("text/event-stream");
    upstream.send(event(PROGRESS)).await.unwrap();
    let Intercepted::Streamed(streamed) = intercept(response, &id, limits, soon(), &tasks).await.unwrap()
    else {
        panic!("not streamed");
    };
    assert!(matches!(streamed.answer.await.unwrap(), Err(UpstreamError::TimedOut)));
    upstream.gone().await;
}

#[tokio::test(start_paused = true)]
async fn f47_a_stream_that_drips_for_ever_ends_at_its_deadline_and_one_that_drips_an_answer_does_not() {
    const DRIP: Duration = Duration::from_secs(1);
    let answer = [event(PROGRESS), event(ANSWER)].concat();
    let (id, limits) = (RequestId::integer(7), Limits::default());
    let all = answer.len() as u64;
    for seconds in [all * 3 / 4, all * 2] {
        let (upstream, response) = open("text/event-stream");
        let text = answer.clone();
        let dripping = TaskTracker::new().spawn(async move {
            for byte in text.into_iter().chain(std::iter::repeat(b':')) {
                tokio::time::sleep(DRIP).await;
                if upstream.send(Bytes::from(vec![byte])).await.is_err() {
                    break;
                }
            }
        });
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let outcome = intercept(response, &id, limits, deadline, &TaskTracker::new()).await;
        let ends_in_time = seconds > all;
        let Streamed { response, answer: got, release } = match outcome {
            Ok(Intercepted::Streamed(streamed)) => streamed,
            other => panic!("the first message comes in time: {other:?}"),
        };
        match got.await.unwrap() {
            Ok(got) => assert!(ends_in_time && got.bytes() == ANSWER, "control"),
            Err(error) => assert!(!ends_in_time && matches!(error, UpstreamError::TimedOut), "{error:?}"),
        }
        drop((response, release));
        // Whoever drips is told that nobody reads any more.
        dripping.await.unwrap();
    }
}

#[tokio::test]
async fn f49_a_client_that_goes_away_ends_the_exchange_with_the_upstream() {
    let (noticed, mut notices) = mpsc::channel(1);
    let tasks = TaskTracker::new();
    let peer = Peer::http(move |_| {
        let (noticed, tasks) = (noticed.clone(), tasks.clone());
        async move {
            let (upstream, response) = open("text/event-stream");
            upstream.send(event(PROGRESS)).await.unwrap();
            tasks.spawn(async move {
                upstream.gone().await;
                noticed.send(()).await.unwrap();
            });
            response
        }
    })
    .await;
    let upstream = peer.upstream();
    let Streamed { mut response, answer, release: _release } =
        streamed(upstream.forward(post("{}")).await.unwrap()).await;
    assert_eq!(chunk(response.body_mut()).await.unwrap().unwrap(), event(PROGRESS));
    drop(response);
    assert!(matches!(answer.await.unwrap(), Err(UpstreamError::Abandoned)));
    notices.recv().await.unwrap();
}

#[tokio::test]
async fn f50_d1_an_answer_over_the_limit_is_refused_in_every_framing() {
    let id = RequestId::integer(7);
    for (content_type, body) in
        [("application/json", Bytes::from(ANSWER)), ("text/event-stream", event(ANSWER))]
    {
        for (excess, fits) in [(0, true), (1, false)] {
            let limits = Limits { message_bytes_max: body.len() - excess, ..Limits::default() };
            let response = full(content_type, body.clone());
            let outcome = intercept(response, &id, limits, later(), &TaskTracker::new()).await;
            match outcome {
                Ok(Intercepted::Whole(_)) => assert!(fits),
                Err(UpstreamError::TooLarge(_)) => assert!(!fits),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn f50_many_small_messages_meet_the_limit_of_the_stream() {
    let limits = Limits { stream_bytes_max: 3 * event(PROGRESS).len(), ..Limits::default() };
    let (upstream, response) = open("text/event-stream");
    for _ in 0..4 {
        upstream.send(event(PROGRESS)).await.unwrap();
    }
    let id = RequestId::integer(7);
    let outcome = intercept(response, &id, limits, later(), &TaskTracker::new()).await.unwrap();
    let Intercepted::Streamed(streamed) = outcome else { panic!("{outcome:?}") };
    assert!(matches!(streamed.answer.await.unwrap(), Err(UpstreamError::TooLarge(_))));
    upstream.gone().await;
}

#[tokio::test]
async fn f51_what_is_not_the_one_answer_is_refused() {
    let id_as_text = ANSWER.replace("7", "\"7\"");
    let twice = format!("{ANSWER}\n{ANSWER}");
    let after = format!("{ANSWER}\n{PROGRESS}");
    let doubled = ANSWER.replace("\"id\":7", "\"id\":7,\"id\":8");
    let batch = format!("[{ANSWER}]");
    for body in [OTHER, &id_as_text, &twice, &after, &doubled, &batch, "{\"a\":1}", "", "null", PROGRESS] {
        let outcome = match take(full("application/json", body.to_owned())).await {
            // A lone notification is a stream that ends without an answer.
            Ok(Intercepted::Streamed(streamed)) => streamed.answer.await.unwrap().map(drop),
            Ok(other) => panic!("{body}: {other:?}"),
            Err(error) => Err(error),
        };
        assert!(matches!(outcome, Err(UpstreamError::NotAnAnswer(_))), "{body}: {outcome:?}");
    }
    for body in [event(OTHER), event("{"), event(&doubled), Bytes::new()] {
        let outcome = take(full("text/event-stream", body)).await;
        assert!(matches!(outcome, Err(UpstreamError::NotAnAnswer(_))), "{outcome:?}");
    }
    let page = take(full("text/html", ANSWER)).await;
    assert!(matches!(page, Err(UpstreamError::NotAnAnswer(_))), "{page:?}");
    let mut compressed = full("application/json", ANSWER);
    compressed.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
    assert!(matches!(take(compressed).await, Err(UpstreamError::NotAnAnswer(_))));
    assert_eq!(whole(full("application/json", ANSWER)).await.answer().bytes(), ANSWER);
}

#[tokio::test]
async fn f51_nothing_follows_the_answer_on_a_stream() {
    let (upstream, response) = open("text/event-stream");
    upstream.send(event(PROGRESS)).await.unwrap();
    upstream.send(event(ANSWER)).await.unwrap();
    upstream.send(event(ANSWER)).await.unwrap();
    upstream.send(event(PROGRESS)).await.unwrap();
    upstream.finish();
    let Streamed { response, answer, release } = streamed(response).await;
    assert_eq!(answer.await.unwrap().unwrap().bytes(), ANSWER);
    release.send(REPLACED.into()).unwrap();
    let expected = [event(PROGRESS), event(REPLACED)].concat();
    assert_eq!(text(response.into_body()).await.unwrap().into_bytes(), expected);
}

#[tokio::test]
async fn an_http_refusal_goes_to_the_client_unless_it_is_an_answer() {
    let refusal = |status: u16, body: &'static str| {
        let mut response = full("application/json", body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response
    };
    let error = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no"}}"#;
    let whole = whole(refusal(400, error)).await;
    assert_eq!((whole.status().as_u16(), whole.answer().bytes().as_ref()), (400, error.as_bytes()));
    for body in ["Session not found", "", OTHER] {
        let Intercepted::Refused(response) = take(refusal(404, body)).await.unwrap() else {
            panic!("{body}")
        };
        assert_eq!(response.status(), 404);
        assert_eq!(text(response.into_body()).await.unwrap(), body);
    }
}

#[tokio::test]
async fn a_connection_whose_stream_was_answered_serves_the_next_call() {
    let peer = Peer::http(|_| async { full("text/event-stream", event(ANSWER)) }).await;
    let upstream = peer.upstream();
    let tasks = TaskTracker::new();
    for _ in 0..3 {
        let response = upstream.forward(post("{}")).await.unwrap();
        let id = RequestId::integer(7);
        let outcome = intercept(response, &id, Limits::default(), later(), &tasks).await.unwrap();
        assert!(matches!(outcome, Intercepted::Whole(_)));
        tasks.close();
        tasks.wait().await;
        tasks.reopen();
        // The pool takes the connection back in a task of its own.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(peer.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_under_another_event_name_does_not_pass() {
    let hidden = format!("event: other\ndata: {ANSWER}\n\n");
    let refused = take(full("text/event-stream", hidden.clone())).await;
    assert!(matches!(refused, Err(UpstreamError::NotAnAnswer(_))), "{refused:?}");

    let ping = "event: ping\ndata: {\"at\":1}\n\n";
    let (upstream, response) = open("text/event-stream");
    upstream.send(ping.into()).await.unwrap();
    let Streamed { mut response, answer, release } = streamed(response).await;
    assert_eq!(chunk(response.body_mut()).await.unwrap().unwrap(), ping, "control: other events pass");
    upstream.send(hidden.into()).await.unwrap();
    assert!(matches!(answer.await.unwrap(), Err(UpstreamError::NotAnAnswer(_))));
    drop(release);
    assert!(text(response.into_body()).await.is_err());
}

#[tokio::test]
async fn a_resumed_stream_passes_until_an_answer_comes() {
    for hidden in [event(ANSWER), event(OTHER), format!("event: other\ndata: {ANSWER}\n\n").into()] {
        let (upstream, response) = open("text/event-stream");
        let mut passing = without_answers(response, Limits::default());
        for passes in [
            event(PROGRESS),
            ": hello\n\n".into(),
            "id: 4\ndata:\n\n".into(),
            "event: ping\ndata: 1\n\n".into(),
        ] {
            upstream.send(Bytes::clone(&passes)).await.unwrap();
            assert_eq!(chunk(passing.body_mut()).await.unwrap().unwrap(), passes);
        }
        upstream.send(hidden).await.unwrap();
        assert!(chunk(passing.body_mut()).await.unwrap().is_err(), "cut off");
    }
    let (upstream, response) = open("text/event-stream");
    let passing = without_answers(response, Limits::default());
    upstream.send(event(PROGRESS)).await.unwrap();
    upstream.finish();
    assert_eq!(
        text(passing.into_body()).await.unwrap(),
        String::from_utf8(event(PROGRESS).to_vec()).unwrap()
    );
}

#[tokio::test]
async fn t3_a_resumed_stream_passes_every_answer_but_a_list_of_tools() {
    let list = r#"{"jsonrpc":"2.0","id":9,"result":{"tools":[]}}"#;
    let twice = r#"{"jsonrpc":"2.0","id":9,"result":{"tools":[]},"id":9}"#;
    for hidden in [event(list), event(twice), format!("event: other\ndata: {list}\n\n").into()] {
        let (upstream, response) = open("text/event-stream");
        let mut passing = without_tool_lists(response, Limits::default());
        for passes in [event(PROGRESS), event(ANSWER), "event: ping\ndata: 1\n\n".into()] {
            upstream.send(Bytes::clone(&passes)).await.unwrap();
            assert_eq!(chunk(passing.body_mut()).await.unwrap().unwrap(), passes);
        }
        upstream.send(hidden).await.unwrap();
        assert!(chunk(passing.body_mut()).await.unwrap().is_err(), "cut off");
    }
}

#[tokio::test]
async fn what_is_no_stream_of_events_passes_and_what_cannot_be_read_does_not() {
    let mut refused = full("text/plain", "Method not allowed");
    *refused.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let refused = without_answers(refused, Limits::default());
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(text(refused.into_body()).await.unwrap(), "Method not allowed");
    let mut compressed = full("text/event-stream", event(ANSWER));
    compressed.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
    assert!(text(without_answers(compressed, Limits::default()).into_body()).await.is_err());
}

#[tokio::test]
async fn f9_an_answer_holds_its_room_until_it_has_left_and_one_that_finds_none_is_refused() {
    let (room, id, tasks) = (Room::new(100_000), RequestId::integer(7), TaskTracker::new());
    let limits = Limits { room: Some(&room), ..Limits::default() };
    let large = ANSWER.replace("secret", &"x".repeat(60_000));
    let said = [
        ("application/json", Bytes::from(large.clone()), Bytes::from(ANSWER)),
        ("text/event-stream", event(&large), event(ANSWER)),
    ];
    for (content_type, large, small) in said {
        let asked = async |body: &Bytes| {
            intercept(full(content_type, body.clone()), &id, limits, later(), &tasks).await
        };
        let Ok(Intercepted::Whole(first)) = asked(&large).await else { panic!("there is room for one") };
        assert!(room.taken() >= large.len(), "{}", room.taken());
        let refused = asked(&large).await;
        assert!(matches!(refused, Err(UpstreamError::NoRoom)), "{refused:?}");
        assert!(matches!(asked(&small).await, Ok(Intercepted::Whole(_))), "control: what is small passes");
        let response = first.respond(Bytes::from(REPLACED));
        assert!(room.taken() >= large.len(), "it has not left yet");
        text(response.into_body()).await.unwrap();
        assert_eq!(room.taken(), 0, "it has left");
        assert!(matches!(asked(&large).await, Ok(Intercepted::Whole(_))), "control: there is room now");
        assert_eq!(room.taken(), 0);
    }
    // Refusals of a server are held as well.
    let not_found = |bytes: usize| {
        let mut response = full("text/plain", "x".repeat(bytes));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    };
    let first = intercept(not_found(60_000), &id, limits, later(), &tasks).await.unwrap();
    let refused = intercept(not_found(60_000), &id, limits, later(), &tasks).await;
    assert!(matches!(refused, Err(UpstreamError::NoRoom)), "{refused:?}");
    drop(first);
    assert_eq!(room.taken(), 0);
}

#[tokio::test]
async fn f9_f59_what_streams_takes_room_while_it_waits_for_its_reader_and_the_answer_until_it_is_released() {
    let (room, id, tasks) = (Room::new(200_000), RequestId::integer(7), TaskTracker::new());
    let limits = Limits { room: Some(&room), ..Limits::default() };
    let large = |message: &str, field: &str| {
        event(&message.replace(field, &format!("{field}{}", "x".repeat(60_000))))
    };
    let (upstream, response) = open("text/event-stream");
    upstream.send(event(PROGRESS)).await.unwrap();
    let Ok(Intercepted::Streamed(streamed)) = intercept(response, &id, limits, later(), &tasks).await else {
        panic!("something comes before the answer")
    };
    let Streamed { response, answer, release } = streamed;
    let mut body = response.into_body();
    let progress = large(PROGRESS, "notifications/progress");
    upstream.send(progress.clone()).await.unwrap();
    upstream.send(large(ANSWER, "secret")).await.unwrap();
    upstream.finish();
    let answer = answer.await.unwrap().unwrap();
    assert!(room.taken() > 120_000, "both wait: {}", room.taken());
    drop(answer);
    release.send(Bytes::from(REPLACED)).unwrap();
    assert_eq!(chunk(&mut body).await.unwrap().unwrap(), event(PROGRESS));
    assert_eq!(chunk(&mut body).await.unwrap().unwrap(), progress);
    assert_eq!(text(body).await.unwrap(), event(REPLACED));
    tasks.close();
    tasks.wait().await;
    assert_eq!(room.taken(), 0);

    // Where there is none, the call fails as one whose answer is too long does, and its stream goes on to say so.
    let full = Share::promised(&room, 200_000);
    let (upstream, response) = open("text/event-stream");
    upstream.send(event(PROGRESS)).await.unwrap();
    let Ok(Intercepted::Streamed(streamed)) = intercept(response, &id, limits, later(), &tasks).await else {
        panic!("something comes before the answer")
    };
    upstream.send(large(ANSWER, "secret")).await.unwrap();
    assert!(matches!(streamed.answer.await.unwrap(), Err(UpstreamError::NoRoom)));
    streamed.release.send(Bytes::from(REPLACED)).unwrap();
    let told = text(streamed.response.into_body()).await.unwrap();
    assert!(told.contains(REPLACED) && !told.contains("xxx"), "{told}");
    drop(full);
    assert_eq!(room.taken(), 0);
}
