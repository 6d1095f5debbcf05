//! `qsec reencrypt`: a tenant's objects sealed again under the newest version of its key.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use qsec::crypto::reencryption::{Failure as LeftObject, FileCursor, FileObjects, Progress};
use qsec::crypto::{Context, Purpose};
use qsec::{Reencrypted, Tenant};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Session, operator};
use crate::failure::Failure;
use crate::kms::Access;
use crate::{Exit, files, home, moment};

/// Most bytes of a list, and of the contexts of its paths: millions of them.
const MAX_LIST_BYTES: u64 = 1 << 30;

/// `qsec reencrypt`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  qsec reencrypt --tenant acme --objects objects.txt --cursor re.cursor")]
pub(crate) struct Reencrypt {
    /// The tenant whose objects they are
    #[arg(long, value_name = "ID")]
    tenant: String,
    /// What the key is for
    #[arg(long, default_value = "data")]
    purpose: String,
    /// The objects: one path a line
    #[arg(long, value_name = "LIST")]
    objects: PathBuf,
    /// Where it is written down how far it has come: a rerun goes on there
    #[arg(long, value_name = "FILE")]
    cursor: PathBuf,
    #[command(flatten)]
    manner: Manner,
    #[command(flatten)]
    access: Access,
}

/// How objects are walked.
#[derive(Debug, Args)]
pub(crate) struct Manner {
    /// The contexts: a line `{"path":"...","context":{"row":"17"}}` for each path that has one
    #[arg(long, value_name = "FILE.jsonl", requires = "objects")]
    context_from: Option<PathBuf>,
    /// At most so many objects a second
    #[arg(long, value_name = "N/s", value_parser = rate, requires = "objects")]
    rate: Option<u32>,
}

/// The context of one object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    path: PathBuf,
    context: BTreeMap<String, String>,
}

fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse::<u32>().ok();
    number
        .filter(|number| *number > 0)
        .ok_or_else(|| "a rate is a number of objects a second, such as 500/s".to_owned())
}

pub(crate) async fn run(work: Reencrypt, session: &Session<'_>) -> Result<Exit, Failure> {
    let now = moment::changing(session.global.now)?;
    let walk = Walk::new(&work.objects, &work.cursor, &work.manner)?;
    let purpose = Purpose::new(work.purpose.as_str()).map_err(|error| Failure::usage(error.to_string()))?;
    let deployment = home::open(session.global).await?;
    let outcome = Box::pin(async {
        let tenant = deployment.tenant(&work.tenant).await?;
        work.access.reach(&deployment, &tenant, now).await?;
        walk.run(&tenant, &purpose, session, now).await
    })
    .await;
    let done = home::close(deployment, outcome, now).await?;
    let mut answer = Map::from_iter([("tenant".to_owned(), work.tenant.into())]);
    answer.extend(members(&done));
    session.output.answer(&answer, |_| text(&done))?;
    Ok(exit(&done))
}

/// Objects left as they are make it a no.
pub(crate) fn exit(done: &Reencrypted) -> Exit {
    if done.progress.failed() == 0 { Exit::Yes } else { Exit::No }
}

/// A walk over listed objects: everything that the options can get wrong was looked at.
pub(crate) struct Walk<'a> {
    objects: FileObjects,
    cursor: &'a Path,
    rate: Option<u32>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(list: &Path, cursor: &'a Path, manner: &Manner) -> Result<Self, Failure> {
        files::one_dash([list].into_iter().chain(manner.context_from.as_deref()))?;
        let objects = FileObjects::new(listed(list, manner.context_from.as_deref())?).map_err(qsec::Error::from)?;
        Ok(Self { objects, cursor, rate: manner.rate })
    }

    pub(crate) async fn run(
        mut self,
        tenant: &Tenant,
        purpose: &Purpose,
        session: &Session<'_>,
        now: SystemTime,
    ) -> Result<Reencrypted, Failure> {
        let bar = if session.output.shows_progress() {
            ProgressBar::new(u64::try_from(self.objects.len()).unwrap_or(u64::MAX))
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("sealing again {bar:30} {pos}/{len} {per_sec} {eta}");
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let mut cursor = FileCursor::new(self.cursor);
        let mut pace = Pace::new(self.rate, now);
        let mut tick = |progress: &Progress| {
            bar.set_position(progress.seen());
            pace.next()
        };
        let actor = operator();
        let walked = tenant.reencrypt(purpose, &mut self.objects, &mut cursor, &mut tick, &actor, now);
        let done = Box::pin(walked).await;
        bar.finish_and_clear();
        Ok(done?)
    }
}

