//! Hash maps of ids, fast enough for the path of a decision.
//!
//! Ids come from strangers, so the hash is keyed: each map draws its own two secret words, from the same source as the
//! maps of the standard library. The function is a folded multiplication, sixteen bytes a step: much faster than `SipHash`
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
    fn mix(&mut self, one: u64, two: u64) {
        let product = u128::from(self.state ^ one).wrapping_mul(u128::from(self.factor ^ two));
        let low = u64::try_from(product & u128::from(u64::MAX)).unwrap_or_default();
        let high = u64::try_from(product >> 64).unwrap_or_default();
        self.state = low ^ high.rotate_left(32);
    }
}

impl Hasher for Folded {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        // The length keeps apart what is read as the same words.
        self.state = self.state.wrapping_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let mut rest = bytes;
        while let Some((head, tail)) = rest.split_first_chunk::<16>()
            && !tail.is_empty()
        {
            let (one, two) = ends(head);
            self.mix(one, two);
            rest = tail;
        }
        let (one, two) = ends(rest);
        self.mix(one, two);
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        // The end of a text, which `write` has marked by its length.
        self.state ^= u64::from(byte);
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.mix(number.into(), 0);
    }

    /// A variant of an enum.
    #[inline]
    fn write_isize(&mut self, number: isize) {
        self.mix(u64::try_from(number.cast_unsigned()).unwrap_or_default(), 0);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

/// At most sixteen bytes as two words, which overlap where there are fewer: no two texts of a length give the same.
#[inline]
fn ends(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    match *bytes {
        [first, .., last] => {
            let middle = bytes.get(1).copied().unwrap_or_default();
            (first.into(), u16::from_le_bytes([middle, last]).into())
        }
        [only] => (only.into(), 0),
        [] => (0, 0),
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
    fn each_byte_of_a_text_tells() {
        let keyed = Keyed::default();
        for length in 0..50 {
            let text = vec![b'a'; length];
            let mut hashes: HashSet<u64> = HashSet::from([hash_of(&keyed, &text)]);
            for place in 0..length {
                let mut other = text.clone();
                other[place] = b'b';
                assert!(hashes.insert(hash_of(&keyed, &other)), "{place} of {length}");
            }
        }
    }

    fn hash_of(keyed: &Keyed, bytes: &[u8]) -> u64 {
        let mut hasher = keyed.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    #[test]
    fn small_numbers_spread() {
        let keyed = Keyed::default();
        let numbers = (0..20_000_u32).map(|n| (n, crate::Action::Read));
        for part in [0, 57] {
            let mut buckets = [0_u32; 128];
            for number in numbers.clone() {
                buckets[usize::try_from(keyed.hash_one(number) >> part & 127).unwrap()] += 1;
            }
            assert!(buckets.iter().all(|count| (60..300).contains(count)), "bits from {part}: {buckets:?}");
        }
    }

    #[test]
    fn maps_have_secrets_of_their_own() {
        assert_ne!(Keyed::default().hash_one("a"), Keyed::default().hash_one("a"));
    }
}
