//! How far a peer's clock is from ours, from probes that carry both dates.
//!
//! Source: the on-wire calculation and the clock filter of NTP (Mills et al. 2010, RFC 5905, sections 8 and 10),
//! reduced to one server date per exchange: of the last samples the one with the shortest round trip is believed.

use std::collections::VecDeque;

/// A peer's clock against ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// Theirs minus ours, in milliseconds: positive when the peer's clock is ahead.
    pub ahead_ms: i64,
    /// The true offset lies within this many milliseconds of `ahead_ms`, if the peer is honest.
    pub error_ms: u64,
}

/// The last few samples.
#[derive(Debug, Default)]
pub(crate) struct OffsetFilter {
    samples: VecDeque<ClockOffset>,
}

/// Samples kept: at one probe every few seconds, about a minute.
const SAMPLES_MAX: usize = 8;

impl OffsetFilter {
    /// Takes one exchange: when the probe left, what the peer's clock said, when the answer came (Unix milliseconds).
    /// An exchange during which our own clock went back says nothing.
    pub(crate) fn add(&mut self, sent_ms: u64, theirs_ms: u64, received_ms: u64) {
        let Some(round_trip_ms) = received_ms.checked_sub(sent_ms) else {
            return;
        };
        let middle = i128::from(sent_ms) + i128::from(round_trip_ms / 2);
        let ahead = i128::from(theirs_ms) - middle;
        let ahead_ms = i64::try_from(ahead).unwrap_or(if ahead < 0 { i64::MIN } else { i64::MAX });
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(ClockOffset { ahead_ms, error_ms: round_trip_ms.div_ceil(2) });
    }

    /// The most certain of the last samples; of equals, the latest.
    pub(crate) fn best(&self) -> Option<ClockOffset> {
        self.samples.iter().rev().min_by_key(|sample| sample.error_ms).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_round_trip_is_believed() {
        let mut filter = OffsetFilter::default();
        filter.add(1000, 1600, 1200);
        filter.add(2000, 2505, 2010);
        filter.add(3000, 4000, 3900);
        assert_eq!(filter.best(), Some(ClockOffset { ahead_ms: 500, error_ms: 5 }));
    }

    #[test]
    fn an_absurd_date_is_clamped_and_a_step_back_is_ignored() {
        let mut filter = OffsetFilter::default();
        filter.add(10, 5, 9);
        assert_eq!(filter.best(), None);
        filter.add(0, u64::MAX, 2);
        assert_eq!(filter.best(), Some(ClockOffset { ahead_ms: i64::MAX, error_ms: 1 }));
        filter.add(u64::MAX, 0, u64::MAX);
        assert_eq!(filter.best(), Some(ClockOffset { ahead_ms: i64::MIN, error_ms: 0 }));
    }

    #[test]
    fn old_samples_are_forgotten() {
        let mut filter = OffsetFilter::default();
        filter.add(0, 0, 0);
        for _ in 0..SAMPLES_MAX {
            filter.add(0, 8, 2);
        }
        assert_eq!(filter.best(), Some(ClockOffset { ahead_ms: 7, error_ms: 1 }));
    }
}
