//! Contracts at work: what was asked in final blocks becomes decrees, a decided answer asks for its authorisation, and
//! what the contract shows ends requests.
//!
//! One contract per chain. A span of blocks is taken whole: the requests in it and the mark behind it are one write, so
//! none is lost and none is taken twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::B256;
use chain_client::Height;
use chain_client::zrsign::event::SignatureAsked;
use chain_client::zrsign::name::{Destinations, LogPlace, Proxy, Slot};
use chain_client::zrsign::range::Mark;
use k256::ecdsa::VerifyingKey;
use mpc_core::{KeyId, Suite};

use super::{Level, Live, Node, Records as _};
use crate::admission::{Job, Task, Unanswerable};
use crate::agreement::Act;
use crate::agreement::clock::Millis;
use crate::contract::{self, Asked, Judged};
use crate::decree::{DecreeId, Kind};
use crate::request::{Event, RequestRecord, State};
use crate::sender::{self, Call, Hint, Look, Sender, Sight, Simulated};
use crate::store::{Entry, StoreError, Table};

/// A contract, and this party's account on its chain.
pub struct ContractSetup {
    /// The contract.
    pub proxy: Proxy,
    /// Where its wallets' transactions may go, by CAIP-2, beside what its own logs tell.
    pub destinations: Vec<String>,
    /// What may be paid.
    pub settings: sender::Settings,
    /// Signs this party's transactions.
    pub pen: Arc<dyn sender::Pen + Send + Sync>,
}

/// A span of final blocks, read whole from one endpoint, in which the contract ran code that the operators have listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The mark that it begins behind.
    pub from: Mark,
    /// The mark that it ends with.
    pub to: Mark,
    /// The contract's `SRC_CHAIN_ID` at its end.
    pub source: B256,
    /// What the logs say, in order.
    pub said: Vec<Said>,
}

/// What one log says, with what else judging it needs, read at the span's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Something is asked for; whether it is still open.
    Asked(Asked, bool),
    /// A log that is not what it should be: who asked cannot be answered.
    Unreadable {
        /// Its trace number, where the log shows one.
        trace: u64,
        /// The log.
        at: LogPlace,
        /// Why.
        why: String,
    },
    /// A slot was filled with this address.
    KeyFilled(Slot, String),
    /// A signature request was answered with these bytes.
    Answered(u64, Vec<u8>),
    /// A destination by CAIP-2.
    Destination(String),
}

/// News of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContractNews {
    /// The newest final block.
    Final {
        /// Its height.
        height: Height,
        /// Its hash.
        hash: [u8; 32],
    },
    /// A span.
    Span(Box<Span>),
    /// Why nothing is read and nothing signed, or that it goes on.
    Closed(Option<String>),
    /// The newest block. A reorganised chain may be shorter for a while.
    Head(Height),
    /// The account at the newest block.
    Sight(Box<Sight>),
    /// What was asked for with [`super::Order::LookAtContract`].
    Look(DecreeId, Box<Look>),
    /// What was asked for with [`super::Order::Simulate`].
    Simulated(DecreeId, Box<Call>, Simulated),
    /// What a node said of a transaction.
    Sent {
        /// Its nonce.
        nonce: u64,
        /// Its name.
        hash: B256,
        /// What was said.
        hint: Hint,
    },
    /// An operator lets a sender that stands still go on at this nonce.
    Resume(u64),
}

/// A contract as the node sees it.
pub(super) struct ContractSide {
    pub(super) setup: ContractSetup,
    pub(super) height: Height,
    pub(super) hash: [u8; 32],
    pub(super) height_at: Millis,
    pub(super) mark: Option<Mark>,
    pub(super) sender: Sender,
    /// The newest block, final or not.
    pub(super) head: Height,
    source: Option<B256>,
    destinations: Destinations,
    closed: Option<String>,
    /// Requests that wait until this party knows the wallet's key, by the key's decree.
    waiting: BTreeMap<DecreeId, Vec<DecreeId>>,
}

