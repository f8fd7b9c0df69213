//! Paying Lightning invoices: the port, and the wallet of a gateway in dev mode.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request};
use serde::{Deserialize, Serialize};
use tollgate_egress::{Client, EgressError};
use tollgate_rails::lightning::Preimage;

/// A boxed future: wallets are a run-time plural.
pub type LightningFuture<'a> = Pin<Box<dyn Future<Output = Result<Preimage, LightningError>> + Send + 'a>>;

/// A wallet that pays invoices.
pub trait LightningPayer: Send + Sync {
    /// What people call this wallet.
    fn name(&self) -> &str;

    /// Pays this BOLT11 invoice and returns the preimage. Paying an invoice again that is already paid returns the same
    /// preimage and moves nothing (BOLT 11 invoices are paid at most once).
    fn pay<'a>(&'a self, bolt11: &'a str) -> LightningFuture<'a>;
}

/// Why there is no preimage.
#[derive(Debug, thiserror::Error)]
pub enum LightningError {
    /// The wallet did not pay.
    #[error("the Lightning wallet did not pay: {0}")]
    Refused(String),
    /// The wallet gave no definite answer; it may have paid.
    #[error("the Lightning wallet gave no definite answer")]
    Unclear(#[source] EgressError),
    /// The wallet answered with something that is no preimage.
    #[error("the Lightning wallet answered without a preimage: {0}")]
    Malformed(String),
}

/// The wallet of a Tollgate in dev mode, which pays its own regtest invoices: `POST {gateway}/dev/lightning/pay`.
#[derive(Clone)]
pub struct DevLightning {
    client: Client,
    endpoint: String,
}

#[derive(Serialize)]
struct PayRequest<'a> {
    bolt11: &'a str,
}

#[derive(Deserialize)]
struct PayAnswer {
    preimage: String,
}

impl DevLightning {
    /// The dev wallet of the gateway at `gateway`, such as `http://127.0.0.1:3100`.
    pub fn new(client: Client, gateway: &str) -> Self {
        Self { client, endpoint: format!("{}/dev/lightning/pay", gateway.trim_end_matches('/')) }
    }

    async fn pay_invoice(&self, bolt11: &str) -> Result<Preimage, LightningError> {
        let body = serde_json::to_vec(&PayRequest { bolt11 }).unwrap_or_default();
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.endpoint)
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .map_err(|_| LightningError::Refused(format!("{} is no URL", self.endpoint)))?;
        let answer = match self.client.send(request).await {
            Ok(answer) => answer,
            Err(error) if error.nothing_was_sent() => return Err(LightningError::Refused(error.to_string())),
            Err(error) => return Err(LightningError::Unclear(error)),
        };
        if !answer.status().is_success() {
            return Err(LightningError::Refused(format!("{} answered {}", self.endpoint, answer.status())));
        }
        let malformed = || LightningError::Malformed(format!("{} bytes of body", answer.body().len()));
        let answer: PayAnswer = serde_json::from_slice(answer.body()).map_err(|_| malformed())?;
        let mut preimage = [0; 32];
        hex::decode_to_slice(&answer.preimage, &mut preimage).map_err(|_| malformed())?;
        Ok(Preimage::new(preimage))
    }
}

impl LightningPayer for DevLightning {
    fn name(&self) -> &str {
        "dev"
    }

    fn pay<'a>(&'a self, bolt11: &'a str) -> LightningFuture<'a> {
        Box::pin(self.pay_invoice(bolt11))
    }
}

impl fmt::Debug for DevLightning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevLightning").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
