//! The wall clock, as an argument: the only room of this crate that may ask the operating system for the date.
//!
//! Wall time is used for two things only, both shown to people and to the health page: how far a peer's clock is from
//! ours, and when it was last heard. Nothing is decided by it.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Milliseconds since the Unix epoch, from wherever the owner wants them.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl WallClock {
    /// A clock that asks `unix_ms`. It must be cheap: it is called for every frame received.
    pub fn new(unix_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(unix_ms))
    }

    /// The machine's own clock. A date before 1970 reads as 0.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|| {
            #[allow(clippy::disallowed_methods, reason = "the clock room: the one place of this crate that reads it")]
            let now = SystemTime::now();
            now.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
        })
    }

    /// Now, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}