/// The paths in their order, each with its context.
fn listed(list: &Path, context_from: Option<&Path>) -> Result<Vec<(PathBuf, Context)>, Failure> {
    let list = files::read_text(list, MAX_LIST_BYTES, "malformed")?;
    let mut contexts = context_from.map_or_else(|| Ok(HashMap::new()), contexts)?;
    let paths = list.lines().filter(|line| !line.is_empty()).map(PathBuf::from);
    let listed = paths.map(|path| {
        let context = contexts.remove(&path).unwrap_or_else(Context::empty);
        (path, context)
    });
    Ok(listed.collect())
}

/// What an answer says of it. The list of failures has an end, the count of them has none.
pub(crate) fn members(done: &Reencrypted) -> Map<String, Value> {
    let progress = &done.progress;
    let left = |left: &LeftObject| json!({"object": left.object, "code": left.code});
    let mut members = Map::new();
    members.insert("done".into(), progress.done().into());
    members.insert("already_newest".into(), progress.already_newest().into());
    members.insert("failed".into(), progress.failures().iter().map(left).collect());
    members.insert("failed_total".into(), progress.failed().into());
    members.insert("versions_without_objects".into(), done.versions_without_objects.clone().into());
    members
}

pub(crate) fn text(done: &Reencrypted) -> String {
    let (progress, versions) = (&done.progress, &done.versions_without_objects);
    let (sealed, newest, left) = (progress.done(), progress.already_newest(), progress.failed());
    let mut lines =
        vec![format!("{sealed} sealed again, {newest} were under the newest version, {left} left as they are")];
    lines.extend(progress.failures().iter().map(|left| format!("{}: {}", left.object, left.code)));
    if !versions.is_empty() {
        lines.push(format!(
            "no object of the list is under versions {versions:?} any more: `qsec key shred` destroys them"
        ));
    }
    lines.join("\n")
}

/// One JSON object a line, each path once.
fn contexts(file: &Path) -> Result<HashMap<PathBuf, Context>, Failure> {
    let text = files::read_text(file, MAX_LIST_BYTES, "context_invalid")?;
    let mut contexts = HashMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = number.saturating_add(1);
        let wrong = |why: String| {
            let message = format!("line {place} of `{}`: {why}", file.display());
            Failure::misuse("context_invalid", message).with("line", place)
        };
        let Line { path, context } = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let context = Context::new(context).map_err(|error| wrong(error.to_string()))?;
        if contexts.insert(path, context).is_some() {
            return Err(wrong("the path has a context already".to_owned()));
        }
    }
    Ok(contexts)
}

/// Tells the time before each object, and waits if there were too many in this second.
struct Pace {
    pause: Option<Duration>,
    began: Instant,
    from: SystemTime,
    next: Duration,
}

impl Pace {
    #[expect(clippy::disallowed_methods, reason = "a rate is measured, not decided")]
    fn new(rate: Option<u32>, from: SystemTime) -> Self {
        let pause = rate.and_then(|rate| Duration::from_secs(1).checked_div(rate));
        Self { pause, began: Instant::now(), from, next: Duration::ZERO }
    }

    fn next(&mut self) -> SystemTime {
        if let Some(pause) = self.pause {
            std::thread::sleep(self.next.saturating_sub(self.began.elapsed()));
            self.next = self.next.saturating_add(pause);
        }
        let elapsed = self.began.elapsed();
        self.from.checked_add(elapsed).unwrap_or(self.from)
    }
}
