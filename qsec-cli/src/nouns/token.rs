//! `qsec token`

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use qsec::Deployment;
use qsec::identity::{
    KeySet, Presented, PrincipalKind, Rejection, RejectionClass, TokenDraft, TokenPolicy, TokenType, Validator,
};
use qsec::pki::pem;
use serde_json::{Value, json};

use super::{Session, operator};
use crate::failure::Failure;
use crate::output::facts;
use crate::{Exit, files, home, moment};

/// Most bytes of a policy or key set file.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// A token's own limit is lower; one byte more than its line end tells a longer one.
const MAX_TOKEN_FILE_BYTES: u64 = 64 * 1024;

/// Verbs on tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Verify a token against a policy and a key set; needs no deployment
    #[command(after_help = "Example: qsec token verify --policy access.json --jwks acme.jwks --in t.jwt")]
    Verify(Verify),
    /// Show what a token says, without verifying it
    #[command(after_help = "Example: qsec token inspect --in t.jwt")]
    Inspect {
        /// Read from there (default: standard input)
        #[arg(long, value_name = "FILE")]
        r#in: Option<PathBuf>,
    },
    /// Issue a token, signed with the tenant's active key
    #[command(
        after_help = "Example: qsec token issue --tenant acme --type access --subject ada --client-id spa --audience https://api.acme.example --scope apps:read"
    )]
    Issue(Issue),
}

/// `token verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The verification policy, one JSON object
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The JWK Set
    #[arg(long, value_name = "FILE")]
    jwks: PathBuf,
    /// The token (default: standard input)
    #[arg(long, value_name = "FILE")]
    r#in: Option<PathBuf>,
    /// The TLS client certificate that was presented, PEM or DER
    #[arg(long, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// The DPoP proof that came with it
    #[arg(long, value_name = "FILE", requires = "htm", requires = "htu")]
    dpop: Option<PathBuf>,
    /// The method of the request
    #[arg(long, value_name = "METHOD", requires = "dpop")]
    htm: Option<String>,
    /// The URL of the request
    #[arg(long, value_name = "URL", requires = "dpop")]
    htu: Option<String>,
}

/// `token issue`.
#[derive(Debug, Args)]
pub(crate) struct Issue {
    /// The tenant's id
    #[arg(long, value_name = "ID")]
    tenant: String,
    /// Which kind of token
    #[arg(long, value_name = "TYPE", value_parser = parse_type)]
    r#type: TokenType,
    /// Whom it is about
    #[arg(long, value_name = "SUB")]
    subject: String,
    /// Who may take it; repeat for several
    #[arg(long, value_name = "AUD", required = true)]
    audience: Vec<String>,
    /// The OAuth client
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Scopes, separated by spaces
    #[arg(long, value_name = "\"A B\"")]
    scope: Option<String>,
    /// Seconds until it expires
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    /// Bind it to this TLS client certificate, PEM or DER
    #[arg(long, value_name = "FILE", conflicts_with = "bind_jkt")]
    bind_cert: Option<PathBuf>,
    /// Bind it to the key with this thumbprint (RFC 7638)
    #[arg(long, value_name = "THUMBPRINT")]
    bind_jkt: Option<String>,
    /// Further claims, one JSON object; registered ones cannot be set
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
}

fn parse_type(text: &str) -> Result<TokenType, String> {
    TokenType::parse(text).ok_or_else(|| "one of `access`, `session`, `txn`, `gateway`, `id`".to_owned())
}

