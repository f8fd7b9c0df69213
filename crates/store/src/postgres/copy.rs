//! The books of a database as one file, and their way back: every table as of one moment, in the form in which PostgreSQL's own
//! tools read and write rows. What is written back is checked before it is there.
//!
//! ```text
//! -- tollgate books, schema 8
//! COPY tollgate.accounts (id, asset, …) FROM stdin;
//! 1<TAB>lightning:regtest/msat<TAB>…
//! \.
//! COPY …
//! -- end
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, TryStreamExt};
use tokio_postgres::Client;

use super::connect::{Connector, described};
use super::export::SNAPSHOT;
use super::url::DatabaseUrl;
use super::{check, migrate};
use crate::OpenError;

const FIRST: &str = "-- tollgate books, schema ";
const LAST: &str = "-- end";
/// What ends the rows of a table. No row is written like this.
const ROWS_END: &str = "\\.";
/// How much of a file is sent at once.
const SENT_BYTES: usize = 64 * 1024;
/// A row holds at most the result of one call, some 64 MiB as hexadecimal digits.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why the books of a database cannot be copied, or not be written back. Nothing was changed in the database.
#[derive(Debug, thiserror::Error)]
pub enum BooksCopyError {
    /// The database cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There are no books in the database.
    #[error("{database} holds no books of tollgate")]
    NoBooks {
        /// Where the database is.
        database: String,
    },
    /// There are books in the database already.
    #[error("{database} holds books already; name an empty database")]
    NotEmpty {
        /// Where the database is.
        database: String,
    },
    /// The database refused, or was lost.
    #[error("{step} {database}: {reason}")]
    Database {
        /// What was being done.
        step: &'static str,
        /// Where the database is.
        database: String,
        /// What went wrong; never a password.
        reason: String,
    },
    /// The file cannot be read or written.
    #[error("use {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not one that was written here.
    #[error("{}, line {line}: {reason}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Where, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The books in the file are not in order.
    #[error("the books are not in order: {}", findings.join("; "))]
    NotInOrder {
        /// What was found.
        findings: Vec<String>,
    },
}

/// Writes the books of a database, which gateways may be using, as of one moment to the new file `path`, which its owner alone
/// reads. Returns the version of its schema.
///
/// # Errors
/// [`BooksCopyError`]; a file that was begun has no last line then.
pub async fn copy_books(database: &DatabaseUrl, path: &Path) -> Result<u32, BooksCopyError> {
    let copy = Copy { database, path };
    let client = copy.connect().await?;
    if migrate::version(&client, database).await? == 0 {
        return Err(BooksCopyError::NoBooks { database: database.to_string() });
    }
    let failed = copy.failed("copy the books of");
    client.batch_execute(SNAPSHOT).await.map_err(&failed)?;
    // Before the first row is read, which takes the snapshot: from here on to the end of the copy nobody changes the tables, so that they
    // are those of this version.
    client.batch_execute(migrate::KEEP).await.map_err(&failed)?;
    let schema = migrate::version(&client, database).await?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path).map_err(copy.io())?;
    let mut file = BufWriter::new(file);
    writeln!(file, "{FIRST}{schema}").map_err(copy.io())?;
    for table in tables(&client).await.map_err(&failed)? {
        writeln!(file, "{}", table.header()).map_err(copy.io())?;
        let mut rows = pin!(client.copy_out(&table.copied()).await.map_err(&failed)?);
        while let Some(bytes) = rows.try_next().await.map_err(&failed)? {
            file.write_all(&bytes).map_err(copy.io())?;
        }
        writeln!(file, "{ROWS_END}").map_err(copy.io())?;
    }
    writeln!(file, "{LAST}").map_err(copy.io())?;
    client.batch_execute("COMMIT").await.map_err(&failed)?;
    let file = file.into_inner().map_err(|error| copy.io()(error.into_error()))?;
    file.sync_all().map_err(copy.io())?;
    Ok(schema)
}

