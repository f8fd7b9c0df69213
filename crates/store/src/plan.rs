//! How SQLite would answer a query, for tests of what is found in an index.

use rusqlite::Connection;
use rusqlite::types::Null;

use crate::store::LEDGER;

/// The ledger's tables, empty.
pub(crate) fn empty_ledger() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    LEDGER.bring_up(&connection, 0).unwrap();
    connection
}

/// The steps of the answer, in SQLite's words.
pub(crate) fn plan(ledger: &Connection, query: &str) -> Vec<String> {
    let mut explained = ledger.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
    let nothing = vec![Null; explained.parameter_count()];
    let steps =
        explained.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3)).unwrap();
    steps.map(Result::unwrap).collect()
}
