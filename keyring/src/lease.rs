//! One living copy, with its whole memory (law 11): a process acts only while a quorum knows it, and no other, as its
//! party, and keeps out of what it may have forgotten.
//!
//! Pure: words and time in, words out; fresh chance comes in as nonces. The rules stand in `docs/leases.md`; in short:
//!
//! * A process says `hello` with its boot counter, an instance number drawn at its start, and where its journal stands.
//!   A peer that remembers a later place of that journal asks to be shown it, and refuses a process that cannot.
//! * A grant lasts one lease and is renewed by tokens. The same token twice with different chance means two live copies:
//!   the peer fences both until an operator decides.
//! * To act, a process must have been granted by more than half of its peers once and by `Q − 1` within one lease.
//! * What was there before its first lease is *old* for it until every peer has answered its hello.
//! * A party that comes back from a backup is another incarnation. It needs the consent of more than half of its peers'
//!   operators, and what is old for it stays so for ever.
//!
//! `grants` is what this party gives, `held` what it gets, `sight` who sees which chain.

mod act;
mod grants;
mod held;
mod sight;
#[cfg(test)]
mod tests;
mod word;

use std::collections::{BTreeMap, BTreeSet};

use mpc_core::PartyIndex;
use serde::{Deserialize, Serialize};

pub use self::act::{Act, Restraint, restore_name, restore_number};
pub use self::grants::PeerMemory;
use self::grants::{Grants, Hello};
use self::held::{Due, Holdings};
use self::sight::Sights;
pub use self::word::{CHAINS_MAX, Held, Known, LeaseWord, Life, Process, Refusal, Sight};
use crate::agreement::clock::Millis;
use crate::planted::{self, Plant};

/// How long a grant lasts.
pub const LEASE_MS: Millis = 10_000;
/// How often it is renewed.
pub const RENEW_EVERY_MS: Millis = 3_000;
/// How often a question without answer is repeated.
pub const REPEAT_EVERY_MS: Millis = 1_000;

/// Processes that were alarmed about; beyond it an alarm may be said again.
const ALARMS_MAX: usize = 256;

/// What a party remembers of all this across restarts. Written beside whatever is written next; at once where a promise
/// rests on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Of each peer.
    pub peers: BTreeMap<PartyIndex, PeerMemory>,
    /// By chain, the newest height ever seen by the own endpoint.
    pub heights: BTreeMap<String, u64>,
    /// Which incarnation of its party this disk is.
    pub incarnation: Incarnation,
}

/// Which incarnation of its party a disk is: the first, or one that a restore began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incarnation {
    /// Raised by every restore.
    pub number: u64,
    /// Drawn by the restore: of two restores of one backup only one is consented to. 0 for the first incarnation.
    pub restore: u64,
    /// What was old for it, by chain, when it held its first lease: it may have been promised, joined or published by the
    /// memory that is lost. `None` until then.
    pub forgotten: Option<BTreeMap<String, Known>>,
}

/// Who spoke, from which process, and where its journal stood.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// The party.
    pub from: PartyIndex,
    /// Its process.
    pub instance: u64,
    /// Its journal.
    pub journal: Held,
    /// Whether consents to its incarnation by more than half of its peers came with the word.
    pub is_consented: bool,
}

/// What the granting half answers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Granted { nonce: u64, token: u64 },
    Word(LeaseWord),
    Nothing,
}

/// The lease machine of one process.
#[derive(Clone, Debug)]
pub struct Lease {
    me: PartyIndex,
    process: Process,
    /// When this process began to listen.
    began: Millis,
    quorum: usize,
    grants: Grants,
    held: Holdings,
    sights: Sights,
    /// Chains of which the operator was told that this party is blind there.
    told_blind: BTreeSet<String>,
    heights: BTreeMap<String, u64>,
    heights_dirty: bool,
    linked: BTreeSet<PartyIndex>,
    draws: bool,
    has_left: bool,
    alarmed: BTreeSet<(PartyIndex, u64)>,
    incarnation: Incarnation,
    incarnation_dirty: bool,
    /// Peers that have consented to this incarnation.
    consents: BTreeSet<PartyIndex>,
}

