//! `qsec reencrypt`: a tenant's objects sealed again under the newest version of its key.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use qsec::crypto::reencryption::{Failure as LeftObject, FileCursor, FileObjects, Progress};
use qsec::crypto::{Context, Purpose};
use qsec::{Deployment, Reencrypted};
use serde::Deserialize;
use serde_json::{Value, json};

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
    /// The contexts: a line `{"path":"...","context":{"row":"17"}}` for each path that has one
    #[arg(long, value_name = "FILE.jsonl")]
    context_from: Option<PathBuf>,
    /// At most so many objects a second
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<u32>,
    #[command(flatten)]
    access: Access,
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
    files::one_dash([work.objects.as_path()].into_iter().chain(work.context_from.as_deref()))?;
    let purpose = Purpose::new(work.purpose.as_str()).map_err(|error| Failure::usage(error.to_string()))?;
    let objects = FileObjects::new(work.listed()?).map_err(qsec::Error::from)?;
    let bar = if session.output.shows_progress() {
        ProgressBar::new(u64::try_from(objects.len()).unwrap_or(u64::MAX))
    } else {
        ProgressBar::hidden()
    };
    let style = ProgressStyle::with_template("sealing again {bar:30} {pos}/{len} {per_sec} {eta}");
    let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let deployment = home::open(session.global).await?;
    let outcome = Box::pin(work.walk(&deployment, &purpose, objects, &bar, now)).await;
    bar.finish_and_clear();
    let done = home::close(deployment, outcome, now).await?;
    session.output.answer(&work.answer(&done), |_| text(&done))?;
    Ok(if done.progress.failed() == 0 { Exit::Yes } else { Exit::No })
}

impl Reencrypt {
    /// The paths in their order, each with its context.
    fn listed(&self) -> Result<Vec<(PathBuf, Context)>, Failure> {
        let list = files::read_text(&self.objects, MAX_LIST_BYTES, "malformed")?;
        let mut contexts = self.context_from.as_deref().map_or_else(|| Ok(HashMap::new()), contexts)?;
        let paths = list.lines().filter(|line| !line.is_empty()).map(PathBuf::from);
        let listed = paths.map(|path| {
            let context = contexts.remove(&path).unwrap_or_else(Context::empty);
            (path, context)
        });
        Ok(listed.collect())
    }

    async fn walk(
        &self,
        deployment: &Deployment,
        purpose: &Purpose,
        mut objects: FileObjects,
        bar: &ProgressBar,
        now: SystemTime,
    ) -> Result<Reencrypted, Failure> {
        let tenant = deployment.tenant(&self.tenant).await?;
        self.access.reach(deployment, &tenant, now).await?;
        let mut cursor = FileCursor::new(&self.cursor);
        let mut pace = Pace::new(self.rate, now);
        let mut tick = |progress: &Progress| {
            bar.set_position(progress.seen());
            pace.next()
        };
        Ok(tenant.reencrypt(purpose, &mut objects, &mut cursor, &mut tick, &operator(), now).await?)
    }

    fn answer(&self, done: &Reencrypted) -> Value {
        let progress = &done.progress;
        let left = |left: &LeftObject| json!({"object": left.object, "code": left.code});
        json!({
            "tenant": self.tenant, "done": progress.done(), "already_newest": progress.already_newest(),
            "failed": progress.failures().iter().map(left).collect::<Vec<_>>(),
            "versions_without_objects": done.versions_without_objects,
        })
    }
}

fn text(done: &Reencrypted) -> String {
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
