//! TLS between members: mutual, version 3 only, no resumption. The only module that speaks `rustls`.
//!
//! Resumption would skip the verifier, so that expiry, revocation and authorisation went unseen; it is off on both sides, and so is
//! early data. The crypto provider is `ring`, handed in: no process default is read or set. Timeouts of connecting, of the
//! handshake and of reading belong to whoever owns the socket: a configuration has no clock.
//!
//! A refused peer gets an alert that says no more than that. The reason goes to the zone's [`Observer`](crate::Observer), and to
//! our own side of the connection, inside the [`rustls::Error`].

mod identity;
mod verifier;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, CommonState, ServerConfig, ServerConnection};

pub use identity::{Identity, IdentityError};
use verifier::MemberVerifier;

use crate::admit::Admit;
use crate::peer::Peer;
use crate::rejection::Rejection;
use crate::role::Role;
use crate::trust_zone::TrustZone;

/// Why no configuration was made.
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// # use qsec_pki::{Authority, CertificateRequest, LeafProfile, PrivateKey, Zone};
/// use qsec_pki::{Admit, TrustZone, tls::Identity};
/// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
/// # let authority = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
/// # let key = PrivateKey::generate()?;
/// # let request = CertificateRequest::parse(&key.request()?)?;
/// # let leaf = authority.issue(&request, &LeafProfile::server("svc/engine/node/n7"), now)?;
/// # let identity = Identity::new(leaf.chain(), &key)?;
/// # let zone = TrustZone::new(authority.bundle());
/// let error = zone.server_config(&identity, Admit::ids(["svc/pro*"])).unwrap_err();
/// assert_eq!(error.code(), "pattern_malformed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A pattern of [`Admit::ids`] is not well-formed.
    #[error("`{pattern}` is no pattern of identities: a `*` stands for a whole segment")]
    #[non_exhaustive]
    PatternMalformed {
        /// The pattern.
        pattern: String,
    },
    /// The TLS library refuses what we gave it: our own invariant broke.
    #[error("the TLS library refuses our configuration")]
    Tls(#[source] rustls::Error),
}

impl ConfigError {
    /// The stable code: `pattern_malformed`, `internal`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PatternMalformed { .. } => "pattern_malformed",
            Self::Tls(_) => "internal",
        }
    }
}

/// Why the other end of a connection is nobody.
///
/// [`TrustZone::peer`] gives one; see there for an example.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The handshake is not over: nobody has proved anything yet.
    #[error("the handshake is not complete")]
    HandshakeIncomplete,
    /// The chain does not pass the rules of the zone, any more or at all.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

impl PeerError {
    /// The stable code: `handshake_incomplete`, or that of the [`Rejection`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::HandshakeIncomplete => "handshake_incomplete",
            Self::Rejected(rejection) => rejection.code(),
        }
    }
}

/// A connection whose other end is asked for: made from a reference to that of a server or of a client.
#[derive(Clone, Copy)]
pub struct Connection<'a> {
    state: &'a CommonState,
    peer: Role,
}

impl<'a> From<&'a ServerConnection> for Connection<'a> {
    fn from(connection: &'a ServerConnection) -> Self {
        Self { state: connection, peer: Role::Client }
    }
}

impl<'a> From<&'a ClientConnection> for Connection<'a> {
    fn from(connection: &'a ClientConnection) -> Self {
        Self { state: connection, peer: Role::Server }
    }
}

