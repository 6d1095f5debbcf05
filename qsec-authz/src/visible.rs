//! Which resources? One pass over the tenant, one decision a class.

use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::bits::Bit;
use crate::marks::Marks;
use crate::request::{Request, ResourceRef};
use crate::snapshot::evaluate::Evaluation;
use crate::snapshot::principal::Principal;
use crate::snapshot::tenant::{Class, at};
use crate::snapshot::{Answer, Resolved, TenantSnapshot, owned, owns};
use crate::tables::Place;

/// Resources and spaces that a request was granted for, in the order of their ids.
///
/// ```
/// use qsec_authz::{Action, Policy, Request, ResourceRef, Subject};
/// let snapshot = Policy::parse(r#"{"version":1,"tenants":{"acme":{"resources":{
///     "memo":{"type":"App","owner":"ana"},"plan":{"type":"App","owner":"bob"}}}}}"#)?.compile()?;
/// let request = Request::new("acme", &Subject::user("ana"), Action::Read, ResourceRef::id("memo"));
/// let visible = snapshot.filter(&request.on_any("App"));
/// assert!(visible.ids().eq(["memo"]));
/// assert!(!visible.contains("plan"));
/// # Ok::<(), qsec_authz::PolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Visible {
    tenant: Option<Arc<TenantSnapshot>>,
    things: Vec<u32>,
}

impl Visible {
    pub(crate) fn nothing() -> Self {
        Self { tenant: None, things: Vec::new() }
    }

    pub(crate) fn of(tenant: &Arc<TenantSnapshot>, request: &Request) -> Self {
        let principal = Principal::new(tenant, request.subject());
        let (Ok(()), Ok(target)) = (tenant.admit(&principal), tenant.target(request)) else { return Self::nothing() };
        let things = Survey::new(tenant, &principal, request, target).things();
        Self { tenant: Some(Arc::clone(tenant)), things }
    }

    /// The ids, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let tenant = self.tenant.as_deref();
        let spaces = tenant.and_then(|tenant| u32::try_from(tenant.things.spaces).ok()).unwrap_or_default();
        let (spaces, resources) = self.things.split_at(self.things.partition_point(|thing| *thing < spaces));
        let id = move |thing: &u32| tenant.map_or("", |tenant| tenant.thing_id(*thing));
        let (mut spaces, mut resources) = (spaces.iter().map(id).peekable(), resources.iter().map(id).peekable());
        // Each of the two is sorted.
        std::iter::from_fn(move || match (spaces.peek(), resources.peek()) {
            (Some(space), Some(resource)) if space > resource => resources.next(),
            (Some(_), _) => spaces.next(),
            (None, _) => resources.next(),
        })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.things.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    /// Whether this one is among them.
    pub fn contains(&self, id: &str) -> bool {
        let number = self.tenant.as_ref().and_then(|tenant| tenant.things.index.get(id));
        number.is_some_and(|number| self.things.binary_search(number).is_ok())
    }
}

/// What is known of classes in spaces where the principal is no member: they differ by kind, place and owner alone.
struct Outside(Vec<Option<Answer>>);

impl Outside {
    /// Room for 32 kinds, 8 places, own or not.
    const SIZE: usize = 32 * 8 * 2;

    fn slot(&mut self, class: &Class, own: bool) -> Option<&mut Option<Answer>> {
        let row = class.kind.index().wrapping_mul(8).wrapping_add(class.place.index());
        let position = row.wrapping_mul(2).wrapping_add(u32::from(own));
        self.0.get_mut(usize::try_from(position).ok()?)
    }
}

/// A tenant as one request looks at it.
struct Survey<'e> {
    tenant: &'e TenantSnapshot,
    principal: &'e Principal<'e>,
    request: &'e Request,
    target: Option<(u32, Place)>,
    /// The only type that is asked for.
    type_name: Option<u32>,
    /// For each space, whether the principal is a member.
    memberships: Vec<bool>,
    outside: Outside,
    rules: Option<Evaluation<'e>>,
}

impl<'e> Survey<'e> {
    fn new(
        tenant: &'e TenantSnapshot,
        principal: &'e Principal<'e>,
        request: &'e Request,
        target: Option<(u32, Place)>,
    ) -> Self {
        let type_name = match request.resource() {
            ResourceRef::Any(Some(name)) => Some(tenant.things.type_number(name)),
            ResourceRef::Any(None) | ResourceRef::Id(_) | ResourceRef::Inline(_) => None,
        };
        let memberships = principal.spaces(tenant.things.spaces);
        let outside = Outside(vec![None; Outside::SIZE]);
        Self { tenant, principal, request, target, type_name, memberships, outside, rules: None }
    }

