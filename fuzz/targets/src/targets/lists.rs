//! Lists and answers of upstream servers, as they are cut, merged and renamed: what was not meant to change does not.

use bytes::Bytes;
use serde_json::Value;
use tollgate_domain::ServerName;
use tollgate_federation::{Keys, Kind, Names, Principal, Separator, TaskIds, Translator, page};
use tollgate_mcp::{Frame, raw, tools};

pub(crate) const WORDS: &[&str] = &[
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":",
    "\"tools\":[",
    "\"prompts\":[",
    "\"resources\":[",
    "\"name\":\"a\",",
    "\"inputSchema\":{},",
    "\"_meta\":{\"x402/payment\":1},",
    "\"_meta\":{\"ui\":{\"resourceUri\":\"ui://a\"}}",
    "\"uri\":\"file:///a\",",
    "\"nextCursor\":\"\",",
    "\"taskId\":\"t\",",
    "\"status\":\"working\",",
    "\"content\":[{\"type\":\"resource_link\",",
    "\"method\":\"notifications/progress\",",
    "\"progressToken\":1",
    "\"io.modelcontextprotocol/related-task\":{\"taskId\":\"t\"}",
];
/// The key that an upstream may not claim.
const OURS: &str = "x402/payment";

/// A response with a list, or any message of an upstream.
pub(crate) fn lists(input: &[u8]) {
    let body = Bytes::copy_from_slice(input);
    let Ok(frame) = Frame::parse_upstream(body.clone()) else { return };
    let read = value(&body);
    if read.is_null() {
        return;
    }
    let items = read.pointer("/result/tools").and_then(Value::as_array);
    if let Some(result) = frame.result() {
        pages(&result);
    }
    let short = |raw: &Bytes| raw.len().is_multiple_of(2);
    if let (Ok(kept), Some(items)) = (tools::retain(&body, short), items) {
        let mut expected = read.clone();
        let raws = frame.result().and_then(|result| raw::member(&result, "tools"));
        let raws = raws.and_then(|list| raw::elements(&list).ok()).unwrap_or_default();
        assert_eq!(raws.len(), items.len());
        let left: Vec<Value> = raws.iter().filter(|raw| short(raw)).map(value).collect();
        if let Some(list) = expected.pointer_mut("/result/tools") {
            *list = Value::from(left);
        }
        assert_eq!(value(&kept), expected, "only what was not kept is gone");
    }
    enriched(&body, &read);
    renamed(&frame, &read);
}

fn pages(result: &Bytes) {
    for kind in [Kind::Tools, Kind::Prompts, Kind::Resources, Kind::Templates, Kind::Tasks] {
        let Ok(page) = page(kind, result) else { continue };
        let read = value(result);
        let list = read.get(kind.items()).and_then(Value::as_array).cloned().unwrap_or_default();
        assert_eq!(page.items.iter().map(value).collect::<Vec<_>>(), list, "the items of the page");
        assert_eq!(page.next.as_deref(), read.get("nextCursor").and_then(Value::as_str));
    }
    let Ok(page) = tools::parse(result) else { return };
    let read = value(result);
    let list = read.get("tools").and_then(Value::as_array).map_or(0, Vec::len);
    assert_eq!(page.tools.len() + page.malformed.len(), list, "each entry is a tool or said to be none");
    for tool in &page.tools {
        assert_eq!(value(&tool.raw).get("name").and_then(Value::as_str), Some(&*tool.name));
    }
}

/// Each tool has what was set and nothing that was taken away.
fn enriched(body: &Bytes, read: &Value) {
    let set = |name: &str| {
        name.len().is_multiple_of(2).then(|| vec![("tollgate/price".to_owned(), "7".to_owned())])
    };
    let Ok(enriched) = tools::enrich(body, set, |key| key == OURS) else { return };
    let mut expected = read.clone();
    for tool in expected.pointer_mut("/result/tools").and_then(Value::as_array_mut).into_iter().flatten() {
        let added = tool.get("name").and_then(Value::as_str).and_then(set).is_some();
        let Some(tool) = tool.as_object_mut() else { continue };
        if let Some(meta) = tool.get_mut("_meta").and_then(Value::as_object_mut) {
            meta.remove(OURS);
        }
        if added {
            let meta = tool.entry("_meta").or_insert_with(|| Value::Object(Default::default()));
            match meta.as_object_mut() {
                Some(meta) => drop(meta.insert("tollgate/price".to_owned(), Value::from(7))),
                None => *meta = serde_json::json!({ "tollgate/price": 7 }),
            }
        }
    }
    assert_eq!(value(&enriched), expected, "enriched");
}

/// A message under the names of the door is a message of the same kind.
fn renamed(frame: &Frame, read: &Value) {
    let (Ok(server), Some(keys)) = ("files".parse::<ServerName>(), Keys::derive(&[7; 32])) else { return };
    let names = Names::new(Separator::default(), [server.clone()], None);
    let tasks = TaskIds { keys: &keys, principal: Principal::of(None) };
    let translator = Translator { names: &names, tasks, server: &server };
    let forms = [
        translator.to_client(frame),
        translator.to_client_of_own_door(frame),
        translator.answer(frame),
        translator.to_server(frame),
    ];
    for form in forms.into_iter().flatten() {
        let again = Frame::parse_upstream(form.clone());
        assert!(again.is_ok(), "renamed, and no message: {:?}", String::from_utf8_lossy(&form));
        let Ok(again) = again else { continue };
        assert_eq!((again.kind(), again.method()), (frame.kind(), frame.method()));
        let renamed = value(&form);
        assert_eq!(members(&renamed), members(read), "a member appeared or is gone");
    }
    for (kind, list) in [(Kind::Tools, "tools"), (Kind::Resources, "resources"), (Kind::Prompts, "prompts")] {
        let items = frame.result().and_then(|result| raw::member(&result, list));
        for item in items.and_then(|items| raw::elements(&items).ok()).into_iter().flatten() {
            let Some(shown) = translator.item(kind, &item) else { continue };
            assert_eq!(members(&value(&shown)), members(&value(&item)));
            let name = |item: &Bytes| raw::text(item, "name").filter(|name| !name.is_empty());
            if let (Some(own), Some(public), Kind::Tools) = (name(&item), name(&shown), kind) {
                assert_eq!(names.resolve(&public), Some((&server, &*own)));
            }
        }
    }
}

fn members(value: &Value) -> Option<Vec<&String>> {
    value.as_object().map(|members| members.keys().collect())
}

/// As `serde_json` reads it: nothing, where it cannot (a number past the range of a float).
fn value(raw: &Bytes) -> Value {
    serde_json::from_slice(raw).unwrap_or_default()
}
