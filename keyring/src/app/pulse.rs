//! When a chain was last read. Kept by its follower, read by whoever asks whether this node sees anything: a read that is
//! too old is no health (law 10).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::agreement::clock::Millis;
use crate::clock::Clock;

/// Stands for never.
const NEVER: u64 = u64::MAX;

/// The pulse of one follower.
pub struct Pulse {
    clock: Arc<dyn Clock>,
    read_at: AtomicU64,
    looked_at: AtomicU64,
    look_failed: AtomicBool,
}

impl Pulse {
    /// Nothing was read yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let never = || AtomicU64::new(NEVER);
        Self { clock, read_at: never(), looked_at: never(), look_failed: AtomicBool::new(false) }
    }

    /// The head was read.
    pub fn head_read(&self) {
        self.read_at.store(self.clock.monotonic_ms(), Ordering::Relaxed);
    }

    /// Keyring and open requests were asked for: whether they were read.
    pub fn looked(&self, well: bool) {
        self.look_failed.store(!well, Ordering::Relaxed);
        if well {
            self.looked_at.store(self.clock.monotonic_ms(), Ordering::Relaxed);
        }
    }

    /// Since the head was last read; `None`: never.
    #[must_use]
    pub fn read_age_ms(&self) -> Option<Millis> {
        self.age(&self.read_at)
    }

    /// Since keyring and open requests were last read; `None`: never.
    #[must_use]
    pub fn look_age_ms(&self) -> Option<Millis> {
        self.age(&self.looked_at)
    }

    /// Whether the last attempt to read these failed.
    #[must_use]
    pub fn look_failed(&self) -> bool {
        self.look_failed.load(Ordering::Relaxed)
    }

    fn age(&self, at: &AtomicU64) -> Option<Millis> {
        let at = Some(at.load(Ordering::Relaxed)).filter(|at| *at != NEVER)?;
        Some(self.clock.monotonic_ms().saturating_sub(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn ages_grow_until_the_next_read_and_a_failed_look_leaves_its_age() {
        let clock = Arc::new(ManualClock::at(0));
        let pulse = Pulse::new(clock.clone());
        assert_eq!((pulse.read_age_ms(), pulse.look_age_ms(), pulse.look_failed()), (None, None, false));
        pulse.head_read();
        pulse.looked(true);
        clock.advance_ms(700);
        pulse.looked(false);
        assert_eq!((pulse.read_age_ms(), pulse.look_age_ms(), pulse.look_failed()), (Some(700), Some(700), true));
        pulse.head_read();
        pulse.looked(true);
        assert_eq!((pulse.read_age_ms(), pulse.look_age_ms(), pulse.look_failed()), (Some(0), Some(0), false));
    }
}
