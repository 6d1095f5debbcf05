//! The whole life of a key that a customer owns: brought, disabled, enabled, nearly deleted, lost with a region, taken back.
//!
//! `cargo run --example bring_your_own_key` needs no server: the customer's KMS is a second one in this process. With
//! `--features aws-kms`, and `QSEC_TEST_KMS` naming a LocalStack (`cargo xtask testbed up kms` starts one), it is that. It
//! says which, plays the story aloud in a folder under `target/`, and fails if any answer is not the expected one.

#![expect(clippy::disallowed_methods, reason = "a program reads the clock and its environment")]

#[cfg(feature = "aws-kms")]
mod aws;
mod customer;
mod own;
#[path = "../tenant_platform/story.rs"]
mod story;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use qsec::audit::{Actor, Tree, Verdict};
use qsec::crypto::keyring::KeyPolicy;
use qsec::crypto::kms::{KeyId, LocalKms, RootKey};
use qsec::crypto::{
    Context, KeyError, KeyRecords, Keyring, MemoryStore, Migration, Purpose, Stopped, StoppedBy, TenantId,
};
use qsec::{Deployment, NewTenant, Setup, Tenant};
use serde_json::Value;

use crate::customer::{Customer, Verb};
use crate::story::Story;

type Done<T = ()> = Result<T, Box<dyn Error>>;

const RECORDS: u32 = 100;

/// What the log must know of such a story, and it is in the log by its own type.
const TOLD: [&str; 8] = [
    "key.created",
    "key.provider_change_planned",
    "key.provider_changed",
    "key.provider_change_aborted",
    "key.deletion_scheduled",
    "key.rewrapped",
    "key.failed_over",
    "kms.denied",
];

/// A second more than a key may be used that its KMS was not asked about: the revocation bound.
const BOUND: Duration = Duration::from_secs(61);

/// A second more than a KMS that said no is not asked again.
const NO_IS_REMEMBERED: Duration = Duration::from_secs(6);

/// What the platform and its customer have, and what time it is: every verb takes it from its caller, so nobody waits.
struct Platform {
    deployment: Deployment,
    acme: Tenant,
    operator: Actor,
    customer: Customer,
    records: Vec<Vec<u8>>,
    now: SystemTime,
}

#[tokio::main]
async fn main() -> Done {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bring-your-own-key");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut story = Story::default();
    let mut platform = set_up(&mut story, &folder).await?;
    what_the_customer_grants(&mut story, &platform).await?;
    the_move(&mut story, &platform).await?;
    disabled_and_enabled(&mut story, &mut platform).await?;
    nearly_deleted(&mut story, &mut platform).await?;
    a_region_lost(&mut story, &mut platform).await?;
    health_data(&mut story, &platform).await?;
    taken_back(&mut story, &mut platform).await?;
    the_log(&mut story, platform).await?;
    story.end();
    Ok(())
}

async fn set_up(story: &mut Story, folder: &Path) -> Done<Platform> {
    let now = SystemTime::now();
    let customer = Customer::find(now).await?;
    story.chapter("A tenant under the platform's own KMS, with sealed records");
    let home = folder.join("home");
    Deployment::create(&home, Setup::new().name("analytics.example"), now).await?;
    let deployment = Deployment::open(&home).await?;
    let operator = Actor::operator("op-1");
    let acme = deployment.create_tenant(&NewTenant::new("acme"), &operator, now).await?;
    let mut records = Vec::new();
    for row in 0..RECORDS {
        records.push(acme.seal(format!("order {row}").as_bytes(), &context(row), now).await?);
    }
    let platform = Platform { deployment, acme, operator, customer, records, now };
    all_open(story, &platform, "its records open").await?;
    Ok(platform)
}

fn context(row: u32) -> Context {
    Context::from([("table", "orders".to_owned()), ("row", row.to_string())])
}

