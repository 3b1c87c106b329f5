//! Who sees which chain: a party that sees another block than a quorum of its peers at the same height is blind there.

use std::collections::BTreeMap;

use mpc_core::PartyIndex;

use super::word::{CHAINS_MAX, Sight};

/// Newest heights whose blocks are remembered, for each chain.
const HEIGHTS_MAX: usize = 256;

#[derive(Clone, Debug, Default)]
struct Chain {
    own: BTreeMap<u64, [u8; 32]>,
    /// The newest that each peer named.
    peers: BTreeMap<PartyIndex, (u64, [u8; 32])>,
    is_blind: bool,
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
            side.peers.insert(from, (sight.height, sight.hash));
            side.judge(quorum);
        }
    }

    pub(super) fn is_blind(&self, chain: &str) -> bool {
        self.chains.get(chain).is_some_and(|side| side.is_blind)
    }

    pub(super) fn blind(&self) -> impl Iterator<Item = &str> {
        self.chains.iter().filter(|(_, side)| side.is_blind).map(|(chain, _)| chain.as_str())
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
    /// Each peer counts once, by the newest block that it named, where this party knows its own block of that height.
    fn judge(&mut self, quorum: usize) {
        let other = |(height, hash): &&(u64, [u8; 32])| self.own.get(height).is_some_and(|own| own != hash);
        self.is_blind = self.peers.values().filter(other).count() >= quorum;
    }
}