/// A contract, for status and metrics.
#[derive(Clone, Debug)]
pub struct ContractShown<'a> {
    /// The contract.
    pub proxy: Proxy,
    /// The newest final height; 0 before the first.
    pub height: Height,
    /// When that was, in the node's own time.
    pub height_at: Millis,
    /// Up to where its logs were taken.
    pub mark: Option<Mark>,
    /// The controller key: compressed secp256k1.
    pub controller: Option<Vec<u8>>,
    /// Why nothing is read.
    pub closed: Option<&'a str>,
    /// Requests whose wallet's key this party has not learned.
    pub waiting: usize,
}

impl ContractSide {
    pub(super) fn recover(
        setup: ContractSetup,
        store: &dyn crate::store::Store,
        now: Millis,
    ) -> Result<Self, super::RecoverError> {
        let chain = contract::chain_of(setup.proxy.chain);
        let damaged = |what: &str| super::RecoverError::Record(format!("{what} of {chain}"));
        let mark = store
            .read(Table::Cursor, chain.as_bytes())?
            .map(|bytes| postcard::from_bytes(&bytes).map_err(|_| damaged("cursor")))
            .transpose()?;
        let mut destinations = Destinations::default();
        for caip in &setup.destinations {
            destinations.learn(caip);
        }
        let prefix = destination_key(&chain, "");
        for (name, _) in store.scan(Table::Contract, &prefix, None, DESTINATIONS_MAX)? {
            let caip = name.get(prefix.len()..).and_then(|caip| std::str::from_utf8(caip).ok());
            destinations.learn(caip.ok_or_else(|| damaged("a destination"))?);
        }
        let source = store
            .read(Table::Contract, &source_key(&chain))?
            .map(|bytes| B256::try_from(bytes.as_slice()).map_err(|_| damaged("source")))
            .transpose()?;
        Ok(Self {
            sender: Sender::recover(setup.settings, store)?,
            head: Height(0),
            setup,
            height: Height(0),
            hash: [0; 32],
            height_at: now,
            mark,
            source,
            destinations,
            closed: None,
            waiting: BTreeMap::new(),
        })
    }
}

/// Destinations that one contract may tell of; the list of an honest one has a dozen.
const DESTINATIONS_MAX: usize = 1_024;

fn destination_key(chain: &str, caip: &str) -> Vec<u8> {
    format!("destination/{chain}/{caip}").into_bytes()
}

fn source_key(chain: &str) -> Vec<u8> {
    format!("source/{chain}").into_bytes()
}

fn slot_key(slot: &Slot) -> Vec<u8> {
    [b"slot/".as_slice(), slot.wallet_id().as_slice()].concat()
}

impl Node {
    pub(super) fn contract_news(&mut self, chain: &str, news: ContractNews) {
        let Some(side) = self.contracts.get_mut(chain) else { return };
        match news {
            ContractNews::Final { height, hash } if height > side.height => {
                (side.height, side.hash, side.height_at) = (height, hash, self.now);
                self.lease.see(chain, height.0, hash);
                self.tick();
            }
            ContractNews::Final { .. } => {}
            ContractNews::Span(span) => self.span(chain, *span),
            ContractNews::Closed(why) => {
                if side.closed != why {
                    side.closed.clone_from(&why);
                    side.sender.fork(why.clone());
                    match why {
                        Some(why) => self.note(Level::Alarm, None, format!("{chain} is not served: {why}")),
                        None => self.note(Level::Warn, None, format!("{chain} is served again")),
                    }
                }
            }
            news => self.sender_news(chain, news),
        }
    }

    /// Asks for the controller key of each contract of the roster, until there is one.
    pub(super) fn ask_for_controllers(&mut self) {
        let proxies: Vec<Proxy> = self.contracts.values().map(|side| side.setup.proxy).collect();
        for proxy in proxies {
            let decree = contract::controller_of(proxy);
            let is_known = match self.stored_request(&decree) {
                Ok(record) => record.is_some_and(|record| record.state.is_end()),
                Err(error) => return self.memory_failed(Some(&decree), &error),
            };
            if !is_known && !self.live.contains_key(&decree) {
                let task = Task::Key { key_type: chain_client::KeyType::EcdsaSecp256k1 };
                let job = Job { decree, created: Height(0), deadline: None, task };
                self.admit(job, RequestRecord::new(Height(0)));
            }
        }
    }

