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
//! # Policies of a tenant
//! [`crate::TenantPolicy`] says where a tenant's data may be, whether it is health data (PHI), which optional features it
//! has, and where what it loads is put. What makes it stricter holds at once, whoever says it; what allows more is the
//! operator's to say, and `operator_required` from anybody else. Each change is `tenant.policy_changed` in the log, on disk
//! before it holds; `qsec tenant policy acme --set policy.json` sets it.
//!
//! | policy | what it does | refused with |
//! |---|---|---|
//! | `phi` | nothing is sealed under a key of the internal KMS, nor without the reference of an agreement in `agreements`; the way back to the internal KMS is closed. [`crate::Tenant::seal_phi`] is for content that is marked: a tenant without this policy is refused it | `phi_requires_cmk` |
//! | `regions`, `require_multi_region` | KMS keys, and storage, are there only; the tenant's own region is always allowed for storage | `region_not_allowed`, `multi_region_required` |
//! | `features` | off; the operator lists the private endpoint, in the tenant's region, and may turn it on, as does an administrator with [`crate::Tenant::enable_feature`]; [`crate::Tenant::disclose`] gives names and kinds of fields, and has no place for a value | `feature_off`, `feature_data`, `region_not_allowed` |
//! | `storage` | [`crate::Tenant::storage`] says where landing data goes, and its staging target, which is the customer's even if the storage is not; credentials are kept under the tenant's key, for that target alone | `storage_not_configured` |
//!
//! A key that the customer owns does not reach everywhere: [`crate::tenant_policy::OUTSIDE_CUSTOMER_KEY`], which `qsec tenant
//! show` lists too. That a label is taken off does not say that no health data is left: the operator says so.
//!
//! # Access tables after a restart
//! Access tables come with the data of their app and are not stored: they name people. What is stored is that an app has
//! some. Until its data is loaded again, and its tables with it, its rows are refused with `obligation_unmet`; a purge of the
//! tenant removes that mark with the tenant's other records.
//!
//! # Strangers at the door
//! Who is refused before anybody knows them could fill the log. Of each tenant and type of refusal the first ten of a minute
//! are events; the others are one event with `count`, `first` and `last`, written with the next event after that minute, or
//! when the deployment is closed. Whoever is known stays an event each. A process that is killed within the minute loses the
//! count, never one of the ten.
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
