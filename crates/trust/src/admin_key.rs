use std::fmt;

use subtle::ConstantTimeEq;
use tollgate_domain::Digest;
use zeroize::Zeroizing;

use crate::api_key::written;

/// What every admin key starts with; secret scanners look for it.
const PREFIX: &str = "tga_";

/// The secret of an admin key: `tga_` and 32 random bytes as 43 base-62 digits. Shown once, at creation.
///
/// A kind of its own: an API key pays and calls, an admin key changes what is sold, and neither is worth anything in the
/// other's place. Never printed by `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminKey(Zeroizing<String>);

impl AdminKey {
    /// The key made of these 32 bytes, which must come fresh from the operating system.
    pub fn from_random(random: [u8; 32]) -> Self {
        Self(written(PREFIX, random))
    }

    /// The secret itself, to be shown to its owner once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The SHA-256 digest of the whole text: what is stored.
    pub fn hash(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminKey([redacted])")
    }
}

/// Which of these keys was presented. Every one is compared, and as a digest in constant time: what it takes tells nothing of
/// where the presented text differs.
pub fn admin_presented<'k, T>(
    presented: &[u8],
    keys: impl IntoIterator<Item = &'k T>,
    hash: impl Fn(&T) -> &Digest,
) -> Option<&'k T> {
    if !presented.starts_with(PREFIX.as_bytes()) {
        return None;
    }
    let presented = Digest::of(presented);
    let same = |key: &&T| bool::from(hash(key).as_bytes().ct_eq(presented.as_bytes()));
    keys.into_iter().filter(same).last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ApiKey;

    #[test]
    fn an_admin_key_is_found_by_its_secret_and_an_api_key_is_none() {
        let (one, two) = (AdminKey::from_random([1; 32]), AdminKey::from_random([2; 32]));
        let api = ApiKey::from_random([1; 32]);
        // The digest of an API key among them: even then its kind is refused.
        let known = [one.hash(), two.hash(), api.hash()];
        let find = |text: &str| admin_presented(text.as_bytes(), &known, |hash| hash).copied();
        assert_eq!(find(two.expose()), Some(two.hash()), "control");
        assert_eq!(find(AdminKey::from_random([3; 32]).expose()), None);
        assert_eq!(find(api.expose()), None);
        assert_eq!(format!("{one:?}"), "AdminKey([redacted])");
    }
}
