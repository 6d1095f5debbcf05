//! Every event that there is, provoked for real; and that none of them tells a secret.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base64::Engine;
use qsec_crypto::kms::{
    Fault, FaultyKms, KeyId, Kms, KmsError, KmsKeyDescription, LocalKms, RootKey, Unwrapped, Wrapped, WrappingContext,
};
use qsec_crypto::store::BoxFuture;
use qsec_crypto::{Context, Event, KeyRecords, Keyring, MemoryStore, Observer, SecretKey};

use crate::reencryption::{Shelf, walk};
use crate::world::{at, data, tenant};

/// Remembers the names of events, and all that they say.
#[derive(Debug, Default)]
struct Recorder {
    names: Mutex<BTreeSet<&'static str>>,
    text: Mutex<String>,
}

impl Observer for Recorder {
    fn observe(&self, event: &Event<'_>) {
        self.names.lock().unwrap().insert(event.name);
        writeln!(self.text.lock().unwrap(), "{event:?} {:?}", event.fields()).unwrap();
    }
}

/// Remembers every tenant key that it is given to wrap, and every blob.
#[derive(Debug)]
struct Wiretap {
    kms: Arc<LocalKms>,
    secrets: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Kms for Wiretap {
    fn provider(&self) -> &'static str {
        self.kms.provider()
    }

    fn wrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        key: &'a SecretKey,
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Wrapped, KmsError>> {
        Box::pin(async move {
            let wrapped = self.kms.wrap(key_id, key, context, now).await?;
            self.secrets.lock().unwrap().extend([key.expose_secret().to_vec(), wrapped.blob().to_vec()]);
            Ok(wrapped)
        })
    }

    fn unwrap<'a>(
        &'a self,
        key_id: &'a KeyId,
        blob: &'a [u8],
        context: &'a WrappingContext,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Unwrapped, KmsError>> {
        self.kms.unwrap(key_id, blob, context, now)
    }

    fn describe<'a>(
        &'a self,
        key_id: &'a KeyId,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<KmsKeyDescription, KmsError>> {
        self.kms.describe(key_id, now)
    }
}

const EVENTS: [&str; 30] = [
    "key.breaker_closed",
    "key.breaker_opened",
    "key.cache_evicted",
    "key.created",
    "key.deletion_cancelled",
    "key.deletion_scheduled",
    "key.denied",
    "key.destroyed",
    "key.disabled",
    "key.enabled",
    "key.failback",
    "key.failover",
    "key.pending_deletion",
    "key.policy_changed",
    "key.probe_failed",
    "key.rewrapped",
    "key.rotated",
    "key.shred_planned",
    "key.unwrapped",
    "key.wrapped",
    "key.wrong_key_returned",
    "migration.aborted",
    "migration.finished",
    "migration.planned",
    "migration.switched",
    "open.refused",
    "reencryption.finished",
    "reencryption.progressed",
    "reencryption.started",
    "seal.refused",
];

type Provider = Arc<FaultyKms<Wiretap>>;

const PLAINTEXT: &[u8] = b"the plaintext that is nobody's business";