impl Lease {
    /// The machine of a process that has just begun, with what its disk remembers.
    #[must_use]
    pub fn new(
        me: PartyIndex,
        parties: impl Iterator<Item = PartyIndex>,
        quorum: usize,
        process: Process,
        remembered: Remembered,
        now: Millis,
    ) -> Self {
        let seen = remembered.heights.iter();
        let seen = seen.map(|(chain, height)| Known { chain: chain.clone(), height: *height, sequence: 0 }).collect();
        Self {
            me,
            process,
            began: now,
            quorum,
            grants: Grants::new(process.instance, remembered.peers, now),
            held: Holdings::new(parties.filter(|party| *party != me), quorum, seen),
            sights: Sights::default(),
            told_blind: BTreeSet::new(),
            heights: remembered.heights,
            heights_dirty: false,
            linked: BTreeSet::new(),
            draws: false,
            has_left: false,
            alarmed: BTreeSet::new(),
            incarnation: remembered.incarnation,
            incarnation_dirty: false,
            consents: BTreeSet::new(),
        }
    }

    /// This process.
    #[must_use]
    pub const fn process(&self) -> Process {
        self.process
    }

    /// What is to be remembered, if it changed.
    pub fn take_remembered(&mut self) -> Option<Remembered> {
        let changed = self.grants.take_dirty()
            | std::mem::take(&mut self.heights_dirty)
            | std::mem::take(&mut self.incarnation_dirty);
        changed.then(|| Remembered {
            peers: self.grants.memory(),
            heights: self.heights.clone(),
            incarnation: self.incarnation.clone(),
        })
    }

    /// Whether [`Self::take_remembered`] has something.
    #[must_use]
    pub const fn is_dirty(&self) -> bool {
        self.grants.is_dirty() || self.heights_dirty || self.incarnation_dirty
    }
}

// === what it may do ===

impl Lease {
    /// Whether this process may act at all: propose, vote, sign, publish.
    #[must_use]
    pub fn may_act(&self, now: Millis) -> bool {
        !self.has_left && self.holds(now)
    }

    /// Whether its lease has not run out. What was decided before its goodbye may still leave, before the goodbye does.
    #[must_use]
    pub fn holds(&self, now: Millis) -> bool {
        self.held.may_act(now)
    }

    /// Whether something created at this height is out of bounds for now: only what was stored may be said again.
    #[must_use]
    pub fn keeps_out(&self, chain: &str, created: u64) -> bool {
        let is_old = created <= self.held.old_height(chain) && self.held.unheard().next().is_some();
        let is_forgotten = self.forgot(chain).is_some_and(|known| created <= known.height);
        (is_old && !planted::is(Plant::ActsBeforeAllAnswered))
            || (is_forgotten && !planted::is(Plant::RestoredVotes))
            || self.sights.is_blind(chain)
    }

    /// Account sequences below this one are out of bounds, but for what was stored.
    #[must_use]
    pub fn keeps_out_of_sequences(&self, chain: &str) -> u64 {
        let old = if self.held.unheard().next().is_some() { self.held.old_sequence(chain) } else { 0 };
        old.max(self.forgot(chain).map_or(0, |known| known.sequence))
    }

    /// What the memory that a restore could not bring back may hold of a chain.
    #[must_use]
    pub fn forgot(&self, chain: &str) -> Option<&Known> {
        self.incarnation.forgotten.as_ref().and_then(|forgotten| forgotten.get(chain))
    }

    /// Which incarnation of its party this process is.
    #[must_use]
    pub const fn incarnation(&self) -> &Incarnation {
        &self.incarnation
    }

