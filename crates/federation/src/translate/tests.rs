use serde_json::{Value, json};

use super::*;
use crate::keys::{Keys, Principal};
use crate::names::Separator;

struct Door {
    keys: Keys,
    names: Names,
    server: ServerName,
}

impl Door {
    fn of(server: &str) -> Self {
        let servers = ["a", "b"].map(|name| name.parse().unwrap());
        let names = Names::new(Separator::default(), servers, Some("b".parse().unwrap()));
        Self { keys: Keys::derive(&[1; 32]).unwrap(), names, server: server.parse().unwrap() }
    }

    fn translator(&self) -> Translator<'_> {
        let tasks = TaskIds { keys: &self.keys, principal: Principal::of(None) };
        Translator { names: &self.names, tasks, server: &self.server }
    }

    /// What the client sees of a message.
    fn seen(&self, message: &Value) -> Value {
        let frame = Frame::parse_upstream(message.to_string().into()).unwrap();
        let seen = self.translator().to_client(&frame);
        seen.map_or(message.clone(), |seen| serde_json::from_slice(&seen).unwrap())
    }
}

#[test]
fn a_request_of_a_server_names_it_and_its_answer_finds_it() {
    let asked = json!({ "jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage",
        "params": { "_meta": { "progressToken": 5 }, "messages": [] } });
    let seen = Door::of("a").seen(&asked);
    assert_eq!(seen["id"], "a:1");
    assert_eq!(seen["params"]["_meta"]["progressToken"], "a:5");
    assert_ne!(seen["id"], Door::of("b").seen(&asked)["id"], "a plain server's too");
    let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress",
        "params": { "progressToken": "a:5", "progress": 1 } });
    let frame = Frame::parse(progress.to_string().into()).unwrap();
    let (server, home) = home_progress(&frame).unwrap();
    assert_eq!(server.as_str(), "a");
    assert_eq!(serde_json::from_slice::<Value>(&home).unwrap()["params"]["progressToken"], 5);
    let cancelled =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    assert_eq!(Door::of("a").seen(&cancelled)["params"]["requestId"], "a:1");
}

#[test]
fn what_names_a_resource_is_renamed_wherever_it_stands() {
    let door = Door::of("a");
    let result = |result: Value| json!({ "jsonrpc": "2.0", "id": 1, "result": result });
    let read = door.seen(&result(json!({ "contents": [{ "uri": "ui://x", "text": "ui://x" }] })));
    assert_eq!(read["result"]["contents"][0], json!({ "uri": "ui://a__x", "text": "ui://x" }));
    let called = door.seen(&result(json!({ "content": [
        { "type": "resource_link", "uri": "t://1", "name": "n" },
        { "type": "resource", "resource": { "uri": "t://2", "text": "" } },
        { "type": "text", "text": "t://3", "uri": "t://3" },
    ], "structuredContent": { "uri": "t://4" } })));
    assert_eq!(called["result"]["content"][0]["uri"], "t://a__1");
    assert_eq!(called["result"]["content"][1]["resource"]["uri"], "t://a__2");
    assert_eq!(called["result"]["content"][2]["uri"], "t://3");
    assert_eq!(called["result"]["structuredContent"]["uri"], "t://4", "a tool's own data is its own");
    let prompt = door.seen(&result(json!({ "messages": [
        { "role": "user", "content": { "type": "resource", "resource": { "uri": "t://1", "text": "" } } }] })));
    assert_eq!(prompt["result"]["messages"][0]["content"]["resource"]["uri"], "t://a__1");
    let updated = json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": { "uri": "t://1" } });
    assert_eq!(door.seen(&updated)["params"]["uri"], "t://a__1");
    assert_eq!(Door::of("b").seen(&updated), updated, "control: a plain server");
}

#[test]
fn what_names_nothing_keeps_its_bytes() {
    let door = Door::of("a");
    for text in [
        r#"{ "result":{"z":1.10,"n":123456789012345678901,"content":[{"type":"text","text":"hi"}]},"id":1,"jsonrpc":"2.0" }"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"uri"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":0.50}}"#,
    ] {
        let frame = Frame::parse_upstream(Bytes::from_static(text.as_bytes())).unwrap();
        assert_eq!(door.translator().to_client(&frame), None, "{text}");
    }
    // And what stands beside a name does too.
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"n":1.10, "contents":[ {"uri":"t://1","big":1e400} ] } , "more":1.0}"#;
    let frame = Frame::parse_upstream(Bytes::from_static(text.as_bytes())).unwrap();
    let expected = text.replace("t://1", "t://a__1");
    assert_eq!(door.translator().to_client(&frame).unwrap(), expected.as_bytes());
}

#[test]
fn items_of_lists_are_renamed() {
    let door = Door::of("a");
    let item = |kind, item: Value| -> Value {
        let seen = door.translator().item(kind, &item.to_string().into());
        seen.map_or(item, |seen| serde_json::from_slice(&seen).unwrap())
    };
    let tool =
        json!({ "name": "echo", "_meta": { "ui": { "resourceUri": "ui://x" }, "ui/resourceUri": "ui://y" } });
    let renamed = json!({ "name": "a__echo",
        "_meta": { "ui": { "resourceUri": "ui://a__x" }, "ui/resourceUri": "ui://a__y" } });
    assert_eq!(item(Kind::Tools, tool), renamed);
    assert_eq!(item(Kind::Prompts, json!({ "name": "p" })), json!({ "name": "a__p" }));
    assert_eq!(
        item(Kind::Resources, json!({ "uri": "t://1", "name": "n" })),
        json!({ "uri": "t://a__1", "name": "n" })
    );
    assert_eq!(
        item(Kind::Templates, json!({ "uriTemplate": "t://{x}" })),
        json!({ "uriTemplate": "t://a__{x}" })
    );
    assert_eq!(item(Kind::Tools, json!({ "title": "no name" })), json!({ "title": "no name" }));
}

