use proptest::prelude::*;
use serde_json::Value;
use tollgate_domain::{Amount, Asset};
use tollgate_mcp::Frame;

use super::*;

fn call(tool: &str, arguments: &str) -> ToolCall {
    ToolCall::read(tool, arguments).expect("a readable call")
}

fn id() -> RequestId {
    RequestId::integer(7)
}

fn json(body: &Bytes) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

#[test]
fn arguments_go_out_byte_for_byte() {
    let arguments = r#"{ "z" : 1.10,"a":1e3, "big":123456789012345678901234567890,"s":"\u0041" }"#;
    for era in [Era::Modern, Era::Legacy] {
        let body = call("t", arguments).body(&id(), era, None);
        let text = std::str::from_utf8(&body).expect("UTF-8");
        assert!(text.contains(&format!(r#""arguments":{arguments}"#)), "{text}");
    }
}

#[test]
fn a_modern_call_names_version_capabilities_and_client_and_a_legacy_one_does_not() {
    let modern = json(&call("weather", "{}").body(&id(), Era::Modern, None));
    assert_eq!(modern["id"], 7);
    assert_eq!(modern["method"], "tools/call");
    assert_eq!(modern["params"]["name"], "weather");
    let meta = &modern["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    assert!(meta["io.modelcontextprotocol/clientCapabilities"].is_object());
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "tollgate");

    let legacy = json(&call("weather", "{}").body(&id(), Era::Legacy, None));
    assert!(legacy["params"].get("_meta").is_none());
    let paid = json(&call("weather", "{}").body(&id(), Era::Legacy, Some((L402_AUTHORIZATION, "\"m:p\""))));
    assert_eq!(paid["params"]["_meta"], serde_json::json!({ "l402/authorization": "m:p" }));

    let limit = Money {
        amount: Amount::new(10_000),
        asset: Asset::new("eip155:8453/erc20:0x833589fcd6edb6e08f4c7c32d4f71b54bda02913", "USDC", 6)
            .expect("an asset"),
    };
    let bounded = json(&call("weather", "{}").at_most(&limit).body(&id(), Era::Legacy, None));
    assert_eq!(bounded["params"]["_meta"], serde_json::json!({ "tollgate/max-price": "0.01 USDC" }));
}

#[test]
fn the_handshake_and_the_list_are_frames() {
    let handshake = json(&initialize(&id()));
    assert_eq!(handshake["params"]["protocolVersion"], LEGACY);
    assert_eq!(json(&initialized())["method"], "notifications/initialized");
    let list = json(&tools_list(&id(), Some("a\"b")));
    assert_eq!(list["params"]["cursor"], "a\"b");
    assert!(json(&tools_list(&id(), None))["params"].get("cursor").is_none());
}

#[test]
fn m4_a_call_without_a_name_or_with_ambiguous_arguments_is_refused() {
    ToolCall::read("t", " {\"a\":1}\n").expect("positive control");
    for (tool, arguments) in [
        ("", "{}"),
        ("t", "[]"),
        ("t", "1"),
        ("t", "null"),
        ("t", "{"),
        ("t", "{} {}"),
        ("t", ""),
        ("t", r#"{"a":1,"a":2}"#),
        ("t", r#"{"a":"\ud800"}"#),
        ("t", "\u{feff}{}"),
    ] {
        assert!(
            matches!(ToolCall::read(tool, arguments), Err(PayError::Request(_))),
            "{tool:?} {arguments:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_tool_name_makes_a_strict_frame_that_reads_back(tool in "\\PC{1,40}") {
        let body = call(&tool, r#"{"a":[1,2]}"#).body(&id(), Era::Modern, None);
        let frame = Frame::parse(body).expect("a strict frame");
        let view = frame.tool_call().expect("a tool call");
        prop_assert_eq!(view.name.as_str(), tool.as_str());
    }
}
