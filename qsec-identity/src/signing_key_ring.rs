//! The keys of one purpose through their life: published, active, retired, removed.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::jose::{Algorithm, KeySet, VerifyingKey, base64url};
use crate::store::{Row, StoreError};
use crate::time::{system_time, unix_seconds};
use crate::token_type::TokenType;

/// Seconds between publishing a key and signing with it: verifiers hold a set for 600 s, wait 30 s between fetches and 5 s
/// for an answer, and clocks differ by 30 s.
const MIN_LEAD: i64 = 600 + 30 + 5 + 30;
/// What is kept to by default.
const LEAD: i64 = 3600;
/// Seconds after the longest-lived token has ended: leeway 60, skew 30, and room.
const REMOVAL_MARGIN: i64 = 300;
/// Keys that a ring remembers, removed ones included: ids are never used again.
const MAX_KEYS: usize = 256;

/// What keys are for. No key serves two purposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Purpose {
    /// Access tokens.
    Access,
    /// ID tokens.
    Id,
    /// Sessions.
    Session,
    /// Transaction tokens of the deployment.
    Txn,
    /// Gateway tokens.
    Gateway,
    /// Erasure certificates of the deployment.
    Deployment,
}

impl Purpose {
    /// The purpose of the keys that sign tokens of that type; `None` for types that others issue.
    pub fn of(token_type: TokenType) -> Option<Self> {
        match token_type {
            TokenType::Access => Some(Self::Access),
            TokenType::Id => Some(Self::Id),
            TokenType::Session => Some(Self::Session),
            TokenType::Txn => Some(Self::Txn),
            TokenType::Gateway => Some(Self::Gateway),
            TokenType::JwtIdp | TokenType::ClientAssertion => None,
        }
    }

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Id => "id",
            Self::Session => "session",
            Self::Txn => "txn",
            Self::Gateway => "gateway",
            Self::Deployment => "deployment",
        }
    }

    /// The longest life of what these keys sign, in seconds.
    fn longest_life(self) -> i64 {
        let token_type = match self {
            Self::Access => TokenType::Access,
            Self::Id => TokenType::Id,
            Self::Session => TokenType::Session,
            Self::Txn => TokenType::Txn,
            Self::Gateway => TokenType::Gateway,
            Self::Deployment => return TokenType::Session.rules().issue_cap,
        };
        token_type.rules().issue_cap
    }
}

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyState {
    /// In the published set, not signing yet.
    Published,
    /// Signing.
    Active,
    /// In the published set, not signing any more.
    Retired,
    /// Gone, the private part destroyed.
    Removed,
    /// Removed out of turn.
    Revoked,
}

impl KeyState {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Removed => "removed",
            Self::Revoked => "revoked",
        }
    }

    fn is_published(self) -> bool {
        matches!(self, Self::Published | Self::Active | Self::Retired)
    }
}

/// Why a step was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// No step is due yet.
    #[error("the next step is too early")]
    TooEarly {
        /// When the next step may be taken; `None` when none is pending.
        not_before: Option<SystemTime>,
    },
    /// The ring has had a key of that id.
    #[error("the ring has had the key `{kid}`")]
    KnownKey {
        /// Its id.
        kid: String,
    },
    /// The ring has no such key in its published set.
    #[error("the ring has no key `{kid}`")]
    UnknownKey {
        /// The id that was asked for.
        kid: String,
    },
    /// A key of that algorithm waits to become active already.
    #[error("a key for `{0}` is published and waits")]
    AlreadyPublished(Algorithm),
    /// The key is a shared secret, or says no algorithm.
    #[error("the key cannot sign tokens")]
    KeyUnsuitable,
    /// The ring remembers as many keys as it can.
    #[error("the ring is full")]
    Full,
}

impl RotationError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooEarly { .. } => "too_early",
            Self::KnownKey { .. } => "key_exists",
            Self::UnknownKey { .. } => "key_not_found",
            Self::AlreadyPublished(_) => "key_already_published",
            Self::KeyUnsuitable => "key_unsuitable",
            Self::Full => "ring_full",
        }
    }
}

