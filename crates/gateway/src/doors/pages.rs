//! Pages of a list, the newest first: how much of it is asked for, and from where on.

use crate::described::{Parameter, Place, Shape};

/// How long a page is unless it is said.
pub(super) const LENGTH: u32 = 20;
/// The longest page.
pub(super) const LENGTH_MAX: u32 = 100;

/// `limit`, described.
pub(super) const LIMIT: Parameter = Parameter {
    place: Place::Query,
    name: "limit",
    about: "How many; 20 unless it is said, and 100 at most.",
    shape: Shape::Json(r#"{"type":"integer","minimum":1,"maximum":100}"#),
    example: "20",
};
/// `before`, described.
pub(super) const BEFORE: Parameter = Parameter {
    place: Place::Query,
    name: "before",
    about: "Where the page before this one ended (`next_before`).",
    shape: Shape::Json(r#"{"type":"integer","minimum":0,"maximum":9223372036854775807}"#),
    example: "41",
};

/// A `limit` within its bounds.
pub(super) fn limit(text: &str) -> Option<u32> {
    text.parse().ok().filter(|limit| (1..=LENGTH_MAX).contains(limit))
}

/// A `before`: the number of a row, which a database counts with a sign.
pub(super) fn before(text: &str) -> Option<u64> {
    text.parse().ok().filter(|place| i64::try_from(*place).is_ok())
}

/// The members of a query: each pair, in order. `None` where one has no value.
pub(super) fn members(query: &str) -> impl Iterator<Item = Option<(&str, &str)>> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('='))
}
