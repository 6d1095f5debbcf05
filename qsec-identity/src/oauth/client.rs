//! A registered client, and its secret.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::hash::sha256;
use crate::jose::base64url;
use crate::signing_key::random_text;
use crate::store::{Row, StoreError};
use crate::time::{system_time, unix_seconds};

/// Secrets that are live at once: the current one, and the one before it while it is replaced everywhere.
const MAX_SECRETS: usize = 2;
/// Seconds for which an old secret may live on: 7 days.
const MAX_OVERLAP: i64 = 7 * 86_400;
/// Characters of a secret that are kept to tell secrets apart.
const HINT: usize = 4;

/// What a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ClientType {
    /// A program in a browser.
    Spa,
    /// A program on a device.
    Native,
    /// A web server that logs users in.
    Web,
    /// A program on its own behalf.
    M2m,
    /// A program that may act as a user.
    M2mImpersonation,
}

impl ClientType {
    /// The type of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Spa, Self::Native, Self::Web, Self::M2m, Self::M2mImpersonation]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spa => "spa",
            Self::Native => "native",
            Self::Web => "web",
            Self::M2m => "m2m",
            Self::M2mImpersonation => "m2m-impersonation",
        }
    }

    /// Whether it can keep a secret.
    pub(super) fn is_confidential(self) -> bool {
        !matches!(self, Self::Spa | Self::Native)
    }

    /// Whether it logs users in by a redirect.
    pub(super) fn redirects(self) -> bool {
        matches!(self, Self::Spa | Self::Native | Self::Web)
    }
}

/// How a client authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientAuth {
    /// Not at all: a public client.
    None,
    /// By its secret in the `Authorization` header.
    ClientSecretBasic,
    /// By its secret in the body.
    ClientSecretPost,
    /// By a signed assertion.
    PrivateKeyJwt,
    /// By a TLS certificate.
    TlsClientAuth,
}

impl ClientAuth {
    /// The method of that registered name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::None, Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt, Self::TlsClientAuth]
            .into_iter()
            .find(|method| method.as_str() == name)
    }

    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
        }
    }

    pub(super) fn uses_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

/// A client's secret: 256 random bits, shown once and kept only as a hash.
///
/// ```
/// use std::time::SystemTime;
/// use qsec_identity::oauth::{ClientRegistration, ClientType};
///
/// let registration = ClientRegistration::new(ClientType::M2m, "robot").scope("apps:read");
/// let (client, secret) = registration.register(&["apps:read"], SystemTime::UNIX_EPOCH)?;
/// let secret = secret.expect("a confidential client has a secret");
/// assert!(secret.expose_secret().ends_with(client.secret_hints()[0].hint()));
/// assert_eq!(format!("{secret:?}"), "ClientSecret(..)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    pub(super) fn generate() -> Option<Self> {
        Some(Self(Zeroizing::new(random_text::<32>()?)))
    }

    /// The text, to be shown to whoever registers the client.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    pub(super) fn stored(&self, now: i64) -> SecretDigest {
        let start = self.0.len().saturating_sub(HINT);
        SecretDigest {
            sha256: base64url::encode(sha256(&[self.0.as_bytes()])),
            hint: self.0.get(start..).unwrap_or_default().to_owned(),
            created: now,
            ends: None,
        }
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// What may be shown of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHint {
    hint: String,
    created: i64,
    ends: Option<i64>,
}

impl SecretHint {
    /// Its last characters.
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// When it was made.
    pub fn created(&self) -> SystemTime {
        system_time(self.created)
    }

    /// When it stops working, if it was replaced.
    pub fn ends(&self) -> Option<SystemTime> {
        self.ends.map(system_time)
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretDigest {
    sha256: String,
    hint: String,
    created: i64,
    ends: Option<i64>,
}

impl SecretDigest {
    fn is_live(&self, now: i64) -> bool {
        self.ends.is_none_or(|ends| now < ends)
    }
}

/// An OAuth client of one tenant.
///
/// ```
/// use std::time::SystemTime;
/// use qsec_identity::oauth::{Client, ClientRegistration, ClientType};
///
/// let registration = ClientRegistration::new(ClientType::M2m, "robot").scope("apps:read");
/// let (client, _secret) = registration.register(&["apps:read"], SystemTime::UNIX_EPOCH)?;
/// let row = client.to_row();                   // write it, read it back
/// assert_eq!(Client::from_row(&row)?.id(), client.id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Client {
    pub(super) generation: u64,
    pub(super) record: Record,
}

/// The body of the row.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) version: u8,
    pub(super) client_id: String,
    #[serde(rename = "type")]
    pub(super) kind: ClientType,
    pub(super) name: String,
    pub(super) auth: ClientAuth,
    pub(super) redirect_uris: Vec<String>,
    pub(super) origins: Vec<String>,
    pub(super) scopes: Vec<String>,
    pub(super) trusted: bool,
    pub(super) dpop: bool,
    pub(super) disabled: bool,
    pub(super) created: i64,
    pub(super) secrets: Vec<SecretDigest>,
}