/// One tenant whose life has everything.
async fn live(keys: &Keyring, ours: (&Provider, &LocalKms, &[KeyId]), theirs: (&Provider, &KeyId)) {
    let (kms, local, key_ids) = ours;
    keys.create(key_ids, &[data()], at(0)).await.unwrap();
    let key = keys.current(&data(), at(0)).await.unwrap();
    let sealed = key.seal(PLAINTEXT, &Context::empty()).unwrap();
    key.open(&sealed, &Context::from([("row", "1")])).unwrap_err();
    keys.rotate(&data(), at(0)).await.unwrap();
    key.seal(PLAINTEXT, &Context::empty()).unwrap_err();
    keys.rewrap(&[], &[], at(0)).await.unwrap();
    keys.set_policy(&qsec_crypto::KeyPolicy::new(), at(0)).await.unwrap();
    let mut shelf = Shelf::default();
    for n in 0..10_000 {
        shelf.put(&format!("{n:04}"), sealed.clone(), Context::empty());
    }
    walk(keys, &mut shelf).await.unwrap();

    // The primary goes away and comes back; then everything does, for long enough to open the breaker.
    kms.fail(Some(&key_ids[0]), Fault::Unavailable);
    keys.current(&data(), at(100)).await.unwrap();
    kms.heal();
    keys.current(&data(), at(200)).await.unwrap();
    kms.fail(None, Fault::Unavailable);
    for second in 300..306 {
        keys.current(&data(), at(second)).await.unwrap_err();
    }
    kms.heal();
    keys.current(&data(), at(400)).await.unwrap();
    kms.fail(None, Fault::OtherPlaintext);
    keys.current(&data(), at(500)).await.unwrap_err();
    kms.fail(None, Fault::Denied);
    keys.current(&data(), at(600)).await.unwrap_err();
    kms.heal();
    local.schedule_deletion(&key_ids[0], 7, at(650)).await.unwrap();
    keys.current(&data(), at(700)).await.unwrap_err();
    local.cancel_deletion(&key_ids[0], at(700)).await.unwrap();
    local.enable(&key_ids[0], at(700)).await.unwrap();

    let target = std::slice::from_ref(theirs.1);
    keys.change_provider(theirs.0.clone(), target, 0, at(800)).await.unwrap();
    keys.abort_migration(at(800)).await.unwrap();
    keys.change_provider(theirs.0.clone(), target, 0, at(800)).await.unwrap();
    keys.migrate(at(800)).await.unwrap();
    keys.shred(&data(), 1, at(900)).await.unwrap();
    keys.disable(at(900)).await.unwrap();
    keys.enable(at(900)).await.unwrap();
    keys.schedule_deletion(7, at(900)).await.unwrap();
    keys.cancel_deletion(at(900)).await.unwrap();
    keys.destroy(at(900)).await.unwrap();
}

#[test]
fn every_event_happens_and_none_tells_a_secret() {
    let secrets = Arc::new(Mutex::new(vec![PLAINTEXT.to_vec(), vec![7; 32], vec![8; 32], vec![9; 32]]));
    let provider = |root, name| {
        let kms = Arc::new(LocalKms::open(RootKey::from_bytes(&[root; 32]), MemoryStore::new()).unwrap());
        let tapped = Wiretap { kms: kms.clone(), secrets: secrets.clone() };
        (kms, Arc::new(FaultyKms::over(tapped).as_provider(name)))
    };
    let ((local, kms), (remote, other)) = (provider(7, "internal"), provider(8, "aws"));
    let recorder = Arc::new(Recorder::default());
    pollster::block_on(async {
        let key_ids = [local.create_key(at(0)).await.unwrap(), local.create_key(at(0)).await.unwrap()];
        let target = remote.create_key(at(0)).await.unwrap();
        let records = KeyRecords::new(MemoryStore::new(), SecretKey::copy_from(&[9; 32]));
        let keys = Keyring::new(tenant("acme"), kms.clone(), records).with_observer(recorder.clone());
        live(&keys, (&kms, &local, &key_ids), (&other, &target)).await;
    });
    let names: Vec<_> = recorder.names.lock().unwrap().iter().copied().collect();
    assert_eq!(names, EVENTS);

    let text = recorder.text.lock().unwrap();
    let secrets = secrets.lock().unwrap();
    assert!(secrets.len() > 12, "keys and blobs were seen");
    for secret in secrets.iter() {
        let listed = format!("{secret:?}");
        let parts = [
            hex::encode(&secret[..8]),
            hex::encode_upper(&secret[..8]),
            listed[1..24].to_owned(),
            base64::engine::general_purpose::STANDARD_NO_PAD.encode(&secret[..9]),
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&secret[..9]),
            String::from_utf8_lossy(&secret[..8]).into_owned(),
        ];
        for part in parts {
            assert!(!text.contains(&part), "`{part}` is told");
        }
    }
}
