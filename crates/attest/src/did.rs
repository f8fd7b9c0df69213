//! The `did:key` form of an Ed25519 public key: the key itself as a name.

/// Multicodec `ed25519-pub` (0xed) as an unsigned varint.
const ED25519_PUB: [u8; 2] = [0xed, 0x01];
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// `did:key:z` and the base58btc text of the multicodec key (W3C CCG, "The did:key Method", section 3.1.2 for Ed25519).
pub(crate) fn did_key(public: &[u8; 32]) -> String {
    let mut bytes = Vec::with_capacity(34);
    bytes.extend_from_slice(&ED25519_PUB);
    bytes.extend_from_slice(public);
    format!("did:key:z{}", base58(&bytes))
}

/// Base58 without leading zero bytes, which a multicodec prefix never is: repeated division of a big-endian number.
fn base58(bytes: &[u8]) -> String {
    let mut digits: Vec<u8> = Vec::with_capacity(bytes.len().saturating_mul(2)); // least significant first
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) * 256;
            *digit = u8::try_from(carry % 58).unwrap_or_default();
            carry /= 58;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 58).unwrap_or_default());
            carry /= 58;
        }
    }
    let letters = digits.iter().rev().filter_map(|digit| ALPHABET.get(usize::from(*digit)));
    letters.map(|letter| char::from(*letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_published_base58_text() {
        // draft-msporny-base58 section 5, test vectors (IETF Trust licence).
        assert_eq!(base58(b"Hello World!"), "2NEpo7TZRRrLZSi2U");
        let fox = b"The quick brown fox jumps over the lazy dog.";
        assert_eq!(base58(fox), "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z");
    }

    #[test]
    fn an_ed25519_key_has_its_published_name() {
        // The did:key Method v0.7, test vectors (W3C CCG, W3C Software and Document License): the key of a seed of 32 zero bytes.
        let public = hex::decode("3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29").unwrap();
        let public: [u8; 32] = public.try_into().unwrap();
        assert_eq!(did_key(&public), "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp");
    }
}
