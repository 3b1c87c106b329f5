//! The node and its lease: which process is heard, when this one may act, and what it keeps out of.

use std::collections::{BTreeMap, BTreeSet};

use mpc_core::PartyIndex;
use serde::de::DeserializeOwned;

use super::{ChainSide, ContractSide, Level, Live, Node, Order, RecoverError};
use crate::admission::Job;
use crate::agreement::clock::Millis;
use crate::agreement::{Act as DecreeAct, Audience};
use crate::lease::{Act, Heard, Held, Incarnation, LeaseWord, Remembered, Restraint, restore_name};
use crate::message::{Attachment, Content, Envelope, Packet};
use crate::store::{Entry, Store, Table};

/// Where [`Remembered`] lies in [`Table::Meta`].
pub const REMEMBERED: &[u8] = b"lease";
/// Where the consents to this incarnation lie.
const CONSENTS: &[u8] = b"consents";

/// What an operator decides about a peer, on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The silent peer is dead: nothing that it remembers is waited for.
    Vouch,
    /// Of two live copies one was ended: the peer may say hello again.
    Unfence,
    /// The peer may come back from its backup, by this restore.
    Consent(u64),
}

impl Node {
    /// Whether this process may act at all.
    #[must_use]
    pub fn may_act(&self) -> bool {
        self.lease.may_act(self.now)
    }

    /// Whether the lease has not run out by a later look at the clock than the last event's.
    #[must_use]
    pub fn holds_lease_at(&self, now: Millis) -> bool {
        self.lease.holds(self.now.max(now))
    }

    /// Why this process does not act, or not on everything; empty when nothing restrains it.
    #[must_use]
    pub fn restraints(&self) -> Vec<Restraint> {
        let mut restraints = self.lease.restraints(self.now);
        let forgot = |live: &&Live| {
            let (id, job) = (&live.job.decree, &live.job);
            let is_old = self.lease.forgot(&id.chain).is_some_and(|known| job.created.0 <= known.height);
            is_old && !live.request.learning && live.decree.decision().is_none()
        };
        let open = self.live.values().filter(forgot).count();
        if open > 0 {
            restraints.push(Restraint::Forgot { open });
        }
        restraints
    }

    /// Peers of which this party has seen two live copies.
    #[must_use]
    pub fn fenced(&self) -> Vec<PartyIndex> {
        self.lease.fenced()
    }

