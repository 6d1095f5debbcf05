//! The manual of this room: chapters that begin with a reader's question.
//!
//! | question | chapter |
//! |---|---|
//! | How do I write down who may do what? | [`model_your_tenant`] |
//! | Somebody is refused. Why? | [`why_denied`] |
//! | I have security rules already. What changes? | [`from_security_rules`] |
//! | Two people open the same report. Who sees which rows? | [`section_access`] |
//! | Who can do more than their work needs? | [`least_privilege`] |

#[doc = include_str!("manual/model_your_tenant.md")]
pub mod model_your_tenant {}

#[doc = include_str!("manual/why_denied.md")]
pub mod why_denied {}

#[doc = include_str!("manual/from_security_rules.md")]
pub mod from_security_rules {}

#[doc = include_str!("manual/section_access.md")]
pub mod section_access {}

#[doc = include_str!("manual/least_privilege.md")]
pub mod least_privilege {}
