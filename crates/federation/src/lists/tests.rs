use super::*;

fn part(server: &str, result: &'static str) -> Part {
    let page = page(Kind::Tools, &Bytes::from_static(result.as_bytes())).unwrap();
    Part { server: server.parse().unwrap(), page }
}

fn value(raw: &Bytes) -> Value {
    serde_json::from_slice(raw).unwrap()
}

#[test]
fn items_keep_their_bytes_and_the_order_of_the_servers() {
    let a = part("a", r#"{"tools":[ {"name":"x", "n":1.10 } ,{"z":1e3}],"ttlMs":9,"cacheScope":"public"}"#);
    let b = part("b", r#"{"cacheScope":"public","ttlMs":5,"tools":[{"big":123456789012345678901}]}"#);
    let both = merged(Kind::Tools, Era::Modern, &[a, b], &[]);
    let text = std::str::from_utf8(&both).unwrap();
    assert!(
        text.contains(r#""tools":[{"name":"x", "n":1.10 },{"z":1e3},{"big":123456789012345678901}]"#),
        "{text}"
    );
    let both = value(&both);
    assert_eq!((&both["ttlMs"], &both["cacheScope"]), (&json!(5), &json!("public")));
    assert_eq!(both["resultType"], "complete");
    assert_eq!(both.get("nextCursor"), None);
    assert_eq!(both["_meta"].get(FEDERATION_META), None);
}

#[test]
fn m11_a_list_is_private_if_any_part_is_and_if_any_is_missing() {
    let public = part("a", r#"{"tools":[],"ttlMs":9,"cacheScope":"public"}"#);
    let private = part("b", r#"{"tools":[],"ttlMs":9,"cacheScope":"private"}"#);
    let silent = part("b", r#"{"tools":[]}"#);
    let scope = |parts: &[Part], failures: &[Failure]| {
        let merged = value(&merged(Kind::Tools, Era::Modern, parts, failures));
        (merged["cacheScope"].as_str().unwrap().to_owned(), merged["ttlMs"].as_u64().unwrap())
    };
    let failed = Failure { server: "b".parse().unwrap(), reason: "upstream_timed_out" };
    assert_eq!(scope(std::slice::from_ref(&public), &[]), ("public".to_owned(), 9), "control");
    assert_eq!(scope(&[public.clone(), private], &[]), ("private".to_owned(), 9));
    assert_eq!(scope(&[public.clone(), silent], &[]), ("private".to_owned(), 0));
    assert_eq!(scope(&[public], &[failed]), ("private".to_owned(), 0));
}

#[test]
fn the_list_goes_on_where_any_of_its_parts_does() {
    let a = part("a", r#"{"tools":[],"nextCursor":""}"#);
    let b = part("b", r#"{"tools":[],"nextCursor":null}"#);
    let c = part("c", r#"{"tools":[],"nextCursor":"3"}"#);
    let list = value(&merged(Kind::Tools, Era::Legacy, &[a, b], &[]));
    let cursor = Cursor::decode(Kind::Tools, list["nextCursor"].as_str().unwrap()).unwrap();
    assert_eq!(cursor.parts, [("a".parse().unwrap(), String::new())], "an empty cursor is a cursor");
    assert_eq!(
        list.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["nextCursor", "tools"],
        "legacy has no more"
    );
    let list = value(&merged(Kind::Tools, Era::Legacy, &[c], &[]));
    assert_eq!(Cursor::decode(Kind::Tools, list["nextCursor"].as_str().unwrap()).unwrap().parts[0].1, "3");
}

#[test]
fn what_is_no_list_is_none() {
    let read = |text: &'static str| page(Kind::Prompts, &Bytes::from_static(text.as_bytes()));
    assert_eq!(read(r#"{"prompts":[]}"#).unwrap().items.len(), 0, "control");
    for text in ["[]", "{}", r#"{"tools":[]}"#, r#"{"prompts":{}}"#] {
        assert_eq!(read(text), Err(ListError::NotAList("prompts")), "{text}");
    }
    assert_eq!(read(r#"{"prompts":[],"nextCursor":1}"#), Err(ListError::Cursor));
}

#[test]
fn who_gave_no_list_is_named() {
    let failed = Failure { server: "b".parse().unwrap(), reason: "upstream_unreachable" };
    let list = value(&merged(Kind::Tools, Era::Legacy, &[part("a", r#"{"tools":[]}"#)], &[failed]));
    let named = json!([{ "server": "b", "reason": "upstream_unreachable" }]);
    assert_eq!(list["_meta"][FEDERATION_META]["failed"], named);
}
