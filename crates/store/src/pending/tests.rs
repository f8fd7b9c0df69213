use super::*;
use crate::plan::{empty_ledger, plan};

#[test]
fn what_waits_for_a_rail_is_found_in_its_index_and_never_among_the_calls_that_run() {
    for (query, step) in [
        (PENDING, "COVERING INDEX settlements_pending"),
        (UNKNOWN, "SEARCH settlements USING INDEX settlements_pending (state=? AND call>?)"),
    ] {
        let plan = plan(&empty_ledger(), query);
        assert!(matches!(plan.as_slice(), [only] if only.contains(step)), "{plan:?}");
    }
    // A page of what is open begins behind a call, which is looked up.
    let open = plan(&empty_ledger(), OPEN);
    let first = open.first().unwrap();
    assert!(first.contains("SEARCH settlements USING INDEX settlements_open (id>?)"), "{open:?}");
    assert!(open.iter().all(|step| !step.contains("SCAN ") && !step.contains("TEMP B-TREE")), "{open:?}");
    // Control: what runs is not in it.
    let running =
        plan(&empty_ledger(), "SELECT count(*), min(claimed) FROM settlements WHERE state = 'executing'");
    assert!(running.iter().all(|step| !step.contains("settlements_pending")), "{running:?}");
}
