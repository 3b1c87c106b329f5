//! What was said in which ballot, by whom: bounded, whatever peers send.

use std::collections::BTreeMap;

use mpc_core::PartyIndex;

use crate::decree::Ballot;
use crate::message::Envelope;

/// Ballots remembered per speaker; older ones fall out. A party that matters speaks in the newest ballots.
const BALLOTS_PER_PARTY: usize = 8;

/// One statement per party and ballot, the first it made there.
#[derive(Clone, Debug, Default)]
pub(super) struct Votes {
    by_party: BTreeMap<PartyIndex, BTreeMap<Ballot, Envelope>>,
}

impl Votes {
    /// Remembers a statement; `true` if it is new and recent enough to be kept. A second one of the same party in the same ballot is not taken.
    pub(super) fn cast(&mut self, ballot: Ballot, envelope: &Envelope) -> bool {
        let own = self.by_party.entry(envelope.from).or_default();
        let is_new = !own.contains_key(&ballot);
        own.entry(ballot).or_insert_with(|| envelope.clone());
        while own.len() > BALLOTS_PER_PARTY {
            own.pop_first();
        }
        is_new && own.contains_key(&ballot)
    }

    /// All statements of one ballot, by speaker.
    pub(super) fn of(&self, ballot: Ballot) -> impl Iterator<Item = (PartyIndex, &Envelope)> {
        self.by_party.iter().filter_map(move |(party, own)| own.get(&ballot).map(|envelope| (*party, envelope)))
    }

    /// Whether this party spoke in this ballot.
    #[must_use]
    pub(super) fn has(&self, ballot: Ballot, party: PartyIndex) -> bool {
        self.by_party.get(&party).is_some_and(|own| own.contains_key(&ballot))
    }

    /// Takes a statement back, because it proved false.
    pub(super) fn strike(&mut self, ballot: Ballot, party: PartyIndex) {
        if let Some(own) = self.by_party.get_mut(&party) {
            own.remove(&ballot);
        }
    }
}

#[cfg(test)]
mod tests {
    use mpc_core::PartyIndex;
    use zeroize::Zeroizing;

    use super::Votes;
    use crate::decree::Ballot;
    use crate::identity::NodeIdentity;
    use crate::message::{Content, Envelope};
    use crate::stock::StockWord;

    #[test]
    fn a_vote_is_new_once_and_an_old_one_that_fell_out_is_never_new_again() {
        let key = NodeIdentity::from_seed(&Zeroizing::new([7; 32]));
        let party = PartyIndex::new(1);
        let envelope =
            Envelope::sign(&key, 1, (party, 1), Content::Stock(StockWord::AuxiliaryFailed { counter: 1 }), 0, [0; 32]);
        let in_attempt = |attempt| Ballot { attempt, leader: party };
        let mut votes = Votes::default();
        assert!(votes.cast(in_attempt(0), &envelope));
        assert!(!votes.cast(in_attempt(0), &envelope), "repeated");
        for attempt in 1..=8 {
            assert!(votes.cast(in_attempt(attempt), &envelope));
        }
        assert!(!votes.has(in_attempt(0), party), "bounded");
        assert!(!votes.cast(in_attempt(0), &envelope), "too old to be kept");
    }
}
