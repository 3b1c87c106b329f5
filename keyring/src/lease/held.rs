//! What this process holds: its peers' grants, and from them whether it may act.

use std::collections::{BTreeMap, BTreeSet};

use mpc_core::PartyIndex;

use super::word::{Known, Refusal};
use super::{LEASE_MS, RENEW_EVERY_MS, REPEAT_EVERY_MS};
use crate::agreement::clock::Millis;

/// One peer's grant, as far as it has come.
#[derive(Clone, Copy, Debug, Default)]
struct Grant {
    token: Option<u64>,
    /// Until then the peer knows nobody else as this party.
    valid_until: Millis,
    /// What was asked and not answered yet: nonce, and when it was said first and last.
    asked: Option<Asked>,
    refused: Option<Refusal>,
    /// Whether the peer knows that this process may act, as far as it has answered.
    told_acts: bool,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    nonce: u64,
    first_at: Millis,
    last_at: Millis,
    /// Whether this process could act when it was said first: a repetition says the same.
    acts: bool,
}

/// What is to be said to a peer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A hello of this nonce.
    Hello(u64),
    /// A renewal of this token and nonce, and whether this process may act.
    Renew(u64, u64, bool),
}

/// The holding half of a party.
#[derive(Clone, Debug)]
pub(super) struct Holdings {
    peers: BTreeMap<PartyIndex, Grant>,
    quorum: usize,
    /// Peers that have granted this process, ever: each showed that it remembers nothing that this journal lacks.
    answered: BTreeSet<PartyIndex>,
    /// Peers that an operator has declared dead.
    vouched: BTreeSet<PartyIndex>,
    /// What is old for this process, by chain, gathered until its first lease.
    old: BTreeMap<String, Known>,
    /// It has been known to more than half of its peers.
    is_known: bool,
}

impl Holdings {
    pub(super) fn new(peers: impl Iterator<Item = PartyIndex>, quorum: usize, seen: Vec<Known>) -> Self {
        Self {
            peers: peers.map(|peer| (peer, Grant::default())).collect(),
            quorum,
            answered: BTreeSet::new(),
            vouched: BTreeSet::new(),
            old: seen.into_iter().map(|known| (known.chain.clone(), known)).collect(),
            is_known: false,
        }
    }

    /// Whether something is to be said for which a fresh nonce is needed.
    pub(super) fn needs_nonce(&self, linked: &BTreeSet<PartyIndex>, acts: bool, now: Millis) -> bool {
        let is_due = |grant: &Grant| grant.asked.is_none() && grant.is_due(acts, now);
        linked.iter().filter_map(|peer| self.peers.get(peer)).any(is_due)
    }

    /// What is to be said now, and to whom, by a process that `acts` or may not. `nonce` serves whatever is asked for the
    /// first time.
    pub(super) fn due(
        &mut self,
        linked: &BTreeSet<PartyIndex>,
        nonce: Option<u64>,
        acts: bool,
        now: Millis,
    ) -> Vec<(PartyIndex, Due)> {
        let mut due = Vec::new();
        for (peer, grant) in self.peers.iter_mut().filter(|(peer, _)| linked.contains(peer)) {
            if !grant.is_due(acts, now) {
                continue;
            }
            let asked = match (grant.asked, nonce) {
                (Some(asked), _) => Asked { last_at: now, ..asked },
                (None, Some(nonce)) => Asked { nonce, first_at: now, last_at: now, acts },
                (None, None) => continue,
            };
            grant.asked = Some(asked);
            let renew = |token| Due::Renew(token, asked.nonce, asked.acts);
            due.push((*peer, grant.token.map_or(Due::Hello(asked.nonce), renew)));
        }
        due
    }

    /// The link to a peer is new: what was asked may have been lost.
    pub(super) fn link_up(&mut self, peer: PartyIndex) {
        if let Some(asked) = self.peers.get_mut(&peer).and_then(|grant| grant.asked.as_mut()) {
            asked.last_at = 0;
        }
    }

    pub(super) fn granted(&mut self, from: PartyIndex, nonce: u64, token: u64, known: Vec<Known>) -> bool {
        let Some(grant) = self.peers.get_mut(&from) else { return false };
        let Some(asked) = grant.asked.filter(|asked| asked.nonce == nonce && grant.token.is_none()) else {
            return false;
        };
        *grant = Grant { token: Some(token), valid_until: asked.first_at + LEASE_MS, ..Grant::default() };
        self.answered.insert(from);
        if !self.is_known {
            for known in known {
                let old = self.old.entry(known.chain.clone()).or_insert_with(|| known.clone());
                old.height = old.height.max(known.height);
                old.sequence = old.sequence.max(known.sequence);
            }
        }
        self.count();
        true
    }

