use proptest::prelude::*;

use super::*;

const TABLES: &str = "CREATE TABLE one (id INTEGER PRIMARY KEY, a, b) STRICT;";
const INSERT: &str = "INSERT INTO one (a, b) VALUES (?1, ?2)";
const UPSERT: &str = "INSERT INTO one (id, a) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET a = excluded.a";
const DELETE: &str = "DELETE FROM one WHERE id = ?1";

fn file() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&TABLES.replace("a, b", "a ANY, b ANY")).unwrap();
    connection
}

fn rows(connection: &Connection) -> Vec<(i64, Value, Value)> {
    let mut query = connection.prepare("SELECT id, a, b FROM one ORDER BY id").unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    query.query_map([], row).unwrap().map(Result::unwrap).collect()
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        (-1e300..1e300).prop_map(Value::Real),
        ".{0,40}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Value::Blob),
    ]
}

#[derive(Clone, Debug)]
enum Write {
    Insert(Value, Value),
    Upsert(i64, Value),
    Delete(i64),
}

impl Write {
    fn execute(&self, redo: &mut Redo, connection: &Connection) {
        let executed = match self {
            Self::Insert(a, b) => redo.execute(&mut Statement::of(connection, INSERT).unwrap(), &[a, b]),
            Self::Upsert(id, a) => redo.execute(&mut Statement::of(connection, UPSERT).unwrap(), &[id, a]),
            Self::Delete(id) => redo.execute(&mut Statement::of(connection, DELETE).unwrap(), &[id]),
        };
        executed.unwrap();
    }
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        (value(), value()).prop_map(|(a, b)| Write::Insert(a, b)),
        (1..20_i64, value()).prop_map(|(id, a)| Write::Upsert(id, a)),
        (1..20_i64).prop_map(Write::Delete),
    ]
}

proptest! {
    #[test]
    fn what_was_noted_writes_the_same_rows_again(steps in proptest::collection::vec(proptest::collection::vec(write(), 0..6), 1..8)) {
        let (written, again_written) = (file(), file());
        let (mut redo, mut log) = (Redo::default(), Vec::new());
        redo.begin();
        for (place, step) in steps.iter().enumerate() {
            if place > 0 {
                redo.next_step();
            }
            let before = written.total_changes();
            step.iter().for_each(|write| write.execute(&mut redo, &written));
            let noted = redo.take(written.total_changes() - before);
            log.push(noted.expect("everything went through it").to_vec());
        }
        again(&again_written, log.iter().map(Vec::as_slice)).unwrap();
        prop_assert_eq!(rows(&again_written), rows(&written));
    }

    #[test]
    fn a_stranger_s_bytes_are_an_error_or_statements_but_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _read = again(&file(), [bytes.as_slice()]);
    }
}

#[test]
fn a_row_that_went_past_it_is_noticed() {
    let connection = file();
    let mut redo = Redo::default();
    redo.begin();
    let before = connection.total_changes();
    Write::Insert(Value::Null, Value::Integer(1)).execute(&mut redo, &connection);
    assert!(redo.take(connection.total_changes() - before).is_some(), "control");
    connection.execute("DELETE FROM one", []).unwrap();
    assert_eq!(redo.take(connection.total_changes() - before), None);
}

#[test]
fn the_text_of_a_step_that_was_not_taken_is_noted_once_more() {
    let (connection, again_written) = (file(), file());
    let mut redo = Redo::default();
    redo.begin();
    redo.execute(&mut Statement::of(&connection, DELETE).unwrap(), &[&7]).unwrap();
    // It changed nothing, and its step was given up.
    redo.next_step();
    redo.execute(&mut Statement::of(&connection, DELETE).unwrap(), &[&7]).unwrap();
    redo.execute(&mut Statement::of(&connection, INSERT).unwrap(), &[&1, &2]).unwrap();
    let step = redo.take(1).unwrap().to_vec();
    again(&again_written, [step.as_slice()]).unwrap();
    assert_eq!(rows(&again_written), rows(&connection));
}
