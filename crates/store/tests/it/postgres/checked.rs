//! What the auditor finds in a database that somebody changed by hand.

use tollgate_domain::Rail;
use tollgate_ledger::LedgerStore;
use tollgate_ledger::audit::Finding;

use super::{database, gateway};
use crate::world::*;

#[tokio::test]
async fn a_paid_call_without_its_receipt_is_found() {
    let Some(database) = database().await else { return };
    let gateway = gateway(&database, 7).await;
    let [paid_call, running] = ["0x1", "0x2"].map(|proof| claim(Rail::X402, proof));
    for claim in [&paid_call, &running] {
        fresh(&gateway.store, claim).await;
    }
    gateway.store.advance(paid(&paid_call)).await.unwrap();
    in_order(&gateway.store).await;
    for (tamper, undo) in [
        (
            "settlements SET receipt = NULL",
            "settlements s SET receipt = r.id FROM tollgate.receipts r WHERE r.call = s.call",
        ),
        (
            "receipts SET call = decode(repeat('00', 16), 'hex')",
            "receipts r SET call = s.call FROM tollgate.settlements s WHERE s.receipt = r.id",
        ),
    ] {
        database.psql(&format!("UPDATE tollgate.{tamper}")).unwrap();
        assert_eq!(
            gateway.store.check().await.unwrap(),
            [Finding::ReceiptMissing(paid_call.call)],
            "{tamper}"
        );
        database.psql(&format!("UPDATE tollgate.{undo}")).unwrap();
        in_order(&gateway.store).await;
    }
}
