//! Sealing a tenant's objects again under the newest version of its key.

use std::time::SystemTime;

use qsec_audit::{Actor, catalogue};
use qsec_crypto::Purpose;
use qsec_crypto::reencryption::{Cursor, Objects, Progress, Reencryption};

use super::Tenant;
use super::keys::Facts;
use crate::error::Error;

/// What a re-encryption did, and which versions its objects need no more.
///
/// ```no_run
/// use qsec::audit::Actor;
/// use qsec::crypto::Purpose;
/// use qsec::crypto::reencryption::{FileCursor, FileObjects};
///
/// # async fn show(acme: qsec::Tenant, mut files: FileObjects, now: std::time::SystemTime) -> Result<(), qsec::Error> {
/// let (actor, mut cursor) = (Actor::operator("op-1"), FileCursor::new("orders.cursor"));
/// let done = acme.reencrypt(&Purpose::data(), &mut files, &mut cursor, &mut |_| now, &actor, now).await?;
/// println!("{} sealed again; may be shredded: {:?}", done.progress.done(), done.versions_without_objects);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reencrypted {
    /// The counts, and the objects that were left as they are.
    pub progress: Progress,
    /// Retired versions under which none of the objects is any more. Shredding them is another decision.
    pub versions_without_objects: Vec<u32>,
}

impl Tenant {
    /// Opens each object that is not under the newest key version, seals it beside, and puts that in its place. It goes on
    /// where the cursor stands; at every point of a crash each object is whole under exactly one version. `pace` is called
    /// before each object: it may wait, which limits the rate, and answers the time.
    ///
    /// The objects are read and written on the calling task: give it a thread of its own.
    ///
    /// # Errors
    /// [`Error::Lifecycle`] if the tenant is not active, [`Error::TenantPolicy`] if its policies let nothing be sealed,
    /// [`Error::Reencrypt`] if the key, the objects or the cursor cannot be had, [`Error::Record`] if the log does not take
    /// the event, which comes first. Objects that do not open are no error: they are listed.
    pub async fn reencrypt(
        &self,
        purpose: &Purpose,
        objects: &mut dyn Objects,
        cursor: &mut dyn Cursor,
        pace: &mut (dyn FnMut(&Progress) -> SystemTime + Send),
        actor: &Actor,
        now: SystemTime,
    ) -> Result<Reencrypted, Error> {
        self.pass("reencrypt", now).await?;
        self.may_seal("reencrypt", purpose, now).await?;
        let keyring = self.room.keyring();
        let mut work = Reencryption::plan(keyring, purpose, cursor, now).await?;
        let Facts { version, provider, kms_key } = Facts::of(&self.key_binding(now).await?, purpose);
        let started = catalogue::ReencryptionStarted::new()
            .version(version)
            .provider(provider)
            .kms_key(kms_key.as_str())
            .resumed(work.progress().is_resumed())
            .by(actor.clone())
            .subject(self.key_subject());
        let run = async { Ok(work.run(keyring, objects, cursor, pace).await?) };
        Box::pin(self.carry_out(started, now, run)).await?;
        let progress = work.progress().clone();
        let finished = catalogue::ReencryptionFinished::new()
            .version(version)
            .provider(provider)
            .kms_key(kms_key)
            .records(i64::try_from(progress.done()).unwrap_or(i64::MAX))
            .bytes(i64::try_from(progress.bytes()).unwrap_or(i64::MAX))
            .resumed(progress.is_resumed())
            .by(actor.clone())
            .subject(self.key_subject());
        self.note(finished, now)?;
        let versions_without_objects = work.versions_without_objects(keyring, now).await?;
        Ok(Reencrypted { progress, versions_without_objects })
    }
}
