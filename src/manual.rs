//! The manual: what to know before linking this into a service, and how common things are done.
//!
//! | question | where |
//! |---|---|
//! | How does a customer bring a key of their own, and what is that worth? | [`bring_your_own_key`] |
//! | What happens when a key is disabled, and who can open it again? | [`key_disabled`] |
//! | How do a tenant's keys move to another KMS, and must records be sealed again? | [`change_provider`] |
//! | Which losses are survived, and by what that was done beforehand? | [`disaster_recovery`] |
//! | Who is kept out, and by what? | `SECURITY.md` of the repository: every boundary, what is promised and what is not |
//! | Which format are sealed bytes, and how large may they be? | [`crate::crypto::manual`] |
//! | How is a tenant modelled in roles, spaces, rules and access tables? | [`crate::authz::manual`] |
//! | Which defaults are there, and why? | below, as is what is short enough for a paragraph |
//!
//! # Defaults, and why
//! | default | value | why |
//! |---|---|---|
//! | root key | made beside the deployment, mode 0600 | a newcomer runs at once; `doctor` warns, for whoever copies the folder has everything |
//! | tokens | ES256 | the smallest signatures that every OAuth stack validates |
//! | session | 20 minutes | short enough to end by itself, long enough to work |
//! | revocation bound | 60 seconds | the longest that a key disabled at its KMS may still be used from a cache; 0 asks each time |
//! | leaf certificates | 24 hours | short life is the first answer to a stolen key |
//! | deactivation | 30 days, 10 to 90 allowed | time to change one's mind, not to forget |
//! | section access | strict | a field that matches nothing refuses; it never shows everything |
//!
//! # Why was this denied?
//! The error of [`crate::Tenant::decide`] says which layer refused and what was missing, in words. The same is in the
//! tenant's audit tree as `decision.denied`: `qsec audit tail --tenant acme --type decision.` shows it.
//!
//! # Switching a tenant off
//! [`crate::Deployment::deactivate`] asks for the tenant's name, records the event, and from then on every surface
//! refuses: tokens, decisions, data, keys. [`crate::Deployment::reactivate`] brings everything back but sessions and
//! tokens from before: everybody signs in again.
//! A tenant can be protected; then one person takes the protection off and another one deactivates.
//!
//! # Proving what happened
//! [`crate::Tenant::prove`] gives a C2SP tlog-proof of one event. Whoever has it, the event's bytes and the tenant's
//! verifier key needs neither the log nor this crate. [`crate::Deployment::verify_log`] checks every byte of the log;
//! with the escrowed key also that nobody who took the machine rewrote what was before.
//!
//! # Moving a deployment
//! Stop it and move the folder. Nothing in it names its own path.

#[doc = include_str!("manual/bring_your_own_key.md")]
pub mod bring_your_own_key {}

#[doc = include_str!("manual/key_disabled.md")]
pub mod key_disabled {}

#[doc = include_str!("manual/change_provider.md")]
pub mod change_provider {}

#[doc = include_str!("manual/disaster_recovery.md")]
pub mod disaster_recovery {}
