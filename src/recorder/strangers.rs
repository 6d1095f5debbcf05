//! Refusals that anyone can cause without being known: who is refused often must not fill the log.
//!
//! Of each tenant and type the first ten of a minute are events, and the others of it are one, with how many they were.
//! Nothing is known here of where a stranger calls from: all of them are one source.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use qsec_audit::{Actor, Draft, Event, TenantId};

/// Refusals of a minute that are events of their own.
const KEPT: u64 = 10;
/// How long they are counted together.
const MINUTE: Duration = Duration::from_mins(1);
/// Most counts at once: all types of 6,000 tenants. What is beyond is counted without its tenant, in the deployment's tree.
const MAX_COUNTS: usize = 65_536;
/// The reason of an event that stands for several.
const REPEATED: &str = "repeated";

/// The types of events that need no more than a connection.
const TYPES: [&str; 11] = [
    "api_key.rejected",
    "ciphertext.rejected",
    "gateway.refused",
    "login.failed",
    "node.join_refused",
    "oauth.authorization.refused",
    "oauth.token.refused",
    "peer.rejected",
    "session.rejected",
    "tenant.request_refused",
    "token.rejected",
];

type Key = (&'static str, Option<TenantId>);

/// How often strangers were refused in the minute that each type and tenant is in.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    by_key: HashMap<Key, Count>,
    /// When the first minute is over.
    due: Option<SystemTime>,
}

#[derive(Debug)]
struct Count {
    begin: SystemTime,
    kept: u64,
    counted: u64,
    first: SystemTime,
    last: SystemTime,
}

/// The type of an event that anyone can cause without being known; everything else is recorded one by one.
pub(super) fn refusal(name: &str) -> Option<&'static str> {
    TYPES.into_iter().find(|kind| *kind == name)
}

impl Strangers {
    /// Whether a refusal is one too many of this minute: then it is counted, and must not be recorded.
    pub(super) fn counts(&self, kind: &'static str, tenant: Option<&TenantId>, now: SystemTime) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (kind, tenant.cloned());
        if counts.by_key.len() >= MAX_COUNTS && !counts.by_key.contains_key(&key) {
            key.1 = None;
        }
        let end = now.checked_add(MINUTE);
        counts.due = counts.due.or(end);
        counts.by_key.entry(key).or_insert_with(|| Count::begin(now)).add(now)
    }

    /// Takes one of the first ten back that the log did not take: while it takes none, none is counted instead.
    pub(super) fn not_kept(&self, kind: &'static str, tenant: Option<&TenantId>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.by_key.get_mut(&(kind, tenant.cloned())) {
            count.kept = count.kept.saturating_sub(1);
        }
    }

    /// The events of the minutes that are over by now.
    pub(super) fn over(&self, now: SystemTime) -> Vec<Event> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        let over = counts.by_key.extract_if(|_, count| count.is_over(now)).collect::<Vec<_>>();
        counts.due = counts.by_key.values().map(|count| count.begin).min().and_then(|begin| begin.checked_add(MINUTE));
        over.into_iter().filter_map(sum).map(|(event, _)| event).collect()
    }

    /// All events that are left, each with the time of its last refusal.
    pub(super) fn end(&self) -> Vec<(Event, SystemTime)> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        counts.by_key.into_iter().filter_map(sum).collect()
    }
}

impl Count {
    fn begin(now: SystemTime) -> Self {
        Self { begin: now, kept: 0, counted: 0, first: now, last: now }
    }

    /// Whether it was counted, and not one of the first.
    fn add(&mut self, now: SystemTime) -> bool {
        if self.kept < KEPT {
            self.kept = self.kept.saturating_add(1);
            return false;
        }
        if self.counted == 0 {
            self.first = now;
        }
        self.counted = self.counted.saturating_add(1);
        self.last = self.last.max(now);
        true
    }

    /// A clock that goes back ends no minute.
    fn is_over(&self, now: SystemTime) -> bool {
        now.duration_since(self.begin).is_ok_and(|age| age >= MINUTE)
    }
}

/// What they had in common: neither who it was nor which check refused it.
fn sum(((kind, tenant), count): (Key, Count)) -> Option<(Event, SystemTime)> {
    if count.counted == 0 {
        return None;
    }
    let event = Draft::new(kind)
        .data("count", i64::try_from(count.counted).unwrap_or(i64::MAX))
        .data("first", rfc3339(count.first))
        .data("last", rfc3339(count.last))
        .by(Actor::anonymous())
        .denied(REPEATED);
    Some((tenant.into_iter().fold(event, Event::tenant), count.last))
}

