//! HTTP with a token, to one server: TLS on `ring` with named roots, bodies with a limit, no redirects.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{VaultRoots, error, unavailable, usage};
use crate::kms::{KeyId, KmsError};
use crate::secret::Secret;

/// Most bytes of an answer: a key with ten thousand versions, at 20 bytes each.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Room for a request: a key, and a context of the longest names in base64. More would be copied, and the copy left.
const REQUEST_BYTES: usize = 2 * 1024;

/// How long a connection may take to be made: as long as a keyring's whole call.
const CONNECT: Duration = Duration::from_secs(2);

pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    token: RwLock<Arc<Secret>>,
    namespace: Option<HeaderValue>,
}

/// An answer of any status.
pub(super) struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The body of a success.
    pub(super) fn ok(self, operation: &'static str, key_id: &KeyId) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        match self.status {
            200..=299 => Ok(self.body),
            status => Err(error::of_answer(status, self.retry_after, &self.body, operation, key_id)),
        }
    }
}

impl Http {
    pub(super) fn new(token: Secret, roots: &VaultRoots) -> Result<Self, KmsError> {
        header_of(&token)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(roots)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, token: RwLock::new(Arc::new(token)), namespace: None })
    }

    pub(super) fn replace_token(&self, token: Secret) -> Result<(), KmsError> {
        header_of(&token)?;
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(token);
        Ok(())
    }

    pub(super) fn set_namespace(&mut self, namespace: &str) -> Result<(), KmsError> {
        let header = HeaderValue::from_str(namespace);
        self.namespace = Some(header.map_err(|_| usage("the namespace is no header".to_owned()))?);
        Ok(())
    }

    pub(super) async fn call(&self, method: Method, url: &str, body: &impl Serialize) -> Result<Answer, KmsError> {
        let request = self.request(method, url, body)?;
        let response = self.client.request(request).await.map_err(|error| KmsError::Unavailable(Box::new(error)))?;
        let (status, retry_after) = (response.status().as_u16(), retry_after(&response));
        Ok(Answer { status, retry_after, body: read(response).await? })
    }

    fn request(&self, method: Method, url: &str, body: &impl Serialize) -> Result<Request<Full<Bytes>>, KmsError> {
        let invalid = |_| KmsError::Internal { what: "a request to Vault can be written" };
        let mut json = Zeroizing::new(Vec::with_capacity(REQUEST_BYTES));
        if method == Method::POST {
            serde_json::to_writer(&mut *json, body)
                .map_err(|_| KmsError::Internal { what: "a request to Vault can be written as JSON" })?;
        }
        let token = Arc::clone(&self.token.read().unwrap_or_else(PoisonError::into_inner));
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header("x-vault-token", header_of(&token)?)
            // Vault can be told to refuse whoever does not set it: a browser, or a server that was tricked, cannot.
            .header("x-vault-request", "true")
            .header(CONTENT_TYPE, "application/json");
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        // Erased when hyper lets go of it.
        request.body(Full::new(Bytes::from_owner(json))).map_err(invalid)
    }
}

/// Erased when dropped, and not shown by `Debug`.
fn header_of(token: &Secret) -> Result<HeaderValue, KmsError> {
    let bytes = Bytes::from_owner(Zeroizing::new(token.expose_secret().to_vec()));
    let header = if token.is_empty() { None } else { HeaderValue::from_maybe_shared(bytes).ok() };
    let mut header = header.ok_or_else(|| usage("the token is empty, or has characters of no token".to_owned()))?;
    header.set_sensitive(true);
    Ok(header)
}

fn tls(roots: &VaultRoots) -> Result<ClientConfig, KmsError> {
    let internal = |_| KmsError::Internal { what: "the TLS provider knows its versions" };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().map_err(internal)?;
    Ok(match roots {
        VaultRoots::WebPki => config.with_webpki_roots().with_no_client_auth(),
        VaultRoots::Pem(pem) => config.with_root_certificates(own_roots(pem)?).with_no_client_auth(),
    })
}

fn own_roots(pem: &[u8]) -> Result<RootCertStore, KmsError> {
    let refused = || usage("the roots are not certificates in PEM".to_owned());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| refused())?).map_err(|_| refused())?;
    }
    if roots.is_empty() { Err(refused()) } else { Ok(roots) }
}

/// Seconds, as servers that limit rates write them; a date is not read.
fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

async fn read(response: Response<Incoming>) -> Result<Zeroizing<Vec<u8>>, KmsError> {
    let (mut body, mut read) = (response.into_body(), Zeroizing::new(Vec::with_capacity(REQUEST_BYTES)));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| KmsError::Unavailable(Box::new(error)))?;
        let Some(data) = frame.data_ref() else { continue };
        if read.len().saturating_add(data.len()) > MAX_ANSWER_BYTES {
            return Err(unavailable("Vault's answer is too long"));
        }
        read.extend_from_slice(data);
    }
    Ok(read)
}
