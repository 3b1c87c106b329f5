//! What this party has read of a destination for one decree, when it reads again, and the proposal that waits for a block.
//!
//! Pure. A proposal that names a block is judged once that block is read (law 1); at most one block is read for each
//! ballot, and one at a time for each decree, whatever its leader says.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use chain_client::zrsign::transaction::Surroundings;

use crate::agreement::clock::Millis;
use crate::decree::{Ballot, DecreeId};
use crate::lines::LineName;
use crate::message::Packet;

/// How soon a destination is read again for a transaction that is to be completed, or that is in flight.
const LOOK_AGAIN_MS: Millis = 5_000;
/// The pause doubles up to this one while somebody waits for it: a destination may be down for long.
pub(super) const WAITING_MS_MAX: Millis = 20_000;
/// And up to this one while nobody does: a transaction may never be sent.
pub(super) const FLYING_MS_MAX: Millis = 160_000;
/// Final blocks by which the named one may be older than the newest that this party sees.
const AGE_BLOCKS_MAX: u64 = 32;
/// Blocks of a destination that are remembered for one decree.
const BLOCKS_MAX: usize = 8;

/// A block of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockName {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: B256,
}

/// What a destination shows of a wallet, from one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationLook {
    /// The newest final block.
    pub last_final: BlockName,
    /// The wallet's next nonce at it.
    pub nonce_final: u64,
    /// The final block that was asked about, or the newest.
    pub at: BlockName,
    /// What a transaction meets there.
    pub surroundings: Surroundings,
}

impl DestinationLook {
    /// Whether a transaction that is completed there would be out of date.
    pub(super) const fn is_stale(&self) -> bool {
        self.surroundings.nonce != self.nonce_final
            || self.at.height.saturating_add(AGE_BLOCKS_MAX) < self.last_final.height
    }
}

/// Why there is no look at a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The destination is not read: whatever goes there waits.
    Destination(String),
    /// It is, and this question has no answer there: the block is not final, or the transaction would revert.
    Question(String),
}

impl Unread {
    pub(super) fn note(&self) -> String {
        match self {
            Self::Destination(why) => format!("its destination is not read: {why}"),
            Self::Question(why) => format!("not completed: {why}"),
        }
    }
}

/// A proposal that waits until the block that it names is read.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) ballot: Ballot,
    pub(super) block: BlockName,
    pub(super) packet: Packet,
}

/// What this party has read for one decree: a completion's, or a signature's whose transaction is in flight.
#[derive(Debug)]
pub(super) struct Looks {
    pub(super) line: LineName,
    asked_at: Option<Millis>,
    asked_times: u32,
    newest: Option<B256>,
    seen: BTreeMap<B256, DestinationLook>,
    /// Why the destination was not read, when it was last tried.
    pub(super) unread: Option<String>,
    kept: Option<Kept>,
    /// The highest ballot for which a named block was read.
    waited: Option<Ballot>,
    /// The named block that is being read.
    reading: Option<BlockName>,
}

impl Looks {
    pub(super) const fn of(line: LineName) -> Self {
        Self {
            line,
            asked_at: None,
            asked_times: 0,
            newest: None,
            seen: BTreeMap::new(),
            unread: None,
            kept: None,
            waited: None,
            reading: None,
        }
    }

    pub(super) fn due_at(&self, pause_max: Millis) -> Millis {
        let doubled = LOOK_AGAIN_MS.saturating_mul(1 << self.asked_times.saturating_sub(1).min(10));
        self.asked_at.map_or(0, |asked| asked.saturating_add(doubled.min(pause_max)))
    }

    pub(super) const fn asks(&mut self, now: Millis) {
        self.asked_at = Some(now);
        self.asked_times = self.asked_times.saturating_add(1);
    }

    pub(super) fn took(&mut self, look: DestinationLook, is_newest: bool) {
        if self.seen.len() >= BLOCKS_MAX
            && let Some(oldest) = self.seen.values().min_by_key(|look| look.at.height).map(|look| look.at.hash)
        {
            self.seen.remove(&oldest);
        }
        self.seen.insert(look.at.hash, look);
        if is_newest {
            self.newest = Some(look.at.hash);
        }
    }

    /// What was seen at a block; at the newest if none is named.
    pub(super) fn seen(&self, block: Option<B256>) -> Option<&DestinationLook> {
        self.seen.get(&block.or(self.newest)?)
    }

    /// Keeps a proposal that names a block, or gives it back: its block was read already, or was for another proposal of this
    /// ballot.
    pub(super) fn keep(&mut self, kept: Kept) -> Option<Packet> {
        if self.seen.contains_key(&kept.block.hash) {
            return Some(kept.packet);
        }
        if self.waited >= Some(kept.ballot) {
            let waits = self.kept.as_ref().is_some_and(|known| known.ballot >= kept.ballot);
            return (!waits).then_some(kept.packet);
        }
        self.waited = Some(kept.ballot);
        self.kept = Some(kept);
        None
    }

    /// The block to read next for what is kept.
    pub(super) fn next_reading(&mut self) -> Option<BlockName> {
        if self.reading.is_some() {
            return None;
        }
        self.reading = self.kept.as_ref().map(|kept| kept.block);
        self.reading
    }

    /// A reading ended, well or badly: what is judged now.
    pub(super) fn ended(&mut self, at: Option<BlockName>) -> Option<Packet> {
        self.reading.take_if(|reading| at == Some(*reading));
        let seen = &self.seen;
        let ready = self.kept.take_if(|kept| at == Some(kept.block) || seen.contains_key(&kept.block.hash));
        ready.map(|kept| kept.packet)
    }
}

