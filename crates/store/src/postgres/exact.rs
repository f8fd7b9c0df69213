//! Amounts and the ids of transactions in the binary forms of the database's protocol: what every batch reads and writes by the hundred
//! is neither printed nor parsed.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tollgate_domain::Amount;

/// A `numeric` is a row of digits to this base (`numeric_send` of PostgreSQL): how many of them, the power of the first, a sign, how
/// many decimals are shown, and each digit, all as 16-bit integers.
const BASE: u128 = 10_000;
/// `u128::MAX` has 39 decimal digits.
const DIGITS_MAX: usize = 10;

/// An [`Amount`] as a `numeric`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Exact(pub(super) Amount);

/// The id of a transaction, which the database keeps with each version of a row that it wrote (`xmin`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Xid(pub(super) u32);

type Failure = Box<dyn Error + Sync + Send>;

impl ToSql for Exact {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        // From the last digit to the first; zeros at the end are not written.
        let mut digits = [0_i16; DIGITS_MAX];
        let (mut left, mut count, mut weight) = (self.0.get(), 0_usize, -1_i16);
        for slot in digits.iter_mut().rev() {
            if left == 0 {
                break;
            }
            *slot = i16::try_from(left % BASE)?;
            left /= BASE;
            count = count.saturating_add(1);
            weight = weight.saturating_add(1);
        }
        let written = digits.get(DIGITS_MAX.saturating_sub(count)..).unwrap_or_default();
        let trailing = written.iter().rev().take_while(|digit| **digit == 0).count();
        let written = written.get(..count.saturating_sub(trailing)).unwrap_or_default();
        for head in [i16::try_from(written.len())?, weight.max(0), 0, 0] {
            out.extend_from_slice(&head.to_be_bytes());
        }
        for digit in written {
            out.extend_from_slice(&digit.to_be_bytes());
        }
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::NUMERIC
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Exact {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        let (parts, rest) = raw.as_chunks::<2>();
        let mut parts = parts.iter().map(|bytes| i16::from_be_bytes(*bytes));
        let mut next = || parts.next().ok_or("a number is cut short");
        let (count, weight, sign, _scale) = (next()?, next()?, next()?, next()?);
        if sign != 0 || !rest.is_empty() {
            return Err("the number is below zero, or none".into());
        }
        // A whole number has no digit beyond the power 0; those that are not written are zeros.
        if count > weight.saturating_add(1) {
            return Err("the number is not whole".into());
        }
        let mut amount = 0_u128;
        let digits = if count == 0 { 0 } else { weight.saturating_add(1) };
        for place in 0..digits {
            let digit = if place < count { next()? } else { 0 };
            let digit = u128::try_from(digit)?;
            let grown = amount.checked_mul(BASE).and_then(|amount| amount.checked_add(digit));
            amount = grown.ok_or("the number is larger than an amount")?;
        }
        Ok(Self(Amount::new(amount)))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::NUMERIC
    }
}

impl ToSql for Xid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::XID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Xid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        Ok(Self(u32::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::XID
    }
}

#[cfg(test)]
mod tests;
