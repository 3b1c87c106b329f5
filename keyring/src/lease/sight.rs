//! Who sees which chain: a party that sees another block than a quorum of its peers at the same height is blind there,
//! until a quorum, with itself, sees one block at that height or above.

use std::collections::{BTreeMap, VecDeque};

use mpc_core::PartyIndex;

use super::word::{CHAINS_MAX, Sight};

/// Newest heights whose blocks are remembered, for each chain.
const HEIGHTS_MAX: usize = 256;
/// Newest blocks that are remembered of what a peer named, for each chain: an endpoint that is some way behind the peer's
/// comes to them later.
const NAMED_MAX: usize = 32;

#[derive(Clone, Debug, Default)]
struct Chain {
    own: BTreeMap<u64, [u8; 32]>,
    /// What each peer named, the newest last.
    peers: BTreeMap<PartyIndex, VecDeque<(u64, [u8; 32])>>,
    /// While it is blind, the height from which on it must see what the others see.
    blind_from: Option<u64>,
}

/// What this party and its peers see.
#[derive(Clone, Debug, Default)]
pub(super) struct Sights {
    chains: BTreeMap<String, Chain>,
}

impl Sights {
    /// The own endpoint shows this block. An endpoint that shows another one than before at a height is taken at its
    /// newest word.
    pub(super) fn see(&mut self, chain: &str, height: u64, hash: [u8; 32], quorum: usize) {
        let side = self.chains.entry(chain.to_owned()).or_default();
        side.own.insert(height, hash);
        while side.own.len() > HEIGHTS_MAX {
            side.own.pop_first();
        }
        side.judge(quorum);
    }

    pub(super) fn told(&mut self, from: PartyIndex, sights: &[Sight], quorum: usize) {
        for sight in sights {
            // Only chains that are served here, and few: a peer cannot fill the memory.
            let Some(side) = self.chains.get_mut(&sight.chain) else { continue };
            let (named, block) = (side.peers.entry(from).or_default(), (sight.height, sight.hash));
            if named.back() != Some(&block) {
                named.push_back(block);
            }
            if named.len() > NAMED_MAX {
                named.pop_front();
            }
            side.judge(quorum);
        }
    }

    pub(super) fn is_blind(&self, chain: &str) -> bool {
        self.chains.get(chain).is_some_and(|side| side.blind_from.is_some())
    }

    /// Chains where it is blind, and the height at which others see another block.
    pub(super) fn blind(&self) -> impl Iterator<Item = (&str, u64)> {
        self.chains.iter().filter_map(|(chain, side)| Some((chain.as_str(), side.blind_from?)))
    }

    /// The newest block of each chain.
    pub(super) fn newest(&self) -> impl Iterator<Item = (&str, u64, [u8; 32])> {
        let newest = |side: &Chain| side.own.last_key_value().map(|(height, hash)| (*height, *hash));
        self.chains
            .iter()
            .filter_map(move |(chain, side)| newest(side).map(|(height, hash)| (chain.as_str(), height, hash)))
            .take(CHAINS_MAX)
    }
}

impl Chain {
    /// Each peer counts once, by the newest block that it named of whose height this party knows its own block.
    ///
    /// Once blind it stays so while the peers run ahead of its endpoint: no common height is no agreement. `Q − 1` peers
    /// that agree make a quorum with it, and leave no quorum that could still differ.
    fn judge(&mut self, quorum: usize) {
        let common = |named: &VecDeque<(u64, [u8; 32])>| {
            let block = |(height, hash): &(u64, [u8; 32])| self.own.get(height).map(|own| (*height, own == hash));
            named.iter().rev().find_map(block)
        };
        let (mut differ, mut agree, mut disputed) = (0, 0, self.blind_from.unwrap_or(0));
        for (height, is_same) in self.peers.values().filter_map(common) {
            if !is_same {
                differ += 1;
                disputed = disputed.max(height);
            } else if self.blind_from.is_some_and(|from| height >= from) {
                agree += 1;
            }
        }
        if differ >= quorum {
            self.blind_from = Some(disputed);
        } else if agree + 1 >= quorum {
            self.blind_from = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: &str = "chain";
    /// Of five parties.
    const QUORUM: usize = 3;

    fn named(sights: &mut Sights, peers: std::ops::RangeInclusive<u16>, height: u64, hash: u8) {
        let sight = Sight { chain: CHAIN.to_owned(), height, hash: [hash; 32], sequence: 0 };
        for peer in peers {
            sights.told(PartyIndex::new(peer), std::slice::from_ref(&sight), QUORUM);
        }
    }

    fn seen(sights: &mut Sights, height: u64, hash: u8) -> bool {
        sights.see(CHAIN, height, [hash; 32], QUORUM);
        sights.is_blind(CHAIN)
    }

    /// A party that sees another block 7 than three of its peers.
    fn blind() -> Sights {
        let mut sights = Sights::default();
        assert!(!seen(&mut sights, 6, 1) && !seen(&mut sights, 7, 9));
        named(&mut sights, 1..=3, 7, 1);
        assert!(sights.is_blind(CHAIN));
        sights
    }

    #[test]
    fn who_is_blind_stays_so_while_its_peers_run_ahead_of_its_endpoint() {
        let mut sights = blind();
        named(&mut sights, 1..=4, 8, 1);
        assert!(sights.is_blind(CHAIN), "it has no block 8 yet, which is no agreement");
        assert!(seen(&mut sights, 8, 9), "the same fork");
        named(&mut sights, 1..=4, 9, 1);
        assert!(sights.is_blind(CHAIN));
        assert!(!seen(&mut sights, 9, 1), "the chain of the others");
    }

    #[test]
    fn who_is_blind_sees_again_with_a_quorum_at_the_disputed_height_or_above() {
        let mut sights = blind();
        named(&mut sights, 1..=4, 6, 1);
        assert!(sights.is_blind(CHAIN), "they agreed below it before");
        assert!(seen(&mut sights, 8, 1));
        named(&mut sights, 1..=1, 8, 1);
        assert!(sights.is_blind(CHAIN), "one peer is no quorum");
        named(&mut sights, 2..=2, 8, 1);
        assert!(!sights.is_blind(CHAIN));
    }

    #[test]
    fn an_endpoint_that_is_behind_is_compared_when_it_comes_to_what_was_named() {
        let mut sights = Sights::default();
        assert!(!seen(&mut sights, 6, 1));
        (7..=7 + NAMED_MAX as u64 * 2).for_each(|height| named(&mut sights, 1..=3, height, 1));
        assert!(sights.chains[CHAIN].peers.values().all(|named| named.len() == NAMED_MAX));
        assert!(seen(&mut sights, 7 + NAMED_MAX as u64 * 2 - 3, 9));
    }
}
