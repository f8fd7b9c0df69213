use serde_json::json;

use super::table::Sheet;
use super::*;

#[test]
fn a_moment_is_the_beginning_of_its_text_and_nothing_else() {
    for good in ["2026-11-27", "2026-11-27T10", "2026-11-27T10:30", "2026-11-27T10:30:00.000Z"] {
        assert!(good.parse::<Since>().is_ok(), "{good}");
    }
    for bad in
        ["", "2026", "2026-11", "27.11.2026", "2026-11-27 10:30", "2026-11-27T10:30:00.000Z0", "2026-11-2x"]
    {
        assert!(bad.parse::<Since>().is_err(), "{bad}");
    }
    let choice = Choice {
        assets: Assets::new([]),
        asset: None,
        since: Some("2026-11-21T00:01".parse().unwrap()),
        json: false,
    };
    assert!(choice.is_late_enough(UnixMillis::new(1_795_219_260_123)), "2026-11-21T00:01:00.123Z");
    assert!(!choice.is_late_enough(UnixMillis::new(1_795_219_259_999)));
}

#[test]
fn csv_is_quoted_and_no_cell_is_a_formula() {
    let mut written = Vec::new();
    let mut sheet = Sheet::on(&mut written, Format::Csv, &["a", "b"]);
    sheet.row(vec![("a", json!("plain")), ("b", json!("say \"x\", then\nstop"))]);
    sheet.row(vec![("a", json!("=1+1")), ("b", json!(null))]);
    sheet.row(vec![("a", json!({ "k": 1 })), ("b", json!(7))]);
    drop(sheet);
    let expected = "a,b\r\nplain,\"say \"\"x\"\", then\nstop\"\r\n'=1+1,\r\n\"{\"\"k\"\":1}\",7\r\n";
    assert_eq!(String::from_utf8(written).unwrap(), expected);
}

#[test]
fn jsonl_is_one_object_a_line() {
    let mut written = Vec::new();
    let mut sheet = Sheet::on(&mut written, Format::Jsonl, &["a"]);
    sheet.row(vec![("a", json!("line\nbreak"))]);
    sheet.row(vec![("a", json!(null))]);
    drop(sheet);
    assert_eq!(String::from_utf8(written).unwrap(), "{\"a\":\"line\\nbreak\"}\n{\"a\":null}\n");
}