fn rfc3339(time: SystemTime) -> String {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 + seconds)
    }

    fn tenant(id: &str) -> TenantId {
        TenantId::parse(id).unwrap()
    }

    /// The counts in events: shown by what they say of themselves, for they have no getters.
    fn counts(events: &[Event]) -> Vec<String> {
        let mut shown: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
        shown.sort();
        shown
    }

    #[test]
    fn every_type_is_one_of_the_catalogue_and_can_say_how_many() {
        for kind in TYPES {
            let (event, _) = sum(((kind, None), Count { counted: 3, ..Count::begin(at(0)) })).unwrap();
            assert_eq!(event.name(), kind);
            let said = Draft::new(kind).data("count", 3).data("first", rfc3339(at(0))).data("last", rfc3339(at(9)));
            assert!(said.event_type().is_some(), "{kind}");
            said.check().unwrap();
        }
    }

    #[test]
    fn the_first_ten_of_a_minute_are_kept_and_the_others_counted() {
        let (strangers, acme) = (Strangers::default(), tenant("acme"));
        let counted = (0..25).filter(|n| strangers.counts("token.rejected", Some(&acme), at(*n))).count();
        assert_eq!(counted, 15);
        assert!(strangers.over(at(59)).is_empty());
        let sums = strangers.over(at(60));
        let shown = counts(&sums);
        assert_eq!(shown.len(), 1);
        assert!(shown[0].contains("Integer(15)"), "{shown:?}");
        assert!(shown[0].contains("1970-01-01T00:16:50Z") && shown[0].contains("1970-01-01T00:17:04Z"), "{shown:?}");
        assert!(strangers.over(at(600)).is_empty());
        // The next minute begins with the next refusal.
        assert!(!strangers.counts("token.rejected", Some(&acme), at(61)));
    }

    #[test]
    fn tenants_and_types_are_counted_apart_and_what_needs_an_actor_not_at_all() {
        assert_eq!((refusal("login.failed"), refusal("decision.denied")), (Some("login.failed"), None));
        let strangers = Strangers::default();
        let (acme, globex) = (tenant("acme"), tenant("globex"));
        for n in 0..11 {
            assert_eq!(strangers.counts("login.failed", Some(&acme), at(0)), n >= 10);
        }
        assert!(!strangers.counts("token.rejected", Some(&acme), at(0)));
        assert!(!strangers.counts("login.failed", Some(&globex), at(0)));
        assert!(!strangers.counts("login.failed", None, at(0)));
        assert_eq!(strangers.end().len(), 1);
        assert!(strangers.end().is_empty());
    }

    #[test]
    fn what_the_log_does_not_take_is_not_counted_instead() {
        let strangers = Strangers::default();
        for _ in 0..100 {
            assert!(!strangers.counts("token.rejected", None, at(0)));
            strangers.not_kept("token.rejected", None);
        }
        assert!(strangers.end().is_empty());
    }

    #[test]
    fn a_minute_ends_by_its_own_beginning_and_a_clock_that_goes_back_ends_none() {
        let strangers = Strangers::default();
        let (acme, globex) = (tenant("acme"), tenant("globex"));
        for (id, begin) in [(&acme, 0), (&globex, 30)] {
            for _ in 0..12 {
                strangers.counts("token.rejected", Some(id), at(begin));
            }
        }
        assert!(strangers.over(SystemTime::UNIX_EPOCH).is_empty());
        assert_eq!(strangers.over(at(60)).len(), 1);
        assert!(strangers.over(at(89)).is_empty());
        assert_eq!(strangers.over(at(90)).len(), 1);
    }

    #[test]
    fn who_has_many_tenants_to_knock_at_does_not_fill_the_memory() {
        let strangers = Strangers::default();
        for n in 0..MAX_COUNTS + 20 {
            strangers.counts("token.rejected", Some(&tenant(&format!("t{n}"))), at(0));
        }
        let held = strangers.0.lock().unwrap().by_key.len();
        assert_eq!(held, MAX_COUNTS + 1);
        assert_eq!(strangers.over(at(60)).len(), 1);
    }
}
