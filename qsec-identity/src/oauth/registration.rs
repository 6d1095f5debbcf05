//! What a client may be registered as. An impossible combination has a name.

use std::time::SystemTime;

use ring::rand::{SecureRandom, SystemRandom};

use super::client::{Client, ClientAuth, ClientSecret, ClientType, Record};
use super::redirect_uri::{is_origin, is_registrable};
use crate::jose::key::is_plain;
use crate::policy::{MAX_IDENTIFIER, MAX_SCOPES, is_scope};
use crate::time::unix_seconds;

/// Redirect URIs, and origins, of a client.
const MAX_URIS: usize = 32;

/// Why a client was not registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The name is empty, too long, or holds control characters.
    #[error("the name is not a text of 1 to 256 bytes without control characters")]
    NameInvalid,
    /// A client in a browser or on a device cannot keep a secret.
    #[error("a client of this type has no secret")]
    SpaHasNoSecret,
    /// A client that runs on a server authenticates.
    #[error("a client of this type must authenticate")]
    AuthenticationNeeded,
    /// The method needs keys or a certificate subject, which cannot be registered yet.
    #[error("the authentication method `{0}` is not available")]
    AuthenticationUnavailable(&'static str),
    /// A client that acts as users must be trusted.
    #[error("a client that impersonates users must be trusted")]
    ImpersonationNeedsTrusted,
    /// A redirect URI is missing, out of place, repeated, or could lead elsewhere.
    #[error("the redirect URI is missing or not permitted")]
    RedirectUriInvalid,
    /// An origin is more or less than scheme and authority, or out of place.
    #[error("the origin is not permitted")]
    OriginInvalid,
    /// A scope is not in the tenant's catalogue.
    #[error("the scope `{scope}` is not known")]
    ScopeUnknown {
        /// The scope.
        scope: String,
    },
    /// `offline_access` is of no use without the refresh grant.
    #[error("`offline_access` needs a client that refreshes")]
    OfflineAccessNeedsRefresh,
    /// The kernel gave no randomness: try again.
    #[error("the system has no randomness")]
    RandomnessUnavailable,
}

impl RegistrationError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NameInvalid => "client_name_invalid",
            Self::SpaHasNoSecret => "spa_has_no_secret",
            Self::AuthenticationNeeded => "client_needs_authentication",
            Self::AuthenticationUnavailable(_) => "auth_method_unavailable",
            Self::ImpersonationNeedsTrusted => "impersonation_needs_trusted",
            Self::RedirectUriInvalid => "redirect_uri_invalid",
            Self::OriginInvalid => "origin_invalid",
            Self::ScopeUnknown { .. } => "scope_unknown",
            Self::OfflineAccessNeedsRefresh => "offline_access_needs_refresh",
            Self::RandomnessUnavailable => "randomness_unavailable",
        }
    }
}

/// A client to be registered.
///
/// ```
/// use std::time::SystemTime;
/// use qsec_identity::oauth::{ClientAuth, ClientRegistration, ClientType};
///
/// let portal = ClientRegistration::new(ClientType::Spa, "portal")
///     .redirect_uri("https://portal.example/cb")
///     .scope("apps:read");
/// let (client, secret) = portal.register(&["apps:read"], SystemTime::UNIX_EPOCH)?;
/// assert_eq!((client.auth(), secret.is_none()), (ClientAuth::None, true));
/// # Ok::<(), qsec_identity::oauth::RegistrationError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ClientRegistration {
    kind: ClientType,
    name: String,
    redirect_uris: Vec<String>,
    origins: Vec<String>,
    scopes: Vec<String>,
    auth: ClientAuth,
    trusted: bool,
    dpop: bool,
}

impl ClientRegistration {
    /// A client of that type: public ones do not authenticate, the others by their secret in the header, unless told
    /// otherwise.
    pub fn new(kind: ClientType, name: impl Into<String>) -> Self {
        let auth = if kind.is_confidential() { ClientAuth::ClientSecretBasic } else { ClientAuth::None };
        Self {
            kind,
            name: name.into(),
            redirect_uris: Vec::new(),
            origins: Vec::new(),
            scopes: Vec::new(),
            auth,
            trusted: false,
            dpop: false,
        }
    }

