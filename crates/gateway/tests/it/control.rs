//! Another configuration while the gateway serves: by its file, by a signal, over the admin API.

mod admin;
mod following;
mod processes;
mod reload;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::{Answer, get, send};

use crate::world::{Gateway, World, soon};

/// Makes an admin key; returns its id and secret.
pub(crate) fn admin_key(gateway: &Gateway) -> (String, String) {
    let made = gateway.cli(&["keys", "create", "--admin", "--name", "test", "--json"]);
    let key: Value = serde_json::from_slice(&made.stdout).unwrap();
    (key["id"].as_str().unwrap().to_owned(), key["secret"].as_str().unwrap().to_owned())
}

/// An operator with an admin key.
pub(crate) struct Operator {
    url: String,
    id: String,
    secret: String,
}

impl Operator {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        let (id, secret) = admin_key(gateway);
        Self { url: format!("{}/admin/v1", gateway.url), id, secret }
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        more: &[(&str, &str)],
    ) -> Answer {
        let bearer = format!("Bearer {}", self.secret);
        let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        headers.extend(more);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        send(method, &format!("{}{path}", self.url), &headers, Bytes::from(body)).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.ask(Method::GET, path, None, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json().unwrap()
    }

    /// What must succeed.
    pub(crate) async fn done(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answer = self.ask(method, path, body, &[]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json().unwrap()
    }

    async fn reload(&self) -> Answer {
        self.ask(Method::POST, "/reload", None, &[]).await
    }

    /// Writes the gateway's file and has it read.
    pub(crate) async fn serve(&self, gateway: &Gateway, yaml: &str) -> Value {
        replace(gateway, yaml);
        let answer = self.reload().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json().unwrap()
    }
}

/// Puts another file in the place of the gateway's, as editors do.
fn replace(gateway: &Gateway, yaml: &str) {
    let file = gateway.folder.join("tollgate.yaml");
    let beside = gateway.folder.join("tollgate.yaml~");
    std::fs::write(&beside, yaml).unwrap();
    std::fs::rename(&beside, &file).unwrap();
}

/// The file of a gateway in front of the journal, with this policy of `echo`.
fn yaml(world: &World, policy: &str) -> String {
    format!("servers:\n  up:\n    url: {}\n    tools:\n      echo: {policy}\n", world.journal.url())
}

/// What the payer is asked for `echo`.
async fn asked(world: &World) -> String {
    world.demand("echo", &json!({ "probe": true })).await.entry()["amount"].as_str().unwrap().to_owned()
}

/// Waits until the gateway names a price of the first tool.
async fn until_priced(gateway: &Gateway, amount: &str) {
    let tools = format!("{}/api/v1/tools", gateway.url);
    soon(async {
        while get(&tools, &[]).await.unwrap().json().unwrap()["tools"][0]["pricing"]["price"] != amount {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