/// Opens every record that was sealed in the beginning.
async fn all_open(story: &mut Story, platform: &Platform, asked: &str) -> Done {
    let keys = platform.acme.key_binding(platform.now).await?;
    let opened = async {
        for (row, sealed) in (0..).zip(&platform.records) {
            let plain = platform.acme.open(sealed, &context(row), platform.now).await?;
            assert_eq!(plain, format!("order {row}").as_bytes());
        }
        Ok::<_, qsec::Error>(platform.records.len())
    };
    story.yes(asked, opened.await, |count| format!("{count} of {RECORDS}, under a KMS key of `{}`", keys.provider))?;
    Ok(())
}

/// Tries the first record. What must not open is refused with this code, and by whoever owns the KMS key.
async fn locked(story: &mut Story, platform: &Platform, asked: &str, code: &str) -> Done {
    let answer = platform.acme.open(&platform.records[0], &context(0), platform.now).await;
    let stopped = match &answer {
        Err(qsec::Error::Key(KeyError::Stopped(stopped))) => Some(stopped.clone()),
        _ => None,
    };
    story.no(asked, answer, code)?;
    let by_kms = stopped.as_ref().is_some_and(|stopped: &Stopped| stopped.by == StoppedBy::Kms);
    story.holds("it says who said no", by_kms, "by: kms")?;
    if code == "key_pending_deletion" {
        let date = stopped.and_then(|stopped| stopped.deletion_date);
        let wait = date.and_then(|date| date.duration_since(platform.now).ok());
        let days = wait.map(|wait| wait.as_secs().div_ceil(86_400));
        story.holds("and when it will be gone", days.is_some(), format!("in {} days", days.unwrap_or_default()))?;
    }
    Ok(())
}

async fn what_the_customer_grants(story: &mut Story, platform: &Platform) -> Done {
    story.chapter("What the customer grants on their key: three actions, for this tenant alone");
    let Platform { acme, operator, customer, now, .. } = platform;
    println!("{}", least_policy(acme.id()));
    let [primary, _] = customer.keys();
    let (stem, _) = primary.as_str().split_at(primary.as_str().len() - 4);
    let unknown = KeyId::new(format!("{stem}0000"))?;
    let moved = acme.change_key_provider(customer.kms()?, &[unknown], 0, operator, *now).await;
    story.no("move to a key that is not there", moved, "key_not_found")?;
    all_open(story, platform, "nothing changed").await
}

/// A key policy: `*` is the key that it stands on. `DescribeKey` has no encryption context.
fn least_policy(tenant: &str) -> String {
    format!(
        r#"        {{
          "Version": "2012-10-17",
          "Statement": [
            {{
              "Sid": "QsecWrapsTenantKeys",
              "Effect": "Allow",
              "Principal": {{ "AWS": "arn:aws:iam::111122223333:role/platform" }},
              "Action": ["kms:Encrypt", "kms:Decrypt"],
              "Resource": "*",
              "Condition": {{ "StringEquals": {{ "kms:EncryptionContext:qsec:tenant": "{tenant}" }} }}
            }},
            {{
              "Sid": "QsecDescribesTheKey",
              "Effect": "Allow",
              "Principal": {{ "AWS": "arn:aws:iam::111122223333:role/platform" }},
              "Action": "kms:DescribeKey",
              "Resource": "*"
            }}
          ]
        }}"#
    )
}

async fn the_move(story: &mut Story, platform: &Platform) -> Done {
    story.chapter("The tenant's keys move to the customer's key");
    let Platform { acme, operator, customer, now, .. } = platform;
    let [primary, _] = customer.keys();
    let before = customer.calls();
    let moved = acme.change_key_provider(customer.kms()?, &[primary], 0, operator, *now).await;
    let moved = story.yes("move", moved, told)?;
    let expected = (1, 3);
    let answer = (moved.versions_rewrapped, moved.kms_calls);
    story.holds("the calls: describe, wrap, and unwrap to compare", answer == expected, "3, however many records")?;
    if let (Some(before), Some(after)) = (before, customer.calls()) {
        let counted = after - before;
        story.holds("the KMS counted the same", counted == moved.kms_calls, format!("{counted} calls"))?;
    }
    all_open(story, platform, "the records from before, none of them rewritten").await
}

