use serde_json::json;

use super::*;

fn listed(schema: serde_json::Value) -> Page {
    let result = json!({
        "tools": [{ "name": "other", "inputSchema": {} }, { "name": "query", "inputSchema": schema }],
        "nextCursor": "more",
    });
    page(&Bytes::from(result.to_string()), "query")
}

#[test]
fn annotated_arguments_become_headers() {
    let schema = json!({ "type": "object", "properties": {
        "region": { "type": "string", "x-mcp-header": "Region" },
        "limit": { "type": "integer", "x-mcp-header": "Limit" },
        "dry": { "type": "boolean", "x-mcp-header": "Dry" },
        "absent": { "type": "string", "x-mcp-header": "Absent" },
        "nothing": { "type": "string", "x-mcp-header": "Nothing" },
        "plain": { "type": "string" },
        "target": { "type": "object", "properties": { "city": { "type": "string", "x-mcp-header": "City" } } },
    }});
    let parameters = listed(schema).parameters.expect("the tool");
    let arguments =
        r#"{"region":"Køln","limit":5,"dry":true,"nothing":null,"plain":"p","target":{"city":"Oslo"}}"#;
    let mut found: Vec<(String, String)> = headers(&parameters, arguments.as_bytes())
        .into_iter()
        .map(|(name, value)| (name.to_string(), value.to_str().expect("ASCII").to_owned()))
        .collect();
    found.sort();
    let expected = [
        ("mcp-param-city", "Oslo"),
        ("mcp-param-dry", "true"),
        ("mcp-param-limit", "5"),
        ("mcp-param-region", "=?base64?S8O4bG4=?="),
    ];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn a_page_without_the_tool_names_the_next_page() {
    let result = Bytes::from(
        json!({ "tools": [{ "name": "other", "inputSchema": {} }], "nextCursor": "more" }).to_string(),
    );
    let found = page(&result, "query");
    assert!(found.parameters.is_none());
    assert_eq!(found.next_cursor.as_deref(), Some("more"));
    assert!(listed(json!({})).parameters.is_some(), "positive control: a tool without annotations is found");
}