    /// The things that are granted, in their order. Most of a class that is refused are never looked at: only one's own are.
    fn things(mut self) -> Vec<u32> {
        let (all, principal, action) = (&self.tenant.things, self.principal, self.request.action());
        let is_own = |number| at(&all.placed, number).is_some_and(|thing| owns(principal, thing.owner, action));
        let mut seen = Marks::new(all.placed.len());
        for (number, class) in (0..).zip(&*all.classes) {
            let answer = if self.asks_for(class) { self.judge(class, false) } else { Answer::No };
            if answer == Answer::No {
                continue;
            }
            for number in all.by_class.of(number).iter().copied() {
                if answer == Answer::Yes || !is_own(number) {
                    seen.put(number, self.sees(number, class, false, answer));
                }
            }
        }
        let mut known = vec![None; all.classes.len()];
        for number in owned(all, principal, action) {
            let Some(thing) = at(&all.placed, number) else { continue };
            let Some(class) = at(&all.classes, thing.class).filter(|class| self.asks_for(class)) else { continue };
            let known = usize::try_from(thing.class).ok().and_then(|class| known.get_mut(class));
            let answer = known.map_or(Answer::No, |known| *known.get_or_insert_with(|| self.judge(class, true)));
            seen.put(number, self.sees(number, class, true, answer));
        }
        seen.numbers()
    }

    fn asks_for(&self, class: &Class) -> bool {
        self.type_name.is_none_or(|type_name| class.type_name == type_name)
    }

    /// Whether things of a class may be seen.
    fn judge(&mut self, class: &Class, own: bool) -> Answer {
        let Self { tenant, principal, request, target, memberships, outside, rules, .. } = self;
        let mut judge = || {
            let resolved = Resolved { thing: None, class: *class, own, target: *target };
            tenant.judge_class(principal, request, resolved, rules)
        };
        let member = at(memberships, class.space).copied().unwrap_or_default();
        // Rules tell types apart that the tables do not.
        match outside.slot(class, own).filter(|_| !member && tenant.rules.is_none()) {
            Some(slot) => *slot.get_or_insert_with(judge),
            None => judge(),
        }
    }

    /// Whether one thing may be seen, given the answer for its class.
    fn sees(&mut self, number: u32, class: &Class, own: bool, answer: Answer) -> bool {
        match answer {
            Answer::Yes => true,
            Answer::No => false,
            Answer::Each => {
                let resolved = Resolved { thing: Some(number), class: *class, own, target: self.target };
                self.tenant.weigh(self.principal, self.request, resolved, &mut self.rules).is_ok()
            }
        }
    }
}

impl Serialize for Visible {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_struct("Visible", 1)?;
        answer.serialize_field("allowed", &self.ids().collect::<Vec<_>>())?;
        answer.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::request::Subject;

    #[test]
    fn ones_own_things_are_those_that_one_owns() {
        let policy = r#"{"version":1,"tenants":{"acme":{"users":{"ben":{}},
            "spaces":{"s":{"type":"shared","owner":"ana"},"t":{"type":"data"}},
            "resources":{"a":{"type":"App","owner":"ana"},"b":{"type":"App"},"c":{"type":"App","owner":"bob","space":"s"}}}}}"#;
        let snapshot = Policy::parse(policy).unwrap().compile().unwrap();
        let tenant = snapshot.tenants.get("acme").unwrap();
        let (all, mut found) = (&tenant.things.placed, 0);
        for subject in [Subject::anonymous()].into_iter().chain(["ana", "ben", "bob", "eve"].map(Subject::user)) {
            let principal = Principal::new(tenant, &subject);
            for action in crate::Action::ALL.iter().copied() {
                let mut own: Vec<u32> = owned(&tenant.things, &principal, action).collect();
                own.sort_unstable();
                let expected = (0..).zip(all.iter()).filter(|(_, thing)| owns(&principal, thing.owner, action));
                assert!(expected.map(|(number, _)| number).eq(own.iter().copied()), "{subject:?} {action}");
                found += own.len();
            }
        }
        assert_eq!(found, crate::Action::ALL.len() * 3 + 4 * 2);
    }
}
