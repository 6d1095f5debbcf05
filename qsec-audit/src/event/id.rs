//! Ids of events: `UUIDv7` (RFC 9562 section 5.7), built from a given time.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom as _, SystemRandom};
use uuid::{Builder, Uuid, Variant};

use crate::log::RecordError;
use crate::merkle::sha256;
use crate::wal::Fields;

/// The id of an event, unique in its tree for ever; a retry keeps it.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use qsec_audit::EventId;
///
/// let id = EventId::new(UNIX_EPOCH + Duration::from_secs(1_772_355_600))?;
/// assert!(id.to_string().starts_with("019ca8a0-"));
/// assert_eq!(EventId::parse(&id.to_string()), Some(id));
/// # Ok::<(), qsec_audit::RecordError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

/// Eight hexadecimal digits at once. Lower case alone: what the digits are is written again and compared.
fn hex_word(word: u64) -> Option<u64> {
    const ONES: u64 = u64::from_be_bytes([1; 8]);
    let each = |byte: u8| ONES.wrapping_mul(u64::from(byte));
    let letters = word >> 6 & ONES;
    let nibbles = (word & each(0x0f)).wrapping_add(letters.wrapping_mul(9)) & each(0x0f);
    let above_nine = nibbles.wrapping_add(each(6)) >> 4 & ONES;
    let again = nibbles.wrapping_add(each(b'0')).wrapping_add(above_nine.wrapping_mul(u64::from(b'a' - b'0' - 10)));
    let pairs = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    (again == word).then_some((fours | fours >> 16) & 0xffff_ffff)
}

impl EventId {
    /// A new id: the milliseconds of `now`, and random bits of the kernel.
    ///
    /// # Errors
    /// [`RecordError::Random`] if the kernel gives none.
    pub fn new(now: SystemTime) -> Result<Self, RecordError> {
        Ids::default().next(now)
    }

    /// Reads the one spelling of an id: lower case, with hyphens, version 7.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // 8-4-4-4-12 digits (RFC 9562 section 4).
        let mut digits = Fields(text.as_bytes());
        let first = digits.u64()?;
        let mut group = || if digits.u8()? == b'-' { digits.u32().map(u64::from) } else { None };
        let [second, third, fourth, fifth] = [group()?, group()?, group()?, group()?];
        let last = digits.u64().filter(|_| digits.0.is_empty())?;
        let mut number = 0u128;
        for word in [first, second << 32 | third, fourth << 32 | fifth, last] {
            number = number << 32 | u128::from(hex_word(word)?);
        }
        let id = Uuid::from_u128(number);
        let version = id.get_version_num() == 7 && id.get_variant() == Variant::RFC4122;
        version.then_some(Self(id))
    }

    pub(crate) fn write(self, out: &mut String) {
        out.push_str(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id of the copy that goes to the deployment's tree: the same time, bits that follow from this id. A retry of the event
    /// gives both of its leaves the ids they had.
    pub(crate) fn of_copy(self) -> Self {
        let digest = sha256(&[b"qsec-audit/copy/v1\0", self.as_bytes()]);
        let random = digest.first_chunk::<10>().copied().unwrap_or_default();
        let mut millis = [0; 8];
        millis.iter_mut().skip(2).zip(self.as_bytes()).for_each(|(to, from)| *to = *from);
        Self(Builder::from_unix_timestamp_millis(u64::from_be_bytes(millis), &random).into_uuid())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Random bytes fetched for many ids at once: a system call an event is a third of its cost.
const POOL: usize = 640;
const RANDOM: usize = 10;

/// Makes ids.
#[derive(Debug)]
pub(crate) struct Ids {
    pool: [u8; POOL],
    used: usize,
    random: SystemRandom,
}

impl Default for Ids {
    fn default() -> Self {
        Self { pool: [0; POOL], used: POOL, random: SystemRandom::new() }
    }
}

impl Ids {
    pub(crate) fn next(&mut self, now: SystemTime) -> Result<EventId, RecordError> {
        if self.used >= POOL {
            self.random.fill(&mut self.pool).map_err(|_| RecordError::Random)?;
            self.used = 0;
        }
        let bytes = self.pool.get(self.used..).and_then(<[u8]>::first_chunk::<RANDOM>).ok_or(RecordError::Random)?;
        self.used = self.used.saturating_add(RANDOM);
        let millis =
            now.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        Ok(EventId(Builder::from_unix_timestamp_millis(millis, bytes).into_uuid()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::time::Duration;

    #[test]
    fn ids_are_version_7_sorted_by_time_and_never_the_same() {
        let mut ids = Ids::default();
        let mut seen = HashSet::new();
        let mut last = None;
        for milli in 0..500 {
            let id = ids.next(UNIX_EPOCH + Duration::from_millis(1_772_355_600_000 + milli)).unwrap();
            assert_eq!(EventId::parse(&id.to_string()), Some(id));
            assert!(last < Some(id) && seen.insert(id));
            last = Some(id);
        }
    }

    #[test]
    fn other_spellings_and_versions_are_no_ids() {
        let good = "0195f0a1-0000-7000-8000-000000000001";
        assert!(EventId::parse(good).is_some());
        for bad in [
            "0195F0A1-0000-7000-8000-000000000001",
            "0195f0a1000070008000000000000001",
            "0195f0a1-00000-700-8000-000000000001",
            "0195f0a1-0000-7000-8000-00000000000g",
            "0195f0a1-0000-7000-8000-0000000000010",
            "0195f0a1-0000-4000-8000-000000000001",
            "0195f0a1-0000-7000-c000-000000000001",
            "",
        ] {
            assert!(EventId::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn every_byte_in_every_place_is_read_as_another_reader_reads_it() {
        let good = "0195f0a1-0000-7000-8000-0123456789ab";
        for at in 0..36 {
            for byte in 0..128u8 {
                let mut text = good.as_bytes().to_vec();
                text[at] = byte;
                let text = String::from_utf8(text).unwrap();
                let other = Uuid::try_parse(&text).ok().filter(|id| {
                    id.hyphenated().to_string() == text
                        && id.get_version_num() == 7
                        && id.get_variant() == Variant::RFC4122
                });
                assert_eq!(EventId::parse(&text).map(|id| id.0), other, "{text}");
            }
        }
    }

    #[test]
    fn copy_has_an_id_of_its_own_that_a_retry_finds_again() {
        let id = EventId::parse("0195f0a1-0000-7000-8000-000000000001").unwrap();
        assert_ne!(id.of_copy(), id);
        assert_eq!(id.of_copy(), id.of_copy());
        assert!(id.of_copy().to_string().starts_with("0195f0a1-0000-7"));
    }
}
