//! Where KMS is reached, if not at its usual place.

#![deny(clippy::arithmetic_side_effects)]

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::kms::KmsError;

/// Most bytes of an endpoint's URL: a host name has at most 253 (RFC 1035).
const MAX_ENDPOINT_BYTES: usize = 300;

/// A URL of a host alone: `https`, or `http` where the host is this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    url: String,
    is_tls: bool,
}

impl Endpoint {
    /// Looks at a URL. What a KMS is told in the clear, whoever is on the way can read: tenant keys.
    pub(super) fn parse(url: &str) -> Result<Self, KmsError> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let host = host_of(rest.strip_suffix('/').unwrap_or(rest));
        let is_tls = match (scheme, host) {
            ("https", Some(_)) => true,
            ("http", Some(host)) if is_loopback(host) => false,
            _ => return Err(refused(url)),
        };
        if url.len() > MAX_ENDPOINT_BYTES { Err(refused(url)) } else { Ok(Self { url: url.to_owned(), is_tls }) }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn is_tls(&self) -> bool {
        self.is_tls
    }
}

fn refused(url: &str) -> KmsError {
    // A URL can hold a password, which would then stand in a log.
    let shown = if url.contains('@') { "a URL with credentials".to_owned() } else { format!("`{}`", shorten(url)) };
    let what = format!("{shown} is not the endpoint of a KMS: `https://host[:port]`, or `http` on loopback");
    KmsError::Usage { what }
}

fn shorten(url: &str) -> String {
    url.chars().filter(|character| !character.is_control()).take(MAX_ENDPOINT_BYTES).collect()
}

/// The host of `host[:port]`, with the brackets of an IPv6 address.
fn host_of(authority: &str) -> Option<&str> {
    let end = if authority.starts_with('[') { authority.find(']')?.checked_add(1)? } else { find_or_end(authority) };
    let (host, port) = authority.split_at_checked(end)?;
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let port_is_right = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    (port_is_right && (address_v6(host).is_some() || is_name(host))).then_some(host)
}

fn find_or_end(authority: &str) -> usize {
    authority.find(':').unwrap_or(authority.len())
}

fn is_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}

fn address_v6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// `localhost` is this machine by RFC 6761.
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || address_v6(host).is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_clear_is_for_loopback() {
        for url in ["http://[::1]:4566", "http://127.0.0.1:4566/", "http://127.9.9.9", "http://localhost:4566"] {
            assert!(!Endpoint::parse(url).unwrap().is_tls(), "{url}");
        }
        for url in ["https://kms.example", "https://[2001:db8::1]:8443/", "https://192.0.2.1", "https://localhost"] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!((endpoint.url(), endpoint.is_tls()), (url, true));
        }
    }

    #[test]
    fn what_is_not_a_host_alone_is_refused() {
        for url in [
            "",
            "kms.example",
            "https://",
            "http://kms.example",
            "http://localhost.example:4566",
            "http://127.0.0.1.example",
            "http://[::2]:4566",
            "http://10.0.0.1",
            "ftp://localhost",
            "HTTP://kms.example",
            "https://kms.example/path",
            "https://kms.example?x=y",
            "https://kms.example#x",
            "https://kms.example:99999",
            "https://kms.example:+1",
            "https://kms.example:",
            "https://user:hunter2@kms.example",
            "http://127.0.0.1@kms.example",
            "https://[::1",
            "https://[::1]x",
            "https://a b",
            &format!("https://{}", "a".repeat(300)),
        ] {
            let error = Endpoint::parse(url).unwrap_err();
            assert_eq!(error.code(), "usage", "{url}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
