use sha2::{Digest as _, Sha256};
use tollgate_domain::Digest;

/// A digest as a receipt shows it: `SHA-256(salt ‖ digest)`, where `digest` is the SHA-256 of canonical JSON.
///
/// Salted is the digest and not the text, so that recovery can seal a receipt from a settlement row, which keeps digests
/// only. Both parts have fixed lengths, so where the salt ends is never in doubt. A salt is drawn freshly for each digest
/// and given to the parties only: without it, short arguments (`{"city":"Oslo"}`) could be guessed; and whoever erases it
/// erases the link between the receipt and what was said.
pub fn salted_digest(salt: &[u8; 16], digest: &[u8; 32]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(digest);
    Digest::from_bytes(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salted_digest_is_the_digest_of_salt_and_digest() {
        let salt = *b"0123456789abcdef";
        let plain = Digest::of(b"{}");
        let by_hand = [salt.as_slice(), plain.as_bytes()].concat();
        assert_eq!(salted_digest(&salt, plain.as_bytes()), Digest::of(&by_hand));
        assert_ne!(salted_digest(&salt, plain.as_bytes()), salted_digest(&[0; 16], plain.as_bytes()));
        assert_ne!(salted_digest(&salt, plain.as_bytes()), plain);
    }
}
