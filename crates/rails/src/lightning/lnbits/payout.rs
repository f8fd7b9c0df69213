//! Payouts over Lightning: an invoice of a listed node, paid by an LNbits wallet with its admin key.
//!
//! A payment hash is paid at most once by a wallet, so the invoice and the wallet's id are the instruction. Without the id, a key of another wallet
//! would be told that there is no such payment, and it would be made again.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use tollgate_domain::{Amount, UnixMillis};
use tollgate_egress::Client;

use super::{LnbitsConfigError, LnbitsWallet, PAYMENTS_PATH};
use crate::lightning::{InvoiceFacts, WalletError, invoice_payee};
use crate::payout::{PayoutOrder, PayoutRail, Prepared};
use crate::rail::{RailFuture, SettlementAnswer};

const WALLET_PATH: &str = "/api/v1/wallet";

/// How long an invoice must still be payable when it is asked for and when it is sent first.
const LEFT_MS_MIN: u64 = 30_000;
/// How long after an invoice has expired a wallet that knows no payment of it is believed: a request may have been on its way.
const SETTLED_AFTER_MS: u64 = 600_000;

/// Pays invoices from an LNbits wallet.
pub struct LnbitsPayouts {
    wallet: LnbitsWallet,
}

impl fmt::Debug for LnbitsPayouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LnbitsPayouts({:?})", self.wallet)
    }
}

/// An invoice, and the id of the wallet that pays it: `BOLT11@ID`.
struct Instruction<'a> {
    bolt11: &'a str,
    /// `None` in one of an earlier version.
    wallet: Option<&'a str>,
}

impl<'a> Instruction<'a> {
    fn read(text: &'a str) -> Self {
        let parts = text.split_once('@');
        Self { bolt11: parts.map_or(text, |parts| parts.0), wallet: parts.map(|parts| parts.1) }
    }
}

/// What the wallet has of a payment hash.
enum Found {
    Nothing,
    Incoming,
    Outgoing(Outgoing, u128),
}

enum Outgoing {
    Paid,
    Failed,
    Pending,
}

/// The answer to `GET /api/v1/wallet`.
#[derive(Deserialize)]
struct Wallet {
    /// Told to its admin key alone.
    id: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    paid: bool,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    /// In millisatoshi; what goes out is below zero.
    amount: i64,
    #[serde(default)]
    status: Option<String>,
}

impl LnbitsPayouts {
    /// Pays from the wallet of this admin key at `base_url`.
    ///
    /// # Errors
    /// [`LnbitsConfigError`].
    pub fn new(base_url: &str, admin_key: &str, client: Client) -> Result<Self, LnbitsConfigError> {
        Ok(Self { wallet: LnbitsWallet::new(base_url, admin_key, client)? })
    }

    async fn found(&self, hash: &[u8; 32]) -> Result<Found, WalletError> {
        let builder = Request::get(format!("{}{PAYMENTS_PATH}/{}", self.wallet.base, hex::encode(hash)));
        let (status, body) = self.wallet.send(self.wallet.request(builder, Bytes::new())?).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(Found::Nothing);
        }
        super::refuse_failures(status, &body)?;
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|error| WalletError::Answer(error.to_string()))?;
        let details = answer
            .details
            .ok_or_else(|| WalletError::Answer("it has no details of the payment".to_owned()))?;
        if details.amount >= 0 {
            return Ok(Found::Incoming);
        }
        let outgoing = match (answer.paid, details.status.as_deref()) {
            (true, _) | (_, Some("success")) => Outgoing::Paid,
            (false, Some("failed")) => Outgoing::Failed,
            (false, _) => Outgoing::Pending,
        };
        Ok(Found::Outgoing(outgoing, u128::from(details.amount.unsigned_abs())))
    }

    /// The id of the wallet whose key this is.
    async fn id(&self) -> Result<String, WalletError> {
        let builder = Request::get(format!("{}{WALLET_PATH}", self.wallet.base));
        let (status, body) = self.wallet.send(self.wallet.request(builder, Bytes::new())?).await?;
        super::refuse_failures(status, &body)?;
        let answer: Wallet =
            serde_json::from_slice(&body).map_err(|error| WalletError::Answer(error.to_string()))?;
        answer.id.ok_or_else(|| {
            WalletError::Answer("it has no id of the wallet: is the key its admin key?".to_owned())
        })
    }

    /// That this is the wallet whom an instruction was for.
    async fn must_be(&self, wallet: Option<&str>) -> Result<(), WalletError> {
        let Some(wallet) = wallet else { return Ok(()) };
        let id = self.id().await?;
        if id == wallet { Ok(()) } else { Err(WalletError::OtherWallet { given: wallet.to_owned(), id }) }
    }

    /// What the wallet has of a payment that `wallet` was told to make. That another one has nothing says nothing.
    async fn found_in(&self, wallet: Option<&str>, hash: &[u8; 32]) -> Result<Found, WalletError> {
        let found = self.found(hash).await?;
        if matches!(found, Found::Nothing) {
            self.must_be(wallet).await?;
        }
        Ok(found)
    }

    async fn pay(&self, bolt11: &str) -> Result<(), WalletError> {
        let body = json!({ "out": true, "bolt11": bolt11 });
        let builder = Request::post(format!("{}{PAYMENTS_PATH}", self.wallet.base))
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (status, body) =
            self.wallet.send(self.wallet.request(builder, Bytes::from(body.to_string()))?).await?;
        super::refuse_failures(status, &body)
    }

    async fn look_up_now(&self, instruction: &str, now: UnixMillis) -> SettlementAnswer {
        let Instruction { bolt11, wallet } = Instruction::read(instruction);
        let facts = match InvoiceFacts::read(bolt11) {
            Ok(facts) => facts,
            Err(error) => return SettlementAnswer::Unknown { evidence: error.to_string() },
        };
        match self.found_in(wallet, &facts.payment_hash).await {
            Ok(Found::Outgoing(Outgoing::Paid, _)) => {
                SettlementAnswer::Settled { reference: hex::encode(facts.payment_hash) }
            }
            Ok(Found::Outgoing(Outgoing::Failed, _)) => {
                SettlementAnswer::Failed { reason: "the wallet could not pay the invoice".to_owned() }
            }
            Ok(Found::Outgoing(Outgoing::Pending, _)) => {
                SettlementAnswer::Unknown { evidence: "the payment is on its way".to_owned() }
            }
            Ok(Found::Incoming) => SettlementAnswer::Unknown {
                evidence: "the wallet has the invoice as one of its own".to_owned(),
            },
            Ok(Found::Nothing) if now >= facts.expires.plus_millis(SETTLED_AFTER_MS) => {
                SettlementAnswer::Failed { reason: "the invoice expired and was not paid".to_owned() }
            }
            // Nobody takes it any more; whether a request was on its way shows soon.
            Ok(Found::Nothing) if now >= facts.expires => {
                SettlementAnswer::Unknown { evidence: "the invoice has expired".to_owned() }
            }
            Ok(Found::Nothing) => SettlementAnswer::Absent,
            Err(error) => SettlementAnswer::Unknown { evidence: told(&error) },
        }
    }
}

