//! What this party grants: which process it knows as which peer, and what it remembers of that peer's journal. Granting
//! needs no lease of one's own.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use mpc_core::PartyIndex;
use serde::{Deserialize, Serialize};

use super::word::{CHAINS_MAX, Held, LeaseWord, Life, Process, Refusal, Sight};
use super::{Heard, LEASE_MS, Said};
use crate::agreement::clock::Millis;
use crate::planted::{self, Plant};
use crate::store::HEADS_KEPT;
use crate::tag;

/// What is remembered of a peer, durably: by this a rolled-back or copied disk is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerMemory {
    /// The process that was granted last.
    pub process: Process,
    /// The highest place in its journal that any of its statements named.
    pub journal: Held,
    /// It said goodbye: nothing of it is alive.
    pub has_left: bool,
    /// Two live copies of it were seen.
    pub is_fenced: bool,
    /// By chain, the highest next sequence that it named for its account.
    pub sequences: BTreeMap<String, u64>,
    /// The restore that the granted process's incarnation began with.
    pub restore: u64,
    /// Incarnation and restore that this party's operator has consented to last.
    pub consent: Option<(u64, u64)>,
}

/// A renewal that was answered: the same one gets the same answer.
#[derive(Clone, Copy, Debug)]
struct Answered {
    token: u64,
    nonce: u64,
}

/// A hello, as it came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hello {
    pub(super) life: Life,
    pub(super) nonce: u64,
    pub(super) held: Option<Held>,
    pub(super) restore: u64,
}

/// What is known of a peer's process while both live.
#[derive(Clone, Copy, Debug)]
struct Session {
    hello: u64,
    /// The token that the next renewal must name.
    token: u64,
    last: Option<Answered>,
    /// Where the journal stood at the last hello or renewal.
    position: u64,
    /// Whether its last renewal said that it may act.
    acts: bool,
}

/// A process that asked while another one was or may have been alive.
#[derive(Clone, Copy, Debug)]
struct Newcomer {
    instance: u64,
    first_at: Millis,
    last_at: Millis,
}

#[derive(Clone, Debug, Default)]
struct Peer {
    memory: Option<PeerMemory>,
    session: Option<Session>,
    heard_at: Millis,
    newcomer: Option<Newcomer>,
    /// When the links last showed another process beside it.
    twin_at: Option<Millis>,
    /// Incarnation and restore that ask for consent.
    asks: Option<(u64, u64)>,
    /// The process that asked last and whose journal does not reach back to what is remembered.
    out_of_reach: Option<u64>,
    /// The process whose journal an operator lets pass unseen.
    let_pass: Option<u64>,
}

/// The granting half of a party.
#[derive(Clone, Debug)]
pub(super) struct Grants {
    own_instance: u64,
    peers: BTreeMap<PartyIndex, Peer>,
    tokens: u64,
    is_dirty: bool,
}

impl Grants {
    /// With what was remembered. Everybody who was alive when this party was last heard counts as heard now.
    pub(super) fn new(own_instance: u64, memory: BTreeMap<PartyIndex, PeerMemory>, now: Millis) -> Self {
        let remembered = |(party, memory)| (party, Peer { memory: Some(memory), heard_at: now, ..Peer::default() });
        Self { own_instance, peers: memory.into_iter().map(remembered).collect(), tokens: 0, is_dirty: false }
    }

    pub(super) fn memory(&self) -> BTreeMap<PartyIndex, PeerMemory> {
        self.peers.iter().filter_map(|(party, peer)| Some((*party, peer.memory.clone()?))).collect()
    }

