//! Which resources? One pass over the tenant, one decision a class.

use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::bits::Bit;
use crate::request::{Request, ResourceRef};
use crate::snapshot::principal::Principal;
use crate::snapshot::tenant::{Class, at};
use crate::snapshot::{Answer, Resolved, TenantSnapshot, owns};

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

/// What is known of a class: for things of others, and for one's own.
#[derive(Debug, Clone, Copy, Default)]
struct Judged {
    other: Option<Answer>,
    own: Option<Answer>,
}

/// What is known of classes in spaces where the principal is no member: they differ by kind, place and owner alone.
#[derive(Debug)]
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

impl Visible {
    pub(crate) fn nothing() -> Self {
        Self { tenant: None, things: Vec::new() }
    }

    pub(crate) fn of(tenant: &Arc<TenantSnapshot>, request: &Request) -> Self {
        let principal = Principal::new(tenant, request.subject());
        let (Ok(()), Ok(target)) = (tenant.admit(&principal), tenant.target(request)) else { return Self::nothing() };
        let mut rules = None;
        let memberships = principal.spaces(tenant.things.spaces);
        let mut outside = Outside(vec![None; Outside::SIZE]);
        let mut classes = vec![Judged::default(); tenant.things.classes.len()];
        if let ResourceRef::Any(Some(type_name)) = request.resource() {
            exclude_other_types(tenant, type_name, &mut classes);
        }
        let mut things = Vec::new();
        for (position, thing) in (0_u32..).zip(&*tenant.things.placed) {
            let own = owns(&principal, thing.owner, request.action());
            let Some(judged) = classes.get_mut(usize::try_from(thing.class).unwrap_or(usize::MAX)) else { continue };
            let known = if own { &mut judged.own } else { &mut judged.other };
            let answer = known.get_or_insert_with(|| {
                let Some(class) = at(&tenant.things.classes, thing.class) else { return Answer::No };
                let resolved = Resolved { thing: Some(position), class: *class, own, target };
                let member = at(&memberships, class.space).copied().unwrap_or_default();
                let mut judge = || tenant.judge_class(&principal, request, resolved, &mut rules);
                // Rules tell types apart that the tables do not.
                match outside.slot(class, own).filter(|_| !member && tenant.rules.is_none()) {
                    Some(slot) => *slot.get_or_insert_with(judge),
                    None => judge(),
                }
            });
            let granted = match answer {
                Answer::Yes => true,
                Answer::No => false,
                Answer::Each => at(&tenant.things.classes, thing.class).is_some_and(|class| {
                    let resolved = Resolved { thing: Some(position), class: *class, own, target };
                    tenant.weigh(&principal, request, resolved, &mut rules).is_ok()
                }),
            };
            if granted {
                things.push(position);
            }
        }
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

fn exclude_other_types(tenant: &TenantSnapshot, type_name: &str, classes: &mut [Judged]) {
    let wanted =
        tenant.things.type_names.iter().position(|name| **name == *type_name).and_then(|at| u32::try_from(at).ok());
    for (judged, class) in classes.iter_mut().zip(&*tenant.things.classes) {
        if Some(class.type_name) != wanted {
            *judged = Judged { other: Some(Answer::No), own: Some(Answer::No) };
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
