//! Who agrees: the parties of one roster epoch, their node keys, and the numbers that follow from `n` and `t`.

use ed25519_dalek::VerifyingKey;
use mpc_core::{PartyIndex, Threshold};

use crate::message::{Envelope, VERSION};
use crate::roster::Roster;
use crate::tag;

/// The parties of one roster epoch, as agreement sees them.
#[derive(Clone, Debug)]
pub struct Committee {
    epoch: u64,
    threshold: Threshold,
    keys: Vec<VerifyingKey>,
}

impl Committee {
    /// The committee of `epoch`; `keys[i]` is the node key of party `i`. `None` unless there is one key for every party.
    #[must_use]
    pub fn new(epoch: u64, threshold: Threshold, keys: Vec<VerifyingKey>) -> Option<Self> {
        (keys.len() == usize::from(threshold.of())).then_some(Self { epoch, threshold, keys })
    }

    /// The committee of a verified roster. `None` if one of its node keys is no key, which verification excludes.
    #[must_use]
    pub fn of(roster: &Roster) -> Option<Self> {
        let keys = roster.parties().iter().map(|entry| VerifyingKey::from_bytes(&entry.node_key).ok());
        Self::new(roster.epoch(), roster.threshold(), keys.collect::<Option<Vec<_>>>()?)
    }

    /// The roster epoch.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// `t` of `n`.
    #[must_use]
    pub const fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// `n`.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.threshold.of() as usize
    }

    /// `Q = max(t, ⌊n/2⌋ + 1)`: any two quorums share a party, and a quorum can sign.
    #[must_use]
    pub fn quorum(&self) -> usize {
        usize::from(self.threshold.need()).max(self.size() / 2 + 1)
    }

    /// All parties, ascending.
    pub fn parties(&self) -> impl Iterator<Item = PartyIndex> + use<> {
        self.threshold.parties()
    }

    /// Whether the speaker belongs to this epoch and signed this envelope.
    #[must_use]
    pub fn vouches_for(&self, envelope: &Envelope) -> bool {
        envelope.version == VERSION
            && envelope.epoch == self.epoch
            && self.keys.get(usize::from(envelope.from.get())).is_some_and(|key| envelope.is_signed_by(key))
    }

    /// The order in which parties take turns at whatever `seed` names: a shuffle by hash, the same on all, no matter who
    /// seems to be up.
    #[must_use]
    pub fn order(&self, seed: &[u8]) -> Vec<PartyIndex> {
        let mut order: Vec<PartyIndex> = self.parties().collect();
        order
            .sort_by_key(|party| tag::hash(tag::ORDER, &[&self.epoch.to_be_bytes(), seed, &party.get().to_be_bytes()]));
        order
    }
}