/// One key of a ring. The private part is opaque here: whoever wrapped it unwraps it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    kid: String,
    algorithm: Algorithm,
    state: KeyState,
    since: i64,
    jwk: String,
    wrapped: Option<Vec<u8>>,
}

impl KeyRecord {
    /// The thumbprint of the public key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Where it is in its life.
    pub fn state(&self) -> KeyState {
        self.state
    }

    /// Since when.
    pub fn since(&self) -> SystemTime {
        system_time(self.since)
    }

    /// The public key as a JWK.
    pub fn public_jwk(&self) -> &str {
        &self.jwk
    }

    /// The wrapped private part; `None` for a key in a KMS, and for one that is gone.
    pub fn wrapped(&self) -> Option<&[u8]> {
        self.wrapped.as_deref()
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .field("state", &self.state)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

/// A key that went from one state to another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyChange {
    /// The key.
    pub kid: String,
    /// Where it came from; `None` for a key that is new.
    pub from: Option<KeyState>,
    /// Where it is now.
    pub to: KeyState,
}

/// A key, and the next step of its life.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The key.
    pub kid: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its state.
    pub state: KeyState,
    /// Since when.
    pub since: SystemTime,
    /// What comes next; `None` for an active key without a successor, and for one that is gone.
    pub next: Option<KeyState>,
    /// The earliest time of that.
    pub not_before: Option<SystemTime>,
}

/// The keys of one tenant for one purpose. It is one row of the store, so that activation, which changes two keys, is one
/// compare-and-set: of two nodes that rotate at once, one makes the change.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use qsec_identity::{Algorithm, KeySet, Purpose, SigningKey, SigningKeyRing};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let key = SigningKey::generate(Algorithm::Es256)?;
/// let wrapped = b"the private part, wrapped by the internal KMS".to_vec();
/// let ring = SigningKeyRing::create(Purpose::Access, key.verifying_key(), Some(wrapped), now)?;
/// assert_eq!(ring.active().map(|key| key.kid().to_owned()).as_deref(), Some(key.kid()));
/// assert_eq!(KeySet::parse(ring.jwks())?.usable().count(), 1);
///
/// let row = ring.to_row();                     // write it, read it back
/// assert_eq!(SigningKeyRing::from_row(&row)?.jwks(), ring.jwks());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyRing {
    purpose: Purpose,
    /// Generation of the row that this was read from; 0 for a ring that was never written.
    generation: u64,
    lead: i64,
    keys: Vec<KeyRecord>,
}

impl SigningKeyRing {
    /// A ring with its first key, active at once: nobody has fetched a set without it.
    ///
    /// # Errors
    /// [`RotationError::KeyUnsuitable`].
    pub fn create(
        purpose: Purpose,
        key: &VerifyingKey,
        wrapped: Option<Vec<u8>>,
        now: SystemTime,
    ) -> Result<Self, RotationError> {
        let record = record(key, wrapped, KeyState::Active, unix_seconds(now))?;
        Ok(Self { purpose, generation: 0, lead: LEAD, keys: vec![record] })
    }

    /// The purpose; its name is the id of the row.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Every key that the ring remembers.
    pub fn keys(&self) -> &[KeyRecord] {
        &self.keys
    }

    /// The key of that id.
    pub fn find(&self, kid: &str) -> Option<&KeyRecord> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// The key that signs: of several algorithms the one that became active last.
    pub fn active(&self) -> Option<&KeyRecord> {
        self.in_state(KeyState::Active).max_by_key(|key| key.since)
    }

    /// The public JWK Set: published, active and retired keys. There is no private member in it.
    pub fn jwks(&self) -> String {
        let keys: Vec<&str> =
            self.keys.iter().filter(|key| key.state.is_published()).map(|key| key.jwk.as_str()).collect();
        format!("{{\"keys\":[{}]}}", keys.join(","))
    }

