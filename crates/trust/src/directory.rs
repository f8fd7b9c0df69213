use std::collections::HashMap;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use tollgate_domain::{Digest, KeyId, KyaTier, Labels};

/// What is known of one API key. Holds no secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRecord {
    /// The key's id: the caller's name in accounts, receipts and logs.
    pub id: KeyId,
    /// What the operator calls it.
    pub name: Arc<str>,
    /// Whether it was taken back. A revoked key stays known, so that its holder is told so.
    pub revoked: bool,
    /// How far the operator verified who holds it.
    pub tier: KyaTier,
    /// To what its holder belongs.
    pub labels: Labels,
}

/// Where API keys are looked up. Implemented over an in-memory snapshot: it stands on every call's path.
pub trait KeyDirectory: Send + Sync {
    /// The record of the key whose secret has this digest ([`crate::ApiKey::hash`]); revoked ones too.
    fn find(&self, hash: &Digest) -> Option<KeyRecord>;

    /// To what the holder of a key belongs; nothing for a key that is not known.
    fn labels(&self, id: &KeyId) -> Labels;
}

/// All API keys at one moment; built once and swapped whole.
///
/// Secrets are compared as SHA-256 digests, and those in constant time: what a caller could learn from timing is at most
/// the leading bytes of a digest whose preimage it does not know.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys {
    by_leading_bytes: HashMap<u64, Vec<(Digest, KeyRecord)>>,
    /// Of those keys that have any.
    labels: HashMap<KeyId, Labels>,
}

impl ApiKeys {
    /// The given keys, each with the digest of its secret; a later one with the same digest replaces the earlier.
    pub fn new(keys: impl IntoIterator<Item = (Digest, KeyRecord)>) -> Self {
        let mut by_leading_bytes: HashMap<u64, Vec<(Digest, KeyRecord)>> = HashMap::new();
        let mut labels = HashMap::new();
        for (hash, record) in keys {
            if !record.labels.is_empty() {
                labels.insert(record.id, record.labels.clone());
            }
            let bucket = by_leading_bytes.entry(leading_bytes(&hash)).or_default();
            bucket.retain(|(other, _)| *other != hash);
            bucket.push((hash, record));
        }
        Self { by_leading_bytes, labels }
    }

    /// How many keys there are, revoked ones included.
    pub fn len(&self) -> usize {
        self.by_leading_bytes.values().map(Vec::len).fold(0, usize::saturating_add)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_leading_bytes.is_empty()
    }
}

impl KeyDirectory for ApiKeys {
    fn find(&self, hash: &Digest) -> Option<KeyRecord> {
        let bucket = self.by_leading_bytes.get(&leading_bytes(hash))?;
        let same = |other: &Digest| bool::from(other.as_bytes().ct_eq(hash.as_bytes()));
        bucket.iter().find(|(other, _)| same(other)).map(|(_, record)| record.clone())
    }

    fn labels(&self, id: &KeyId) -> Labels {
        self.labels.get(id).cloned().unwrap_or_default()
    }
}

impl<D: KeyDirectory + ?Sized> KeyDirectory for Arc<D> {
    fn find(&self, hash: &Digest) -> Option<KeyRecord> {
        (**self).find(hash)
    }

    fn labels(&self, id: &KeyId) -> Labels {
        (**self).labels(id)
    }
}

fn leading_bytes(hash: &Digest) -> u64 {
    let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = *hash.as_bytes();
    u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(byte: u8, name: &str) -> KeyRecord {
        KeyRecord {
            id: KeyId::from_bytes([byte; 16]),
            name: name.into(),
            revoked: false,
            tier: KyaTier::Sandbox,
            labels: Labels::default(),
        }
    }

    #[test]
    fn c3_a_digest_that_differs_only_at_its_end_is_another_key() {
        let mut near = [9; 32];
        near[31] = 8;
        let keys = ApiKeys::new([(Digest::from_bytes([9; 32]), record(1, "nine"))]);
        assert_eq!(
            keys.find(&Digest::from_bytes([9; 32])).unwrap().id,
            KeyId::from_bytes([1; 16]),
            "control"
        );
        assert_eq!(keys.find(&Digest::from_bytes(near)), None);

        let both = ApiKeys::new([
            (Digest::from_bytes([9; 32]), record(1, "nine")),
            (Digest::from_bytes(near), record(2, "nearly nine")),
        ]);
        assert_eq!(both.len(), 2);
        assert_eq!(both.find(&Digest::from_bytes(near)).unwrap().id, KeyId::from_bytes([2; 16]));
    }

    #[test]
    fn the_later_record_of_a_digest_counts() {
        let hash = Digest::from_bytes([4; 32]);
        let keys = ApiKeys::new([(hash, record(1, "old")), (hash, record(1, "new"))]);
        assert_eq!(keys.len(), 1);
        assert_eq!(&*keys.find(&hash).unwrap().name, "new");
        assert!(ApiKeys::default().is_empty());
    }
}