/// Which of these destinations are not read, and why.
pub(super) fn unread(looks: &BTreeMap<DecreeId, Looks>) -> BTreeMap<u64, &str> {
    looks.values().filter_map(|looks| Some((looks.line.destination, looks.unread.as_deref()?))).collect()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, U256};
    use chain_client::zrsign::name::{Proxy, Slot, WalletKind};
    use mpc_core::PartyIndex;
    use zeroize::Zeroizing;

    use super::*;
    use crate::identity::NodeIdentity;
    use crate::lease::LeaseWord;
    use crate::message::{Attachment, Content, Envelope};

    fn look(at: u64, nonce: u64, last: u64, nonce_final: u64) -> DestinationLook {
        let block = |height: u64| BlockName { height, hash: B256::from(U256::from(height)) };
        DestinationLook {
            last_final: block(last),
            nonce_final,
            at: block(at),
            surroundings: Surroundings { nonce, base_fee: 1, gas_estimate: 21_000 },
        }
    }

    fn looks() -> Looks {
        let proxy = Proxy { chain: 1, address: Address::ZERO };
        let wallet = Slot { proxy, kind: WalletKind::Evm, owner: Address::ZERO, index: U256::ZERO };
        Looks::of(LineName { wallet, destination: 10 })
    }

    #[test]
    fn a_block_is_stale_when_its_nonce_is_spent_or_it_is_too_old() {
        assert!(!look(10, 3, 10, 3).is_stale());
        assert!(!look(10, 3, 10 + AGE_BLOCKS_MAX, 3).is_stale());
        assert!(look(10, 3, 11 + AGE_BLOCKS_MAX, 3).is_stale());
        assert!(look(10, 3, 12, 4).is_stale(), "a transaction of the wallet landed since");
    }

    #[test]
    fn what_is_read_in_vain_is_read_less_and_less_often_and_never_given_up() {
        let (mut looks, mut now, mut pauses) = (looks(), 0, Vec::new());
        for _ in 0..12 {
            let due = looks.due_at(FLYING_MS_MAX);
            pauses.push(due - now);
            now = due;
            looks.asks(now);
        }
        assert_eq!(pauses[..4], [0, 5_000, 10_000, 20_000]);
        assert_eq!(pauses.last(), Some(&FLYING_MS_MAX));
    }

    #[test]
    fn only_so_many_blocks_are_remembered_and_the_newest_last() {
        let mut looks = looks();
        for height in 0..20 {
            looks.took(look(height, 0, height, 0), true);
        }
        assert_eq!(looks.seen.len(), BLOCKS_MAX);
        assert_eq!(looks.newest.and_then(|newest| looks.seen.get(&newest)).map(|look| look.at.height), Some(19));
    }

    fn kept(attempt: u32, height: u64) -> Kept {
        let ballot = Ballot { attempt, leader: PartyIndex::new(1) };
        let id = NodeIdentity::from_seed(&Zeroizing::new([1; 32]));
        let envelope = Envelope::sign(
            &id,
            1,
            (ballot.leader, 1),
            Content::Lease(ballot.leader, LeaseWord::Consent { incarnation: 1, restore: 1 }),
            height,
            [0; 32],
        );
        let packet = Packet { envelope, attachment: Attachment::default() };
        Kept { ballot, block: look(height, 0, height, 0).at, packet }
    }

    /// The height that marks a packet of [`kept`].
    fn marks(packet: Option<Packet>) -> Option<u64> {
        packet.map(|packet| packet.envelope.position)
    }

    #[test]
    fn a_ballot_orders_one_reading_and_a_decree_one_at_a_time() {
        let mut looks = looks();
        assert_eq!(marks(looks.keep(kept(0, 10))), None);
        let reading = looks.next_reading();
        assert_eq!(reading.map(|block| block.height), Some(10));
        // Its leader names other blocks, and says the first again: while that is being read they are dropped.
        for height in [11, 12, 10] {
            assert_eq!(marks(looks.keep(kept(0, height))), None);
            assert_eq!(looks.next_reading(), None);
        }
        // A higher ballot takes the place, and its block is read when the first reading has ended.
        assert_eq!(marks(looks.keep(kept(1, 13))), None);
        assert_eq!(looks.next_reading(), None);
        assert_eq!(marks(looks.ended(reading)), None, "what it was for is over");
        let reading = looks.next_reading();
        assert_eq!(reading.map(|block| block.height), Some(13));
        // Whether it could be read or not: the proposal is judged, and the ballot orders nothing more.
        assert_eq!(marks(looks.ended(reading)), Some(13));
        assert_eq!(marks(looks.keep(kept(1, 14))), Some(14));
        assert_eq!(marks(looks.keep(kept(0, 10))), Some(10));
        assert_eq!(looks.next_reading(), None);
    }

    #[test]
    fn what_names_a_block_that_was_seen_is_judged_at_once() {
        let mut looks = looks();
        looks.took(look(10, 0, 10, 0), true);
        assert_eq!(marks(looks.keep(kept(0, 10))), Some(10));
        assert_eq!(marks(looks.keep(kept(1, 11))), None);
        assert_eq!(looks.next_reading().map(|block| block.height), Some(11));
        looks.took(look(11, 0, 11, 0), true);
        assert_eq!(marks(looks.ended(None)), Some(11), "the newest look saw it first");
    }
}