    /// Restores of peers that ask for consent: incarnation and restore.
    pub fn asking(&self) -> impl Iterator<Item = (PartyIndex, (u64, u64))> + '_ {
        self.grants.asking()
    }

    /// Whether this party sees another chain than `Q` others.
    #[must_use]
    pub fn is_blind(&self, chain: &str) -> bool {
        self.sights.is_blind(chain)
    }

    /// Whether frames of this instance of a peer are heard.
    #[must_use]
    pub fn hears(&self, party: PartyIndex, instance: u64) -> bool {
        self.grants.knows(party, instance)
    }

    /// Whether a peer and this process know each other, and the peer may act.
    #[must_use]
    pub fn is_mutual(&self, peer: PartyIndex, now: Millis) -> bool {
        let is_heard = self.held.is_fresh(peer, now) && self.grants.is_alive(peer, now) && self.grants.acts(peer);
        self.linked.contains(&peer) && (is_heard || planted::is(Plant::CountsTheSilent))
    }

    /// Everything that restrains this process now.
    #[must_use]
    pub fn restraints(&self, now: Millis) -> Vec<Restraint> {
        let peers = || self.held.peers();
        let unheard: Vec<PartyIndex> = self.held.unheard().collect();
        let mut restraints = Vec::new();
        let have = peers().filter(|peer| self.held.is_fresh(*peer, now)).count();
        if have + 1 < self.quorum {
            restraints.push(Restraint::NoLease { have, need: self.quorum.saturating_sub(1) });
        } else if !self.held.is_known() {
            restraints.push(Restraint::Unknown { unheard: unheard.clone() });
        }
        if self.held.refusals().any(|(_, reason)| reason == Refusal::NeedsConsent) {
            let need = peers().count() / 2 + 1;
            let restore = restore_name(self.incarnation.restore);
            restraints.push(Restraint::Consents { have: self.consents.len(), need, restore });
        }
        let passing = [Refusal::StillAlive, Refusal::NeedsConsent];
        let refusals = self.held.refusals().filter(|(_, reason)| !passing.contains(reason));
        restraints.extend(refusals.map(|(by, reason)| Restraint::Refused { by, reason }));
        if self.held.is_known() && !unheard.is_empty() {
            restraints.push(Restraint::KeepsOut { unheard });
        }
        restraints.extend(self.sights.blind().map(|(chain, _)| Restraint::Blind { chain: chain.to_owned() }));
        restraints
    }

    /// Peers of which an operator must decide whether the process that asks is the one that is to live: two live copies
    /// were seen, or its journal does not reach back to what is remembered.
    #[must_use]
    pub fn fenced(&self) -> Vec<PartyIndex> {
        let waits = |peer: &PartyIndex| self.grants.is_fenced(*peer) || self.grants.is_out_of_reach(*peer);
        self.held.peers().filter(waits).collect()
    }
}

// === what happens ===

impl Lease {
    /// The own endpoint shows a new block.
    pub fn see(&mut self, chain: &str, height: u64, hash: [u8; 32]) {
        self.sights.see(chain, height, hash, self.quorum);
        self.held.saw(chain, height);
        let known = self.heights.entry(chain.to_owned()).or_default();
        if height > *known {
            *known = height;
            self.heights_dirty = true;
        }
    }

    /// A link stands.
    pub fn link_up(&mut self, peer: PartyIndex) {
        self.linked.insert(peer);
        self.held.link_up(peer);
    }

    /// A link broke.
    pub fn link_down(&mut self, peer: PartyIndex) {
        self.linked.remove(&peer);
    }

    /// Time passed: asks for grants, renews them.
    pub fn tick(&mut self, sequences: &BTreeMap<String, u64>, now: Millis) -> Vec<Act> {
        let mut acts = self.say_due(None, sequences, now);
        acts.extend(self.tell_blindness());
        if !self.has_left && !self.draws && self.held.needs_nonce(&self.linked, self.may_act(now), now) {
            self.draws = true;
            acts.push(Act::Draw);
        }
        acts
    }

    /// An endpoint on another chain is a matter for a person; so is that it has come back.
    fn tell_blindness(&mut self) -> Vec<Act> {
        let blind: BTreeMap<&str, u64> = self.sights.blind().collect();
        let begins = blind.iter().filter(|(chain, _)| !self.told_blind.contains(**chain)).map(|(chain, height)| {
            Act::Alarm(format!(
                "{chain}: this party's endpoint shows another block {height} than a quorum of its peers: it signs and publishes \
                 nothing there until its endpoint shows theirs"
            ))
        });
        let ends = self.told_blind.iter().filter(|chain| !blind.contains_key(chain.as_str()));
        let ends =
            ends.map(|chain| Act::Note(format!("{chain}: the endpoint shows the same blocks as the peers' again")));
        let acts = begins.chain(ends).collect();
        self.told_blind = blind.into_keys().map(str::to_owned).collect();
        acts
    }

