//! Keccak-256 and EIP-712 domains, with the separator computed once.

use sha3::{Digest as _, Keccak256};

use super::Address;

/// The Keccak-256 hash, as Ethereum uses it (not FIPS-202 SHA3).
pub fn keccak256(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

/// The Keccak-256 hash of the parts, one after another.
pub(crate) fn keccak256_of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// An unsigned number as 32 bytes, big-endian: the word of the contract ABI and of EIP-712.
pub(crate) fn word(number: u128) -> [u8; 32] {
    let mut word = [0; 32];
    word[16..].copy_from_slice(&number.to_be_bytes());
    word
}

/// The signing domain of one contract on one chain (EIP-712, "Definition of domainSeparator").
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Domain {
    separator: [u8; 32],
}

impl Domain {
    /// The domain with the four fields that EIP-3009 tokens use.
    pub fn new(name: &str, version: &str, chain_id: u64, verifying_contract: Address) -> Self {
        let kind =
            keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        let separator = keccak256_of_parts(&[
            &kind,
            &keccak256(name.as_bytes()),
            &keccak256(version.as_bytes()),
            &word(chain_id.into()),
            &verifying_contract.to_word(),
        ]);
        Self { separator }
    }

    /// The domain separator, as a token's `DOMAIN_SEPARATOR()` returns it.
    pub const fn separator(&self) -> &[u8; 32] {
        &self.separator
    }

    /// What is signed for a struct with this hash: `keccak256(0x1901 ‖ separator ‖ struct hash)`.
    pub fn digest(&self, struct_hash: &[u8; 32]) -> [u8; 32] {
        keccak256_of_parts(&[&[0x19, 0x01], &self.separator, struct_hash])
    }
}
