//! After a fork, parent and child seal with one and the same warmed keyring, and nothing that must be unique comes twice.
//!
//! A fork copies what a process remembers, so whatever draws random bytes ahead would give them out twice: two messages
//! under one nonce. Here nothing is drawn ahead: each message asks the kernel.
//!
//! A program of its own, without the usual harness: who forks must have a single thread.

use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    unix::main()
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    println!("not run: fork: this system has none");
    ExitCode::SUCCESS
}

#[cfg(unix)]
mod unix {
    use std::collections::BTreeSet;
    use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{ExitCode, ExitStatus};
    use std::sync::Arc;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use fork::{Fork, fork, waitpid};
    use qsec_crypto::kms::{Fault, FaultyKms, LocalKms, RootKey};
    use qsec_crypto::{Context, KeyRecords, Keyring, MemoryStore, Purpose, TenantId, TenantKey};

    const MESSAGES: usize = 1_000;

    pub(super) fn main() -> ExitCode {
        let keys = warmed_keyring();
        // The process has drawn before, as one that has run for a while.
        let before = draw(&keys);
        let (reader, writer) = pipe().unwrap();
        match fork().unwrap() {
            Fork::Child => {
                drop(reader);
                child(&keys, writer)
            }
            Fork::Parent(child) => {
                drop(writer);
                parent(&keys, &before, child, reader);
                ExitCode::SUCCESS
            }
        }
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_hours(525_960)
    }

    /// Holds the key of its one tenant, and has no KMS to ask for another.
    fn warmed_keyring() -> Keyring {
        pollster::block_on(async {
            let local = LocalKms::open(RootKey::from_bytes(&[7; 32]), MemoryStore::new()).unwrap();
            let key_id = local.create_key(now()).await.unwrap();
            let kms = Arc::new(FaultyKms::over(local));
            let keys = Keyring::new(TenantId::new("acme").unwrap(), kms.clone(), KeyRecords::in_memory().unwrap());
            keys.create(&[key_id], &[Purpose::data()], now()).await.unwrap();
            keys.current(&Purpose::data(), now()).await.unwrap();
            kms.fail(None, Fault::Unavailable);
            keys
        })
    }

    fn child(keys: &Keyring, mut writer: PipeWriter) -> ExitCode {
        let drawn = draw(keys).concat();
        writer.write_all(&drawn).unwrap();
        ExitCode::SUCCESS
    }

    fn parent(keys: &Keyring, before: &[[u8; 32]], child: i32, mut reader: PipeReader) {
        let own = draw(keys);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert!(ExitStatus::from_raw(waitpid(child).unwrap()).success(), "the child has ended as it should");
        let (of_child, rest) = bytes.as_chunks::<32>();
        assert!(rest.is_empty());
        assert_eq!((before.len(), of_child.len()), (own.len(), own.len()), "each tells all that it drew");
        let all: BTreeSet<&[u8; 32]> = before.iter().chain(&own).chain(of_child).collect();
        assert_eq!(all.len(), 3 * own.len(), "and nothing comes twice");
        println!(
            "{MESSAGES} messages of each format, before, in the parent and in the child: {} unique values",
            all.len()
        );
    }

    /// What each message has that no other may have, cut or filled up to 32 bytes: salts, nonces, commitments, ids.
    fn draw(keys: &Keyring) -> Vec<[u8; 32]> {
        let (key, context) = (pollster::block_on(keys.current(&Purpose::data(), now())).unwrap(), Context::empty());
        (0..MESSAGES).flat_map(|_| of_each_format(&key, &context)).collect()
    }

    fn of_each_format(key: &TenantKey, context: &Context) -> Vec<[u8; 32]> {
        let native = key.seal(b"x", context).unwrap();
        let compact = key.seal_compact_uncommitted(b"x", context).unwrap();
        let stream = key.sealer(Vec::new(), context).unwrap().finish().unwrap();
        let unique = [&native[6..30], &native[30..62], &compact[6..30], &stream[6..30], &stream[30..62]];
        #[cfg(feature = "esdk")]
        let message = key.seal_esdk(b"x", context).unwrap();
        // The message id, and the commitment, which stands before the header's tag and the only frame of 24 + 1 + 16 bytes.
        #[cfg(feature = "esdk")]
        let unique = unique.into_iter().chain([&message[3..35], &message[message.len() - 89..message.len() - 57]]);
        unique.into_iter().map(padded).collect()
    }

    fn padded(bytes: &[u8]) -> [u8; 32] {
        std::array::from_fn(|at| bytes.get(at).copied().unwrap_or(0))
    }
}
