//! What everybody may read of a house: where a call stands, receipts and the keys that they verify with, the pages of error
//! codes. Answers without a door: each house has its own router.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tollgate_attest::PublicKey;
use tollgate_domain::{Amount, CallId, ReceiptId};
use tollgate_gate::Answer;
use tollgate_ledger::escrow::{EscrowRow, EscrowStore};
use tollgate_ledger::{LedgerStore, RefundCause, SettlementRow, State, StoreError};
use tollgate_store::Store;

mod pages {
    include!(concat!(env!("OUT_DIR"), "/error_pages.rs"));
}

/// `/.well-known/jwks.json`: the public keys that receipts verify with, those of `known` first. Receipts outlive the key that signed them,
/// and gateways that share a ledger answer for each other's: every key that has signed in it is there.
pub async fn jwks(store: &Store, known: &[PublicKey]) -> Answer {
    let keys = receipt_keys(store, known).await.unwrap_or_else(|error| {
        tracing::error!(%error, "could not read which keys have signed receipts");
        known.to_vec()
    });
    answer(StatusCode::OK, "application/jwk-set+json", tollgate_attest::jwks(&keys))
}

/// These keys, and every other one that has signed a receipt in the ledger, the oldest first.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn receipt_keys(store: &Store, known: &[PublicKey]) -> Result<Vec<PublicKey>, StoreError> {
    let mut keys = known.to_vec();
    for signer in store.signers().await? {
        if !keys.contains(&signer) {
            keys.push(signer);
        }
    }
    Ok(keys)
}

/// `/docs/errors/{code}`: the page of an error code.
pub fn error_page(code: &str) -> Answer {
    const MARKDOWN: &str = "text/markdown; charset=utf-8";
    match pages::PAGES.iter().find(|(name, _)| *name == code) {
        Some((_, page)) => answer(StatusCode::OK, MARKDOWN, *page),
        None => answer(StatusCode::NOT_FOUND, MARKDOWN, "No such error code.\n"),
    }
}

/// `/api/v1/calls/{id}`: where the settlement of a call stands. The result itself is given to whoever repeats the request
/// with the same payment, and to nobody else.
pub async fn call(store: &Store, id: &str) -> Answer {
    let Ok(id) = id.parse::<CallId>() else { return unknown("call") };
    match standing(store, &id).await {
        Ok(Some((row, escrow))) => {
            let back = row.back(escrow.as_ref());
            let kept = row.amount.checked_sub(back).filter(|_| row.charged()).unwrap_or_default();
            json_answer(
                StatusCode::OK,
                &json!({
                    "call_id": row.call,
                    "tool": row.binding.tool.tool,
                    "server": row.binding.tool.server,
                    "state": row.state.word(),
                    "final": row.state.is_terminal(),
                    "charged": !kept.is_zero(),
                    "settle": row.settle,
                    "amount": row.amount,
                    "amount_charged": kept,
                    "asset": row.asset,
                    "rail": row.key.rail(),
                    "payment_ref": row.reference,
                    "reason": row.reason,
                    "refund": refund(&row, back),
                    "escrow_id": row.escrow(),
                    "receipt_id": row.receipt,
                }),
            )
        }
        Ok(None) => unknown("paid call"),
        Err(error) => unreadable(&error),
    }
}

/// A call, and the escrow that its money was put into, where it was.
async fn standing(
    store: &Store,
    id: &CallId,
) -> Result<Option<(SettlementRow, Option<EscrowRow>)>, StoreError> {
    let Some(row) = store.settlement_by_call(id).await? else { return Ok(None) };
    let escrow = match row.escrow() {
        Some(escrow) => store.escrow(&escrow).await?,
        None => None,
    };
    Ok(Some((row, escrow)))
}

/// What went back, or is due to: `{"amount","as":"credit","to","cause"}`; null where nothing is.
fn refund(row: &SettlementRow, back: Amount) -> Value {
    let is_back = row.state.is_terminal() && !back.is_zero();
    if !is_back && row.state != State::RefundDue {
        return Value::Null;
    }
    // What is due is all that was taken.
    let amount = if is_back { back } else { row.amount };
    json!({ "amount": amount, "as": "credit", "to": row.refund_to(), "cause": row.refund.map(RefundCause::word) })
}

/// `/api/v1/receipts/{id}`: the sealed envelope.
pub async fn receipt(store: &Store, id: &str) -> Answer {
    let Ok(id) = id.parse::<ReceiptId>() else { return unknown("receipt") };
    match store.receipt(&id).await {
        Ok(Some(envelope)) => answer(StatusCode::OK, "application/json", envelope),
        Ok(None) => unknown("receipt"),
        Err(error) => unreadable(&error),
    }
}

fn unknown(what: &str) -> Answer {
    let body = json!({ "error": {
        "code": "not_found", "message": format!("This gateway knows no such {what}."),
        "next_step": "Check the id.", "retryable": false,
    }});
    json_answer(StatusCode::NOT_FOUND, &body)
}

fn unreadable(error: &StoreError) -> Answer {
    tracing::error!(%error, "could not read the ledger");
    let body = json!({ "error": {
        "code": "internal", "message": "The ledger cannot be read now.",
        "next_step": "Try again later.", "retryable": true,
    }});
    json_answer(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

/// What may be another answer in a moment: no cache keeps it.
pub(crate) fn json_answer(status: StatusCode, body: &Value) -> Answer {
    let mut answer = answer(status, "application/json", body.to_string());
    answer.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Answer { status, headers, body: body.into() }
}

#[cfg(test)]
mod tests {
    use tollgate_attest::{Signer, StatementDraft, keys_from_jwks};
    use tollgate_domain::{Caller, Digest, KeyId, ToolRef, UnixMillis};
    use tollgate_store::Options;

    use super::*;

    async fn sealed(store: &Store, number: u8) {
        let call = CallId::from_bytes([number; 16]);
        let draft = StatementDraft {
            receipt_id: ReceiptId::from_bytes([number; 16]),
            call_id: call,
            ts: UnixMillis::new(1),
            caller: Caller::ApiKey(KeyId::from_bytes([1; 16])).principal(),
            tool: ToolRef { server: "search".parse().unwrap(), tool: "search".parse().unwrap() },
            schema_sha256: None,
            args_sha256: Digest::of(b"salted arguments"),
            result_sha256: None,
            outcome: "delivered",
            charged: false,
            price: None,
            payment_ref: None,
            refunded: None,
            settlement: "free",
            escrow: None,
            decision: None,
            mode: "sandbox",
        };
        store.record(call, draft.to_text()).await.unwrap();
    }

    async fn published(store: &Store, known: &[PublicKey]) -> Vec<PublicKey> {
        let answer = jwks(store, known).await;
        keys_from_jwks(std::str::from_utf8(&answer.body).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_key_that_has_signed_is_published_for_as_long_as_its_receipts_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let [before, now] = [[1; 32], [2; 32]].map(|seed| Signer::from_seed(&seed).unwrap());
        let known = [now.public()];
        let old = before.public();
        sealed(&Store::open(folder.path(), before, Options::default()).unwrap(), 1).await;
        let store = Store::open(folder.path(), now, Options::default()).unwrap();
        assert_eq!(
            published(&store, &known).await,
            [known[0].clone(), old.clone()],
            "the one that signs comes first"
        );
        sealed(&store, 2).await;
        assert_eq!(published(&store, &known).await, [known[0].clone(), old], "each of them once");
    }
}