/// Writes the books of a file into a database that holds none, has them checked as `ledger check` does, and only then commits.
/// Returns the version of the schema that they came with; they are brought up to date.
///
/// # Errors
/// [`BooksCopyError`]; there is nothing in the database then.
pub async fn write_books(path: &Path, database: &DatabaseUrl) -> Result<u32, BooksCopyError> {
    let copy = Copy { database, path };
    let mut lines = Lines { reader: BufReader::new(File::open(path).map_err(copy.io())?), number: 0, copy };
    let first = lines.next()?;
    let schema = first.strip_prefix(FIRST).and_then(|version| version.parse().ok());
    let schema: u32 = schema.ok_or_else(|| lines.malformed("this is no copy of books"))?;
    if !(1..=migrate::known()).contains(&schema) {
        let known = migrate::known();
        let reason = format!("this is schema {schema}, and this version of tollgate knows 1 to {known}");
        return Err(lines.malformed(&reason));
    }
    let client = copy.connect().await?;
    let failed = copy.failed("write the books into");
    client.batch_execute("BEGIN; SET LOCAL statement_timeout = 0").await.map_err(&failed)?;
    // Whoever starts a gateway on this database meanwhile waits, and then finds the books.
    migrate::lock(&client, database).await?;
    if migrate::version(&client, database).await? != 0 {
        return Err(BooksCopyError::NotEmpty { database: database.to_string() });
    }
    migrate::make(&client, database, schema).await?;
    let mut expected: BTreeMap<String, Table> =
        tables(&client).await.map_err(&failed)?.into_iter().map(|table| (table.header(), table)).collect();
    loop {
        let line = lines.next()?;
        if line == LAST {
            break;
        }
        let Some(table) = expected.remove(&line) else {
            return Err(lines.malformed("this is no table of this version, or it was there before"));
        };
        table.fill(&client, &mut lines).await?;
    }
    if let Some(table) = expected.into_values().next() {
        return Err(lines.malformed(&format!("the table {} is missing", table.name)));
    }
    client.batch_execute(COUNTED_ON).await.map_err(&failed)?;
    migrate::bring(&client, database, schema, migrate::known()).await?;
    let findings = check::examine(&client).await.map_err(|error| BooksCopyError::Database {
        step: "check the books in",
        database: database.to_string(),
        reason: error.to_string(),
    })?;
    if !findings.is_empty() {
        let findings = findings.iter().map(ToString::to_string).collect();
        return Err(BooksCopyError::NotInOrder { findings });
    }
    client.batch_execute("COMMIT").await.map_err(&failed)?;
    Ok(schema)
}

/// Every numbered column goes on behind what was written.
const COUNTED_ON: &str = "DO $$ DECLARE numbered record; last bigint; BEGIN \
    FOR numbered IN SELECT c.oid::regclass AS of, a.attname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
        WHERE c.relnamespace = 'tollgate'::regnamespace AND c.relkind = 'r' AND a.attidentity <> '' AND NOT a.attisdropped LOOP \
        EXECUTE format('SELECT max(%I) FROM %s', numbered.name, numbered.of) INTO last; \
        IF last IS NOT NULL THEN \
            PERFORM setval(pg_get_serial_sequence(numbered.of::text, numbered.name), last); \
        END IF; \
    END LOOP; END $$";

/// A database and a file.
#[derive(Clone, Copy)]
struct Copy<'a> {
    database: &'a DatabaseUrl,
    path: &'a Path,
}

impl Copy<'_> {
    async fn connect(self) -> Result<Client, BooksCopyError> {
        let database = || self.database.to_string();
        let connector = Connector::new(self.database.clone()).map_err(|error| BooksCopyError::Database {
            step: "prepare TLS to",
            database: database(),
            reason: error.to_string(),
        })?;
        connector.connect().await.map_err(|error| BooksCopyError::Database {
            step: "connect to",
            database: database(),
            reason: error.to_string(),
        })
    }

    fn failed(self, step: &'static str) -> impl Fn(tokio_postgres::Error) -> BooksCopyError {
        let database = self.database.to_string();
        move |error| BooksCopyError::Database { step, database: database.clone(), reason: described(&error) }
    }

    fn io(self) -> impl Fn(io::Error) -> BooksCopyError {
        let path = self.path.to_owned();
        move |source| BooksCopyError::File { path: path.clone(), source }
    }
}

