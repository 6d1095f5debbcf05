//! What happens is written down: the one way from the rooms to the log.
//!
//! Three classes of events, three ways in. [`Recorder::durable`] returns when the event is on disk: its effect may follow.
//! [`Recorder::hand_over`] returns when the log has the event: its answer may follow, and a writer beside brings it to
//! disk. What the rooms observe inside comes in by their `Observer` traits, which the recorder implements.

mod observed;
mod strangers;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, SystemTime};

use qsec_audit::{Event, Head, HeadStore, Log, LogKeys, OpenLogError, Receipt, TenantId};
use qsec_store::Store;

use self::strangers::Strangers;
use crate::deployment::off_runtime;
use crate::error::Error;

/// How old the head in the store may be while something is recorded: what a rolled-back log can hide without being found.
const HEAD_EVERY: Duration = Duration::from_secs(1);

/// The log of this node, opened when something is recorded for the first time: reading a deployment writes nothing.
#[derive(Debug)]
pub(crate) struct Recorder {
    dir: PathBuf,
    keys: Mutex<Option<LogKeys>>,
    heads: Store,
    head: Option<Head>,
    /// When the store was last told of the head.
    told: Mutex<Option<SystemTime>>,
    strangers: Strangers,
    opened: OnceLock<Result<Opened, Arc<OpenLogError>>>,
}

#[derive(Debug)]
struct Opened {
    log: Arc<Log>,
    writer: Mutex<Option<Writer>>,
}

impl Recorder {
    /// A recorder over the log in `dir`; `head` is what the store remembers of it.
    pub(crate) fn new(dir: PathBuf, keys: LogKeys, heads: Store, head: Option<Head>) -> Self {
        let keys = Mutex::new(Some(keys));
        let (told, strangers) = (Mutex::new(None), Strangers::default());
        Self { dir, keys, heads, head, told, strangers, opened: OnceLock::new() }
    }

    /// A recorder over a log that was just made.
    pub(crate) fn over(dir: PathBuf, log: Log, heads: Store) -> Result<Self, Error> {
        let started = Opened::start(log).map_err(|error| Error::internal(error.to_string()))?;
        let opened = OnceLock::from(Ok(started));
        let (keys, told, strangers) = (Mutex::new(None), Mutex::new(None), Strangers::default());
        Ok(Self { dir, keys, heads, head: None, told, strangers, opened })
    }

    /// Opens the log if nobody did, beside the runtime: checking all of it may take long, and what records without waiting
    /// must not be the first. That it does not open is told to whoever has something to record.
    pub(crate) async fn ready(self: &Arc<Self>, now: SystemTime) -> Result<(), Error> {
        if self.opened.get().is_some() {
            return Ok(());
        }
        let recorder = Arc::clone(self);
        off_runtime(move || {
            let _ = recorder.opened(now);
            Ok(())
        })
        .await
    }

    /// Records an event and waits until it is on disk. What it announces happens afterwards, or not at all.
    pub(crate) async fn durable(self: &Arc<Self>, event: Event, now: SystemTime) -> Result<Receipt, Error> {
        let mut receipts = self.durable_all(vec![event], now).await?;
        receipts.pop().ok_or_else(|| Error::internal("a recorded event has no receipt"))
    }

    /// Several events at once: they are handed over together, so that one write brings all of them to disk.
    pub(crate) async fn durable_all(
        self: &Arc<Self>,
        events: Vec<Event>,
        now: SystemTime,
    ) -> Result<Vec<Receipt>, Error> {
        let recorder = Arc::clone(self);
        // Waiting for the disk must not hold up the runtime's other tasks.
        let receipts = off_runtime(move || {
            let log = recorder.log(now)?;
            recorder.sum_up(&log, now)?;
            let pending: Vec<_> = events.into_iter().map(|event| log.record(event, now)).collect::<Result<_, _>>()?;
            Ok(pending.into_iter().map(qsec_audit::Pending::durable).collect::<Result<Vec<_>, _>>()?)
        })
        .await?;
        self.tell_head(now).await;
        Ok(receipts)
    }

    /// Tells the store how far the log is, now and then. A store that does not take it is told the next time: what was
    /// recorded stays recorded.
    async fn tell_head(&self, now: SystemTime) {
        let Some(Ok(opened)) = self.opened.get() else { return };
        {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let age = told.map(|then| now.duration_since(then).unwrap_or(HEAD_EVERY));
            if age.is_some_and(|age| age < HEAD_EVERY) {
                return;
            }
            *told = Some(now);
        }
        let _ = self.heads.save(&opened.log.head()).await;
    }

