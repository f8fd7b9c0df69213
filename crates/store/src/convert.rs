//! Values of the domain as SQLite columns, and back. Texts are the canonical ones; ids and digests are their bytes.

use std::borrow::Cow;
use std::str::FromStr;

use rusqlite::Row;
use rusqlite::types::Type;
use tollgate_domain::{Digest, Id, Kind, UnixMillis};

/// The column as a value with a canonical text form.
pub(crate) fn text<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| malformed(column, Type::Text, error))
}

/// The column as a value with a canonical text form, or nothing.
pub(crate) fn optional_text<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    match row.get_ref(column)?.as_str_or_null()? {
        None => Ok(None),
        Some(_) => text(row, column).map(Some),
    }
}

/// The column as the envelope of a receipt, in whichever form it is kept. What is no receipt stays as it is: whoever verifies it sees
/// that.
pub(crate) fn envelope(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let kept = row.get_ref(column)?.as_str()?;
    Ok(tollgate_attest::envelope_of(kept).map_or_else(|| kept.to_owned(), Cow::into_owned))
}

/// The column as an id.
pub(crate) fn id<K: Kind>(row: &Row<'_>, column: usize) -> rusqlite::Result<Id<K>> {
    row.get(column).map(Id::from_bytes)
}

/// The column as an id, or nothing.
pub(crate) fn optional_id<K: Kind>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Id<K>>> {
    row.get::<_, Option<[u8; 16]>>(column).map(|bytes| bytes.map(Id::from_bytes))
}

/// The column as a digest.
pub(crate) fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    row.get(column).map(Digest::from_bytes)
}

/// The column as a count.
pub(crate) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let stored: i64 = row.get(column)?;
    u64::try_from(stored).map_err(|error| malformed(column, Type::Integer, error))
}

/// The column as a small count.
pub(crate) fn small_count(row: &Row<'_>, column: usize) -> rusqlite::Result<u32> {
    let stored: i64 = row.get(column)?;
    u32::try_from(stored).map_err(|error| malformed(column, Type::Integer, error))
}

/// The column as a moment.
pub(crate) fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<UnixMillis> {
    count(row, column).map(UnixMillis::new)
}

/// The column as a moment, or nothing.
pub(crate) fn optional_moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<UnixMillis>> {
    match row.get::<_, Option<i64>>(column)? {
        None => Ok(None),
        Some(_) => moment(row, column).map(Some),
    }
}

/// A count as SQLite keeps it. Beyond 2^63 - 1, which no moment or count reaches, it is cut.
pub(crate) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A moment as SQLite keeps it; see [`integer`].
pub(crate) fn millis(moment: UnixMillis) -> i64 {
    integer(moment.get())
}

/// A stored value that is not of the form it was written in.
pub(crate) fn malformed(
    column: usize,
    kind: Type,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}
