//! `kill -9` at every step of a payout: it is paid once, and the books balance.

use serde_json::{Value, json};
use tollgate_testkit::http::get;

use super::withdrawer::{Withdrawer, reload};
use super::{WALLET, asked, earned};
use crate::world::{Gateway, PRICE, soon};

/// Waits until the gateway has died of its failpoint.
pub(super) async fn until_dead(gateway: &Gateway) {
    let ready = format!("{}/readyz", gateway.url);
    soon(async {
        while get(&ready, &[]).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Asks for a payout at whose failpoint the gateway dies, starts it again, and gives the payout's id.
///
/// A payout is driven from when it is in the ledger on, so its answer may die with the gateway: as any caller would,
/// the same is asked again under the same key.
pub(super) async fn asked_and_killed(
    gateway: Gateway,
    acme: &Withdrawer,
    key: &str,
    body: &Value,
) -> (Gateway, String) {
    let first = acme.request_of_the_dying(key, body).await;
    until_dead(&gateway).await;
    let gateway = gateway.killed_and_restarted().await;
    acme.until_allowed().await;
    let again = acme.request(key, body).await.done();
    if let Some(first) = first {
        assert_eq!(first.done()["payout_id"], again["payout_id"]);
    }
    (gateway, again["payout_id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn f42_killed_at_every_step_a_payout_in_the_sandbox_is_paid_once() {
    for failpoint in ["payout_held", "payout_submitted", "payout_sent", "payout_recorded"] {
        let mut world = earned(2, &[("TOLLGATE_FAILPOINT", failpoint)]).await;
        let acme = Withdrawer::new(&world.gateway);
        let settings =
            super::settings(&[&acme.id], "").replace("cool_off_seconds: 3600", "cool_off_seconds: 0");
        reload(&world, &settings);
        acme.until_allowed().await;
        let id;
        (world.gateway, id) = asked_and_killed(world.gateway, &acme, "once", &asked(PRICE)).await;
        acme.until_state(&id, "settled").await;
        let again = acme.request("once", &asked(PRICE)).await.done();
        assert_eq!(again["payout_id"], json!(id), "{failpoint}");
        assert_eq!(world.gateway.sandbox_balance(WALLET).await, PRICE, "{failpoint}: paid once");
        assert_eq!(world.gateway.account("payable:up"), [PRICE, 2 * PRICE, 0, 0], "{failpoint}");
        world.gateway.assert_books_in_order();
    }
}