#[test]
fn tasks_are_renamed_there_and_back() {
    let door = Door::of("a");
    let result = |result: Value| door.seen(&json!({ "jsonrpc": "2.0", "id": 1, "result": result }));
    let legacy = result(json!({ "task": { "taskId": "t", "status": "working" } }));
    let public = legacy["result"]["task"]["taskId"].as_str().unwrap().to_owned();
    assert!(public.starts_with("a__t."), "{public}");
    let modern = result(json!({ "resultType": "task", "taskId": "t", "status": "working" }));
    assert_eq!(modern["result"]["taskId"], public);
    let related = result(json!({ "content": [], "_meta": { RELATED_TASK: { "taskId": "t" } } }));
    assert_eq!(related["result"]["_meta"][RELATED_TASK]["taskId"], public);
    let link = json!({ "type": "resource_link", "uri": "test://x", "name": "x" });
    let ended =
        result(json!({ "taskId": "t", "status": "completed", "result": { "content": [link.clone()] } }));
    assert_eq!(ended["result"]["taskId"], public);
    assert_eq!(
        ended["result"]["result"]["content"][0]["uri"], "test://a__x",
        "what it came to is read here too"
    );
    for method in ["notifications/tasks", "notifications/tasks/status"] {
        let params = json!({ "taskId": "t", "status": "completed", "result": { "content": [link.clone()] } });
        let seen = door.seen(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
        assert_eq!(seen["params"]["taskId"], public, "{method}");
        assert_eq!(seen["params"]["result"]["content"][0]["uri"], "test://a__x", "{method}");
    }
    let own = result(json!({ "structuredContent": { "taskId": "t" } }));
    assert_eq!(own["result"]["structuredContent"]["taskId"], "t", "a tool's own data is its own");
    let asked = json!({ "jsonrpc": "2.0", "id": 1, "method": "elicitation/create",
        "params": { "_meta": { RELATED_TASK: { "taskId": "t" } } } });
    assert_eq!(door.seen(&asked)["params"]["_meta"][RELATED_TASK]["taskId"], public);
    let answered =
        json!({ "jsonrpc": "2.0", "id": 1, "result": { "_meta": { RELATED_TASK: { "taskId": public } } } });
    let frame = Frame::parse(answered.to_string().into()).unwrap();
    let home: Value = serde_json::from_slice(&door.translator().to_server(&frame).unwrap()).unwrap();
    assert_eq!(home["result"]["_meta"][RELATED_TASK]["taskId"], "t");
    let elsewhere = Door::of("b");
    assert_eq!(elsewhere.translator().to_server(&frame), None, "another server's task");
}

#[test]
fn m12_at_a_servers_own_door_its_tasks_alone_have_other_names() {
    let keys = Keys::derive(&[1; 32]).unwrap();
    let server: ServerName = "a".parse().unwrap();
    let names = Names::of_own_door(server.clone());
    let tasks = |credential| TaskIds { keys: &keys, principal: Principal::of(credential) };
    let translator = Translator { names: &names, tasks: tasks(Some("k1")), server: &server };
    let seen = |message: &Value| {
        let frame = Frame::parse_upstream(message.to_string().into()).unwrap();
        translator.to_client_of_own_door(&frame).map(|seen| serde_json::from_slice::<Value>(&seen).unwrap())
    };
    // A name that reads as one of a federated door is one like any other here.
    let public = tasks(Some("k1")).public(&names, &server, "a__t");
    assert!(public.starts_with("a__t."), "{public}");
    assert_eq!(tasks(Some("k1")).resolve(&names, &public), Some((&server, "a__t")), "control");
    assert_eq!(tasks(Some("k2")).resolve(&names, &public), None);
    assert_eq!(tasks(Some("k1")).resolve(&names, "a__t"), None);

    let task = json!({ "taskId": "a__t", "status": "working" });
    let made = json!({ "jsonrpc": "2.0", "id": 1, "result": { "task": task } });
    assert_eq!(seen(&made).unwrap()["result"]["task"]["taskId"], public.as_str());
    let got = json!({ "jsonrpc": "2.0", "id": 1, "result": task });
    assert_eq!(seen(&got).unwrap()["result"]["taskId"], public.as_str());
    let listed = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tasks": [task], "nextCursor": "c" } });
    assert_eq!(seen(&listed).unwrap()["result"]["tasks"][0]["taskId"], public.as_str());
    let told = json!({ "jsonrpc": "2.0", "method": "notifications/tasks/status", "params": task });
    assert_eq!(seen(&told).unwrap()["params"]["taskId"], public.as_str());
    let asks = json!({ "jsonrpc": "2.0", "id": 4, "method": "elicitation/create",
        "params": { "_meta": { "progressToken": 5, RELATED_TASK: { "taskId": "a__t" } } } });
    let asked = seen(&asks).unwrap();
    assert_eq!(asked["params"]["_meta"][RELATED_TASK]["taskId"], public.as_str());
    assert_eq!((&asked["id"], &asked["params"]["_meta"]["progressToken"]), (&json!(4), &json!(5)));
    for same in [
        json!({ "jsonrpc": "2.0", "id": 1, "result": { "contents": [{ "uri": "ui://a__x" }] } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } }),
        json!({ "jsonrpc": "2.0", "id": 4, "method": "sampling/createMessage", "params": {} }),
    ] {
        assert_eq!(seen(&same), None, "{same}");
    }
}
