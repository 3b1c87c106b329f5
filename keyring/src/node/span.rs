//! Spans of a contract's final blocks become requests, and end them.
//!
//! A span is taken whole: the requests in it and the mark behind it are one write, so none is lost and none is taken twice.

use std::collections::BTreeMap;

use chain_client::Height;
use chain_client::zrsign::event::SignatureAsked;
use chain_client::zrsign::name::{LogPlace, Slot};
use mpc_core::{KeyId, Suite};

use super::contract::{DESTINATIONS_MAX, Said, Span, destination_key, slot_key, source_key};
use super::{Level, Node, Records as _};
use crate::admission::{Job, Task, Unanswerable};
use crate::contract::{self, Asked, Judged};
use crate::decree::{DecreeId, Kind};
use crate::lines::LineName;
use crate::request::{Event, RequestRecord, State};
use crate::store::{Entry, StoreError, Table};

impl Node {
    pub(super) fn span(&mut self, chain: &str, span: Span) {
        let Some(side) = self.contracts.get_mut(chain) else { return };
        // Taken already, or read behind a mark that another span has moved.
        if side.mark.is_some_and(|mark| mark != span.from) || side.closed.is_some() {
            return;
        }
        // Followed from the mark, whether there is room for what stands in it or not.
        self.lease.see(chain, span.to.height, span.to.hash.0);
        let asked = span.said.iter().filter(|said| matches!(said, Said::Asked(..))).count();
        let (all, live, places) = (self.live.len(), self.live_on(chain), self.places());
        let Some(side) = self.contracts.get_mut(chain) else { return };
        let own = live + side.waiting();
        // What does not fit now is read again: its blocks do not go away. A span that never fits is taken when nothing of
        // its contract is open. What is live in all keeps its bound, because one write of the journal may hold all of it.
        side.is_full = (own > 0 && own + asked > places) || (all > 0 && all + asked > self.live_max);
        if side.is_full {
            return;
        }
        side.mark = Some(span.to);
        // Where there was no contract yet, what is known of it from before holds.
        let new_source = span.source.filter(|source| side.source.replace(*source) != Some(*source));
        let mark = postcard::to_stdvec(&span.to).unwrap_or_default();
        self.write([Entry::put(Table::Cursor, chain.as_bytes(), mark)]);
        if let Some(source) = new_source {
            self.write([Entry::put(Table::Contract, source_key(chain), source.as_slice())]);
        }
        let mut closed_here = BTreeMap::new();
        for said in span.said {
            match said {
                Said::Asked(Asked::Signature(asked), false) => {
                    self.signature_missed(*asked, &mut closed_here);
                }
                Said::Asked(asked, is_open) => self.asked(chain, asked, is_open),
                Said::Unreadable { trace, at, why } => self.unreadable(chain, trace, at, why),
                Said::KeyFilled(slot, address) => self.key_filled(&slot, &address),
                Said::Answered { trace, signature, meta_data, broadcast } => match closed_here.remove(&trace) {
                    Some((id, asked)) => self.answered_without(&id, &asked, &meta_data),
                    None => self.signature_answered(chain, trace, &signature, broadcast, &meta_data),
                },
                Said::Destination(caip) => self.destination(chain, &caip),
            }
        }
        self.tick();
    }

    /// Requests of one chain that are live.
    pub(super) fn live_on(&self, chain: &str) -> usize {
        self.live.keys().filter(|id| id.chain == chain).count()
    }

    /// Requests that each chain may have live: an equal part, so that requests that never end take no place of another's.
    pub(super) fn places(&self) -> usize {
        (self.live_max / (self.chains.len() + self.contracts.len()).max(1)).max(1)
    }

    fn destination(&mut self, chain: &str, caip: &str) {
        let Some(side) = self.contracts.get_mut(chain) else { return };
        if side.destinations.len() < DESTINATIONS_MAX && side.destinations.learn(caip) {
            self.write([Entry::put(Table::Contract, destination_key(chain, caip), Vec::new())]);
        }
    }

    fn unreadable(&mut self, chain: &str, trace: u64, at: LogPlace, why: String) {
        let Some(side) = self.contracts.get(chain) else { return };
        let id = contract::unreadable_at(side.setup.proxy, trace, at);
        let seen = Height(at.height);
        self.close(&id, RequestRecord::new(seen), Unanswerable::Contract(why));
    }

