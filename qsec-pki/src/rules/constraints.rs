//! Row 22: name constraints (RFC 5280 section 4.2.1.10), all of them evaluated here.
//!
//! Other verifiers ignore constraints of URIs, or refuse every chain that has one. Forms that are not evaluated are refused:
//! a constraint that nobody checks is none.

use super::numbered;
use crate::certificate::extension::{Form, GeneralName, NameConstraints};
use crate::certificate::view::View;
use crate::rejection::{Position, Reason, Rejection};

pub(super) fn check(views: &[View<'_>]) -> Result<(), Rejection> {
    // What an authority may name binds every certificate below it.
    for (below, constraints) in
        views.iter().enumerate().filter_map(|(index, view)| Some((index, view.name_constraints()?)))
    {
        for (at, view) in numbered(views).take(below) {
            for name in view.names().unwrap_or_default() {
                check_name(name, constraints, at)?;
            }
        }
    }
    for (at, view) in numbered(views) {
        let Some(constraints) = view.name_constraints() else { continue };
        if constraints.permitted.iter().chain(&constraints.excluded).any(|constraint| !is_evaluated(constraint)) {
            let detail = "intermediate constrains names in a form that is not evaluated";
            return Err(Rejection::new(Reason::NameConstraintUnsupported, at, detail));
        }
    }
    Ok(())
}

fn is_evaluated(constraint: &GeneralName<'_>) -> bool {
    match constraint.form {
        Form::Dns | Form::Uri => true,
        // An address and a mask.
        Form::IpAddress => matches!(constraint.value.len(), 8 | 32),
        Form::Other => false,
    }
}

fn check_name(name: &GeneralName<'_>, constraints: &NameConstraints<'_>, at: Position) -> Result<(), Rejection> {
    let of_form = |list: &[GeneralName<'_>]| -> Vec<bool> {
        list.iter()
            .filter(|constraint| constraint.form == name.form)
            .map(|constraint| matches(name, constraint))
            .collect()
    };
    let (permitted, excluded) = (of_form(&constraints.permitted), of_form(&constraints.excluded));
    let outside = !permitted.is_empty() && !permitted.contains(&true);
    if outside || excluded.contains(&true) {
        let detail = format!("`{}` is outside what the intermediate may name", String::from_utf8_lossy(name.value));
        return Err(Rejection::new(Reason::NameConstraintViolated, at, detail));
    }
    Ok(())
}

fn matches(name: &GeneralName<'_>, constraint: &GeneralName<'_>) -> bool {
    match name.form {
        Form::Dns => in_domain(name.value, constraint.value),
        Form::Uri => host_of(name.value).is_some_and(|host| is_host(host, constraint.value)),
        Form::IpAddress => in_network(name.value, constraint.value),
        Form::Other => false,
    }
}

/// A domain, or a name below it; the empty one is above all. With a leading dot, below it only.
fn in_domain(name: &[u8], domain: &[u8]) -> bool {
    if domain.is_empty() {
        return true;
    }
    let below = |suffix: &[u8]| {
        let start = name.len().checked_sub(suffix.len());
        start.and_then(|start| name.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    };
    if domain.first() == Some(&b'.') {
        return name.len() > domain.len() && below(domain);
    }
    name.eq_ignore_ascii_case(domain) || below(&[b".", domain].concat())
}

/// "When the constraint begins with a period, it MAY be expanded with one or more labels" - otherwise it is one host.
fn is_host(host: &[u8], constraint: &[u8]) -> bool {
    if constraint.is_empty() || constraint.first() == Some(&b'.') {
        in_domain(host, constraint)
    } else {
        host.eq_ignore_ascii_case(constraint)
    }
}

/// The host of a `spiffe://` URI, which has neither user nor port.
fn host_of(uri: &[u8]) -> Option<&[u8]> {
    uri.strip_prefix(b"spiffe://")?.split(|byte| *byte == b'/').next()
}

fn in_network(address: &[u8], network: &[u8]) -> bool {
    let Some((base, mask)) = network.split_at_checked(address.len()) else { return false };
    mask.len() == base.len()
        && address.iter().zip(base).zip(mask).all(|((byte, base), mask)| byte & mask == base & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_match_by_whole_labels() {
        for (name, domain, due) in [
            ("a.prod.internal", "prod.internal", true),
            ("prod.internal", "prod.internal", true),
            ("xprod.internal", "prod.internal", false),
            ("a.prod.internal", ".prod.internal", true),
            ("prod.internal", ".prod.internal", false),
            ("anything", "", true),
            ("a.prod.internal", "PROD.internal", true),
            ("internal", "prod.internal", false),
        ] {
            assert_eq!(in_domain(name.as_bytes(), domain.as_bytes()), due, "{name} in {domain}");
        }
    }

    #[test]
    fn hosts_of_uris_match_whole_or_below_a_dot() {
        for (uri, constraint, due) in [
            ("spiffe://prod.internal/a", "prod.internal", true),
            ("spiffe://a.prod.internal/a", "prod.internal", false),
            ("spiffe://a.prod.internal/a", ".prod.internal", true),
            ("spiffe://prod.internal/a", ".prod.internal", false),
            ("spiffe://prod.internal", "prod.internal", true),
            ("spiffe://prod.internal/a", "", true),
        ] {
            let name = GeneralName { form: Form::Uri, value: uri.as_bytes() };
            let constraint = GeneralName { form: Form::Uri, value: constraint.as_bytes() };
            assert_eq!(matches(&name, &constraint), due, "{uri} in {constraint:?}");
        }
    }

    #[test]
    fn addresses_match_under_their_mask() {
        assert!(in_network(&[10, 1, 2, 3], &[10, 0, 0, 0, 255, 0, 0, 0]));
        assert!(!in_network(&[11, 1, 2, 3], &[10, 0, 0, 0, 255, 0, 0, 0]));
        assert!(!in_network(&[10, 1, 2, 3], &[0; 32]));
    }
}