    /// Adds a redirect URI.
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Adds an origin that may call from a browser.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Adds a scope.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// How the client authenticates.
    #[must_use]
    pub fn auth(mut self, auth: ClientAuth) -> Self {
        self.auth = auth;
        self
    }

    /// Skips the consent page; demanded for impersonation.
    #[must_use]
    pub fn trusted(mut self) -> Self {
        self.trusted = true;
        self
    }

    /// Its tokens must be bound to a key.
    #[must_use]
    pub fn require_dpop(mut self) -> Self {
        self.dpop = true;
        self
    }

    /// Makes the client, and its secret if it has one: the only time that it can be shown.
    ///
    /// # Errors
    /// [`RegistrationError`] names the rule that was broken.
    pub fn register(
        self,
        known_scopes: &[&str],
        now: SystemTime,
    ) -> Result<(Client, Option<ClientSecret>), RegistrationError> {
        self.check(known_scopes)?;
        let now = unix_seconds(now);
        let unavailable = RegistrationError::RandomnessUnavailable;
        let secret = if self.auth.uses_secret() {
            Some(ClientSecret::generate().ok_or_else(|| unavailable.clone())?)
        } else {
            None
        };
        let record = Record {
            version: 1,
            client_id: client_id().ok_or(unavailable)?,
            kind: self.kind,
            name: self.name,
            auth: self.auth,
            redirect_uris: self.redirect_uris,
            origins: self.origins,
            scopes: self.scopes,
            trusted: self.trusted,
            dpop: self.dpop,
            disabled: false,
            created: now,
            secrets: secret.iter().map(|secret| secret.stored(now)).collect(),
        };
        Ok((Client { generation: 0, record }, secret))
    }

    fn check(&self, known_scopes: &[&str]) -> Result<(), RegistrationError> {
        if !is_plain(&self.name, MAX_IDENTIFIER) {
            return Err(RegistrationError::NameInvalid);
        }
        self.check_authentication()?;
        if self.kind == ClientType::M2mImpersonation && !self.trusted {
            return Err(RegistrationError::ImpersonationNeedsTrusted);
        }
        self.check_uris()?;
        self.check_scopes(known_scopes)
    }

    fn check_authentication(&self) -> Result<(), RegistrationError> {
        match (self.kind.is_confidential(), self.auth) {
            (false, ClientAuth::None) | (true, ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost) => Ok(()),
            (false, _) => Err(RegistrationError::SpaHasNoSecret),
            (true, ClientAuth::None) => Err(RegistrationError::AuthenticationNeeded),
            (true, method @ (ClientAuth::PrivateKeyJwt | ClientAuth::TlsClientAuth)) => {
                Err(RegistrationError::AuthenticationUnavailable(method.as_str()))
            }
        }
    }

    fn check_uris(&self) -> Result<(), RegistrationError> {
        let native = self.kind == ClientType::Native;
        let registrable = self.redirect_uris.iter().all(|uri| is_registrable(uri, native));
        let in_place = self.kind.redirects() != self.redirect_uris.is_empty();
        if !registrable || !in_place || !is_set(&self.redirect_uris, MAX_URIS) {
            return Err(RegistrationError::RedirectUriInvalid);
        }
        let browser = matches!(self.kind, ClientType::Spa | ClientType::Web) || self.origins.is_empty();
        if !browser || !self.origins.iter().all(|origin| is_origin(origin)) || !is_set(&self.origins, MAX_URIS) {
            return Err(RegistrationError::OriginInvalid);
        }
        Ok(())
    }