    pub(super) fn close(&mut self, id: &DecreeId, record: RequestRecord, reason: Unanswerable) {
        let note = reason.to_string();
        self.note(Level::Info, Some(id), format!("unanswerable: {note}"));
        self.write([Entry::delete(Table::Open, id.to_bytes())]);
        self.write_ended(id, &RequestRecord { state: State::Unanswerable(reason), note, ..record });
    }

    fn asked(&mut self, chain: &str, asked: Asked, is_open: bool) {
        let at = asked.at();
        let id = match asked.decree() {
            Ok(id) => id,
            Err(error) => return self.unreadable(chain, u64::MAX, at, error.to_string()),
        };
        match self.stored_request(&id) {
            Ok(None) => {}
            // Its block was taken back, and stands in the chain all the same.
            Ok(Some(record)) if record.state == State::Undone => {}
            Ok(Some(_)) => return,
            Err(error) => return self.memory_failed(Some(&id), &error),
        }
        let record = RequestRecord { asked: Some(asked.clone()), ..RequestRecord::new(Height(at.height)) };
        match &asked {
            Asked::Key { asked, .. } => self.key_asked(&asked.slot, id, record, is_open),
            Asked::Signature(asked) => self.signature_asked(asked, &id, record),
        }
    }

    /// What others have answered needs nothing of this party. Its answer stands further on in the same span.
    fn signature_missed(&self, asked: SignatureAsked, missed: &mut BTreeMap<u64, (DecreeId, SignatureAsked)>) {
        let name = Asked::Signature(Box::new(asked.clone())).decree();
        if let Some(id) = name.ok().filter(|id| !self.live.contains_key(id)) {
            missed.insert(id.request, (id, asked));
        }
    }

    fn key_asked(&mut self, slot: &Slot, id: DecreeId, record: RequestRecord, is_open: bool) {
        // Anybody may ask for any owner, and no answer for this one is ever taken: it would hold its place for good.
        if slot.owner.is_zero() {
            let why = "the owner is the zero address, for which the contract takes no answer".to_owned();
            return self.close(&id, record, Unanswerable::Contract(why));
        }
        match self.slot_named_by(slot, &id) {
            Ok(None) => {}
            // The slot's first event names the request; a later one adds nothing but money.
            Ok(Some(first)) => {
                return self.note(Level::Info, Some(&first), "asked for again before it was answered".to_owned());
            }
            Err(error) => return self.memory_failed(Some(&id), &error),
        }
        let key = slot_key(slot);
        self.write([Entry::delete(Table::Contract, key.clone()), Entry::once(Table::Contract, key, id.to_bytes())]);
        let task = Task::Key { key_type: slot.kind.key_type() };
        let job = Job { decree: id, created: record.seen, deadline: None, task };
        if is_open {
            self.admit(job, record);
        } else {
            // Answered while this party was away: it must still learn whose key this is.
            self.learn(job);
        }
    }

    /// The other decree that a slot is named by already. One whose block was taken back names nothing any more.
    fn slot_named_by(&self, slot: &Slot, id: &DecreeId) -> Result<Option<DecreeId>, StoreError> {
        let Some(first) = self.opened_by(slot)?.filter(|first| first != id) else { return Ok(None) };
        let is_undone = self.stored_request(&first)?.is_some_and(|record| record.state == State::Undone);
        Ok((!is_undone).then_some(first))
    }

    /// The decree that opened a slot.
    pub(super) fn opened_by(&self, slot: &Slot) -> Result<Option<DecreeId>, StoreError> {
        let damaged = || StoreError::Damaged { place: "contract/slot".to_owned(), what: "it names no decree" };
        let stored = self.memory.read(Table::Contract, &slot_key(slot))?;
        stored.map(|bytes| DecreeId::from_bytes(&bytes).ok_or_else(damaged)).transpose()
    }

