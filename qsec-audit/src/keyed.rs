//! A fast hash for maps whose keys strangers may choose: event ids, tenants. Its key is random, so that nobody outside can pick keys
//! that collide; where collisions themselves must not exist, SHA-256 is used.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};

pub(crate) type KeyedMap<K, V> = HashMap<K, V, KeyedState>;
pub(crate) type KeyedSet<K> = HashSet<K, KeyedState>;

#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyedState {
    start: u64,
    factor: u64,
}

impl Default for KeyedState {
    fn default() -> Self {
        let random = RandomState::new();
        // An odd factor loses no bit.
        Self { start: random.hash_one(0u8), factor: random.hash_one(1u8) | 1 }
    }
}

impl BuildHasher for KeyedState {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher { value: self.start, factor: self.factor }
    }
}

#[derive(Debug)]
pub(crate) struct KeyedHasher {
    value: u64,
    factor: u64,
}

impl KeyedHasher {
    /// Both halves of a 128-bit product depend on every bit of what went in.
    fn fold(&mut self, word: u64) {
        let (low, high) = (self.value ^ word).carrying_mul(self.factor, 0);
        self.value = low ^ high.rotate_left(32);
    }
}

impl Hasher for KeyedHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.fold(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.fold(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.fold(u64::from(number));
    }

    fn write_usize(&mut self, number: usize) {
        self.fold(u64::try_from(number).unwrap_or_default());
    }

    fn finish(&self) -> u64 {
        let (low, high) = self.value.carrying_mul(self.factor, 0);
        low ^ high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_differ_in_one_bit_have_hashes_that_differ_in_about_half() {
        let state = KeyedState::default();
        let id = [0x55u8; 16];
        let (mut least, mut sum) = (64, 0);
        for bit in 0..128 {
            let mut other = id;
            other[bit / 8] ^= 1 << (bit % 8);
            let differ = (state.hash_one(id) ^ state.hash_one(other)).count_ones();
            least = least.min(differ);
            sum += differ;
        }
        assert!(least >= 8 && (24 * 128..40 * 128).contains(&sum), "{least} {sum}");
        assert_ne!(KeyedState::default().hash_one(id), state.hash_one(id));
    }

    #[test]
    fn texts_of_every_length_have_hashes_of_their_own() {
        let state = KeyedState::default();
        let texts: HashSet<u64> = (0..2_000).map(|length| state.hash_one("a".repeat(length))).collect();
        assert_eq!(texts.len(), 2_000);
    }
}