    /// The lead between publishing and activating, at least 665 s.
    #[must_use]
    pub fn with_lead(mut self, lead: Duration) -> Self {
        self.lead = i64::try_from(lead.as_secs()).unwrap_or(i64::MAX).max(MIN_LEAD);
        self
    }

    /// Publishes a successor.
    ///
    /// # Errors
    /// [`RotationError`] if the id was used before, a successor for the algorithm waits already, or the ring is full.
    pub fn publish(
        &mut self,
        key: &VerifyingKey,
        wrapped: Option<Vec<u8>>,
        now: SystemTime,
    ) -> Result<KeyChange, RotationError> {
        let record = record(key, wrapped, KeyState::Published, unix_seconds(now))?;
        if self.find(&record.kid).is_some() {
            return Err(RotationError::KnownKey { kid: record.kid });
        }
        if self.in_state(KeyState::Published).any(|key| key.algorithm == record.algorithm) {
            return Err(RotationError::AlreadyPublished(record.algorithm));
        }
        if self.keys.len() >= MAX_KEYS {
            return Err(RotationError::Full);
        }
        let change = KeyChange { kid: record.kid.clone(), from: None, to: KeyState::Published };
        self.keys.push(record);
        Ok(change)
    }

    /// Takes every step that is due: activates published keys, retires those they replace, removes retired ones. Where no
    /// key is active, after a revocation, a published one is due at once.
    ///
    /// # Errors
    /// [`RotationError::TooEarly`] when none is.
    pub fn advance(&mut self, now: SystemTime) -> Result<Vec<KeyChange>, RotationError> {
        let seconds = unix_seconds(now);
        let due: Vec<(String, KeyState)> = self
            .keys
            .iter()
            .filter_map(|key| {
                let (next, not_before) = self.next_step(key)?;
                (not_before <= seconds).then(|| (key.kid.clone(), next))
            })
            .collect();
        if due.is_empty() {
            let pending = self.keys.iter().filter_map(|key| self.next_step(key).map(|(_, time)| time)).min();
            return Err(RotationError::TooEarly { not_before: pending.map(system_time) });
        }
        let mut changes = Vec::new();
        for (kid, next) in due {
            if next == KeyState::Active {
                self.retire_for(&kid, seconds, &mut changes);
            }
            changes.extend(self.enter(&kid, next, seconds));
        }
        Ok(changes)
    }

    /// Takes a key out of turn: it leaves the set at once, its private part is destroyed.
    ///
    /// # Errors
    /// [`RotationError::UnknownKey`] for a key that is not in the published set.
    pub fn revoke(&mut self, kid: &str, now: SystemTime) -> Result<KeyChange, RotationError> {
        let known = self.find(kid).is_some_and(|key| key.state.is_published());
        let change = if known { self.enter(kid, KeyState::Revoked, unix_seconds(now)) } else { None };
        change.ok_or_else(|| RotationError::UnknownKey { kid: kid.to_owned() })
    }

    /// Every key with its next step.
    pub fn status(&self) -> Vec<KeyStatus> {
        let status = |key: &KeyRecord| {
            let next = self.awaited_step(key);
            KeyStatus {
                kid: key.kid.clone(),
                algorithm: key.algorithm,
                state: key.state,
                since: key.since(),
                next: next.map(|(state, _)| state),
                not_before: next.map(|(_, time)| system_time(time)),
            }
        };
        self.keys.iter().map(status).collect()
    }