    /// Fresh chance, drawn for this very moment: two copies of one memory must not draw the same.
    pub fn nonce(&mut self, nonce: u64, sequences: &BTreeMap<String, u64>, now: Millis) -> Vec<Act> {
        self.draws = false;
        self.say_due(Some(nonce), sequences, now)
    }

    fn say_due(&mut self, nonce: Option<u64>, sequences: &BTreeMap<String, u64>, now: Millis) -> Vec<Act> {
        if self.has_left {
            return Vec::new();
        }
        let acts = self.may_act(now);
        let due = self.held.due(&self.linked, nonce, acts, now);
        let say = |(peer, due)| match due {
            Due::Hello(nonce) => Act::Say(peer, self.own_hello(nonce, None)),
            Due::Renew(token, nonce, acts) => {
                Act::Say(peer, LeaseWord::Renew { token, nonce, sights: self.own_sights(sequences), acts })
            }
        };
        due.into_iter().map(say).collect()
    }

    const fn own_hello(&self, nonce: u64, held: Option<Held>) -> LeaseWord {
        LeaseWord::Hello { life: self.process.life, nonce, held, restore: self.incarnation.restore }
    }

    fn own_sights(&self, sequences: &BTreeMap<String, u64>) -> Vec<Sight> {
        let sight = |(chain, height, hash): (&str, u64, [u8; 32])| Sight {
            chain: chain.to_owned(),
            height,
            hash,
            sequence: sequences.get(chain).copied().unwrap_or(0),
        };
        self.sights.newest().map(sight).collect()
    }

    /// What the journal held at the position that a peer asked for; `None` if it reaches not so far, or not so far back.
    pub fn show(&mut self, peer: PartyIndex, nonce: u64, held: Option<Held>) -> Vec<Act> {
        match held {
            Some(_) if self.held.is_asked(peer, nonce) => vec![Act::Say(peer, self.own_hello(nonce, held))],
            Some(_) => Vec::new(),
            // Asked every second, told once.
            None if !self.is_first((peer, nonce)) => Vec::new(),
            None => vec![Act::Alarm(format!(
                "party {peer} remembers a place of this party's journal that this disk does not hold: restored, copied, or \
                 older than the journal reaches back"
            ))],
        }
    }

    /// A statement of a peer that is heard.
    pub fn saw(&mut self, heard: &Heard) {
        self.grants.saw(heard.from, heard.journal);
    }

