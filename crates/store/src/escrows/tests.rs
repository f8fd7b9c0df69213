use super::*;
use crate::store::LEDGER;

/// How SQLite would answer.
fn plan(query: &str) -> Vec<String> {
    let connection = Connection::open_in_memory().unwrap();
    LEDGER.bring_up(&connection, 0).unwrap();
    let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
    let nothing = vec![rusqlite::types::Null; explained.parameter_count()];
    let steps =
        explained.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3)).unwrap();
    steps.map(Result::unwrap).collect()
}

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
        let plan = plan(query);
        assert!(plan.iter().any(|step| step.contains(index)), "{what}: {plan:?}");
        assert!(!plan.contains(&"SCAN escrows".to_owned()), "{what}: {plan:?}");
    }
    // Control: without an index every escrow is read.
    assert_eq!(plan(escrows!("WHERE version = 3")), ["SCAN escrows"]);
}