    /// Whether the memory changed since this was last asked.
    pub(super) fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.is_dirty)
    }

    pub(super) const fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Whether this instance is known as that peer: others' frames are dropped.
    pub(super) fn knows(&self, party: PartyIndex, instance: u64) -> bool {
        self.peers.get(&party).is_some_and(|peer| {
            peer.session.is_some() && peer.memory.as_ref().is_some_and(|memory| memory.process.instance == instance)
        })
    }

    /// Whether a process is known as that peer and was heard within one lease.
    pub(super) fn is_alive(&self, party: PartyIndex, now: Millis) -> bool {
        self.peers.get(&party).is_some_and(|peer| peer.session.is_some() && now < peer.heard_at + LEASE_MS)
    }

    /// Whether that peer was known and heard within one lease, whatever became of its session since.
    pub(super) fn was_heard(&self, party: PartyIndex, now: Millis) -> bool {
        self.peers.get(&party).is_some_and(|peer| peer.memory.is_some() && now < peer.heard_at + LEASE_MS)
    }

    /// Whether the process that is known as that peer has said that it may act.
    pub(super) fn acts(&self, party: PartyIndex) -> bool {
        self.peers.get(&party).and_then(|peer| peer.session).is_some_and(|session| session.acts)
    }

    pub(super) fn is_fenced(&self, party: PartyIndex) -> bool {
        self.peers.get(&party).and_then(|peer| peer.memory.as_ref()).is_some_and(|memory| memory.is_fenced)
    }

    /// A statement of a known process: its journal stood there.
    pub(super) fn saw(&mut self, party: PartyIndex, journal: Held) {
        let Some(memory) = self.peers.get_mut(&party).and_then(|peer| peer.memory.as_mut()) else { return };
        if journal.position > memory.journal.position {
            memory.journal = journal;
            self.is_dirty = true;
        }
    }

    /// Whether a process of that party asks whose journal does not reach back to what is remembered of it.
    pub(super) fn is_out_of_reach(&self, party: PartyIndex) -> bool {
        self.peers.get(&party).is_some_and(|peer| peer.out_of_reach.is_some())
    }

    /// An operator has decided which copy lives: the next hello decides, as for any peer that was silent. Or that the
    /// process that asks runs from the disk that was there: its next hello is granted.
    pub(super) fn unfence(&mut self, party: PartyIndex) -> bool {
        let Some(peer) = self.peers.get_mut(&party) else { return false };
        let Some(memory) = peer.memory.as_mut().filter(|memory| memory.is_fenced) else {
            let asks = peer.out_of_reach.take();
            peer.let_pass = asks.or(peer.let_pass);
            return asks.is_some();
        };
        memory.is_fenced = false;
        peer.session = None;
        peer.newcomer = None;
        self.is_dirty = true;
        true
    }

    pub(super) fn hello(&mut self, heard: &Heard, hello: &Hello, now: Millis) -> Result<Said, Refusal> {
        let token = self.next_token();
        let peer = self.peers.entry(heard.from).or_default();
        let Hello { life, nonce, held, restore } = *hello;
        let process = Process { life, instance: heard.instance };
        let before = peer.memory.as_ref().map_or(0, |memory| memory.process.life.incarnation);
        if life.incarnation > before && !heard.is_consented {
            return peer.consent(life.incarnation, restore);
        }
        let Some(memory) = &peer.memory else {
            return Ok(grant(peer, process, heard.journal, hello, token, now, &mut self.is_dirty));
        };
        if memory.is_fenced {
            return Err(Refusal::Fenced);
        }
        if life < memory.process.life {
            return Err(Refusal::Outlived);
        }
        if life.incarnation == before && restore != memory.restore {
            return Err(Refusal::Copied);
        }
        if process == memory.process {
            if let Some(session) = peer.session {
                if session.hello == nonce {
                    peer.heard_at = now;
                    let token = session.token;
                    // After the first renewal this is a repetition that was long under way.
                    return Ok(if session.last.is_none() { Said::Granted { nonce, token } } else { Said::Nothing });
                }
                // It has its grant and renews by tokens. Whoever does not know them is a copy of it.
                return Err(fence(peer, &mut self.is_dirty));
            }
        } else if life == memory.process.life {
            return Err(Refusal::Copied);
        } else if !memory.has_left && now < peer.heard_at + LEASE_MS {
            let same = peer.newcomer.filter(|newcomer| newcomer.instance == heard.instance);
            let first_at = same.map_or(now, |newcomer| newcomer.first_at);
            peer.newcomer = Some(Newcomer { instance: heard.instance, first_at, last_at: now });
            return Err(if peer.heard_at > first_at { Refusal::TwoAlive } else { Refusal::StillAlive });
        }
        let remembered = memory.journal;
        // An empty journal was seen at first: every journal holds that. A restore begins a journal of its own.
        let is_continued = life.incarnation == before && remembered.position > 0;
        if is_continued && !planted::is(Plant::LeaseWithoutJournal) {
            if heard.journal.position < remembered.position {
                return Err(Refusal::RolledBack);
            }
            let shown = if heard.journal.position == remembered.position { Some(heard.journal) } else { held };
            match shown.filter(|shown| shown.position == remembered.position) {
                // Nobody can show that place any more. The very process that was granted before has run all the while: its
                // journal was not set back. A copy of its disk has another instance. Any other process needs a person.
                None if heard.journal.position - remembered.position >= HEADS_KEPT => {
                    if process != memory.process && peer.let_pass != Some(heard.instance) {
                        peer.out_of_reach = Some(heard.instance);
                        return Err(Refusal::OutOfReach);
                    }
                }
                None => return Ok(Said::Word(LeaseWord::Challenge { nonce, position: remembered.position })),
                Some(shown) if shown.hash != remembered.hash => return Err(Refusal::Forked),
                Some(_) => {}
            }
        }
        Ok(grant(peer, process, heard.journal, hello, token, now, &mut self.is_dirty))
    }

    /// Incarnations and restores that ask for this party's consent.
    pub(super) fn asking(&self) -> impl Iterator<Item = (PartyIndex, (u64, u64))> + '_ {
        self.peers.iter().filter_map(|(party, peer)| Some((*party, peer.asks?)))
    }

    /// The incarnation that a consent would be to, if it may be given.
    pub(super) fn may_consent(&self, party: PartyIndex, restore: u64) -> Option<u64> {
        let peer = self.peers.get(&party)?;
        let (incarnation, _) = peer.asks.filter(|(_, asks)| *asks == restore)?;
        let given = peer.memory.as_ref().and_then(|memory| memory.consent);
        let is_taken = given.is_some_and(|(given, to)| given > incarnation || (given == incarnation && to != restore));
        (!is_taken).then_some(incarnation)
    }

    /// The operator consents to the restore that asks. The incarnation's number, or `None`: nobody asks by that name, or
    /// another restore of this incarnation has the consent already.
    pub(super) fn consent(&mut self, party: PartyIndex, restore: u64) -> Option<u64> {
        let incarnation = self.may_consent(party, restore)?;
        let peer = self.peers.get_mut(&party)?;
        peer.memory.get_or_insert_default().consent = Some((incarnation, restore));
        self.is_dirty = true;
        Some(incarnation)
    }

    pub(super) fn renew(
        &mut self,
        heard: &Heard,
        token: u64,
        nonce: u64,
        (sights, acts): (&[Sight], bool),
        now: Millis,
    ) -> Result<Said, Refusal> {
        let next = self.next_token();
        let again = Ok(Said::Word(LeaseWord::HelloAgain { nonce }));
        let Some(peer) = self.peers.get_mut(&heard.from) else { return again };
        let Some(memory) = peer.memory.as_mut() else { return again };
        if memory.is_fenced {
            return Err(Refusal::Fenced);
        }
        // Another process than the one known here: its hello says which of the two is the later.
        if memory.process.instance != heard.instance {
            return again;
        }
        let Some(session) = peer.session.as_mut() else { return again };
        if let Some(last) = session.last.filter(|last| last.token == token) {
            if last.nonce == nonce {
                peer.heard_at = now;
                return Ok(Said::Word(LeaseWord::Renewed { nonce, token: session.token, is_doubled: false }));
            }
            return Err(fence(peer, &mut self.is_dirty));
        }
        if session.token != token {
            return again;
        }
        // Compared with the last renewal, which was answered before this one was said; statements may have come between.
        if heard.journal.position < session.position {
            return Err(Refusal::RolledBack);
        }
        session.position = heard.journal.position;
        if heard.journal.position > memory.journal.position {
            memory.journal = heard.journal;
            self.is_dirty = true;
        }
        session.acts = acts;
        session.last = Some(Answered { token, nonce });
        session.token = next;
        peer.heard_at = now;
        for sight in sights {
            // Names come from the peer: it cannot fill this party's memory with them.
            if memory.sequences.len() >= CHAINS_MAX && !memory.sequences.contains_key(&sight.chain) {
                continue;
            }
            let known = memory.sequences.entry(sight.chain.clone()).or_default();
            if sight.sequence > *known {
                *known = sight.sequence;
                self.is_dirty = true;
            }
        }
        let beside = [peer.newcomer.map(|newcomer| newcomer.last_at), peer.twin_at];
        let is_doubled = beside.into_iter().flatten().any(|at| now < at + LEASE_MS);
        Ok(Said::Word(LeaseWord::Renewed { nonce, token: next, is_doubled }))
    }

    /// The process ends and says that nothing of it acts any more.
    pub(super) fn goodbye(&mut self, heard: &Heard) -> bool {
        if !self.knows(heard.from, heard.instance) {
            return false;
        }
        if let Some(peer) = self.peers.get_mut(&heard.from) {
            peer.session = None;
            if let Some(memory) = peer.memory.as_mut() {
                memory.has_left = true;
                self.is_dirty = true;
            }
        }
        true
    }

    pub(super) fn saw_twins(&mut self, party: PartyIndex, now: Millis) {
        self.peers.entry(party).or_default().twin_at = Some(now);
    }

    /// Whether the links showed another process of that party within one lease.
    pub(super) fn has_twin(&self, party: PartyIndex, now: Millis) -> bool {
        self.peers.get(&party).and_then(|peer| peer.twin_at).is_some_and(|at| now < at + LEASE_MS)
    }

    /// The instance that waits for its party's other process to be silent.
    pub(super) fn newcomer(&self, party: PartyIndex) -> Option<u64> {
        self.peers.get(&party).and_then(|peer| peer.newcomer).map(|newcomer| newcomer.instance)
    }

    /// A number that no other process has given out.
    fn next_token(&mut self) -> u64 {
        self.tokens += 1;
        let hash = tag::hash(tag::LEASE_TOKEN, &[&self.own_instance.to_be_bytes(), &self.tokens.to_be_bytes()]);
        hash.first_chunk().copied().map_or(self.tokens, u64::from_be_bytes)
    }
}

