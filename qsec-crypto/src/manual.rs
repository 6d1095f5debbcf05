//! The manual of this room: chapters that begin with a reader's question.
//!
//! | question | chapter |
//! |---|---|
//! | Which of the formats do I take? | [`which_format`] |
//! | How much may I seal, and how large may what I read be? | [`limits`] |
//! | Which byte stands where? | [`wire_formats`] |
//!
//! How a whole deployment lives with its keys (a customer's own key, a key that is disabled, a change of provider, a lost
//! region) stands in the manual of the facade, `qsec::manual`.

#[doc = include_str!("manual/which_format.md")]
pub mod which_format {}

#[doc = include_str!("manual/limits.md")]
pub mod limits {}

#[doc = include_str!("manual/wire_formats.md")]
pub mod wire_formats {}
