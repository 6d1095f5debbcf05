//! Questions on the way, and answers that are known: the first few without memory of their own.

use std::collections::HashMap;

use super::{MAX_DEPTH, Question, What};
use crate::action::Action;
use crate::hash::Keyed;

/// The questions that led to the one that is asked now, the outermost first, and itself.
#[derive(Debug)]
pub(super) struct Asked {
    questions: [Question; MAX_DEPTH + 1],
    count: usize,
}

impl Asked {
    pub(super) fn new() -> Self {
        Self { questions: [Question { what: What::Described, action: Action::Create }; MAX_DEPTH + 1], count: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn contains(&self, question: &Question) -> bool {
        self.questions.iter().take(self.count).any(|one| one == question)
    }

    /// Beyond the depth that the language gives, questions are counted, and fail before they are compared.
    pub(super) fn push(&mut self, question: Question) {
        if let Some(slot) = self.questions.get_mut(self.count) {
            *slot = question;
        }
        self.count = self.count.saturating_add(1);
    }

    pub(super) fn pop(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }
}

impl FromIterator<Question> for Asked {
    fn from_iter<I: IntoIterator<Item = Question>>(questions: I) -> Self {
        let mut asked = Self::new();
        for question in questions {
            asked.push(question);
        }
        asked
    }
}

/// An answer that holds wherever it is asked for: nothing failed below it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) granted: bool,
    /// How many levels of questions it took.
    pub(super) height: usize,
}

/// How many answers are kept near: more than most decisions need.
const NEAR: usize = 4;

/// Answers by their question.
#[derive(Debug, Default)]
pub(super) struct Answers {
    near: [Option<(Question, Known)>; NEAR],
    far: Option<HashMap<Question, Known, Keyed>>,
}

impl Answers {
    pub(super) fn get(&self, question: &Question) -> Option<Known> {
        let near = self.near.iter().map_while(|one| one.as_ref()).find(|(one, _)| one == question);
        near.map(|(_, known)| *known).or_else(|| self.far.as_ref()?.get(question).copied())
    }

    /// Keeps the answer to a question that was not known. `keyed` is a hash that is there already: drawing another costs more
    /// than most questions.
    pub(super) fn insert(&mut self, question: Question, known: Known, keyed: impl FnOnce() -> Keyed) {
        if let Some(slot) = self.near.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some((question, known));
        } else {
            let far = self.far.get_or_insert_with(|| HashMap::with_hasher(keyed()));
            far.insert(question, known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_however_many_there_are() {
        let question = |thing| Question { what: What::Stored(thing), action: Action::Read };
        let mut answers = Answers::default();
        for thing in 0..100_u32 {
            assert!(answers.get(&question(thing)).is_none());
            answers.insert(question(thing), Known { granted: thing % 3 == 0, height: 1 }, Keyed::default);
        }
        assert!((0..100).all(|thing| answers.get(&question(thing)).is_some_and(|one| one.granted == (thing % 3 == 0))));
    }

    #[test]
    fn questions_beyond_the_depth_are_counted() {
        let question = |thing| Question { what: What::Stored(thing), action: Action::Read };
        let mut asked: Asked = (0..30).map(question).collect();
        assert_eq!((asked.len(), asked.contains(&question(16)), asked.contains(&question(17))), (30, true, false));
        (0..29).for_each(|_| asked.pop());
        assert_eq!((asked.len(), asked.contains(&question(0)), asked.contains(&question(1))), (1, true, false));
        asked.clear();
        assert!(!asked.contains(&question(0)));
    }
}