    /// Whether an operator's decision about a peer can be carried out now; if not, why.
    ///
    /// # Errors
    /// In words, for the operator.
    pub fn would(&self, peer: PartyIndex, word: Word) -> Result<(), &'static str> {
        let fits = match word {
            Word::Vouch => self.lease.is_silent(peer, self.now),
            Word::Unfence => self.lease.fenced().contains(&peer),
            Word::Consent(restore) => self.lease.may_consent(peer, restore),
        };
        match word {
            _ if fits => Ok(()),
            Word::Consent(_) => Err(
                "it does not ask to come back by a restore of this name, or another restore of that incarnation has this party's \
                 consent",
            ),
            Word::Vouch => Err(
                "it was heard within the last lease, or this process has listened for less than one: nobody vouches that a \
                 living peer is dead",
            ),
            Word::Unfence => Err("it is not fenced here"),
        }
    }

    /// How many words of its operator about a peer this process has taken.
    #[must_use]
    pub fn words(&self, peer: PartyIndex) -> u64 {
        self.words.get(&peer).copied().unwrap_or(0)
    }

    /// Peers under whose name two processes answer.
    #[must_use]
    pub fn twins(&self) -> Vec<PartyIndex> {
        self.lease.twins(self.now)
    }

    pub(super) fn saw_twins(&mut self, peer: PartyIndex) {
        let acts = self.lease.saw_twins(peer, self.now);
        self.lease_acts(acts);
    }

    /// Restores of peers that ask for this operator's consent: who, as which incarnation, by which restore.
    pub fn asking(&self) -> impl Iterator<Item = (PartyIndex, (u64, u64))> + '_ {
        self.lease.asking()
    }

    /// Whether a peer's process and this one know each other.
    #[must_use]
    pub fn knows(&self, peer: PartyIndex) -> bool {
        self.lease.is_mutual(peer, self.now)
    }

    /// Whether a job is out of bounds for now: what was stored may be said again, nothing new.
    pub(super) fn keeps_out_of(&self, job: &Job) -> bool {
        let chain = &job.decree.chain;
        !self.may_act() || self.lease.keeps_out(chain, job.created.0) || self.is_closed(chain)
    }

    /// Time for the lease; then who is present follows from it.
    pub(super) fn tick_lease(&mut self) {
        let acts = self.lease.tick(&self.own_sequences(), self.now);
        self.lease_acts(acts);
        self.presence();
    }

    pub(super) fn nonce(&mut self, nonce: u64) {
        let acts = self.lease.nonce(nonce, &self.own_sequences(), self.now);
        self.lease_acts(acts);
    }

    /// What the journal held where a peer asked.
    pub(super) fn journal_shown(&mut self, peer: PartyIndex, nonce: u64, held: Option<Held>) {
        let acts = self.lease.show(peer, nonce, held);
        self.lease_acts(acts);
    }

    pub(super) fn lease_word(&mut self, packet: &Packet, word: &LeaseWord) {
        let envelope = &packet.envelope;
        let mut heard = heard(envelope);
        match word {
            LeaseWord::Hello { life, restore, .. } => {
                let asked = (life.incarnation, *restore);
                heard.is_consented = self.consents(envelope.from, asked, &packet.attachment.consents);
            }
            LeaseWord::Consent { incarnation, restore } => self.keep_consent(envelope, (*incarnation, *restore)),
            _ => {}
        }
        let acts = self.lease.hear(&heard, word, self.now);
        self.lease_acts(acts);
        match word {
            // Whether this process may act may have changed, which its peers learn at once.
            LeaseWord::Granted { .. } => self.tick_lease(),
            _ => self.presence(),
        }
    }

    /// Whether these are the consents of more than half of a party's peers to this incarnation of it.
    fn consents(&self, of: PartyIndex, asked: (u64, u64), consents: &[Envelope]) -> bool {
        let peers = self.committee.size().saturating_sub(1);
        let speakers = consents.iter().take(peers).filter(|envelope| {
            matches!(&envelope.content, Content::Lease(to, LeaseWord::Consent { incarnation, restore })
                if *to == of && (*incarnation, *restore) == asked)
                && envelope.from != of
                && self.committee.vouches_for(envelope)
        });
        let speakers: BTreeSet<PartyIndex> = speakers.map(|envelope| envelope.from).collect();
        speakers.len() * 2 > peers
    }

    /// A consent to this party's own incarnation is kept, with its signature: the other peers are shown it.
    fn keep_consent(&mut self, envelope: &Envelope, to: (u64, u64)) {
        let own = self.lease.incarnation();
        let is_new = self.consents.iter().all(|kept| kept.from != envelope.from);
        if (own.number, own.restore) == to && own.number > 0 && is_new {
            self.consents.push(envelope.clone());
            let bytes = postcard::to_stdvec(&self.consents).unwrap_or_default();
            self.write([Entry::put(Table::Meta, CONSENTS, bytes)]);
            self.note(Level::Info, None, format!("party {} consents to this restore", envelope.from));
        }
    }

    /// Whether a peer's statement is heard: its process is the one that this party knows. Notes where its journal stood.
    pub(super) fn is_heard(&mut self, envelope: &Envelope) -> bool {
        if envelope.from == self.me {
            return true;
        }
        let is_heard = self.lease.hears(envelope.from, envelope.instance);
        if is_heard {
            self.lease.saw(&heard(envelope));
        }
        is_heard
    }

    pub(super) fn operator(&mut self, peer: PartyIndex, word: Word) {
        let (done, what) = match word {
            Word::Vouch => (self.lease.vouch(peer, self.now), "declared dead".to_owned()),
            Word::Unfence => (self.lease.unfence(peer).then(Vec::new), "unfenced".to_owned()),
            Word::Consent(restore) => {
                let what = format!("let come back by restore {}", restore_name(restore));
                (self.lease.consent(peer, restore).then(Vec::new), what)
            }
        };
        let Some(acts) = done else {
            let why = "it is alive, was not fenced, or another restore of that incarnation has this party's consent";
            return self.note(Level::Warn, None, format!("party {peer} cannot be {what}: {why}"));
        };
        self.lease_acts(acts);
        *self.words.entry(peer).or_default() += 1;
        let mut place = b"operator/".to_vec();
        place.extend(self.lease.process().life.boot.to_be_bytes());
        place.extend(self.now.to_be_bytes());
        place.extend(peer.get().to_be_bytes());
        self.write([Entry::put(Table::Audit, place, what.as_bytes())]);
        self.note(Level::Warn, None, format!("party {peer} was {what} by this node's operator"));
        self.tick();
    }

    /// The process ends in order: whoever comes next need not wait for the lease to run out.
    pub(super) fn leave(&mut self) {
        let acts = self.lease.leave();
        self.lease_acts(acts);
    }

    fn own_sequences(&self) -> BTreeMap<String, u64> {
        let next = |(chain, side): (&String, &ChainSide)| Some((chain.clone(), side.outbox.next_sequence()?));
        let nonce = |(chain, side): (&String, &ContractSide)| Some((chain.clone(), side.sender.facts().nonce?));
        self.chains.iter().filter_map(next).chain(self.contracts.iter().filter_map(nonce)).collect()
    }

    fn lease_acts(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Say(peer, word) => self.say_word(peer, word),
                Act::SayDurably(peer, word) => {
                    self.remember_lease();
                    self.say_word(peer, word);
                }
                Act::Remember => self.remember_lease(),
                Act::Draw => self.effects.orders.push(Order::Draw),
                Act::Show(peer, nonce, position) => {
                    self.effects.orders.push(Order::ShowJournal { peer, nonce, position });
                }
                Act::Alarm(text) => self.note(Level::Alarm, None, text),
                Act::Note(text) => self.note(Level::Info, None, text),
            }
        }
    }

    fn say_word(&mut self, peer: PartyIndex, word: LeaseWord) {
        let consents = match word {
            LeaseWord::Hello { .. } => self.consents.clone(),
            _ => Vec::new(),
        };
        self.say(Audience::One(peer), Content::Lease(peer, word), Attachment { consents, ..Attachment::default() });
    }

    pub(super) fn remember_lease(&mut self) {
        if let Some(remembered) = self.lease.take_remembered() {
            let bytes = postcard::to_stdvec(&remembered).unwrap_or_default();
            self.write([Entry::put(Table::Meta, REMEMBERED, bytes)]);
        }
    }

    /// Where something is written anyway, what was seen of the peers' journals is written too.
    pub(super) fn remember_beside(&mut self) {
        if !self.effects.entries.is_empty() && self.lease.is_dirty() {
            self.remember_lease();
        }
    }

    /// Who is present: whose link stands, and who knows this process as this process knows it.
    fn presence(&mut self) {
        let others = self.committee.parties().filter(|party| *party != self.me);
        let mutual: BTreeSet<PartyIndex> = others.filter(|peer| self.lease.is_mutual(*peer, self.now)).collect();
        let acts = self.may_act();
        let gained = acts && !std::mem::replace(&mut self.acted, acts);
        let came: Vec<PartyIndex> = mutual.difference(&self.present).copied().collect();
        let mut stays = mutual;
        stays.insert(self.me);
        self.present = stays;
        if gained {
            self.note(Level::Info, None, "this process may act for its party");
            self.reopen_all();
        }
        for peer in &came {
            let ids: Vec<_> = self.live.keys().cloned().collect();
            for id in ids {
                self.with_live(&id, |live, _, _| live.decree.peer_came(*peer));
            }
        }
        if !came.is_empty() || gained {
            // Turns that waited for enough parties open now.
            self.tick_decrees();
            self.restate_stock();
            self.say_declined();
        }
    }

    /// What waited for the lease goes on.
    fn reopen_all(&mut self) {
        let ids: Vec<_> = self.live.keys().cloned().collect();
        for id in ids {
            // Letting go of its restraint opens it.
            self.with_live(&id, |_, _, _| Vec::<DecreeAct>::new());
        }
    }
}

