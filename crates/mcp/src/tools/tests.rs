use super::*;

const RESULT: &str = r#"{"tools":[
  {"name":"we\u0061ther","description":"Says.","inputSchema":{ "type":"object" },"execution":{"taskSupport":"optional"},"x-price":{"a":1.10}},
  {"inputSchema":{},"name":"plain","_meta":{"vendor/k":1e3,"pay/price":"forged"}},
  {"name":"none","_meta":null,"inputSchema":{}}
],"nextCursor":"","ttlMs":1000}"#;

fn response(result: &str) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#).into()
}

#[test]
fn definitions_are_read_with_their_raw_bytes() {
    let page = parse(&Bytes::from(RESULT)).unwrap();
    let names: Vec<&str> = page.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["weather", "plain", "none"]);
    assert_eq!(page.tools[0].description.as_deref(), Some("Says."));
    assert_eq!(page.tools[0].input_schema, r#"{ "type":"object" }"#);
    assert!(page.tools[0].raw.ends_with(br#""x-price":{"a":1.10}}"#));
    assert_eq!((page.tools[1].description.as_ref(), page.malformed.len()), (None, 0));
}

#[test]
fn an_empty_cursor_is_a_cursor_and_only_a_missing_one_ends_the_list() {
    let cursor = |text: &'static str| parse(&Bytes::from(text)).map(|page| page.next_cursor);
    assert_eq!(parse(&Bytes::from(RESULT)).unwrap().next_cursor.as_deref(), Some(""));
    assert_eq!(cursor(r#"{"tools":[],"nextCursor":"a\/b"}"#), Ok(Some("a/b".to_owned())));
    assert_eq!(cursor(r#"{"tools":[]}"#), Ok(None));
    assert_eq!(cursor(r#"{"tools":[],"nextCursor":1}"#), Err(ToolsError::Cursor));
}

#[test]
fn one_malformed_tool_does_not_hide_the_others() {
    let page = parse(&Bytes::from(
        r#"{"tools":[{"name":1,"inputSchema":{}},{"name":"a"},{"name":"b","inputSchema":[]},{"name":"c","inputSchema":{},"description":5},{"name":"d","inputSchema":{}}]}"#,
    ))
    .unwrap();
    assert_eq!(page.tools.len(), 1);
    let members: Vec<(usize, &str)> = page.malformed.iter().map(|tool| (tool.index, tool.member)).collect();
    assert_eq!(members, [(0, "name"), (1, "inputSchema"), (2, "inputSchema"), (3, "description")]);
}

#[test]
fn what_is_no_list_is_refused() {
    for text in ["[]", "{}", r#"{"tools":{}}"#, r#"{"tools":[1]}"#] {
        assert_eq!(parse(&Bytes::from(text)), Err(ToolsError::NotAList), "{text}");
    }
    assert!(matches!(parse(&Bytes::from(r#"{"tools":[],"tools":[]}"#)), Err(ToolsError::Json(_))));
}

#[test]
fn enriching_changes_the_meta_of_the_named_tools_and_no_other_byte() {
    let price = |name: &str| {
        let named = matches!(name, "weather" | "plain");
        named.then(|| vec![("pay/price".to_owned(), format!("{{\"for\":\"{name}\"}}"))])
    };
    let enriched = enrich(&response(RESULT), price, |_| false).unwrap();
    let expected = RESULT
        .replacen(
            r#""x-price":{"a":1.10}}"#,
            r#""x-price":{"a":1.10},"_meta":{"pay/price":{"for":"weather"}}}"#,
            1,
        )
        .replacen(r#""forged""#, r#"{"for":"plain"}"#, 1);
    assert_eq!(enriched, response(&expected));
    let null_meta =
        enrich(&response(RESULT), |name| (name == "none").then(|| vec![("k".into(), "1".into())]), |_| false)
            .unwrap();
    assert_eq!(null_meta, response(&RESULT.replacen(r#""_meta":null"#, r#""_meta":{"k":1}"#, 1)));
}

#[test]
fn m10_keys_that_an_upstream_may_not_claim_are_removed_from_free_tools_too() {
    let cleaned = enrich(&response(RESULT), |_| None, |key| key.starts_with("pay/")).unwrap();
    assert_eq!(cleaned, response(&RESULT.replacen(r#","pay/price":"forged""#, "", 1)));
}

#[test]
fn without_anything_to_add_the_same_bytes_come_back() {
    let original = response(RESULT);
    assert_eq!(enrich(&original, |_| None, |_| false).unwrap().as_ptr(), original.as_ptr());
    let error = Bytes::from(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#);
    assert_eq!(enrich(&error, |_| Some(vec![("k".into(), "1".into())]), |_| true), Ok(error.clone()));
}

#[test]
fn t3_entries_that_are_not_wanted_leave_and_the_others_keep_their_bytes() {
    let list = |entries: &str| {
        Bytes::from(format!(
            r#"{{"id":1, "result":{{ "tools" : [ {entries} ], "nextCursor":"" }},"jsonrpc":"2.0"}}"#
        ))
    };
    let names = ["a", "b", "c"];
    let entry = |name: &str| format!(r#"{{ "name":"{name}", "n":1.0 }}"#);
    for bits in 0..8_u32 {
        let is_wanted = |index: usize| bits & (1 << index) != 0;
        let whole = list(&names.map(entry).join(" , "));
        let mut asked = 0;
        let kept = retain(&whole, |raw| {
            assert_eq!(raw, entry(names[asked]).as_bytes());
            asked += 1;
            is_wanted(asked - 1)
        })
        .unwrap();
        let wanted: Vec<&str> = (0..3).filter(|index| is_wanted(*index)).map(|index| names[index]).collect();
        let page = parse(&Bytes::copy_from_slice(crate::json::lookup(&kept, &["result"]).unwrap().unwrap()))
            .unwrap();
        assert_eq!((page.malformed.len(), page.next_cursor.as_deref()), (wanted.len(), Some("")));
        for name in names {
            let has = kept.windows(entry(name).len()).any(|part| part == entry(name).as_bytes());
            assert_eq!(has, wanted.contains(&name), "{name} of {bits:b}");
        }
        assert_eq!(kept == whole, bits == 7);
    }
}

#[test]
fn retaining_changes_no_error_and_refuses_what_cannot_be_read() {
    let error = Bytes::from(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#);
    assert_eq!(retain(&error, |_| false), Ok(error.clone()));
    assert!(
        retain(&Bytes::from(r#"{"id":1,"result":{"tools":[{"name":"a","name":"b"}]}}"#), |_| true).is_err()
    );
    assert!(
        retain(&Bytes::from(r#"{"id":1,"result":{"tools":[{"name":"a"}]}}"#), |_| true).is_ok(),
        "control"
    );
}
