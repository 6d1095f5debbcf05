//! One client for each region, made when it is first needed and kept.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{BehaviorVersion, Config, Region, SharedHttpClient, StalledStreamProtectionConfig};
use aws_smithy_http_client::Builder as HttpBuilder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::endpoint::Endpoint;

/// Most clients that are kept: twice the regions that there are. Names of regions come with key ids, and whoever may
/// configure those must not fill the memory.
const MAX_CLIENTS: usize = 64;

/// How long the connection may take, the handshake of TLS included: half of what a keyring gives a call.
const MAX_CONNECT: Duration = Duration::from_secs(1);

/// How long a call may take for whoever has no timer: what a keyring gives all tries of an operation.
const MAX_CALL: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Clients {
    endpoint: Option<Endpoint>,
    of_region: HashMap<String, Endpoint>,
    made: RwLock<HashMap<String, Client>>,
}

impl Clients {
    pub(super) fn set_endpoint(&mut self, endpoint: Endpoint) {
        self.endpoint = Some(endpoint);
        self.forget();
    }

    pub(super) fn set_region_endpoint(&mut self, region: &str, endpoint: Endpoint) {
        self.of_region.insert(region.to_owned(), endpoint);
        self.forget();
    }

    /// The client of a region.
    pub(super) fn of(&self, region: &str) -> Client {
        if let Some(client) = self.made.read().unwrap_or_else(PoisonError::into_inner).get(region) {
            return client.clone();
        }
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(region) {
            return client.clone();
        }
        let client = self.make(region);
        if made.len() < MAX_CLIENTS {
            made.insert(region.to_owned(), client.clone());
        }
        client
    }

    fn forget(&mut self) {
        self.made.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Every setting that the SDK would otherwise choose for itself, and change with its versions, is said here.
    fn make(&self, region: &str) -> Client {
        let endpoint = self.of_region.get(region).or(self.endpoint.as_ref());
        let timeouts = TimeoutConfig::builder().connect_timeout(MAX_CONNECT).operation_timeout(MAX_CALL).build();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region.to_owned()))
            .http_client(http_client(endpoint.is_none_or(Endpoint::is_tls)))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .disable_clock_skew_correction(true);
        let config = match endpoint {
            Some(endpoint) => config.endpoint_url(endpoint.url()),
            None => config,
        };
        Client::from_conf(config.build())
    }
}

/// TLS with a provider that is named, so that no default of the process decides; or none, for loopback.
fn http_client(is_tls: bool) -> SharedHttpClient {
    if is_tls {
        HttpBuilder::new().tls_provider(Provider::rustls(CryptoMode::Ring)).build_https()
    } else {
        HttpBuilder::new().build_http()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_kept_and_not_without_end() {
        let clients = Clients::default();
        for number in 0..MAX_CLIENTS + 5 {
            clients.of(&format!("eu-test-{number}"));
            clients.of("eu-test-0");
        }
        assert_eq!(clients.made.read().unwrap().len(), MAX_CLIENTS);
    }

    #[test]
    fn a_client_is_of_its_region_and_does_not_try_again() {
        let client = Clients::default().of("eu-central-1");
        assert_eq!(client.config().region().unwrap().as_ref(), "eu-central-1");
        assert_eq!(client.config().retry_config().unwrap().max_attempts(), 1);
    }

    #[test]
    fn another_endpoint_takes_another_client() {
        let mut clients = Clients::default();
        clients.of("eu-central-1");
        clients.set_endpoint(Endpoint::parse("http://[::1]:4566").unwrap());
        assert!(clients.made.read().unwrap().is_empty());
    }
}
