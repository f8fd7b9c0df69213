use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_with::{DeserializeFromStr, SerializeDisplay};

use crate::{Digest, ToolRef};

/// A way for money to arrive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, SerializeDisplay, DeserializeFromStr)]
pub enum Rail {
    /// x402, scheme `exact` (EIP-3009).
    X402,
    /// L402: a Lightning payment proven by its preimage.
    L402,
    /// Prepaid credit on the gateway's own books.
    Credit,
}

/// Why a text names no rail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no rail; known are x402, l402, credit")]
pub struct RailError(String);

impl fmt::Display for Rail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X402 => "x402",
            Self::L402 => "l402",
            Self::Credit => "credit",
        })
    }
}

impl FromStr for Rail {
    type Err = RailError;

    fn from_str(text: &str) -> Result<Self, RailError> {
        match text {
            "x402" => Ok(Self::X402),
            "l402" => Ok(Self::L402),
            "credit" => Ok(Self::Credit),
            other => Err(RailError(other.chars().take(32).collect())),
        }
    }
}

/// What may be spent once: the rail and the identity of the proof on it, at most 200 visible ASCII characters.
///
/// The proof is, for x402, `network/asset/payer/nonce` (EIP-3009 nonces are per payer); for L402, the payment hash;
/// for credit, `principal/idempotency key`. It is the unique key of the settlement row: a replay is refused by the
/// store, not by memory. Written `rail:proof`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr)]
pub struct PaymentKey {
    rail: Rail,
    proof: Arc<str>,
}

/// Why a text is no payment key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a payment key of the form rail:proof with 1 to 200 visible ASCII characters")]
pub struct PaymentKeyError(String);

impl PaymentKey {
    /// The key of this proof on this rail.
    ///
    /// # Errors
    /// [`PaymentKeyError`] when the proof identity is empty, too long or not visible ASCII.
    pub fn new(rail: Rail, proof: impl Into<Arc<str>>) -> Result<Self, PaymentKeyError> {
        let proof = proof.into();
        if proof.is_empty() || proof.len() > 200 || !proof.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(PaymentKeyError(proof.chars().take(64).collect()));
        }
        Ok(Self { rail, proof })
    }

    /// The rail.
    pub fn rail(&self) -> Rail {
        self.rail
    }

    /// The identity of the proof on its rail.
    pub fn proof(&self) -> &str {
        &self.proof
    }
}

impl fmt::Display for PaymentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.rail, self.proof)
    }
}

impl fmt::Debug for PaymentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PaymentKey {
    type Err = PaymentKeyError;

    fn from_str(text: &str) -> Result<Self, PaymentKeyError> {
        let refused = || PaymentKeyError(text.chars().take(64).collect());
        let (rail, proof) = text.split_once(':').ok_or_else(refused)?;
        Self::new(rail.parse().map_err(|_| refused())?, proof)
    }
}

/// What one payment is for. A proof that comes back with another binding is refused.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Binding {
    /// The tool.
    pub tool: ToolRef,
    /// The digest of its canonical arguments.
    pub args: Digest,
    /// The version of the price list that the quote was made from.
    pub price_version: u32,
    /// The digest of the sealed quote that a payment answers, where its rail makes proofs public once they are settled: only
    /// payer and gateway know the seal, so only the payer can show the same proof with the same quote again. `None` where
    /// the proof itself stays a secret.
    pub quote: Option<Digest>,
}