    pub(super) fn renewed(&mut self, from: PartyIndex, nonce: u64, token: u64) -> bool {
        let Some(grant) = self.peers.get_mut(&from) else { return false };
        let Some(asked) = grant.asked.filter(|asked| asked.nonce == nonce && grant.token.is_some()) else {
            return false;
        };
        let valid_until = asked.first_at + LEASE_MS;
        *grant = Grant { token: Some(token), valid_until, told_acts: asked.acts, ..Grant::default() };
        true
    }

    /// The peer does not know the token: the next word is a hello.
    pub(super) fn hello_again(&mut self, from: PartyIndex, nonce: u64) {
        let Some(grant) = self.peers.get_mut(&from) else { return };
        if grant.token.is_some() && grant.asked.is_some_and(|asked| asked.nonce == nonce) {
            grant.token = None;
            grant.asked = None;
        }
    }

    /// The peer asked for the journal at a position: it is shown in the same hello.
    pub(super) fn is_asked(&self, from: PartyIndex, nonce: u64) -> bool {
        self.peers
            .get(&from)
            .is_some_and(|grant| grant.token.is_none() && grant.asked.is_some_and(|asked| asked.nonce == nonce))
    }

    /// `true` when this is news.
    pub(super) fn refused(&mut self, from: PartyIndex, nonce: u64, reason: Refusal, now: Millis) -> bool {
        let Some(grant) = self.peers.get_mut(&from) else { return false };
        let Some(asked) = grant.asked.filter(|asked| asked.nonce == nonce) else { return false };
        let is_news = grant.refused != Some(reason);
        let valid_until = grant.valid_until.min(now);
        // What is said next is a new question: the peer may have changed its mind, or an operator it.
        *grant = Grant { valid_until, refused: Some(reason), ..Grant::default() };
        grant.asked = Some(Asked { last_at: now, ..asked });
        is_news
    }

    /// The own endpoint shows this height: until the first lease, that is old.
    pub(super) fn saw(&mut self, chain: &str, height: u64) {
        if !self.is_known {
            let empty = || Known { chain: chain.to_owned(), height, sequence: 0 };
            let old = self.old.entry(chain.to_owned()).or_insert_with(empty);
            old.height = old.height.max(height);
        }
    }

    /// A peer that speaks is not dead, whatever was said of it.
    pub(super) fn spoke(&mut self, peer: PartyIndex) {
        self.vouched.remove(&peer);
    }

    pub(super) fn vouch(&mut self, peer: PartyIndex) -> bool {
        if !self.peers.contains_key(&peer) {
            return false;
        }
        self.vouched.insert(peer);
        self.count();
        true
    }

    fn count(&mut self) {
        let known = self.answered.union(&self.vouched).count();
        self.is_known |= known * 2 > self.peers.len();
    }

    pub(super) fn is_fresh(&self, peer: PartyIndex, now: Millis) -> bool {
        self.peers.get(&peer).is_some_and(|grant| grant.token.is_some() && now < grant.valid_until)
    }

    pub(super) fn may_act(&self, now: Millis) -> bool {
        let fresh = self.peers.keys().filter(|peer| self.is_fresh(**peer, now)).count();
        self.is_known && fresh + 1 >= self.quorum
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = PartyIndex> + '_ {
        self.peers.keys().copied()
    }

    pub(super) const fn is_known(&self) -> bool {
        self.is_known
    }

    /// Peers that have neither granted this process nor been declared dead.
    pub(super) fn unheard(&self) -> impl Iterator<Item = PartyIndex> + '_ {
        self.peers.keys().copied().filter(|peer| !self.answered.contains(peer) && !self.vouched.contains(peer))
    }

    pub(super) fn refusals(&self) -> impl Iterator<Item = (PartyIndex, Refusal)> + '_ {
        self.peers.iter().filter_map(|(peer, grant)| Some((*peer, grant.refused?)))
    }

    /// All that is old, by chain.
    pub(super) const fn old(&self) -> &BTreeMap<String, Known> {
        &self.old
    }

    pub(super) fn old_height(&self, chain: &str) -> u64 {
        self.old.get(chain).map_or(0, |known| known.height)
    }

    pub(super) fn old_sequence(&self, chain: &str) -> u64 {
        self.old.get(chain).map_or(0, |known| known.sequence)
    }
}

impl Grant {
    /// A peer learns at once whether this process may act.
    fn is_due(&self, acts: bool, now: Millis) -> bool {
        match (self.asked, self.token) {
            (Some(asked), _) => now >= asked.last_at + REPEAT_EVERY_MS,
            (None, None) => true,
            (None, Some(_)) => acts != self.told_acts || now + LEASE_MS >= self.valid_until + RENEW_EVERY_MS,
        }
    }
}
