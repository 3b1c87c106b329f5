//! How high a chain can be by now: a height above is a lie, or the fault of a node, and is not taken from it.
//!
//! Refuses to know who said it. It owes an answer that no single false height can spoil for those who come after.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::name::Height;

/// The fastest pace believed of a chain: ten times that of any zrChain, twice that of a hurried development chain.
const BLOCK_LEAST: Duration = Duration::from_millis(100);
/// Blocks that heads may be above that pace, all together: clocks and replies are not exact. So much, and what the pace
/// gives in the time of a block, is the most that a false head can gain.
const SLACK_BLOCKS: u64 = 100;

/// The highest head believed, and what may follow it.
///
/// The rule: **a chain makes at most one block in 100 ms.** From the last head believed to the next, time has passed by
/// the headers of both, of which none can be younger than our clock's now, or by our own watch since the first was seen:
/// the longer counts. So a node that was down or a chain that was read at a node far behind may leap as far as the
/// headers show, a clock that is wrong or set back stops nobody, and a header of the future earns nothing. What is above
/// the pace is added up and wears off with time, as in a leaky bucket: a liar gets the slack once, not at each look.
/// Before the first head stands block 0 at the Unix epoch.
pub(crate) struct Ceiling {
    known: Mutex<Known>,
}

#[derive(Clone, Copy, Default)]
struct Known {
    height: u64,
    /// Of its header, or of one before if that was younger: time spent is not spent again.
    time: Duration,
    seen: Option<Instant>,
    /// Blocks above the pace that have not worn off.
    above: u64,
}

impl Known {
    /// The blocks above the pace if the chain has reached a height; `None`: it cannot have.
    fn above_at(&self, height: u64, time: Duration, seen: Instant) -> Option<u64> {
        let watched = self.seen.map(|before| seen.saturating_duration_since(before)).unwrap_or_default();
        let passed = time.saturating_sub(self.time).max(watched);
        let pace = u64::try_from(passed.as_millis() / BLOCK_LEAST.as_millis()).unwrap_or(u64::MAX);
        let above = self.above.saturating_add(height.saturating_sub(self.height)).saturating_sub(pace);
        (above <= SLACK_BLOCKS).then_some(above)
    }
}

impl Ceiling {
    pub(crate) fn new() -> Self {
        Self { known: Mutex::default() }
    }

    /// Whether a chain can be so high now. Of the height of a state no header is at hand: it counts as of now, and the
    /// ceiling does not move.
    pub(crate) fn admits(&self, height: Height) -> bool {
        self.known().above_at(height.0, now(), Instant::now()).is_some()
    }

    /// Whether a head can be: if so, what follows is measured from it.
    pub(crate) fn raise(&self, height: Height, time_unix_ms: i64) -> bool {
        self.raise_at(height, time_unix_ms, now(), Instant::now())
    }

    fn raise_at(&self, Height(height): Height, time_unix_ms: i64, now: Duration, seen: Instant) -> bool {
        let time = Duration::from_millis(u64::try_from(time_unix_ms).unwrap_or(0)).min(now);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(above) = known.above_at(height, time, seen) else { return false };
        if height > known.height {
            *known = Known { height, time: known.time.max(time), seen: Some(seen), above };
        }
        true
    }

    /// The highest head believed.
    pub(crate) fn height(&self) -> Height {
        Height(self.known().height)
    }

    fn known(&self) -> Known {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time since the Unix epoch.
#[allow(clippy::disallowed_methods, reason = "heads are measured by when they came, as failed nodes rest by it")]
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds since the epoch at which all of this happens.
    const START: u64 = 1_750_000_000;
    const WEEK: u64 = 7 * 24 * 3600;

    /// A chain that is looked at: our clock, our watch.
    struct Desk {
        ceiling: Ceiling,
        watch: Instant,
    }

    impl Desk {
        fn new() -> Self {
            Self { ceiling: Ceiling::new(), watch: Instant::now() }
        }

        /// A head of this height and time, seen `at` by watch and `clock` by clock, in milliseconds after the start.
        fn sees(&self, height: u64, time: i64, clock: i64, at: u64) -> bool {
            let start = i64::try_from(START * 1000).unwrap();
            let now = Duration::from_millis(u64::try_from(start + clock).unwrap());
            self.ceiling.raise_at(Height(height), start + time, now, self.watch + Duration::from_millis(at))
        }
    }

    #[test]
    fn a_head_far_above_the_last_is_refused_and_leaves_no_trace() {
        let desk = Desk::new();
        assert!(desk.sees(5_000_000, -3_000, 0, 0));
        for lie in [1 << 60, u64::MAX, 5_000_500] {
            // Neither a header of now nor one of the future makes it true.
            assert!(!desk.sees(lie, 1_000, 1_000, 1_000) && !desk.sees(lie, i64::MAX / 2_000, 1_000, 1_000), "{lie}");
        }
        assert!(desk.sees(5_000_001, 2_000, 5_000, 5_000));
        assert_eq!(desk.ceiling.height(), Height(5_000_001));
    }

    #[test]
    fn the_first_head_is_of_a_chain_that_began_after_the_epoch() {
        assert!(!Desk::new().sees(1 << 60, 0, 0, 0));
        assert!(Desk::new().sees(50_000_000, 0, 0, 0));
    }

    #[test]
    fn the_slack_is_given_once_however_often_somebody_asks() {
        let desk = Desk::new();
        assert!(desk.sees(1_000, 0, 0, 0));
        let mut height = 1_000;
        for second in 1..=60 {
            let time = second * 1_000;
            while desk.sees(height + 50, time, time, time.unsigned_abs()) {
                height += 50;
            }
        }
        assert!((1_600..=1_700).contains(&height), "a minute at the fastest pace, and the slack: {height}");
        // A header of long ago does not bring back time that was spent.
        assert!(!desk.sees(height + 100, -3_600_000, 60_000, 60_000));
        assert!(!desk.sees(height + 100, 60_000, 60_000, 60_000));
    }

    #[test]
    fn long_silence_and_nodes_far_behind_are_leapt_over() {
        let (week, ms) = (i64::try_from(WEEK).unwrap() * 1_000, 1_000);
        // The machine slept, and its watch with it; then the chain is read again.
        let desk = Desk::new();
        assert!(desk.sees(1_000, 0, 0, 0) && desk.sees(1_000 + WEEK / 2, week, week, 5));
        // The first node that answers is a week behind; its neighbour is not.
        let desk = Desk::new();
        assert!(desk.sees(1_000, -week, 0, 0) && desk.sees(1_000 + WEEK / 2, -ms, 0, 1));
    }

    #[test]
    fn fast_blocks_and_wrong_clocks_are_no_lies() {
        for clock in [0, -86_400_000, 86_400_000] {
            let desk = Desk::new();
            // Our clock is off; a minute later it is set right; blocks come each 200 ms.
            for block in 0..3_000_u64 {
                let at = i64::try_from(block * 200).unwrap();
                let shown = if at < 60_000 { at + clock } else { at };
                assert!(desk.sees(7_000 + block, at, shown, block * 200), "block {block} by a clock off {clock} ms");
            }
        }
    }
}
