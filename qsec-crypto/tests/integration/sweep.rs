//! Every bit of every format changed; every byte cut off, or put together with those of another message.
//!
//! Of a message with a full chunk: one bit of every byte that stands before and around its border and end, and of one byte
//! in every block of the cipher between; of a signed message: one bit of every byte. All of them would take minutes without
//! optimisation, and show no more: a tag that left out a bit would leave out its block, and a signature is over a digest.

use std::io::Read;

use qsec_crypto::{Context, OpenError, RawKey, SecretKey, TenantKey};

/// What a stream gave out, and whether that was all.
type Streamed = Result<Vec<u8>, Vec<u8>>;

/// Messages of one family under one key, how they open, and where their pieces end.
struct Family {
    messages: Vec<(&'static str, Vec<u8>)>,
    /// Bytes of the first pieces, and from where on a change can have one answer only.
    borders: fn(&[u8]) -> Vec<usize>,
    open: fn(&[u8]) -> Result<Vec<u8>, OpenError>,
    stream: fn(&[u8]) -> Streamed,
    /// What a stream may have given out before it fails: the start of this.
    plaintext: Vec<u8>,
}

impl Family {
    /// Neither reader opens it, the error says nothing, and what a stream gave out is the start of what was sealed.
    fn refused(&self, bytes: &[u8], what: &str) -> String {
        let error = (self.open)(bytes).expect_err(what);
        let out = (self.stream)(bytes).expect_err(what);
        assert!(self.plaintext.starts_with(&out), "{what}: bytes went out that were not sealed");
        if let OpenError::NotOpened = error {
            assert_eq!(error.to_string(), "these bytes do not open with this key, tenant and context");
        }
        error.code().to_owned()
    }

    fn flip_every_bit(&self) {
        for (name, message) in &self.messages {
            let start = (self.borders)(message)[0];
            let mut changed = message.clone();
            for (at, bit) in places(message.len()).flat_map(|at| bits(message, at).map(move |bit| (at, bit))) {
                changed[at] ^= 1 << bit;
                let code = self.refused(&changed, &format!("{name}, byte {at}, bit {bit}"));
                // What stands in clear before the first piece may also be malformed; behind it there is one answer.
                let is_one = code == "not_opened" || code == "budget_exceeded";
                assert!(at < start || is_one, "{name}, byte {at}, bit {bit}: {code}");
                changed[at] = message[at];
            }
        }
    }

    fn cut_everywhere(&self) {
        for (name, message) in &self.messages {
            let start = (self.borders)(message)[0];
            for length in places(message.len()) {
                let code = self.refused(&message[..length], &format!("{name}, cut to {length}"));
                assert!(length < start || code == "not_opened", "{name}, cut to {length}: {code}");
            }
        }
    }

    fn splice_at_every_border(&self) {
        for (name, message) in &self.messages {
            for (other_name, other) in &self.messages {
                for end in (self.borders)(message) {
                    for start in (self.borders)(other) {
                        let spliced = [&message[..end], &other[start..]].concat();
                        if spliced != *message && spliced != *other {
                            self.refused(&spliced, &format!("{name} to {end}, {other_name} from {start}"));
                        }
                    }
                }
            }
        }
    }
}

fn read(reader: Result<impl Read, OpenError>) -> Streamed {
    let mut out = Vec::new();
    let ended = reader.is_ok_and(|mut reader| reader.read_to_end(&mut out).is_ok());
    if ended { Ok(out) } else { Err(out) }
}

/// Where a message of this length is changed or cut.
fn places(length: usize) -> impl Iterator<Item = usize> {
    let near_border = move |at: usize| (at % 16_400).abs_diff(62) < 40 || length - at < 100 || at < 100;
    (0..length).filter(move |at| length < 2_000 || near_border(*at) || at % 16 == 5)
}

/// Which bits of a byte are changed: all, or one in turn.
fn bits(message: &[u8], at: usize) -> std::ops::Range<usize> {
    let is_signed = message.starts_with(&[0x02, 0x05, 0x78]);
    if message.len() < 2_000 && !is_signed { 0..8 } else { at % 8..at % 8 + 1 }
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..251).cycle().take(length).collect()
}

fn tenant_key() -> TenantKey {
    RawKey::new(SecretKey::copy_from(&[7; 32])).at_version(3).unwrap()
}

fn context() -> Context {
    Context::from([("table", "orders")])
}