impl fmt::Debug for Connection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Mutual TLS among members.
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// # use qsec_pki::{Authority, CertificateRequest, LeafProfile, PrivateKey, Zone};
/// use std::sync::Arc;
/// use qsec_pki::{Admit, TrustZone, tls::Identity};
///
/// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
/// # let authority = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
/// # let leaf = |profile| -> Result<Identity, Box<dyn std::error::Error>> {
/// #     let key = PrivateKey::generate()?;
/// #     let request = CertificateRequest::parse(&key.request()?)?;
/// #     Ok(Identity::new(authority.issue(&request, &profile, now)?.chain(), &key)?)
/// # };
/// # let engine = leaf(LeafProfile::server("svc/engine/node/n7"))?;
/// # let proxy = leaf(LeafProfile::client("svc/proxy/node/n1"))?;
/// let zone = TrustZone::new(authority.bundle());
/// let server = Arc::new(zone.server_config(&engine, Admit::ids(["svc/proxy/*"]))?);
/// let client = Arc::new(zone.client_config(&proxy, Admit::ids(["svc/engine/*"]))?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl TrustZone {
    /// The configuration of whoever answers: demands a client leaf of the zone whose identity is admitted.
    ///
    /// # Errors
    /// [`ConfigError::PatternMalformed`].
    pub fn server_config(&self, identity: &Identity, admit: Admit) -> Result<ServerConfig, ConfigError> {
        let provider = provider();
        let verifier = self.verifier(Role::Client, admit, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(ConfigError::Tls)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(identity.resolver());
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(config)
    }

    /// The configuration of whoever dials: demands a server leaf of the zone whose identity is admitted.
    ///
    /// Dialled by a DNS name, the leaf must carry exactly that name too. Dialled by an IP address, its identity alone decides.
    ///
    /// # Errors
    /// [`ConfigError::PatternMalformed`].
    pub fn client_config(&self, identity: &Identity, admit: Admit) -> Result<ClientConfig, ConfigError> {
        let provider = provider();
        let verifier = self.verifier(Role::Server, admit, &provider)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(ConfigError::Tls)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(identity.resolver());
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok(config)
    }

    /// Who is at the other end, judged now: the chain of the handshake passes every rule again, revocation and validity included.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::SystemTime;
    /// # use qsec_pki::{Authority, CertificateRequest, LeafProfile, PrivateKey, Zone};
    /// use qsec_pki::{Admit, TrustZone, tls::Identity};
    /// use rustls::{ClientConnection, ServerConnection};
    ///
    /// # let now = SystemTime::now();
    /// # let authority = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
    /// # let leaf = |profile| -> Result<Identity, Box<dyn std::error::Error>> {
    /// #     let key = PrivateKey::generate()?;
    /// #     let request = CertificateRequest::parse(&key.request()?)?;
    /// #     Ok(Identity::new(authority.issue(&request, &profile, now)?.chain(), &key)?)
    /// # };
    /// # let zone = TrustZone::new(authority.bundle());
    /// # let server = zone.server_config(&leaf(LeafProfile::server("svc/engine/node/n7"))?, Admit::ids(["svc/proxy/*"]))?;
    /// # let client = zone.client_config(&leaf(LeafProfile::client("svc/proxy/node/n1"))?, Admit::ids(["svc/engine/*"]))?;
    /// let (mut here, mut there) = (
    ///     ServerConnection::new(Arc::new(server))?,
    ///     ClientConnection::new(Arc::new(client), "127.0.0.1".try_into()?)?,
    /// );
    /// let proxies = Admit::ids(["svc/proxy/*"]);
    /// assert_eq!(zone.peer(&here, &proxies, now).unwrap_err().code(), "handshake_incomplete");
    ///
    /// # let mut wire = Vec::new();
    /// # while here.is_handshaking() {
    /// #     wire.clear();
    /// #     there.write_tls(&mut wire)?;
    /// #     here.read_tls(&mut wire.as_slice())?;
    /// #     here.process_new_packets()?;
    /// #     wire.clear();
    /// #     here.write_tls(&mut wire)?;
    /// #     there.read_tls(&mut wire.as_slice())?;
    /// #     there.process_new_packets()?;
    /// # }
    /// // … after the handshake:
    /// let peer = zone.peer(&here, &proxies, now)?;
    /// assert_eq!(peer.id().path(), "svc/proxy/node/n1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PeerError::HandshakeIncomplete`] before the handshake is over, otherwise the [`Rejection`].
    pub fn peer<'a>(
        &self,
        connection: impl Into<Connection<'a>>,
        admit: &Admit,
        now: SystemTime,
    ) -> Result<Peer, PeerError> {
        let Connection { state, peer } = connection.into();
        if state.is_handshaking() {
            return Err(PeerError::HandshakeIncomplete);
        }
        let chain = state.peer_certificates().unwrap_or_default();
        Ok(self.verify(chain, peer, None, admit, now)?)
    }

    fn verifier(
        &self,
        peer: Role,
        admit: Admit,
        provider: &CryptoProvider,
    ) -> Result<Arc<MemberVerifier>, ConfigError> {
        if let Some(pattern) = admit.malformed() {
            return Err(ConfigError::PatternMalformed { pattern: pattern.to_owned() });
        }
        Ok(Arc::new(MemberVerifier::new(self.clone(), peer, admit, provider.signature_verification_algorithms)))
    }
}

/// The reason in an error of rustls, if it was our verifier that refused: for the log of whoever refused. The peer saw a
/// bare alert. Refusals over the extended key usage reach the [`Observer`](crate::Observer) only.
///
/// ```
/// let other = rustls::Error::General("not ours".to_owned());
/// assert!(qsec_pki::tls::rejection(&other).is_none());
/// ```
pub fn rejection(error: &rustls::Error) -> Option<&Rejection> {
    if let rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) = error {
        other.0.downcast_ref()
    } else {
        None
    }
}

/// Always handed in: what the process installed as its default is not ours to trust.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
