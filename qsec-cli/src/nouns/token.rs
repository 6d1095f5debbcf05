//! `qsec token`

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand, ValueEnum};
use qsec::Deployment;
use qsec::identity::{
    Inspection, KeySet, Presented, PrincipalKind, Rejection, RejectionClass, TokenDraft, TokenPolicy, TokenType,
    Validator,
};
use qsec::pki::pem;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{Session, operator};
use crate::failure::Failure;
use crate::output::facts;
use crate::{Exit, files, home, moment};

/// Most bytes of a policy or key set file.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// A token's own limit is lower; one byte more than its line end tells a longer one.
const MAX_TOKEN_FILE_BYTES: u64 = 64 * 1024;

/// Claims that are times.
const TIMES: [&str; 5] = ["exp", "iat", "nbf", "auth_time", "updated_at"];

/// Verbs on tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Verify a token against a policy and a key set; needs no deployment
    #[command(after_help = "Example:\n  qsec token verify --policy access.json --jwks acme.jwks --in t.jwt")]
    Verify(Verify),
    /// Show what a token says, without verifying it
    #[command(after_help = "Example:\n  qsec token inspect --in t.jwt")]
    Inspect {
        /// Read from there (default: standard input)
        #[arg(long, value_name = "FILE")]
        r#in: Option<PathBuf>,
    },
    /// Issue a token, signed with the tenant's active key
    #[command(
        after_help = "Example:\n  qsec token issue --tenant acme --type access --subject ada --client-id spa \\\n    --audience https://api.acme.example --scope apps:read"
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
    #[arg(long, value_name = "FILE", requires = "htm", requires = "htu", help = "The DPoP proof that came with it")]
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
    #[arg(long, value_name = "TYPE")]
    r#type: Kind,
    /// Whom it is about
    #[arg(long, value_name = "SUB")]
    subject: String,
    /// Who may take it; repeat for several
    #[arg(long, value_name = "AUD", required = true, num_args = 1..)]
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

/// Which kind of token is issued.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// For calling the tenant's services
    Access,
    /// Of a user who signed in
    Session,
    /// For one transaction among services
    Txn,
    /// Of a gateway; always bound to a key
    Gateway,
    /// For a client, about a user
    Id,
}

impl From<Kind> for TokenType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Access => Self::Access,
            Kind::Session => Self::Session,
            Kind::Txn => Self::Txn,
            Kind::Gateway => Self::Gateway,
            Kind::Id => Self::Id,
        }
    }
}

pub(crate) async fn run(verb: Token, session: &Session<'_>) -> Result<Exit, Failure> {
    match verb {
        Token::Verify(arguments) => verify(&arguments, session),
        Token::Inspect { r#in } => inspect(r#in.as_deref(), session),
        Token::Issue(arguments) => issue(arguments, session).await,
    }
}

fn verify(arguments: &Verify, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::checking(session.global.now);
    let token = arguments.r#in.as_deref().unwrap_or("-".as_ref());
    let others = [&arguments.client_cert, &arguments.dpop].into_iter().flatten().map(PathBuf::as_path);
    files::one_dash([token, &arguments.policy, &arguments.jwks].into_iter().chain(others))?;
    let policy = TokenPolicy::parse(files::read(&arguments.policy, MAX_FILE_BYTES, "policy_invalid")?)
        .map_err(|error| Failure::misuse("policy_invalid", error.to_string()))?;
    let keys = KeySet::parse(files::read(&arguments.jwks, MAX_FILE_BYTES, "keyset_invalid")?)
        .map_err(|error| Failure::misuse("keyset_invalid", error.to_string()))?;
    let validator =
        Validator::new(policy, keys).map_err(|error| Failure::misuse("policy_invalid", error.to_string()))?;
    let presented = arguments.presented()?;
    let token = read_token(token)?;
    match validator.validate(&token, &presented, now) {
        Ok(principal) => {
            let key = json!({"kid": principal.key_id(), "alg": principal.algorithm().as_str()});
            let answer = json!({"valid": true, "principal": principal, "key": key});
            session.output.answer(&answer, |answer| principal_text(answer.get("principal")))?;
            Ok(Exit::Yes)
        }
        Err(rejection) => refused(&rejection, session),
    }
}

impl Verify {
    /// What came with the token. A proof is only looked at with the token: a fault in it is a refusal, no error.
    fn presented(&self) -> Result<Presented, Failure> {
        let mut presented = Presented::bearer();
        if let Some(path) = &self.client_cert {
            presented = presented.client_certificate(&certificate(path)?);
        }
        if let (Some(path), Some(method), Some(url)) = (&self.dpop, &self.htm, &self.htu) {
            let bytes = files::read(path, MAX_FILE_BYTES, "file_unreadable")?;
            presented = presented.dpop(String::from_utf8_lossy(without_line_end(&bytes)), method, url);
        }
        Ok(presented)
    }
}

/// A refusal is an answer; only what cannot be a token at all is an error.
fn refused(rejection: &Rejection, session: &Session<'_>) -> Result<Exit, Failure> {
    let reason = rejection.reason().as_str();
    match rejection.class() {
        RejectionClass::Malformed => {
            Err(Failure::misuse("token_malformed", rejection.to_string()).with("reason", reason))
        }
        RejectionClass::Unavailable => {
            Err(Failure::new(Exit::Unavailable, "store_unavailable", rejection.to_string()).with("reason", reason))
        }
        RejectionClass::Refused | _ => {
            let answer = json!({
                "valid": false, "code": rejection.public().as_str(), "reason": reason, "message": rejection.to_string(),
            });
            session.output.answer(&answer, |_| format!("refused: {reason}"))?;
            Ok(Exit::No)
        }
    }
}

fn principal_text(principal: Option<&Value>) -> String {
    let Some(members) = principal.and_then(Value::as_object) else { return String::new() };
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        Value::Null => "-".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    };
    facts(members.iter().map(|(name, value)| (name.as_str(), shown(value))))
}

