use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use ring::digest;

use crate::admit::Admit;
use crate::bundle::Bundle;
use crate::crl::Crls;
use crate::der::time;
use crate::key::sha256;
use crate::name::{DnsName, NameError, SpiffeId, Zone};
use crate::observer::{Event, Observer};
use crate::peer::Peer;
use crate::rejection::{Position, Reason, Rejection};
use crate::role::Role;
use crate::rules::{self, Path, Signatures, Terms, revocation};

/// Most chains whose signatures are remembered.
const MAX_REMEMBERED_CHAINS: usize = 4_096;

/// Says who is a member: the verifier of a zone.
///
/// A clone is a handle on the same zone, and so is every TLS configuration made from it: new roots and new revocation lists
/// hold for all of them at once.
///
/// ```
/// # use std::time::{Duration, UNIX_EPOCH};
/// use qsec_pki::{Admit, Authority, CertificateRequest, LeafProfile, PrivateKey, Role, TrustZone, Zone};
///
/// # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
/// let authority = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
/// let request = CertificateRequest::parse(&PrivateKey::generate()?.request()?)?;
/// let leaf = authority.issue(&request, &LeafProfile::server("svc/engine/node/n7"), now)?;
///
/// let zone = TrustZone::new(authority.bundle());
/// let peer = zone.verify(leaf.chain(), Role::Server, None, &Admit::ids(["svc/engine/*"]), now)?;
/// assert_eq!(peer.id().path(), "svc/engine/node/n7");
///
/// let refused = zone.verify(leaf.chain(), Role::Client, None, &Admit::all_members(), now).unwrap_err();
/// assert_eq!(refused.code(), "eku_wrong_role");
/// assert_eq!(refused.to_string(), "leaf is for `server`, not for `client`");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TrustZone {
    shared: Arc<Shared>,
    peer_leaves: bool,
    observer: Arc<dyn Observer>,
}

struct Shared {
    state: ArcSwap<State>,
    highest_crls: revocation::HighestNumbers,
}

/// What changes as a whole.
#[derive(Clone)]
struct State {
    bundle: Arc<Bundle>,
    crls: Option<Arc<Crls>>,
    epoch: u64,
    /// Gone with the state: no chain is remembered beyond the roots and lists that it was verified with.
    remembered: Arc<RememberedChains>,
}

impl TrustZone {
    /// The zone of these roots.
    pub fn new(bundle: Bundle) -> Self {
        let state = State { bundle: Arc::new(bundle), crls: None, epoch: 0, remembered: Arc::default() };
        let shared =
            Shared { state: ArcSwap::from_pointee(state), highest_crls: revocation::HighestNumbers::default() };
        Self { shared: Arc::new(shared), peer_leaves: false, observer: Arc::new(()) }
    }

    /// Takes leaves that may be server and client at once. Without it they are refused.
    #[must_use]
    pub fn admit_peer_leaves(mut self) -> Self {
        self.peer_leaves = true;
        self
    }

    /// Tells an observer what is decided.
    #[must_use]
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// The zone's name.
    pub fn zone(&self) -> Zone {
        self.shared.state.load().bundle.zone().clone()
    }

    /// Counts the changes of roots and revocation lists.
    pub fn revocation_epoch(&self) -> u64 {
        self.shared.state.load().epoch
    }

    /// From now on every issuer of a path needs a current list among these; they replace those before.
    ///
    /// Connections that live on are checked again by [`TrustZone::peer`] or by [`TrustZone::verify`].
    pub fn require_crls(&self, crls: Crls) {
        let crls = Arc::new(crls);
        self.change(|state| State { crls: Some(Arc::clone(&crls)), ..state.clone() });
    }

    /// Trusts other roots of the same zone, from the next verification on.
    ///
    /// # Errors
    /// A [`Rejection`] `root_unacceptable` if they are of another zone.
    pub fn replace_bundle(&self, bundle: Bundle) -> Result<(), Rejection> {
        if *bundle.zone() != self.zone() {
            return Err(rules::root::refuse("bundle is of another zone"));
        }
        let bundle = Arc::new(bundle);
        self.change(|state| State { bundle: Arc::clone(&bundle), ..state.clone() });
        Ok(())
    }

    fn change(&self, next: impl Fn(&State) -> State) {
        self.shared.state.rcu(|state| {
            let state = next(state);
            State { epoch: state.epoch.saturating_add(1), remembered: Arc::default(), ..state }
        });
    }

    /// Verifies a chain, leaf first: is it a member of this zone, in this role, the one expected, and admitted?
    ///
    /// `expected` may be left out where identity is reported, not compared; `admit` may not.
    ///
    /// # Errors
    /// A [`Rejection`] with the first rule that the chain breaks. The observer is told of it.
    pub fn verify<C: AsRef<[u8]>>(
        &self,
        chain: &[C],
        role: Role,
        expected: Option<&ExpectedName>,
        admit: &Admit,
        now: SystemTime,
    ) -> Result<Peer, Rejection> {
        let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
        let outcome = self.judge(&chain, role, expected, admit, now);
        match &outcome {
            Ok(peer) => self.observer.observe(&Event::PeerAdmitted { peer }),
            Err(rejection) => {
                let leaf_sha256 = chain.first().map(|leaf| sha256(leaf));
                self.observer.observe(&Event::PeerRejected { role, rejection, leaf_sha256 });
            }
        }
        outcome
    }

