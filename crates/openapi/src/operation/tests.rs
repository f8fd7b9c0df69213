use proptest::prelude::*;

use super::*;

fn parameter(name: &str, place: Place, style: Style, required: bool) -> Parameter {
    let (name, argument) = (name.to_owned(), name.to_owned());
    Parameter { name, argument, place, style, required, takes_steps: false }
}

fn operation(parameters: Vec<Parameter>) -> Operation {
    let path = vec![
        Piece::Text("/pets/".to_owned()),
        Piece::Parameter("id".to_owned()),
        Piece::Parameter("more".to_owned()),
    ];
    let path = if parameters.iter().any(|p| p.name == "more") { path } else { path[..2].to_vec() };
    Operation { method: Method::POST, path, parameters, body: None }
}

fn id() -> Parameter {
    parameter("id", Place::Path, Style::Simple { explode: false }, true)
}

fn path(operation: &Operation, arguments: &str) -> Result<String, ArgumentError> {
    operation.request(arguments.as_bytes()).map(|request| request.path_and_query)
}

#[test]
fn t5_n5_a_path_argument_stays_within_its_segment() {
    let operation = operation(vec![id()]);
    for (value, written) in [
        ("\"Rex\"", "/pets/Rex"),
        ("7", "/pets/7"),
        ("1.50", "/pets/1.50"),
        ("123456789012345678901234567890", "/pets/123456789012345678901234567890"),
        ("true", "/pets/true"),
        ("\"?x=1#y\"", "/pets/%3Fx%3D1%23y"),
        ("\"%2e%2e\"", "/pets/%252e%252e"),
        ("\"a;b@c:d\"", "/pets/a%3Bb%40c%3Ad"),
        ("[\"a,b\",\"c\"]", "/pets/a%2Cb,c"),
        ("{\"k\":\"v w\"}", "/pets/k,v%20w"),
        ("\"\\r\\nHost: evil\"", "/pets/%0D%0AHost%3A%20evil"),
        ("\"...\"", "/pets/..."),
    ] {
        assert_eq!(path(&operation, &format!("{{\"id\":{value}}}")).as_deref(), Ok(written), "{value}");
    }
    for value in
        ["\"\"", "\"..\"", "\".\"", "\"../admin\"", "\"a/../../b\"", "\"a\\\\..\\\\b\"", "[\"..\"]", "[]"]
    {
        let refused = path(&operation, &format!("{{\"id\":{value}}}"));
        assert!(matches!(refused, Err(ArgumentError::Unfit { .. })), "{value}: {refused:?}");
    }
}