    /// The key that authorises answers at a contract, once it is decided.
    fn controller(&self, proxy: Proxy) -> Result<Option<Vec<u8>>, StoreError> {
        let stored = self.stored_record(&contract::controller_of(proxy))?;
        Ok(stored.and_then(|record| record.decided).map(|decided| decided.answer))
    }

    fn span(&mut self, chain: &str, span: Span) {
        let Some(side) = self.contracts.get_mut(chain) else { return };
        // Taken already, or read behind a mark that another span has moved.
        if side.mark.is_some_and(|mark| mark != span.from) || side.closed.is_some() {
            return;
        }
        let waiting: usize = side.waiting.values().map(Vec::len).sum();
        let asked = span.said.iter().filter(|said| matches!(said, Said::Asked(..))).count();
        // What does not fit now is read again: its blocks do not go away. A span that never fits is taken by an idle node.
        if self.live.len() + waiting + asked > self.live_max && self.live.len() + waiting > 0 {
            return;
        }
        side.mark = Some(span.to);
        let is_new_source = side.source.replace(span.source) != Some(span.source);
        let mark = postcard::to_stdvec(&span.to).unwrap_or_default();
        self.write([Entry::put(Table::Cursor, chain.as_bytes(), mark)]);
        if is_new_source {
            self.write([Entry::put(Table::Contract, source_key(chain), span.source.as_slice())]);
        }
        for said in span.said {
            match said {
                Said::Asked(asked, is_open) => self.asked(chain, asked, is_open),
                Said::Unreadable { trace, at, why } => self.unreadable(chain, trace, at, why),
                Said::KeyFilled(slot, address) => self.key_filled(&slot, &address),
                Said::Answered(trace, signature) => self.signature_answered(chain, trace, &signature),
                Said::Destination(caip) => self.destination(chain, &caip),
            }
        }
        self.tick();
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

    fn close(&mut self, id: &DecreeId, record: RequestRecord, reason: Unanswerable) {
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
            Ok(Some(_)) => return,
            Err(error) => return self.memory_failed(Some(&id), &error),
        }
        let record = RequestRecord { asked: Some(asked.clone()), ..RequestRecord::new(Height(at.height)) };
        match &asked {
            Asked::Key { asked, .. } => self.key_asked(&asked.slot, id, record, is_open),
            // What others have answered needs nothing of this party.
            Asked::Signature(_) if !is_open => {}
            Asked::Signature(asked) => self.signature_asked(asked, &id, record),
        }
    }

    fn key_asked(&mut self, slot: &Slot, id: DecreeId, record: RequestRecord, is_open: bool) {
        match self.opened_by(slot) {
            Ok(None) => {}
            // The slot's first event names the request; a later one adds nothing but money.
            Ok(Some(first)) if first != id => {
                return self.note(Level::Info, Some(&first), "asked for again before it was answered".to_owned());
            }
            Ok(Some(_)) => {}
            Err(error) => return self.memory_failed(Some(&id), &error),
        }
        self.write([Entry::once(Table::Contract, slot_key(slot), id.to_bytes())]);
        let task = Task::Key { key_type: slot.kind.key_type() };
        let job = Job { decree: id, created: record.seen, deadline: None, task };
        if is_open {
            self.admit(job, record);
        } else {
            // Answered while this party was away: it must still learn whose key this is.
            self.learn(job);
        }
    }

    /// The decree that opened a slot.
    fn opened_by(&self, slot: &Slot) -> Result<Option<DecreeId>, StoreError> {
        let damaged = || StoreError::Damaged { place: "contract/slot".to_owned(), what: "it names no decree" };
        let stored = self.memory.read(Table::Contract, &slot_key(slot))?;
        stored.map(|bytes| DecreeId::from_bytes(&bytes).ok_or_else(damaged)).transpose()
    }

