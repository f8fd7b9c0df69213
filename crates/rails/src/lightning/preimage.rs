//! The secret that proves a Lightning payment.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The 32 bytes whose SHA-256 digest is a payment hash (BOLT 2, "payment_preimage"). Whoever shows them has paid, so
/// they are a bearer secret: never printed by `Debug`, compared in constant time.
#[derive(Clone, Copy)]
pub struct Preimage([u8; 32]);

/// A text that is no preimage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a preimage is 64 lower-case hexadecimal digits")]
pub struct PreimageError;

impl Preimage {
    /// The preimage of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits in lower case, the one form of the L402 protocol specification.
    ///
    /// # Errors
    /// [`PreimageError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, PreimageError> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(PreimageError);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| PreimageError)?;
        Ok(Self(bytes))
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hexadecimal digits. To be handed to the one who paid, and to nobody else.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// The payment hash it belongs to.
    pub fn payment_hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// Whether it proves the payment of this hash; compared in constant time.
    pub fn opens(&self, payment_hash: &[u8; 32]) -> bool {
        self.payment_hash().ct_eq(payment_hash).into()
    }
}

impl PartialEq for Preimage {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Preimage {}

impl fmt::Debug for Preimage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Preimage([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p16_only_64_lower_case_digits_are_a_preimage() {
        let preimage = Preimage::new([0xab; 32]);
        let text = preimage.to_hex();
        assert_eq!(Preimage::parse(&text), Ok(preimage));
        assert!(preimage.opens(&preimage.payment_hash()));
        assert!(!preimage.opens(&[0; 32]));
        for wrong in [
            "",
            &text[2..],
            &format!("{text}ab"),
            &text[1..],
            &text.to_uppercase(),
            &format!(" {}", &text[1..]),
        ] {
            assert_eq!(Preimage::parse(wrong), Err(PreimageError), "{wrong}");
        }
        assert_eq!(format!("{preimage:?}"), "Preimage([redacted])");
    }
}
