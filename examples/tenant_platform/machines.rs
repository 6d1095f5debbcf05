//! Two services that talk over mutual TLS on a real socket, and a stranger who tries.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use qsec::pki::tls::{Identity, rejection};
use qsec::pki::{Admit, Peer, PrivateKey, TrustZone};

/// Nobody waits longer for a peer than this.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a request came to: who the server saw, and what it answered.
pub(crate) struct Talk {
    pub(crate) peer: Peer,
    pub(crate) answer: String,
}

/// One connection: the client asks, the server answers who it saw.
pub(crate) fn talk(
    server_zone: &TrustZone,
    server: &Identity,
    client_zone: &TrustZone,
    client: &Identity,
    now: SystemTime,
) -> Result<Talk, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let admit = Admit::ids(["svc/proxy/*"]);
    let server_config = Arc::new(server_zone.server_config(server, admit.clone())?);
    let zone = server_zone.clone();
    let serving =
        thread::spawn(move || serve(&listener, server_config, &zone, &admit, now).map_err(|error| words(&*error)));
    let answer = ask(address, client_zone, client).map_err(|error| words(&*error));
    let peer = serving.join().map_err(|_| "the server stopped")?;
    match (peer, answer) {
        (Ok(peer), Ok(answer)) => Ok(Talk { peer, answer }),
        (server, client) => Err(reason(server.err(), client.err()).into()),
    }
}

/// An error of rustls in the words of the rule that refused, if it was a rule.
fn words(error: &(dyn Error + 'static)) -> String {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).and_then(rejection) {
        Some(rejection) => format!("{} ({rejection})", rejection.code()),
        None => error.to_string(),
    }
}

/// Whoever refused has the exact reason; the other side saw no more than an alert.
fn reason(server: Option<String>, client: Option<String>) -> String {
    let says = |who: &str, error: Option<String>| error.map(|error| format!("{who}: {error}"));
    [says("the server", server), says("the client", client)].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn serve(
    listener: &TcpListener,
    config: Arc<rustls::ServerConfig>,
    zone: &TrustZone,
    admit: &Admit,
    now: SystemTime,
) -> Result<Peer, Box<dyn Error>> {
    let (mut socket, _) = listener.accept()?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut connection = rustls::ServerConnection::new(config)?;
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    let mut question = [0; 5];
    stream.read_exact(&mut question)?;
    let peer = zone.peer(&*stream.conn, admit, now)?;
    stream.write_all(format!("hello {}", peer.id()).as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(peer)
}

fn ask(address: std::net::SocketAddr, zone: &TrustZone, identity: &Identity) -> Result<String, Box<dyn Error>> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let config = Arc::new(zone.client_config(identity, Admit::ids(["svc/engine/*"]))?);
    let name = "engine.prod.internal".try_into()?;
    let mut connection = rustls::ClientConnection::new(config, name)?;
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    stream.write_all(b"hello")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A fresh key, and the request that proves its possession.
pub(crate) fn key_and_request() -> Result<(PrivateKey, Vec<u8>), Box<dyn Error>> {
    let key = PrivateKey::generate()?;
    let request = key.request()?;
    Ok((key, request))
}
