use proptest::prelude::*;

use super::*;

fn split(chunks: &[&[u8]], event_bytes_max: usize) -> (Vec<Event>, Result<Bytes, EventTooLong>) {
    let mut splitter = Splitter::new(event_bytes_max);
    let mut events = Vec::new();
    for chunk in chunks {
        splitter.push(chunk);
        loop {
            match splitter.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Err(error)),
            }
        }
    }
    (events, Ok(splitter.finish()))
}

fn events(stream: &str) -> Vec<Event> {
    let (events, rest) = split(&[stream.as_bytes()], 1_000);
    assert_eq!(rest, Ok(Bytes::new()), "{stream:?}");
    events
}

fn data(event: &Event) -> Option<&str> {
    event.data().map(|data| std::str::from_utf8(data).unwrap())
}

#[test]
fn events_end_at_blank_lines_of_every_kind() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = format!(
            ": note{end}{end}event: message{end}id: 7{end}data: {{{end}data:}}{end}{end}{end}retry: 1{end}{end}"
        );
        let events = events(&stream);
        let raws: String = events.iter().map(|event| std::str::from_utf8(event.raw()).unwrap()).collect();
        assert_eq!(raws, stream);
        let read: Vec<Option<&str>> = events.iter().map(data).collect();
        assert_eq!(read, [None, Some("{\n}"), None, None], "{end:?}");
        assert_eq!((events[1].name(), events[1].id()), (Some(b"message".as_slice()), Some(b"7".as_slice())));
        assert_eq!(events[2].raw(), end);
    }
}

#[test]
fn fields_are_read_as_the_standard_says() {
    let one = |stream: &str| events(stream).remove(0);
    assert_eq!(data(&one("data\n\n")), Some(""));
    assert_eq!(data(&one("data:\n\n")), Some(""));
    assert_eq!(data(&one("data:  x\n\n")), Some(" x"));
    assert_eq!(data(&one("data:a:b\n\n")), Some("a:b"));
    assert_eq!(data(&one("datax: a\n data: b\n\n")), None);
    assert_eq!(data(&one("\u{feff}data: a\n\n")), Some("a"));
    assert_eq!(data(&one("data: a\ndata\n\n")), Some("a\n"));
    assert_eq!(one("id: a\0b\n\n").id(), None);
    assert_eq!(one("id\n\n").id(), Some(b"".as_slice()));
    assert_eq!(data(&events("data: a\n\n\u{feff}data: b\n\n")[1]), None);
}

#[test]
fn an_event_is_there_as_soon_as_its_blank_line_is() {
    let mut splitter = Splitter::new(100);
    for (chunk, complete) in [
        ("data: a\n", false),
        ("\n", true),
        ("data: b\r\n", false),
        ("\r", false),
        ("\n", true),
        ("data: c\r", false),
    ] {
        splitter.push(chunk.as_bytes());
        assert_eq!(splitter.next_event().unwrap().is_some(), complete, "{chunk:?}");
    }
    // Lines that end in a bare CR have no LF to wait for.
    splitter.push(b"\r");
    assert_eq!(splitter.next_event().unwrap().unwrap().raw(), "data: c\r\r");
    splitter.push(b"d");
    assert_eq!(splitter.next_event(), Ok(None));
    assert_eq!(splitter.finish(), "d");
}

#[test]
fn d1_an_event_past_the_bound_ends_the_stream() {
    let stream = b"data: 1\n\ndata: 12\n\ndata: 1\n\n";
    assert_eq!(split(&[stream], 10).0.len(), 3);
    let (before, error) = split(&[stream], 9);
    assert_eq!((before.len(), error), (1, Err(EventTooLong { event_bytes_max: 9 })));
    let (_, endless) = split(&[b"data: ", b"xxxxx"], 10);
    assert_eq!(endless, Err(EventTooLong { event_bytes_max: 10 }));
}

#[test]
fn a_payload_is_replaced_in_its_place() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = format!(": c{end}id: 7{end}data: {{\"a\":{end}data: 1}}{end}retry: 5{end}{end}");
        let edited = events(&stream)[0].with_data(b"{\"b\":2}");
        assert_eq!(edited, format!(": c{end}id: 7{end}data: {{\"b\":2}}{end}retry: 5{end}{end}"));
    }
    let lines = events("data: x\n\n")[0].with_data(b"{\n1}");
    assert_eq!(lines, "data: {\ndata: 1}\n\n");
    assert_eq!(events(": only\n\n")[0].with_data(b"1"), ": only\n\n");
}

