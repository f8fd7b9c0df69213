use super::*;

fn read(chunks: &[&'static str]) -> Result<Vec<Bytes>, ValuesFault> {
    let mut splitter = Splitter::default();
    let mut values = Vec::new();
    for chunk in chunks {
        splitter.push(Bytes::from_static(chunk.as_bytes()));
        while let Some(value) = splitter.next_value(false)? {
            values.push(value);
        }
    }
    while let Some(value) = splitter.next_value(true)? {
        values.push(value);
    }
    Ok(values)
}

#[test]
fn values_are_cut_where_they_end_and_keep_their_bytes() {
    let text = "{\"a\":\"}\\\"\"}\n{\n \"b\": [{}]\n} {\"c\":1}\r\n";
    let whole = read(&[text]).unwrap();
    assert_eq!(whole, ["{\"a\":\"}\\\"\"}\n", "{\n \"b\": [{}]\n} ", "{\"c\":1}\r\n"]);
    for at in 0..text.len() {
        let (head, tail) = text.split_at(at);
        assert_eq!(read(&[head, tail]).unwrap(), whole, "wherever the stream was cut before: {at}");
    }
}

#[test]
fn a_value_that_is_cut_off_is_told_from_something_else() {
    assert_eq!(read(&["{\"a\":"]), Err(ValuesFault::EndsInside));
    assert_eq!(read(&["<html>"]), Err(ValuesFault::NoMessage));
    assert_eq!(read(&[" \n"]), Ok(Vec::new()));
}
