//! One file a noun. Each verb reads its input, calls the library, and answers.

pub(crate) mod audit;
pub(crate) mod bytes;
pub(crate) mod client;
pub(crate) mod decide;
pub(crate) mod doctor;
pub(crate) mod idp;
pub(crate) mod init;
pub(crate) mod jwks;
pub(crate) mod key;
pub(crate) mod pages;
pub(crate) mod policy;
pub(crate) mod reduce;
pub(crate) mod reencrypt;
pub(crate) mod tenant;
pub(crate) mod token;

use qsec::audit::Actor;

use crate::Exit;
use crate::arguments::{Arguments, Global, Noun};
use crate::failure::Failure;
use crate::output::Output;

/// What a verb has at hand.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) global: &'a Global,
    pub(crate) output: Output,
}

/// Runs a command to its exit status.
pub(crate) fn run(arguments: Arguments, output: Output) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(format!("no runtime: {error}")))?;
    let Arguments { global, noun } = arguments;
    runtime.block_on(dispatch(noun, &Session { global: &global, output }))
}

async fn dispatch(noun: Noun, session: &Session<'_>) -> Result<Exit, Failure> {
    match noun {
        Noun::Init(init) => init::run(init, session).await,
        Noun::Tenant(verb) => tenant::run(verb, session).await,
        Noun::Key(verb) => key::run(verb, session).await,
        Noun::Seal(seal) => bytes::seal(seal, session).await,
        Noun::Open(open) => bytes::open(open, session).await,
        Noun::Inspect(inspect) => bytes::inspect(&inspect, session),
        Noun::Rewrap(rewrap) => key::rewrap(rewrap, session).await,
        Noun::Reencrypt(work) => reencrypt::run(work, session).await,
        Noun::Token(verb) => token::run(verb, session).await,
        Noun::Jwks(verb) => jwks::run(verb, session).await,
        Noun::Client(verb) => client::run(verb, session).await,
        Noun::Idp(verb) => idp::run(verb, session).await,
        Noun::Policy(verb) => policy::run(verb, session).await,
        Noun::Decide(question) => decide::decide(&question, session),
        Noun::Explain(question) => decide::explain(&question, session),
        Noun::Filter(question) => decide::filter(&question, session),
        Noun::Lint(lint) => decide::lint(&lint, session),
        Noun::Diff(diff) => decide::diff(&diff, session),
        Noun::Reduce(reduce) => reduce::run(&reduce, session),
        Noun::Audit(verb) => audit::run(verb, session).await,
        Noun::Doctor(doctor) => doctor::run(doctor, session).await,
        Noun::Completions { shell } => pages::completions(shell),
        Noun::Man(man) => pages::man(&man),
    }
}

/// Whoever has a shell on the deployment's machine acts as its operator.
pub(crate) fn operator() -> Actor {
    Actor::operator("cli")
}