impl Client {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.record.client_id
    }

    /// What it is.
    pub fn kind(&self) -> ClientType {
        self.record.kind
    }

    /// The name that people gave it.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// How it authenticates.
    pub fn auth(&self) -> ClientAuth {
        self.record.auth
    }

    /// The scopes that it may ask for.
    pub fn scopes(&self) -> &[String] {
        &self.record.scopes
    }

    /// The redirect URIs, compared octet by octet.
    pub fn redirect_uris(&self) -> &[String] {
        &self.record.redirect_uris
    }

    /// The origins that may call from a browser.
    pub fn origins(&self) -> &[String] {
        &self.record.origins
    }

    /// Whether the consent page is skipped.
    pub fn is_trusted(&self) -> bool {
        self.record.trusted
    }

    /// Whether its tokens must be bound to a key.
    pub fn requires_dpop(&self) -> bool {
        self.record.dpop
    }

    /// Whether it was switched off.
    pub fn is_disabled(&self) -> bool {
        self.record.disabled
    }

    /// When it was registered.
    pub fn created(&self) -> SystemTime {
        system_time(self.record.created)
    }

    /// Switches it off: it gets no token from now on. Tokens it has are ended by whoever keeps the epochs.
    pub fn disable(&mut self) {
        self.record.disabled = true;
    }

    /// Switches it on again.
    pub fn enable(&mut self) {
        self.record.disabled = false;
    }

    /// What may be shown of its secrets.
    pub fn secret_hints(&self) -> Vec<SecretHint> {
        let hint = |secret: &SecretDigest| SecretHint {
            hint: secret.hint.clone(),
            created: secret.created,
            ends: secret.ends,
        };
        self.record.secrets.iter().map(hint).collect()
    }

    /// Makes a new secret; the present one lives on for `overlap`, at most 7 days, and any older one ends now. `None` for
    /// a client without a secret, or when the kernel has no randomness: nothing is changed then.
    pub fn rotate_secret(&mut self, overlap: Duration, now: SystemTime) -> Option<ClientSecret> {
        if !self.record.auth.uses_secret() {
            return None;
        }
        let secret = ClientSecret::generate()?;
        let now = unix_seconds(now);
        let overlap = i64::try_from(overlap.as_secs()).unwrap_or(i64::MAX).min(MAX_OVERLAP);
        let current = self.record.secrets.iter().position(|stored| stored.ends.is_none());
        let mut previous = current.map(|at| self.record.secrets.swap_remove(at));
        if let Some(previous) = &mut previous {
            previous.ends = Some(now.saturating_add(overlap));
        }
        self.record.secrets = previous.filter(|previous| previous.is_live(now)).into_iter().collect();
        self.record.secrets.push(secret.stored(now));
        Some(secret)
    }

    /// Whether this is a live secret of the client. An unknown client takes the same path and time as a wrong secret: one
    /// hash of what was presented, two comparisons.
    pub(super) fn has_secret(client: Option<&Self>, presented: &str, now: SystemTime) -> bool {
        let now = unix_seconds(now);
        let presented = sha256(&[presented.as_bytes()]);
        let secrets = client.map_or(&[][..], |client| client.record.secrets.as_slice());
        let mut found = Choice::from(0);
        for index in 0..MAX_SECRETS {
            let stored = secrets.get(index);
            let live = stored.is_some_and(|stored| stored.is_live(now));
            let hash = stored.and_then(|stored| base64url::decode_array(&stored.sha256));
            let usable = Choice::from(u8::from(live && hash.is_some()));
            found |= presented.ct_eq(&hash.unwrap_or([0; 32])) & usable;
        }
        found.into()
    }

    /// The row to write next: the generation after the one that was read.
    pub fn to_row(&self) -> Row {
        Row {
            id: self.record.client_id.clone(),
            generation: self.generation.saturating_add(1),
            body: serde_json::to_vec(&self.record).unwrap_or_default(),
        }
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a row that [`Self::to_row`] cannot have written.
    pub fn from_row(row: &Row) -> Result<Self, StoreError> {
        let damaged = |what: &str| StoreError::Damaged { what: format!("client `{}`: {what}", row.id) };
        let record: Record = serde_json::from_slice(&row.body).map_err(|error| damaged(&error.to_string()))?;
        let hashes = record.secrets.iter().all(|secret| base64url::decode_array::<32>(&secret.sha256).is_some());
        if record.version != 1 || record.client_id != row.id || record.secrets.len() > MAX_SECRETS || !hashes {
            return Err(damaged("version, id or secrets cannot be read"));
        }
        Ok(Self { generation: row.generation, record })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("client_id", &self.record.client_id)
            .field("type", &self.record.kind)
            .field("disabled", &self.record.disabled)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::ClientRegistration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    fn robot() -> (Client, ClientSecret) {
        let registration = ClientRegistration::new(ClientType::M2m, "robot").scope("apps:read");
        let (client, secret) = registration.register(&["apps:read"], at(0)).unwrap();
        (client, secret.unwrap())
    }

    fn accepts(client: &Client, secret: &ClientSecret, now: SystemTime) -> bool {
        Client::has_secret(Some(client), secret.expose_secret(), now)
    }

    #[test]
    fn only_the_secret_of_the_client_is_accepted() {
        let (client, secret) = robot();
        let (_, other) = robot();
        assert!(accepts(&client, &secret, at(1)));
        assert!(!accepts(&client, &other, at(1)));
        assert!(!Client::has_secret(Some(&client), "", at(1)));
        assert!(!Client::has_secret(None, secret.expose_secret(), at(1)));
    }

    #[test]
    fn replaced_secret_lives_on_for_the_overlap_and_no_third_one_does() {
        let (mut client, first) = robot();
        let second = client.rotate_secret(Duration::from_hours(1), at(10)).unwrap();
        assert!(accepts(&client, &first, at(3609)) && accepts(&client, &second, at(3609)));
        assert!(!accepts(&client, &first, at(3610)));
        let third = client.rotate_secret(Duration::from_hours(1), at(20)).unwrap();
        assert!(!accepts(&client, &first, at(21)));
        assert!(accepts(&client, &second, at(21)) && accepts(&client, &third, at(21)));
        let fourth = client.rotate_secret(Duration::ZERO, at(30)).unwrap();
        assert!(!accepts(&client, &third, at(30)) && accepts(&client, &fourth, at(30)));
        assert_eq!(client.secret_hints().len(), 1);
    }

    #[test]
    fn overlap_is_at_most_a_week() {
        let (mut client, first) = robot();
        client.rotate_secret(Duration::from_secs(u64::MAX), at(0)).unwrap();
        assert!(accepts(&client, &first, at(604_799)));
        assert!(!accepts(&client, &first, at(604_800)));
    }

    #[test]
    fn row_holds_a_hash_and_never_the_secret() {
        let (client, secret) = robot();
        let row = client.to_row();
        assert!(!String::from_utf8(row.body.clone()).unwrap().contains(secret.expose_secret()));
        let read = Client::from_row(&row).unwrap();
        assert!(accepts(&read, &secret, at(1)));
        assert_eq!((read.to_row().generation, read.record == client.record), (2, true));
    }

    #[test]
    fn row_that_was_not_written_here_is_damaged() {
        let row = robot().0.to_row();
        let text = String::from_utf8(row.body.clone()).unwrap();
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("\"client_id\":\"c_", "\"client_id\":\"d_"),
            ("\"sha256\":\"", "\"sha256\":\"A"),
            ("\"trusted\"", "\"trustee\""),
        ] {
            let body = text.replacen(from, to, 1).into_bytes();
            assert!(
                matches!(Client::from_row(&Row { body, ..row.clone() }), Err(StoreError::Damaged { .. })),
                "{from}"
            );
        }
    }
}
