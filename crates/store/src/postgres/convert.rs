//! Values of the domain as columns, and back; and what can go wrong with either.

use std::fmt;
use std::str::FromStr;

use tokio_postgres::Row;
use tollgate_domain::{Digest, Id, Kind, UnixMillis};
use tollgate_ledger::StoreError;

use super::connect::described;

/// Why the database gave nothing usable.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The database failed, or cannot be reached.
    Database(tokio_postgres::Error),
    /// A stored value is not of the form it was written in.
    Malformed {
        /// The column, from 0.
        column: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => f.write_str(&described(error)),
            Self::Malformed { column, reason } => write!(f, "column {column} holds no such value: {reason}"),
        }
    }
}

impl From<tokio_postgres::Error> for ReadError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        Self::Definite(format!("use the database: {error}"))
    }
}

pub(super) fn malformed(column: usize, reason: impl fmt::Display) -> ReadError {
    ReadError::Malformed { column, reason: reason.to_string() }
}

/// The column as it is.
pub(super) fn plain<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    column: usize,
) -> Result<T, ReadError> {
    row.try_get(column).map_err(|error| malformed(column, described(&error)))
}

/// The column as a value with a canonical text form.
pub(super) fn text<T: FromStr<Err: fmt::Display>>(row: &Row, column: usize) -> Result<T, ReadError> {
    plain::<&str>(row, column)?.parse().map_err(|error| malformed(column, error))
}

/// The column as a value with a canonical text form, or nothing.
pub(super) fn optional_text<T: FromStr<Err: fmt::Display>>(
    row: &Row,
    column: usize,
) -> Result<Option<T>, ReadError> {
    match plain::<Option<&str>>(row, column)? {
        None => Ok(None),
        Some(_) => text(row, column).map(Some),
    }
}

/// The column as this many bytes.
pub(super) fn bytes<const N: usize>(row: &Row, column: usize) -> Result<[u8; N], ReadError> {
    plain::<&[u8]>(row, column)?.try_into().map_err(|error| malformed(column, error))
}

/// The column as this many bytes, or nothing.
pub(super) fn optional_bytes<const N: usize>(row: &Row, column: usize) -> Result<Option<[u8; N]>, ReadError> {
    match plain::<Option<&[u8]>>(row, column)? {
        None => Ok(None),
        Some(_) => bytes(row, column).map(Some),
    }
}

/// The column as an id.
pub(super) fn id<K: Kind>(row: &Row, column: usize) -> Result<Id<K>, ReadError> {
    bytes(row, column).map(Id::from_bytes)
}

/// The column as an id, or nothing.
pub(super) fn optional_id<K: Kind>(row: &Row, column: usize) -> Result<Option<Id<K>>, ReadError> {
    Ok(optional_bytes(row, column)?.map(Id::from_bytes))
}

/// The column as a digest.
pub(super) fn digest(row: &Row, column: usize) -> Result<Digest, ReadError> {
    bytes(row, column).map(Digest::from_bytes)
}

/// The column as a count.
pub(super) fn count(row: &Row, column: usize) -> Result<u64, ReadError> {
    u64::try_from(plain::<i64>(row, column)?).map_err(|error| malformed(column, error))
}

/// The column as a small count.
pub(super) fn small_count(row: &Row, column: usize) -> Result<u32, ReadError> {
    u32::try_from(plain::<i64>(row, column)?).map_err(|error| malformed(column, error))
}

/// The column as a moment.
pub(super) fn moment(row: &Row, column: usize) -> Result<UnixMillis, ReadError> {
    count(row, column).map(UnixMillis::new)
}

/// The column as a moment, or nothing.
pub(super) fn optional_moment(row: &Row, column: usize) -> Result<Option<UnixMillis>, ReadError> {
    match plain::<Option<i64>>(row, column)? {
        None => Ok(None),
        Some(_) => moment(row, column).map(Some),
    }
}
