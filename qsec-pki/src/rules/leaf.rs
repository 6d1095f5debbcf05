//! Rows 11 to 15: what a leaf says about itself.

use super::Terms;
use crate::certificate::extension::{Form, GeneralName, usage};
use crate::certificate::role_of_purposes;
use crate::certificate::view::View;
use crate::name::{DnsName, SpiffeId};
use crate::rejection::{Position, Reason, Rejection};
use crate::role::Role;

/// Most DNS names of a leaf.
pub(crate) const MAX_DNS_NAMES: usize = 16;

/// Who a leaf says that it is.
#[derive(Debug)]
pub(crate) struct LeafFacts {
    pub(crate) id: SpiffeId,
    pub(crate) dns: Vec<DnsName>,
    /// The role by its purposes.
    pub(crate) role: Role,
}

pub(super) fn check(leaf: &View<'_>, terms: Terms<'_>) -> Result<LeafFacts, Rejection> {
    check_constraints(leaf)?;
    check_key_usage(leaf)?;
    let role = check_purposes(leaf, terms)?;
    let (id, dns) = check_names(leaf)?;
    if id.zone() != terms.bundle.zone().as_str() {
        let detail = format!("leaf is of zone `{}`, not of `{}`", id.zone(), terms.bundle.zone());
        return Err(refuse(Reason::WrongZone, detail));
    }
    Ok(LeafFacts { id, dns, role })
}

fn refuse(reason: Reason, detail: impl Into<std::borrow::Cow<'static, str>>) -> Rejection {
    Rejection::new(reason, Position::Certificate(0), detail)
}

/// Row 11.
fn check_constraints(leaf: &View<'_>) -> Result<(), Rejection> {
    if leaf.basic_constraints().is_some_and(|constraints| constraints.ca || constraints.path_len.is_some()) {
        return Err(refuse(Reason::LeafIsCa, "leaf is an authority, or has a path length"));
    }
    if leaf.name_constraints().is_some() {
        return Err(refuse(Reason::LeafHasNameConstraints, "leaf has name constraints"));
    }
    Ok(())
}

/// Row 12.
fn check_key_usage(leaf: &View<'_>) -> Result<(), Rejection> {
    match leaf.key_usage() {
        Some(usage::DIGITAL_SIGNATURE) => Ok(()),
        Some(_) => Err(refuse(Reason::LeafKeyUsage, "leaf has other key usages than digitalSignature")),
        None => Err(refuse(Reason::LeafKeyUsage, "leaf has no key usage")),
    }
}

/// Row 13.
fn check_purposes(leaf: &View<'_>, terms: Terms<'_>) -> Result<Role, Rejection> {
    let Some(purposes) = leaf.extended_key_usage() else {
        return Err(refuse(Reason::EkuMissing, "leaf has no extended key usage"));
    };
    let role = match role_of_purposes(purposes) {
        Some(Role::Peer) if !terms.peer_leaves => {
            let detail = "leaf is for servers and clients at once, and such leaves are not admitted here";
            return Err(refuse(Reason::EkuNotExact, detail));
        }
        Some(role) => role,
        None => return Err(refuse(Reason::EkuNotExact, "leaf has purposes besides serverAuth and clientAuth")),
    };
    if !role.covers(terms.role) {
        let detail = format!("leaf is for `{role}`, not for `{}`", terms.role);
        return Err(refuse(Reason::EkuWrongRole, detail));
    }
    Ok(role)
}

/// Row 14.
fn check_names(leaf: &View<'_>) -> Result<(SpiffeId, Vec<DnsName>), Rejection> {
    let Some(names) = leaf.names() else {
        return Err(refuse(Reason::SanMissing, "leaf has no subject alternative name"));
    };
    if names.iter().any(|name| !matches!(name.form, Form::Uri | Form::Dns)) {
        return Err(refuse(Reason::SanTypeNotAllowed, "leaf has names besides URI and DNS"));
    }
    let uris: Vec<_> = names.iter().filter(|name| name.form == Form::Uri).collect();
    let [uri] = uris.as_slice() else {
        return Err(refuse(Reason::UriNotExactlyOne, format!("leaf has {} URIs, not exactly one", uris.len())));
    };
    let id = SpiffeId::parse(text(uri)).map_err(|error| refuse(Reason::SpiffeIdMalformed, error.to_string()))?;
    let dns: Vec<_> = names.iter().filter(|name| name.form == Form::Dns).collect();
    if dns.len() > MAX_DNS_NAMES {
        return Err(refuse(
            Reason::DnsNameMalformed,
            format!("leaf has {} DNS names, at most 16 are taken", dns.len()),
        ));
    }
    let parse = |name: &&GeneralName<'_>| DnsName::parse(text(name));
    let dns: Result<Vec<_>, _> = dns.iter().map(parse).collect();
    Ok((id, dns.map_err(|error| refuse(Reason::DnsNameMalformed, error.to_string()))?))
}

/// The reader took ASCII only.
fn text<'a>(name: &GeneralName<'a>) -> &'a str {
    std::str::from_utf8(name.value).unwrap_or_default()
}
