//! Which machine is this, and is it in our zone?
//!
//! **Does**: makes the root of a trust zone, issues short-lived certificates from requests, and verifies members, alone or inside a
//! mutual TLS handshake, by rules stricter than those of the web. A zone has one root and accepts nothing that this root did not sign.
//!
//! **Does not**: validate certificates of the public web; read a clock, a file or a socket; keep keys at rest; decide by common
//! names; resume TLS sessions; fall back to anything.
//!
//! ```
//! # use std::time::{Duration, UNIX_EPOCH};
//! use qsec_pki::{Admit, Authority, CertificateRequest, LeafProfile, PrivateKey, TrustZone, Zone, tls::Identity};
//!
//! # let now = UNIX_EPOCH + Duration::from_secs(1_782_900_000);
//! let authority = Authority::create(Zone::parse("prod.internal")?, now)?.commit();
//! # let key = PrivateKey::generate()?;
//! # let csr = CertificateRequest::parse(&key.request()?)?;
//! let leaf = authority.issue(&csr, &LeafProfile::peer("svc/engine/node/n7"), now)?;
//!
//! let zone = TrustZone::new(authority.bundle()).admit_peer_leaves();
//! let identity = Identity::new(leaf.chain(), &key)?;
//! let server = zone.server_config(&identity, Admit::ids(["svc/proxy/*"]))?;     // rustls::ServerConfig
//! let client = zone.client_config(&identity, Admit::ids(["svc/engine/*"]))?;    // rustls::ClientConfig
//! // let peer = zone.peer(&connection, &admit, now)?;                           // who it is, proved
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! | module or type | holds |
//! |---|---|
//! | [`Zone`], [`SpiffeId`], [`DnsName`] | names, each with one spelling |
//! | [`PrivateKey`], [`PublicKey`], [`CertificateRequest`], [`mod@pem`] | keys and requests |
//! | [`Authority`], [`LeafProfile`], [`Issued`] | issuing, in one step or, for a key in a KMS, in two |
//! | [`TrustZone`], [`Admit`], [`Peer`], [`Rejection`] | verifying |
//! | [`tls`] | the same inside `rustls` |
//! | [`ledger`] | the border to a database: every serial ever spent |
//!
//! # Guarantees
//! - A [`Peer`] exists only for a chain that passed every rule at the instant given. There is no default of who is admitted.
//! - The first rule that a chain breaks is the answer: [`Rejection::code`] is stable.
//! - Of a request only the key counts, after proof that its owner asked. Serials are 159 random bits.
//! - What is not in strict DER is refused before anything in it is believed; no input makes this crate panic.
//! - No resumption, tickets or early data inside a zone; the crypto provider is handed in, never the process default.
//!
//! # Limits
//! - ECDSA on P-256 and P-384 only. One intermediate between root and leaf at most.
//! - `ring` keeps its own copy of a private key while it signs, and does not erase it.
//! - Deadlines of sockets are the caller's: see [`tls`].

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::as_conversions,
        clippy::todo,
        clippy::unreachable,
        clippy::print_stdout
    )
)]

mod admit;
mod authority;
mod bundle;
mod certificate;
mod crl;
mod der;
mod key;
pub mod ledger;
mod name;
mod observer;
mod peer;
pub mod pem;
mod rejection;
mod request;
mod role;
mod rules;
mod serial;
mod signature;
pub mod tls;
mod trust_zone;

pub use admit::Admit;
pub use authority::{
    Authority, IntermediateProfile, IssueError, Issued, IssuedCrl, LeafProfile, OpenError, PlannedAuthority,
    PlannedIntermediate, Prepared, PreparedCrl, PreparedIntermediate, PreparedRoot, RevocationReason,
    RevokedCertificate,
};
pub use bundle::Bundle;
pub use certificate::Certificate;
pub use crl::Crls;
pub use key::{Curve, KeyError, PrivateKey, PublicKey};
pub use ledger::{CertificateState, Ledger, LedgerRow, MemoryLedger, StoreError};
pub use name::{DnsName, NameError, SpiffeId, Zone};
pub use observer::{Event, Observer};
pub use peer::{Peer, Revocation};
pub use rejection::{Position, Reason, Rejection};
pub use request::{CertificateRequest, RequestError};
pub use role::Role;
pub use serial::Serial;
pub use signature::SignatureAlgorithm;
pub use trust_zone::{ExpectedName, TrustZone};
