//! Sealed quotes: what a payment's own signature does not bind (tool, arguments, price version, expiry) travels through
//! the client under a MAC and comes back with the payment.
//!
//! A seal is text: base64url, without padding, of `version ‖ body ‖ HMAC-SHA256(version ‖ body)`. It hides nothing; it
//! cannot be changed or made without the gateway's secret. The key is derived for this one purpose, so that no other
//! MAC of the gateway can pass as a seal.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tollgate_domain::{
    Amount, AssetId, Binding, Digest, Principal, ServerName, ToolName, ToolRef, UnixMillis,
};
use zeroize::Zeroize as _;

use crate::base64_text;

const VERSION: u8 = 2;
/// Names no buyer. Still read, so that what was paid for before an update can be used after it.
const VERSION_WITHOUT_BUYER: u8 = 1;
const MAC_BYTES: usize = 32;
/// The longest seal that is looked at: names of 64 and 512 bytes, an asset id and a principal of 128 each, fixed fields, in base64.
const SEAL_CHARS_MAX: usize = 1_300;

/// One price for one call in one asset, as the gateway named it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedQuote {
    /// The tool, the argument digest and the price version that were quoted.
    pub binding: Binding,
    /// The quoted amount.
    pub amount: Amount,
    /// Of what.
    pub asset: AssetId,
    /// Until when a payment for it is accepted.
    pub expires: UnixMillis,
    /// Who alone may use what is paid for it; `None`: whoever pays.
    pub buyer: Option<Principal>,
    /// Makes two quotes of the same call differ.
    pub nonce: [u8; 16],
}

/// Why a text is no valid seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It does not have the form of a seal.
    #[error("the sealed quote is malformed")]
    Malformed,
    /// It was made by a version of the gateway that writes seals differently.
    #[error("the sealed quote has version {0}, expected {VERSION}")]
    Version(u8),
    /// The gateway did not make it, or it was changed.
    #[error("the sealed quote is not one of this gateway")]
    Forged,
}

/// Seals and opens quotes with one secret.
#[derive(Clone)]
pub struct QuoteSealer {
    keyed: Hmac<Sha256>,
}

impl QuoteSealer {
    /// A sealer whose key is derived from the gateway's secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self { keyed: derived_mac(secret, b"tollgate sealed quote v1") }
    }

    /// The seal of this quote.
    pub fn seal(&self, quote: &SealedQuote) -> String {
        let mut bytes = Vec::with_capacity(256);
        bytes.push(VERSION);
        bytes.extend_from_slice(&quote.expires.get().to_be_bytes());
        bytes.extend_from_slice(&quote.amount.get().to_be_bytes());
        bytes.extend_from_slice(&quote.binding.price_version.to_be_bytes());
        bytes.extend_from_slice(quote.binding.args.as_bytes());
        bytes.extend_from_slice(&quote.nonce);
        push_text(&mut bytes, quote.binding.tool.server.as_str());
        push_text(&mut bytes, quote.binding.tool.tool.as_str());
        push_text(&mut bytes, quote.asset.as_str());
        push_text(&mut bytes, quote.buyer.as_ref().map_or("", Principal::as_str));
        let mac = self.keyed.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac);
        base64_text::encode_url(&bytes)
    }

    /// The quote in a seal of this gateway, whether it has expired or not.
    ///
    /// # Errors
    /// [`SealError`]: the first thing that is wrong, in the order of its variants.
    pub fn open(&self, seal: &str) -> Result<SealedQuote, SealError> {
        if seal.len() > SEAL_CHARS_MAX {
            return Err(SealError::Malformed);
        }
        let bytes = base64_text::decode_any(seal).ok_or(SealError::Malformed)?;
        match bytes.first() {
            Some(&(VERSION | VERSION_WITHOUT_BUYER)) => {}
            Some(&other) => return Err(SealError::Version(other)),
            None => return Err(SealError::Malformed),
        }
        let (body, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(SealError::Malformed)?;
        // Constant time: `verify_slice` compares with `subtle`.
        self.keyed.clone().chain_update(body).verify_slice(mac).map_err(|_| SealError::Forged)?;
        read(body).ok_or(SealError::Malformed)
    }
}

impl fmt::Debug for QuoteSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QuoteSealer([redacted])")
    }
}

/// A MAC keyed with `HMAC(secret, purpose)`: one secret of the gateway, a key of its own for each purpose.
pub(crate) fn derived_mac(secret: &[u8; 32], purpose: &[u8]) -> Hmac<Sha256> {
    let mut key: [u8; 32] = keyed(secret).chain_update(purpose).finalize().into_bytes().into();
    let mac = keyed(&key);
    key.zeroize();
    mac
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    // A key of one SHA-256 block, padded with zeros, is the same HMAC key (RFC 2104, section 2) and cannot be refused.
    let mac = Hmac::new(&block.into());
    block.zeroize();
    mac
}

/// A text of at most 65,535 bytes behind its length. Names and asset ids are far shorter by their types.
fn push_text(bytes: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn read(body: &[u8]) -> Option<SealedQuote> {
    let (version, mut rest) = body.split_first()?;
    let expires = UnixMillis::new(u64::from_be_bytes(take(&mut rest)?));
    let amount = Amount::new(u128::from_be_bytes(take(&mut rest)?));
    let price_version = u32::from_be_bytes(take(&mut rest)?);
    let args = Digest::from_bytes(take(&mut rest)?);
    let nonce = take(&mut rest)?;
    let server: ServerName = take_text(&mut rest)?.parse().ok()?;
    let tool: ToolName = take_text(&mut rest)?.parse().ok()?;
    let asset: AssetId = take_text(&mut rest)?.parse().ok()?;
    let buyer = match *version {
        VERSION_WITHOUT_BUYER => "",
        _ => take_text(&mut rest)?,
    };
    let buyer = if buyer.is_empty() { None } else { Some(buyer.parse().ok()?) };
    let binding = Binding { tool: ToolRef { server, tool }, args, price_version, quote: None };
    rest.is_empty().then_some(SealedQuote { binding, amount, asset, expires, buyer, nonce })
}

fn take<const LEN: usize>(rest: &mut &[u8]) -> Option<[u8; LEN]> {
    let (head, tail) = rest.split_first_chunk::<LEN>()?;
    *rest = tail;
    Some(*head)
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let len = usize::from(u16::from_be_bytes(take(rest)?));
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    std::str::from_utf8(head).ok()
}

#[cfg(test)]
mod tests;
