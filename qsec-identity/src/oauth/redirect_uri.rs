//! Which redirect URIs and origins can be registered.

use crate::jose::key::is_plain;

/// Bytes of a redirect URI.
const MAX_REDIRECT_URI: usize = 2048;

/// An absolute https URI; http only to a loopback address; for native clients also a scheme of their own with a dot in it
/// (RFC 8252 section 7.1). No fragment, no user information, no `..`, ASCII throughout.
pub(super) fn is_registrable(uri: &str, native: bool) -> bool {
    let plain = is_plain(uri, MAX_REDIRECT_URI)
        && uri.is_ascii()
        && !uri.contains(['#', ' ', '\\', '"', '<', '>', '`', '{', '}', '|', '^', '*'])
        && !uri.contains("..");
    let Some((scheme, rest)) = uri.split_once(':').filter(|_| plain) else { return false };
    match scheme {
        "https" => authority(rest).is_some_and(is_host),
        "http" => authority(rest).is_some_and(is_loopback),
        _ => native && is_private_scheme(scheme) && !rest.is_empty(),
    }
}

/// A web origin (RFC 6454): scheme and authority, nothing else.
pub(super) fn is_origin(origin: &str) -> bool {
    let exact = origin.split_once(':').and_then(|(_, rest)| rest.strip_prefix("//"));
    is_registrable(origin, false) && exact.is_some_and(|authority| !authority.contains(['/', '?']))
}

/// The authority of `//authority/path`. `%` there would be a second spelling of a host.
fn authority(rest: &str) -> Option<&str> {
    let authority = rest.strip_prefix("//")?.split(['/', '?']).next()?;
    (!authority.contains(['@', '%'])).then_some(authority)
}

fn is_host(authority: &str) -> bool {
    let (host, port) = without_port(authority);
    let named = !host.is_empty()
        && host.split('.').all(|label| {
            let letters = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            !label.is_empty() && letters && !label.starts_with('-') && !label.ends_with('-')
        });
    port && named && host != "localhost" && !host.ends_with(".localhost")
}

fn is_loopback(authority: &str) -> bool {
    let (host, port) = without_port(authority);
    port && matches!(host, "127.0.0.1" | "[::1]")
}

/// The host, and whether what follows it is no port or a port.
fn without_port(authority: &str) -> (&str, bool) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host, port.parse::<u16>().is_ok_and(|number| number != 0 && port == number.to_string()))
        }
        Some(_) | None => (authority, true),
    }
}

fn is_private_scheme(scheme: &str) -> bool {
    let letters =
        scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'));
    scheme.contains('.') && scheme.starts_with(|first: char| first.is_ascii_lowercase()) && letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_loopback_are_registrable() {
        for uri in [
            "https://portal.example/cb",
            "https://a.example:8443/",
            "https://a.example",
            "http://127.0.0.1:4999/cb",
            "http://[::1]/cb",
            "https://a.example/cb?x=1",
        ] {
            assert!(is_registrable(uri, false), "{uri}");
        }
    }

    #[test]
    fn anything_that_could_lead_elsewhere_is_refused() {
        for uri in [
            "",
            "/cb",
            "portal.example/cb",
            "//portal.example/cb",
            "http://portal.example/cb",
            "http://localhost/cb",
            "https://localhost/cb",
            "https://portal.example/cb#f",
            "https://u@portal.example/",
            "https://u:p@portal.example/",
            "https://portal.example/../cb",
            "https://*.example/cb",
            "https://pörtal.example/",
            "https://Portal.example/",
            "https://portal.example:0/",
            "https://portal.example:99999/",
            "https://portal.example:/",
            "https:///cb",
            "https://",
            "https:portal.example",
            "https://portal%2eexample/",
            "https://portal.example\\@evil.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "com.example.app:/cb",
            "https://-a.example/",
            "https://a..b/",
            "https://portal.example/a b",
            "http://127.0.0.1.evil.example/",
            "http://[::2]/",
        ] {
            assert!(!is_registrable(uri, false), "{uri}");
        }
    }

    #[test]
    fn scheme_of_a_native_client_has_a_dot() {
        assert!(is_registrable("com.example.app:/cb", true));
        for uri in ["myapp:/cb", "javascript:x", "data:x", "com.example.app:", "COM.example:/cb"] {
            assert!(!is_registrable(uri, true), "{uri}");
        }
    }

    #[test]
    fn origin_is_scheme_and_authority_alone() {
        assert!(is_origin("https://portal.example") && is_origin("https://portal.example:8443"));
        for origin in [
            "https://portal.example/",
            "https://portal.example/x",
            "https://portal.example?x",
            "null",
            "*",
            "http://portal.example",
        ] {
            assert!(!is_origin(origin), "{origin}");
        }
    }
}
