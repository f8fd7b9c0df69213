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
fn what_waits_for_a_rail_is_found_in_its_index_and_never_among_the_calls_that_run() {
    for (query, step) in [
        (PENDING, "COVERING INDEX settlements_pending"),
        (UNKNOWN, "SEARCH settlements USING INDEX settlements_pending (state=? AND call>?)"),
    ] {
        let plan = plan(query);
        assert!(matches!(plan.as_slice(), [only] if only.contains(step)), "{plan:?}");
    }
    // Control: what runs is not in it.
    let running = plan("SELECT count(*), min(claimed) FROM settlements WHERE state = 'executing'");
    assert!(running.iter().all(|step| !step.contains("settlements_pending")), "{running:?}");
}
