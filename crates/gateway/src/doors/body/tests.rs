use super::*;

#[derive(Deserialize, PartialEq, Debug)]
struct Call {
    tool: String,
    #[serde(default)]
    pays: bool,
}

#[test]
fn a_list_of_the_members_is_not_taken_for_the_object() {
    for list in [r#"["search"]"#, r#"["search",true]"#, " [\"search\"]", "7", "null", "", "\u{feff}{}"] {
        assert!(object::<Call>(list.as_bytes()).is_err(), "{list:?}");
    }
    assert!(object::<Call>(br#"{"tool":"a","tool":"b"}"#).is_err(), "strictly");
    let read = object::<Call>(b" {\"tool\":\"search\"}\n");
    assert_eq!(read, Ok(Call { tool: "search".to_owned(), pays: false }));
}
