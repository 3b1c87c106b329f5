//! Whether this machine's clock agrees with its peers'. Nothing that the daemon decides depends on it: waits are measured
//! by a hand that never jumps, deadlines are block heights. But logs of different parties are read side by side, and
//! certificates of `https` endpoints are judged by the date, so a node whose clock is off says so.

use std::time::Duration;

use tracing::{info, warn};
use transport::{ClockOffset, Links};

/// A clock may differ by so much from the middle of its peers' before it is called wrong.
pub const SKEW_MAX_MS: u64 = 5_000;
/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// This machine's clock against its peers'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// How far the middle of the peers' clocks is ahead of ours, in milliseconds; negative when ours is ahead.
    pub peers_ahead_ms: i64,
    /// How many peers were measured.
    pub peers: usize,
}

impl Skew {
    /// From the measured offsets: their median; of two middle ones the one nearer to ours. `None` without any.
    #[must_use]
    pub fn of(offsets: impl IntoIterator<Item = ClockOffset>) -> Option<Self> {
        let mut ahead: Vec<i64> = offsets.into_iter().map(|offset| offset.ahead_ms).collect();
        ahead.sort_unstable();
        let peers = ahead.len();
        let middle = [ahead.get(peers.checked_sub(1)? / 2), ahead.get(peers / 2)];
        let nearest = middle.into_iter().flatten().min_by_key(|ahead| ahead.unsigned_abs())?;
        Some(Self { peers_ahead_ms: *nearest, peers })
    }

    /// Whether somebody must look.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.peers_ahead_ms.unsigned_abs() > SKEW_MAX_MS
    }

    /// What is wrong, in words with a remedy; empty if nothing is.
    #[must_use]
    pub fn warning(&self) -> String {
        if !self.is_wrong() {
            return String::new();
        }
        let side = if self.peers_ahead_ms < 0 { "ahead of" } else { "behind" };
        let seconds = self.peers_ahead_ms.unsigned_abs() / 1_000;
        // Of two nobody knows who is right.
        let whose = if self.peers == 1 { "or the peer's is wrong" } else { "is wrong" };
        format!(
            "this machine's clock is {seconds} s {side} the middle of {} measured peers': it {whose}; set it by NTP",
            self.peers
        )
    }
}

/// What the links have measured.
#[must_use]
pub fn skew(links: &Links) -> Option<Skew> {
    Skew::of(links.snapshot().into_iter().filter(|link| link.up).filter_map(|link| link.clock_offset))
}

/// Tells people when the clock goes wrong, and when it is right again.
pub(super) async fn watch(links: Links) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut wrong = false;
    loop {
        looks.tick().await;
        let Some(skew) = skew(&links) else { continue };
        if skew.is_wrong() && !wrong {
            warn!("{}", skew.warning());
        } else if wrong && !skew.is_wrong() {
            info!("this machine's clock agrees with its peers' again");
        }
        wrong = skew.is_wrong();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ahead: &[i64]) -> Option<Skew> {
        Skew::of(ahead.iter().map(|ahead_ms| ClockOffset { ahead_ms: *ahead_ms, error_ms: 1 }))
    }

    #[test]
    fn one_wrong_peer_of_several_makes_nobody_else_wrong() {
        assert!(!of(&[3, 900_000]).unwrap().is_wrong());
        assert!(!of(&[-900_000, 2, 3]).unwrap().is_wrong());
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_clock_that_differs_from_most_peers_is_wrong_and_says_how() {
        let behind = of(&[59_000, 60_000, 61_000, -2]).unwrap();
        assert_eq!(behind, Skew { peers_ahead_ms: 59_000, peers: 4 });
        assert!(behind.warning().contains("59 s behind") && behind.warning().contains("NTP"), "{}", behind.warning());
        let ahead = of(&[-6_000, -7_000]).unwrap();
        assert!(ahead.warning().contains("6 s ahead of"), "{}", ahead.warning());
        assert!(of(&[6_000]).unwrap().warning().contains("or the peer's"));
        assert_eq!(of(&[5_000]).unwrap().warning(), "");
    }

    #[test]
    fn absurd_dates_do_not_overflow() {
        assert!(of(&[i64::MIN]).unwrap().is_wrong());
        assert!(of(&[i64::MAX, i64::MAX]).unwrap().is_wrong());
    }
}
