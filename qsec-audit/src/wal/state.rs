//! `mac.state`: where the MAC chain stands, and whether the log was closed.
//!
//! Its last field is a hash that needs no key: it tells damage, not forgery. What somebody who may write to the folder can make of
//! the rest, and what resists it:
//!
//! | field | changed to | resisted by |
//! |---|---|---|
//! | state | *open*, of a closed log | nothing: a cut of what came after the last round looks like an unclean stop, as it does while a log is in use. Whoever kept the [`Head`](crate::Head) of the close sees `rolled_back` |
//! | state | *closed*, of an open log | the number of the next commit must then be that of the log's end: `state_damaged` |
//! | next commit | more | `log_truncated` |
//! | next commit | less | nothing in itself: it may be behind. A log cut to match it still has its signed checkpoints in `trees/`, and a head elsewhere |
//! | sealed key | an older one, or any bytes | the sealer refuses what it did not make; an older key does not fit the frames that follow, which are `mac_invalid`: at opening, or, if the log was closed, for who has the escrowed key |

use super::Fields;
use crate::merkle::sha256;

/// Longest sealed key that is read: 4 KiB.
pub(crate) const MAX_SEALED: usize = 4_096;
const MAGIC: [u8; 8] = *b"QMACST01";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MacState {
    pub(crate) open: bool,
    pub(crate) next_commit: u64,
    pub(crate) sealed: Vec<u8>,
}

impl MacState {
    /// Bytes before the length of the sealed key.
    pub(crate) const FIXED: usize = 24;

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(u8::from(self.open));
        bytes.extend_from_slice(&[0; 7]);
        bytes.extend_from_slice(&self.next_commit.to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(self.sealed.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(&self.sealed);
        let digest = sha256(&[&bytes]);
        bytes.extend_from_slice(&digest);
        bytes
    }

    /// There is one encoding: what is read is written again and compared.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes.get(MAGIC.len()..)?);
        let open = match fields.u8()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        fields.bytes(7)?;
        let next_commit = fields.u64()?;
        let length = usize::try_from(fields.u32()?).ok().filter(|length| *length <= MAX_SEALED)?;
        let state = Self { open, next_commit, sealed: fields.bytes(length)?.to_vec() };
        (state.encode() == bytes).then_some(state)
    }
}
