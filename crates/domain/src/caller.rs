use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_with::{DeserializeFromStr, SerializeDisplay};

use crate::KeyId;

/// Who a gateway keeps accounts and standing for, in one text form: `anonymous`, `key_1…`, `eip155:0x…` (a payer's
/// wallet, whatever the chain), `lightning:<payment hash>` (whoever holds that preimage).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr)]
pub struct Principal(Arc<str>);

/// Why a text is not a [`Principal`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a principal: expected anonymous, key_1…, eip155:0x… or lightning:<payment hash>")]
pub struct PrincipalError(String);

/// Who calls, and how that is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Caller {
    /// Nothing identifies the caller.
    Anonymous,
    /// The caller presented a valid API key.
    ApiKey(KeyId),
    /// The caller's payment proof recovers to this wallet address.
    Wallet([u8; 20]),
    /// The caller holds the preimage of this Lightning payment hash.
    Preimage([u8; 32]),
}

impl Caller {
    /// The caller as a name for accounts and standing.
    pub fn principal(&self) -> Principal {
        Principal(match self {
            Self::Anonymous => "anonymous".into(),
            Self::ApiKey(id) => id.to_string().into(),
            Self::Wallet(address) => format!("eip155:0x{}", hex::encode(address)).into(),
            Self::Preimage(hash) => format!("lightning:{}", hex::encode(hash)).into(),
        })
    }

    /// Whether something identifies the caller beyond this one call.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::ApiKey(_) | Self::Wallet(_))
    }
}

impl Principal {
    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who that is, and how whoever it is was known.
    pub fn caller(&self) -> Caller {
        let wallet = self.0.strip_prefix("eip155:0x").and_then(|digits| hex::decode(digits).ok());
        let preimage = self.0.strip_prefix("lightning:").and_then(|digits| hex::decode(digits).ok());
        let wallet = wallet.and_then(|bytes| bytes.try_into().ok()).map(Caller::Wallet);
        let preimage = preimage.and_then(|bytes| bytes.try_into().ok()).map(Caller::Preimage);
        let key = self.0.parse().ok().map(Caller::ApiKey);
        wallet.or(preimage).or(key).unwrap_or(Caller::Anonymous)
    }
}

impl FromStr for Principal {
    type Err = PrincipalError;

    fn from_str(text: &str) -> Result<Self, PrincipalError> {
        let lower_hex = |digits: &str, len: usize| {
            digits.len() == len && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let known = text == "anonymous"
            || text.parse::<KeyId>().is_ok()
            || text.strip_prefix("eip155:0x").is_some_and(|digits| lower_hex(digits, 40))
            || text.strip_prefix("lightning:").is_some_and(|digits| lower_hex(digits, 64));
        if !known {
            return Err(PrincipalError(text.chars().take(96).collect()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_tells_who_it_is() {
        let key = Caller::ApiKey(KeyId::from_bytes([1; 16]));
        for caller in [Caller::Anonymous, key, Caller::Wallet([2; 20]), Caller::Preimage([3; 32])] {
            assert_eq!(caller.principal().caller(), caller);
            assert_eq!(caller.principal().as_str().parse(), Ok(caller.principal()));
        }
    }
}
