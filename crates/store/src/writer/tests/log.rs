//! SQLite's log: moved into the file beside the writer, begun anew, and what a pass that fails means.

use std::path::Path;

use super::super::checkpoints::Limits;
use super::*;

/// A commit of one row is a page or two of the log; so there are many passes.
const SHORT: Limits = Limits { pass: 4, long: 16, left: 8, most: 64 };

fn writer(file: &Path, checkpoints: Limits, failpoints: Option<Arc<dyn Failpoints>>) -> Writer<Stateless> {
    let connection = Connection::open(file).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.execute_batch("CREATE TABLE IF NOT EXISTS notes (number INTEGER PRIMARY KEY) STRICT").unwrap();
    let hooks = Hooks { checkpoints, failpoints, ..Hooks::default() };
    Writer::start("test-writer", connection, Stateless, None, 64, hooks).unwrap()
}

async fn note(writer: &Writer<Stateless>, number: i64) -> Result<(), StoreError> {
    let insert = move |batch: &mut Batch<'_, Stateless>| {
        batch.connection.execute("INSERT INTO notes VALUES (?1)", [number])?;
        Ok(())
    };
    writer.write(insert).await
}

/// How many pages the log has room for.
fn log_pages(file: &Path) -> u64 {
    let log = file.with_extension("db-wal");
    (std::fs::metadata(log).unwrap().len() - 32) / (4096 + 24)
}

#[tokio::test]
async fn the_log_begins_anew_under_load_that_never_stops() {
    let directory = TempDir::new().unwrap();
    let (moved, kept) = (directory.path().join("moved.db"), directory.path().join("kept.db"));
    let never = Limits { pass: i32::MAX, long: i32::MAX, left: 0, most: i32::MAX };
    for (file, limits) in [(&moved, SHORT), (&kept, never)] {
        let writer = writer(file, limits, None);
        for number in 0..400 {
            note(&writer, number).await.unwrap();
        }
        // While the writer lives: closing the file would remove the log.
        let pages = log_pages(file);
        match limits.most {
            i32::MAX => assert!(pages >= 400, "every commit is in the log: {pages}"),
            most => assert!(pages < u64::try_from(most).unwrap() + 8, "{pages}"),
        }
        drop(writer);
        let count = Connection::open(file).unwrap();
        let count: i64 = count.query_row("SELECT count(*) FROM notes", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 400, "nothing is lost on the way");
    }
}

/// A disk that fails under the thread of a pass, and under nobody else.
#[derive(Debug)]
struct Failing(Option<DiskFault>);

impl Failpoints for Failing {
    fn hit(&self, _name: &str) {}

    fn disk_fault(&self) -> Option<DiskFault> {
        self.0.filter(|_| std::thread::current().name() == Some("checkpoint"))
    }
}

#[tokio::test]
async fn f16_a_pass_whose_sync_fails_ends_writing() {
    let directory = TempDir::new().unwrap();
    for (name, fault, ends) in [
        ("failing.db", Some(DiskFault::SyncLost), true),
        // Nothing was promised that is not in the log.
        ("full.db", Some(DiskFault::Full), false),
        ("control.db", None, false),
    ] {
        let writer = writer(&directory.path().join(name), SHORT, Some(Arc::new(Failing(fault))));
        let mut written = Ok(());
        let mut number = 0;
        // Until it is noticed: a pass takes as long as it takes.
        while written.is_ok() && (ends || number < 200) {
            number += 1;
            written = note(&writer, number).await;
        }
        assert_eq!(written, if ends { Err(StoreError::Closed) } else { Ok(()) }, "{name}");
        assert_eq!(writer.is_open(), !ends, "{name}");
    }
}
