//! Real handshakes over loopback sockets: two members talk, a stranger does not.
#![expect(
    clippy::disallowed_methods,
    reason = "a TLS library asks the clock of the system, and two ends need two threads"
)]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use qsec_pki::tls::Identity;
use qsec_pki::{Admit, Authority, Event, LeafProfile, Observer, Peer, PrivateKey, TrustZone};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConfig, ServerConnection};

use crate::forge::{authority, issue};

const DEADLINE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Refusals(Mutex<Vec<&'static str>>);

impl Observer for Refusals {
    fn observe(&self, event: &Event<'_>) {
        if let Event::PeerRejected { rejection, .. } = event {
            self.0.lock().unwrap().push(rejection.code());
        }
    }
}

struct House {
    authority: Authority,
    zone: TrustZone,
    refusals: Arc<Refusals>,
}

fn house() -> House {
    let authority = authority(SystemTime::now());
    let refusals = Arc::new(Refusals::default());
    let zone = TrustZone::new(authority.bundle()).observer(Arc::<Refusals>::clone(&refusals));
    House { authority, zone, refusals }
}

impl House {
    fn identity(&self, profile: &LeafProfile) -> Identity {
        self.identity_from(profile, SystemTime::now())
    }

    fn identity_from(&self, profile: &LeafProfile, when: SystemTime) -> Identity {
        let (chain, key) = issue(&self.authority, profile, when);
        Identity::new(&chain, &key).unwrap()
    }

    fn server(&self) -> ServerConfig {
        self.zone.server_config(&self.identity(&engine()), Admit::ids(["svc/proxy/*"])).unwrap()
    }

    fn client(&self) -> ClientConfig {
        self.zone.client_config(&self.identity(&proxy()), Admit::ids(["svc/engine/*"])).unwrap()
    }
}

fn engine() -> LeafProfile {
    LeafProfile::server("svc/engine/node/n7").dns(["n7.svc.zone-a.internal"])
}

fn proxy() -> LeafProfile {
    LeafProfile::client("svc/proxy/node/n1")
}

struct Met {
    server: io::Result<Peer>,
    client: io::Result<Vec<u8>>,
    kinds: Vec<Option<HandshakeKind>>,
}

/// One connection: the client says `ping`, the server, if it knows who that is, answers `pong`.
fn meet(zone: &TrustZone, server: &Arc<ServerConfig>, client: &Arc<ClientConfig>, dialled: &'static str) -> Met {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (zone, server) = (zone.clone(), Arc::clone(server));
    let serving = thread::spawn(move || -> io::Result<Peer> {
        let (mut socket, _) = listener.accept()?;
        socket.set_read_timeout(Some(DEADLINE))?;
        let mut connection = ServerConnection::new(server).unwrap();
        let outcome = (|| {
            let mut stream = rustls::Stream::new(&mut connection, &mut socket);
            let mut word = [0; 4];
            stream.read_exact(&mut word)?;
            let peer =
                zone.peer(&*stream.conn, &Admit::ids(["svc/proxy/*"]), SystemTime::now()).map_err(io::Error::other)?;
            stream.write_all(b"pong")?;
            Ok(peer)
        })();
        connection.send_close_notify();
        while connection.wants_write() && connection.write_tls(&mut socket).is_ok() {}
        outcome
    });
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut connection = ClientConnection::new(Arc::clone(client), ServerName::try_from(dialled).unwrap()).unwrap();
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    let talk = (|| {
        stream.write_all(b"ping")?;
        let mut answer = vec![0; 4];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    })();
    let kinds = vec![connection.handshake_kind()];
    drop(socket);
    Met { server: serving.join().unwrap(), client: talk, kinds }
}

fn refused(met: &Met) {
    assert!(met.server.is_err(), "server: {:?}", met.server);
    assert!(met.client.is_err(), "client: {:?}", met.client);
}

#[test]
fn two_members_talk() {
    let house = house();
    let (server, client) = (Arc::new(house.server()), Arc::new(house.client()));
    for dialled in ["n7.svc.zone-a.internal", "127.0.0.1"] {
        let met = meet(&house.zone, &server, &client, dialled);
        assert_eq!(met.client.unwrap(), b"pong");
        assert_eq!(met.server.unwrap().id().path(), "svc/proxy/node/n1");
    }
    assert!(house.refusals.0.lock().unwrap().is_empty());
}

#[test]
fn second_connection_verifies_again() {
    let house = house();
    let (server, client) = (Arc::new(house.server()), Arc::new(house.client()));
    for _ in 0..3 {
        let met = meet(&house.zone, &server, &client, "n7.svc.zone-a.internal");
        assert_eq!(met.kinds, [Some(HandshakeKind::Full)]);
        assert_eq!(met.client.unwrap(), b"pong");
    }
    // What holds from now on holds for the very same configurations.
    house.zone.replace_bundle(crate::forge::authority(SystemTime::now()).bundle()).unwrap();
    refused(&meet(&house.zone, &server, &client, "n7.svc.zone-a.internal"));
    assert_eq!(*house.refusals.0.lock().unwrap(), ["key_identifier_mismatch"]);
}

#[test]
fn our_client_resumes_with_nobody() {
    let house = house();
    let mut generous = house.server();
    generous.send_tls13_tickets = 4;
    generous.session_storage = rustls::server::ServerSessionMemoryCache::new(32);
    let generous = Arc::new(generous);
    let mut hopeful = house.client();
    hopeful.resumption = rustls::client::Resumption::in_memory_sessions(32);
    for (client, second) in [(house.client(), HandshakeKind::Full), (hopeful, HandshakeKind::Resumed)] {
        let client = Arc::new(client);
        let mut kinds = (0..2).map(|_| {
            let met = meet(&house.zone, &generous, &client, "n7.svc.zone-a.internal");
            assert_eq!(met.client.unwrap(), b"pong");
            met.kinds[0]
        });
        assert_eq!((kinds.next(), kinds.next()), (Some(Some(HandshakeKind::Full)), Some(Some(second))));
    }
}

#[test]
fn client_refuses_servers_that_are_not_the_one_it_dials() {
    let house = house();
    let server = Arc::new(house.server());
    let client = Arc::new(house.client());
    refused(&meet(&house.zone, &server, &client, "n8.svc.zone-a.internal"));
    let elsewhere = house.zone.client_config(&house.identity(&proxy()), Admit::ids(["svc/store/*"])).unwrap();
    refused(&meet(&house.zone, &server, &Arc::new(elsewhere), "n7.svc.zone-a.internal"));
    let posing =
        house.zone.server_config(&house.identity(&LeafProfile::client("svc/engine/node/n7")), Admit::all_members());
    refused(&meet(&house.zone, &Arc::new(posing.unwrap()), &client, "127.0.0.1"));
    assert_eq!(*house.refusals.0.lock().unwrap(), ["name_mismatch", "peer_not_authorised", "eku_wrong_role"]);
}

/// What the server of a house says to a client with this identity; the client itself looks away.
fn server_says(house: &House, identity: &Identity) -> (Vec<&'static str>, String) {
    let unsuspecting = house.zone.clone().observer(Arc::new(()));
    let client = unsuspecting.client_config(identity, Admit::all_members()).unwrap();
    let met = meet(&house.zone, &Arc::new(house.server()), &Arc::new(client), "n7.svc.zone-a.internal");
    refused(&met);
    (std::mem::take(&mut *house.refusals.0.lock().unwrap()), met.client.unwrap_err().to_string())
}

#[test]
fn server_refuses_strangers_with_a_bare_alert() {
    let house = house();
    let stranger = self::house().identity(&proxy());
    let (codes, alert) = server_says(&house, &stranger);
    assert_eq!(codes, ["key_identifier_mismatch"]);
    assert_eq!(alert, "received fatal alert: CertificateUnknown");

    let (codes, _) = server_says(&house, &house.identity(&LeafProfile::server("svc/proxy/node/n1")));
    assert_eq!(codes, ["eku_wrong_role"]);
    let (codes, _) = server_says(&house, &house.identity(&LeafProfile::peer("svc/proxy/node/n1")));
    assert_eq!(codes, ["eku_not_exact"]);
    let (codes, alert) = server_says(&house, &house.identity(&LeafProfile::client("svc/engine/node/n2")));
    assert_eq!(codes, ["peer_not_authorised"]);
    assert_eq!(alert, "received fatal alert: CertificateUnknown");
}

#[test]
fn expired_leaf_is_refused() {
    let now = SystemTime::now();
    let authority = authority(now - Duration::from_hours(24));
    let refusals = Arc::new(Refusals::default());
    let zone = TrustZone::new(authority.bundle()).observer(Arc::<Refusals>::clone(&refusals));
    let house = House { authority, zone, refusals };
    let old = house.identity_from(&proxy().ttl(Duration::from_hours(1)), now - Duration::from_hours(2));
    assert_eq!(server_says(&house, &old).0, ["expired"]);
}

#[test]
fn client_without_certificate_is_refused() {
    let house = house();
    let provider = Arc::new(default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(house.authority.root().der().to_vec().into()).unwrap();
    let anonymous = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let met = meet(&house.zone, &Arc::new(house.server()), &Arc::new(anonymous), "n7.svc.zone-a.internal");
    refused(&met);
    assert_eq!(met.client.unwrap_err().to_string(), "received fatal alert: CertificateRequired");
}

#[test]
fn silent_peer_is_dropped() {
    let house = house();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    // The deadline belongs to whoever owns the socket; a configuration has none.
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut connection = ServerConnection::new(Arc::new(house.server())).unwrap();
    let begun = Instant::now();
    let error = connection.complete_io(&mut socket).unwrap_err();
    assert!(matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{error}");
    assert!(begun.elapsed() < DEADLINE);
    let nobody = house.zone.peer(&connection, &Admit::all_members(), SystemTime::now()).unwrap_err();
    assert_eq!(nobody.code(), "handshake_incomplete");
    drop(silent);
}

#[test]
fn connection_ends_with_the_certificate() {
    let house = house();
    let engine = house.identity(&engine().ttl(Duration::from_hours(1)));
    let server = house.zone.server_config(&engine, Admit::ids(["svc/proxy/*"])).unwrap();
    let met = meet(&house.zone, &Arc::new(server), &Arc::new(house.client()), "127.0.0.1");
    let peer = met.server.unwrap();
    assert_eq!(engine.connection_ends(&peer), engine.not_after());
    assert!(engine.not_after() < peer.not_after());
}

#[test]
fn renewed_identity_is_taken_by_the_next_handshake() {
    let house = house();
    let now = SystemTime::now();
    let identity = house.identity(&proxy());
    let client = Arc::new(house.zone.client_config(&identity, Admit::ids(["svc/engine/*"])).unwrap());
    let server = Arc::new(house.server());
    let before = meet(&house.zone, &server, &client, "127.0.0.1").server.unwrap();
    let (chain, key) = issue(&house.authority, &proxy(), now);
    identity.replace(&house.zone, &chain, &key, now).unwrap();
    let after = meet(&house.zone, &server, &client, "127.0.0.1").server.unwrap();
    assert_eq!(before.id(), after.id());
    assert_ne!(before.serial(), after.serial());

    let (others, others_key) = issue(&house.authority, &LeafProfile::client("svc/proxy/node/n2"), now);
    assert_eq!(identity.replace(&house.zone, &others, &others_key, now).unwrap_err().code(), "other_identity");
    let wrong = PrivateKey::generate().unwrap();
    assert_eq!(identity.replace(&house.zone, &chain, &wrong, now).unwrap_err().code(), "key_mismatch");
    let (foreign, foreign_key) = issue(&crate::forge::authority(now), &proxy(), now);
    let error = identity.replace(&house.zone, &foreign, &foreign_key, now).unwrap_err();
    assert_eq!(error.code(), "key_identifier_mismatch");
    assert_eq!(identity.certificate().serial(), after.serial());
}

#[test]
fn no_process_default_provider() {
    let house = house();
    let (server, client) = (house.server(), house.client());
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    assert_eq!((server.send_tls13_tickets, server.max_early_data_size), (0, 0));
    assert!(!server.session_storage.can_cache() && !server.ticketer.enabled() && !client.enable_early_data);
}
