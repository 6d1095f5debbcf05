//! A transit engine written from the public description of Vault's HTTP interface: real encryption, keys in memory, and
//! the ways to fail that the suite asks for. It stands in for a server that cannot be had everywhere.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qsec_crypto::kms::conformance::Failure;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac::{self, HMAC_SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

pub(crate) const TOKEN: &str = "hvs.test-token-7a1f";

type Reply = (u16, Value);

/// One engine; each server of it fails in its own way.
#[derive(Clone, Default)]
pub(crate) struct Transit(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    keys: HashMap<String, Key>,
    context: Option<Vec<u8>>,
    requests: Vec<String>,
}

struct Key {
    settings: Value,
    versions: Vec<[u8; 32]>,
}

impl Transit {
    /// Listens on loopback until the process ends.
    #[expect(clippy::disallowed_methods, reason = "a server for tests has threads")]
    pub(crate) fn serve(&self, failure: Option<Failure>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (transit, refusals) = (self.clone(), Arc::new(Mutex::new(2)));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (transit, refusals) = (transit.clone(), Arc::clone(&refusals));
                std::thread::spawn(move || transit.talk(&connection.unwrap(), failure, &refusals));
            }
        });
        address
    }

    /// The context of the last call that had one.
    pub(crate) fn context(&self) -> Option<Vec<u8>> {
        self.state().context.clone()
    }

    /// Method and path of each request, since last asked.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    /// Makes a key as its owner would by other means.
    pub(crate) fn make(&self, name: &str, settings: Value) {
        let versions = vec![random()];
        self.state().keys.insert(name.to_owned(), Key { settings, versions });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn talk(&self, connection: &TcpStream, failure: Option<Failure>, refusals: &Mutex<u32>) {
        let mut reader = BufReader::new(connection);
        while let Some((head, body)) = read_request(&mut reader) {
            if failure == Some(Failure::Hanging) {
                loop {
                    std::thread::park();
                }
            }
            let (status, mut reply) = self.answer(&head, &body, failure, refusals);
            if status == 200 && head[0].contains("/decrypt/") {
                spoil(&mut reply, failure);
            }
            let reply = reply.to_string();
            let sent = if failure == Some(Failure::Torn) { &reply[..reply.len() / 2] } else { &reply };
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", reply.len());
            let mut writer = connection;
            if writer.write_all([head.as_bytes(), sent.as_bytes()].concat().as_slice()).is_err() || sent != reply {
                return;
            }
        }
    }

    fn answer(&self, head: &[String], body: &[u8], failure: Option<Failure>, refusals: &Mutex<u32>) -> Reply {
        self.state().requests.push(head[0].trim_end_matches(" HTTP/1.1").to_owned());
        let mut left = refusals.lock().unwrap();
        if failure == Some(Failure::ThrottledTwice) && *left > 0 {
            *left -= 1;
            return errors(429, "rate limit quota exceeded");
        }
        if !head.contains(&format!("x-vault-token: {TOKEN}")) {
            return errors(403, "permission denied");
        }
        let mut words = head[0].split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        let path: Vec<&str> = path.strip_prefix("/v1/transit/").unwrap_or_default().split('/').collect();
        match (method, path.as_slice()) {
            ("POST", ["encrypt", name]) => self.encrypt(name, &body),
            ("POST", ["decrypt", name]) => self.decrypt(name, &body),
            (_, ["keys", rest @ ..]) => self.keys(method, rest, body),
            _ => errors(404, "no handler for route"),
        }
    }

    fn keys(&self, method: &str, path: &[&str], body: Value) -> Reply {
        let mut state = self.state();
        match (method, path) {
            ("POST", [name]) => {
                drop(state);
                self.make(name, body);
                (200, json!({ "data": {} }))
            }
            (_, [name, ..]) if !state.keys.contains_key(*name) => (404, json!({ "errors": [] })),
            ("GET", [name]) => {
                let key = &state.keys[*name];
                let mut data = key.settings.clone();
                data["name"] = json!(name);
                data["latest_version"] = json!(key.versions.len());
                data["keys"] = json!({ "1": 1_442_851_412 });
                (200, json!({ "request_id": "x", "data": data }))
            }
            ("POST", [name, "rotate"]) => {
                state.keys.get_mut(*name).unwrap().versions.push(random());
                (204, json!({}))
            }
            ("POST", [name, "config"]) => {
                state.keys.get_mut(*name).unwrap().settings["deletion_allowed"] = body["deletion_allowed"].clone();
                (200, json!({ "data": {} }))
            }
            ("DELETE", [name]) if state.keys[*name].settings["deletion_allowed"] == json!(true) => {
                state.keys.remove(*name);
                (204, json!({}))
            }
            _ => errors(400, "deletion is not allowed for this key"),
        }
    }

    fn encrypt(&self, name: &str, body: &Value) -> Reply {
        let mut state = self.state();
        if !state.keys.contains_key(name) {
            // What a real one does for a token that may create: the caller must look first.
            drop(state);
            self.make(name, json!({ "type": "aes256-gcm96", "derived": true }));
            state = self.state();
        }
        let context = decoded(&body["context"]);
        state.context.clone_from(&context);
        let Some(context) = context else { return errors(400, "missing 'context' for key derivation") };
        let (key, mut sealed) = (&state.keys[name], decoded(&body["plaintext"]).unwrap());
        let nonce: [u8; 12] = random();
        let version = key.versions.len();
        let cipher = derived(&key.versions[version - 1], &context);
        cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).unwrap();
        let text = format!("vault:v{version}:{}", STANDARD.encode([&nonce[..], &sealed].concat()));
        (200, json!({ "data": { "ciphertext": text, "key_version": version } }))
    }

    fn decrypt(&self, name: &str, body: &Value) -> Reply {
        let mut state = self.state();
        let context = decoded(&body["context"]);
        state.context.clone_from(&context);
        let Some(key) = state.keys.get(name) else { return errors(400, "encryption key not found") };
        let text = body["ciphertext"].as_str().unwrap().strip_prefix("vault:v").unwrap();
        let (version, encoded) = text.split_once(':').unwrap();
        let version = version.parse::<usize>().unwrap();
        let Some(material) = key.versions.get(version - 1) else {
            return errors(400, "invalid ciphertext: version is too new");
        };
        let sealed = STANDARD.decode(encoded).unwrap();
        let failed = || errors(400, "cipher: message authentication failed");
        let Some((nonce, rest)) = sealed.split_first_chunk::<12>() else { return failed() };
        let mut opened = rest.to_vec();
        let cipher = derived(material, &context.unwrap());
        match cipher.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut opened) {
            Ok(opened) => (200, json!({ "data": { "plaintext": STANDARD.encode(opened) } })),
            Err(_) => failed(),
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<(Vec<String>, Vec<u8>)> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line == "\r\n" {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// What a broken or hostile server does to the plaintext.
fn spoil(reply: &mut Value, failure: Option<Failure>) {
    let plaintext = &mut reply["data"]["plaintext"];
    let mut key = decoded(plaintext).unwrap();
    match failure {
        Some(Failure::ShortPlaintext) => {
            key.pop();
        }
        Some(Failure::LongPlaintext) => key.push(0),
        Some(Failure::OtherPlaintext) => key = vec![0x66; 32],
        _ => {}
    }
    *plaintext = json!(STANDARD.encode(key));
}

fn derived(material: &[u8; 32], context: &[u8]) -> LessSafeKey {
    let key = hmac::sign(&hmac::Key::new(HMAC_SHA256, material), context);
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap())
}

fn decoded(value: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(value.as_str()?).ok()
}

fn errors(status: u16, what: &str) -> Reply {
    (status, json!({ "errors": [what] }))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}
