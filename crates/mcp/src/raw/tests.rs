use super::*;

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn members_and_elements_keep_their_bytes() {
    let raw = bytes("{ \"a\" : 1.10,\"\\u0062\":[1e3 , {\"x\" : 123456789012345678901}] }");
    let found = members(&raw).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].0.as_str(), &found[0].1[..]), ("a", &b"1.10"[..]));
    assert_eq!(found[1].0, "b");
    let parts = elements(&found[1].1).unwrap();
    assert_eq!(parts, [bytes("1e3"), bytes("{\"x\" : 123456789012345678901}")]);
    assert!(members(&bytes("[1]")).is_err());
    assert!(elements(&bytes("{}")).is_err());
    assert!(members(&bytes("{\"a\":1,\"a\":2}")).is_err(), "a text with two readings is none");
}

#[test]
fn a_set_member_changes_no_other_byte() {
    let tool = bytes("{\"z\":1.0, \"name\" : \"echo\" ,\"n\":1e400}");
    let renamed = set(&tool, &[("name", "\"a__echo\"")]).unwrap();
    assert_eq!(renamed, "{\"z\":1.0, \"name\" : \"a__echo\" ,\"n\":1e400}");
    assert_eq!(set(&tool, &[]).unwrap(), tool);
    assert_eq!(set(&bytes("{}"), &[("a", "1")]).unwrap(), "{\"a\":1}");
    assert!(set(&bytes("7"), &[("a", "1")]).is_err());
}

#[test]
fn elements_are_replaced_in_their_places() {
    let raw = bytes("{\"x\":[9], \"items\":[ {\"k\":1} , {\"k\":2},3 ], \"y\":2.50}");
    let changed = map_elements(&raw, "items", |element| (element == "{\"k\":2}").then(|| bytes("\"new\"")));
    assert_eq!(changed.unwrap(), "{\"x\":[9], \"items\":[ {\"k\":1} , \"new\",3 ], \"y\":2.50}");
    assert_eq!(map_elements(&raw, "items", |_| None), None);
    assert_eq!(map_elements(&raw, "y", |_| Some(bytes("1"))), None);
    assert_eq!(text(&bytes("{\"a\":\"\\u00e9\"}"), "a").as_deref(), Some("é"));
    assert_eq!(text(&bytes("{\"a\":1}"), "a"), None);
}
