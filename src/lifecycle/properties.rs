//! The lifecycle against a model written from its table: any verbs, by any of three people, on a clock that also goes back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use qsec_audit::Actor;

use super::{Defaults, LifecycleError, NewTenant, TenantRecord, TenantState, Verb};

const DAY: u64 = 86_400;

/// What the table says, in the plainest form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Model {
    state: TenantState,
    version: u64,
    clock: u64,
    purge_at: Option<u64>,
    protected: bool,
    barred: Option<u8>,
}

impl Model {
    fn after(self, verb: &Verb, who: u8, now: u64) -> Option<Self> {
        use TenantState::{Active, Deactivated, Provisioning, UserAccessDisabled};
        let now = now.max(self.clock);
        let next = Self { version: self.version + 1, clock: now, ..self };
        let open = self.state == Active || self.state == UserAccessDisabled;
        match verb {
            Verb::Activate if self.state == Provisioning => Some(Self { state: Active, ..next }),
            Verb::DisableUsers if self.state == Active => Some(Self { state: UserAccessDisabled, ..next }),
            Verb::EnableUsers if self.state == UserAccessDisabled => Some(Self { state: Active, ..next }),
            Verb::Reactivate if self.state == Deactivated => Some(Self { state: Active, purge_at: None, ..next }),
            Verb::Protect if open => Some(Self { protected: true, barred: None, ..next }),
            Verb::Unprotect if open && self.protected => Some(Self { protected: false, barred: Some(who), ..next }),
            Verb::Unprotect if open => Some(next),
            Verb::Deactivate { days } if open || self.state == Deactivated => {
                let allowed = (10..=90).contains(days) && !self.protected && self.barred != Some(who);
                let due = self.purge_at.is_some_and(|due| due <= now);
                let purge_at = Some(now + u64::from(*days) * DAY);
                (allowed && !due).then_some(Self { state: Deactivated, purge_at, ..next })
            }
            Verb::Activate
            | Verb::DisableUsers
            | Verb::EnableUsers
            | Verb::Deactivate { .. }
            | Verb::Reactivate
            | Verb::Protect
            | Verb::Unprotect => None,
        }
    }
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        Just(Verb::Activate),
        Just(Verb::DisableUsers),
        Just(Verb::EnableUsers),
        (0_u32..=100).prop_map(|days| Verb::Deactivate { days }),
        Just(Verb::Reactivate),
        Just(Verb::Protect),
        Just(Verb::Unprotect),
    ]
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn fresh() -> TenantRecord {
    let defaults = Defaults { deployment: "qsec.example", region: "local" };
    TenantRecord::provisioning(&NewTenant::new("acme"), &defaults, at(1_000_000_000)).unwrap()
}

proptest! {
    #[test]
    fn only_what_the_table_says_happens(
        steps in prop::collection::vec((verb(), 0_u8..3, 999_000_000_u64..1_020_000_000), 1..60),
    ) {
        let mut record = fresh();
        let mut model = Model {
            state: TenantState::Provisioning,
            version: 1,
            clock: 1_000_000_000,
            purge_at: None,
            protected: false,
            barred: None,
        };
        for (verb, who, now) in steps {
            let answer = record.after(&verb, &Actor::operator(format!("op-{who}")), at(now));
            match model.after(&verb, who, now) {
                None => prop_assert!(answer.is_err(), "{verb:?} from {model:?}"),
                Some(next) => {
                    let (after, _) = answer.map_err(|error| TestCaseError::fail(format!("{verb:?}: {error}")))?;
                    prop_assert_eq!(after.state(), next.state);
                    prop_assert_eq!(after.version(), next.version);
                    prop_assert_eq!(after.deactivation().map(|(_, _, due)| due), next.purge_at.map(at));
                    prop_assert_eq!(after.is_deactivation_protected(), next.protected);
                    // What is written is read again as it was.
                    prop_assert_eq!(&TenantRecord::from_row(&after.to_row().unwrap()).unwrap(), &after);
                    (record, model) = (after, next);
                }
            }
        }
    }
}

#[test]
fn days_outside_10_to_90_are_misuse() {
    let (active, _) = fresh().after(&Verb::Activate, &Actor::system(), at(1_000_000_001)).unwrap();
    for days in [0, 9, 91, u32::MAX] {
        let error = active.after(&Verb::Deactivate { days }, &Actor::operator("op"), at(1_000_000_002)).unwrap_err();
        assert!(matches!(error, LifecycleError::Usage { .. }), "{days}: {error}");
    }
}

#[test]
fn ids_are_labels() {
    let defaults = Defaults { deployment: "qsec.example", region: "local" };
    for wrong in ["", "-a", "A", "a_b", "a.b", "é", &"a".repeat(64)] {
        let error = TenantRecord::provisioning(&NewTenant::new(wrong), &defaults, at(0)).unwrap_err();
        assert_eq!(error.code(), "usage", "{wrong}");
    }
}

#[test]
fn damaged_rows_are_told_apart() {
    let row = fresh().to_row().unwrap();
    for (state, body) in [("sleeping", row.body.clone()), ("active", b"{}".to_vec()), ("active", vec![])] {
        let damaged = qsec_store::TenantRow { state: state.to_owned(), body, ..row.clone() };
        assert!(matches!(TenantRecord::from_row(&damaged), Err(LifecycleError::Damaged { .. })));
    }
}
