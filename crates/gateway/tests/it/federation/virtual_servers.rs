//! Virtual servers: a selection of tools across servers, and nothing else.

use serde_json::json;
use tollgate_testkit::journal_server::{Behaviour, Script};

use super::{Session, Two, modern, names, result};
use crate::world::{Demand, PRICED, call, code, delivered};

#[tokio::test]
async fn a_virtual_server_offers_its_selection_and_nothing_else() {
    let script = || Script::echo().tool("read_a", Behaviour::Echo).tool("read_b", Behaviour::Echo);
    let policy = format!(", tools: {{ echo: {PRICED} }}");
    let more = "virtual:\n  sel: { tools: [a/echo, 'b/read_*', b/echo] }\n  other: { tools: [a/read_a] }\n";
    let two = Two::new([script(), script()], ["", &policy], more).await;
    let url = format!("{}/servers/sel/mcp", two.gateway.url);
    let session = Session::open(&url).await;
    assert_eq!(session.opened["capabilities"], json!({ "tools": { "listChanged": true } }));
    let offered = ["a__echo", "b__echo", "b__read_a", "b__read_b"];
    assert_eq!(names(&result(&modern(&url, "tools/list", &json!({})).await)), offered);
    assert_eq!(names(&result(&session.ask("tools/list", &json!({})).await)), offered);
    delivered(&call(&url, "b__read_a", &json!({}), &json!({}), &[]).await);
    delivered(&session.call("a__echo", &json!({})).await);
    Demand::read(&session.call("b__echo", &json!({})).await);
    assert_eq!((two.a.executions(), two.b.executions()), (1, 1), "its price holds here, too");
    for hidden in ["a__read_a", "a__read_b", "echo"] {
        let refused = call(&url, hidden, &json!({}), &json!({}), &[]).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (404, "unknown_tool"), "{hidden}");
        let refused = session.call(hidden, &json!({})).await;
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (200, "unknown_tool"), "{hidden}");
    }
    for method in ["prompts/list", "resources/list", "resources/templates/list"] {
        assert_eq!(
            modern(&url, method, &json!({})).await.json().unwrap()["error"]["code"],
            -32_601,
            "{method}"
        );
    }
    let other = Session { url: format!("{}/servers/other/mcp", two.gateway.url), ..session.clone() };
    assert_eq!(other.ask("tools/list", &json!({})).await.status, 404, "a session is its door's");
    let control = Session::open(&other.url).await;
    assert_eq!(names(&result(&control.ask("tools/list", &json!({})).await)), ["a__read_a"]);
    assert_eq!((two.a.executions(), two.b.executions()), (1, 1));
}
