//! Links between processes: delays, losses, partitions. Knows bytes and lanes, not what they mean.
//!
//! A frame belongs to the link's epoch at which it was sent: whatever is in flight when a link breaks is lost.

use std::collections::{BTreeMap, BTreeSet};

use mpc_core::{PartyIndex, SessionId};
use rand::Rng;
use rand_chacha::ChaCha20Rng;

/// A conversation on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// Packets of agreement and stock.
    Talk,
    /// The rounds of one run.
    Run(SessionId),
}

/// Longest time that a slow frame takes more.
const SLOW_MS_MAX: u64 = 2_000;

/// How the network behaves. Chances are in thousandths.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Shortest way of a frame, in milliseconds.
    pub latency_ms_min: u64,
    /// Usual longest way. Frames overtake each other within these bounds, also inside a lane.
    pub latency_ms_max: u64,
    /// Chance that a frame takes up to two seconds more.
    pub slow: u32,
    /// Chance that a frame arrives twice.
    pub twice: u32,
    /// Chance that a frame is lost although its link stands (a full queue).
    pub lost: u32,
}

impl Weather {
    /// Five to thirty milliseconds, nothing lost.
    pub const CALM: Self = Self { latency_ms_min: 5, latency_ms_max: 30, slow: 0, twice: 0, lost: 0 };

    /// Longest way of a frame that arrives.
    pub(crate) const fn way_ms_max(&self) -> u64 {
        self.latency_ms_max + if self.slow > 0 { SLOW_MS_MAX } else { 0 }
    }
}

/// All links.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) weather: Weather,
    /// Pairs that cannot reach each other.
    cut: BTreeSet<(PartyIndex, PartyIndex)>,
    alive: BTreeSet<PartyIndex>,
    epochs: BTreeMap<(PartyIndex, PartyIndex), u64>,
}

fn pair(one: PartyIndex, other: PartyIndex) -> (PartyIndex, PartyIndex) {
    if one < other { (one, other) } else { (other, one) }
}

impl Network {
    pub(crate) fn new(weather: Weather) -> Self {
        Self { weather, cut: BTreeSet::new(), alive: BTreeSet::new(), epochs: BTreeMap::new() }
    }

    pub(crate) fn is_up(&self, one: PartyIndex, other: PartyIndex) -> bool {
        self.alive.contains(&one) && self.alive.contains(&other) && !self.cut.contains(&pair(one, other))
    }

    pub(crate) fn epoch(&self, one: PartyIndex, other: PartyIndex) -> u64 {
        self.epochs.get(&pair(one, other)).copied().unwrap_or(0)
    }

    fn renew(&mut self, one: PartyIndex, other: PartyIndex) {
        *self.epochs.entry(pair(one, other)).or_default() += 1;
    }

    /// A process begins or ends. Gives the peers whose links changed.
    pub(crate) fn set_alive(&mut self, party: PartyIndex, alive: bool) -> Vec<PartyIndex> {
        if alive == self.alive.contains(&party) {
            return Vec::new();
        }
        if alive {
            self.alive.insert(party);
        } else {
            self.alive.remove(&party);
        }
        let peers: Vec<PartyIndex> = self
            .alive
            .iter()
            .copied()
            .filter(|peer| *peer != party && !self.cut.contains(&pair(*peer, party)))
            .collect();
        for peer in &peers {
            self.renew(party, *peer);
        }
        peers
    }

    /// Cuts or mends the link of two parties. `true` if that changed it for living ones.
    pub(crate) fn set_cut(&mut self, one: PartyIndex, other: PartyIndex, cut: bool) -> bool {
        let changed = if cut { self.cut.insert(pair(one, other)) } else { self.cut.remove(&pair(one, other)) };
        if changed {
            self.renew(one, other);
        }
        changed && self.alive.contains(&one) && self.alive.contains(&other)
    }

    /// How long each copy of a frame travels; empty if it is lost.
    pub(crate) fn ways(&self, rng: &mut ChaCha20Rng) -> Vec<u64> {
        let weather = self.weather;
        let happens = |rng: &mut ChaCha20Rng, chance: u32| chance > 0 && rng.gen_range(0..1_000) < chance;
        if happens(rng, weather.lost) {
            return Vec::new();
        }
        let copies = if happens(rng, weather.twice) { 2 } else { 1 };
        (0..copies)
            .map(|_| {
                let extra = if happens(rng, weather.slow) { rng.gen_range(0..SLOW_MS_MAX) } else { 0 };
                rng.gen_range(weather.latency_ms_min..=weather.latency_ms_max) + extra
            })
            .collect()
    }
}