    fn check_scopes(&self, known: &[&str]) -> Result<(), RegistrationError> {
        let unknown = |scope: &&String| !known.contains(&scope.as_str()) || !is_scope(scope);
        let unknown = self.scopes.iter().find(unknown).or_else(|| self.scopes.get(MAX_SCOPES));
        if let Some(scope) = unknown {
            return Err(RegistrationError::ScopeUnknown { scope: scope.clone() });
        }
        let refreshes = self.kind.redirects();
        if self.scopes.iter().any(|scope| scope == "offline_access") && !refreshes {
            return Err(RegistrationError::OfflineAccessNeedsRefresh);
        }
        Ok(())
    }
}

fn is_set(entries: &[String], max: usize) -> bool {
    let mut sorted: Vec<&String> = entries.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len() == entries.len() && entries.len() <= max
}

/// `c_` and 128 random bits.
fn client_id() -> Option<String> {
    let mut octets = [0_u8; 16];
    SystemRandom::new().fill(&mut octets).ok()?;
    Some(octets.iter().fold("c_".to_owned(), |id, octet| id + &format!("{octet:02x}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["apps:read", "openid", "offline_access"];

    fn code(registration: ClientRegistration) -> Option<&'static str> {
        registration.register(&KNOWN, SystemTime::UNIX_EPOCH).err().map(|error| error.code())
    }

    fn new(kind: ClientType) -> ClientRegistration {
        let registration = ClientRegistration::new(kind, "name");
        if kind.redirects() { registration.redirect_uri("https://a.example/cb") } else { registration }
    }

    #[test]
    fn every_type_can_be_registered_in_its_own_way() {
        for kind in [ClientType::Spa, ClientType::Native, ClientType::Web, ClientType::M2m] {
            assert_eq!(code(new(kind).scope("apps:read")), None, "{kind:?}");
        }
        assert_eq!(code(new(ClientType::M2mImpersonation).trusted()), None);
        assert_eq!(code(new(ClientType::Spa).scope("offline_access").origin("https://a.example")), None);
    }

    #[test]
    fn impossible_combinations_have_their_names() {
        let secret = ClientAuth::ClientSecretPost;
        assert_eq!(code(new(ClientType::Spa).auth(secret)), Some("spa_has_no_secret"));
        assert_eq!(code(new(ClientType::Native).auth(secret)), Some("spa_has_no_secret"));
        assert_eq!(code(new(ClientType::M2m).auth(ClientAuth::None)), Some("client_needs_authentication"));
        assert_eq!(code(new(ClientType::M2m).auth(ClientAuth::PrivateKeyJwt)), Some("auth_method_unavailable"));
        assert_eq!(code(new(ClientType::M2mImpersonation)), Some("impersonation_needs_trusted"));
        assert_eq!(code(ClientRegistration::new(ClientType::Spa, "name")), Some("redirect_uri_invalid"));
        assert_eq!(code(new(ClientType::Spa).redirect_uri("https://a.example/cb")), Some("redirect_uri_invalid"));
        assert_eq!(code(new(ClientType::Spa).redirect_uri("com.example.app:/cb")), Some("redirect_uri_invalid"));
        assert_eq!(code(new(ClientType::M2m).redirect_uri("https://a.example/cb")), Some("redirect_uri_invalid"));
        assert_eq!(code(new(ClientType::Spa).origin("*")), Some("origin_invalid"));
        assert_eq!(code(new(ClientType::M2m).origin("https://a.example")), Some("origin_invalid"));
        assert_eq!(code(new(ClientType::M2m).scope("Apps:read")), Some("scope_unknown"));
        assert_eq!(code(new(ClientType::M2m).scope("offline_access")), Some("offline_access_needs_refresh"));
        assert_eq!(code(ClientRegistration::new(ClientType::M2m, "")), Some("client_name_invalid"));
    }

    #[test]
    fn ids_are_random_and_say_what_they_are() {
        let id = || new(ClientType::M2m).register(&KNOWN, SystemTime::UNIX_EPOCH).unwrap().0.id().to_owned();
        let (one, other) = (id(), id());
        assert!(one.starts_with("c_") && one.len() == 34 && one != other);
    }
}
