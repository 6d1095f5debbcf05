//! What conditions say when only a part of the resource is known: from a user or a stored resource on.

use std::collections::HashSet;

use super::compare::Values;
use super::walk::{Holder, Value, Who};
use super::{Evaluation, Failed, MAX_LIST_STEPS, MAX_STEPS, Question, What};
use crate::action::Action;
use crate::rule::glob::Glob;
use crate::rule::pattern::Pattern;
use crate::rule::syntax::Operator;
use crate::snapshot::condition::{Node, Path, Step, Texts, folded};
use crate::snapshot::tenant::NONE;

/// Where the rest of a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Requester,
    User(u32),
    Thing(u32),
}

/// What is wanted of a value at the end of a path.
#[derive(Debug)]
pub(crate) enum Wanted<'w, 'e> {
    Any,
    Texts(Operator, &'w Texts),
    Like(&'w Glob),
    Matches(&'w Pattern),
    /// Compared with values of the requester.
    Values(Operator, &'w Values<'e>),
    /// A resource that somebody owns.
    Owned,
}

impl Wanted<'_, '_> {
    /// Whether a text is as wanted; values of the requester are compared by [`Evaluation::finds`].
    pub(crate) fn text(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Texts(operator, texts) => texts.compare(*operator, text),
            Self::Like(glob) => glob.matches(&folded(text)),
            Self::Matches(pattern) => pattern.matches(text),
            Self::Values(..) | Self::Owned => false,
        }
    }
}

/// Nothing is about to be created: nobody owns by creating.
const STANDING: Action = Action::Read;

impl<'e> Evaluation<'e> {
    /// Makes ready for many questions that belong together.
    pub(crate) fn begin_survey(&mut self) {
        self.steps.set(MAX_LIST_STEPS);
        self.asked.clear();
        self.surveyed = Some(HashSet::with_hasher(self.rules.keyed()));
    }

    /// Whether all steps are used up: what failed since then says nothing.
    pub(crate) fn is_spent(&self) -> bool {
        self.steps.get() == 0
    }

    /// Leaves no more steps than a decision has, which would fail where this does. How many are set apart.
    fn set_apart(&self) -> u32 {
        let all = self.steps.get();
        self.steps.set(all.min(MAX_STEPS));
        all.saturating_sub(MAX_STEPS)
    }

    fn give_back(&self, steps: u32) {
        self.steps.set(self.steps.get().saturating_add(steps));
    }

    /// A part of a condition that asks nothing of the resource.
    pub(crate) fn constant(&mut self, node: &'e Node) -> Result<bool, Failed> {
        self.holds(node, Question { what: What::Described, action: STANDING })
    }

    /// The values of a path that begins at the requester.
    pub(crate) fn of_requester(&self, path: &'e Path) -> Result<Values<'e>, Failed> {
        self.values(path, Question { what: What::Described, action: STANDING })
    }

    /// Those values that are texts, and whether the requester itself is among them.
    pub(crate) fn texts_of(&self, values: &Values<'e>) -> (Vec<String>, bool) {
        let texts = values.iter().filter_map(|value| self.text_of(value)).map(std::borrow::Cow::into_owned).collect();
        (texts, values.iter().any(|value| matches!(value, Value::User(Who::Requester))))
    }

    /// Whether some value at the end of the steps is as wanted.
    pub(crate) fn finds(&self, origin: Origin, steps: &'e [Step], wanted: &Wanted<'_, 'e>) -> Result<bool, Failed> {
        let (holder, what) = match origin {
            Origin::Requester => (Holder::User(Who::Requester), What::Described),
            Origin::User(user) => (Holder::User(Who::Known(user)), What::Described),
            Origin::Thing(thing) => (Holder::Resource(What::Stored(thing)), What::Stored(thing)),
        };
        let question = Question { what, action: STANDING };
        let apart = self.set_apart();
        let found = self.finds_from(holder, steps, question, wanted);
        self.give_back(apart);
        found
    }

    fn finds_from(
        &self,
        holder: Holder<'e>,
        steps: &'e [Step],
        question: Question,
        wanted: &Wanted<'_, 'e>,
    ) -> Result<bool, Failed> {
        match wanted {
            Wanted::Values(operator, values) => {
                let mut found = Values::default();
                self.follow(holder, steps, question, &mut |value| found.push(value))?;
                self.compare(&found, *operator, values)
            }
            Wanted::Owned => self.follow(holder, steps, question, &mut |value| match value {
                Value::Resource(what) => self.owner(what, question).is_some(),
                Value::Text(_) | Value::User(_) => false,
            }),
            Wanted::Any => self.follow(holder, steps, question, &mut |_| true),
            Wanted::Texts(..) | Wanted::Like(_) | Wanted::Matches(_) => {
                let mut afforded = Ok(());
                let found = self.follow(holder, steps, question, &mut |value| {
                    self.text_of(&value).is_some_and(|text| {
                        afforded = self.afford(wanted, &text);
                        afforded.is_err() || wanted.text(&text)
                    })
                })?;
                afforded.map(|()| found)
            }
        }
    }

    /// Takes the steps that it needs to look at a text, beside one for the text: a pattern may need many.
    pub(crate) fn afford(&self, wanted: &Wanted<'_, 'e>, text: &str) -> Result<(), Failed> {
        if let Wanted::Matches(pattern) = wanted { self.spend(pattern.cost(text)) } else { Ok(()) }
    }

    /// Whether the requester has the privilege on what the steps lead to from a stored resource. `asked` are the questions on the
    /// way here: they count for the depth.
    pub(crate) fn privileged(
        &mut self,
        thing: u32,
        steps: &'e [Step],
        action: Action,
        asked: &[Action],
    ) -> Result<bool, Failed> {
        self.asked = asked.iter().map(|action| Question { what: What::Described, action: *action }).collect();
        let apart = self.set_apart();
        let answer = self.privileged_from(Holder::Resource(What::Stored(thing)), steps, action, What::Stored(thing));
        self.give_back(apart);
        answer
    }

    /// Where the row that is asked about is this stored resource, and its answer is another one than that of any row with its links:
    /// what it says of the privilege on what its steps lead to. A question that comes back to it fails.
    pub(crate) fn returns(
        &mut self,
        row: u32,
        steps: &'e [Step],
        action: Action,
        asked: &[Action],
    ) -> Option<Result<bool, Failed>> {
        let is_led_to = |action: &Action| {
            let question = Question { what: What::Stored(row), action: *action };
            self.surveyed.as_ref().is_some_and(|surveyed| surveyed.contains(&question))
        };
        if !asked.iter().any(is_led_to) {
            return None;
        }
        let mut answer = |what| {
            self.asked = asked.iter().map(|action| Question { what, action: *action }).collect();
            self.recalls = what == What::Described;
            let apart = self.set_apart();
            let answer = self.privileged_from(Holder::Resource(What::Stored(row)), steps, action, What::Stored(row));
            self.give_back(apart);
            answer
        };
        let (any, itself) = (answer(What::Described), answer(What::Stored(row)));
        self.recalls = true;
        (any != itself).then_some(itself)
    }

    fn privileged_from(
        &mut self,
        holder: Holder<'e>,
        steps: &'e [Step],
        action: Action,
        what: What,
    ) -> Result<bool, Failed> {
        let mut found = std::collections::BTreeSet::new();
        self.follow(holder, steps, Question { what, action: STANDING }, &mut |value| {
            found.extend(if let Value::Resource(what) = value { Some(what) } else { None });
            false
        })?;
        self.any_granted(found, action)
    }

    /// The guards that the requester has.
    pub(crate) fn held_guards(&self) -> &[u32] {
        &self.guards
    }

    /// Whether the policy knows the requester by a number.
    pub(crate) fn requester(&self) -> Option<u32> {
        Some(self.principal.user).filter(|user| *user != NONE)
    }
}
