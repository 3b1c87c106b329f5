//! How far the last part of a ceremony is: links, primes, auxiliary data, first shelf. Pure: what the node says, and the
//! time that passed, in; stages out.
//!
//! The search for safe primes has no memory: however long it took, what is left takes as long as ever. So it is shown by
//! what was found and tried, with the time that the rest takes on the average and in nineteen of twenty cases, never as
//! a part of a whole that nobody knows.

use crate::admin::proto::StatusReply;
use mpc_core::primes;
use serde::Serialize;

/// Factors on the mean time for one prime within which, in nineteen of twenty cases, so many primes are found: the
/// quantiles of the Erlang distribution for 1, 2, 3 and 4.
const NINETEEN_OF_TWENTY: [f64; 4] = [3.00, 4.74, 6.30, 7.75];
/// Candidates before which a pace is not known.
const CANDIDATES_LEAST: u64 = 50;

/// One part of the work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// How much is done.
    pub done: u64,
    /// Of how much.
    pub wanted: u64,
    /// What it waits for, or how it goes.
    pub note: String,
}

/// Everything, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// In the order in which they begin.
    pub stages: Vec<Stage>,
    /// Peers that hold another roster: somebody must act.
    pub strangers: Vec<String>,
    /// Whether this party's own part is done.
    pub own_done: bool,
    /// Whether all parties' lanes are as full as ours should be.
    pub all_done: bool,
}

/// What is remembered from one look to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// Most primes seen: once a run has taken them, the node has none.
    primes: u64,
    /// Time and candidates at the first look during this search.
    since: Option<(u64, u64)>,
}

impl Watch {
    /// Looks at the node's words at this time. `shelf` is the number of keys that a lane should hold.
    pub fn look(&mut self, status: &StatusReply, shelf: u64, now_ms: u64) -> Progress {
        let stock = status.stock.unwrap_or_default();
        self.primes = self.primes.max(stock.primes_found.into());
        if stock.auxiliary {
            self.primes = primes::SET_LEN as u64;
        }
        let primes = Stage {
            name: "safe primes",
            done: self.primes,
            wanted: primes::SET_LEN as u64,
            note: self.searched(stock.searching, stock.candidates, now_ms),
        };
        let auxiliary = Stage {
            name: "auxiliary data",
            done: stock.auxiliary.into(),
            wanted: 1,
            note: match (stock.auxiliary, status.runs) {
                (true, _) => "in force",
                (false, 0) => "begins when every party is here with its primes",
                (false, _) => "being made and proved with every other party",
            }
            .to_owned(),
        };
        let lane = |party: u32| -> u64 {
            status.shelf.iter().filter(|lane| lane.party == party).map(|lane| u64::from(lane.free)).sum()
        };
        let own = lane(status.party);
        let keys = Stage {
            name: "shelf",
            done: (0..status.of).map(|party| lane(party).min(shelf)).sum(),
            wanted: shelf.saturating_mul(status.of.into()),
            note: format!("{} of {shelf} finished keys in this party's lane", own.min(shelf)),
        };
        let own_done = stock.auxiliary && own >= shelf;
        let all_done = own_done && keys.done >= keys.wanted;
        Progress {
            stages: vec![links(status), primes, auxiliary, keys],
            strangers: strangers(status),
            own_done,
            all_done,
        }
    }

    fn searched(&mut self, searching: bool, candidates: u64, now_ms: u64) -> String {
        let missing = (primes::SET_LEN as u64).saturating_sub(self.primes);
        if missing == 0 {
            return "found".to_owned();
        }
        if !searching {
            self.since = None;
            return "not searching".to_owned();
        }
        let (begun_ms, begun_with) = *self.since.get_or_insert((now_ms, candidates));
        let tried = format!("{candidates} candidates tested");
        match remaining(missing, candidates.saturating_sub(begun_with), now_ms.saturating_sub(begun_ms)) {
            None => format!("{tried}; too early to say how long"),
            Some((mean, most)) => {
                format!("{tried}; the rest takes {mean} s on the average, at most {most} s in 19 of 20 cases")
            }
        }
    }
}

fn links(status: &StatusReply) -> Stage {
    let waits: Vec<_> = status.peers.iter().filter(|peer| !peer.up).map(|peer| peer.name.as_str()).collect();
    Stage {
        name: "links",
        done: status.peers.len().saturating_sub(waits.len()) as u64,
        wanted: status.of.saturating_sub(1).into(),
        note: if waits.is_empty() {
            "all hold this roster".to_owned()
        } else {
            format!("waiting for {}", waits.join(", "))
        },
    }
}

