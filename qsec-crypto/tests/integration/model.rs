//! A keyring against a model of ten lines: whatever the order of the verbs, it is in the state that the model says.

use proptest::prelude::*;
use qsec_crypto::{Context, KeyError};

use crate::world::{DAY, World, at, data};

#[derive(Debug, Clone, Copy)]
enum Verb {
    Disable,
    Enable,
    Schedule,
    Cancel,
    Rotate,
    DisableAtKms,
    EnableAtKms,
    Forget,
    Wait(u64),
    Use,
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        1 => Just(Verb::Disable),
        2 => Just(Verb::Enable),
        1 => Just(Verb::Schedule),
        2 => Just(Verb::Cancel),
        1 => Just(Verb::Rotate),
        1 => Just(Verb::DisableAtKms),
        2 => Just(Verb::EnableAtKms),
        1 => Just(Verb::Forget),
        2 => prop_oneof![Just(61), Just(DAY), Just(7 * DAY)].prop_map(Verb::Wait),
        4 => Just(Verb::Use),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Disabled,
    Pending(u64),
    Destroyed,
}

impl State {
    fn code(self) -> &'static str {
        match self {
            Self::Active => "ok",
            Self::Disabled => "key_disabled",
            Self::Pending(_) => "key_pending_deletion",
            Self::Destroyed => "key_destroyed",
        }
    }
}

struct Model {
    state: State,
    kms_disabled: bool,
    newest: u32,
    now: u64,
}

impl Model {
    /// What the verb answers, and what it does.
    fn apply(&mut self, verb: Verb) -> &'static str {
        if let State::Pending(due) = self.state
            && due <= self.now
        {
            self.state = State::Destroyed;
        }
        let (from, code) = (self.state, self.state.code());
        match (verb, from) {
            (Verb::Enable, State::Active | State::Disabled) => self.state = State::Active,
            (Verb::Schedule, State::Active | State::Disabled) => self.state = State::Pending(self.now + 7 * DAY),
            (Verb::Disable, State::Active | State::Disabled) | (Verb::Cancel, State::Pending(_)) => {
                self.state = State::Disabled;
            }
            (Verb::Cancel, State::Active | State::Disabled) => return "conflict",
            (Verb::Rotate | Verb::Use, State::Active) if self.kms_disabled => return "key_disabled",
            (Verb::Rotate, State::Active) => self.newest += 1,
            (Verb::Wait(seconds), _) => self.now += seconds,
            (Verb::DisableAtKms, _) => self.kms_disabled = true,
            // What the KMS said holds for 5 s.
            (Verb::EnableAtKms, _) => (self.kms_disabled, self.now) = (false, self.now + 5),
            (Verb::Forget, _) | (Verb::Use, State::Active) => {}
            _ => return code,
        }
        "ok"
    }
}

async fn apply(world: &World, verb: Verb, now: u64) -> &'static str {
    let now = at(now);
    let answer: Result<(), KeyError> = match verb {
        Verb::Disable => world.keys.disable(now).await,
        Verb::Enable => world.keys.enable(now).await,
        Verb::Schedule => world.keys.schedule_deletion(7, now).await.map(|_| ()),
        Verb::Cancel => world.keys.cancel_deletion(now).await,
        Verb::Rotate => world.keys.rotate(&data(), now).await.map(|_| ()),
        Verb::Use => world.keys.current(&data(), now).await.map(|_| ()),
        Verb::DisableAtKms => world.local.disable(&world.key_ids[0], now).await.map_err(KeyError::from),
        Verb::EnableAtKms => world.local.enable(&world.key_ids[0], now).await.map_err(KeyError::from),
        Verb::Forget => {
            world.keys.forget();
            Ok(())
        }
        Verb::Wait(_) => Ok(()),
    };
    answer.map_or_else(|error| error.code(), |()| "ok")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_keyring_is_in_the_state_that_the_verbs_led_to(verbs in prop::collection::vec(verb(), 1..30)) {
        pollster::block_on(async {
            let world = World::new();
            let mut model = Model { state: State::Active, kms_disabled: false, newest: 1, now: 0 };
            let first = world.keys.current(&data(), at(0)).await.unwrap().seal(b"first", &Context::empty()).unwrap();
            for verb in verbs {
                // A stop at the KMS is seen at the latest when the bound is over.
                if matches!(verb, Verb::Use) && model.kms_disabled {
                    model.now += 61;
                }
                let before = model.now;
                let expected = model.apply(verb);
                prop_assert_eq!(apply(&world, verb, before).await, expected, "{:?} at {}", verb, before);
            }
            if model.apply(Verb::Use) == "ok" {
                let now = at(model.now);
                prop_assert_eq!(world.keys.current(&data(), now).await.unwrap().version(), model.newest);
                let key = world.keys.for_sealed(&first, &data(), now).await.unwrap();
                prop_assert_eq!(key.open(&first, &Context::empty()).unwrap(), b"first");
            }
            Ok(())
        })?;
    }
}
