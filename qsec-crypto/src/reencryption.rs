//! Sealing a tenant's objects again under the newest key version, so that older ones can be shredded.
//!
//! A [`Reencryption`] walks the caller's [`Objects`] in their order. What is under the newest version stays as it is; what
//! is under an older one is opened, sealed beside, and put in its place. After each of those it saves its place with a
//! [`Cursor`], and the next one goes on there.
//!
//! A crash at any point leaves each object whole under exactly one version: nothing takes an object's place before all of
//! it was opened, sealed and made durable. Objects that do not open are left as they are and listed.
//!
//! No KMS is called for an object: only for each key version that is met, once in a while, as for any opening.
//!
//! ```
//! use std::sync::Arc;
//! use qsec_crypto::kms::{LocalKms, RootKey};
//! use qsec_crypto::reencryption::{FileCursor, FileObjects, Reencryption};
//! use qsec_crypto::{Context, KeyRecords, Keyring, MemoryStore, Purpose, TenantId};
//!
//! # pollster::block_on(async {
//! # let now = std::time::SystemTime::UNIX_EPOCH;
//! # let folder = tempfile::tempdir()?;
//! # let kms = Arc::new(LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new())?);
//! # let key_id = kms.create_key(now).await?;
//! # let keys = Keyring::new(TenantId::new("acme")?, kms, KeyRecords::in_memory()?);
//! # keys.create(&[key_id], &[Purpose::data()], now).await?;
//! let (path, context) = (folder.path().join("17.sealed"), Context::from([("row", "17")]));
//! std::fs::write(&path, keys.current(&Purpose::data(), now).await?.seal(b"4,200 EUR", &context)?)?;
//! keys.rotate(&Purpose::data(), now).await?;
//!
//! let mut objects = FileObjects::new([(path.clone(), context.clone())])?;
//! let mut cursor = FileCursor::new(folder.path().join("cursor"));
//! let mut work = Reencryption::plan(&keys, &Purpose::data(), &mut cursor, now).await?;
//! work.run(&keys, &mut objects, &mut cursor, &mut |_| now).await?; // the closure tells the time, and may wait
//! assert_eq!((work.progress().done(), work.progress().failed()), (1, 0));
//!
//! assert_eq!(work.versions_without_objects(&keys, now).await?, [1]); // offered: `keys.plan_shred` is another decision
//! # let sealed = std::fs::read(&path)?;
//! # assert_eq!(keys.for_sealed(&sealed, &Purpose::data(), now).await?.open(&sealed, &context)?, b"4,200 EUR");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

use std::collections::VecDeque;
use std::io;
use std::time::SystemTime;

use crate::keyring::Keyring;
use crate::observer::Event;
use crate::tenant::{Purpose, TenantId};

mod error;
mod files;
mod objects;
mod progress;
mod renewal;

pub use error::ReencryptionError;
pub use files::{FileCursor, FileObjects};
pub use objects::{Cursor, MAX_OBJECT_ID_BYTES, Object, Objects, Swap};
use progress::Outcome;
pub use progress::{Failure, MAX_FAILURES_LISTED, Progress};
use renewal::renew;

/// How many objects are listed at once.
const PAGE: usize = 256;

/// How many objects under the newest version may pass before the place is saved: looking at them again costs little.
const MAX_UNSAVED: u32 = 64;

/// After how many objects an event tells how far it has come.
const PROGRESS: u64 = 10_000;

/// Sealing a tenant's objects again under the newest key version. See the [module](self).
#[derive(Debug)]
pub struct Reencryption {
    tenant: TenantId,
    purpose: Purpose,
    progress: Progress,
    /// Listed, and not looked at yet.
    page: VecDeque<Object>,
    started: bool,
    unsaved: u32,
}

impl Reencryption {
    /// Plans to seal the objects of one purpose again, or to go on where the cursor stands. No object is touched; record
    /// the plan now if it must be recorded.
    ///
    /// A cursor of an older key version begins again at the start. One that has finished under the newest version stays
    /// finished: to walk the objects again, remove it.
    ///
    /// # Errors
    /// [`ReencryptionError::Key`] if there is no key that seals; [`ReencryptionError::Cursor`] if it cannot be read;
    /// [`ReencryptionError::CursorInvalid`] if it is not of this tenant and purpose.
    pub async fn plan(
        keys: &Keyring,
        purpose: &Purpose,
        cursor: &mut dyn Cursor,
        now: SystemTime,
    ) -> Result<Self, ReencryptionError> {
        let version = keys.current(purpose, now).await?.version();
        let tenant = keys.tenant().clone();
        let progress = match cursor.load().map_err(ReencryptionError::Cursor)? {
            Some(text) => Progress::resume(&text, &tenant, purpose, version)?,
            None => Progress::new(&tenant, purpose, version),
        };
        Ok(Self { tenant, purpose: purpose.clone(), progress, page: VecDeque::new(), started: false, unsaved: 0 })
    }

    /// How far it has come, objects before the cursor included.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether every object was looked at.
    pub fn is_finished(&self) -> bool {
        self.progress.is_finished()
    }

