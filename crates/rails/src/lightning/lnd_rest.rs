//! The answers of LND's REST API that clients of an LND wallet read, so that they can pay from the dev wallet unchanged.
//! Shapes only; the server that speaks them belongs to the gateway.

use serde_json::json;

use super::dev::{Paid, PayError};

/// The last line of `POST /v2/router/send` for a payment that was made: one JSON object in the shape of `lnrpc.Payment`.
/// Integers of 64 bits are strings there (protobuf's JSON mapping).
pub fn router_send_succeeded(paid: &Paid) -> String {
    json!({"result": {
        "status": "SUCCEEDED",
        "payment_hash": hex::encode(paid.payment_hash),
        "payment_preimage": paid.preimage.to_hex(),
        "value_sat": paid.sats.to_string(),
        "value_msat": paid.sats.saturating_mul(1000).to_string(),
        "fee_sat": "0",
        "fee_msat": "0",
        "failure_reason": "FAILURE_REASON_NONE",
    }})
    .to_string()
}

/// The answer of `POST /v2/router/send` for an invoice that is not paid: a failed payment where LND would have tried,
/// otherwise the error object of its REST gateway (gRPC code 3, invalid argument, or 13, internal).
pub fn router_send_failed(error: &PayError) -> String {
    let refused =
        |code: u8| json!({"error": {"code": code, "message": error.to_string(), "details": []}}).to_string();
    match error {
        PayError::UnknownInvoice | PayError::Expired(_) => json!({"result": {
            "status": "FAILED",
            "failure_reason": "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS",
            "value_sat": "0",
            "fee_sat": "0",
        }})
        .to_string(),
        PayError::Malformed(_) | PayError::NotRegtest(_) => refused(3),
        PayError::Book(_) => refused(13),
    }
}
