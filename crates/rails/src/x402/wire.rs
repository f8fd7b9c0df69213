//! The JSON objects of x402 version 2 (`specs/x402-specification-v2.md`, section 5) and their header form.
//!
//! Read tolerantly: null is absent, unknown fields are ignored, addresses in any case. Amounts are decimal strings only.
//! Written canonically: no nulls, EIP-55 addresses, padded standard base64 in headers.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tollgate_domain::Amount;

use crate::evm::Address;
use crate::evm::eip3009::SignedWire;
use crate::evm::{ProofTextError, SignedAuthorization};

/// The header of a demand, on a 402.
pub const PAYMENT_REQUIRED_HEADER: &str = "payment-required";
/// The header of a settle response, on a 200 and on the 402 after a failed settlement.
pub const PAYMENT_RESPONSE_HEADER: &str = "payment-response";

/// The value of an x402 header: padded standard base64 of the JSON.
pub fn header(json: &str) -> String {
    STANDARD.encode(json)
}

/// `PaymentRequired`: the demand, as JSON. `accepts` are entries as JSON texts, placed as they are, and so is the `SettleResponse` of a
/// payment that was refused before, where the Python client of x402 for MCP has it.
pub fn payment_required(
    resource_url: &str,
    description: Option<&str>,
    error: &str,
    accepts: &[String],
    refused: Option<&str>,
) -> String {
    #[derive(Serialize)]
    struct Resource<'a> {
        url: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        #[serde(rename = "mimeType")]
        mime_type: &'a str,
    }
    let resource = Resource { url: resource_url, description, mime_type: "application/json" };
    let refused = refused.map(|refused| format!(",\"x402/payment-response\":{refused}")).unwrap_or_default();
    format!(
        "{{\"x402Version\":2,\"error\":{},\"resource\":{},\"accepts\":[{}]{refused}}}",
        json_of(&error),
        json_of(&resource),
        accepts.join(",")
    )
}

/// `SettleResponse`, as JSON. `transaction` is the settlement's reference, empty when there is none.
pub fn settle_response(
    success: bool,
    transaction: &str,
    network: &str,
    payer: Option<&str>,
    amount: Option<Amount>,
    error_reason: Option<&str>,
) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct SettleResponse<'a> {
        success: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        error_reason: Option<&'a str>,
        transaction: &'a str,
        network: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        payer: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        amount: Option<Amount>,
    }
    json_of(&SettleResponse { success, error_reason, transaction, network, payer, amount })
}

/// An entry of `accepts` for scheme `exact`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExactEntry<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) network: &'a str,
    pub(crate) amount: Amount,
    pub(crate) asset: &'a str,
    pub(crate) pay_to: &'a str,
    pub(crate) max_timeout_seconds: u64,
    pub(crate) extra: ExactExtra<'a>,
}

/// `extra` of an entry: the token's EIP-712 domain, and the sealed quote.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExactExtra<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) tollgate_quote: &'a str,
    /// Absent for the flow that every client knows: the money moves after the tool has delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payment_flow: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) sandbox: bool,
}

impl ExactEntry<'_> {
    pub(crate) fn to_json(&self) -> String {
        json_of(self)
    }
}

/// A text that may be borrowed from the JSON around it.
#[derive(Deserialize, PartialEq, Eq, Debug)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// `PaymentPayload`, its scheme-specific part not yet read.
#[derive(Deserialize)]
pub(crate) struct PaymentPayload<'a> {
    #[serde(rename = "x402Version")]
    pub(crate) x402_version: Option<u64>,
    #[serde(borrow)]
    pub(crate) accepted: Accepted<'a>,
    #[serde(borrow)]
    pub(crate) payload: &'a RawValue,
}

/// The entry that the client says it accepted. It comes from the client: compare it, never use it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Accepted<'a> {
    #[serde(borrow)]
    pub(crate) scheme: Text<'a>,
    #[serde(borrow)]
    pub(crate) network: Text<'a>,
    #[serde(borrow)]
    pub(crate) amount: Text<'a>,
    #[serde(borrow)]
    pub(crate) asset: Text<'a>,
    #[serde(borrow)]
    pub(crate) pay_to: Text<'a>,
    #[serde(borrow)]
    pub(crate) extra: Option<AcceptedExtra<'a>>,
    pub(crate) max_timeout_seconds: Option<u64>,
}

/// What matters in the echoed `extra`; clients may add to it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AcceptedExtra<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) version: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) tollgate_quote: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) asset_transfer_method: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) payment_flow: Option<Text<'a>>,
    pub(crate) sandbox: Option<bool>,
}

impl<'a> PaymentPayload<'a> {
    pub(crate) fn parse(json: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// The EIP-3009 part: `{"authorization":{…},"signature":"0x…"}`.
    pub(crate) fn eip3009(&self) -> Result<SignedAuthorization, ProofTextError> {
        let signed: SignedWire<'_> = serde_json::from_str(self.payload.get())
            .map_err(|error| ProofTextError::Json(error.to_string()))?;
        signed.read()
    }
}

impl Accepted<'_> {
    /// Whether an address field names this address, in any case.
    pub(crate) fn names(field: &Text<'_>, address: Address) -> bool {
        field.as_str().parse() == Ok(address)
    }
}

/// JSON of a value made of texts, numbers and booleans, which always has one.
fn json_of(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