impl Peer {
    /// A process of a later incarnation asks without the consents that it needs: it gets this party's, if there is one.
    fn consent(&mut self, incarnation: u64, restore: u64) -> Result<Said, Refusal> {
        self.asks = Some((incarnation, restore));
        match self.memory.as_ref().and_then(|memory| memory.consent) {
            Some(given) if given == (incarnation, restore) => {
                Ok(Said::Word(LeaseWord::Consent { incarnation, restore }))
            }
            _ => Err(Refusal::NeedsConsent),
        }
    }
}

fn grant(
    peer: &mut Peer,
    process: Process,
    journal: Held,
    hello: &Hello,
    token: u64,
    now: Millis,
    is_dirty: &mut bool,
) -> Said {
    let (before, nonce) = (peer.memory.take().unwrap_or_default(), hello.nonce);
    peer.memory = Some(PeerMemory { process, journal, has_left: false, restore: hello.restore, ..before });
    peer.session = Some(Session { hello: nonce, token, last: None, position: journal.position, acts: false });
    peer.heard_at = now;
    peer.newcomer = None;
    peer.asks = None;
    peer.out_of_reach = None;
    peer.let_pass = None;
    *is_dirty = true;
    Said::Granted { nonce, token }
}

fn fence(peer: &mut Peer, is_dirty: &mut bool) -> Refusal {
    peer.session = None;
    if let Some(memory) = peer.memory.as_mut() {
        memory.is_fenced = true;
    }
    *is_dirty = true;
    Refusal::Fenced
}
