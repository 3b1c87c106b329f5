//! The one clock, and the one source of chance, behind traits: everything else gets them as arguments.
//!
//! Two hands: `monotonic_ms` never goes back and measures waits; `wall_ms` is for people and logs and decides nothing.
//! Deadlines of requests are block heights and need neither. The first hand goes on while the machine sleeps: leases run on
//! it, and the peers' clocks do not stop meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time as the process sees it. In tests and in the simulation it is moved by hand.
pub trait Clock: Send + Sync {
    /// Milliseconds since this clock began, those included in which the machine slept. Never goes back.
    fn monotonic_ms(&self) -> u64;
    /// Milliseconds since 1970-01-01 UTC as this machine believes. May jump; never used to decide.
    fn wall_ms(&self) -> u64;
}

/// What this thread has computed since it began. For measurements alone.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}

/// Cryptographic randomness as an argument. `OsRng` in the daemon, a seeded generator in tests.
pub trait Randomness: rand::RngCore + rand::CryptoRng + Send {}

impl<R: rand::RngCore + rand::CryptoRng + Send> Randomness for R {}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    began: Duration,
}

/// Since the machine was started, awake or asleep. `Instant` leaves out what it slept.
fn since_boot() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Boottime)).unwrap_or_default()
}

impl SystemClock {
    /// A clock whose monotonic hand begins at zero now.
    pub fn new() -> Self {
        Self { began: since_boot() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic_ms(&self) -> u64 {
        u64::try_from(since_boot().saturating_sub(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    #[allow(clippy::disallowed_methods, reason = "the one room that reads the machine's clock")]
    fn wall_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The machine's clock with a wrong date, for tests of development builds. Its monotonic hand is right.
#[cfg(feature = "devnet")]
#[derive(Debug, Default)]
pub struct WrongClock {
    clock: SystemClock,
    ahead_ms: u64,
}

#[cfg(feature = "devnet")]
impl WrongClock {
    /// A clock that is so far ahead.
    pub fn ahead_by(ahead: Duration) -> Self {
        Self { clock: SystemClock::new(), ahead_ms: u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX) }
    }
}

#[cfg(feature = "devnet")]
impl Clock for WrongClock {
    fn monotonic_ms(&self) -> u64 {
        self.clock.monotonic_ms()
    }

    fn wall_ms(&self) -> u64 {
        self.clock.wall_ms().saturating_add(self.ahead_ms)
    }
}

/// Measures one span for the metrics; decides nothing.
#[derive(Debug)]
pub struct Stopwatch {
    began: Instant,
}

impl Stopwatch {
    /// Begins now.
    #[allow(clippy::disallowed_methods, reason = "the one room that reads the machine's clock")]
    pub fn begin() -> Self {
        Self { began: Instant::now() }
    }

    /// Seconds since it began.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock {
    monotonic_ms: AtomicU64,
    wall_ms: AtomicU64,
}

impl ManualClock {
    /// A clock at monotonic zero whose wall hand shows `wall_ms`.
    pub fn at(wall_ms: u64) -> Self {
        Self { monotonic_ms: AtomicU64::new(0), wall_ms: AtomicU64::new(wall_ms) }
    }

    /// Moves both hands forward.
    pub fn advance_ms(&self, by: u64) {
        self.monotonic_ms.fetch_add(by, Ordering::SeqCst);
        self.wall_ms.fetch_add(by, Ordering::SeqCst);
    }

    /// Sets the wall hand alone, back or forth, as a correction of the machine's time would.
    pub fn set_wall_ms(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn monotonic_ms(&self) -> u64 {
        self.monotonic_ms.load(Ordering::SeqCst)
    }

    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corrected_wall_clock_leaves_the_monotonic_hand_alone() {
        let clock = ManualClock::at(1_000_000);
        clock.advance_ms(250);
        clock.set_wall_ms(10);
        assert_eq!((clock.monotonic_ms(), clock.wall_ms()), (250, 10));
    }

    #[test]
    fn the_system_clock_never_goes_back() {
        let clock = SystemClock::new();
        let first = clock.monotonic_ms();
        assert!(clock.monotonic_ms() >= first);
        assert!(clock.wall_ms() > 1_600_000_000_000, "the machine's clock is set");
    }
}
