//! One object: opened under the version that it names, sealed beside under the newest, and put in its place.

use std::io::{self, ErrorKind, Read, Write};
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::error::{OpenError, SealError};
use crate::header::{HEADER_BYTES, Header, Suite};
use crate::keyring::{KeyError, Keyring};
use crate::kms::KmsError;
use crate::reencryption::error::ReencryptionError;
use crate::reencryption::objects::{Object, Objects, Swap};
use crate::reencryption::progress::Outcome;
use crate::stopped::{Stopped, StoppedBy, StoppedState};
use crate::stream::read_up_to;
use crate::tenant::Purpose;
use crate::tenant_key::TenantKey;

/// How often an object that changes while it is sealed again is looked at before it is left.
const MAX_LOOKS: u32 = 3;

/// Most sealed bytes of a compact object, [`MAX_COMPACT_BYTES`](crate::MAX_COMPACT_BYTES) and 46 of overhead, and one more:
/// what has that many does not open.
const COMPACT_LIMIT: u64 = (1 << 20) + 47;

/// Why an object is not sealed again.
enum Left {
    /// It stays as it is.
    Failed(&'static str),
    /// It, or the newest key, changed meanwhile: it is looked at again.
    Changed,
    /// Nothing goes on.
    Stopped(ReencryptionError),
}

/// Seals an object again, unless it is under the newest version or does not open.
pub(super) async fn renew(
    keys: &Keyring,
    purpose: &Purpose,
    objects: &mut dyn Objects,
    object: &Object,
    now: SystemTime,
) -> Result<Outcome, ReencryptionError> {
    for _ in 0..MAX_LOOKS {
        let newest = keys.current(purpose, now).await?;
        let (header, sealed) = match look(objects, object) {
            Ok(found) => found,
            Err(Left::Failed(code)) => return Ok(Outcome::Failed { version: None, code }),
            Err(Left::Stopped(error)) => return Err(error),
            Err(Left::Changed) => continue,
        };
        let version = header.version;
        if version == newest.version() {
            return Ok(Outcome::AlreadyNewest { version });
        }
        let left = match keys.version(purpose, version, now).await {
            Ok(key) => match renew_under(&key, &newest, header.suite, sealed, objects, object) {
                Ok(bytes) => return Ok(Outcome::Done { version: newest.version(), bytes }),
                Err(left) => left,
            },
            Err(error) => no_key(error),
        };
        match left {
            Left::Failed(code) => return Ok(Outcome::Failed { version: Some(version), code }),
            Left::Stopped(error) => return Err(error),
            Left::Changed => {}
        }
    }
    Ok(Outcome::Failed { version: None, code: "changed" })
}

/// The object's header, and all its bytes.
fn look(objects: &mut dyn Objects, object: &Object) -> Result<(Header, Box<dyn Read + Send>), Left> {
    let mut sealed = objects.read(object).map_err(unreadable)?;
    let mut header = [0; HEADER_BYTES];
    let read = read_up_to(&mut sealed, &mut header).map_err(unreadable)?;
    let parsed = Header::parse(header.get(..read).unwrap_or_default()).map_err(|error| Left::Failed(error.code()))?;
    Ok((parsed, Box::new(io::Cursor::new(header).chain(sealed))))
}

/// Seals beside and swaps. Answers how many bytes of plaintext there were. What was written beside does not stay.
fn renew_under(
    old: &TenantKey,
    newest: &TenantKey,
    suite: Suite,
    sealed: Box<dyn Read + Send>,
    objects: &mut dyn Objects,
    object: &Object,
) -> Result<u64, Left> {
    let renewed = match suite {
        Suite::Cobblestone256 => stream(old, newest, sealed, objects, object),
        Suite::Xaes256Gcm => compact(old, newest, sealed, objects, object),
    };
    let swapped = renewed.and_then(|bytes| match objects.swap(object) {
        Ok(Swap::Swapped) => Ok(bytes),
        Ok(Swap::Changed) => Err(Left::Changed),
        Err(error) => Err(stopped(error)),
    });
    match swapped {
        Ok(bytes) => Ok(bytes),
        // The first error counts, and an object that failed is worth going on only if nothing of it is left behind.
        Err(Left::Stopped(error)) => {
            drop(objects.discard(object));
            Err(Left::Stopped(error))
        }
        Err(left) => {
            objects.discard(object).map_err(stopped)?;
            Err(left)
        }
    }
}

fn stream(
    old: &TenantKey,
    newest: &TenantKey,
    sealed: Box<dyn Read + Send>,
    objects: &mut dyn Objects,
    object: &Object,
) -> Result<u64, Left> {
    let mut opener = old.opener(sealed, &object.context).map_err(not_opened)?;
    let beside = objects.write_beside(object).map_err(stopped)?;
    let mut sealer = newest.sealer(beside, &object.context).map_err(not_sealed)?;
    let mut bytes = 0_u64;
    while let Some(chunk) = opener.next_chunk().map_err(not_opened)? {
        sealer.write_all(chunk).map_err(stopped)?;
        bytes = bytes.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
    }
    sealer.finish().map_err(not_sealed)?;
    Ok(bytes)
}

fn compact(
    old: &TenantKey,
    newest: &TenantKey,
    sealed: Box<dyn Read + Send>,
    objects: &mut dyn Objects,
    object: &Object,
) -> Result<u64, Left> {
    let mut whole = Vec::new();
    sealed.take(COMPACT_LIMIT).read_to_end(&mut whole).map_err(unreadable)?;
    let plaintext = Zeroizing::new(old.open(&whole, &object.context).map_err(not_opened)?);
    let resealed = newest.seal_compact_uncommitted(&plaintext, &object.context).map_err(not_sealed)?;
    let mut beside = objects.write_beside(object).map_err(stopped)?;
    beside.write_all(&resealed).and_then(|()| beside.flush()).map_err(stopped)?;
    Ok(u64::try_from(plaintext.len()).unwrap_or(u64::MAX))
}

/// No key for a version. One that is not there, or destroyed, or refused by the KMS as it is, is the object's fault; a
/// lock, or a KMS that is away, is everybody's.
fn no_key(error: KeyError) -> Left {
    let is_the_versions = matches!(
        error,
        KeyError::VersionNotFound { .. }
            | KeyError::Stopped(Stopped { state: StoppedState::Destroyed, by: StoppedBy::Tenant, .. })
            | KeyError::Kms(KmsError::Rejected { .. })
    );
    if is_the_versions { Left::Failed(error.code()) } else { Left::Stopped(error.into()) }
}

fn not_opened(error: OpenError) -> Left {
    match error {
        OpenError::Read(error) => unreadable(error),
        OpenError::Stopped(stopped) => Left::Stopped(KeyError::Stopped(stopped).into()),
        OpenError::NotOpened
        | OpenError::Malformed { .. }
        | OpenError::UnsupportedSuite { .. }
        | OpenError::BudgetExceeded { .. }
        | OpenError::Context(_)
        | OpenError::Internal => Left::Failed(error.code()),
    }
}

fn not_sealed(error: SealError) -> Left {
    match error {
        // Rotated since it was asked for.
        SealError::Retired { .. } => Left::Changed,
        SealError::Stopped(stopped) => Left::Stopped(KeyError::Stopped(stopped).into()),
        SealError::Write(error) => stopped(error),
        SealError::Context(_)
        | SealError::MessageTooLong { .. }
        | SealError::TooLargeForCompact { .. }
        | SealError::DataKeys { .. }
        | SealError::DataKeyTooLong { .. }
        | SealError::Random(_)
        | SealError::Internal => Left::Stopped(ReencryptionError::Seal(error)),
    }
}

/// An object cannot be read: by its own fault, or because none can be read now.
fn unreadable(error: io::Error) -> Left {
    let own = [ErrorKind::NotFound, ErrorKind::PermissionDenied, ErrorKind::IsADirectory, ErrorKind::InvalidData];
    if own.contains(&error.kind()) { Left::Failed("unreadable") } else { stopped(error) }
}

fn stopped(error: io::Error) -> Left {
    Left::Stopped(ReencryptionError::Objects(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_compact_object_is_read_whole() {
        assert_eq!(usize::try_from(COMPACT_LIMIT).unwrap(), crate::MAX_COMPACT_BYTES + 46 + 1);
    }
}
