//! An HTTP server that answers as it is told, remembers what it was asked, and can stand before a real one.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A status and a body.
    Json(u16, Value),
    /// The same, with a header more.
    WithHeader(u16, Value, &'static str),
    /// These bytes and then the end.
    Raw(Vec<u8>),
    /// The connection is closed.
    Close,
    /// The connection is held, and nothing comes.
    Hang,
    /// What the real one says.
    Forward,
}

impl Answer {
    /// An error as KMS writes it.
    pub(crate) fn error(status: u16, code: &str) -> Self {
        Self::Json(status, json!({ "__type": code, "message": "scripted" }))
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// `Encrypt`, `Decrypt`, `DescribeKey`.
    pub(crate) action: String,
    /// Its head: the request line and the headers.
    pub(crate) head: String,
    pub(crate) body: Value,
}

#[derive(Debug, Default)]
struct Script {
    next: VecDeque<Answer>,
    /// What is answered when nothing is next; what the real one says, if that is not set.
    always: Option<Answer>,
    asked: Vec<Asked>,
    over: bool,
}

pub(crate) struct Server {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers each request with the next of these.
    pub(crate) fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let server = Self::start(None);
        server.next(answers);
        server
    }

    /// Hands requests on to a real server, until told otherwise.
    pub(crate) fn before(upstream: SocketAddr) -> Self {
        Self::start(Some(upstream))
    }

    fn start(upstream: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = Arc::clone(&script);
        #[expect(clippy::disallowed_methods, reason = "the other side of the socket")]
        let thread = std::thread::spawn(move || serve(&listener, upstream, &shared));
        Self { address, script, thread: Some(thread) }
    }

    pub(crate) fn next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script.lock().unwrap().next.extend(answers);
    }

    pub(crate) fn always(&self, answer: Answer) {
        self.script.lock().unwrap().always = Some(answer);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked since this was last called.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.script.lock().unwrap().asked)
    }

    /// The actions of it.
    pub(crate) fn actions(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.action).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.script.lock().unwrap().over = true;
        drop(TcpStream::connect(self.address));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(listener: &TcpListener, upstream: Option<SocketAddr>, script: &Mutex<Script>) {
    let mut held = Vec::new();
    while let Ok((mut stream, _)) = listener.accept() {
        if script.lock().unwrap().over {
            return;
        }
        let Some((head, body)) = read_message(&stream) else { continue };
        let answer = {
            let mut script = script.lock().unwrap();
            script.asked.push(asked(&head, &body));
            let always = script.always.clone();
            script.next.pop_front().or(always).unwrap_or(Answer::Forward)
        };
        // Whoever hangs up first is in the right: nothing here depends on the answer having arrived.
        let _ = match answer {
            Answer::Json(status, body) => stream.write_all(&response(status, &body.to_string(), "")),
            Answer::WithHeader(status, body, header) => {
                stream.write_all(&response(status, &body.to_string(), &format!("{header}\r\n")))
            }
            Answer::Raw(bytes) => stream.write_all(&bytes),
            Answer::Close => Ok(()),
            Answer::Hang => {
                held.push(stream);
                Ok(())
            }
            Answer::Forward => match upstream {
                Some(upstream) => stream.write_all(&forward(upstream, &head, &body)),
                None => stream.write_all(&response(500, "the script is over", "")),
            },
        };
    }
}

fn asked(head: &str, body: &[u8]) -> Asked {
    let action = header(head, "x-amz-target").and_then(|target| target.strip_prefix("TrentService."));
    let body = serde_json::from_slice(body).unwrap_or(Value::Null);
    Asked { action: action.unwrap_or_default().to_owned(), head: head.to_owned(), body }
}

pub(crate) fn response(status: u16, body: &str, headers: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Scripted\r\nContent-Type: application/x-amz-json-1.1\r\n{headers}");
    format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

/// One message to the real server, whose answer ends the connection.
pub(crate) fn forward(upstream: SocketAddr, head: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(upstream).unwrap();
    let with_close = |head: &str| format!("{}\r\nConnection: close\r\n\r\n", head.trim_end());
    stream.write_all(with_close(head).as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let (head, body) = read_message(&stream).expect("the real server answers");
    [with_close(&head).as_bytes(), &body].concat()
}

/// A head and as many bytes of body as it announces.
pub(crate) fn read_message(stream: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
