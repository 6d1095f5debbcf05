//! The compact format: one short message, in memory.

use std::io::Read;

use qsec::crypto::{Context, Inspection, MAX_COMPACT_BYTES, Suite, TenantKey, inspect};
use zeroize::Zeroizing;

use super::{Input, Seal};
use crate::failure::Failure;
use crate::files::{self, Sink};

/// Bytes that the format adds to a plaintext: header, nonce and tag.
const OVERHEAD: usize = 46;

/// Whether bytes that begin so are of the compact format.
pub(super) fn is_compact(header: &[u8]) -> bool {
    matches!(inspect(header, None), Ok(Inspection::Native(found)) if found.suite() == Suite::Xaes256Gcm)
}

/// Plaintext and sealed length of what was sealed.
pub(super) fn seal(seal: &Seal, sink: Sink, key: &TenantKey, context: &Context) -> Result<(u64, u64), Failure> {
    let mut input = Input::open(seal.r#in.as_deref())?;
    let plain = Zeroizing::new(read(&mut input, MAX_COMPACT_BYTES)?);
    let sealed = key.seal_compact_uncommitted(&plain, context)?;
    sink.put(&sealed)?;
    Ok((length(&plain), length(&sealed)))
}

/// The plaintext of a message of which `header` was read already.
pub(super) fn open(
    header: &[u8],
    mut input: Input,
    key: &TenantKey,
    context: &Context,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let most = MAX_COMPACT_BYTES.saturating_add(OVERHEAD).saturating_sub(header.len());
    let rest = read(&mut input, most)?;
    if rest.len() > most {
        let message = format!("the compact format holds up to {MAX_COMPACT_BYTES} bytes");
        return Err(Failure::misuse("budget_exceeded", message));
    }
    Ok(Zeroizing::new(key.open(&[header, &rest].concat(), context)?))
}

/// One byte more than fits tells a longer input.
fn read(input: &mut Input, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::with_capacity(most.saturating_add(1));
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let taken = (&mut input.reader).take(limit).read_to_end(&mut bytes);
    taken.map_err(|error| files::unreadable(&input.name, &error))?;
    Ok(bytes)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