pub(crate) async fn run(verb: Token, session: &Session<'_>) -> Result<Exit, Failure> {
    match verb {
        Token::Verify(arguments) => verify(&arguments, session),
        Token::Inspect { r#in } => inspect(r#in, session),
        Token::Issue(arguments) => issue(arguments, session).await,
    }
}

fn verify(arguments: &Verify, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::checking(session.global.now);
    let misuse = |code: &'static str, message: String| Failure::new(Exit::Misuse, code, message);
    let policy = TokenPolicy::parse(files::read(&arguments.policy, MAX_FILE_BYTES)?)
        .map_err(|error| misuse("policy_invalid", error.to_string()))?;
    let keys = KeySet::parse(files::read(&arguments.jwks, MAX_FILE_BYTES)?)
        .map_err(|error| misuse("keyset_invalid", error.to_string()))?;
    let certificate = arguments.client_cert.as_deref().map(certificate).transpose()?;
    let proof = arguments.dpop.as_deref().map(|path| files::read_text(path, MAX_TOKEN_FILE_BYTES)).transpose()?;
    let token = read_token(arguments.r#in.as_deref())?;
    let mut presented = Presented::bearer();
    if let Some(certificate) = &certificate {
        presented = presented.client_certificate(certificate);
    }
    if let (Some(proof), Some(method), Some(url)) = (&proof, &arguments.htm, &arguments.htu) {
        presented = presented.dpop(proof.trim_end(), method, url);
    }
    let validator = Validator::new(policy, keys).map_err(|error| misuse("policy_invalid", error.to_string()))?;
    match validator.validate(&token, &presented, now) {
        Ok(principal) => {
            let key = json!({"kid": principal.key_id(), "alg": principal.algorithm().as_str()});
            let answer = json!({"valid": true, "principal": principal, "key": key});
            session.output.answer(&answer, |answer| principal_text(&answer["principal"]));
            Ok(Exit::Yes)
        }
        Err(rejection) => refused(&rejection, session),
    }
}

/// A refusal is an answer; only what cannot be a token at all is an error.
fn refused(rejection: &Rejection, session: &Session<'_>) -> Result<Exit, Failure> {
    let reason = rejection.reason().as_str();
    match rejection.class() {
        RejectionClass::Malformed => {
            Err(Failure::new(Exit::Misuse, "token_malformed", rejection.to_string()).with("reason", reason))
        }
        RejectionClass::Unavailable => {
            Err(Failure::new(Exit::Unavailable, "store_unavailable", rejection.to_string()).with("reason", reason))
        }
        _ => {
            let answer = json!({
                "valid": false, "code": rejection.public().as_str(), "reason": reason, "message": rejection.to_string(),
            });
            session.output.answer(&answer, |_| format!("refused: {reason}"));
            Ok(Exit::No)
        }
    }
}

fn principal_text(principal: &Value) -> String {
    let Some(members) = principal.as_object() else { return String::new() };
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    facts(members.iter().map(|(name, value)| (name.as_str(), shown(value))))
}

fn inspect(input: Option<PathBuf>, session: &Session<'_>) -> Result<Exit, Failure> {
    let token = read_token(input.as_deref())?;
    let inspection = qsec::identity::inspect(&token).map_err(|rejection| {
        Failure::new(Exit::Misuse, "token_malformed", rejection.to_string()).with("reason", rejection.reason().as_str())
    })?;
    session.output.answer(&inspection, |inspection| {
        let kinds: Vec<_> = inspection.looks_like().iter().map(|kind| kind.as_str()).collect();
        let rows = [
            ("header", inspection.header_json().to_owned()),
            ("claims", inspection.claims_json().to_owned()),
            ("looks like", kinds.join(", ")),
            ("warnings", inspection.warnings().join("; ")),
        ];
        format!("{}\nnot verified: anyone can have written this", facts(rows))
    });
    Ok(Exit::Yes)
}

async fn issue(arguments: Issue, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::changing(session.global.now)?;
    let draft = draft(&arguments)?;
    let deployment = home::open(session.global).await?;
    let outcome = issue_in(&deployment, &arguments.tenant, draft, now).await;
    let issued = home::close(deployment, outcome, now).await?;
    let answer = json!({
        "token": issued.token(), "jti": issued.jti(), "kid": issued.kid(), "alg": issued.algorithm().as_str(),
        "expires_at": moment::unix_seconds(issued.expires_at()),
    });
    session.output.answer(&answer, |_| issued.token().to_owned());
    Ok(Exit::Yes)
}

async fn issue_in(
    deployment: &Deployment,
    tenant: &str,
    draft: TokenDraft,
    now: SystemTime,
) -> Result<qsec::identity::Issued, Failure> {
    let tenant = deployment.tenant(tenant).await?;
    Ok(tenant.issue_token(draft, &operator(), now).await?)
}

fn draft(arguments: &Issue) -> Result<TokenDraft, Failure> {
    let mut draft = TokenDraft::new(arguments.r#type, &arguments.subject).map_err(qsec::Error::from)?;
    for audience in &arguments.audience {
        draft = draft.audience(audience);
    }
    if let Some(client) = &arguments.client_id {
        draft = draft.client_id(client);
    }
    let is_client = arguments.client_id.as_deref() == Some(arguments.subject.as_str());
    draft = draft.subject_kind(if is_client { PrincipalKind::Client } else { PrincipalKind::User });
    if let Some(scope) = &arguments.scope {
        draft = draft.scope(scope);
    }
    if let Some(seconds) = arguments.ttl {
        draft = draft.ttl(Duration::from_secs(seconds));
    }
    if let Some(path) = &arguments.bind_cert {
        draft = draft.bind_certificate(&certificate(path)?);
    }
    if let Some(thumbprint) = &arguments.bind_jkt {
        draft = draft.bind_thumbprint(thumbprint);
    }
    if let Some(path) = &arguments.claims {
        draft = draft.claims_json(&files::read_text(path, MAX_FILE_BYTES)?).map_err(qsec::Error::from)?;
    }
    Ok(draft)
}

/// The token is all of the input but one line end.
fn read_token(path: Option<&std::path::Path>) -> Result<String, Failure> {
    let bytes = files::read(path.unwrap_or("-".as_ref()), MAX_TOKEN_FILE_BYTES)?;
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let token = line.strip_suffix(b"\r").unwrap_or(line);
    let malformed =
        |_| Failure::new(Exit::Misuse, "token_malformed", "the token is not text").with("reason", "not_compact_jws");
    std::str::from_utf8(token).map(ToOwned::to_owned).map_err(malformed)
}

/// The first certificate of a PEM file, or the file itself as DER.
fn certificate(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    let bytes = files::read(path, MAX_FILE_BYTES)?;
    let invalid = |message: String| Failure::new(Exit::Misuse, "client_cert_invalid", message);
    let der = if bytes.starts_with(b"-----") || bytes.windows(5).any(|window| window == b"-----") {
        let blocks = pem::parse(pem::CERTIFICATE, &bytes).map_err(|error| invalid(error.to_string()))?;
        blocks.into_iter().next().ok_or_else(|| invalid("there is no certificate in it".to_owned()))?
    } else {
        bytes
    };
    if der.first() == Some(&0x30) {
        Ok(der)
    } else {
        Err(invalid(format!("`{}` holds no certificate", path.display())))
    }
}
