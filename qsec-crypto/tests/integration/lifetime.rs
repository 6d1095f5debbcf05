//! A stream that runs when its key is stopped goes on to its end, but not beyond 15 minutes.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use qsec_crypto::{Clock, Context, MAX_STREAM_LIFETIME, SealError, Stopped, StoppedState, TenantKey};

use crate::world::{World, at, data};

const CHUNK: usize = 16_384;

/// A clock that is set by hand.
#[derive(Debug)]
struct Hands(Mutex<SystemTime>);

impl Hands {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(at(1_000))))
    }

    fn set(&self, time: SystemTime) {
        *self.0.lock().unwrap() = time;
    }

    fn set_age(&self, age: Duration) {
        self.set(at(1_000) + age);
    }
}

impl Clock for Hands {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// A second less than what a stream may run.
const ALMOST: Duration = MAX_STREAM_LIFETIME.saturating_sub(Duration::from_secs(1));

fn current(world: &World) -> TenantKey {
    pollster::block_on(world.keys.current(&data(), at(1_000))).unwrap()
}

fn disable(world: &World) {
    pollster::block_on(world.keys.disable(at(1_001))).unwrap();
    world.observer.take();
}

fn is_disabled(error: std::io::Error) {
    let inner = error.into_inner().unwrap();
    let text = inner.to_string();
    let stopped = match inner.downcast::<SealError>() {
        Ok(error) => matches!(*error, SealError::Stopped(Stopped { state: StoppedState::Disabled, .. })),
        Err(other) => other.downcast::<qsec_crypto::OpenError>().unwrap().code() == "key_disabled",
    };
    assert!(stopped, "{text}");
}

#[test]
fn a_sealer_ends_15_minutes_old_if_its_key_was_stopped() {
    let (world, clock) = (World::new(), Hands::new());
    let mut sealed = Vec::new();
    let mut sealer = current(&world).sealer(&mut sealed, &Context::empty()).unwrap().with_clock(clock.clone());
    sealer.write_all(&[1; CHUNK]).unwrap();
    disable(&world);
    clock.set_age(ALMOST);
    sealer.write_all(&[1; CHUNK]).unwrap();
    clock.set_age(MAX_STREAM_LIFETIME);
    is_disabled(sealer.write_all(&[1; CHUNK]).unwrap_err());
    is_disabled(sealer.write_all(&[1]).unwrap_err());
    assert_eq!(world.observer.take(), ["seal.refused key_disabled"; 2]);
    assert_eq!(sealer.finish().unwrap_err().code(), "key_disabled");
    assert_eq!(sealed.len(), 62 + 2 * (CHUNK + 16), "nothing was written after the stop");
}

#[test]
fn a_key_that_is_not_stopped_seals_and_opens_for_ever() {
    let (world, clock) = (World::new(), Hands::new());
    let mut sealer = current(&world).sealer(Vec::new(), &Context::empty()).unwrap().with_clock(clock.clone());
    sealer.write_all(&[1; CHUNK]).unwrap();
    clock.set_age(MAX_STREAM_LIFETIME * 100);
    sealer.write_all(&[1; CHUNK]).unwrap();
    let sealed = sealer.finish().unwrap();
    let mut opener = current(&world).opener(sealed.as_slice(), &Context::empty()).unwrap().with_clock(clock.clone());
    assert!(opener.next_chunk().unwrap().is_some());
    clock.set_age(MAX_STREAM_LIFETIME * 200);
    assert_eq!(opener.read_to_end(&mut Vec::new()).unwrap(), CHUNK);
}

#[test]
fn openers_end_15_minutes_old_if_their_key_was_stopped() {
    let (world, clock) = (World::new(), Hands::new());
    let key = current(&world);
    let sealed = key.seal(&vec![1; 4 * CHUNK], &Context::empty()).unwrap();
    let mut opener = key.opener(sealed.as_slice(), &Context::empty()).unwrap().with_clock(clock.clone());
    let mut seekable = key.seekable(Cursor::new(&sealed), &Context::empty()).unwrap().with_clock(clock.clone());
    disable(&world);
    clock.set_age(ALMOST);
    assert_eq!(opener.next_chunk().unwrap().map(<[u8]>::len), Some(CHUNK));
    seekable.read_exact(&mut [0; 10]).unwrap();

    clock.set_age(MAX_STREAM_LIFETIME);
    for _ in 0..2 {
        assert_eq!(opener.next_chunk().unwrap_err().code(), "key_disabled");
        seekable.seek(SeekFrom::Start(20_000)).unwrap();
        is_disabled(seekable.read(&mut [0; 10]).unwrap_err());
    }
    assert_eq!(world.observer.take(), ["open.refused key_disabled"; 4]);
    is_disabled(opener.read(&mut [0]).unwrap_err());
    assert_eq!(seekable.plaintext_len().unwrap_err().code(), "key_disabled");
}

#[test]
fn a_clock_that_goes_back_ends_a_stopped_stream() {
    let (world, clock) = (World::new(), Hands::new());
    let mut sealer = current(&world).sealer(Vec::new(), &Context::empty()).unwrap().with_clock(clock.clone());
    clock.set(at(999));
    sealer.write_all(&[1; CHUNK]).unwrap();
    disable(&world);
    is_disabled(sealer.write_all(&[1; CHUNK]).unwrap_err());
}

#[test]
fn without_a_clock_a_stream_goes_on_to_its_end() {
    let world = World::new();
    let mut sealer = current(&world).sealer(Vec::new(), &Context::empty()).unwrap();
    sealer.write_all(&[1; CHUNK]).unwrap();
    disable(&world);
    sealer.write_all(&[1; CHUNK]).unwrap();
    assert_eq!(sealer.finish().unwrap().len(), 62 + 2 * (CHUNK + 16) + 16);
}

#[cfg(feature = "esdk")]
#[test]
fn streams_of_the_interchange_format_end_too() {
    use qsec_crypto::esdk::FrameLength;

    let (world, clock) = (World::new(), Hands::new());
    let (key, frame) = (current(&world), FrameLength::new(1_000).unwrap());
    let mut whole = key.esdk_sealer(Vec::new(), &Context::empty(), frame).unwrap();
    whole.write_all(&[1; 3_000]).unwrap();
    let sealed = whole.finish().unwrap();
    let mut opener = key.esdk_opener(sealed.as_slice(), &Context::empty()).unwrap().with_clock(clock.clone());
    let mut sealer = key.esdk_sealer(Vec::new(), &Context::empty(), frame).unwrap().with_clock(clock.clone());
    disable(&world);
    clock.set_age(ALMOST);
    sealer.write_all(&[1; 1_001]).unwrap();
    assert_eq!(opener.next_frame().unwrap().map(<[u8]>::len), Some(1_000));

    clock.set_age(MAX_STREAM_LIFETIME);
    for _ in 0..2 {
        is_disabled(sealer.write_all(&[1; 1_000]).unwrap_err());
        assert_eq!(opener.next_frame().unwrap_err().code(), "key_disabled");
    }
    assert_eq!(sealer.finish().unwrap_err().code(), "key_disabled");
}

#[cfg(feature = "async-io")]
#[test]
fn streams_of_tasks_end_too() {
    let (world, clock) = (World::new(), Hands::new());
    let key = current(&world);
    let sealed = key.seal(&vec![1; 4 * CHUNK], &Context::empty()).unwrap();
    let mut opener = key.async_opener(sealed.as_slice(), &Context::empty()).unwrap().with_clock(clock.clone());
    let mut sealer = key.async_sealer(Vec::new(), &Context::empty()).unwrap().with_clock(clock.clone());
    pollster::block_on(async {
        sealer.write_all(&[1; CHUNK]).await.unwrap();
        assert!(opener.next_chunk().await.unwrap().is_some());
        disable(&world);
        clock.set_age(MAX_STREAM_LIFETIME);
        for _ in 0..2 {
            assert_eq!(sealer.write_all(&[1; CHUNK]).await.unwrap_err().code(), "key_disabled");
            assert_eq!(opener.next_chunk().await.unwrap_err().code(), "key_disabled");
        }
        assert_eq!(sealer.finish().await.unwrap_err().code(), "key_disabled");
        assert_eq!(key.async_opener(sealed.as_slice(), &Context::empty()).unwrap_err().code(), "key_disabled");
    });
}