    /// Hands an event to the log: of a tenant, or of the deployment. It is in the log's order now, and on disk soon; one
    /// more refusal of a stranger who had many is counted.
    pub(crate) fn hand_over(&self, event: Event, tenant: Option<&TenantId>, now: SystemTime) -> Result<(), Error> {
        let opened = self.opened(now)?;
        self.sum_up(&opened.log, now)?;
        let refusal = strangers::refusal(event.name());
        if refusal.is_some_and(|kind| self.strangers.counts(kind, tenant, now)) {
            return Ok(());
        }
        match opened.log.record(tenant.into_iter().cloned().fold(event, Event::tenant), now) {
            // Its receipt is for whoever waits; this caller does not.
            Ok(pending) => drop(pending),
            Err(error) => {
                if let Some(kind) = refusal {
                    self.strangers.not_kept(kind, tenant);
                }
                return Err(error.into());
            }
        }
        opened.wake(now);
        Ok(())
    }

    /// Records how often strangers were refused in the minutes that are over.
    fn sum_up(&self, log: &Log, now: SystemTime) -> Result<(), Error> {
        for sum in self.strangers.over(now) {
            drop(log.record(sum, now)?);
        }
        Ok(())
    }

    /// The log itself: for proofs.
    pub(crate) fn log(&self, now: SystemTime) -> Result<Arc<Log>, Error> {
        Ok(Arc::clone(&self.opened(now)?.log))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ends the log in order, if it was opened, and tells the store where. Afterwards nothing is recorded any more.
    pub(crate) async fn close(self: &Arc<Self>, now: SystemTime) -> Result<(), Error> {
        let recorder = Arc::clone(self);
        let head = off_runtime(move || {
            let closed = || Err(Arc::new(OpenLogError::read_only(&recorder.dir)));
            match recorder.opened.get_or_init(closed) {
                Ok(opened) => {
                    recorder.count_out(opened);
                    opened.stop(now)
                }
                Err(_) => Ok(None),
            }
        })
        .await?;
        match head {
            Some(head) => Ok(self.heads.save(&head).await?),
            None => Ok(()),
        }
    }

    /// The minute that is not over: its counts, at the time of the last refusal in each.
    fn count_out(&self, opened: &Opened) {
        for (sum, last) in self.strangers.end() {
            // A log that takes nothing any more has said so to whoever recorded last.
            let _ = opened.log.record(sum, last).map(drop);
            opened.wake(last);
        }
    }

    fn opened(&self, now: SystemTime) -> Result<&Opened, Error> {
        self.opened
            .get_or_init(|| self.open(now).map_err(Arc::new))
            .as_ref()
            .map_err(|error| Error::Log(Arc::clone(error)))
    }

    fn open(&self, now: SystemTime) -> Result<Opened, OpenLogError> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner).take();
        let keys = keys.ok_or_else(|| OpenLogError::read_only(&self.dir))?;
        let log = Log::open(&self.dir, keys, self.head.as_ref(), now)?;
        Opened::start(log).map_err(|_| OpenLogError::read_only(&self.dir))
    }
}

impl Drop for Recorder {
    /// A deployment that is let go of without being closed keeps its counts as well.
    fn drop(&mut self) {
        if let Some(Ok(opened)) = self.opened.get() {
            self.count_out(opened);
        }
    }
}

/// The thread that brings to disk what nobody waits for.
#[derive(Debug)]
struct Writer {
    wake: SyncSender<SystemTime>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(log: Arc<Log>) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let run = move || {
            while let Ok(now) = woken.recv() {
                // A log that fails says so to the next caller; there is nobody here to tell.
                let _ = log.flush(now);
            }
        };
        let thread = Builder::new().name("qsec-audit-writer".to_owned()).spawn(run)?;
        Ok(Self { wake, thread })
    }
}

impl Opened {
    fn start(log: Log) -> std::io::Result<Self> {
        let log = Arc::new(log);
        let writer = Writer::start(Arc::clone(&log))?;
        Ok(Self { log, writer: Mutex::new(Some(writer)) })
    }

    fn wake(&self, now: SystemTime) {
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            // A full channel means that the writer is about to flush anyway.
            let _ = writer.wake.try_send(now);
        }
    }

    /// `None` if somebody else stopped it before.
    fn stop(&self, now: SystemTime) -> Result<Option<Head>, Error> {
        if !self.end_writer() {
            return Ok(None);
        }
        Ok(Some(self.log.close(now)?))
    }

    fn end_writer(&self) -> bool {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Writer { wake, thread }) = writer else { return false };
        drop(wake);
        // A panic in there cannot have taken an event with it: closing flushes all that was handed over.
        let _ = thread.join();
        true
    }
}

impl Drop for Opened {
    /// A deployment that is let go of without being closed: what was handed over is brought to disk, and the log's lock is
    /// free when this returns, so that the folder can be opened again at once.
    fn drop(&mut self) {
        self.end_writer();
    }
}