    /// A word of a peer.
    pub fn hear(&mut self, heard: &Heard, word: &LeaseWord, now: Millis) -> Vec<Act> {
        if heard.from == self.me || !word.is_bounded() {
            return Vec::new();
        }
        let from = heard.from;
        self.held.spoke(from);
        match word {
            LeaseWord::Hello { life, nonce, held, restore } => {
                let hello = Hello { life: *life, nonce: *nonce, held: *held, restore: *restore };
                let said = self.grants.hello(heard, &hello, now);
                self.answer(heard, &hello, said)
            }
            LeaseWord::Consent { incarnation, restore } => {
                if (*incarnation, *restore) == (self.incarnation.number, self.incarnation.restore) {
                    self.consents.insert(from);
                }
                Vec::new()
            }
            LeaseWord::Renew { token, nonce, sights, acts } => {
                let said = self.grants.renew(heard, *token, *nonce, (sights, *acts), now);
                if matches!(said, Ok(Said::Word(LeaseWord::Renewed { .. }))) {
                    self.sights.told(from, sights, self.quorum);
                }
                self.answer(heard, &Hello { nonce: *nonce, ..Hello::default() }, said)
            }
            LeaseWord::Goodbye => {
                // Written at once: after a restart of both nobody need wait.
                if self.grants.goodbye(heard) { vec![Act::Remember] } else { Vec::new() }
            }
            LeaseWord::Challenge { nonce, position } if self.held.is_asked(from, *nonce) => {
                vec![Act::Show(from, *nonce, *position)]
            }
            LeaseWord::Challenge { .. } => Vec::new(),
            LeaseWord::Granted { nonce, token, known } => {
                let was_known = self.held.is_known();
                self.held.granted(from, *nonce, *token, known.clone());
                if self.held.is_known() && !was_known { self.first_lease() } else { Vec::new() }
            }
            LeaseWord::Renewed { nonce, token, is_doubled } => {
                self.held.renewed(from, *nonce, *token);
                if *is_doubled && self.is_first((self.me, 0)) {
                    return vec![Act::Alarm(format!(
                        "party {from} hears another process that asks to be this party: a copy of this disk has been started"
                    ))];
                }
                Vec::new()
            }
            LeaseWord::HelloAgain { nonce } => {
                self.held.hello_again(from, *nonce);
                Vec::new()
            }
            LeaseWord::Refused { nonce, reason } => {
                let is_news = self.held.refused(from, *nonce, *reason, now);
                match reason {
                    _ if !is_news => Vec::new(),
                    Refusal::StillAlive => vec![Act::Note(format!("party {from} waits: {reason}"))],
                    Refusal::NeedsConsent => {
                        let restore = restore_name(self.incarnation.restore);
                        vec![Act::Note(format!("party {from} waits for its operator's consent to {restore}"))]
                    }
                    _ => vec![Act::Alarm(format!("party {from} does not know this process as its party: {reason}"))],
                }
            }
        }
    }

    fn first_lease(&mut self) -> Vec<Act> {
        let unheard: Vec<String> = self.held.unheard().map(|peer| format!("party {peer}")).collect();
        let mut acts = self.forget();
        acts.push(Act::Note(match unheard.as_slice() {
            [] => "every peer knows this process".to_owned(),
            some => format!("known to a majority; keeps out of what is old until {} answer", some.join(", ")),
        }));
        acts
    }

    /// The first lease of a restored party: what is old now is forgotten for ever, and that is written before anything
    /// is done.
    fn forget(&mut self) -> Vec<Act> {
        if self.incarnation.number == 0 || self.incarnation.forgotten.is_some() {
            return Vec::new();
        }
        let forgotten = self.held.old().clone();
        let list = forgotten.values().map(|known| format!("{} up to block {}", known.chain, known.height));
        let text = format!("back from a backup: keeps out of {} for ever", list.collect::<Vec<_>>().join(", "));
        self.incarnation.forgotten = Some(forgotten);
        self.incarnation_dirty = true;
        vec![Act::Remember, Act::Note(text)]
    }

    fn answer(&mut self, heard: &Heard, hello: &Hello, said: Result<Said, Refusal>) -> Vec<Act> {
        let (from, nonce) = (heard.from, hello.nonce);
        match said {
            Ok(Said::Nothing) => Vec::new(),
            Ok(Said::Word(word)) => {
                let is_doubled = matches!(word, LeaseWord::Renewed { is_doubled: true, .. });
                let mut acts = vec![Act::Say(from, word)];
                let newcomer = self.grants.newcomer(from).unwrap_or(0);
                if is_doubled && self.is_first((from, newcomer)) {
                    acts.push(Act::Alarm(format!(
                        "two processes of party {from} are alive: one is known, another asks to be; the second is refused"
                    )));
                }
                acts
            }
            Ok(Said::Granted { nonce, token }) => {
                vec![Act::SayDurably(from, LeaseWord::Granted { nonce, token, known: self.known_of(from) })]
            }
            Err(reason) => {
                let word = LeaseWord::Refused { nonce, reason };
                let is_fence = reason == Refusal::Fenced;
                let mut acts = vec![if is_fence { Act::SayDurably(from, word) } else { Act::Say(from, word) }];
                if reason == Refusal::NeedsConsent && self.is_first((from, hello.restore)) {
                    acts.push(Act::Alarm(format!(
                        "party {from} asks to come back from a backup, as incarnation {} by restore {}; if its operator says \
                         the same: `keyringd peers consent`",
                        hello.life.incarnation,
                        restore_name(hello.restore)
                    )));
                }
                let passing = [Refusal::StillAlive, Refusal::NeedsConsent];
                if !passing.contains(&reason) && self.is_first((from, heard.instance)) {
                    acts.push(Act::Alarm(format!("a process of party {from} is refused: {reason}")));
                }
                acts
            }
        }
    }

