//! What a committee is: places, the threshold, and the parties of one run.
//!
//! Knows nothing of networks or names: the daemon translates a place to a peer.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

/// A place in one committee, from 0. Means nothing without the roster it counts in.
///
/// The party's share is the value of the secret polynomial at `index + 1`, never at 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartyIndex(u16);

impl PartyIndex {
    /// The place `index`.
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// The number of the place, from 0.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl From<u16> for PartyIndex {
    fn from(index: u16) -> Self {
        Self(index)
    }
}

impl From<PartyIndex> for u16 {
    fn from(party: PartyIndex) -> Self {
        party.0
    }
}

impl fmt::Display for PartyIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for PartyIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "party {}", self.0)
    }
}

/// `need` of `of` parties sign; fewer learn nothing. 2 ≤ `need` ≤ `of` ≤ [`Threshold::PARTIES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Threshold {
    need: u16,
    of: u16,
}

/// A threshold or signer set that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitteeError {
    /// `need` and `of` are out of range.
    #[error("threshold {need} of {of} is impossible: 2 <= need <= of <= {max} must hold", max = Threshold::PARTIES_MAX)]
    Threshold {
        /// The number of signers asked for.
        need: u16,
        /// The number of parties asked for.
        of: u16,
    },
    /// A signer is named twice.
    #[error("{party:?} is named twice in the signer set")]
    Repeated {
        /// The repeated signer.
        party: PartyIndex,
    },
    /// A signer has no place in the committee.
    #[error("{party:?} has no place in a committee of {of}")]
    Stranger {
        /// The signer outside the committee.
        party: PartyIndex,
        /// The committee's size.
        of: u16,
    },
    /// Exactly `need` signers sign.
    #[error("{given} signers given: exactly {need} sign")]
    Count {
        /// The threshold.
        need: u16,
        /// The number of signers given.
        given: usize,
    },
}

impl Threshold {
    /// The largest committee this crate accepts; it bounds every message and every session.
    pub const PARTIES_MAX: u16 = 128;

    /// `need` of `of`.
    ///
    /// # Errors
    /// [`CommitteeError::Threshold`] unless 2 ≤ `need` ≤ `of` ≤ [`Self::PARTIES_MAX`].
    pub const fn new(need: u16, of: u16) -> Result<Self, CommitteeError> {
        if 2 <= need && need <= of && of <= Self::PARTIES_MAX {
            Ok(Self { need, of })
        } else {
            Err(CommitteeError::Threshold { need, of })
        }
    }

    /// The number of parties that sign, and that must conspire to steal the key.
    pub const fn need(self) -> u16 {
        self.need
    }

    /// The number of parties that hold a share.
    pub const fn of(self) -> u16 {
        self.of
    }

    /// All places of the committee in order.
    pub fn parties(self) -> impl Iterator<Item = PartyIndex> {
        (0..self.of).map(PartyIndex)
    }

    /// Whether `party` has a place here.
    pub const fn contains(self, party: PartyIndex) -> bool {
        party.0 < self.of
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.need, self.of)
    }
}

/// The signers of one signature: sorted, distinct, exactly as many as the threshold needs.
///
/// More than `need` signers would let two subsets of them finish the same nonce differently, so the type has no room for them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignerSet(Vec<PartyIndex>);

impl SignerSet {
    /// The given parties, in any order.
    ///
    /// # Errors
    /// [`CommitteeError`] if a party is repeated or outside the committee, or their number is not `threshold.need()`.
    pub fn new(threshold: Threshold, parties: impl IntoIterator<Item = PartyIndex>) -> Result<Self, CommitteeError> {
        let mut set = BTreeSet::new();
        for party in parties {
            if !threshold.contains(party) {
                return Err(CommitteeError::Stranger { party, of: threshold.of });
            }
            if !set.insert(party) {
                return Err(CommitteeError::Repeated { party });
            }
        }
        if set.len() != usize::from(threshold.need) {
            return Err(CommitteeError::Count { need: threshold.need, given: set.len() });
        }
        Ok(Self(set.into_iter().collect()))
    }

    /// Whether `party` signs.
    pub fn contains(&self, party: PartyIndex) -> bool {
        self.0.binary_search(&party).is_ok()
    }

    /// The signers in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = PartyIndex> + '_ {
        self.0.iter().copied()
    }

    /// The signers in ascending order.
    pub fn as_slice(&self) -> &[PartyIndex] {
        &self.0
    }

    /// The number of signers.
    #[allow(clippy::len_without_is_empty, reason = "never empty: at least two sign")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this is a set for `threshold`: right size, nobody outside the committee.
    pub fn fits(&self, threshold: Threshold) -> bool {
        self.0.len() == usize::from(threshold.need) && self.0.iter().all(|party| threshold.contains(*party))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_below_two_or_above_the_committee_is_impossible() {
        for (need, of) in [(0, 3), (1, 3), (4, 3), (2, Threshold::PARTIES_MAX + 1)] {
            assert_eq!(Threshold::new(need, of), Err(CommitteeError::Threshold { need, of }));
        }
        assert!(Threshold::new(2, 2).is_ok());
    }

    #[test]
    fn a_signer_set_is_sorted_distinct_and_exactly_the_threshold() {
        let threshold = Threshold::new(2, 3).unwrap();
        let set = |list: &[u16]| SignerSet::new(threshold, list.iter().copied().map(PartyIndex::new));
        assert_eq!(set(&[2, 0]).unwrap().as_slice(), [PartyIndex(0), PartyIndex(2)]);
        assert_eq!(set(&[0, 0]), Err(CommitteeError::Repeated { party: PartyIndex(0) }));
        assert_eq!(set(&[0, 3]), Err(CommitteeError::Stranger { party: PartyIndex(3), of: 3 }));
        assert_eq!(set(&[0]), Err(CommitteeError::Count { need: 2, given: 1 }));
        assert_eq!(set(&[0, 1, 2]), Err(CommitteeError::Count { need: 2, given: 3 }));
    }
}
