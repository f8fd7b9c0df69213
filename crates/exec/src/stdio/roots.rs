//! Keeps the folders of callers (`roots`) from a program: what a caller can tell of them is left out of what the program hears, so that
//! it does not ask. A server of files takes the folders of its caller in place of those of its command line, whoever that is.

use tollgate_mcp::era::CLIENT_CAPABILITIES_KEY;
use tollgate_mcp::json::quote;
use tollgate_mcp::{Frame, raw};

const ROOTS: &str = "roots";
const CAPABILITIES: &str = "capabilities";
const LIST_CHANGED: &str = "notifications/roots/list_changed";

/// A message of a caller without word of its roots, in either era; `None`: it is about nothing else.
pub(super) fn withheld(frame: Frame) -> Option<Frame> {
    if frame.method() == Some(LIST_CHANGED) {
        return None;
    }
    let said = |raw: Option<&[u8]>| raw.and_then(|raw| without_roots(&frame, raw));
    let changed = if frame.method() == Some("initialize") {
        said(frame.param(CAPABILITIES)).map(|left| frame.with_param(CAPABILITIES, &left))
    } else {
        said(frame.meta(CLIENT_CAPABILITIES_KEY))
            .map(|left| frame.with_meta_value(CLIENT_CAPABILITIES_KEY, &left))
    };
    match changed {
        None => Some(frame),
        Some(changed) => Frame::parse(changed).ok(),
    }
}

/// Capabilities without roots; `None` where there are none of them.
fn without_roots(frame: &Frame, capabilities: &[u8]) -> Option<String> {
    let members = raw::members(&frame.bytes().slice_ref(capabilities)).ok()?;
    if !members.iter().any(|(name, _)| name == ROOTS) {
        return None;
    }
    let left = members.iter().filter(|(name, _)| name != ROOTS);
    let left: Vec<String> =
        left.map(|(name, value)| format!("{}:{}", quote(name), String::from_utf8_lossy(value))).collect();
    Some(format!("{{{}}}", left.join(",")))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn heard(text: &str) -> Option<String> {
        let frame = Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap();
        withheld(frame).map(|frame| String::from_utf8_lossy(frame.bytes()).into_owned())
    }

    #[test]
    fn a_program_hears_nothing_of_roots_and_everything_else() {
        let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{"roots":{"listChanged":true},"sampling":{"tools":{}}},"protocolVersion":"2025-11-25"}}"#;
        assert_eq!(
            heard(initialize).unwrap(),
            initialize.replace(r#""roots":{"listChanged":true},"#, ""),
            "era of sessions"
        );
        let modern = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","_meta":{"io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"roots":{}}}}}"#;
        assert_eq!(heard(modern).unwrap(), modern.replace(r#","roots":{}"#, ""), "stateless");
        assert_eq!(heard(r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#), None);
        for other in [
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{"sampling":{}}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"roots":1}}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{"roots":[]}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        ] {
            assert_eq!(heard(other).unwrap(), other, "byte for byte");
        }
    }
}
