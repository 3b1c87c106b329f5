//! Messages of peers that nobody here has taken yet: those of live runs, and early ones, about runs that are not begun
//! here or requests that the own endpoint does not show.
//!
//! A slow party must not lose the first messages about something because a faster one began it; a hostile party must not
//! fill the memory, nor crowd out what others say. So each party has its own bounds over everything of it that is kept,
//! whatever it names. Where room is needed, its own oldest early messages go first; a message for a live run is never
//! thrown out for a later one.

use std::collections::{BTreeMap, VecDeque};

use mpc_core::PartyIndex;

/// Everything kept, by the name of what it is about.
pub(crate) struct Unclaimed<Name, Message> {
    messages_per_party: usize,
    bytes_per_party: usize,
    names: BTreeMap<Name, VecDeque<Kept<Message>>>,
    parties: BTreeMap<PartyIndex, Held<Name>>,
    arrivals: u64,
    /// Messages that found no room, or gave theirs to a later one.
    dropped: u64,
}

struct Kept<Message> {
    arrival: u64,
    from: PartyIndex,
    bytes: usize,
    message: Message,
}

/// What is kept of one party.
struct Held<Name> {
    messages: usize,
    bytes: usize,
    /// Its early messages, oldest first.
    early: BTreeMap<u64, Name>,
}

impl<Name: Clone + Ord, Message> Unclaimed<Name, Message> {
    pub(crate) const fn new(messages_per_party: usize, bytes_per_party: usize) -> Self {
        Self {
            messages_per_party,
            bytes_per_party,
            names: BTreeMap::new(),
            parties: BTreeMap::new(),
            arrivals: 0,
            dropped: 0,
        }
    }

    /// Keeps a message of so many bytes, if its party's bounds allow it.
    pub(crate) fn keep(&mut self, name: Name, from: PartyIndex, message: Message, bytes: usize, live: bool) -> bool {
        if !self.make_room(from, bytes) {
            self.dropped += 1;
            return false;
        }
        self.arrivals += 1;
        let held = self.parties.entry(from).or_insert_with(|| Held { messages: 0, bytes: 0, early: BTreeMap::new() });
        held.messages += 1;
        held.bytes += bytes;
        if !live {
            held.early.insert(self.arrivals, name.clone());
        }
        self.names.entry(name).or_default().push_back(Kept { arrival: self.arrivals, from, bytes, message });
        true
    }

    /// Takes everything that came under a name, in the order in which it came.
    pub(crate) fn take(&mut self, name: &Name) -> Vec<(PartyIndex, Message)> {
        let kept = self.names.remove(name).unwrap_or_default();
        kept.into_iter()
            .map(|kept| {
                self.account(&kept);
                (kept.from, kept.message)
            })
            .collect()
    }

    /// A run begins here: what was kept for it is early no more.
    pub(crate) fn begin(&mut self, name: &Name) {
        for kept in self.names.get(name).into_iter().flatten() {
            if let Some(held) = self.parties.get_mut(&kept.from) {
                held.early.remove(&kept.arrival);
            }
        }
    }

    /// Messages that found no room, or gave theirs to a later one.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Of each party of which something is kept: messages and bytes.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (PartyIndex, usize, usize)> {
        self.parties.iter().map(|(party, held)| (*party, held.messages, held.bytes))
    }

    pub(crate) fn is_empty(&self, name: &Name) -> bool {
        !self.names.contains_key(name)
    }

    fn make_room(&mut self, from: PartyIndex, bytes: usize) -> bool {
        if bytes > self.bytes_per_party || self.messages_per_party == 0 {
            return false;
        }
        while self.is_over(from, bytes) {
            if !self.drop_oldest_early(from) {
                return false;
            }
        }
        true
    }

    fn is_over(&self, from: PartyIndex, bytes: usize) -> bool {
        self.parties
            .get(&from)
            .is_some_and(|held| held.messages >= self.messages_per_party || held.bytes + bytes > self.bytes_per_party)
    }

    fn drop_oldest_early(&mut self, party: PartyIndex) -> bool {
        let Some((arrival, name)) = self.parties.get_mut(&party).and_then(|held| held.early.pop_first()) else {
            return false;
        };
        self.dropped += 1;
        let Some(kept) = self.names.get_mut(&name) else {
            return true;
        };
        let oldest = kept.iter().position(|kept| kept.arrival == arrival).and_then(|place| kept.remove(place));
        if kept.is_empty() {
            self.names.remove(&name);
        }
        if let Some(oldest) = oldest {
            self.account(&oldest);
        }
        true
    }

    /// A message has left.
    fn account(&mut self, kept: &Kept<Message>) {
        if let Some(held) = self.parties.get_mut(&kept.from) {
            held.messages -= 1;
            held.bytes -= kept.bytes;
            held.early.remove(&kept.arrival);
            if held.messages == 0 {
                self.parties.remove(&kept.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(place: u16) -> PartyIndex {
        PartyIndex::new(place)
    }

    /// Numbers under numbers, a byte each.
    fn keep(kept: &mut Unclaimed<u8, u8>, name: u8, from: u16, message: u8, live: bool) -> bool {
        kept.keep(name, party(from), message, 1, live)
    }

    fn messages(kept: &mut Unclaimed<u8, u8>, name: u8) -> Vec<u8> {
        kept.take(&name).into_iter().map(|(_, message)| message).collect()
    }

    #[test]
    fn a_party_over_its_bound_loses_its_own_oldest_early_messages_and_nobody_elses() {
        let mut kept = Unclaimed::new(3, 1_000);
        assert!(keep(&mut kept, 1, 2, 9, false));
        for message in 0..5 {
            assert!(keep(&mut kept, message % 2, 1, message, false));
        }
        assert_eq!(messages(&mut kept, 0), [2, 4]);
        assert_eq!(messages(&mut kept, 1), [9, 3]);
        assert_eq!((kept.parties.len(), kept.names.len()), (0, 0), "nothing is left of what was taken");
    }

    #[test]
    fn messages_of_a_live_run_are_never_thrown_out() {
        let mut kept = Unclaimed::new(2, 1_000);
        assert!(keep(&mut kept, 1, 1, 1, false));
        kept.begin(&1);
        assert!(keep(&mut kept, 1, 1, 2, true));
        assert!(!keep(&mut kept, 1, 1, 3, true));
        assert!(!keep(&mut kept, 2, 1, 4, false));
        assert_eq!(messages(&mut kept, 1), [1, 2]);
        assert!(keep(&mut kept, 2, 1, 4, false), "taken messages make room");
    }

    #[test]
    fn a_message_larger_than_the_bound_is_refused_and_nothing_is_thrown_out_for_it() {
        let mut kept = Unclaimed::new(10, 50);
        assert!(keep(&mut kept, 1, 1, 1, false));
        assert!(!kept.keep(1, party(1), 2, 51, false));
        assert_eq!(messages(&mut kept, 1), [1]);
    }
}
