use super::*;

#[test]
fn m6_ids_are_equal_by_type_and_value_and_keep_their_spelling() {
    let id = |raw| RequestId::from_raw(raw).unwrap();
    assert_eq!(id("1"), RequestId::integer(1));
    assert_eq!(id(r#""\u0061""#), RequestId::string("a").unwrap());
    assert_eq!(id(r#""\u0061""#).raw(), r#""\u0061""#);
    assert_ne!(id("1"), id(r#""1""#));
    assert_eq!(id("-9223372036854775808").as_integer(), Some(i64::MIN));
    assert_eq!(id(r#""""#).as_str(), Some(""));
    let ids: std::collections::HashSet<RequestId> = [id("7"), RequestId::integer(7), id(r#""7""#)].into();
    assert_eq!(ids.len(), 2);
}

#[test]
fn m6_null_floats_and_huge_ids_are_refused() {
    assert_eq!(RequestId::from_raw("9223372036854775807").map(|id| id.as_integer()), Ok(Some(i64::MAX)));
    let refused = [
        ("null", IdError::Null),
        ("1.0", IdError::NotAnInteger),
        ("1e2", IdError::NotAnInteger),
        ("9223372036854775808", IdError::NotAnInteger),
        ("true", IdError::NotTheType),
        ("{}", IdError::NotTheType),
        ("[1]", IdError::NotTheType),
        ("", IdError::NotTheType),
        ("01", IdError::NotTheType),
    ];
    for (raw, error) in refused {
        assert_eq!(RequestId::from_raw(raw), Err(error), "{raw}");
    }
    assert!(RequestId::string(&"x".repeat(256)).is_ok());
    assert_eq!(RequestId::string(&"x".repeat(257)), Err(IdError::TooLong));
    assert_eq!(RequestId::from_raw(&quote(&"x".repeat(257))), Err(IdError::TooLong));
}
