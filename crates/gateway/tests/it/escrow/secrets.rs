//! What a webhook's address may hold.

use tollgate_testkit::peers::port;

use super::*;

const KEY: &str = "k3y0f7heW3bh00k4Me61at0r";
const TOKEN: &str = "t0k3nInTheQuery0fAW3bh00k";

#[tokio::test]
async fn n6_where_a_webhook_goes_is_not_said_when_it_fails() {
    let nobody = port::free().unwrap();
    let settings = format!(
        "escrow:\n  mediation: {{ url: 'http://127.0.0.1:{nobody}/hooks/{KEY}?token={TOKEN}', secret: {}, \
         retry_ms: 1, attempts: 2 }}\n",
        service::SECRET
    );
    let world = world(&settings).await;
    let (payer, _, id) = given_up(&world).await;
    let log = world.gateway.whole_log();
    let line = log.lines().find(|line| line.contains("the operator may rule")).unwrap();
    assert!(line.contains(&id) && line.contains("could not"), "control: what failed is said: {line}");
    let page = tollgate_testkit::http::get(&format!("{}/metrics", world.gateway.url), &[]).await.unwrap();
    let seen = payer.ask(Method::GET, &format!("/{id}"), &Value::Null, &[]).await;
    for (what, text) in [("log", log), ("metrics", page.text()), ("escrow", seen.done().to_string())] {
        for secret in [KEY, TOKEN, service::SECRET] {
            assert!(!text.contains(secret), "{secret} in {what}: {text}");
        }
    }
}
