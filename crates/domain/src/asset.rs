use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_with::{DeserializeFromStr, SerializeDisplay};

use crate::{Amount, AmountError};

/// What names an asset across systems, in CAIP-19 form and lower case:
/// `eip155:84532/erc20:0x036c…`, `lightning:regtest/msat`. At most 128 visible ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr)]
pub struct AssetId(Arc<str>);

/// One kind of money: its id, its symbol for people, and how many decimals the symbol has.
///
/// Lightning is counted in millisatoshi with the symbol `sat` and 3 decimals.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Asset {
    id: AssetId,
    symbol: Arc<str>,
    decimals: u8,
}

/// Why an asset cannot be named like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssetError {
    /// The id is not of the form `namespace:reference/kind[:reference]`.
    #[error("asset id {0:?} is not of the form \"eip155:84532/erc20:0x…\" or \"lightning:regtest/msat\"")]
    Id(String),
    /// The symbol is not 1 to 12 ASCII letters and digits that start with a letter.
    #[error("asset symbol {0:?} is not 1 to 12 ASCII letters and digits that start with a letter")]
    Symbol(String),
    /// More than 18 decimals.
    #[error("an asset has at most 18 decimals, not {0}")]
    Decimals(u8),
}

/// Why a text such as `0.01USDC` is no sum of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The number part is not a plain decimal such as `0.01`.
    #[error("{0:?} is not a decimal number such as 0.01")]
    Number(String),
    /// There are more digits behind the point than the asset has.
    #[error("{symbol} has {decimals} decimals, {text:?} has more")]
    TooFine {
        /// The text as written.
        text: String,
        /// The asset's symbol.
        symbol: String,
        /// How many decimals the asset has.
        decimals: u8,
    },
    /// The amount does not fit.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// No configured asset has this symbol.
    #[error("unknown asset {symbol:?}; known are {known}")]
    UnknownAsset {
        /// The symbol as written.
        symbol: String,
        /// The known symbols, comma separated.
        known: String,
    },
}

impl AssetId {
    /// The network part, before the slash: `eip155:84532`.
    pub fn network(&self) -> &str {
        self.0.split_once('/').map_or("", |(network, _)| network)
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AssetId {
    type Err = AssetError;

    fn from_str(text: &str) -> Result<Self, AssetError> {
        let refused = || AssetError::Id(text.to_owned());
        let (network, kind) = text.split_once('/').ok_or_else(refused)?;
        let visible =
            text.len() <= 128 && text.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase());
        let shaped = network
            .split_once(':')
            .is_some_and(|(namespace, reference)| !namespace.is_empty() && !reference.is_empty());
        if !visible || !shaped || kind.is_empty() || kind.contains('/') {
            return Err(refused());
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Asset {
    /// An asset with this CAIP-19 id, symbol and number of decimals.
    ///
    /// # Errors
    /// [`AssetError`] when one of them is malformed.
    pub fn new(id: &str, symbol: &str, decimals: u8) -> Result<Self, AssetError> {
        let starts_right = symbol.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        if !starts_right || symbol.len() > 12 || !symbol.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(AssetError::Symbol(symbol.to_owned()));
        }
        if decimals > 18 {
            return Err(AssetError::Decimals(decimals));
        }
        Ok(Self { id: id.parse()?, symbol: symbol.into(), decimals })
    }

    /// The id across systems.
    pub fn id(&self) -> &AssetId {
        &self.id
    }

    /// The symbol that people read.
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// How many digits stand behind the point.
    pub fn decimals(&self) -> u8 {
        self.decimals
    }

    /// Reads a decimal number of whole units, such as `0.01`, into atomic units.
    ///
    /// # Errors
    /// [`MoneyError`] when it is no plain decimal, is finer than the asset, or does not fit.
    pub fn parse(&self, text: &str) -> Result<Amount, MoneyError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || (text.contains('.') && !digits(fraction)) {
            return Err(MoneyError::Number(text.to_owned()));
        }
        let decimals = usize::from(self.decimals);
        if fraction.len() > decimals {
            return Err(MoneyError::TooFine {
                text: text.to_owned(),
                symbol: self.symbol.to_string(),
                decimals: self.decimals,
            });
        }
        let atomic = format!("{whole}{fraction:0<decimals$}");
        let canonical = atomic.trim_start_matches('0');
        Ok(if canonical.is_empty() { Amount::ZERO } else { canonical.parse()? })
    }

    /// The amount for people: `0.01 USDC`, `10 sat`.
    pub fn display(&self, amount: Amount) -> String {
        format!("{} {}", self.decimal(amount), self.symbol)
    }

    /// The amount in whole units without the symbol: `0.01`.
    pub fn decimal(&self, amount: Amount) -> String {
        let decimals = usize::from(self.decimals);
        let digits = format!("{:0>width$}", amount.get(), width = decimals.saturating_add(1));
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(decimals));
        match fraction.trim_end_matches('0') {
            "" => whole.to_owned(),
            fraction => format!("{whole}.{fraction}"),
        }
    }
}

impl fmt::Debug for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {} decimals)", self.symbol, self.id, self.decimals)
    }
}

/// An amount of one asset.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Money {
    /// How much, in atomic units.
    pub amount: Amount,
    /// Of what.
    pub asset: Asset,
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.asset.display(self.amount))
    }
}

/// The assets a gateway knows, each symbol and id once.
#[derive(Clone, Debug, Default)]
pub struct Assets(Vec<Asset>);

impl Assets {
    /// The given assets; a later one with the same symbol or id replaces the earlier.
    pub fn new(assets: impl IntoIterator<Item = Asset>) -> Self {
        let mut known: Vec<Asset> = Vec::new();
        for asset in assets {
            known.retain(|other| !other.symbol.eq_ignore_ascii_case(&asset.symbol) && other.id != asset.id);
            known.push(asset);
        }
        Self(known)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Asset> {
        self.0.iter()
    }

    /// The asset with this symbol, in any case.
    pub fn by_symbol(&self, symbol: &str) -> Option<&Asset> {
        self.0.iter().find(|asset| asset.symbol.eq_ignore_ascii_case(symbol))
    }

    /// The asset with this id.
    pub fn by_id(&self, id: &AssetId) -> Option<&Asset> {
        self.0.iter().find(|asset| asset.id == *id)
    }

    /// That none of them has this symbol.
    pub fn unknown(&self, symbol: &str) -> MoneyError {
        let known = self.0.iter().map(Asset::symbol).collect::<Vec<_>>().join(", ");
        MoneyError::UnknownAsset { symbol: symbol.to_owned(), known }
    }

    /// Reads money as people write it: `0.01USDC`, `0.01 USDC`, `10sat`.
    ///
    /// # Errors
    /// [`MoneyError`] when the number is malformed or the symbol unknown.
    pub fn parse(&self, text: &str) -> Result<Money, MoneyError> {
        let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, symbol) = text.split_at(split);
        let asset = self.by_symbol(symbol.trim()).ok_or_else(|| self.unknown(symbol.trim()))?;
        Ok(Money { amount: asset.parse(number.trim())?, asset: asset.clone() })
    }
}

#[cfg(test)]
mod tests;
