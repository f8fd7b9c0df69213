//! Published clients in front of a toll.

use serde_json::Value;
use tollgate::{LightningSettings, Settings, Tollgate};
use tollgate_testkit::peers::l402_js::Request;
use tollgate_testkit::peers::{L402Js, Lnbits, available};

use crate::world::{Runs, serve};

#[tokio::test]
async fn the_published_l402_client_pays_a_route_from_a_real_wallet() {
    let (Some(client), Some(lnbits)) = (available(L402Js::install().await), available(Lnbits::start().await))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let lightning = LightningSettings {
        lnbits_url: Some(lnbits.url().to_owned()),
        lnbits_invoice_key: Some(lnbits.gate_invoice_key().to_owned()),
        network: Some("regtest".to_owned()),
        ttl_seconds: None,
    };
    let settings = Settings::live(folder.path()).lightning(lightning);
    let tollgate = Tollgate::open(settings).await.unwrap();
    let runs = Runs::default();
    let app = {
        let toll = tollgate.price("weather", "10sat").unwrap();
        let runs = runs.clone();
        let handler = move |paid: tollgate::Paid| async move {
            runs.one_more();
            format!("paid by {:?}", paid.payment().map(|payment| payment.rail))
        };
        axum::Router::new().route("/weather", axum::routing::get(handler).route_layer(toll))
    };
    let url = format!("{}/weather", serve(app).await);
    let request = Request { url: &url, method: "GET", body: "", headers: &Value::Null };
    let paid = client.fetch(&lnbits, request).await.unwrap();
    assert_eq!((paid.status, paid.body.as_str(), paid.paid.len()), (200, "paid by Some(L402)", 1));
    assert!(paid.headers.contains_key("tollgate-receipt"));
    assert_eq!(runs.count(), 1);
    assert!(tollgate.price("usdc", "0.01USDC").is_err(), "no rail takes it, so nobody could pay");
}
