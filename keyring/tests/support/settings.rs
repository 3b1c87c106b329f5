//! What a campaign is told by its environment, and the time it measures.

use std::time::Instant;

/// A number from the environment.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[allow(clippy::disallowed_methods, reason = "a campaign measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
