use super::*;
use crate::plan::{empty_ledger, plan};

#[test]
fn what_is_looked_for_again_and_again_is_found_in_an_index_and_never_by_reading_every_escrow() {
    for (what, query, index) in [
        (
            "disputes that wait for mediation",
            concat!(escrows!(""), "WHERE state = :state AND phase = :phase ORDER BY seq DESC LIMIT :limit"),
            "escrows_phase",
        ),
        ("those that are open", OPEN, "COVERING INDEX escrows_open"),
        ("those that are due", DUE, "escrows_due"),
    ] {
        let plan = plan(&empty_ledger(), query);
        assert!(plan.iter().any(|step| step.contains(index)), "{what}: {plan:?}");
        assert!(!plan.contains(&"SCAN escrows".to_owned()), "{what}: {plan:?}");
    }
    // Control: without an index every escrow is read.
    assert_eq!(plan(&empty_ledger(), escrows!("WHERE version = 3")), ["SCAN escrows"]);
}
