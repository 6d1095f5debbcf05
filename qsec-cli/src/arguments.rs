//! The command line: what may be said, and how `--help` tells it.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::moment::parse_time;
use crate::nouns::{
    audit, bytes, client, decide, doctor, idp, init, jwks, key, pages, policy, reduce, reencrypt, tenant, token,
};

/// Tenant encryption, identity, authorization, trust zones and a provable audit log.
#[derive(Debug, Parser)]
#[command(name = "qsec", version, max_term_width = 110, disable_help_flag = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

/// Options that every command has, before the noun or anywhere after it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Print help
    #[arg(short, long, global = true, action = ArgAction::HelpShort)]
    help: Option<bool>,
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "QSEC_HOME",
        hide_env = true,
        help = "The deployment's folder (default: $QSEC_HOME, else ./qsec-home)"
    )]
    pub(crate) home: Option<PathBuf>,
    /// Answer with one JSON object on one line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// For checks, the time instead of the clock: RFC 3339 or Unix seconds
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_time)]
    pub(crate) now: Option<SystemTime>,
    /// The root key of the internal KMS, if it is not kept beside the deployment
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub(crate) root_key: Option<PathBuf>,
    /// The passphrase of which the root key is made, if it is
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    /// Create a deployment: root key, internal KMS, store, zone and log
    Init(init::Init),
    /// Create, show and switch tenants
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// A tenant's keys: list, rotate, disable, enable, delete, shred, move
    #[command(subcommand)]
    Key(key::KeyVerb),
    /// Seal bytes or files under a tenant's key, or under a raw key file
    Seal(bytes::Seal),
    /// Open sealed bytes; nothing comes out before all of it verified
    Open(bytes::Open),
    /// Show what sealed bytes say without any key
    Inspect(bytes::Inspect),
    /// Wrap a tenant's key versions again: another region, or the newest material of a KMS key
    Rewrap(key::Rewrap),
    /// Seal a tenant's objects again under the newest version of its key
    Reencrypt(reencrypt::Reencrypt),
    /// Issue, verify and inspect tokens
    #[command(subcommand)]
    Token(token::Token),
    /// Key sets: of a tenant, or a foreign one
    #[command(subcommand)]
    Jwks(jwks::Jwks),
    /// OAuth clients of a tenant
    #[command(subcommand)]
    Client(client::Client),
    /// Identity providers of a tenant
    #[command(subcommand)]
    Idp(idp::Idp),
    /// The policy of a tenant in a deployment
    #[command(subcommand)]
    Policy(policy::Policy),
    /// May this principal do this?
    Decide(decide::Question),
    /// The same, and why
    Explain(decide::Question),
    /// Which resources may this principal do this to?
    Filter(decide::Question),
    /// What looks wrong in a policy?
    Lint(decide::Lint),
    /// Who gains or loses what between two policies?
    Diff(decide::Diff),
    /// Reduce data to the rows and columns that a user may see
    Reduce(reduce::Reduce),
    /// The audit log: append, verify, prove, tail, schema
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Check a deployment end to end, or drill the loss of a region
    Doctor(doctor::Doctor),
    /// Print what completes this program's commands in a shell
    #[command(after_help = "Example:\n  qsec completions bash > qsec.bash")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write the page of every command into a folder
    #[command(after_help = "Example:\n  qsec man > qsec.1")]
    Man(pages::Man),
}
