//! The thread that talks to a token: PKCS#11 blocks, and callers must not.

use std::future::Future;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::{process, thread};

use crate::kms::pkcs11::answer;
use crate::kms::pkcs11::error::TokenError;
use crate::kms::pkcs11::modules;
use crate::kms::pkcs11::token::Token;
use crate::kms::{KeyId, KmsError};
use crate::secret::Secret;

/// Most calls that wait for the token. At a millisecond each, those at the end have waited as long as a keyring waits for
/// one; more would only be in vain.
const MAX_WAITING_CALLS: usize = 2_048;

type Job = Box<dyn FnOnce(&mut Token) + Send>;

/// Hands calls to the thread. Dropped, it ends the thread with the call that is under way.
pub(super) struct Worker {
    jobs: SyncSender<Job>,
    process: u32,
}

/// The thread is not there.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the thread of the token has ended")]
    Ended,
    #[error("the token was opened by another process: a session does not survive a fork")]
    Forked,
}

impl Worker {
    /// Starts the thread and waits until it has logged in.
    pub(super) async fn start(module: PathBuf, label: String, pin: Secret, place: String) -> Result<Self, KmsError> {
        let place = KeyId::new(place).map_err(|error| KmsError::Usage { what: error.to_string() })?;
        let (jobs, received) = mpsc::sync_channel(MAX_WAITING_CALLS);
        let (opened, answer) = answer::channel();
        let work = move || {
            let module = modules::load(&module);
            match module.and_then(|module| Token::open(module, label, pin).map_err(|e| e.into_kms("open", &place))) {
                Ok(token) => {
                    opened.give(Ok(()));
                    serve(token, &received);
                }
                Err(error) => opened.give(Err(error)),
            }
        };
        let started = thread::Builder::new().name("qsec-pkcs11".to_owned()).spawn(work);
        started.map_err(|error| KmsError::Unavailable(Box::new(error)))?;
        answer.await.unwrap_or_else(|| Err(lost(Lost::Ended)))?;
        Ok(Self { jobs, process: process::id() })
    }

    /// Has the thread do something with a key, and awaits its answer. Nothing is sent before the first poll.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        key_id: &KeyId,
        work: impl FnOnce(&mut Token, &str) -> Result<T, TokenError> + Send + 'static,
    ) -> impl Future<Output = Result<T, KmsError>> + Send {
        let key_id = key_id.clone();
        async move {
            // In a forked child the thread is not there, and nobody would ever answer.
            if self.process != process::id() {
                return Err(lost(Lost::Forked));
            }
            let (reply, answer) = answer::channel();
            let job: Job = Box::new(move |token| {
                if !reply.is_abandoned() {
                    reply.give(work(token, key_id.as_str()).map_err(|error| error.into_kms(operation, &key_id)));
                }
            });
            self.jobs.try_send(job).map_err(|error| match error {
                TrySendError::Full(_) => KmsError::Throttled { retry_after: None },
                TrySendError::Disconnected(_) => lost(Lost::Ended),
            })?;
            answer.await.unwrap_or_else(|| Err(lost(Lost::Ended)))
        }
    }
}

fn serve(mut token: Token, jobs: &Receiver<Job>) {
    for job in jobs {
        job(&mut token);
    }
}

fn lost(why: Lost) -> KmsError {
    KmsError::Unavailable(Box::new(why))
}
