//! The redo log: a small file beside a database into which each step of an open transaction is written and synced, so that
//! many steps, each durable by itself, share one transaction of the database. Once that is committed, the log begins anew.
//!
//! A transaction has a number, one more than what the database says in the same transaction (table `redo`). The steps that are
//! in the log with the number after the database's own are durable and not in the database: whoever has the database's write lock
//! and finds some writes them again first. All others are of the past, or were never finished.
//!
//! A number alone would fit any database. So each gateway that starts draws an id for its run, which stands in the database and in
//! every step: a log beside another file (one that was restored, or swapped) is neither written into it nor taken for the past.
//!
//! Each step begins a block, and is written past the page cache where the file system allows it: nobody reads what is written here
//! unless the process dies, and a sync then has nothing to gather.

mod blocks;

use std::fs::File;
use std::io::Error;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use twox_hash::XxHash3_128;

use crate::redo;
use blocks::{BLOCK_BYTES, Blocks};

/// How long the file may get. 2 MiB: what is in it is committed in a few milliseconds, in which every caller waits.
const FILE_BYTES_MAX: u64 = 1 << 21;
/// By how much it is made longer, ahead of what is written: a sync then has the bytes to keep, and nothing else. 1 MiB.
const GROWTH_BYTES: u64 = 1 << 20;
/// How large a step may be; a larger one is committed at once.
pub(crate) const STEP_BYTES_MAX: usize = 1 << 18;
/// XXH3 of everything of the step behind it, which tells a torn write; how long it is; the number of the transaction; its place in it;
/// the run.
const HEAD_BYTES: usize = UNNAMED_HEAD_BYTES + RUN_BYTES;
/// The same without the run, as a log beside a file of an earlier version has it.
const UNNAMED_HEAD_BYTES: usize = SUM_BYTES + 4 + 8 + 4;
const SUM_BYTES: usize = 16;
const RUN_BYTES: usize = 16;

/// The run of a gateway, from its start on.
type Run = [u8; RUN_BYTES];

/// The redo log of one database, as its writer has it.
#[derive(Debug)]
pub(crate) struct RedoLog {
    path: PathBuf,
    /// Where steps are written; `None` beside a gateway, whose log this is.
    file: Option<File>,
    length: u64,
    run: Run,
    transaction: u64,
    steps: u32,
    end: u64,
    blocks: Blocks,
}

impl RedoLog {
    /// The log in which the owner of a directory writes its steps; made if it is not there.
    pub(crate) fn of_owner(path: PathBuf) -> Result<Self, Error> {
        let file = blocks::open(&path)?;
        let length = file.metadata()?.len();
        let mut log = Self { file: Some(file), length, ..Self::of_guest(path) };
        if length < GROWTH_BYTES {
            log.grow(GROWTH_BYTES)?;
            #[cfg(unix)]
            if let Some(directory) = log.path.parent() {
                File::open(directory)?.sync_all()?;
            }
        }
        Ok(log)
    }

    /// Begins a run: whatever is in the log is in the database by now.
    pub(crate) fn begin_run(&mut self, connection: &Connection) -> Result<(), RecoverError> {
        // First of all, for good: beside a database that waits for steps of this run, none of an earlier one is left to be found.
        self.blocks.fill(|zeros| zeros.resize(zeros.len().saturating_add(BLOCK_BYTES), 0));
        self.put(0).map_err(RecoverError::Log)?;
        self.file.as_ref().map_or(Ok(()), File::sync_data).map_err(RecoverError::Log)?;
        let drawn = connection.execute("UPDATE redo SET run = randomblob(16) WHERE one = 1", [])?;
        crate::database::exactly_one(drawn)?;
        self.run = connection.query_row("SELECT run FROM redo WHERE one = 1", [], |row| row.get(0))?;
        Ok(())
    }

    /// Makes the file so long, with zeros that are on the disk.
    fn grow(&mut self, length: u64) -> Result<(), Error> {
        self.blocks.fill(|zeros| zeros.resize(zeros.len().saturating_add(1 << 16), 0));
        while self.length < length {
            self.put(self.length)?;
            self.length = self.length.saturating_add(self.blocks.len());
        }
        self.file.as_ref().map_or(Ok(()), File::sync_all)
    }

    /// Writes the blocks there.
    fn put(&mut self, offset: u64) -> Result<(), Error> {
        let Self { file, blocks, path, .. } = self;
        let file = file.as_mut().ok_or_else(|| Error::other("this process does not write the log"))?;
        match blocks.write(file, offset) {
            Err(error) if blocks::is_impossible(&error) => {
                *file = blocks::open_cached(path)?;
                blocks.write(file, offset)
            }
            written => written,
        }
    }

