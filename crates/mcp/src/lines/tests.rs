use proptest::prelude::*;

use super::*;

/// Every outcome of a stream that arrives in these chunks, then what is left.
fn split(chunks: &[&[u8]], line_bytes_max: usize) -> (Vec<Result<Bytes, LineTooLong>>, Bytes) {
    let mut splitter = Splitter::new(line_bytes_max);
    let mut lines = Vec::new();
    for chunk in chunks {
        splitter.push(chunk);
        while let Some(line) = splitter.next_line().transpose() {
            lines.push(line);
        }
    }
    (lines, splitter.finish())
}

#[test]
fn messages_come_out_line_by_line() {
    let (lines, rest) = split(&[b"{\"a\":1}\n\r\n  \n{\"b\"", b":2}\r", b"\n{\"c"], 100);
    assert_eq!(lines, [Ok(Bytes::from_static(b"{\"a\":1}")), Ok(Bytes::from_static(b"{\"b\":2}"))]);
    assert_eq!(rest, "{\"c");
}

#[test]
fn d1_a_line_past_the_bound_is_dropped_and_the_next_one_is_read() {
    let too_long = Err(LineTooLong { line_bytes_max: 4 });
    let (lines, rest) =
        split(&[b"1234\n12345\n1\n", b"xxxxxxxxx", b"xxxxxxxxx", b"xx\n2\r\n1234\r", b"\n12"], 4);
    let ok = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
    assert_eq!(lines, [ok("1234"), too_long.clone(), ok("1"), too_long, ok("2"), ok("1234")]);
    assert_eq!(rest, "12");
}

#[test]
fn a_message_that_was_printed_over_lines_becomes_one_line() {
    let line = encode(b"{\n  \"a\\n\": 1\r\n}");
    assert_eq!(line, "{   \"a\\n\": 1  }\n");
}

proptest! {
    #[test]
    fn chunks_do_not_matter(stream in "[a\r\n]{0,60}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6), line_bytes_max in 0..6_usize) {
        let whole = split(&[stream.as_bytes()], line_bytes_max);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
        at.sort_unstable();
        let chunks: Vec<&[u8]> = at.windows(2).map(|pair| &stream.as_bytes()[pair[0]..pair[1]]).collect();
        let (lines, rest) = split(&chunks, line_bytes_max);
        prop_assert_eq!(lines, whole.0);
        if rest.len() <= line_bytes_max {
            prop_assert_eq!(rest.trim_ascii(), whole.1.trim_ascii());
        }
    }

    #[test]
    fn encoding_then_splitting_gives_the_message_back(value in crate::testing::object_text()) {
        let line = encode(value.as_bytes());
        let (lines, rest) = split(&[&line], line.len());
        let [Ok(only)] = lines.as_slice() else { return Err(TestCaseError::fail("not one line")) };
        prop_assert_eq!(crate::canonical::canonical(only), crate::canonical::canonical(value.as_bytes()));
        prop_assert!(rest.is_empty());
    }
}
