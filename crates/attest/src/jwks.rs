use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::key::{KeyError, PublicKey};

/// How large a key set may be.
const JWKS_BYTES_MAX: usize = 256 * 1024;

/// Why a text is no key set.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The text is larger than any key set.
    #[error("the key set is larger than {JWKS_BYTES_MAX} bytes")]
    TooLarge,
    /// Not JSON of the form `{"keys":[…]}`.
    #[error("read the key set: {0}")]
    Json(#[source] serde_json::Error),
    /// The `x` of an Ed25519 key is not 32 bytes in base64url.
    #[error("key {index} of the set: x is not 32 bytes in base64url")]
    Encoding {
        /// Which key, counted from 0.
        index: usize,
    },
    /// The bytes are no key.
    #[error("key {index} of the set: {source}")]
    Key {
        /// Which key, counted from 0.
        index: usize,
        /// Why.
        source: KeyError,
    },
    /// The `kid` is not the thumbprint of the key, so the set is not one of ours, or was edited.
    #[error("key {index} of the set: its kid is not its thumbprint {thumbprint}")]
    KeyId {
        /// Which key, counted from 0.
        index: usize,
        /// What the kid should be.
        thumbprint: String,
    },
}

/// These keys as a JWK set (RFC 7517 section 5), as served at `/.well-known/jwks.json`.
pub fn jwks(keys: &[PublicKey]) -> String {
    let keys: Vec<String> = keys.iter().map(PublicKey::jwk).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// The Ed25519 keys of a JWK set, for [`crate::verify()`]. Keys of other kinds are passed over, as RFC 7517 section 5 asks.
///
/// # Errors
/// [`JwksError`] when the text is no key set, or an Ed25519 key in it is broken.
pub fn keys_from_jwks(text: &str) -> Result<Vec<PublicKey>, JwksError> {
    if text.len() > JWKS_BYTES_MAX {
        return Err(JwksError::TooLarge);
    }
    let set: Set = serde_json::from_str(text).map_err(JwksError::Json)?;
    let ours = |jwk: &Jwk| jwk.kty == "OKP" && jwk.crv.as_deref() == Some("Ed25519");
    set.keys.iter().enumerate().filter(|(_, jwk)| ours(jwk)).map(|(index, jwk)| read(index, jwk)).collect()
}

fn read(index: usize, jwk: &Jwk) -> Result<PublicKey, JwksError> {
    let x = jwk.x.as_deref().unwrap_or_default();
    let decoded = URL_SAFE_NO_PAD.decode(x).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = decoded.ok_or(JwksError::Encoding { index })?;
    let key = PublicKey::from_bytes(bytes).map_err(|source| JwksError::Key { index, source })?;
    match &jwk.kid {
        Some(kid) if kid != key.key_id() => {
            Err(JwksError::KeyId { index, thumbprint: key.key_id().to_owned() })
        }
        Some(_) | None => Ok(key),
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    kid: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Signer;

    fn two() -> Vec<PublicKey> {
        [[1; 32], [2; 32]].iter().map(|seed| Signer::from_seed(seed).unwrap().public()).collect()
    }

    #[test]
    fn a_key_set_reads_back() {
        assert_eq!(keys_from_jwks(&jwks(&two())).unwrap(), two());
        assert_eq!(keys_from_jwks(&jwks(&[])).unwrap(), []);
    }

    #[test]
    fn keys_of_other_kinds_are_passed_over() {
        let [first, _] = two().try_into().unwrap();
        let rsa = r#"{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a"}"#;
        let x25519 = r#"{"kty":"OKP","crv":"X25519","x":"AAAA"}"#;
        let set = format!(r#"{{"keys":[{rsa},{},{x25519}],"more":1}}"#, first.jwk());
        assert_eq!(keys_from_jwks(&set).unwrap(), [first]);
    }

    #[test]
    fn a_broken_key_is_named() {
        let [first, second] = two().try_into().unwrap();
        let good = jwks(&[first.clone(), second.clone()]);
        assert!(keys_from_jwks(&good).is_ok(), "control");

        let swapped = good.replacen(first.key_id(), second.key_id(), 1);
        assert!(matches!(keys_from_jwks(&swapped), Err(JwksError::KeyId { index: 0, .. })));
        let cut = good.replace(&second.jwk(), r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#);
        assert!(matches!(keys_from_jwks(&cut), Err(JwksError::Encoding { index: 1 })));
        assert!(matches!(keys_from_jwks("[]"), Err(JwksError::Json(_))));
        assert!(matches!(keys_from_jwks(&" ".repeat(JWKS_BYTES_MAX + 1)), Err(JwksError::TooLarge)));
    }
}