    /// The row to write next: the generation after the one that was read.
    pub fn to_row(&self) -> Row {
        let keys = self.keys.iter().map(|key| StoredKey {
            kid: key.kid.clone(),
            alg: key.algorithm.as_str().to_owned(),
            state: key.state,
            since: key.since,
            jwk: key.jwk.clone(),
            wrapped: key.wrapped.as_ref().map(base64url::encode),
        });
        let stored = StoredRing { version: 1, purpose: self.purpose, lead_s: self.lead, keys: keys.collect() };
        Row {
            id: self.purpose.as_str().to_owned(),
            generation: self.generation.saturating_add(1),
            body: serde_json::to_vec(&stored).unwrap_or_default(),
        }
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a row that [`Self::to_row`] cannot have written.
    pub fn from_row(row: &Row) -> Result<Self, StoreError> {
        let damaged = |what: &str| StoreError::Damaged { what: format!("signing keys `{}`: {what}", row.id) };
        let stored: StoredRing = serde_json::from_slice(&row.body).map_err(|error| damaged(&error.to_string()))?;
        if stored.version != 1 || stored.purpose.as_str() != row.id {
            return Err(damaged("version or purpose differ"));
        }
        let keys: Option<Vec<KeyRecord>> = stored.keys.into_iter().map(StoredKey::into_record).collect();
        let keys = keys.ok_or_else(|| damaged("a key cannot be read"))?;
        let ring =
            Self { purpose: stored.purpose, generation: row.generation, lead: stored.lead_s.max(MIN_LEAD), keys };
        KeySet::parse(ring.jwks()).map_err(|error| damaged(&error.to_string()))?;
        let mut signing: Vec<Algorithm> = ring.in_state(KeyState::Active).map(KeyRecord::algorithm).collect();
        let active = signing.len();
        signing.sort_unstable();
        signing.dedup();
        if signing.len() == active { Ok(ring) } else { Err(damaged("two keys of one algorithm are active")) }
    }

    fn in_state(&self, state: KeyState) -> impl Iterator<Item = &KeyRecord> {
        self.keys.iter().filter(move |key| key.state == state)
    }

    fn next_step(&self, key: &KeyRecord) -> Option<(KeyState, i64)> {
        match key.state {
            KeyState::Published => Some((KeyState::Active, self.activation(key))),
            KeyState::Retired => {
                let delay = self.purpose.longest_life().saturating_add(REMOVAL_MARGIN);
                Some((KeyState::Removed, key.since.saturating_add(delay)))
            }
            KeyState::Active | KeyState::Removed | KeyState::Revoked => None,
        }
    }

    /// Verifiers must have had time to fetch the key. Where no key signs any more, after a revocation, waiting would only
    /// keep everyone out, and verifiers fetch the set again for a kid that they do not know.
    fn activation(&self, key: &KeyRecord) -> i64 {
        if self.active().is_none() { key.since } else { key.since.saturating_add(self.lead) }
    }

    /// The step that a key waits for, whether it is its own or that of its successor.
    fn awaited_step(&self, key: &KeyRecord) -> Option<(KeyState, i64)> {
        if key.state != KeyState::Active {
            return self.next_step(key);
        }
        let successor = self.in_state(KeyState::Published).find(|other| other.algorithm == key.algorithm)?;
        Some((KeyState::Retired, self.activation(successor)))
    }

    /// Exactly one key of an algorithm is active: the others make way.
    fn retire_for(&mut self, successor: &str, now: i64, changes: &mut Vec<KeyChange>) {
        let Some(algorithm) = self.find(successor).map(|key| key.algorithm) else { return };
        let active: Vec<String> = self
            .in_state(KeyState::Active)
            .filter(|key| key.algorithm == algorithm)
            .map(|key| key.kid.clone())
            .collect();
        for kid in active {
            changes.extend(self.enter(&kid, KeyState::Retired, now));
        }
    }

    fn enter(&mut self, kid: &str, state: KeyState, now: i64) -> Option<KeyChange> {
        let key = self.keys.iter_mut().find(|key| key.kid == kid)?;
        let from = key.state;
        key.state = state;
        key.since = now;
        if !state.is_published() {
            key.wrapped = None;
        }
        Some(KeyChange { kid: kid.to_owned(), from: Some(from), to: state })
    }
}

fn record(
    key: &VerifyingKey,
    wrapped: Option<Vec<u8>>,
    state: KeyState,
    since: i64,
) -> Result<KeyRecord, RotationError> {
    let (Some(kid), Some(algorithm), Some(jwk)) = (key.thumbprint(), key.algorithm(), key.to_jwk()) else {
        return Err(RotationError::KeyUnsuitable);
    };
    // The id in the set must be the thumbprint, or a token that names it would not find it.
    if key.kid() != Some(kid.as_str()) {
        return Err(RotationError::KeyUnsuitable);
    }
    Ok(KeyRecord { kid, algorithm, state, since, jwk, wrapped })
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRing {
    version: u8,
    purpose: Purpose,
    lead_s: i64,
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    kid: String,
    alg: String,
    state: KeyState,
    since: i64,
    jwk: String,
    wrapped: Option<String>,
}

impl StoredKey {
    fn into_record(self) -> Option<KeyRecord> {
        let key = VerifyingKey::parse(&self.jwk).ok()?;
        let algorithm = Algorithm::parse(&self.alg).filter(|algorithm| key.algorithm() == Some(*algorithm))?;
        let wrapped = match self.wrapped {
            Some(text) => Some(base64url::decode(text)?),
            None => None,
        };
        let same = key.thumbprint().as_deref() == Some(self.kid.as_str()) && key.kid() == Some(self.kid.as_str());
        same.then_some(KeyRecord {
            kid: self.kid,
            algorithm,
            state: self.state,
            since: self.since,
            jwk: self.jwk,
            wrapped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    fn key() -> SigningKey {
        SigningKey::generate(Algorithm::EdDsa).unwrap()
    }

    fn ring(purpose: Purpose) -> (SigningKeyRing, SigningKey) {
        let first = key();
        (SigningKeyRing::create(purpose, first.verifying_key(), Some(vec![1]), at(0)).unwrap(), first)
    }

    #[test]
    fn key_goes_through_its_states_and_each_step_waits() {
        let (mut ring, first) = ring(Purpose::Access);
        assert_eq!(ring.advance(at(0)), Err(RotationError::TooEarly { not_before: None }));
        let second = key();
        ring.publish(second.verifying_key(), Some(vec![2]), at(10)).unwrap();
        assert_eq!(ring.active().unwrap().kid(), first.kid());
        assert_eq!(ring.advance(at(10 + 3599)), Err(RotationError::TooEarly { not_before: Some(at(10 + 3600)) }));
        let changes = ring.advance(at(10 + 3600)).unwrap();
        assert_eq!(changes.iter().map(|change| change.to).collect::<Vec<_>>(), [KeyState::Retired, KeyState::Active]);
        assert_eq!(ring.active().unwrap().kid(), second.kid());
        assert_eq!(KeySet::parse(ring.jwks()).unwrap().usable().count(), 2);
        let removal = 10 + 3600 + 86_400 + 300;
        assert_eq!(ring.advance(at(removal - 1)).unwrap_err().code(), "too_early");
        assert_eq!(ring.advance(at(removal)).unwrap()[0].to, KeyState::Removed);
        assert_eq!(ring.find(first.kid()).unwrap().wrapped(), None);
        assert_eq!(KeySet::parse(ring.jwks()).unwrap().usable().count(), 1);
    }

    #[test]
    fn revoked_key_leaves_the_set_at_once_and_its_id_is_never_used_again() {
        let (mut ring, first) = ring(Purpose::Session);
        ring.revoke(first.kid(), at(1)).unwrap();
        assert_eq!((ring.jwks().as_str(), ring.active()), (r#"{"keys":[]}"#, None));
        assert_eq!(ring.find(first.kid()).unwrap().wrapped(), None);
        assert_eq!(ring.revoke(first.kid(), at(2)).unwrap_err().code(), "key_not_found");
        assert_eq!(ring.publish(first.verifying_key(), None, at(2)).unwrap_err().code(), "key_exists");
    }

    #[test]
    fn successor_takes_over_at_once_when_the_signing_key_was_revoked() {
        let (mut ring, first) = ring(Purpose::Access);
        let second = key();
        ring.publish(second.verifying_key(), Some(vec![2]), at(10)).unwrap();
        assert_eq!(ring.advance(at(10)).unwrap_err().code(), "too_early");
        ring.revoke(first.kid(), at(11)).unwrap();
        ring.advance(at(11)).unwrap();
        assert_eq!(ring.active().unwrap().kid(), second.kid());
    }

    #[test]
    fn status_tells_what_a_key_waits_for() {
        let (mut ring, _) = ring(Purpose::Access);
        assert_eq!((ring.status()[0].next, ring.status()[0].not_before), (None, None));
        ring.publish(key().verifying_key(), None, at(10)).unwrap();
        let status = ring.status();
        assert_eq!((status[0].next, status[0].not_before), (Some(KeyState::Retired), Some(at(3610))));
        assert_eq!((status[1].next, status[1].not_before), (Some(KeyState::Active), Some(at(3610))));
    }

    #[test]
    fn one_successor_of_an_algorithm_waits_at_a_time() {
        let (mut ring, _) = ring(Purpose::Access);
        ring.publish(key().verifying_key(), None, at(0)).unwrap();
        assert_eq!(ring.publish(key().verifying_key(), None, at(0)).unwrap_err().code(), "key_already_published");
        let other = SigningKey::generate(Algorithm::Es256).unwrap();
        ring.publish(other.verifying_key(), None, at(0)).unwrap();
        ring.advance(at(3600)).unwrap();
        assert_eq!(ring.in_state(KeyState::Active).count(), 2);
    }

    #[test]
    fn lead_is_never_shorter_than_what_verifiers_need() {
        let (ring, _) = ring(Purpose::Access);
        let mut ring = ring.with_lead(Duration::ZERO);
        ring.publish(key().verifying_key(), None, at(0)).unwrap();
        assert_eq!(ring.advance(at(664)).unwrap_err().code(), "too_early");
        assert!(ring.advance(at(665)).is_ok());
    }

    #[test]
    fn row_keeps_everything_and_counts_generations() {
        let (mut ring, _) = ring(Purpose::Gateway);
        ring.publish(key().verifying_key(), Some(vec![9; 40]), at(5)).unwrap();
        let row = ring.to_row();
        assert_eq!((row.id.as_str(), row.generation), ("gateway", 1));
        let read = SigningKeyRing::from_row(&row).unwrap();
        assert_eq!(read.keys(), ring.keys());
        assert_eq!(read.to_row().generation, 2);
    }

    #[test]
    fn row_that_was_not_written_here_is_damaged() {
        let (ring, _) = ring(Purpose::Access);
        let row = ring.to_row();
        let text = String::from_utf8(row.body.clone()).unwrap();
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("\"purpose\":\"access\"", "\"purpose\":\"id\""),
            ("\"alg\":\"EdDSA\"", "\"alg\":\"ES256\""),
            ("\"kid\":\"", "\"kid\":\"x"),
            ("\"wrapped\":\"AQ\"", "\"wrapped\":\"AR\""),
            ("\"lead_s\"", "\"lead\""),
        ] {
            let body = text.replacen(from, to, 1).into_bytes();
            assert_ne!(body, row.body, "{from}");
            let read = SigningKeyRing::from_row(&Row { body, ..row.clone() });
            assert!(matches!(read, Err(StoreError::Damaged { .. })), "{from}");
        }
    }

    #[test]
    fn published_set_and_debug_form_hold_nothing_private() {
        let (ring, _) = ring(Purpose::Access);
        assert!(!ring.jwks().contains("\"d\"") && !ring.jwks().contains("wrapped"));
        assert!(!format!("{ring:?}").contains("wrapped"));
    }

    #[test]
    fn first_use_of_a_ring_key_needs_its_thumbprint_as_name() {
        let jwk = key().verifying_key().to_jwk().unwrap().replace("\"kid\":\"", "\"kid\":\"x");
        let named_otherwise = VerifyingKey::parse(jwk).unwrap();
        let made = SigningKeyRing::create(Purpose::Access, &named_otherwise, None, at(0));
        assert_eq!(made.unwrap_err().code(), "key_unsuitable");
    }
}
