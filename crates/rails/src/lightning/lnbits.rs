//! An LNbits wallet over its REST API, with the invoice/read key only: it can receive and look up, never spend.
//!
//! Read leniently (LNbits and what imitates it disagree about field names), believed never: the invoice in an answer is
//! parsed and must be over the satoshi that were asked for and carry the payment hash that the answer names.

mod payout;

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri};
use serde::Deserialize;
use serde_json::json;
use tollgate_domain::{Amount, UnixMillis};
use tollgate_egress::Client;
use zeroize::Zeroizing;

use super::invoice::InvoiceFacts;
use super::{Invoice, InvoiceRequest, InvoiceState, LightningWallet, Preimage, WalletError};
use crate::rail::RailFuture;

pub use self::payout::LnbitsPayouts;

const PAYMENTS_PATH: &str = "/api/v1/payments";

/// An LNbits wallet.
pub struct LnbitsWallet {
    base: String,
    key: Zeroizing<String>,
    client: Client,
}

/// Why an LNbits wallet cannot be configured like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LnbitsConfigError {
    /// The base URL is not `http(s)://host[/path]`.
    #[error("the LNbits URL is not of the form https://host or https://host/path")]
    Url,
    /// The key is empty or cannot stand in a header.
    #[error("the LNbits invoice/read key is not a word of visible ASCII characters")]
    Key,
}

impl LnbitsWallet {
    /// A wallet at `base_url` (`LNBITS_URL`), with its invoice/read key (`LNBITS_INVOICE_KEY`; never an admin key).
    /// Whether the address may be reached at all is decided by the client's policy.
    ///
    /// # Errors
    /// [`LnbitsConfigError`]: which of the two is malformed.
    pub fn new(base_url: &str, invoice_key: &str, client: Client) -> Result<Self, LnbitsConfigError> {
        let base = base_url.trim_end_matches('/');
        let uri: Uri = base.parse().map_err(|_| LnbitsConfigError::Url)?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_web || uri.host().is_none_or(str::is_empty) || uri.query().is_some() || base.contains('@') {
            return Err(LnbitsConfigError::Url);
        }
        if invoice_key.is_empty() || !invoice_key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(LnbitsConfigError::Key);
        }
        Ok(Self { base: base.to_owned(), key: Zeroizing::new(invoice_key.to_owned()), client })
    }

    fn request(&self, builder: http::request::Builder, body: Bytes) -> Result<Request<Bytes>, WalletError> {
        let mut key =
            HeaderValue::from_str(&self.key).map_err(|error| WalletError::Request(error.to_string()))?;
        key.set_sensitive(true);
        builder
            .header("x-api-key", key)
            .header(http::header::ACCEPT, "application/json")
            .body(body)
            .map_err(|error| WalletError::Request(error.to_string()))
    }

    async fn send(&self, request: Request<Bytes>) -> Result<(StatusCode, Bytes), WalletError> {
        let answer =
            self.client.send(request).await.map_err(|error| WalletError::Unreachable(Box::new(error)))?;
        Ok((answer.status(), answer.into_body()))
    }
}

impl LightningWallet for LnbitsWallet {
    fn name(&self) -> &'static str {
        "lnbits"
    }

    fn create_invoice(&self, request: InvoiceRequest) -> RailFuture<'_, Result<Invoice, WalletError>> {
        Box::pin(async move {
            let body = json!({
                "out": false,
                "amount": request.sats,
                "unit": "sat",
                "memo": request.memo,
                "expiry": request.expiry_seconds,
            });
            let builder = Request::post(format!("{}{PAYMENTS_PATH}", self.base))
                .header(http::header::CONTENT_TYPE, "application/json");
            let (status, body) = self.send(self.request(builder, Bytes::from(body.to_string()))?).await?;
            created(status, &body, request.sats)
        })
    }

    fn look_up(
        &self,
        payment_hash: [u8; 32],
        _now: UnixMillis,
    ) -> RailFuture<'_, Result<InvoiceState, WalletError>> {
        Box::pin(async move {
            let builder = Request::get(format!("{}{PAYMENTS_PATH}/{}", self.base, hex::encode(payment_hash)));
            let (status, body) = self.send(self.request(builder, Bytes::new())?).await?;
            looked_up(status, &body, &payment_hash)
        })
    }
}

