//! keyring
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod clock;
pub mod identity;
pub mod roster;
pub mod store;
pub mod tag;
