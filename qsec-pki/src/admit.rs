use std::fmt;
use std::sync::Arc;

use crate::name::SpiffeId;

/// Which members may talk to this service. There is no default: being in the zone admits nobody.
///
/// ```
/// use qsec_pki::{Admit, SpiffeId};
///
/// let admit = Admit::ids(["svc/proxy/*", "svc/engine/node/n7"]);
/// assert!(admit.admits(&SpiffeId::parse("spiffe://prod.internal/svc/proxy/node/n1")?));
/// assert!(!admit.admits(&SpiffeId::parse("spiffe://prod.internal/svc/engine/node/n8")?));
/// # Ok::<(), qsec_pki::NameError>(())
/// ```
#[derive(Clone)]
pub struct Admit(Arc<Rule>);

enum Rule {
    Ids(Vec<Pattern>),
    When(Box<dyn Fn(&SpiffeId) -> bool + Send + Sync>),
    AllMembers,
}

impl Admit {
    /// Members whose path matches one of the patterns, such as `svc/proxy/*`.
    ///
    /// A pattern is a path in which `*` stands for one segment, or, as the last one, for one or more. A pattern that is not
    /// well-formed, such as one with `*` inside a segment, admits nobody, and no configuration is made from it.
    pub fn ids<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Self {
        Self(Arc::new(Rule::Ids(patterns.into_iter().map(|text| Pattern::new(text.as_ref())).collect())))
    }

    /// Members that a function admits. It is asked on each verification, in the middle of a handshake: it must not wait.
    pub fn when(rule: impl Fn(&SpiffeId) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(Rule::When(Box::new(rule))))
    }

    /// Every member of the zone: for those who only ask who someone is.
    pub fn all_members() -> Self {
        Self(Arc::new(Rule::AllMembers))
    }

    /// Whether a member is admitted.
    pub fn admits(&self, id: &SpiffeId) -> bool {
        match &*self.0 {
            Rule::Ids(patterns) => patterns.iter().any(|pattern| pattern.matches(id.path())),
            Rule::When(rule) => rule(id),
            Rule::AllMembers => true,
        }
    }

    /// The first pattern that is not well-formed.
    pub(crate) fn malformed(&self) -> Option<&str> {
        match &*self.0 {
            Rule::Ids(patterns) => {
                patterns.iter().find(|pattern| !pattern.well_formed).map(|pattern| pattern.text.as_str())
            }
            Rule::When(_) | Rule::AllMembers => None,
        }
    }
}

impl fmt::Debug for Admit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Rule::Ids(patterns) => f.debug_list().entries(patterns.iter().map(|pattern| &pattern.text)).finish(),
            Rule::When(_) => f.write_str("Admit::when"),
            Rule::AllMembers => f.write_str("Admit::all_members"),
        }
    }
}

struct Pattern {
    text: String,
    well_formed: bool,
}

impl Pattern {
    fn new(text: &str) -> Self {
        // What a path would be if each star stood for a segment.
        let sample: Vec<_> = text.split('/').map(|segment| if segment == "*" { "x" } else { segment }).collect();
        let well_formed = SpiffeId::parse(&format!("spiffe://z/{}", sample.join("/"))).is_ok();
        Self { text: text.to_owned(), well_formed }
    }

    fn matches(&self, path: &str) -> bool {
        if !self.well_formed {
            return false;
        }
        let mut segments = path.split('/');
        let mut pattern = self.text.split('/').peekable();
        while let Some(part) = pattern.next() {
            let Some(segment) = segments.next() else { return false };
            if part == "*" && pattern.peek().is_none() {
                return true;
            }
            if part != "*" && part != segment {
                return false;
            }
        }
        segments.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(pattern: &str, path: &str) -> bool {
        Admit::ids([pattern]).admits(&SpiffeId::parse(&format!("spiffe://z/{path}")).unwrap())
    }

    #[test]
    fn last_star_is_the_rest_and_another_is_one_segment() {
        assert!(admits("svc/proxy/*", "svc/proxy/node/n1"));
        assert!(admits("svc/proxy/*", "svc/proxy/n1"));
        assert!(admits("svc/*/node/n1", "svc/proxy/node/n1"));
        assert!(admits("*", "svc/proxy"));
        assert!(admits("svc/proxy", "svc/proxy"));
        for (pattern, path) in [
            ("svc/proxy/*", "svc/proxy"),
            ("svc/proxy/*", "svc/proxy2/n1"),
            ("svc/proxy", "svc/proxy/n1"),
            ("svc/*/node/n1", "svc/a/b/node/n1"),
            ("svc/proxy", "SVC/proxy"),
        ] {
            assert!(!admits(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn malformed_patterns_admit_nobody() {
        for pattern in ["", "/", "svc/", "/svc", "svc/pro*", "svc//n", "spiffe://z/svc", "svc/**", "a b"] {
            let admit = Admit::ids(["svc/x", pattern]);
            assert_eq!(admit.malformed(), Some(pattern));
            assert!(!admits(pattern, "svc/proxy"), "{pattern}");
        }
        let nobody = Admit::ids(Vec::<String>::new());
        assert!(!nobody.admits(&SpiffeId::parse("spiffe://z/svc").unwrap()));
        assert_eq!(nobody.malformed(), None);
    }

    #[test]
    fn functions_decide_by_the_id() {
        let admit = Admit::when(|id| id.path().ends_with("/n7"));
        assert!(admit.admits(&SpiffeId::parse("spiffe://z/svc/n7").unwrap()));
        assert!(!admit.admits(&SpiffeId::parse("spiffe://z/svc/n8").unwrap()));
    }
}
