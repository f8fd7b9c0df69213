use super::*;
use crate::ids::TaskIds;
use crate::keys::{Keys, Principal};
use crate::names::{Names, Separator};

#[test]
fn each_server_is_asked_for_its_part_and_the_words_of_all_become_one() {
    let servers: [tollgate_domain::ServerName; 2] = ["a", "b"].map(|name| name.parse().unwrap());
    let names = Names::new(Separator::default(), servers.clone(), Some(servers[1].clone()));
    let keys = Keys::derive(&[1; 32]).unwrap();
    let tasks = TaskIds { keys: &keys, principal: Principal::of(None) };
    let of = |at: usize| Translator { names: &names, tasks, server: &servers[at] };
    let task = tasks.public(&names, &servers[0], "t");
    let filter = json!({ "toolsListChanged": true, "promptsListChanged": false,
        "resourceSubscriptions": ["x://a__1", "x://2"], "taskIds": [task, "a__t.forged"], "future": 1 });
    let filter = filter.to_string();
    let own = |at: usize, tools_only| -> Value {
        of(at).filter(filter.as_bytes(), tools_only).map_or(Value::Null, |own| own.parse().unwrap())
    };
    let a = json!({ "toolsListChanged": true, "resourceSubscriptions": ["x://1"], "taskIds": ["t"], "future": 1 });
    assert_eq!(own(0, false), a);
    assert_eq!(
        own(1, false),
        json!({ "toolsListChanged": true, "resourceSubscriptions": ["x://2"], "future": 1 })
    );
    assert_eq!(own(0, true), json!({ "toolsListChanged": true, "taskIds": ["t"] }));
    assert_eq!(
        of(0).filter(br#"{"resourceSubscriptions":["x://2"]}"#, false),
        None,
        "nothing of this server's"
    );

    let honoured = [
        of(0).honoured(a.to_string().as_bytes()),
        of(1).honoured(br#"{"toolsListChanged":false,"resourceSubscriptions":["x://2"]}"#),
    ];
    let id = RequestId::from_raw("\"l\\u0031\"").unwrap();
    let said: Value = serde_json::from_slice(&acknowledged(&id, honoured)).unwrap();
    let notifications = &said["params"]["notifications"];
    assert_eq!(notifications["toolsListChanged"], true);
    assert_eq!(notifications["resourceSubscriptions"], json!(["x://a__1", "x://2"]));
    assert_eq!(notifications["taskIds"], json!([task]));
    assert_eq!(said["params"]["_meta"][SUBSCRIPTION_ID_KEY], "l1");
    let end: Value = serde_json::from_slice(&ended(&RequestId::integer(7))).unwrap();
    assert_eq!(end["result"]["_meta"][SUBSCRIPTION_ID_KEY], 7, "its type is preserved");
}
