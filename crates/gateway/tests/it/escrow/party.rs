//! A party of an escrow: an API key, and what it asks.

use std::ops::Deref;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::holder::{Holder, Told};
use crate::paid_calls::api_key;
use crate::world::{Gateway, command, soon};

/// A holder of an API key, at the doors of escrows.
#[derive(Clone)]
pub(crate) struct Party(Holder);

impl Deref for Party {
    type Target = Holder;

    fn deref(&self) -> &Holder {
        &self.0
    }
}

impl Party {
    /// A new key that the gateway knows, with so much credit.
    pub(crate) async fn new(gateway: &Gateway, credit: Option<&str>) -> Self {
        Self::holding(gateway, api_key(gateway), credit).await
    }

    /// The same with this key.
    pub(crate) async fn holding(gateway: &Gateway, key: (String, String), credit: Option<&str>) -> Self {
        let party = Self(Holder::of(gateway, key));
        if let Some(money) = credit {
            party.give(money);
        }
        party.until_known("/api/v1/escrow").await;
        party
    }

    /// The same party at another gateway.
    #[cfg(feature = "postgres")]
    pub(crate) async fn at(&self, gateway: &Gateway) -> Self {
        let party = Self(self.0.at(gateway));
        party.until_known("/api/v1/escrow").await;
        party
    }

    /// The same without a key.
    pub(crate) fn anonymous(&self) -> Self {
        Self(self.0.anonymous())
    }

    fn cli(&self, arguments: &[&str]) -> Value {
        let done = command(&self.folder).args(arguments).args(["--json", "--data", "data"]).output().unwrap();
        serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)))
    }

    /// Gives prepaid credit.
    pub(crate) fn give(&self, money: &str) {
        self.cli(&["credit", "add", &self.id, money]);
    }

    /// The prepaid credit that can be spent, in atomic units.
    pub(crate) fn credit(&self) -> u128 {
        let report = self.cli(&["ledger", "check"]);
        let account = format!("credit:{}", self.id);
        let rows = report["accounts"].as_array().unwrap();
        let Some(row) = rows.iter().find(|row| row["account"] == account.as_str()) else { return 0 };
        let [debits, credits] = ["debits_posted", "credits_posted"]
            .map(|side| row[side].as_str().unwrap().parse::<u128>().unwrap());
        credits - debits
    }

    /// Asks at `/api/v1/escrow` and the place behind it; `null` is no body.
    pub(crate) async fn ask(
        &self,
        method: Method,
        place: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Told {
        self.send(method, &format!("/api/v1/escrow{place}"), body, headers).await
    }

    /// One step of an escrow.
    pub(crate) async fn step(&self, id: &str, step: &str, body: &Value) -> Told {
        self.ask(Method::POST, &format!("/{id}/{step}"), body, &[]).await
    }

    /// Opens an escrow over 1 USDC.
    pub(crate) async fn open(&self, provider: &Self, more: &Value) -> String {
        let mut terms = json!({ "provider": provider.id, "amount": "1000000", "asset": "USDC" });
        terms.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.ask(Method::POST, "", &terms, &[]).await.done();
        made["escrow_id"].as_str().unwrap().to_owned()
    }
}

/// Waits until an escrow stands there.
pub(crate) async fn until_state(party: &Party, id: &str, state: &str) {
    soon(async {
        loop {
            let seen = party.ask(Method::GET, &format!("/{id}"), &Value::Null, &[]).await.done();
            if seen["state"] == state {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