/// Starlette, Werkzeug and others decode a path and look for its operation then: `7/report` would be asked for as `7`.
#[test]
fn t5_a_slash_in_a_path_argument_is_refused_unless_the_document_takes_it() {
    let one = operation(vec![id()]);
    let several = operation(vec![Parameter { takes_steps: true, ..id() }]);
    for (value, written) in
        [("\"a/b\"", "/pets/a%2Fb"), ("{\"k\":\"v/w\"}", "/pets/k,v%2Fw"), ("[\"a/b\",1]", "/pets/a%2Fb,1")]
    {
        let arguments = format!("{{\"id\":{value}}}");
        let refused = path(&one, &arguments).unwrap_err().to_string();
        assert!(refused.contains("has a slash") && refused.contains("x-multi-segment"), "{refused}");
        assert_eq!(path(&several, &arguments).as_deref(), Ok(written), "control: it says that it takes them");
    }
    assert!(path(&several, r#"{"id":"a/../b"}"#).is_err());
}

#[test]
fn t5_two_arguments_do_not_make_a_step_out_together() {
    let more = parameter("more", Place::Path, Style::Simple { explode: false }, true);
    let operation = operation(vec![id(), more]);
    assert_eq!(path(&operation, r#"{"id":"a","more":"b"}"#).as_deref(), Ok("/pets/ab"));
    assert!(path(&operation, r#"{"id":"..","more":"x"}"#).is_err());
    let dots = Operation {
        path: vec![Piece::Text("/pets/.".to_owned()), Piece::Parameter("id".to_owned())],
        ..operation
    };
    let dots = Operation { parameters: vec![id()], ..dots };
    assert_eq!(path(&dots, r#"{"id":"x"}"#).as_deref(), Ok("/pets/.x"));
    assert!(path(&dots, r#"{"id":"."}"#).is_err());
}

#[test]
fn queries_are_written_as_their_style_says() {
    let query = |style| operation(vec![id(), parameter("q", Place::Query, style, false)]);
    let list = r#"{"id":1,"q":["a","b,c","d&e=f"]}"#;
    let map = r#"{"id":1,"q":{"k":"v","l m":2}}"#;
    let form = |explode| Style::Form { explode };
    for (style, arguments, written) in [
        (form(true), list, "/pets/1?q=a&q=b%2Cc&q=d%26e%3Df"),
        (form(false), list, "/pets/1?q=a,b%2Cc,d%26e%3Df"),
        (form(true), map, "/pets/1?k=v&l%20m=2"),
        (form(false), map, "/pets/1?q=k,v,l%20m,2"),
        (Style::DeepObject, map, "/pets/1?q%5Bk%5D=v&q%5Bl%20m%5D=2"),
        (Style::Json, map, "/pets/1?q=%7B%22k%22%3A%22v%22%2C%22l%20m%22%3A2%7D"),
        (form(true), r#"{"id":1,"q":"x y"}"#, "/pets/1?q=x%20y"),
        (form(true), r#"{"id":1,"q":""}"#, "/pets/1?q="),
        (form(true), r#"{"id":1,"q":[]}"#, "/pets/1"),
        (form(false), r#"{"id":1,"q":[]}"#, "/pets/1"),
        (form(true), r#"{"id":1,"q":null}"#, "/pets/1"),
        (form(true), r#"{"id":1}"#, "/pets/1"),
    ] {
        assert_eq!(path(&query(style), arguments).as_deref(), Ok(written), "{style:?} {arguments}");
    }
    for nested in [r#"{"id":1,"q":[["a"]]}"#, r#"{"id":1,"q":{"a":{}}}"#] {
        assert!(matches!(path(&query(form(true)), nested), Err(ArgumentError::Unfit { .. })));
    }
}

#[test]
fn a_header_argument_stays_within_its_line() {
    let header = parameter("X-Trace", Place::Header, Style::Simple { explode: false }, false);
    let operation = operation(vec![id(), header]);
    let headers = operation.request(br#"{"id":1,"X-Trace":["a","b"]}"#).unwrap().headers;
    assert_eq!(headers, [(HeaderName::from_static("x-trace"), HeaderValue::from_static("a,b"))]);
    let split = operation.request(br#"{"id":1,"X-Trace":"a\r\nhost: evil"}"#);
    assert!(matches!(split, Err(ArgumentError::Unfit { .. })), "{split:?}");
}

#[test]
fn a_body_is_passed_on_byte_for_byte() {
    let body = BodyArgument {
        argument: "body".to_owned(),
        content_type: HeaderValue::from_static("application/json"),
        required: true,
    };
    let operation = Operation { body: Some(body), ..operation(vec![id()]) };
    let sent = operation.request(br#"{"id":1,"body":{"b": 1.0, "a" : 12345678901234567890123}}"#).unwrap();
    let (content_type, bytes) = sent.body.unwrap();
    assert_eq!(content_type, "application/json");
    assert_eq!(bytes, r#"{"b": 1.0, "a" : 12345678901234567890123}"#);
    let null = operation.request(br#"{"id":1,"body":null}"#).unwrap();
    assert_eq!(null.body.unwrap().1, "null");
    assert_eq!(operation.request(br#"{"id":1}"#), Err(ArgumentError::Missing("body".to_owned())));
}

#[test]
fn arguments_that_are_missing_unknown_or_none_are_named() {
    let operation = operation(vec![id()]);
    assert_eq!(path(&operation, "{}"), Err(ArgumentError::Missing("id".to_owned())));
    assert_eq!(path(&operation, r#"{"id":null}"#), Err(ArgumentError::Missing("id".to_owned())));
    assert_eq!(path(&operation, r#"{"id":1,"x":2}"#), Err(ArgumentError::Unknown("x".to_owned())));
    assert_eq!(path(&operation, "[]"), Err(ArgumentError::NoObject));
    assert_eq!(path(&operation, ""), Err(ArgumentError::NoObject));
}

proptest! {
    /// Whatever the value: the request has the path's own segments and no more, and is a URL.
    #[test]
    fn t5_no_value_leaves_its_place(value in any::<String>(), query in any::<String>()) {
        let operation = operation(vec![
            id(),
            parameter("q", Place::Query, Style::Form { explode: true }, false),
        ]);
        let arguments = serde_json::json!({ "id": value, "q": query }).to_string();
        if let Ok(request) = operation.request(arguments.as_bytes()) {
            let (path, query) = request.path_and_query.split_once('?').unwrap();
            prop_assert_eq!(path.replace("%2F", "/").split('/').count(), 3);
            prop_assert!(path.starts_with("/pets/") && !path.ends_with('/'));
            prop_assert!(query.starts_with("q=") && !query.contains(['&', '#', '?']));
            prop_assert!(request.path_and_query.parse::<http::uri::PathAndQuery>().is_ok());
        }
    }
}
