//! Where money may go.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tollgate_domain::{AssetId, Principal};

use crate::{AccountName, Clearing};

/// How money goes out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PayoutRail {
    /// A transfer of a token on an EVM chain.
    Evm,
    /// The payment of a Lightning invoice.
    Lightning,
    /// Sandbox money, from one account of these books to another.
    Sandbox,
}

/// Why a text names no [`PayoutRail`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of evm, lightning, sandbox")]
pub struct PayoutRailError(String);

/// A destination on a rail: an EVM address (`0x…`, lower case), or the public key of a Lightning node. The rail reads it; here it is
/// compared as text, so it has one form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Destination {
    rail: PayoutRail,
    asset: AssetId,
    to: Arc<str>,
}

/// Why nothing can be sent there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Not of the form of a destination.
    #[error("a destination is 1 to 128 characters of a-z, 0-9 and punctuation without spaces")]
    Form,
    /// Sandbox money has nowhere to go there.
    #[error("sandbox money goes to the address of a wallet: 0x and 40 hexadecimal digits in lower case")]
    Sandbox,
}

impl PayoutRail {
    /// Every rail.
    pub const ALL: [Self; 3] = [Self::Evm, Self::Lightning, Self::Sandbox];

    /// The word it is stored and shown with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Evm => "evm",
            Self::Lightning => "lightning",
            Self::Sandbox => "sandbox",
        }
    }
}

impl fmt::Display for PayoutRail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for PayoutRail {
    type Err = PayoutRailError;

    fn from_str(text: &str) -> Result<Self, PayoutRailError> {
        let found = Self::ALL.into_iter().find(|rail| rail.word() == text);
        found.ok_or_else(|| PayoutRailError(text.chars().take(32).collect()))
    }
}

impl Destination {
    /// A destination for an asset on a rail.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub fn new(rail: PayoutRail, asset: AssetId, to: &str) -> Result<Self, DestinationError> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
        if to.is_empty() || to.len() > 128 || !to.bytes().all(allowed) {
            return Err(DestinationError::Form);
        }
        let destination = Self { rail, asset, to: to.into() };
        match (rail, destination.wallet()) {
            (PayoutRail::Sandbox, None) => Err(DestinationError::Sandbox),
            (_, _) => Ok(destination),
        }
    }

    /// The rail.
    pub const fn rail(&self) -> PayoutRail {
        self.rail
    }

    /// The asset that goes there.
    pub const fn asset(&self) -> &AssetId {
        &self.asset
    }

    /// Where on the rail.
    pub fn to(&self) -> &str {
        &self.to
    }

    /// The wallet behind an EVM address, as callers are named.
    pub fn wallet(&self) -> Option<Principal> {
        let of_wallet = self.rail != PayoutRail::Lightning && self.to.starts_with("0x");
        of_wallet.then(|| format!("eip155:{}", self.to).parse().ok()).flatten()
    }

    /// The account that a payout to here credits.
    pub fn account(&self) -> AccountName {
        match (self.rail, self.wallet()) {
            (PayoutRail::Evm, _) => AccountName::Clearing(Clearing::X402),
            (PayoutRail::Lightning, _) => AccountName::Clearing(Clearing::L402),
            (PayoutRail::Sandbox, Some(wallet)) => AccountName::Credit(wallet),
            (PayoutRail::Sandbox, None) => AccountName::Clearing(Clearing::Sandbox),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.rail, self.to)
    }
}

#[cfg(test)]
mod tests;
