//! What stands in for PostgreSQL where it was not built in.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A database of PostgreSQL; there is none without the feature `postgres`.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {}

/// Why a text is not the URL of a database here. The text is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this tollgate was built without PostgreSQL; build it with `cargo build --features postgres`")]
pub struct DatabaseUrlError;

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(_text: &str) -> Result<Self, DatabaseUrlError> {
        Err(DatabaseUrlError)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

/// Why the books of a database cannot be copied; there is none.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum BooksCopyError {}

/// There are no databases without the feature `postgres`.
///
/// # Errors
/// None: there is no such database.
pub async fn copy_books(database: &DatabaseUrl, _path: &Path) -> Result<u32, BooksCopyError> {
    match *database {}
}

/// There are no databases without the feature `postgres`.
///
/// # Errors
/// None: there is no such database.
pub async fn has_books(database: &DatabaseUrl) -> Result<bool, crate::OpenError> {
    match *database {}
}

/// There are no databases without the feature `postgres`.
///
/// # Errors
/// None: there is no such database.
pub async fn write_books(_path: &Path, database: &DatabaseUrl) -> Result<u32, BooksCopyError> {
    match *database {}
}