impl fmt::Debug for LnbitsWallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LnbitsWallet({}, [redacted])", self.base)
    }
}

/// The answer to a created payment; older servers and imitators use the other name of each pair.
#[derive(Deserialize)]
struct Created {
    payment_hash: Option<String>,
    checking_id: Option<String>,
    bolt11: Option<String>,
    payment_request: Option<String>,
}

#[derive(Deserialize)]
struct LookedUp {
    paid: Option<bool>,
    preimage: Option<String>,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    paid: Option<bool>,
    preimage: Option<String>,
    status: Option<String>,
    /// Millisatoshi; what came in is positive.
    amount: Option<i64>,
}

/// Reads the answer to `POST /api/v1/payments`.
fn created(status: StatusCode, body: &[u8], sats: u64) -> Result<Invoice, WalletError> {
    refuse_failures(status, body)?;
    // LNbits' own rate limiter answers without an invoice: the wallet is busy, whatever the status says.
    let busy = |missing: &str| WalletError::Busy(format!("its answer has no {missing}"));
    let answer: Created =
        serde_json::from_slice(body).map_err(|error| WalletError::Answer(error.to_string()))?;
    let payment_hash = answer.payment_hash.or(answer.checking_id).ok_or_else(|| busy("payment hash"))?;
    let bolt11 =
        answer.bolt11.or(answer.payment_request).ok_or_else(|| busy("invoice"))?.to_ascii_lowercase();
    let facts = InvoiceFacts::read(&bolt11).map_err(|error| WalletError::OtherInvoice(error.to_string()))?;
    let asked = Amount::new(u128::from(sats).saturating_mul(1000));
    if facts.amount != Some(asked) {
        let found = facts.amount.map_or_else(|| "any amount".to_owned(), |amount| format!("{amount} msat"));
        return Err(WalletError::OtherInvoice(format!("it is over {found}, asked for were {asked} msat")));
    }
    if !payment_hash.eq_ignore_ascii_case(&hex::encode(facts.payment_hash)) {
        return Err(WalletError::OtherInvoice("its payment hash is not the one beside it".to_owned()));
    }
    Ok(Invoice { bolt11, payment_hash: facts.payment_hash })
}

/// Reads the answer to `GET /api/v1/payments/{hash}`.
fn looked_up(status: StatusCode, body: &[u8], payment_hash: &[u8; 32]) -> Result<InvoiceState, WalletError> {
    if status == StatusCode::NOT_FOUND {
        return Ok(InvoiceState::Unknown);
    }
    refuse_failures(status, body)?;
    let answer: LookedUp =
        serde_json::from_slice(body).map_err(|error| WalletError::Answer(error.to_string()))?;
    let details = answer.details.as_ref();
    let paid = answer.paid == Some(true) || details.is_some_and(|details| details.paid == Some(true));
    if !paid {
        let failed = details.and_then(|details| details.status.as_deref()) == Some("failed");
        return Ok(if failed { InvoiceState::Cancelled } else { InvoiceState::Open });
    }
    // Kept only when it really opens the hash: some wallets send zeros, some send none.
    let told = answer.preimage.as_deref().or(details.and_then(|details| details.preimage.as_deref()));
    let preimage =
        told.and_then(|text| Preimage::parse(text).ok()).filter(|preimage| preimage.opens(payment_hash));
    let amount = details.and_then(|details| details.amount).and_then(|msat| u64::try_from(msat).ok());
    let amount = amount.map(|msat| Amount::new(msat.into()));
    Ok(InvoiceState::Settled { preimage, amount })
}

fn refuse_failures(status: StatusCode, body: &[u8]) -> Result<(), WalletError> {
    if status.is_success() {
        return Ok(());
    }
    Err(match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            WalletError::Busy(format!("HTTP status {status}"))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => WalletError::Forbidden(status.as_u16()),
        _ => WalletError::Answer(format!("HTTP status {status}, {}", detail(body))),
    })
}

/// LNbits' own words (`{"detail": "…"}`), cut short and without control characters.
fn detail(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    serde_json::from_slice::<Problem>(body).map_or_else(
        |_| "without a reason".to_owned(),
        |problem| problem.detail.chars().filter(|c| !c.is_control()).take(120).collect(),
    )
}

#[cfg(test)]
mod tests;