fn heard(envelope: &Envelope) -> Heard {
    Heard { from: envelope.from, instance: envelope.instance, journal: envelope.journal(), is_consented: false }
}

/// What the store remembers of the peers' processes.
///
/// # Errors
/// When the record cannot be read.
pub(super) fn recover(store: &dyn Store) -> Result<Remembered, RecoverError> {
    Ok(decoded(store, REMEMBERED, "memory of the peers")?.unwrap_or_default())
}

/// The consents to this incarnation that came so far.
///
/// # Errors
/// When the record cannot be read.
pub(super) fn recover_consents(store: &dyn Store) -> Result<Vec<Envelope>, RecoverError> {
    Ok(decoded(store, CONSENTS, "consents to the restore")?.unwrap_or_default())
}

/// Which incarnation of its party a store is.
///
/// # Errors
/// When the record cannot be read.
pub fn incarnation(store: &dyn Store) -> Result<Incarnation, RecoverError> {
    Ok(recover(store)?.incarnation)
}

fn decoded<T: DeserializeOwned>(store: &dyn Store, key: &[u8], what: &str) -> Result<Option<T>, RecoverError> {
    let Some(bytes) = store.read(Table::Meta, key)? else { return Ok(None) };
    postcard::from_bytes(&bytes).map(Some).map_err(|_| RecoverError::Record(what.to_owned()))
}
