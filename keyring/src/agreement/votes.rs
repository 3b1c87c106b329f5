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