fn told(error: &WalletError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

impl PayoutRail for LnbitsPayouts {
    fn read(&self, order: &PayoutOrder, now: UnixMillis) -> Result<Option<[u8; 32]>, String> {
        let invoice = order.invoice.as_deref();
        let invoice = invoice.ok_or("a payout over Lightning pays an invoice: send its text as `invoice`")?;
        let facts = InvoiceFacts::read(invoice).map_err(|error| error.to_string())?;
        let payee = invoice_payee(invoice).map_err(|error| error.to_string())?;
        if payee != order.to {
            return Err("the invoice is of another node than the destination".to_owned());
        }
        if facts.amount != Some(order.amount) {
            return Err("the invoice is over another amount".to_owned());
        }
        if facts.expires < now.plus_millis(LEFT_MS_MIN) {
            return Err("the invoice has expired, or will at once".to_owned());
        }
        Ok(Some(facts.payment_hash))
    }

    fn prepare<'a>(&'a self, order: &'a PayoutOrder, now: UnixMillis) -> RailFuture<'a, Prepared> {
        Box::pin(async move {
            let hash = match self.read(order, now) {
                Ok(hash) => hash.unwrap_or_default(),
                Err(reason) => return Prepared::Never(reason),
            };
            let asked = match self.found(&hash).await {
                Ok(found) => self.id().await.map(|wallet| (found, wallet)),
                Err(error) => Err(error),
            };
            match asked {
                Ok((Found::Nothing, wallet)) => {
                    let bolt11 = order.invoice.as_deref().unwrap_or_default();
                    Prepared::Ready(format!("{bolt11}@{wallet}"))
                }
                // Paid by somebody else's hand, or not payable: what is not ours is not booked as ours.
                Ok((Found::Incoming, _)) => {
                    Prepared::Never("the invoice is of the very wallet that would pay it".to_owned())
                }
                Ok((Found::Outgoing(..), _)) => {
                    Prepared::Never("the wallet has paid, or tried to pay, this invoice before".to_owned())
                }
                Err(error) => Prepared::NotNow(told(&error)),
            }
        })
    }

    fn send<'a>(&'a self, instruction: &'a str, now: UnixMillis) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(async move {
            let Instruction { bolt11, wallet } = Instruction::read(instruction);
            // Another wallet would pay it once more.
            if let Err(error) = self.must_be(wallet).await {
                return SettlementAnswer::Unknown { evidence: told(&error) };
            }
            let paid = self.pay(bolt11).await;
            // Whatever it said: the wallet's own list counts.
            match (self.look_up_now(instruction, now).await, paid) {
                (SettlementAnswer::Absent | SettlementAnswer::Failed { .. }, Err(error)) => {
                    SettlementAnswer::Unknown { evidence: told(&error) }
                }
                (SettlementAnswer::Absent, Ok(())) => {
                    SettlementAnswer::Unknown { evidence: "the wallet shows no payment yet".to_owned() }
                }
                (SettlementAnswer::Failed { reason }, Ok(())) => {
                    SettlementAnswer::Unknown { evidence: reason }
                }
                (answer @ (SettlementAnswer::Settled { .. } | SettlementAnswer::Unknown { .. }), _) => answer,
            }
        })
    }

    fn look_up<'a>(&'a self, instruction: &'a str, now: UnixMillis) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(self.look_up_now(instruction, now))
    }

    fn confirm<'a>(
        &'a self,
        instruction: &'a str,
        reference: &'a str,
        _now: UnixMillis,
    ) -> RailFuture<'a, Result<Option<Amount>, String>> {
        Box::pin(async move {
            let Instruction { bolt11, wallet } = Instruction::read(instruction);
            let facts = InvoiceFacts::read(bolt11).map_err(|error| error.to_string())?;
            if hex::encode(facts.payment_hash) != reference {
                return Ok(None);
            }
            match self.found_in(wallet, &facts.payment_hash).await.map_err(|error| told(&error))? {
                Found::Outgoing(Outgoing::Paid, amount) => Ok(Some(Amount::new(amount))),
                Found::Outgoing(Outgoing::Failed | Outgoing::Pending, _)
                | Found::Incoming
                | Found::Nothing => Ok(None),
            }
        })
    }

    fn paid_from(&self) -> Option<String> {
        Some(format!("{:?}", self.wallet))
    }
}

#[cfg(test)]
mod tests;
