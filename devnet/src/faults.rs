//! Faults of an endpoint, injected while it runs: a slow, lying-low, forgetful or lagging node.
//!
//! The chain itself stays honest: what an endpoint executes is executed. Each fault says how often it strikes. A lying
//! endpoint lies about single facts (a sequence, a height, a block's hash) and tells the truth otherwise.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Times {
    /// Not at all.
    #[default]
    Never,
    /// The next so many times.
    Next(u32),
    /// Until it is changed.
    Always,
}

impl Times {
    /// Does it strike now? Counts it if so.
    fn strike(&mut self) -> bool {
        match self {
            Self::Never | Self::Next(0) => false,
            Self::Next(left) => {
                *left -= 1;
                true
            }
            Self::Always => true,
        }
    }
}

/// Which height an endpoint shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lag {
    /// The newest.
    #[default]
    None,
    /// So many blocks behind the newest.
    Behind(u64),
    /// This one, or the newest if that is lower.
    StuckAt(u64),
}

impl Lag {
    /// The height shown when the chain is at `newest`.
    pub fn shown(self, newest: u64) -> u64 {
        match self {
            Self::None => newest,
            Self::Behind(blocks) => newest.saturating_sub(blocks),
            Self::StuckAt(height) => height.min(newest),
        }
    }
}

/// What an endpoint says of account sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sequences {
    /// The truth.
    #[default]
    True,
    /// So much more.
    Ahead(u64),
    /// So much less.
    Behind(u64),
}

impl Sequences {
    pub(crate) fn told(self, truth: u64) -> u64 {
        match self {
            Self::True => truth,
            Self::Ahead(by) => truth.saturating_add(by),
            Self::Behind(by) => truth.saturating_sub(by),
        }
    }
}

/// What an endpoint makes of a question that is pinned to a height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pinning {
    /// It answers from that height.
    #[default]
    Kept,
    /// It answers from its newest height, and says so.
    Ignored,
    /// It answers from its newest height, and says that it were the one asked for.
    Feigned,
}

/// What one endpoint does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Every call waits so long before it is looked at.
    pub delay: Duration,
    /// Reads end with UNAVAILABLE.
    pub fail_reads: Times,
    /// Broadcasts end with UNAVAILABLE and reach nothing.
    pub fail_broadcasts: Times,
    /// Broadcasts reach the mempool, then a block; then the answer is lost: UNAVAILABLE.
    pub lose_broadcast_answers: Times,
    /// Broadcasts reach the mempool and are never answered: the caller's own deadline ends the call.
    pub silence_broadcasts: Times,
    /// Broadcasts are answered as ever and reach nobody: a node that is cut off from the others. What is taken so never
    /// lands.
    pub swallow_broadcasts: Times,
    /// Broadcasts are delivered twice; the answer is that of the second delivery.
    pub deliver_twice: Times,
    /// The height that reads see.
    pub lag: Lag,
    /// What it says of account sequences.
    pub sequences: Sequences,
    /// What it makes of pinned questions.
    pub pin: Pinning,
    /// From this height on its blocks have other hashes than everybody else's: it follows another chain, or says so.
    pub forks_from: Option<u64>,
}

/// What happens to one broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BroadcastFate {
    pub(crate) fail: bool,
    pub(crate) lose_answer: bool,
    pub(crate) silence: bool,
    pub(crate) swallow: bool,
    pub(crate) twice: bool,
}

/// Sets and reads the faults of one endpoint.
#[derive(Debug, Clone, Default)]
pub struct FaultHandle {
    faults: Arc<Mutex<Faults>>,
}

impl FaultHandle {
    /// Replaces all faults.
    pub fn set(&self, faults: Faults) {
        self.change(|current| *current = faults);
    }

    /// Makes the endpoint honest.
    pub fn clear(&self) {
        self.set(Faults::default());
    }

    /// Changes some faults and leaves the others.
    pub fn change<T>(&self, change: impl FnOnce(&mut Faults) -> T) -> T {
        // A panicking holder leaves plain numbers behind, which stay meaningful.
        change(&mut self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is set now; counted faults show what is left of them.
    pub fn current(&self) -> Faults {
        self.change(|faults| *faults)
    }

    pub(crate) fn strikes_read(&self) -> bool {
        self.change(|faults| faults.fail_reads.strike())
    }

    pub(crate) fn fate_of_broadcast(&self) -> BroadcastFate {
        self.change(|faults| {
            let fail = faults.fail_broadcasts.strike();
            BroadcastFate {
                fail,
                lose_answer: !fail && faults.lose_broadcast_answers.strike(),
                silence: !fail && faults.silence_broadcasts.strike(),
                swallow: !fail && faults.swallow_broadcasts.strike(),
                twice: !fail && faults.deliver_twice.strike(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_fault_ends() {
        let handle = FaultHandle::default();
        handle.change(|faults| faults.fail_reads = Times::Next(2));
        assert_eq!([(); 3].map(|()| handle.strikes_read()), [true, true, false]);
    }

    #[test]
    fn a_broadcast_that_fails_uses_up_no_other_fault() {
        let handle = FaultHandle::default();
        handle.set(Faults {
            fail_broadcasts: Times::Next(1),
            lose_broadcast_answers: Times::Next(1),
            ..Faults::default()
        });
        let (first, second) = (handle.fate_of_broadcast(), handle.fate_of_broadcast());
        assert!(first.fail && !first.lose_answer);
        assert!(!second.fail && second.lose_answer);
    }

    #[test]
    fn a_lagging_endpoint_never_shows_the_future() {
        assert_eq!(Lag::Behind(3).shown(10), 7);
        assert_eq!(Lag::Behind(30).shown(10), 0);
        assert_eq!(Lag::StuckAt(5).shown(10), 5);
        assert_eq!(Lag::StuckAt(50).shown(10), 10);
    }
}