    /// The log of a gateway that may be running: only read.
    pub(crate) fn of_guest(path: PathBuf) -> Self {
        let (run, blocks) = ([0; RUN_BYTES], Blocks::default());
        Self { path, file: None, length: 0, run, transaction: 0, steps: 0, end: 0, blocks }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether steps can be written.
    pub(crate) fn is_written(&self) -> bool {
        self.file.is_some()
    }

    /// The steps of another transaction follow.
    pub(crate) fn begin(&mut self, transaction: u64) {
        (self.transaction, self.steps, self.end) = (transaction, 0, 0);
    }

    /// How many steps of this transaction are durable.
    pub(crate) fn steps(&self) -> u32 {
        self.steps
    }

    /// Whether the transaction should be committed before there is another step.
    pub(crate) fn is_full(&self) -> bool {
        let most = u64::try_from(STEP_BYTES_MAX).unwrap_or(u64::MAX).saturating_mul(2);
        self.end.saturating_add(most) > FILE_BYTES_MAX
    }

    /// Writes a step and syncs it.
    pub(crate) fn append(&mut self, step: &[u8]) -> Result<(), Error> {
        self.write(step)?;
        self.sync()
    }

    /// The step is in the file, but not durable yet.
    fn write(&mut self, step: &[u8]) -> Result<(), Error> {
        let needed = self.end.saturating_add(u64::try_from(whole_blocks(step.len())).map_err(Error::other)?);
        if needed > self.length {
            self.grow(needed.next_multiple_of(GROWTH_BYTES))?;
        }
        let Self { run, transaction, steps, blocks, .. } = self;
        let length = u32::try_from(step.len()).map_err(Error::other)?;
        let mut head = [0; HEAD_BYTES];
        let (sum, rest) = head.split_at_mut(SUM_BYTES);
        let fields = length.to_le_bytes().into_iter().chain(transaction.to_le_bytes());
        let fields = fields.chain(steps.to_le_bytes()).chain(*run);
        rest.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
        sum.copy_from_slice(&checksum(rest, step));
        blocks.fill(|bytes| {
            bytes.extend_from_slice(&head);
            bytes.extend_from_slice(step);
        });
        self.put(self.end)
    }

    fn sync(&mut self) -> Result<(), Error> {
        if let Some(file) = &self.file {
            file.sync_data().map_err(in_doubt)?;
        }
        self.steps = self.steps.saturating_add(1);
        self.end = self.end.saturating_add(self.blocks.len());
        Ok(())
    }

    /// As [`Self::append`], with a fault of the disk in the place of its sync: whether the step is in the file all the same.
    #[cfg(any(test, feature = "failpoints"))]
    pub(crate) fn append_unsynced(&mut self, step: &[u8], is_kept: bool) -> Result<(), Error> {
        if is_kept { self.write(step) } else { Ok(()) }
    }
}

/// A failed sync leaves in doubt what the file holds, whatever its reason. A disk that is full only now, as a thin volume is, says so
/// of a step that may be whole in the file: nobody may be told that it is not there.
fn in_doubt(error: Error) -> Error {
    Error::other(format!("the sync failed: {error}"))
}

/// How much of the file a step takes.
fn whole_blocks(step: usize) -> usize {
    HEAD_BYTES.saturating_add(step).next_multiple_of(BLOCK_BYTES)
}

fn checksum(head: &[u8], step: &[u8]) -> [u8; SUM_BYTES] {
    let mut sum = XxHash3_128::new();
    sum.write(head);
    sum.write(step);
    sum.finish_128().to_le_bytes()
}

/// Writes again, into the open transaction that has the write lock, the steps that are durable and not in the database; how many
/// that were. `known`: no more than so many are looked for.
pub(crate) fn recover(
    connection: &Connection,
    path: &Path,
    known: Option<u32>,
) -> Result<usize, RecoverError> {
    let Some(transaction) = next(connection)? else { return Ok(0) };
    let named = Named::of(connection)?;
    let log = whole(path).map_err(RecoverError::Log)?;
    if !named.fits(&log, transaction) {
        return Err(RecoverError::Foreign);
    }
    let mut steps = read(&log, transaction, named);
    steps.truncate(known.map_or(usize::MAX, |known| usize::try_from(known).unwrap_or(usize::MAX)));
    if steps.is_empty() {
        return Ok(0);
    }
    redo::again(connection, steps.iter().copied())?;
    committing(connection, transaction)?;
    Ok(steps.len())
}

/// Whether there are steps in the log, of whichever run.
pub(crate) fn has_steps(path: &Path) -> Result<bool, Error> {
    let log = whole(path)?;
    Ok([UNNAMED_HEAD_BYTES, HEAD_BYTES].into_iter().any(|head| Step::first(&log, head).is_some()))
}

/// What the file holds: nothing if it is not there.
fn whole(path: &Path) -> Result<Vec<u8>, Error> {
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// Why steps of the log cannot be written again.
#[derive(Debug)]
pub(crate) enum RecoverError {
    /// The log cannot be read.
    Log(Error),
    /// The log is another database's, or that of a later state of this one.
    Foreign,
    /// The database failed.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for RecoverError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// The number of the transaction after what the database says; `None` for a database that keeps no redo log, because it is
/// empty or of an earlier version.
pub(crate) fn next(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    let is_there: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'redo')")?
        .query_row([], |row| row.get(0))?;
    if !is_there {
        return Ok(None);
    }
    let committed: i64 = connection
        .prepare_cached("SELECT transactions FROM redo WHERE one = 1")?
        .query_row([], |row| row.get(0))?;
    Ok(Some(u64::try_from(committed).unwrap_or(0).saturating_add(1)))
}

/// Says in the database, in the transaction itself, that it has this number.
pub(crate) fn committing(connection: &Connection, transaction: u64) -> rusqlite::Result<()> {
    let number = i64::try_from(transaction).unwrap_or(i64::MAX);
    let mut update = connection.prepare_cached("UPDATE redo SET transactions = ?1 WHERE one = 1")?;
    crate::database::exactly_one(update.execute([number])?)
}

/// Whether steps name their run, and which one a database waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Named {
    /// They do not: the file is of an earlier version.
    Not,
    /// Of this run; of none, in a file that no gateway has had yet.
    By(Option<Run>),
}

impl Named {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let is_there: bool = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM pragma_table_info('redo') WHERE name = 'run')")?
            .query_row([], |row| row.get(0))?;
        if !is_there {
            return Ok(Self::Not);
        }
        let run =
            connection.prepare_cached("SELECT run FROM redo WHERE one = 1")?.query_row([], |row| row.get(0));
        run.map(Self::By)
    }

    const fn head_bytes(self) -> usize {
        match self {
            Self::Not => UNNAMED_HEAD_BYTES,
            Self::By(_) => HEAD_BYTES,
        }
    }

    /// Whether a log is the one of a database whose next transaction has this number: it begins with steps of its run, and of no later
    /// transaction.
    fn fits(self, log: &[u8], next: u64) -> bool {
        let Self::By(run) = self else { return true };
        Step::first(log, self.head_bytes())
            .is_none_or(|step| run.as_ref().is_some_and(|run| step.run == run) && step.transaction <= next)
    }
}