#[test]
fn an_encoded_message_reads_back() {
    assert_eq!(encode(b"{}", None), "data: {}\n\n");
    let bytes = encode(b"{\n}\r\n", Some("e-1"));
    assert_eq!(bytes, "id: e-1\ndata: {\ndata: }\ndata: \n\n");
    assert_eq!(encode(b"1", Some("a\ndata: forged")), "data: 1\n\n");
}

fn cut<'a>(stream: &'a str, cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> =
        cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
    at.sort_unstable();
    at.windows(2).map(|pair| &stream.as_bytes()[pair[0]..pair[1]]).collect()
}

#[test]
fn only_digits_say_when_to_connect_again() {
    for (field, expected) in
        [("retry: 0", Some(0)), ("retry:1500", Some(1_500)), ("retry: -1", None), ("retry", None)]
    {
        let mut splitter = Splitter::new(100);
        splitter.push(format!("{field}\ndata: x\n\n").as_bytes());
        assert_eq!(splitter.next_event().unwrap().unwrap().retry_ms(), expected, "{field}");
    }
}

proptest! {
    #[test]
    fn chunks_do_not_matter_and_no_byte_is_lost(
        stream in "(\u{feff})?(data|data: |id: |:|x|\r|\n|\r\n|\n\n|\r\r|\u{feff}){0,40}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        event_bytes_max in 1..60_usize,
    ) {
        let whole = split(&[stream.as_bytes()], event_bytes_max);
        let bytes: Vec<&[u8]> = (0..stream.len()).map(|at| &stream.as_bytes()[at..=at]).collect();
        for chunks in [cut(&stream, &cuts), bytes] {
            prop_assert_eq!(&split(&chunks, event_bytes_max), &whole);
        }
        if let (events, Ok(rest)) = whole {
            let raws: Vec<u8> = events.iter().flat_map(|event| event.raw().to_vec()).chain(rest).collect();
            prop_assert_eq!(raws, stream.as_bytes());
        }
    }

    #[test]
    fn arbitrary_bytes_are_forwarded_unchanged(stream in prop::collection::vec(any::<u8>(), 0..200)) {
        let (events, rest) = split(&[&stream], 1_000);
        let raws: Vec<u8> = events.iter().flat_map(|event| event.raw().to_vec()).chain(rest.unwrap()).collect();
        prop_assert_eq!(raws, stream);
    }

    #[test]
    fn what_is_encoded_reads_back(payload in "[^\r]{0,40}", id in proptest::option::of("[a-z0-9-]{0,9}")) {
        let read = events(std::str::from_utf8(&encode(payload.as_bytes(), id.as_deref())).unwrap());
        prop_assert_eq!(read.len(), 1);
        prop_assert_eq!(data(&read[0]), Some(payload.as_str()));
        prop_assert_eq!(read[0].id(), id.as_deref().map(str::as_bytes));
        let again = read[0].with_data(b"[]");
        prop_assert_eq!(again, encode(b"[]", id.as_deref()));
    }
}

#[test]
fn an_id_is_replaced_in_its_place() {
    let event = |text: &str| {
        let mut splitter = Splitter::new(1_000);
        splitter.push(text.as_bytes());
        splitter.next_event().unwrap().unwrap()
    };
    let whole = event(": c\r\nid: 1\r\ndata: a\r\nretry: 5\r\ndata: b\r\n\r\n");
    assert_eq!(
        whole.rewritten(None, Some("x.1")),
        ": c\r\nid: x.1\r\ndata: a\r\nretry: 5\r\ndata: b\r\n\r\n"
    );
    assert_eq!(whole.rewritten(Some(b"n"), Some("2")), ": c\r\nid: 2\r\ndata: n\r\nretry: 5\r\n\r\n");
    assert_eq!(event("id\ndata:\n\n").rewritten(None, Some("2")), "id: 2\ndata:\n\n");
    assert_eq!(event("data: a\n\n").rewritten(None, Some("2")), "data: a\n\n", "none is added");
}
