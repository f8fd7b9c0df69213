//! How the database finds what waits for a rail.

use super::{database, gateway};

#[tokio::test]
async fn what_waits_for_a_rail_is_found_in_its_index_and_never_among_the_calls_that_run() {
    let Some(database) = database().await else { return };
    let _tables = gateway(&database, 7).await;
    // A table of no rows is read whole unless that is out of the question.
    let plan = |query: &str| {
        let explain = format!("SET enable_seqscan = off; SET search_path = tollgate; EXPLAIN {query}");
        database.psql(&explain).unwrap()
    };
    let counted = "SELECT count(*), min(claimed) FROM settlements WHERE owner = 1 AND state";
    for query in [
        format!("{counted} IN ('executed', 'submitted', 'unknown')"),
        "SELECT key FROM settlements WHERE state = 'unknown' AND owner = 1 AND call > '' ORDER BY call LIMIT 9".to_owned(),
    ] {
        let plan = plan(&query);
        assert!(plan.contains("settlements_pending") && !plan.contains("Sort"), "{plan}");
    }
    let running = plan(&format!("{counted} = 'executing'"));
    assert!(!running.contains("settlements_pending"), "control: {running}");
}