/// A table of the books with its columns, in order.
struct Table {
    name: String,
    columns: String,
}

/// Every table that a copy holds, with its columns and the tables that its rows name. What is not logged counts only from moment to
/// moment, and the version is said in the first line.
const TABLES: &str = "SELECT c.relname::text, \
    (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a \
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
    ARRAY(SELECT r.relname::text FROM pg_constraint k JOIN pg_class r ON r.oid = k.confrelid WHERE k.conrelid = c.oid AND k.contype = 'f') \
    FROM pg_class c WHERE c.relnamespace = 'tollgate'::regnamespace AND c.relkind = 'r' AND c.relpersistence = 'p' \
    AND c.relname <> 'schema_version' ORDER BY c.relname";

/// The tables, each behind those that its rows name.
async fn tables(client: &Client) -> Result<Vec<Table>, tokio_postgres::Error> {
    let mut waiting: Vec<(Table, Vec<String>)> = Vec::new();
    for row in client.query(TABLES, &[]).await? {
        let table = Table { name: row.try_get(0)?, columns: row.try_get(1)? };
        waiting.push((table, row.try_get(2)?));
    }
    let mut ordered: Vec<Table> = Vec::with_capacity(waiting.len());
    let mut done = BTreeSet::new();
    while !waiting.is_empty() {
        let is_ready = |(_, names): &mut (Table, Vec<String>)| names.iter().all(|name| done.contains(name));
        let mut ready: Vec<_> = waiting.extract_if(.., is_ready).collect();
        if ready.is_empty() {
            // Tables that name each other: no order is better than another, and the database says what it misses.
            ready = std::mem::take(&mut waiting);
        }
        for (table, _) in ready {
            done.insert(table.name.clone());
            ordered.push(table);
        }
    }
    Ok(ordered)
}

impl Table {
    /// The line before its rows, and the statement that takes them.
    fn header(&self) -> String {
        format!("COPY tollgate.{} ({}) FROM stdin;", self.name, self.columns)
    }

    fn copied(&self) -> String {
        format!("COPY tollgate.{} ({}) TO STDOUT", self.name, self.columns)
    }

    /// Sends the rows that stand in the file.
    async fn fill(&self, client: &Client, lines: &mut Lines<'_>) -> Result<(), BooksCopyError> {
        let failed = lines.copy.failed("write the books into");
        // A new table may have a first row already.
        client.batch_execute(&format!("DELETE FROM tollgate.{}", self.name)).await.map_err(&failed)?;
        let mut sink = pin!(client.copy_in::<_, Bytes>(&self.header()).await.map_err(&failed)?);
        let mut rows = BytesMut::with_capacity(SENT_BYTES);
        loop {
            let line = lines.next()?;
            if line == ROWS_END {
                break;
            }
            rows.extend_from_slice(line.as_bytes());
            rows.extend_from_slice(b"\n");
            if rows.len() >= SENT_BYTES {
                sink.send(rows.split().freeze()).await.map_err(&failed)?;
            }
        }
        sink.send(rows.freeze()).await.map_err(&failed)?;
        sink.finish().await.map_err(&failed)?;
        Ok(())
    }
}

/// The lines of a copy.
struct Lines<'a> {
    reader: BufReader<File>,
    number: u64,
    copy: Copy<'a>,
}

impl Lines<'_> {
    /// The next line, without its end.
    fn next(&mut self) -> Result<String, BooksCopyError> {
        self.number = self.number.saturating_add(1);
        let mut line = Vec::new();
        let mut reader = io::Read::take(&mut self.reader, LINE_BYTES_MAX);
        reader.read_until(b'\n', &mut line).map_err(self.copy.io())?;
        if line.pop() != Some(b'\n') {
            return Err(self.malformed("the file is cut short"));
        }
        String::from_utf8(line).map_err(|_| self.malformed("this is no text"))
    }

    fn malformed(&self, reason: &str) -> BooksCopyError {
        let (path, line) = (self.copy.path.to_owned(), self.number);
        BooksCopyError::Malformed { path, line, reason: reason.to_owned() }
    }
}