fn inspect(input: Option<&Path>, session: &Session<'_>) -> Result<Exit, Failure> {
    let token = read_token(input.unwrap_or("-".as_ref()))?;
    let inspection = qsec::identity::inspect(&token).map_err(|rejection| {
        Failure::misuse("token_malformed", rejection.to_string()).with("reason", rejection.reason().as_str())
    })?;
    let answer: Box<RawValue> =
        RawValue::from_string(inspection.to_json()).map_err(|error| Failure::internal(error.to_string()))?;
    session.output.answer(&answer, |_| inspection_text(&inspection))?;
    Ok(Exit::Yes)
}

fn inspection_text(inspection: &Inspection) -> String {
    let kinds: Vec<_> = inspection.looks_like().iter().map(|kind| kind.as_str()).collect();
    let mut rows = Vec::new();
    let parts = [inspection.header_json(), inspection.claims_json()].map(serde_json::from_str::<Map<String, Value>>);
    for (name, value) in parts.into_iter().flatten().flatten() {
        let time = value.as_i64().filter(|_| TIMES.contains(&name.as_str())).and_then(moment::of_unix_seconds);
        let shown = match time {
            Some(time) => format!("{value} ({})", moment::rfc3339(time)),
            None => value.to_string(),
        };
        rows.push((name, shown));
    }
    rows.push(("looks like".to_owned(), kinds.join(", ")));
    rows.extend(inspection.warnings().iter().map(|warning| ("warning".to_owned(), warning.clone())));
    let rows = rows.iter().map(|(name, shown)| (name.as_str(), shown.clone()));
    format!("{}\nnot verified: anyone can have written this", facts(rows))
}

async fn issue(arguments: Issue, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::changing(session.global.now)?;
    let draft = arguments.draft()?;
    let deployment = home::open(session.global).await?;
    let outcome = issue_in(&deployment, &arguments.tenant, draft, now).await;
    let issued = home::close(deployment, outcome, now).await?;
    let answer = json!({
        "token": issued.token(), "jti": issued.jti(), "kid": issued.kid(), "alg": issued.algorithm().as_str(),
        "expires_at": moment::unix_seconds(issued.expires_at()),
    });
    session.output.answer(&answer, |_| issued.token().to_owned())?;
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

impl Issue {
    fn draft(&self) -> Result<TokenDraft, Failure> {
        let kind = TokenType::from(self.r#type);
        if kind == TokenType::Gateway && self.bind_cert.is_none() && self.bind_jkt.is_none() {
            return Err(Failure::misuse(
                "binding_required",
                "a gateway token is bound: name `--bind-cert` or `--bind-jkt`",
            ));
        }
        let mut draft = TokenDraft::new(kind, &self.subject);
        for audience in &self.audience {
            draft = draft.audience(audience);
        }
        if let Some(client) = &self.client_id {
            draft = draft.client_id(client);
        }
        let is_client = self.client_id.as_deref() == Some(self.subject.as_str());
        draft = draft.subject_kind(if is_client { PrincipalKind::Client } else { PrincipalKind::User });
        if let Some(scope) = &self.scope {
            draft = draft.scope(scope);
        }
        if let Some(seconds) = self.ttl {
            draft = draft.ttl(Duration::from_secs(seconds));
        }
        if let Some(path) = &self.bind_cert {
            draft = draft.bind_certificate(&certificate(path)?);
        }
        if let Some(thumbprint) = &self.bind_jkt {
            draft = draft.bind_thumbprint(thumbprint);
        }
        if let Some(path) = &self.claims {
            draft = draft.claims_json(&files::read_text(path, MAX_FILE_BYTES, "claims_not_json")?)?;
        }
        Ok(draft)
    }
}

/// The token is all of the input but one line end.
fn read_token(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = files::read(path, MAX_TOKEN_FILE_BYTES, "token_malformed").map_err(|failure| match failure.code() {
        "token_malformed" => failure.with("reason", "too_large"),
        _ => failure,
    })?;
    Ok(without_line_end(&bytes).to_vec())
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\n").map_or(bytes, |line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The first certificate of a PEM file, or the file itself as DER.
fn certificate(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = files::read(path, MAX_FILE_BYTES, "client_cert_invalid")?;
    let invalid = |what: &str| Failure::misuse("client_cert_invalid", format!("`{}`: {what}", path.display()));
    // DER begins with the tag of a sequence; text does not.
    let der = if bytes.first() == Some(&0x30) {
        bytes
    } else {
        let blocks = pem::parse(pem::CERTIFICATE, &bytes).map_err(|error| invalid(&error.to_string()))?;
        blocks.into_iter().next().ok_or_else(|| invalid("there is no certificate in it"))?
    };
    if is_one_sequence(&der) { Ok(der) } else { Err(invalid("it is no DER certificate")) }
}

/// Whether the bytes are one DER sequence, whole. What is inside is the TLS library's to judge: here its hash counts.
fn is_one_sequence(der: &[u8]) -> bool {
    let length = |bytes: &[u8]| bytes.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
    match der {
        [0x30, short @ 0..=0x7f, rest @ ..] => rest.len() == usize::from(*short),
        [0x30, 0x81, high, rest @ ..] => rest.len() == length(&[*high]),
        [0x30, 0x82, high, low, rest @ ..] => rest.len() == length(&[*high, *low]),
        [0x30, 0x83, high, middle, low, rest @ ..] => rest.len() == length(&[*high, *middle, *low]),
        _ => false,
    }
}
