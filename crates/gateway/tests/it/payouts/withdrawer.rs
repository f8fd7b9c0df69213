//! Somebody with an API key who withdraws.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::send;

use crate::paid_calls::api_key;
use crate::world::{Gateway, World, soon};

/// A holder of an API key.
#[derive(Clone)]
pub(crate) struct Withdrawer {
    pub(crate) id: String,
    secret: Option<String>,
    url: String,
}

/// What was answered.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Told {
    #[track_caller]
    pub(crate) fn done(self) -> Value {
        assert!(self.status == 200 || self.status == 201, "{} {}", self.status, self.body);
        self.body
    }

    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, &self.body["error"]["code"]), (status, &json!(code)), "{}", self.body);
    }
}

impl Withdrawer {
    /// A new key.
    pub(crate) fn new(gateway: &Gateway) -> Self {
        let (id, secret) = api_key(gateway);
        Self { id, secret: Some(secret), url: gateway.url.clone() }
    }

    /// The same at another gateway.
    pub(crate) fn at(&self, gateway: &Gateway) -> Self {
        Self { id: self.id.clone(), secret: self.secret.clone(), url: gateway.url.clone() }
    }

    /// The same without a key.
    pub(crate) fn anonymous(&self) -> Self {
        Self { id: self.id.clone(), secret: None, url: self.url.clone() }
    }

    async fn ask(&self, method: Method, path: &str, body: &Value, headers: &[(&str, &str)]) -> Told {
        let key = self.secret.as_ref().map(|secret| format!("Bearer {secret}"));
        let mut all = headers.to_vec();
        all.extend(key.as_deref().map(|key| ("authorization", key)));
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let answer = send(method, &format!("{}{path}", self.url), &all, body).await.unwrap();
        Told { status: answer.status.as_u16(), body: answer.json().unwrap_or_default() }
    }

    /// Asks for a payout under a key of the caller's own.
    pub(crate) async fn request(&self, key: &str, body: &Value) -> Told {
        self.ask(Method::POST, "/api/v1/payouts", body, &[("idempotency-key", key)]).await
    }

    /// The same without an idempotency key.
    pub(crate) async fn without_key(&self, body: &Value) -> Told {
        self.ask(Method::POST, "/api/v1/payouts", body, &[]).await
    }

    pub(crate) async fn get(&self, path: &str) -> Told {
        self.ask(Method::GET, path, &Value::Null, &[]).await
    }

    pub(crate) async fn show(&self, id: &str) -> Told {
        self.get(&format!("/api/v1/payouts/{id}")).await
    }

    pub(crate) async fn cancel(&self, id: &str) -> Told {
        self.ask(Method::POST, &format!("/api/v1/payouts/{id}/cancel"), &Value::Null, &[]).await
    }

    /// Asks until the gateway knows the key and whose it is.
    pub(crate) async fn until_allowed(&self) {
        soon(async {
            while self.get("/api/v1/payouts").await.status != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// Asks until a payout is in this state.
    pub(crate) async fn until_state(&self, id: &str, state: &str) -> Value {
        soon(async {
            loop {
                let shown = self.show(id).await;
                if shown.body["state"] == state {
                    return shown.body;
                }
                assert!(
                    !["settled", "failed", "cancelled"]
                        .contains(&shown.body["state"].as_str().unwrap_or_default()),
                    "{}",
                    shown.body
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }
}

/// Puts other settings of payouts in place of those at the end of the configuration, and has them read.
pub(crate) fn reload(world: &World, settings: &str) {
    reload_at(&world.gateway, settings);
}

/// The same for any gateway.
pub(crate) fn reload_at(gateway: &Gateway, settings: &str) {
    let file = gateway.folder.join("tollgate.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, after) = text.split_once("payouts:\n").unwrap();
    // What follows at the left edge is another part of the configuration.
    let rest = after.find("\npayment:").map_or("", |at| &after[at + 1..]);
    std::fs::write(&file, format!("{before}{settings}{rest}")).unwrap();
    let done = gateway.cli(&["reload", "--url", &gateway.url]);
    assert!(done.status.success(), "{done:?}");
}
