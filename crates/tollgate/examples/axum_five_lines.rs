//! An HTTP route that costs 0.01 USDC or 10 sat; the story of it is in `axum_five_lines.md`.

use std::net::SocketAddr;

use axum::{Router, routing::get};
use tollgate::{Paid, Settings, Tollgate};

async fn weather(paid: Paid) -> String {
    format!("Sunny. Thank you, {}.\n", paid.caller())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:4021".to_owned());
    let data = arguments.next().unwrap_or_else(|| "tollgate-data".to_owned());

    let tollgate = Tollgate::open(Settings::dev(data)).await?;
    let toll = tollgate.price("weather", "0.01USDC, 10sat")?;
    let app = Router::new().route("/weather", get(weather)).route_layer(toll).merge(tollgate.routes());

    let listener = tokio::net::TcpListener::bind(listen).await?;
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stopped()).await?;
    tollgate.close().await;
    Ok(())
}

async fn stopped() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