    fn signature_asked(&mut self, asked: &SignatureAsked, id: &DecreeId, record: RequestRecord) {
        let Some(side) = self.contracts.get(&id.chain) else { return };
        let digest = match contract::judge(asked, &side.destinations) {
            Judged::Sign(digest) => digest,
            Judged::Never(why) => return self.close(id, record, Unanswerable::Contract(why)),
            Judged::Later(why) => {
                self.note(Level::Warn, Some(id), why.to_owned());
                self.write([Entry::put(Table::Open, id.to_bytes(), Vec::new())]);
                return self.write_ended(id, &RequestRecord { note: why.to_owned(), ..record });
            }
        };
        let opened = match self.opened_by(&asked.wallet) {
            Ok(Some(opened)) => opened,
            Ok(None) => return self.close(id, record, Unanswerable::ForeignKey),
            Err(error) => return self.memory_failed(Some(id), &error),
        };
        match self.stored_record(&opened) {
            Ok(Some(decree)) if decree.decided.is_some() => {
                let public = decree.decided.map(|decided| decided.answer).unwrap_or_default();
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

    /// What follows when a decree at a contract is decided.
    pub(super) fn decided_for_contract(&mut self, id: &DecreeId, live: &mut Live, answer: &[u8]) {
        match id.kind {
            Kind::Controller => {
                live.request.state = live.request.state.clone().on(&Event::Answered);
                self.note(Level::Info, Some(id), "the controller key is known".to_owned());
            }
            Kind::Key | Kind::Signature if live.request.learning => {}
            Kind::Key | Kind::Signature => self.authorise(id, live, answer),
            Kind::Authorisation => self.authorised(id, live, answer),
        }
    }

    /// The record that names a key is written: what waited for that key goes on.
    pub(super) fn key_known(&mut self, id: &DecreeId) {
        if id.kind == Kind::Controller {
            let unauthorised: Vec<DecreeId> = self
                .live
                .iter()
                .filter(|(other, live)| other.chain == id.chain && live.decree.decision().is_some())
                .map(|(other, _)| other.clone())
                .collect();
            for other in unauthorised {
                self.with_live(&other, |_, _, _| vec![Act::Decided]);
            }
            return;
        }
        let waiting = self.contracts.get_mut(&id.chain).and_then(|side| side.waiting.remove(id)).unwrap_or_default();
        for waiting in waiting {
            match self.stored_request(&waiting) {
                Ok(Some(record)) => self.ask_again(&waiting, record),
                Ok(None) => {}
                Err(error) => self.memory_failed(Some(&waiting), &error),
            }
        }
    }

    /// The second decree: exactly what the contract is told, signed by the controller key.
    fn authorise(&mut self, id: &DecreeId, live: &Live, answer: &[u8]) {
        let authorisation = contract::authorisation_of(id);
        let (Some(side), Some(asked)) = (self.contracts.get(&id.chain), &live.request.asked) else { return };
        let (Some(source), proxy) = (side.source, side.setup.proxy) else { return };
        if self.live.contains_key(&authorisation) {
            return;
        }
        let (controller, stored) = match (self.controller(proxy), self.stored_request(&authorisation)) {
            (Ok(controller), Ok(stored)) => (controller, stored),
            (Err(error), _) | (_, Err(error)) => return self.memory_failed(Some(id), &error),
        };
        let Some(public) = controller.filter(|_| stored.is_none_or(|record| !record.state.is_end())) else { return };
        let told = match asked.told(answer, live.job.signed_digest().map(B256::from)) {
            Ok(told) => told,
            Err(error) => return self.note(Level::Alarm, Some(id), format!("decided bytes are no answer: {error}")),
        };
        let task = Task::Sign {
            key: KeyId::of(Suite::Secp256k1, &public),
            key_type: chain_client::KeyType::EcdsaSecp256k1,
            public,
            payload: told.digest(source).to_vec(),
        };
        let job = Job { decree: authorisation, created: live.job.created, deadline: None, task };
        self.admit(job, RequestRecord { asked: Some(asked.clone()), ..RequestRecord::new(live.request.seen) });
    }

    /// The call that answers, complete: the sender carries it to the contract.
    fn authorised(&mut self, id: &DecreeId, live: &Live, answer: &[u8]) {
        // Delivered once the restraint is let go: the decision is told again then.
        if live.request.learning || self.keeps_out_of(&live.job) {
            return;
        }
        match self.call(id, live, answer) {
            Ok(Some(data)) => self.deliver(id, live, data),
            Ok(None) => {}
            Err(why) => self.note(Level::Alarm, Some(id), why),
        }
    }

    fn call(&self, id: &DecreeId, live: &Live, answer: &[u8]) -> Result<Option<alloy_primitives::Bytes>, String> {
        let (Some(asked), Task::Sign { public, payload, .. }) = (&live.request.asked, &live.job.task) else {
            return Ok(None);
        };
        let inner = DecreeId {
            kind: if matches!(asked, Asked::Key { .. }) { Kind::Key } else { Kind::Signature },
            ..id.clone()
        };
        let decided = self.stored_record(&inner).map_err(|error| format!("the store cannot be read: {error}"))?;
        let Some(decided) = decided.and_then(|record| record.decided) else { return Ok(None) };
        let request = self.stored_request(&inner).map_err(|error| format!("the store cannot be read: {error}"))?;
        let signed = request.and_then(|request| request.job?.signed_digest()).map(B256::from);
        let told = asked.told(&decided.answer, signed).map_err(|error| error.to_string())?;
        let key = VerifyingKey::from_sec1_bytes(public).map_err(|_| "the controller key is no point".to_owned())?;
        let digest = B256::try_from(payload.as_slice()).map_err(|_| "no digest was authorised".to_owned())?;
        let form = chain_client::zrsign::authorisation::canonical(answer, digest, &key)
            .map_err(|error| format!("the contract would refuse the authorisation: {error}"))?;
        Ok(Some(told.call_data(&form)))
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

    fn signature_answered(&mut self, chain: &str, trace: u64, signature: &[u8]) {
        let is_it = |id: &DecreeId| id.chain == chain && id.kind == Kind::Signature && id.request == trace;
        let Some(id) = self.live.keys().find(|id| is_it(id)).cloned() else {
            return self.answered_unseen(chain, is_it);
        };
        let decided = self.live.get(&id).and_then(|live| live.decree.decision());
        // Nothing depends on a signature: what was answered without this party need not be learned.
        let is_ours = decided.is_none_or(|decided| decided.answer == signature);
        self.resolved(&id, is_ours);
    }

    /// A request that was waiting here for its wallet's key was answered by the others.
    fn answered_unseen(&mut self, chain: &str, is_it: impl Fn(&DecreeId) -> bool) {
        let Some(side) = self.contracts.get_mut(chain) else { return };
        let Some(id) = side.waiting.values().flatten().find(|id| is_it(id)).cloned() else { return };
        for waiting in side.waiting.values_mut() {
            waiting.retain(|other| *other != id);
        }
        side.waiting.retain(|_, waiting| !waiting.is_empty());
        match self.stored_request(&id) {
            Ok(record) => {
                self.write([Entry::delete(Table::Open, id.to_bytes())]);
                if let Some(record) = record {
                    self.write_ended(&id, &RequestRecord { state: State::Settled, ..record });
                }
            }
            Err(error) => self.memory_failed(Some(&id), &error),
        }
    }

    /// Whether nothing may be decided about a contract: what was read of it may not hold.
    pub(super) fn is_closed(&self, chain: &str) -> bool {
        self.contracts.get(chain).is_some_and(|side| side.closed.is_some())
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

    /// A contract that it serves.
    #[must_use]
    pub fn contract(&self, chain: &str) -> Option<ContractShown<'_>> {
        let side = self.contracts.get(chain)?;
        Some(ContractShown {
            proxy: side.setup.proxy,
            height: side.height,
            height_at: side.height_at,
            mark: side.mark,
            controller: self.controller(side.setup.proxy).ok().flatten(),
            closed: side.closed.as_deref(),
            waiting: side.waiting.values().map(Vec::len).sum(),
        })
    }
}
