//! What the caveats of our macaroons say, and the rule that a later one may only take away.
//!
//! A caveat is `condition=value`, split at the first `=`, spaces on both sides trimmed (L402 `macaroons.md`). Of one
//! condition written twice, the later must be as tight as the earlier or tighter. Conditions of others are skipped: they
//! can grant nothing here. Conditions in our own namespace (`tollgate_…`) that this version does not know are refused: a
//! restriction that cannot be enforced must not be dropped.
//!
//! The first caveats are ours, signed under the root key, so what a holder adds stands behind them and can only narrow.

use tollgate_domain::{Digest, Principal};

use super::terms::{PriceTerm, Terms, parse_seconds};
use crate::lightning::Preimage;

const SERVICES: &str = "services";
const PREIMAGE: &str = "preimage";
const OURS: &str = "tollgate_";
const TOOL: &str = "tollgate_tool";
const ARGS: &str = "tollgate_args_sha256";
const PRICE: &str = "tollgate_price";
const VALID_UNTIL: &str = "tollgate_valid_until";
const CALLER: &str = "tollgate_caller";
/// The one service of a gateway, at tier 0.
const SERVICE: &str = "tollgate";

/// Why a macaroon's caveats do not hold together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaveatError {
    /// A condition's name, or the value of one of ours, holds a control character or is not ASCII.
    #[error("a caveat holds control characters or is not ASCII")]
    NotPlain,
    /// A condition in our namespace that this version cannot enforce.
    #[error("{0} is not a restriction this gateway can enforce")]
    Unenforceable(String),
    /// The value of one of our conditions is not in its form.
    #[error("the value of {0} is malformed")]
    Malformed(&'static str),
    /// A later caveat allows what an earlier one forbade.
    #[error("a later {0} caveat widens an earlier one")]
    Widened(&'static str),
    /// A condition that every token of ours has is not there.
    #[error("the token has no {0} caveat")]
    Missing(&'static str),
    /// The token is for other services.
    #[error("the token is not for this service")]
    OtherService,
}

/// What the caveats of one macaroon say together.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(crate) terms: Terms,
    /// A preimage that the holder put into the token itself (aperture's `Macaroon` header).
    pub(crate) preimage: Option<Preimage>,
}

/// The caveats of a new token, in the order in which they are signed.
pub(crate) fn minted(terms: &Terms) -> Vec<String> {
    let mut caveats = vec![
        format!("{SERVICES}={SERVICE}:0"),
        format!("{TOOL}={}", terms.tool),
        format!("{ARGS}={}", terms.args),
        format!("{PRICE}={}", terms.price.to_text()),
        format!("{VALID_UNTIL}={}", terms.valid_until),
    ];
    caveats.extend(terms.caller.as_ref().map(|caller| format!("{CALLER}={caller}")));
    caveats
}

/// Reads the caveats of a macaroon whose signature holds, in order.
pub(crate) fn read<'a>(caveats: impl Iterator<Item = &'a [u8]>) -> Result<Conditions, CaveatError> {
    let mut found = Found::default();
    for caveat in caveats {
        found.add(caveat)?;
    }
    let services = found.services.ok_or(CaveatError::Missing(SERVICES))?;
    if !services.iter().any(|service| service.split(':').next() == Some(SERVICE)) {
        return Err(CaveatError::OtherService);
    }
    let terms = Terms {
        tool: found.tool.ok_or(CaveatError::Missing(TOOL))?.to_owned(),
        args: found.args.ok_or(CaveatError::Missing(ARGS))?,
        price: found.price.ok_or(CaveatError::Missing(PRICE))?,
        valid_until: found.valid_until.ok_or(CaveatError::Missing(VALID_UNTIL))?,
        caller: found.caller,
    };
    Ok(Conditions { terms, preimage: found.preimage })
}

#[derive(Default)]
struct Found<'a> {
    services: Option<Vec<&'a str>>,
    tool: Option<&'a str>,
    args: Option<Digest>,
    price: Option<PriceTerm>,
    valid_until: Option<u64>,
    caller: Option<Principal>,
    preimage: Option<Preimage>,
}

impl<'a> Found<'a> {
    fn add(&mut self, caveat: &'a [u8]) -> Result<(), CaveatError> {
        let (name, value) = split(caveat)?;
        // Only what we act on must be plain text; a stranger's value is a stranger's business.
        let plain = || plain(value).ok_or(CaveatError::NotPlain);
        match name {
            SERVICES => {
                let listed: Vec<&str> =
                    plain()?.split(',').map(|service| service.trim_matches(' ')).collect();
                narrow(&mut self.services, SERVICES, listed, |before, now| {
                    now.iter().all(|one| before.contains(one))
                })
            }
            TOOL => narrow(&mut self.tool, TOOL, plain()?, PartialEq::eq),
            ARGS => {
                let digest = plain()?.parse().map_err(|_| CaveatError::Malformed(ARGS))?;
                narrow(&mut self.args, ARGS, digest, PartialEq::eq)
            }
            PRICE => {
                let price = PriceTerm::parse(plain()?).ok_or(CaveatError::Malformed(PRICE))?;
                narrow(&mut self.price, PRICE, price, PartialEq::eq)
            }
            VALID_UNTIL => {
                let seconds = parse_seconds(plain()?).ok_or(CaveatError::Malformed(VALID_UNTIL))?;
                narrow(&mut self.valid_until, VALID_UNTIL, seconds, |before, now| now <= before)
            }
            CALLER => {
                let caller = plain()?.parse().map_err(|_| CaveatError::Malformed(CALLER))?;
                narrow(&mut self.caller, CALLER, caller, PartialEq::eq)
            }
            PREIMAGE => {
                let preimage = Preimage::parse(plain()?).map_err(|_| CaveatError::Malformed(PREIMAGE))?;
                narrow(&mut self.preimage, PREIMAGE, preimage, PartialEq::eq)
            }
            unknown if unknown.starts_with(OURS) => {
                Err(CaveatError::Unenforceable(unknown.chars().take(64).collect()))
            }
            _ => Ok(()),
        }
    }
}

/// Keeps the later of two values of one condition when it is no wider than the earlier.
fn narrow<T>(
    slot: &mut Option<T>,
    condition: &'static str,
    value: T,
    is_narrower: impl Fn(&T, &T) -> bool,
) -> Result<(), CaveatError> {
    if slot.as_ref().is_some_and(|before| !is_narrower(before, &value)) {
        return Err(CaveatError::Widened(condition));
    }
    *slot = Some(value);
    Ok(())
}

/// The condition's name, which must be plain, and the bytes of its value.
fn split(caveat: &[u8]) -> Result<(&str, &[u8]), CaveatError> {
    let (name, value) = match caveat.iter().position(|byte| *byte == b'=') {
        Some(at) => {
            let (name, rest) = caveat.split_at_checked(at).unwrap_or((caveat, &[]));
            (name, rest.split_first().map_or(rest, |(_, value)| value))
        }
        None => (caveat, [].as_slice()),
    };
    Ok((plain(name).ok_or(CaveatError::NotPlain)?, value))
}

/// Text of visible ASCII characters and spaces, with the outer spaces trimmed.
fn plain(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()).then(|| text.trim_matches(' '))
}

#[cfg(test)]
mod tests;
