//! Where Vault is: a scheme and a host, and nothing that could lead elsewhere.

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;

use crate::kms::KmsError;

/// `https://host[:port]`, or `http://` and a loopback host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address(String);

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, KmsError> {
        let refused = |why: &str| KmsError::Usage { what: format!("the address of Vault {why}") };
        let uri: Uri = text.parse().map_err(|_| refused("is no `https://host:port`"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refused("is no `https://host:port`"));
        };
        // Not echoed: a password in it would be shown.
        if authority.as_str().contains('@') {
            return Err(refused("must not hold a user or a password"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(refused("must not have a path or a query"));
        }
        match scheme {
            "https" => {}
            "http" if is_loopback(authority.host()) => {}
            "http" => return Err(refused("must be `https`: over plain HTTP whoever listens reads the token")),
            _ => return Err(refused("must be `https`")),
        }
        Ok(Self(format!("{scheme}://{authority}")))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 6761 section 6.3: `localhost` is the loopback address.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_on_loopback_are_taken() {
        for text in [
            "https://vault.example",
            "https://vault.example:8200/",
            "http://127.0.0.1:8200",
            "http://[::1]:8200",
            "http://localhost:8200",
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), text.trim_end_matches('/'));
        }
    }

    #[test]
    fn other_addresses_are_misuse_and_a_password_is_not_shown() {
        for text in [
            "",
            "vault.example",
            "http://vault.example",
            "http://10.0.0.1:8200",
            "http://127.0.0.1.example",
            "ftp://vault.example",
            "https://user:hunter2@vault.example",
            "http://127.0.0.1@vault.example",
            "https://vault.example/v1",
            "https://vault.example/?a=b",
        ] {
            let error = Address::parse(text).unwrap_err();
            assert_eq!(error.code(), "usage", "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
