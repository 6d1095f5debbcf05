use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::admit::Admit;
use crate::certificate::Certificate;
use crate::key::PrivateKey;
use crate::peer::Peer;
use crate::rejection::Rejection;
use crate::role::Role;
use crate::trust_zone::TrustZone;

/// Why a chain and a key are no identity.
///
/// ```
/// use qsec_pki::{PrivateKey, tls::Identity};
///
/// let error = Identity::new::<Vec<u8>>(&[], &PrivateKey::generate()?).unwrap_err();
/// assert_eq!(error.code(), "chain_empty");
/// # Ok::<(), qsec_pki::KeyError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// There is no certificate.
    #[error("chain holds no leaf")]
    ChainEmpty,
    /// The leaf is not of sound form, or does not pass the rules of the zone.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The key is not that of the leaf.
    #[error("key is not that of the leaf")]
    KeyMismatch,
    /// The leaf is of somebody else than the one that it should replace.
    #[error("leaf is of another identity than the one that it should replace")]
    OtherIdentity,
    /// The TLS library refuses the key: our own invariant broke.
    #[error("the TLS library refuses the key")]
    Tls(#[source] rustls::Error),
}

impl IdentityError {
    /// The stable code: `chain_empty`, `key_mismatch`, `other_identity`, `internal`, or that of the [`Rejection`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::ChainEmpty => "chain_empty",
            Self::Rejected(rejection) => rejection.code(),
            Self::KeyMismatch => "key_mismatch",
            Self::OtherIdentity => "other_identity",
            Self::Tls(_) => "internal",
        }
    }
}

/// What this end presents: a leaf, its chain and its key.
///
/// A clone is a handle on the same identity, and so is every configuration made with it: after [`Identity::replace`] new handshakes
/// take the new leaf, and those under way keep theirs.
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// # use qsec_pki::{Authority, CertificateRequest, LeafProfile, PrivateKey, Zone};
/// use qsec_pki::tls::Identity;
///
/// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
/// # let authority = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
/// # let key = PrivateKey::generate()?;
/// # let request = CertificateRequest::parse(&key.request()?)?;
/// # let leaf = authority.issue(&request, &LeafProfile::server("svc/engine/node/n7"), now)?;
/// let identity = Identity::new(leaf.chain(), &key)?;
/// assert_eq!(identity.not_after(), leaf.not_after());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Identity(Arc<Resolver>);

impl Identity {
    /// Takes a chain, leaf first, without the root, and the key of the leaf.
    ///
    /// # Errors
    /// `chain_empty`, `key_mismatch`, or what is wrong with the form of a certificate.
    pub fn new<C: AsRef<[u8]>>(chain: &[C], key: &PrivateKey) -> Result<Self, IdentityError> {
        let held = Held::new(chain, key)?;
        Ok(Self(Arc::new(Resolver(ArcSwap::from_pointee(held)))))
    }

    /// Presents another leaf of the same identity and role from the next handshake on, after it passed the rules of the zone.
    ///
    /// # Errors
    /// Those of [`Identity::new`], `other_identity`, and whatever rule the chain breaks. Then everything stays as it was.
    pub fn replace<C: AsRef<[u8]>>(
        &self,
        zone: &TrustZone,
        chain: &[C],
        key: &PrivateKey,
        now: SystemTime,
    ) -> Result<(), IdentityError> {
        let held = Held::new(chain, key)?;
        let before = self.0.0.load();
        let (old, new) = (&before.leaf, &held.leaf);
        if (old.spiffe_id(), old.role()) != (new.spiffe_id(), new.role()) {
            return Err(IdentityError::OtherIdentity);
        }
        let asked = if new.role() == Some(Role::Client) { Role::Client } else { Role::Server };
        let zone = if new.role() == Some(Role::Peer) { zone.clone().admit_peer_leaves() } else { zone.clone() };
        let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
        zone.judge(&chain, asked, None, &Admit::all_members(), now)?;
        self.0.0.store(Arc::new(held));
        Ok(())
    }

    /// The leaf.
    pub fn certificate(&self) -> Certificate {
        self.0.0.load().leaf.clone()
    }

    /// The last second of the leaf.
    pub fn not_after(&self) -> SystemTime {
        self.0.0.load().leaf.not_after()
    }

    /// When a connection with `peer` must be closed: when the first of the two leaves ends.
    pub fn connection_ends(&self, peer: &Peer) -> SystemTime {
        self.not_after().min(peer.not_after())
    }

    pub(super) fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.0.0.load().leaf).finish()
    }
}

struct Held {
    leaf: Certificate,
    certified: Arc<CertifiedKey>,
}

impl Held {
    fn new<C: AsRef<[u8]>>(chain: &[C], key: &PrivateKey) -> Result<Self, IdentityError> {
        let leaf = Certificate::parse(chain.first().ok_or(IdentityError::ChainEmpty)?.as_ref())?;
        if leaf.public_key() != key.public_key() {
            return Err(IdentityError::KeyMismatch);
        }
        let pkcs8 = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.expose_secret()));
        let signer = any_ecdsa_type(&pkcs8).map_err(IdentityError::Tls)?;
        let chain = chain.iter().map(|der| CertificateDer::from(der.as_ref().to_vec())).collect();
        Ok(Self { leaf, certified: Arc::new(CertifiedKey::new(chain, signer)) })
    }
}

/// Gives the identity of the moment to a handshake, whoever it is with.
pub(super) struct Resolver(ArcSwap<Held>);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resolver").field(&self.0.load().leaf).finish()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified))
    }
}

impl ResolvesClientCert for Resolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}
