use super::*;

#[test]
fn a_bare_value_is_wrapped_and_a_tool_result_is_not() {
    let bare = tool_result(json!({ "sum": 5 }));
    assert_eq!(bare["structuredContent"], json!({ "sum": 5 }));
    assert_eq!(bare["content"][0]["text"], "{\"sum\":5}");
    assert_eq!(tool_result(json!("hello"))["content"][0]["text"], "hello");
    let own = json!({ "content": [], "structuredContent": { "content": 1 } });
    assert_eq!(tool_result(own.clone()), own);
    assert!(
        tool_result(json!({ "content": "text" }))["content"].is_array(),
        "a member of that name is no tool result"
    );
}

#[test]
fn only_a_result_without_an_error_is_delivered() {
    let is_delivered = |outcome: &Outcome<ToolAnswer>| matches!(outcome, Outcome::Delivered(_));
    assert!(is_delivered(&outcome(Ok::<_, String>(json!({ "content": [] })))), "control");
    assert!(!is_delivered(&outcome(Ok::<_, String>(json!({ "content": [], "isError": true })))));
    assert!(!is_delivered(&outcome(Ok::<_, String>(
        json!({ "content": [], "resultType": "input_required" })
    ))));
    assert!(!is_delivered(&outcome(Err::<(), _>("no"))));
    let error = json!({ "code": -32_602, "message": "no" });
    let failed = outcome(Err::<(), _>(error.clone()));
    assert_eq!(failed, Outcome::Failed(ToolAnswer::Error(error.to_string().into())));
}

#[test]
fn the_era_is_read_from_the_request() {
    assert_eq!(Asked::new(&json!({})).era(), Era::Legacy);
    let modern = Asked::new(&json!({})).meta(&json!({ PROTOCOL_VERSION_KEY: "2026-07-28" }));
    assert_eq!(modern.era(), Era::Modern);
}
