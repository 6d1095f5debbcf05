//! The OAuth server: clients, and the token endpoint as a function from request to answer.
//!
//! Nothing here knows a web framework, a store or a clock. The caller loads the client that a request names, asks
//! [`TokenEndpoint::decide`], issues what was decided, and sends the answer.
//!
//! Supported so far: the grant `client_credentials` with `client_secret_basic` or `client_secret_post`, with or without
//! a `DPoP` proof. Implicit and password grants do not exist.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod answer;
mod client;
mod redirect_uri;
mod registration;
mod token_endpoint;
mod token_request;

pub use answer::{OAuthError, OAuthErrorCode, Response};
pub use client::{Client, ClientAuth, ClientSecret, ClientType, SecretHint};
pub use registration::{ClientRegistration, RegistrationError};
pub use token_endpoint::{Grant, TokenEndpoint};
pub use token_request::TokenRequest;
