//! When an attempt has waited long enough. Turns are liveness only; nothing here can break a law.
//!
//! A clock starts when its attempt opens and anew with every sign of life of that attempt. It runs out
//! `2^j × max(1 s, 3 × longest recent gap + 4 round trips)` after the last sign, where `j` counts the clocks of this
//! decree that ran out. The time before the first round, and the time after it, each last at most a third of the
//! lifetime that was left when they began: fixed clocks taken from an unloaded run livelock under load.

use crate::planted::{self, Plant};

/// Milliseconds of a monotonic clock that starts anywhere.
pub type Millis = u64;

/// Shortest clock.
const CLOCK_MIN_MS: Millis = 1_000;
/// Longest clock, whatever the doubling says; beyond it only the lifetime bounds.
const CLOCK_MAX_MS: Millis = 60_000;
/// What is assumed of gaps before one was seen. Three of these let an unknown machine compute one slow round.
pub const GAP_ASSUMED_MS: Millis = 1_000;

/// The clock of the attempt that is open.
#[derive(Clone, Debug)]
pub struct AttemptClock {
    phase_began: Millis,
    phase_longest: Millis,
    last_sign: Millis,
    gap: Millis,
    ran_out: u32,
}

impl AttemptClock {
    /// A clock for the first attempt. `gap` is the longest recent gap seen on this node, `lifetime_left` of the request.
    #[must_use]
    pub const fn new(now: Millis, gap: Millis, lifetime_left: Millis) -> Self {
        Self { phase_began: now, phase_longest: lifetime_left / 3, last_sign: now, gap, ran_out: 0 }
    }

    /// The next attempt opens, or the first round of a run begins: a new third of what is left.
    pub const fn begin_phase(&mut self, now: Millis, lifetime_left: Millis) {
        self.phase_began = now;
        self.phase_longest = lifetime_left / 3;
        self.last_sign = now;
    }

    /// A valid message or hint of the open attempt.
    pub fn sign_of_life(&mut self, now: Millis) {
        self.gap = self.gap.max(now.saturating_sub(self.last_sign));
        self.last_sign = now;
    }

    /// Nothing can be expected now (no quorum is there): time stands still.
    pub const fn hold(&mut self, now: Millis) {
        self.last_sign = now;
        self.phase_began = now;
    }

    /// The clock ran out.
    pub const fn run_out(&mut self) {
        self.ran_out += 1;
    }

    /// Parties came back: what ran out while they were away says nothing about the future.
    pub const fn forgive(&mut self) {
        self.ran_out = 0;
    }

    /// Longest gap seen so far, for the node's estimate.
    #[must_use]
    pub const fn gap(&self) -> Millis {
        self.gap
    }

    /// When it runs out, `round_trip` being the longest to a present peer.
    #[must_use]
    pub fn runs_out_at(&self, round_trip: Millis) -> Millis {
        if planted::is(Plant::FixedClocks) {
            return self.phase_began + 2 * CLOCK_MIN_MS;
        }
        let once = CLOCK_MIN_MS.max(self.gap.saturating_mul(3).saturating_add(round_trip.saturating_mul(4)));
        let wait = once.saturating_mul(1 << self.ran_out.min(16)).min(CLOCK_MAX_MS);
        (self.last_sign + wait).min(self.phase_began + self.phase_longest.max(CLOCK_MIN_MS))
    }
}
