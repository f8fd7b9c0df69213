//! Somebody with an API key who withdraws.

use std::ops::Deref;
use std::time::Duration;

use http::Method;
use serde_json::Value;

use crate::holder::{Holder, Told};
use crate::world::{Gateway, World, soon};

/// A holder of an API key, at the doors of payouts.
#[derive(Clone)]
pub(crate) struct Withdrawer(Holder);

impl Deref for Withdrawer {
    type Target = Holder;

    fn deref(&self) -> &Holder {
        &self.0
    }
}

impl Withdrawer {
    /// A new key.
    pub(crate) fn new(gateway: &Gateway) -> Self {
        Self(Holder::new(gateway))
    }

    /// The same at another gateway.
    #[cfg(feature = "postgres")]
    pub(crate) fn at(&self, gateway: &Gateway) -> Self {
        Self(self.0.at(gateway))
    }

    /// The same without a key.
    pub(crate) fn anonymous(&self) -> Self {
        Self(self.0.anonymous())
    }

    /// Asks for a payout under a key of the caller's own.
    pub(crate) async fn request(&self, key: &str, body: &Value) -> Told {
        self.send(Method::POST, "/api/v1/payouts", body, &[("idempotency-key", key)]).await
    }

    /// The same at a gateway that may die before it has answered: `None`.
    pub(crate) async fn request_of_the_dying(&self, key: &str, body: &Value) -> Option<Told> {
        self.try_send(Method::POST, "/api/v1/payouts", body, &[("idempotency-key", key)]).await.ok()
    }

    /// The same without an idempotency key.
    pub(crate) async fn without_key(&self, body: &Value) -> Told {
        self.send(Method::POST, "/api/v1/payouts", body, &[]).await
    }

    pub(crate) async fn show(&self, id: &str) -> Told {
        self.get(&format!("/api/v1/payouts/{id}")).await
    }

    pub(crate) async fn cancel(&self, id: &str) -> Told {
        self.send(Method::POST, &format!("/api/v1/payouts/{id}/cancel"), &Value::Null, &[]).await
    }

    /// Asks until the gateway knows the key and whose it is.
    pub(crate) async fn until_allowed(&self) {
        self.until_known("/api/v1/payouts").await;
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