    fn signature_asked(&mut self, asked: &SignatureAsked, id: &DecreeId, record: RequestRecord) {
        let Some(side) = self.contracts.get(&id.chain) else { return };
        let judged = contract::judge(asked, &side.destinations);
        if let Judged::Never(why) = judged {
            return self.close(id, record, Unanswerable::Contract(why));
        }
        let opened = match self.opened_by(&asked.wallet) {
            Ok(Some(opened)) => opened,
            Ok(None) => return self.close(id, record, Unanswerable::ForeignKey),
            Err(error) => return self.memory_failed(Some(id), &error),
        };
        match self.stored_record(&opened) {
            Ok(Some(decree)) if decree.decided.is_some() => {
                let public = decree.decided.map(|decided| decided.answer).unwrap_or_default();
                let digest = match judged {
                    Judged::Sign(digest) => digest,
                    Judged::Complete(_, destination) => {
                        let line = LineName { wallet: asked.wallet, destination };
                        return self.simple_asked(id, record, line, public);
                    }
                    Judged::Never(_) => return,
                };
                let task = Task::Sign {
                    key: KeyId::of(Suite::Secp256k1, &public),
                    // Every signature on a contract has 65 bytes.
                    key_type: chain_client::KeyType::EcdsaSecp256k1,
                    public,
                    payload: digest.to_vec(),
                };
                let job = Job { decree: id.clone(), created: record.seen, deadline: None, task };
                self.admit(job, record);
            }
            Ok(_) => {
                self.write([Entry::put(Table::Open, id.to_bytes(), Vec::new())]);
                self.write_ended(id, &record);
                if let Some(side) = self.contracts.get_mut(&id.chain) {
                    side.waiting.entry(opened).or_default().push(id.clone());
                }
            }
            Err(error) => self.memory_failed(Some(id), &error),
        }
    }

    /// A request that was waiting when this process began, or while its wallet's key was not known.
    pub(super) fn ask_again(&mut self, id: &DecreeId, record: RequestRecord) {
        match record.asked.clone() {
            Some(Asked::Signature(asked)) => self.signature_asked(&asked, id, record),
            Some(Asked::Key { .. }) | None => {}
        }
    }

    /// The contract shows an address in a slot: ours, or somebody else's.
    fn key_filled(&mut self, slot: &Slot, address: &str) {
        let id = match self.opened_by(slot) {
            Ok(Some(id)) => id,
            Ok(None) => return,
            Err(error) => return self.memory_failed(None, &error),
        };
        let Some(live) = self.live.get_mut(&id) else { return };
        let Some(decided) = live.decree.decision() else {
            // Answered by the others: this party must still learn the key.
            live.request.learning = true;
            return;
        };
        let is_ours = contract::address_of(slot.kind, &decided.answer).is_ok_and(|ours| ours == address);
        self.resolved(&id, is_ours);
    }

    fn signature_answered(&mut self, chain: &str, trace: u64, signature: &[u8], broadcast: bool, meta_data: &[u8]) {
        let is_it = |id: &DecreeId| id.chain == chain && id.kind == Kind::Signature && id.request == trace;
        let Some(id) = self.live.keys().find(|id| is_it(id)).cloned() else {
            return self.answered_unseen(chain, trace, meta_data);
        };
        let Some(live) = self.live.get(&id) else { return };
        // Nothing depends on a signature: what was answered without this party need not be learned.
        let is_decided = live.decree.decision().is_none_or(|decided| decided.answer == signature);
        // The contract compares it with nothing: whoever holds the role can have sent what was not to be, or keep it.
        let is_as_asked = match &live.request.asked {
            Some(Asked::Signature(asked)) => asked.broadcast == broadcast,
            Some(Asked::Key { .. }) | None => true,
        };
        self.resolved(&id, is_decided && is_as_asked);
    }

    /// A request that was waiting here, for its wallet's key or for its turn, was answered by the others.
    fn answered_unseen(&mut self, chain: &str, trace: u64, meta_data: &[u8]) {
        let Some(side) = self.contracts.get_mut(chain) else { return };
        let waiting = side.waiting.values().flatten().find(|id| id.request == trace);
        let Some(id) = waiting.or_else(|| side.lines.waits(trace)).cloned() else { return };
        for waiting in side.waiting.values_mut() {
            waiting.retain(|other| *other != id);
        }
        side.waiting.retain(|_, waiting| !waiting.is_empty());
        match self.stored_request(&id) {
            Ok(record) => {
                self.write([Entry::delete(Table::Open, id.to_bytes())]);
                if let Some(record) = record {
                    if let Some(Asked::Signature(asked)) = &record.asked {
                        self.answered_without(&id, asked, meta_data);
                    }
                    self.write_ended(&id, &RequestRecord { state: State::Settled, note: String::new(), ..record });
                }
            }
            Err(error) => self.memory_failed(Some(&id), &error),
        }
    }

    pub(super) fn resolved(&mut self, id: &DecreeId, is_ours: bool) {
        if !is_ours {
            let text = "the contract shows another answer than the decided one: who else holds its MPC role?";
            self.note(Level::Alarm, Some(id), text.to_owned());
            self.remark(id, text.to_owned());
        }
        let event = if is_ours { Event::Answered } else { Event::Closed };
        self.move_request(&contract::authorisation_of(id), &event);
        self.move_request(id, &event);
    }
}