    /// Each alarm once, within a bound.
    fn is_first(&mut self, about: (PartyIndex, u64)) -> bool {
        if self.alarmed.len() >= ALARMS_MAX {
            self.alarmed.clear();
        }
        self.alarmed.insert(about)
    }

    fn known_of(&self, peer: PartyIndex) -> Vec<Known> {
        let memory = self.grants.memory();
        let sequences = memory.get(&peer).map(|memory| &memory.sequences);
        let known = |(chain, height): (&String, &u64)| Known {
            chain: chain.clone(),
            height: *height,
            sequence: sequences.and_then(|known| known.get(chain)).copied().unwrap_or(0),
        };
        self.heights.iter().map(known).take(CHAINS_MAX).collect()
    }

    /// The links show that two processes answer under a peer's name, whether or not both were heard.
    pub fn saw_twins(&mut self, peer: PartyIndex, now: Millis) -> Vec<Act> {
        self.grants.saw_twins(peer, now);
        if !self.is_first((peer, 0)) {
            return Vec::new();
        }
        vec![Act::Alarm(format!(
            "two processes answer as party {peer}: one of them runs from a copy of its disk; only one is known, at most"
        ))]
    }

    /// Peers under whose name two processes answer, by what was seen within one lease.
    #[must_use]
    pub fn twins(&self, now: Millis) -> Vec<PartyIndex> {
        self.held.peers().filter(|peer| self.grants.has_twin(*peer, now)).collect()
    }

    /// An operator declares a silent peer dead, on record. `None` if it is not silent.
    pub fn vouch(&mut self, peer: PartyIndex, now: Millis) -> Option<Vec<Act>> {
        let was_known = self.held.is_known();
        let done = self.is_silent(peer, now) && self.held.vouch(peer);
        done.then(|| if self.held.is_known() && !was_known { self.first_lease() } else { Vec::new() })
    }

    /// Whether [`Self::consent`] would be taken.
    #[must_use]
    pub fn may_consent(&self, peer: PartyIndex, restore: u64) -> bool {
        self.grants.may_consent(peer, restore).is_some()
    }

    /// An operator lets a peer come back from its backup. `false` if no restore asks by that number, or another one has
    /// this party's consent.
    pub fn consent(&mut self, peer: PartyIndex, restore: u64) -> bool {
        self.grants.consent(peer, restore).is_some()
    }

    /// An operator knows that nothing of the lost memory is on its way any more: this account sequence may be used.
    pub fn remember_sequence(&mut self, chain: &str, sequence: u64) -> bool {
        let forgotten = self.incarnation.forgotten.as_mut().and_then(|forgotten| forgotten.get_mut(chain));
        let Some(known) = forgotten.filter(|known| known.sequence > sequence) else { return false };
        known.sequence = sequence;
        self.incarnation_dirty = true;
        true
    }

    /// Whether nothing was heard of a peer for one lease, so that it may be declared dead. In its first lease a process has
    /// listened to nobody for that long.
    #[must_use]
    pub fn is_silent(&self, peer: PartyIndex, now: Millis) -> bool {
        let has_listened = now >= self.began + LEASE_MS;
        has_listened && peer != self.me && !self.held.is_fresh(peer, now) && !self.grants.was_heard(peer, now)
    }

    /// An operator has decided which copy of a peer is to live, or that the process that asks runs from the disk that was
    /// there. `false` if neither is asked.
    pub fn unfence(&mut self, peer: PartyIndex) -> bool {
        self.alarmed.retain(|(party, _)| *party != peer);
        self.grants.unfence(peer)
    }

    /// The process ends in order and does not act any more.
    pub fn leave(&mut self) -> Vec<Act> {
        self.has_left = true;
        self.linked.iter().map(|peer| Act::Say(*peer, LeaseWord::Goodbye)).collect()
    }
}
