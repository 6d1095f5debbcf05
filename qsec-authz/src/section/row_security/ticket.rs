//! What a session shows to be let in: a secret that nobody can guess.

use std::fmt;

use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;
use zeroize::Zeroizing;

/// Random bytes of a ticket: 256 bits cannot be guessed, however many tickets are valid.
const TICKET_BYTES: usize = 32;

/// The secret that stands for one user's reduction in the database: whoever has it reads as that user until it ends.
///
/// Make one for each user who opens the data, keep it on the application's side, and bind it as a parameter: it is in the
/// text of no statement. The database keeps its SHA-256 alone.
///
/// ```
/// use qsec_authz::section::row_security::Ticket;
///
/// let ticket = Ticket::generate()?;
/// assert_eq!(ticket.expose_secret().len(), 64);
/// assert_eq!(format!("{ticket:?}"), "Ticket(…)");
/// # Ok::<(), qsec_authz::section::row_security::TicketError>(())
/// ```
pub struct Ticket(Zeroizing<String>);

/// The kernel gave no randomness. It may later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no randomness from the kernel")]
#[non_exhaustive]
pub struct TicketError;

impl TicketError {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        "unavailable"
    }
}

impl Ticket {
    /// Makes a ticket that has never been.
    ///
    /// # Errors
    /// [`TicketError`] if the kernel gives no randomness.
    pub fn generate() -> Result<Self, TicketError> {
        let mut bytes = Zeroizing::new([0; TICKET_BYTES]);
        SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| TicketError)?;
        // Room for all of it at once: a text that grows leaves copies of itself behind.
        let mut text = Zeroizing::new(String::with_capacity(2 * TICKET_BYTES));
        push_hex(&mut text, bytes.as_slice());
        Ok(Self(text))
    }

    /// The text to bind to [`ENTER`](super::ENTER).
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// What the database knows of it, in hexadecimal.
    pub(super) fn hash(&self) -> String {
        hex(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref())
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(…)")
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    push_hex(&mut text, bytes);
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).for_each(|value| text.push(digit(value)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_never_alike_and_their_hash_is_not_the_ticket() {
        let (one, other) = (Ticket::generate().unwrap(), Ticket::generate().unwrap());
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert_ne!(one.hash(), one.expose_secret());
        assert_eq!(one.hash().len(), 64);
    }

    #[test]
    fn the_hash_is_the_sha_256_of_the_text() {
        let ticket = Ticket(Zeroizing::new("abc".to_owned()));
        // FIPS 180-2, appendix B.1.
        assert_eq!(ticket.hash(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