fn told(moved: &Migration) -> String {
    let (versions, calls, provider) = (moved.versions_rewrapped, moved.kms_calls, &moved.provider);
    format!("{versions} key version now under `{provider}`: {calls} KMS calls, 0 records rewritten")
}

async fn disabled_and_enabled(story: &mut Story, platform: &mut Platform) -> Done {
    story.chapter("The customer disables the key, and enables it again");
    let [primary, _] = platform.customer.keys();
    platform.customer.does(Verb::Disable, &primary, platform.now).await?;
    all_open(story, platform, "in the same second: the key in memory may be used for a minute").await?;
    platform.now += BOUND;
    println!("        … a minute later");
    locked(story, platform, "open a record", "key_disabled").await?;
    let Platform { acme, operator, now, .. } = &*platform;
    story.no("seal another", acme.seal(b"more", &context(0), *now).await, "key_disabled")?;
    story.no("move away from the lock", acme.revert_keys(0, operator, *now).await, "key_disabled")?;
    story.no("the platform enables the tenant's own lock", acme_enables(platform).await, "key_disabled")?;

    platform.customer.does(Verb::Enable, &primary, platform.now).await?;
    platform.now += NO_IS_REMEMBERED;
    all_open(story, platform, "everything opens: nothing was lost").await
}

/// The tenant's own lock is another one: with it open, the customer's still holds.
async fn acme_enables(platform: &Platform) -> Result<Vec<u8>, qsec::Error> {
    platform.acme.enable_key(&platform.operator, platform.now).await?;
    platform.acme.open(&platform.records[0], &context(0), platform.now).await
}

async fn nearly_deleted(story: &mut Story, platform: &mut Platform) -> Done {
    story.chapter("The customer schedules the key's deletion, and thinks better of it");
    let [primary, _] = platform.customer.keys();
    platform.customer.does(Verb::ScheduleDeletion, &primary, platform.now).await?;
    platform.now += BOUND;
    locked(story, platform, "open a record: locked now, not in 7 days", "key_pending_deletion").await?;
    platform.customer.does(Verb::CancelDeletion, &primary, platform.now).await?;
    platform.now += NO_IS_REMEMBERED;
    locked(story, platform, "cancelled, it is still disabled", "key_disabled").await?;
    platform.customer.does(Verb::Enable, &primary, platform.now).await?;
    platform.now += NO_IS_REMEMBERED;
    all_open(story, platform, "enabled, a second and deliberate act").await
}

async fn a_region_lost(story: &mut Story, platform: &mut Platform) -> Done {
    story.chapter("A region is lost, and its replica opens; a no is not a loss");
    let [primary, replica] = platform.customer.keys();
    let Platform { acme, operator, deployment, customer, now, .. } = &*platform;
    let rewrapped = acme.rewrap_keys(std::slice::from_ref(&replica), &[], operator, *now).await;
    story.yes("wrap under the replica too", rewrapped, |done| {
        format!("{} key version, {} KMS calls, 0 records rewritten", done.versions_rewrapped, done.kms_calls)
    })?;
    deployment.add_kms(customer.kms_without_primary_region()?);
    platform.now += BOUND;
    println!("        … the primary region does not answer any more");
    all_open(story, platform, "through the replica").await?;

    platform.deployment.add_kms(platform.customer.kms()?);
    platform.customer.does(Verb::Disable, &primary, platform.now).await?;
    platform.now += BOUND;
    println!("        … the region is back");
    locked(story, platform, "the primary disabled: the replica does not say yes instead", "key_disabled").await?;
    platform.customer.does(Verb::Enable, &primary, platform.now).await?;
    platform.now += NO_IS_REMEMBERED;
    all_open(story, platform, "enabled again").await
}