/// The whole steps of a transaction, from the first one on.
fn read(mut log: &[u8], transaction: u64, named: Named) -> Vec<&[u8]> {
    let mut steps = Vec::new();
    while let Some(step) = Step::first(log, named.head_bytes()) {
        let is_of_run = matches!(named, Named::By(Some(run)) if step.run == run) || named == Named::Not;
        if !is_of_run || step.transaction != transaction || u32::try_from(steps.len()) != Ok(step.place) {
            break;
        }
        steps.push(step.content);
        log = step.behind;
    }
    steps
}

/// A whole step.
struct Step<'a> {
    transaction: u64,
    place: u32,
    /// Empty where steps name none.
    run: &'a [u8],
    content: &'a [u8],
    /// What stands behind its last block.
    behind: &'a [u8],
}

impl<'a> Step<'a> {
    /// The one at the beginning, with a head of this size.
    fn first(log: &'a [u8], head_bytes: usize) -> Option<Self> {
        let (head, rest) = log.split_at_checked(head_bytes)?;
        let (sum, fields) = head.split_at_checked(SUM_BYTES)?;
        let (length, of_and_at) = fields.split_first_chunk()?;
        let (transaction, at) = of_and_at.split_first_chunk()?;
        let (place, run) = at.split_first_chunk()?;
        let content = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        let whole = head_bytes.saturating_add(content.len()).next_multiple_of(BLOCK_BYTES);
        (checksum(fields, content) == sum).then(|| Self {
            transaction: u64::from_le_bytes(*transaction),
            place: u32::from_le_bytes(*place),
            run,
            content,
            behind: log.get(whole..).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests;
