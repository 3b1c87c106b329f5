//! The wall clock: the only place of this crate that reads it. Blocks get their time from here.

use std::time::{Duration, SystemTime};

/// Time since the Unix epoch.
#[allow(clippy::disallowed_methods, reason = "the one room that reads the wall clock; block times come from it")]
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