/// What a keyring demands when its tenant's data is labelled PHI, in the room of keys alone.
async fn health_data(story: &mut Story, platform: &Platform) -> Done {
    story.chapter("Health data: never under the platform's own key");
    let now = platform.now;
    let internal = Arc::new(LocalKms::open(RootKey::generate()?, MemoryStore::new())?);
    let key = internal.create_key(now).await?;
    let clinic = Keyring::new(TenantId::new("clinic")?, Arc::<LocalKms>::clone(&internal), KeyRecords::in_memory()?);
    clinic.create(std::slice::from_ref(&key), &[Purpose::data()], now).await?;
    let phi = KeyPolicy::new().phi();
    let labelled = clinic.set_policy(&phi, now).await.map_err(qsec::Error::from);
    story.no("label it while it is under the internal KMS", labelled, "phi_requires_cmk")?;

    let theirs = platform.customer.keys();
    clinic.change_provider(platform.customer.kms()?, &theirs[..1], 0, now).await?;
    clinic.migrate(now).await?;
    story.yes("label it under the customer's key", clinic.set_policy(&phi, now).await, |()| {
        "it holds for every later move".to_owned()
    })?;
    let back = clinic.revert(internal, &[key], 0, now).await.map_err(qsec::Error::from);
    story.no("move it back", back, "phi_requires_cmk")?;
    Ok(())
}

async fn taken_back(story: &mut Story, platform: &mut Platform) -> Done {
    story.chapter("The customer lets go: back to the platform's own key");
    let reverted = platform.acme.revert_keys(0, &platform.operator, platform.now).await;
    story.yes("move back", reverted, told)?;
    for key_id in platform.customer.keys() {
        platform.customer.does(Verb::ScheduleDeletion, &key_id, platform.now).await?;
    }
    platform.now += BOUND;
    all_open(story, platform, "their key is going, and nothing depends on it").await
}

async fn the_log(story: &mut Story, platform: Platform) -> Done {
    story.chapter("The same story in the audit log's own words");
    let Platform { deployment, acme, now, .. } = platform;
    let report = deployment.verify_log(None, now).await?;
    let log = deployment.log_folder().to_owned();
    drop(acme);
    deployment.close(now).await?;
    let mut kinds = BTreeSet::new();
    for leaf in qsec::audit::tail(&log, &Tree::tenant("acme")?, 0) {
        let event: Value = serde_json::from_str(leaf?.text())?;
        let kind = event["type"].as_str().unwrap_or_default();
        // Each use of a key is there as well, and what left the memory: too many lines for a story.
        if kind.starts_with("key.") || kind.starts_with("kms.") {
            if !["key.used", "key.cache_dropped"].contains(&kind) {
                println!("        {}", words(kind, &event));
            }
            kinds.insert(kind.to_owned());
        }
    }
    let missing: Vec<_> = TOLD.iter().filter(|kind| !kinds.contains(**kind)).collect();
    story.holds(
        "the log tells all of it",
        missing.is_empty(),
        format!("{} types of event, missing {missing:?}", TOLD.len()),
    )?;
    story.holds("and is whole", report.verdict() == Verdict::Intact, format!("{} events", report.events()))?;
    Ok(())
}

/// Type, outcome, and what else is not the same in every event of this tenant's key.
fn words(kind: &str, event: &Value) -> String {
    let outcome = event["reason"].as_str().or_else(|| event["outcome"].as_str()).unwrap_or_default();
    let of_key = ["provider", "kms_key", "version"];
    let data = event["data"].as_object().into_iter().flatten();
    let rest: Vec<String> = data
        .filter(|(name, _)| !of_key.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{kind:<29} {outcome:<15} {}", rest.join(" "))
}
