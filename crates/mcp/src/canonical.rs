//! One form per JSON value, for digests.
//!
//! As RFC 8785 (JCS): members sorted by the UTF-16 code units of their names, no whitespace, strings escaped as little as
//! possible. Unlike it, **numbers keep their spelling**: JCS rounds to a double, so `9007199254740993` and
//! `9007199254740992` would share a digest, and a payment for one would fit the other. Here two different texts of a
//! number are two values, and a digest never stands for two different arguments.

use sha2::{Digest as _, Sha256};

use crate::json::{JsonError, Limits, Scanner};

mod writer;

#[cfg(test)]
mod tests;

use writer::Writer;

/// The canonical form of a strict JSON value within [`Limits::UPSTREAM`].
pub fn canonical(raw: &[u8]) -> Result<Vec<u8>, JsonError> {
    canonical_without(raw, &[])
}

/// The canonical form of an object without some of its top-level members; of any other value, all of it.
pub fn canonical_without(raw: &[u8], members: &[&str]) -> Result<Vec<u8>, JsonError> {
    let mut scanner = Scanner::new(raw, Limits::UPSTREAM)?;
    let mut writer = Writer::new(scanner.whole_text());
    scanner.whole(|scanner| writer.value(scanner, members))?;
    Ok(writer.into_bytes())
}

/// SHA-256 of the canonical form.
pub fn digest(raw: &[u8]) -> Result<[u8; 32], JsonError> {
    digest_without(raw, &[])
}

/// SHA-256 of [`canonical_without`].
pub fn digest_without(raw: &[u8], members: &[&str]) -> Result<[u8; 32], JsonError> {
    canonical_without(raw, members).map(|form| Sha256::digest(form).into())
}
