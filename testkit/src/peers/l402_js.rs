//! A published L402 client (npm `@getalby/lightning-tools`) that pays from an LNbits wallet.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::install::{NodeSet, node};
use super::lnbits::Lnbits;
use super::{PeerError, client};

/// What a paid request came to.
#[derive(Clone, Debug, Deserialize)]
pub struct PaidRequest {
    /// The final answer's status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body as text.
    pub body: String,
    /// Each invoice the wallet paid on the way.
    pub paid: Vec<PaidInvoice>,
}

/// An invoice and the proof that it is paid.
#[derive(Clone, Debug, Deserialize)]
pub struct PaidInvoice {
    /// BOLT11.
    pub invoice: String,
    /// 32 bytes of hex.
    pub preimage: String,
}

/// A request before payment.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Where to.
    pub url: &'a str,
    /// For example `POST`.
    pub method: &'a str,
    /// May be empty.
    pub body: &'a str,
    /// A JSON object of strings; `Value::Null` for none.
    pub headers: &'a Value,
}

/// The installed client.
#[derive(Clone, Debug)]
pub struct L402Js {
    packages: NodeSet,
}

impl L402Js {
    /// Installs the client.
    ///
    /// # Errors
    /// [`PeerError::Skip`] without Node and npm.
    pub async fn install() -> Result<Self, PeerError> {
        Ok(Self { packages: NodeSet::install("peers/l402-js").await? })
    }

    /// Sends a request and pays if asked, with the payer's wallet.
    ///
    /// # Errors
    /// [`PeerError::Refused`] when the client throws, for example because the wallet refused the invoice.
    pub async fn fetch(&self, wallet: &Lnbits, request: Request<'_>) -> Result<PaidRequest, PeerError> {
        let script = self.packages.script("peers/l402-js/pay.mjs")?;
        let mut command = node(&script);
        command.args([request.url, request.method, request.body, wallet.url(), wallet.payer_admin_key()]);
        if !request.headers.is_null() {
            command.arg(request.headers.to_string());
        }
        client::run(command).await
    }
}

#[cfg(test)]
mod tests;
