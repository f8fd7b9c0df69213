//! The payer's side of x402 `exact`: from an offered entry to a signed payment.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tollgate_domain::{Amount, UnixMillis};

use super::wire::{Accepted, Text};
use crate::evm::{Address, Authorization, Domain, SignedAuthorization, SigningKey};

/// How long an authorization is valid when the entry does not say, in seconds.
const TIMEOUT_SECONDS_DEFAULT: u64 = 60;
/// The longest an authorization is made valid, in seconds, whatever the entry asks: what was signed and never used should
/// not stay usable.
const TIMEOUT_SECONDS_MAX: u64 = 3_600;

/// Why an offered entry was not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignPaymentError {
    /// The entry is not what x402 calls payment requirements.
    #[error("the offered entry is no x402 payment requirement: {0}")]
    Entry(String),
    /// The entry asks for something other than scheme `exact` over EIP-3009 on an EVM network.
    #[error("the offered entry asks for {what} {presented:?}, which this wallet does not sign")]
    Unsupported {
        /// Which field.
        what: &'static str,
        /// What it says.
        presented: String,
    },
    /// A field has a wrong form.
    #[error("field {field} of the offered entry: {reason}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "x402Version")]
    x402_version: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a RawValue>,
    accepted: &'a RawValue,
    payload: &'a RawValue,
}

/// Signs one entry of `accepts` and returns the `PaymentPayload` as JSON: the entry is echoed as it is, `validAfter` is 0
/// and `validBefore` is now plus the entry's `maxTimeoutSeconds` (at most an hour). `resource` is the demand's `resource`
/// object as JSON, echoed too. `nonce` is 32 fresh random bytes. Whether the price is right is the caller's decision.
///
/// # Errors
/// [`SignPaymentError`]: why nothing was signed.
pub fn sign_payment(
    accepts_entry_json: &str,
    resource: Option<&str>,
    key: &SigningKey,
    nonce: [u8; 32],
    now: UnixMillis,
) -> Result<String, SignPaymentError> {
    let entry_error = |error: serde_json::Error| SignPaymentError::Entry(error.to_string());
    let accepted: &RawValue = serde_json::from_str(accepts_entry_json).map_err(entry_error)?;
    let resource: Option<&RawValue> = resource.map(serde_json::from_str).transpose().map_err(entry_error)?;
    let entry = Accepted::deserialize(&mut serde_json::Deserializer::from_str(accepts_entry_json))
        .map_err(entry_error)?;
    let (domain, authorization) = authorization(&entry, key.address(), nonce, now)?;
    let signed = SignedAuthorization { authorization, signature: key.sign(&authorization.digest(&domain)) };
    let payload = RawValue::from_string(signed.to_payload_json()).map_err(entry_error)?;
    serde_json::to_string(&Payload { x402_version: 2, resource, accepted, payload: &payload })
        .map_err(entry_error)
}

fn authorization(
    entry: &Accepted<'_>,
    from: Address,
    nonce: [u8; 32],
    now: UnixMillis,
) -> Result<(Domain, Authorization), SignPaymentError> {
    let unsupported =
        |what, presented: &str| SignPaymentError::Unsupported { what, presented: presented.to_owned() };
    let extra = entry.extra.as_ref().ok_or_else(|| SignPaymentError::Entry("it has no extra".to_owned()))?;
    if entry.scheme.as_str() != "exact" {
        return Err(unsupported("scheme", entry.scheme.as_str()));
    }
    if let Some(method) = extra.asset_transfer_method.as_ref().filter(|method| method.as_str() != "eip3009") {
        return Err(unsupported("transfer method", method.as_str()));
    }
    let network = entry.network.as_str();
    let chain_id = network
        .strip_prefix("eip155:")
        .and_then(|chain| chain.parse::<Amount>().ok())
        .and_then(|chain| u64::try_from(chain.get()).ok())
        .ok_or_else(|| unsupported("network", network))?;
    let domain_part = |part: &Option<Text<'_>>, field| match part {
        Some(text) if !text.as_str().is_empty() => Ok(text.as_str().to_owned()),
        _ => Err(SignPaymentError::Field { field, reason: "it is missing".to_owned() }),
    };
    let seconds = entry.max_timeout_seconds.unwrap_or(TIMEOUT_SECONDS_DEFAULT).min(TIMEOUT_SECONDS_MAX);
    let domain = Domain::new(
        &domain_part(&extra.name, "extra.name")?,
        &domain_part(&extra.version, "extra.version")?,
        chain_id,
        parsed("asset", &entry.asset)?,
    );
    let authorization = Authorization {
        from,
        to: parsed("payTo", &entry.pay_to)?,
        value: parsed("amount", &entry.amount)?,
        valid_after: 0,
        valid_before: now.secs().saturating_add(seconds),
        nonce,
    };
    Ok((domain, authorization))
}

fn parsed<T>(field: &'static str, text: &Text<'_>) -> Result<T, SignPaymentError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.as_str()
        .parse()
        .map_err(|error: T::Err| SignPaymentError::Field { field, reason: error.to_string() })
}

#[cfg(test)]
mod tests;