    /// Looks at the next objects, at most so many, and answers whether it is finished. A caller who limits the rate waits
    /// between calls.
    ///
    /// # Errors
    /// [`ReencryptionError::Key`] if the tenant's keys are stopped or cannot be had now; [`ReencryptionError::Objects`] and
    /// [`ReencryptionError::Cursor`] if those fail; [`ReencryptionError::Usage`] for a keyring of another tenant, or ids
    /// that cannot be. It goes on at the same object when it is called again.
    pub async fn advance(
        &mut self,
        keys: &Keyring,
        objects: &mut dyn Objects,
        cursor: &mut dyn Cursor,
        most: u32,
        now: SystemTime,
    ) -> Result<bool, ReencryptionError> {
        for _ in 0..most {
            if self.step(keys, objects, cursor, now).await? {
                return Ok(true);
            }
        }
        self.save(cursor)?;
        Ok(self.is_finished())
    }

    /// Looks at all objects. Before each, `pace` is told how far it has come; it may wait, which limits the rate, and
    /// answers the time.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub async fn run(
        &mut self,
        keys: &Keyring,
        objects: &mut dyn Objects,
        cursor: &mut dyn Cursor,
        pace: &mut (dyn FnMut(&Progress) -> SystemTime + Send),
    ) -> Result<(), ReencryptionError> {
        loop {
            let now = pace(&self.progress);
            if self.step(keys, objects, cursor, now).await? {
                return Ok(());
            }
        }
    }

    /// The retired versions that no object of this walk needs any more, and that can be shredded if there are no other
    /// objects. Empty until it is finished, and if an object was left of which the version is not known.
    ///
    /// # Errors
    /// [`ReencryptionError::Key`] if the key records cannot be read.
    pub async fn versions_without_objects(
        &self,
        keys: &Keyring,
        now: SystemTime,
    ) -> Result<Vec<u32>, ReencryptionError> {
        self.check_tenant(keys)?;
        let mut versions = keys.retired(&self.purpose, now).await?;
        versions.retain(|version| self.progress.is_without_objects(*version));
        Ok(versions)
    }

    /// Looks at the next object, and answers whether there is none.
    async fn step(
        &mut self,
        keys: &Keyring,
        objects: &mut dyn Objects,
        cursor: &mut dyn Cursor,
        now: SystemTime,
    ) -> Result<bool, ReencryptionError> {
        self.check_tenant(keys)?;
        if self.is_finished() {
            self.save(cursor)?;
            return Ok(true);
        }
        if !self.started {
            self.started = true;
            self.observe(keys, "reencryption.started");
        }
        let Some(object) = self.next(objects)? else {
            self.progress.finish();
            self.unsaved = MAX_UNSAVED;
            self.save(cursor)?;
            self.observe(keys, "reencryption.finished");
            return Ok(true);
        };
        let outcome = renew(keys, &self.purpose, objects, &object, now).await?;
        self.page.pop_front();
        self.progress.count(&object.id, outcome);
        self.unsaved = self.unsaved.saturating_add(1);
        if !matches!(outcome, Outcome::AlreadyNewest { .. }) || self.unsaved >= MAX_UNSAVED {
            self.save(cursor)?;
        }
        if self.progress.seen().is_multiple_of(PROGRESS) {
            self.observe(keys, "reencryption.progressed");
        }
        Ok(false)
    }

    /// The next object, which stays the next until it was counted.
    fn next(&mut self, objects: &mut dyn Objects) -> Result<Option<Object>, ReencryptionError> {
        if self.page.is_empty() {
            let page = objects.list(self.progress.after(), PAGE).map_err(|error| self.unlisted(error))?;
            let is_stuck = page.first().is_some_and(|object| Some(object.id.as_str()) == self.progress.after());
            if is_stuck || page.iter().any(|object| !(1..=MAX_OBJECT_ID_BYTES).contains(&object.id.len())) {
                let what = format!("each object is listed once, with an id of 1 to {MAX_OBJECT_ID_BYTES} bytes");
                return Err(ReencryptionError::Usage { what });
            }
            self.page = page.into();
        }
        Ok(self.page.front().cloned())
    }

    /// A list that does not know where the cursor stands is another list than the cursor's: no later call mends that.
    fn unlisted(&self, error: io::Error) -> ReencryptionError {
        if error.kind() == io::ErrorKind::InvalidInput && self.progress.after().is_some() {
            return ReencryptionError::CursorInvalid { what: error.to_string() };
        }
        ReencryptionError::Objects(error)
    }

    fn save(&mut self, cursor: &mut dyn Cursor) -> Result<(), ReencryptionError> {
        if self.unsaved > 0 {
            cursor.save(&self.progress.encode()?).map_err(ReencryptionError::Cursor)?;
            self.unsaved = 0;
        }
        Ok(())
    }

    fn check_tenant(&self, keys: &Keyring) -> Result<(), ReencryptionError> {
        if *keys.tenant() == self.tenant {
            return Ok(());
        }
        let what = format!("the keyring is of tenant `{}`, the objects are of `{}`", keys.tenant(), self.tenant);
        Err(ReencryptionError::Usage { what })
    }

    fn observe(&self, keys: &Keyring, name: &'static str) {
        let event = Event::new(name).tenant(&self.tenant).version(&self.purpose, self.progress.version());
        keys.observer().observe(&Event {
            records: Some(self.progress.seen()),
            bytes: Some(self.progress.bytes()),
            resumed: Some(self.progress.is_resumed()),
            ..event
        });
    }
}
