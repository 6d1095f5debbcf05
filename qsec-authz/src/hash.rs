//! Hash maps of ids, fast enough for the path of a decision.
//!
//! Ids come from strangers, so the hash is keyed: each map draws its own two secret words, from the same source as the
//! maps of the standard library. The function is a folded multiplication, eight bytes a step: much faster than `SipHash`
//! on short ids, and weaker. What an attacker could win by breaking it is slow look-ups, never a wrong one: a map
//! compares ids whole.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// A map from ids.
pub(crate) type IdMap<K, V> = HashMap<K, V, Keyed>;

/// Makes the hashers of one map.
#[derive(Debug, Clone)]
pub(crate) struct Keyed {
    start: u64,
    factor: u64,
}

impl Default for Keyed {
    fn default() -> Self {
        let random = RandomState::new();
        // Odd, so that the multiplication loses nothing.
        Self { start: random.hash_one(0_u8), factor: random.hash_one(1_u8) | 1 }
    }
}

impl BuildHasher for Keyed {
    type Hasher = Folded;

    #[inline]
    fn build_hasher(&self) -> Folded {
        Folded { state: self.start, factor: self.factor }
    }
}

/// The state of one hash.
#[derive(Debug)]
pub(crate) struct Folded {
    state: u64,
    factor: u64,
}

impl Folded {
    #[inline]
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.state ^ word).wrapping_mul(u128::from(self.factor));
        let low = u64::try_from(product & u128::from(u64::MAX)).unwrap_or_default();
        let high = u64::try_from(product >> 64).unwrap_or_default();
        self.state = low ^ high.rotate_left(32);
    }
}

impl Hasher for Folded {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        // The length keeps apart what zeros would fill up.
        let tail = rest.iter().fold(0_u64, |tail, byte| tail.wrapping_shl(8) | u64::from(*byte));
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.mix(tail);
        self.mix(length);
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        // The end of a text, which `write` has marked by its length.
        self.state ^= u64::from(byte);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn similar_ids_spread() {
        let keyed = Keyed::default();
        let hash = |text: &str| keyed.hash_one(text);
        let ids: Vec<String> =
            (0..20_000).map(|n| format!("user-{n}")).chain((0..64).map(|n| "\0".repeat(n))).collect();
        let whole: HashSet<u64> = ids.iter().map(|id| hash(id)).collect();
        assert_eq!(whole.len(), ids.len());
        for part in [0, 57] {
            let mut buckets = [0_u32; 128];
            for id in &ids {
                buckets[usize::try_from(hash(id) >> part & 127).unwrap()] += 1;
            }
            assert!(buckets.iter().all(|count| (60..300).contains(count)), "bits from {part}: {buckets:?}");
        }
    }

    #[test]
    fn maps_have_secrets_of_their_own() {
        assert_ne!(Keyed::default().hash_one("a"), Keyed::default().hash_one("a"));
    }
}
