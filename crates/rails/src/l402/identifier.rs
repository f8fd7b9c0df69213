//! The identifier of an L402 macaroon, version 0 (L402 `macaroon-spec.md`): what ties a token to one invoice.

/// Version 0: `u16be 0`, payment hash, token id. 66 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identifier {
    /// The payment hash of the invoice that was made for the token.
    pub payment_hash: [u8; 32],
    /// Random; makes two tokens of one invoice differ.
    pub token_id: [u8; 32],
}

impl Identifier {
    /// The 66 bytes.
    pub fn to_bytes(self) -> [u8; 66] {
        let mut bytes = [0; 66];
        let parts = self.payment_hash.iter().chain(&self.token_id);
        for (slot, byte) in bytes.iter_mut().skip(2).zip(parts) {
            *slot = *byte;
        }
        bytes
    }

    /// Reads version 0; `None` for any other version or length.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk::<2>()?;
        let (payment_hash, token_id) = rest.split_first_chunk::<32>()?;
        if *version != [0, 0] {
            return None;
        }
        Some(Self { payment_hash: *payment_hash, token_id: token_id.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_read_back_and_nothing_else_is() {
        let identifier = Identifier { payment_hash: [1; 32], token_id: [2; 32] };
        let bytes = identifier.to_bytes();
        assert_eq!(Identifier::parse(&bytes), Some(identifier));
        assert_eq!(Identifier::parse(&bytes[..65]), None);
        assert_eq!(Identifier::parse(&[bytes.as_slice(), &[0]].concat()), None);
        let mut newer = bytes;
        newer[1] = 1;
        assert_eq!(Identifier::parse(&newer), None);
    }
}