/// Two messages of a chunk and a bit, so that each has borders; what is changed in the first chunk and in the second is
/// refused for other reasons inside.
fn native(lengths: [usize; 2]) -> Family {
    let seal = |length| tenant_key().seal(&plaintext(length), &context()).unwrap();
    Family {
        messages: vec![("one", seal(lengths[0])), ("two", seal(lengths[1]))],
        borders: |message| [6, 30, 62].into_iter().chain((62..message.len()).step_by(16_400).skip(1)).collect(),
        open: |bytes| tenant_key().open(bytes, &context()),
        stream: |bytes| read(tenant_key().opener(bytes, &context())),
        plaintext: plaintext(50_000),
    }
}

#[test]
fn native_messages_are_refused_at_every_bit_block_and_border() {
    native([16_400, 40]).flip_every_bit();
}

#[test]
fn native_messages_are_refused_at_every_length() {
    native([16_400, 40]).cut_everywhere();
}

#[test]
fn native_messages_are_refused_at_every_splice() {
    native([49_152, 40_000]).splice_at_every_border();
}

/// It has no stream: one that is asked for gives nothing.
fn compact() -> Family {
    let seal = |length| tenant_key().seal_compact_uncommitted(&plaintext(length), &context()).unwrap();
    Family {
        messages: vec![("one", seal(300)), ("two", seal(40)), ("native", tenant_key().seal(b"x", &context()).unwrap())],
        borders: |message| vec![6, 18, 30, message.len() - 16],
        open: |bytes| tenant_key().open(bytes, &context()),
        stream: |bytes| read(tenant_key().opener(bytes, &context())),
        plaintext: Vec::new(),
    }
}

#[test]
fn compact_messages_are_refused_at_every_bit_length_and_splice() {
    compact().flip_every_bit();
    compact().cut_everywhere();
    compact().splice_at_every_border();
}

#[cfg(feature = "esdk")]
mod interchange {
    use std::io::Write;

    use qsec_crypto::esdk::{Content, FrameLength, RawAesKey, RawAesKeyring, UnopenedMessage};

    use super::*;

    fn keyring() -> RawAesKeyring {
        RawAesKeyring::new([RawAesKey::new("qsec-test", "name-0", SecretKey::copy_from(&[0x20; 32])).unwrap()]).unwrap()
    }

    fn ours(length: usize) -> Vec<u8> {
        let mut sealer = keyring().sealer(Vec::new(), &context(), FrameLength::new(128).unwrap()).unwrap();
        sealer.write_all(&plaintext(length)).unwrap();
        sealer.finish().unwrap()
    }

    fn official(digits: &str) -> Vec<u8> {
        hex::decode(digits.replace('\n', "")).unwrap()
    }

    /// Behind the header, behind its tag, behind each frame, and before a signature.
    fn borders(message: &[u8]) -> Vec<usize> {
        let unopened = UnopenedMessage::read(message).unwrap();
        let body = unopened.header().header_bytes() + 16;
        let frame = match unopened.header().content() {
            Content::Framed { frame_length, .. } => usize::try_from(frame_length).unwrap() + 32,
            Content::OneBlock | _ => 20 + 300 + 16,
        };
        [body, body - 16, 35].into_iter().chain((body..message.len()).step_by(frame).skip(1)).collect()
    }

    /// Both suites, in frames and in one block: two of ours, and four that the official SDK for Python sealed.
    fn family() -> Family {
        Family {
            messages: vec![
                ("frames", ours(300)),
                ("full frames", ours(256)),
                ("official frames", official(include_str!("../data/esdk-frames.hex"))),
                ("block", official(include_str!("../data/esdk-block.hex"))),
                ("signed frames", official(include_str!("../data/esdk-signed-frames.hex"))),
                ("signed block", official(include_str!("../data/esdk-signed-block.hex"))),
            ],
            borders,
            open: |bytes| keyring().open(bytes, &context()),
            stream: |bytes| read(keyring().opener(bytes, &context())),
            plaintext: plaintext(300),
        }
    }

    #[test]
    fn messages_of_both_suites_are_refused_at_every_bit() {
        family().flip_every_bit();
    }

    #[test]
    fn messages_of_both_suites_are_refused_at_every_length() {
        family().cut_everywhere();
    }

    #[test]
    fn messages_of_both_suites_are_refused_at_every_splice() {
        family().splice_at_every_border();
    }
}
