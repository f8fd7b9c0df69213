use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

fn request(method: &str, params: &str) -> Frame {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    frame(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{meta}}}}}"#))
}

fn frame(body: &str) -> Frame {
    Frame::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn legacy(method: &str) -> Frame {
    frame(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"name":"t"}}}}"#))
}

const VERSION: (&str, &str) = ("MCP-Protocol-Version", "2026-07-28");
const CALL: (&str, &str) = ("Mcp-Method", "tools/call");

#[test]
fn m2_a_modern_call_needs_headers_that_say_what_the_body_says() {
    let call = request("tools/call", r#""name":"weather","#);
    let name = ("mcp-name", "weather");
    assert_eq!(check(&map(&[VERSION, CALL, name]), &call), Ok(Era::Modern));
    assert_eq!(
        check(&map(&[VERSION, ("MCP-METHOD", " tools/call\t"), ("Mcp-Name", "  weather ")]), &call),
        Ok(Era::Modern)
    );
    let missing = |header| Err(HeaderMismatch::Missing { header });
    let differs = |header| Err(HeaderMismatch::Differs { header });
    let repeated = |header| Err(HeaderMismatch::Repeated { header });
    let cases = [
        (vec![CALL, name], missing(PROTOCOL_VERSION)),
        (vec![VERSION, name], missing(METHOD)),
        (vec![VERSION, CALL], missing(NAME)),
        (vec![("mcp-protocol-version", "2026-12-01"), CALL, name], differs(PROTOCOL_VERSION)),
        (vec![("mcp-protocol-version", "2025-11-25"), CALL, name], differs(PROTOCOL_VERSION)),
        (vec![VERSION, ("mcp-method", "tools/list"), name], differs(METHOD)),
        (vec![VERSION, ("mcp-method", "Tools/Call"), name], differs(METHOD)),
        (vec![VERSION, CALL, ("mcp-name", "free")], differs(NAME)),
        (vec![VERSION, CALL, ("mcp-name", "Weather")], differs(NAME)),
        (vec![VERSION, CALL, ("mcp-name", "weather,free")], differs(NAME)),
        (vec![VERSION, CALL, name, name], repeated(NAME)),
        (vec![VERSION, CALL, name, ("mcp-name", "free")], repeated(NAME)),
        (vec![VERSION, CALL, CALL, name], repeated(METHOD)),
        (vec![VERSION, VERSION, CALL, name], repeated(PROTOCOL_VERSION)),
        (vec![VERSION, CALL, ("mcp-name", "weath\u{e9}r")], Err(HeaderMismatch::Malformed { header: NAME })),
    ];
    for (headers, expected) in cases {
        assert_eq!(expected.clone().unwrap_err().code(), -32_020);
        assert_eq!(check(&map(&headers), &call), expected, "{headers:?}");
    }
}

#[test]
fn m2_names_that_no_header_can_carry_travel_as_base64() {
    let cases = [
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
    ];
    for (name, header) in cases {
        let call = request("tools/call", &format!("\"name\":{},", crate::json::quote(name)));
        assert_eq!(check(&map(&[VERSION, CALL, ("mcp-name", header)]), &call), Ok(Era::Modern), "{name}");
        assert_eq!(encode_value(name), header);
    }
    assert_eq!(encode_value("line1\nline2"), "=?base64?bGluZTEKbGluZTI=?=");
    let call = request("tools/call", r#""name":"weather","#);
    assert_eq!(
        check(&map(&[VERSION, CALL, ("mcp-name", "=?base64?d2VhdGhlcg==?=")]), &call),
        Ok(Era::Modern)
    );
    for (wrong, malformed) in [
        ("=?base64?ZnJlZQ==?=", false),
        ("=?BASE64?d2VhdGhlcg==?=", false),
        ("=?base64?d2VhdGhlcg==", false),
        ("=?base64?d2VhdGhlcg?=", true),
        ("=?base64?d2VhdGhlcg==  ?=", true),
        ("=?base64?/w==?=", true),
        ("=?base64?!?=", true),
    ] {
        let expected = if malformed {
            HeaderMismatch::Malformed { header: NAME }
        } else {
            HeaderMismatch::Differs { header: NAME }
        };
        assert_eq!(check(&map(&[VERSION, CALL, ("mcp-name", wrong)]), &call), Err(expected), "{wrong}");
    }
}

#[test]
fn m2_the_name_mirrors_what_the_method_names() {
    let cases = [
        ("prompts/get", r#""name":"x","uri":"y","#),
        ("resources/read", r#""uri":"x","name":"y","#),
        ("tasks/get", r#""taskId":"x","#),
        ("tasks/update", r#""taskId":"x","#),
        ("tasks/cancel", r#""taskId":"x","#),
    ];
    for (method, params) in cases {
        let frame = request(method, params);
        let with = |name| check(&map(&[VERSION, ("mcp-method", method), ("mcp-name", name)]), &frame);
        assert_eq!(with("x"), Ok(Era::Modern), "{method}");
        assert_eq!(with("y"), Err(HeaderMismatch::Differs { header: NAME }), "{method}");
        assert_eq!(
            check(&map(&[VERSION, ("mcp-method", method)]), &frame),
            Err(HeaderMismatch::Missing { header: NAME })
        );
    }
    let list = request("tools/list", "");
    assert_eq!(check(&map(&[VERSION, ("mcp-method", "tools/list")]), &list), Ok(Era::Modern));
}

#[test]
fn one_modern_sign_without_the_other_is_refused() {
    let modern = [VERSION, ("mcp-method", "tools/list")];
    assert_eq!(check(&map(&modern), &request("tools/list", "")), Ok(Era::Modern));
    let header_only = check(&map(&modern), &legacy("tools/list")).unwrap_err();
    assert_eq!(
        (header_only.clone(), header_only.code()),
        (HeaderMismatch::Meta { key: PROTOCOL_VERSION_KEY }, -32_602)
    );
    let body_only = check(&map(&modern[1..]), &request("tools/list", "")).unwrap_err();
    assert_eq!(
        (body_only.clone(), body_only.code()),
        (HeaderMismatch::Missing { header: PROTOCOL_VERSION }, -32_020)
    );
    let no_capabilities = frame(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
    );
    assert_eq!(
        check(&map(&modern), &no_capabilities),
        Err(HeaderMismatch::Meta { key: CLIENT_CAPABILITIES_KEY })
    );
}

#[test]
fn legacy_messages_need_no_mirrored_headers() {
    let call = legacy("tools/call");
    assert_eq!(check(&HeaderMap::new(), &call), Ok(Era::Legacy));
    assert_eq!(
        check(&map(&[("mcp-protocol-version", "2025-11-25"), ("mcp-session-id", "s")]), &call),
        Ok(Era::Legacy)
    );
    assert_eq!(check(&map(&[("mcp-protocol-version", "nonsense")]), &call), Ok(Era::Legacy));
    assert_eq!(check(&map(&[VERSION]), &legacy("initialize")), Ok(Era::Legacy));
    let twice = [("mcp-protocol-version", "2025-11-25"), ("mcp-protocol-version", "2025-06-18")];
    assert_eq!(check(&map(&twice), &call), Err(HeaderMismatch::Repeated { header: PROTOCOL_VERSION }));
    let answer = frame(
        r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{"io.modelcontextprotocol/protocolVersion":"x"}}}"#,
    );
    assert_eq!(check(&HeaderMap::new(), &answer), Ok(Era::Legacy));
}

#[test]
fn m4_a_body_that_the_server_would_read_otherwise_is_refused() {
    let call = legacy("tools/call");
    let ours = [
        "application/json",
        "Application/JSON",
        "application/json; charset=UTF-8",
        "application/json;charset=\"utf-8\";",
    ];
    for content_type in ours {
        assert_eq!(check(&map(&[("content-type", content_type)]), &call), Ok(Era::Legacy), "{content_type}");
    }
    assert_eq!(check(&map(&[("content-encoding", "identity")]), &call), Ok(Era::Legacy));
    for content_type in [
        "application/json; charset=utf-7",
        "application/json; charset=utf-16le",
        "application/json; charset=utf-8; charset=utf-7",
        "application/json; charset*=utf-7",
        "application/json; charset",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/json",
        "application/json, text/plain",
        "",
    ] {
        let refused = check(&map(&[("content-type", content_type)]), &call);
        assert_eq!(refused, Err(HeaderMismatch::Reading { header: CONTENT_TYPE }), "{content_type}");
        assert_eq!(refused.unwrap_err().code(), -32_600);
    }
    for coding in ["gzip", "deflate", "br", "identity, gzip", ""] {
        let refused = check(&map(&[("content-encoding", coding)]), &call);
        assert_eq!(refused, Err(HeaderMismatch::Reading { header: CONTENT_ENCODING }), "{coding}");
    }
    let twice =
        map(&[("content-type", "application/json"), ("content-type", "application/json; charset=utf-7")]);
    assert_eq!(check(&twice, &call), Err(HeaderMismatch::Repeated { header: CONTENT_TYPE }));
}

#[test]
fn a_version_that_nobody_knows_reaches_the_upstream_if_header_and_body_agree() {
    let body = |version: &str| {
        frame(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        ))
    };
    let headers = map(&[("mcp-protocol-version", "v999.0.0"), ("mcp-method", "server/discover")]);
    assert_eq!(check(&headers, &body("v999.0.0")), Ok(Era::Modern));
    assert_eq!(
        check(&headers, &body("2026-07-28")),
        Err(HeaderMismatch::Differs { header: PROTOCOL_VERSION })
    );
    let old = map(&[("mcp-protocol-version", "2025-11-25")]);
    assert_eq!(check(&old, &body("2025-11-25")), Ok(Era::Legacy));
}

#[test]
fn a_notification_needs_no_method_header_but_a_false_one_is_refused() {
    let notification =
        frame(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    assert_eq!(check(&map(&[VERSION]), &notification), Ok(Era::Modern));
    assert_eq!(
        check(&map(&[VERSION, ("mcp-method", "notifications/cancelled")]), &notification),
        Ok(Era::Modern)
    );
    assert_eq!(check(&map(&[VERSION, CALL]), &notification), Err(HeaderMismatch::Differs { header: METHOD }));
}

const SCHEMA: &str = r#"{"type":"object","properties":{
    "region":{"type":"string","x-mcp-header":"Region"},
    "count":{"type":"integer","x-mcp-header":"Count"},
    "deep":{"type":"object","properties":{"flag":{"type":"boolean","x-mcp-header":"Flag"}}},
    "x-mcp-header":{"type":"string","default":{"x-mcp-header":"data"}}}}"#;

#[test]
fn m2_annotated_arguments_must_stand_in_their_headers() {
    let params = mirrored_params(SCHEMA.as_bytes()).unwrap();
    let paths: Vec<String> =
        params.iter().map(|param| format!("{} {}", param.header(), param.path().join("."))).collect();
    assert_eq!(paths, ["mcp-param-count count", "mcp-param-flag deep.flag", "mcp-param-region region"]);
    let arguments = br#"{"region":"us-west1","count":42,"deep":{"flag":true},"other":1}"#;
    let (region, count, flag) =
        (("Mcp-Param-Region", "us-west1"), ("Mcp-Param-Count", "42"), ("Mcp-Param-Flag", "true"));
    assert_eq!(
        check_params(&map(&[region, count, flag, ("mcp-param-other", "ignored")]), arguments, &params),
        Ok(())
    );
    assert_eq!(check_params(&map(&[region, ("mcp-param-count", "42.0"), flag]), arguments, &params), Ok(()));
    assert_eq!(
        check_params(
            &map(&[("mcp-param-region", "=?base64?dXMtd2VzdDE=?="), count, flag]),
            arguments,
            &params
        ),
        Ok(())
    );
    assert_eq!(check_params(&map(&[]), br#"{"region":null,"deep":{}}"#, &params), Ok(()));
    let refused: [&[(&str, &str)]; 8] = [
        &[count, flag],
        &[("mcp-param-region", "us-east1"), count, flag],
        &[region, region, count, flag],
        &[region, ("mcp-param-count", "43"), flag],
        &[region, ("mcp-param-count", "42.5"), flag],
        &[region, ("mcp-param-count", "0x2a"), flag],
        &[region, count, ("mcp-param-flag", "True")],
        &[region, count, flag, ("mcp-param-flag", "true")],
    ];
    for headers in refused {
        let mismatch = check_params(&map(headers), arguments, &params).unwrap_err();
        assert_eq!(mismatch.code(), -32_020, "{headers:?}");
    }
    assert!(check_params(&map(&[region]), b"{}", &params).is_err());
    let large = |digits: &str| {
        check_params(
            &map(&[("mcp-param-count", digits)]),
            format!("{{\"count\":{digits}}}").as_bytes(),
            &params,
        )
    };
    assert_eq!(large("-9007199254740991"), Ok(()));
    assert!(large("9007199254740992").is_err());
}

#[test]
fn annotations_that_clients_refuse_are_refused() {
    let property = |text: &str| mirrored_params(format!(r#"{{"properties":{{"a":{text}}}}}"#).as_bytes());
    assert_eq!(property(r#"{"type":"string","x-mcp-header":"A"}"#).unwrap().len(), 1);
    let a = || "a".to_owned();
    for name in [r#""""#, r#""a b""#, r#""a:""#, r#""é""#, r#""a\n""#, "1"] {
        let error = property(&format!(r#"{{"type":"string","x-mcp-header":{name}}}"#)).unwrap_err();
        assert_eq!(error, AnnotationError::NotAName { path: a() }, "{name}");
    }
    for kind in ["\"number\"", "\"object\"", "[\"string\",\"null\"]", "1"] {
        let error = property(&format!(r#"{{"type":{kind},"x-mcp-header":"A"}}"#)).unwrap_err();
        assert_eq!(error, AnnotationError::NotPrimitive { path: a() }, "{kind}");
    }
    let inner = r#"{"type":"string","x-mcp-header":"A"}"#;
    for way in [
        format!(r#"{{"items":{inner}}}"#),
        format!(r#"{{"anyOf":[{inner}]}}"#),
        format!(r#"{{"if":{{"properties":{{"b":{inner}}}}}}}"#),
        format!(r#"{{"$defs":{{"b":{inner}}}}}"#),
        format!(r#"{{"additionalProperties":{inner}}}"#),
    ] {
        assert!(matches!(property(&way), Err(AnnotationError::NotReachable { .. })), "{way}");
    }
    let twice = r#"{"properties":{"a":{"type":"string","x-mcp-header":"X"},"b":{"type":"string","x-mcp-header":"x"}}}"#;
    assert_eq!(mirrored_params(twice.as_bytes()), Err(AnnotationError::Repeated { path: "b".to_owned() }));
    assert!(matches!(mirrored_params(inner.as_bytes()), Err(AnnotationError::NotReachable { .. })));
    assert_eq!(mirrored_params(b"{"), Err(AnnotationError::NotJson));
}

proptest! {
    #[test]
    fn m2_headers_are_accepted_only_when_they_equal_the_body(name in any::<String>(), other in any::<String>()) {
        let call = request("tools/call", &format!("\"name\":{},", crate::json::quote(&name)));
        let with = |name: &str| check(&map(&[VERSION, CALL, ("mcp-name", &encode_value(name))]), &call);
        prop_assert_eq!(with(&name), Ok(Era::Modern));
        prop_assert_eq!(with(&other).is_ok(), name == other);
    }

    #[test]
    fn m2_no_other_spelling_of_a_name_header_passes(
        value in "(=[?]base64[?])?(weather|Weather|d2VhdGhlcg==|d2VhdGhlcg|=| |,|\u{e9}){0,2}([?]=)?",
    ) {
        let call = request("tools/call", r#""name":"weather","#);
        let mut headers = map(&[VERSION, CALL]);
        headers.insert(NAME, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        let same = ["weather", "=?base64?d2VhdGhlcg==?="].contains(&value.trim_matches(' '));
        prop_assert_eq!(check(&headers, &call).is_ok(), same, "{}", value);
    }
}