    /// [`TrustZone::verify`] without telling anyone: for what is ours.
    pub(crate) fn judge(
        &self,
        chain: &[&[u8]],
        role: Role,
        expected: Option<&ExpectedName>,
        admit: &Admit,
        now: SystemTime,
    ) -> Result<Peer, Rejection> {
        let state = self.shared.state.load_full();
        let key = RememberedChains::key(chain);
        let signatures = state.remembered.signatures_of(&key);
        let terms = Terms { bundle: &state.bundle, role, peer_leaves: self.peer_leaves };
        let path = rules::judge(terms, chain, signatures, now)?;
        if signatures == Signatures::Check {
            state.remembered.remember(key, path.root.spki_sha256());
        }
        let revocation =
            revocation::check(&path, &state.bundle, state.crls.as_deref(), &self.shared.highest_crls, now)?;
        check_name(&path, expected)?;
        if !admit.admits(&path.leaf.id) {
            let detail = format!("`{}` is not admitted here", path.leaf.id);
            return Err(Rejection::new(Reason::PeerNotAuthorised, Position::Certificate(0), detail));
        }
        Ok(peer_of(path, role, revocation, state.epoch))
    }
}

impl fmt::Debug for TrustZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.load();
        f.debug_struct("TrustZone")
            .field("zone", state.bundle.zone())
            .field("roots", &state.bundle.roots().len())
            .field("crls", &state.crls)
            .field("epoch", &state.epoch)
            .finish_non_exhaustive()
    }
}

/// Row 24.
fn check_name(path: &Path<'_>, expected: Option<&ExpectedName>) -> Result<(), Rejection> {
    let (matches, name) = match expected {
        None => return Ok(()),
        Some(ExpectedName::Id(id)) => (*id == path.leaf.id, id.as_str()),
        Some(ExpectedName::Dns(name)) => (path.leaf.dns.contains(name), name.as_str()),
    };
    if matches {
        return Ok(());
    }
    let detail = format!("leaf of `{}` does not carry the expected name `{name}`", path.leaf.id);
    Err(Rejection::new(Reason::NameMismatch, Position::Certificate(0), detail))
}

fn peer_of(path: Path<'_>, role: Role, revocation: crate::Revocation, revocation_epoch: u64) -> Peer {
    let (not_after, leaf_sha256) =
        path.views.first().map_or((i64::MIN, [0; 32]), |leaf| (leaf.not_after, sha256(leaf.der)));
    let keys = path.keys.iter().map(crate::PublicKey::spki_sha256).chain([path.root.spki_sha256()]);
    Peer {
        path: keys.collect(),
        id: path.leaf.id,
        role,
        leaf_role: path.leaf.role,
        dns: path.leaf.dns,
        serial: path.serial,
        not_after: time::instant(not_after),
        leaf_sha256,
        revocation,
        revocation_epoch,
    }
}

/// The name that a caller expects: a SPIFFE ID or a DNS name, each in its one spelling.
///
/// ```
/// use qsec_pki::ExpectedName;
///
/// assert!(matches!(ExpectedName::parse("n7.svc.prod.internal")?, ExpectedName::Dns(_)));
/// assert_eq!(ExpectedName::parse("N7.svc").unwrap_err().code(), "name_malformed");
/// # Ok::<(), qsec_pki::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExpectedName {
    /// The leaf's one ID.
    Id(SpiffeId),
    /// One of the leaf's DNS names.
    Dns(DnsName),
}

impl ExpectedName {
    /// Reads either: an ID if there is a scheme, otherwise a DNS name.
    ///
    /// # Errors
    /// [`NameError::Dns`] (`name_malformed`) if it is neither.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if !text.contains("://") {
            return DnsName::parse(text).map(Self::Dns);
        }
        SpiffeId::parse(text).map(Self::Id).map_err(|error| match error {
            NameError::Id { text, reason } | NameError::Zone { text, reason } => NameError::Dns { text, reason },
            other @ (NameError::Dns { .. } | NameError::RandomnessUnavailable) => other,
        })
    }
}

/// Chains whose signatures were verified, and the key of the root that they led to. Everything but signatures is judged again.
#[derive(Debug, Default)]
struct RememberedChains(Mutex<HashMap<[u8; 32], [u8; 32]>>);

impl RememberedChains {
    /// SHA-256 over the certificates, each with its length in front.
    fn key(chain: &[&[u8]]) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        for certificate in chain {
            context.update(&u64::try_from(certificate.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(certificate);
        }
        let mut key = [0; 32];
        key.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        key
    }

    fn signatures_of(&self, key: &[u8; 32]) -> Signatures {
        let chains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        chains.get(key).map_or(Signatures::Check, |root| Signatures::KnownGood { root: *root })
    }

    /// At the bound all are forgotten: members come back, and an attacker cannot make chains that verify.
    fn remember(&self, key: [u8; 32], root: [u8; 32]) {
        let mut chains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if chains.len() >= MAX_REMEMBERED_CHAINS {
            chains.clear();
        }
        chains.insert(key, root);
    }
}
