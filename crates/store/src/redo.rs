//! What a step wrote, as statements with their values: enough to write the same rows again on the file as it was before. A text
//! stands in front of its first use, so that whoever reads it needs nothing else, not even the version that wrote it.

use hashbrown::HashMap;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql, params_from_iter};

/// One statement follows, by its number, with its values.
const RUN: u8 = 0;
/// The text of the next number follows.
const TEXT: u8 = 1;
const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const STRING: u8 = 3;
const BYTES: u8 = 4;

/// A statement for any number of rows: it is looked up once.
pub(crate) struct Statement<'c> {
    prepared: CachedStatement<'c>,
    text: &'static str,
}

impl<'c> Statement<'c> {
    pub(crate) fn of(connection: &'c Connection, text: &'static str) -> rusqlite::Result<Self> {
        Ok(Self { prepared: connection.prepare_cached(text)?, text })
    }
}

/// Writes rows, and notes how.
#[derive(Debug, Default)]
pub(crate) struct Redo {
    noted: Vec<u8>,
    /// How many rows what is noted has changed.
    rows: u64,
    /// The statements whose texts were noted since [`Self::begin`], by where they are in memory.
    texts: HashMap<usize, u16>,
    /// How many of them are in steps that were taken.
    taken: usize,
}

impl Redo {
    /// Nothing is noted any more, and no text is known.
    pub(crate) fn begin(&mut self) {
        self.taken = 0;
        self.next_step();
    }

    /// What follows is noted anew; texts in the steps that were taken stay known.
    pub(crate) fn next_step(&mut self) {
        self.noted.clear();
        self.rows = 0;
        let taken = self.taken;
        self.texts.retain(|_, number| usize::from(*number) < taken);
    }

    /// Takes the step that was noted, if `rows`, as many as were changed meanwhile, are all of what was noted, now or before.
    pub(crate) fn take(&mut self, rows: u64) -> Option<&[u8]> {
        if self.rows != rows {
            return None;
        }
        self.taken = self.texts.len();
        Some(&self.noted)
    }

    /// What is noted of the step so far.
    #[cfg(test)]
    pub(crate) fn noted(&self) -> &[u8] {
        &self.noted
    }

    /// Executes a statement and notes it; how many rows it changed.
    pub(crate) fn execute(
        &mut self,
        statement: &mut Statement<'_>,
        values: &[&dyn ToSql],
    ) -> rusqlite::Result<usize> {
        let changed = self.execute_noted(statement, values)?;
        self.note(statement.text, values)?;
        Ok(changed)
    }

    /// Executes a statement whose effect was noted before, in whatever words.
    pub(crate) fn execute_noted(
        &mut self,
        statement: &mut Statement<'_>,
        values: &[&dyn ToSql],
    ) -> rusqlite::Result<usize> {
        let changed = statement.prepared.execute(values)?;
        self.rows = self.rows.saturating_add(u64::try_from(changed).unwrap_or(u64::MAX));
        Ok(changed)
    }

    /// Notes a statement that is executed later in the transaction, or another one with the same effect.
    pub(crate) fn note(&mut self, text: &'static str, values: &[&dyn ToSql]) -> rusqlite::Result<()> {
        let number = match self.texts.get(&text.as_ptr().addr()) {
            Some(number) => *number,
            None => {
                let number = u16::try_from(self.texts.len()).map_err(failed)?;
                self.texts.insert(text.as_ptr().addr(), number);
                self.noted.push(TEXT);
                put(&mut self.noted, text.as_bytes())?;
                number
            }
        };
        self.noted.push(RUN);
        self.noted.extend_from_slice(&number.to_le_bytes());
        self.noted.push(u8::try_from(values.len()).map_err(failed)?);
        for value in values {
            match value.to_sql()? {
                ToSqlOutput::Borrowed(value) => put_value(&mut self.noted, value)?,
                ToSqlOutput::Owned(value) => put_value(&mut self.noted, ValueRef::from(&value))?,
                _ => return Err(failed("a value of another kind")),
            }
        }
        Ok(())
    }
}

fn put(into: &mut Vec<u8>, bytes: &[u8]) -> rusqlite::Result<()> {
    into.extend_from_slice(&u32::try_from(bytes.len()).map_err(failed)?.to_le_bytes());
    into.extend_from_slice(bytes);
    Ok(())
}

fn put_value(into: &mut Vec<u8>, value: ValueRef<'_>) -> rusqlite::Result<()> {
    match value {
        ValueRef::Null => into.push(NULL),
        ValueRef::Integer(number) => {
            into.push(INTEGER);
            into.extend_from_slice(&number.to_le_bytes());
        }
        ValueRef::Real(number) => {
            into.push(REAL);
            into.extend_from_slice(&number.to_le_bytes());
        }
        ValueRef::Text(text) => {
            into.push(STRING);
            put(into, text)?;
        }
        ValueRef::Blob(bytes) => {
            into.push(BYTES);
            put(into, bytes)?;
        }
    }
    Ok(())
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

/// Writes again what was noted in several steps that follow each other from [`Redo::begin`] on.
pub(crate) fn again<'a>(
    connection: &Connection,
    steps: impl IntoIterator<Item = &'a [u8]>,
) -> rusqlite::Result<()> {
    let mut texts: Vec<&str> = Vec::new();
    for step in steps {
        let mut noted = Noted(step);
        while !noted.0.is_empty() {
            match noted.byte()? {
                TEXT => texts.push(noted.text()?),
                RUN => {
                    let number = u16::from_le_bytes(noted.array()?);
                    let text = texts.get(usize::from(number)).ok_or_else(malformed)?;
                    let values = (0..noted.byte()?).map(|_| noted.value());
                    let values = values.collect::<rusqlite::Result<Vec<Value>>>()?;
                    connection.prepare_cached(text)?.execute(params_from_iter(values))?;
                }
                _ => return Err(malformed()),
            }
        }
    }
    Ok(())
}

/// What is left to be read of a step.
struct Noted<'a>(&'a [u8]);

impl<'a> Noted<'a> {
    fn take(&mut self, length: usize) -> rusqlite::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> rusqlite::Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| malformed())
    }

    fn byte(&mut self) -> rusqlite::Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn bytes(&mut self) -> rusqlite::Result<&'a [u8]> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(usize::try_from(length).map_err(|_| malformed())?)
    }

    fn text(&mut self) -> rusqlite::Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| malformed())
    }

    fn value(&mut self) -> rusqlite::Result<Value> {
        Ok(match self.byte()? {
            NULL => Value::Null,
            INTEGER => Value::Integer(i64::from_le_bytes(self.array()?)),
            REAL => Value::Real(f64::from_le_bytes(self.array()?)),
            STRING => Value::Text(self.text()?.to_owned()),
            BYTES => Value::Blob(self.bytes()?.to_vec()),
            _ => return Err(malformed()),
        })
    }
}

fn malformed() -> rusqlite::Error {
    failed("a step of the redo log cannot be read, though it is whole")
}

#[cfg(test)]
mod tests;