fn strangers(status: &StatusReply) -> Vec<String> {
    let other = status.peers.iter().filter(|peer| !peer.up && peer.other_roster);
    other.map(|peer| format!("{}: {}", peer.name, peer.fault)).collect()
}

/// Mean seconds for so many primes, and seconds that suffice in nineteen of twenty cases, at the pace of so many
/// candidates in so many milliseconds. `None` before there were enough to know a pace.
fn remaining(missing: u64, candidates: u64, elapsed_ms: u64) -> Option<(u64, u64)> {
    if candidates < CANDIDATES_LEAST {
        return None;
    }
    let candidate_s = elapsed_ms as f64 / 1_000.0 / candidates as f64;
    let prime_s = candidate_s / primes::chance_of_candidate(primes::STANDARD_BITS);
    let most = NINETEEN_OF_TWENTY.get(usize::try_from(missing.checked_sub(1)?).ok()?)?;
    let seconds = |value: f64| value.ceil().clamp(1.0, 1e9) as u64;
    Some((seconds(prime_s * missing as f64), seconds(prime_s * most)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::proto::{Lane, Peer, Stock};

    fn status(stock: Stock, free: [u32; 3]) -> StatusReply {
        let peer = |name: &str| Peer { name: name.to_owned(), up: true, ..Peer::default() };
        let lane = |(party, free)| Lane { party, suite: "secp256k1".to_owned(), free };
        StatusReply {
            party: 1,
            of: 3,
            peers: vec![peer("alpha"), peer("gamma")],
            stock: Some(stock),
            shelf: (0..).zip(free).map(lane).collect(),
            ..StatusReply::default()
        }
    }

    fn search(primes_found: u32, candidates: u64) -> Stock {
        Stock { primes_found, candidates, searching: true, ..Stock::default() }
    }

    #[test]
    fn a_peer_with_another_roster_is_named() {
        let mut status = status(search(0, 0), [0; 3]);
        status.peers[1] =
            Peer { up: false, other_roster: true, fault: "holds another".to_owned(), ..status.peers[1].clone() };
        let progress = Watch::default().look(&status, 4, 0);
        assert_eq!(progress.strangers, ["gamma: holds another"]);
        assert_eq!((progress.stages[0].done, progress.stages[0].wanted), (1, 2));
        assert_eq!(progress.stages[0].note, "waiting for gamma");
    }

    #[test]
    fn the_search_promises_nothing_before_it_has_a_pace_and_no_less_however_long_it_took() {
        let mut watch = Watch::default();
        let first = watch.look(&status(search(1, 0), [0; 3]), 4, 0);
        assert!(first.stages[1].note.contains("too early"), "{}", first.stages[1].note);
        let later = watch.look(&status(search(1, 1_000), [0; 3]), 4, 1_000).stages[1].note.clone();
        let much_later = watch.look(&status(search(1, 100_000), [0; 3]), 4, 100_000).stages[1].note.clone();
        let promise = |note: &str| note.split_once("; ").unwrap().1.to_owned();
        assert_eq!(promise(&later), promise(&much_later), "the search has no memory");
        assert_eq!(promise(&later), "the rest takes 6 s on the average, at most 12 s in 19 of 20 cases");
    }

    #[test]
    fn primes_that_a_run_has_taken_stay_found() {
        let mut watch = Watch::default();
        watch.look(&status(search(4, 9), [0; 3]), 4, 0);
        let taken = watch.look(&status(Stock::default(), [0; 3]), 4, 1_000);
        assert_eq!(taken.stages[1].done, 4);
        assert_eq!(taken.stages[2].done, 0);
    }

    #[test]
    fn it_is_done_for_us_when_our_lane_is_full_and_for_all_when_every_lane_is() {
        let stock = Stock { auxiliary: true, ..Stock::default() };
        let mut watch = Watch::default();
        let mut done = |free| {
            let progress = watch.look(&status(stock, free), 4, 0);
            (progress.own_done, progress.all_done)
        };
        assert_eq!(done([4, 3, 4]), (false, false));
        assert_eq!(done([2, 4, 4]), (true, false));
        assert_eq!(done([4, 4, 9]), (true, true));
        let without = Watch::default().look(&status(Stock::default(), [4; 3]), 4, 0);
        assert!(!without.own_done, "without auxiliary data there is no ECDSA signature");
    }
}
