//! Making stock: shelf keys in lanes, and the auxiliary data of the roster. Stock signs nothing (law 1), and is made
//! within this party's own bounds: how many runs at a time, how many free keys in anybody's lane.

use std::collections::{BTreeMap, BTreeSet};

use mpc_core::{AuxInfo, KeyId, KeyShare, PartyIndex, Possession, SessionId, Suite};

use super::{Level, Node, Order, Priority, Records as _, RunNews, RunOf, RunOrder};
use crate::agreement::Audience;
use crate::agreement::clock::Millis;
use crate::message::{Attachment, Content, Envelope};
use crate::shelf;
use crate::stock::{StockWord, Stored};
use crate::store::{Entry, Table};
use crate::tag;

/// A key generation without result for so long is given up; it may wait long for a core while auxiliary data computes.
const KEY_RUN_MS_MAX: Millis = 2 * 60_000;
/// The same for auxiliary data, which may compute for minutes in a large roster.
const AUXILIARY_RUN_MS_MAX: Millis = 30 * 60_000;
/// Own auxiliary data that not all have confirmed for so long is made anew.
const CONFIRMED_MS_MAX: Millis = 10 * 60_000;
/// Before stock is tried again after a failure.
const RETRY_MS: Millis = 2_000;
/// Free keys that a foreign lane may hold, in multiples of this party's own wish.
const LANE_FACTOR: usize = 4;

const KEY_COUNTER: &[u8] = b"counter/key";
const AUXILIARY_COUNTER: &[u8] = b"counter/auxiliary";
const AUXILIARY_ACTIVE: &[u8] = b"auxiliary/active";

/// Where the auxiliary data of a run is stored, sealed like everything.
#[must_use]
pub fn auxiliary_key(counter: u64) -> Vec<u8> {
    [b"auxiliary/".as_slice(), &counter.to_be_bytes()].concat()
}

/// The counters of an incarnation: none that its party counted before may come again, since they name runs.
#[must_use]
pub fn first_counters(incarnation: u64) -> [Entry; 2] {
    let first = incarnation.saturating_mul(1 << 40).to_be_bytes();
    [KEY_COUNTER, AUXILIARY_COUNTER].map(|name| Entry::put(Table::Stock, name, first))
}

/// What is in the making, and which auxiliary data is in force.
#[derive(Debug, Default)]
pub(super) struct Stock {
    active: Option<(u64, [u8; 32])>,
    /// Runs whose data is stored here: counter to digest.
    own: BTreeMap<u64, [u8; 32]>,
    /// Who has stored which digest, by counter.
    stored: BTreeMap<u64, BTreeMap<PartyIndex, [u8; 32]>>,
    not_before: Millis,
    auxiliary_not_before: Millis,
    restated_at: Option<Millis>,
    /// Whether this party has primes for a run, and when it said so last.
    has_primes: bool,
    announced_at: Option<Millis>,
    /// Runs that this party did not join while it could not speak: it says so when it can.
    declined_keys: BTreeMap<PartyIndex, u64>,
    declined_auxiliary: Option<u64>,
    /// Who has said so to the first party.
    ready: BTreeSet<PartyIndex>,
}

impl Stock {
    pub(super) const fn is_active(&self) -> bool {
        self.active.is_some()
    }

    pub(super) fn active_digest(&self) -> Option<[u8; 32]> {
        self.active.map(|(_, digest)| digest)
    }

    pub(super) fn counter_of(&self, digest: &[u8; 32]) -> Option<u64> {
        self.active.filter(|(_, active)| active == digest).map(|(counter, _)| counter)
    }

    pub(super) fn recovered(active: Option<(u64, [u8; 32])>, own: BTreeMap<u64, [u8; 32]>) -> Self {
        Self { active, own, ..Self::default() }
    }

    /// What a peer said of its primes may not hold any more when it comes back.
    pub(super) fn link_down(&mut self, peer: PartyIndex) {
        self.ready.remove(&peer);
    }

    pub(super) const fn active_key() -> &'static [u8] {
        AUXILIARY_ACTIVE
    }
}

impl Node {
    /// Begins what this party is to begin: its own lane's keys, and, as the first party, the auxiliary data.
    pub(super) fn tick_stock(&mut self) {
        let now = self.now;
        let stale: Vec<SessionId> = self
            .runs
            .iter()
            .filter(|(_, run)| match run {
                RunOf::Sign(_) => false,
                RunOf::Key { began, .. } => now >= began + KEY_RUN_MS_MAX,
                RunOf::Auxiliary { began, .. } => now >= began + AUXILIARY_RUN_MS_MAX,
            })
            .map(|(session, _)| *session)
            .collect();
        for session in stale {
            self.runs.remove(&session);
            self.effects.orders.push(Order::Stop(session));
            self.note(Level::Warn, None, format!("stock run {session} gave no result and was given up"));
        }
        if self.present.len() < self.committee.size() {
            return;
        }
        self.restate_auxiliary();
        self.announce_primes();
        let own_key_run = self.runs.values().any(|run| matches!(run, RunOf::Key { lane, .. } if *lane == self.me));
        if !own_key_run && now >= self.stock.not_before {
            self.begin_key();
        }
        let auxiliary_run = self.runs.values().any(|run| matches!(run, RunOf::Auxiliary { .. }));
        if self.me.get() == 0
            && !self.stock.is_active()
            && !auxiliary_run
            && now >= self.stock.auxiliary_not_before
            // A run spends the primes of all: it begins when all have some.
            && self.stock.ready.len() == self.committee.size()
            && let Some(counter) = self.next_counter(AUXILIARY_COUNTER)
        {
            self.stock.auxiliary_not_before = now + CONFIRMED_MS_MAX;
            self.stock.ready.clear();
            self.say(Audience::All, Content::Stock(StockWord::BeginAuxiliary { counter }), Attachment::default());
        }
    }

    /// The shell has found primes, or they were taken.
    pub(super) fn primes(&mut self, at_hand: bool) {
        self.stock.has_primes = at_hand;
        self.stock.announced_at = None;
        self.tick();
    }

    /// The first party learns who could take part in a run.
    fn announce_primes(&mut self) {
        const EVERY_MS: Millis = 5_000;
        let recently = self.stock.announced_at.is_some_and(|at| self.now < at + EVERY_MS);
        if self.stock.has_primes && !self.stock.is_active() && !recently {
            self.stock.announced_at = Some(self.now);
            let word = StockWord::PrimesReady;
            self.say(Audience::One(PartyIndex::new(0)), Content::Stock(word), Attachment::default());
        }
    }

    /// Whoever waits for this party in a run that it did not join is told: at once, or when this process holds its lease.
    pub(super) fn say_declined(&mut self) {
        if !self.may_act() {
            return;
        }
        for (lane, counter) in std::mem::take(&mut self.stock.declined_keys) {
            self.say(Audience::One(lane), Content::Stock(StockWord::Busy { counter }), Attachment::default());
        }
        if let Some(counter) = self.stock.declined_auxiliary.take() {
            let word = StockWord::AuxiliaryFailed { counter };
            self.say(Audience::One(PartyIndex::new(0)), Content::Stock(word), Attachment::default());
        }
    }

    /// Data that is stored here and not in force yet is said again now and then: somebody may have missed it.
    fn restate_auxiliary(&mut self) {
        const EVERY_MS: Millis = 10_000;
        let recently = self.stock.restated_at.is_some_and(|at| self.now < at + EVERY_MS);
        if self.stock.is_active() || self.stock.own.is_empty() || recently {
            return;
        }
        self.stock.restated_at = Some(self.now);
        for (counter, digest) in self.stock.own.clone() {
            let word = StockWord::AuxiliaryStored { counter, digest };
            self.say(Audience::All, Content::Stock(word), Attachment::default());
        }
    }

    /// Key generations need every party. One that cannot end makes room at once: a party is gone, or its lane has begun
    /// anew.
    pub(super) fn stop_keys(&mut self, is_over: impl Fn(PartyIndex, u64) -> bool) {
        let over = self.runs.iter().filter_map(|(session, run)| match run {
            RunOf::Key { lane, counter, .. } if is_over(*lane, *counter) => Some(*session),
            _ => None,
        });
        let sessions: Vec<SessionId> = over.collect();
        for session in sessions {
            self.runs.remove(&session);
            self.effects.orders.push(Order::Stop(session));
        }
    }

    fn begin_key(&mut self) {
        let lacking = self.keys_per_lane.iter().filter_map(|(suite, wanted)| {
            let free = self.shelf.free_in(self.me, *suite);
            (free < *wanted).then_some((free, *suite))
        });
        let Some((_, suite)) = lacking.min() else { return };
        if let Some(counter) = self.next_counter(KEY_COUNTER) {
            // Until the run is over, or for this long if it never begins.
            self.stock.not_before = self.now + RETRY_MS;
            self.say(Audience::All, Content::Stock(StockWord::BeginKey { suite, counter }), Attachment::default());
        }
    }

    /// The next value of a durable counter; written before anybody hears it.
    fn next_counter(&mut self, name: &[u8]) -> Option<u64> {
        match self.memory.read(Table::Stock, name) {
            Ok(bytes) => {
                let last = bytes.and_then(|bytes| bytes.as_slice().try_into().ok()).map_or(0, u64::from_be_bytes);
                let next = last.checked_add(1)?;
                self.write([Entry::put(Table::Stock, name, next.to_be_bytes())]);
                Some(next)
            }
            Err(error) => {
                self.memory_failed(None, &error);
                None
            }
        }
    }

    pub(super) fn stock_word(&mut self, from: PartyIndex, word: StockWord) {
        match word {
            StockWord::BeginKey { suite, counter } => self.join_key(from, suite, counter),
            StockWord::BeginAuxiliary { counter } if from.get() == 0 => self.join_auxiliary(counter),
            StockWord::AuxiliaryStored { counter, digest } => self.auxiliary_stored(from, counter, digest),
            StockWord::AuxiliaryFailed { counter } if self.me.get() == 0 => {
                self.stop_auxiliary(|live| live == counter);
                self.stock.auxiliary_not_before = self.stock.auxiliary_not_before.min(self.now + 10 * RETRY_MS);
            }
            // Whoever cannot take part now will not later: the run ends here, and the next one begins soon.
            StockWord::Busy { counter } => {
                let me = self.me;
                self.stop_keys(|lane, live| lane == me && live == counter);
                self.stock.not_before = self.now + RETRY_MS;
            }
            StockWord::PrimesReady if self.me.get() == 0 => {
                if self.stock.ready.insert(from) {
                    self.tick();
                }
            }
            StockWord::BeginAuxiliary { .. }
            | StockWord::AuxiliaryFailed { .. }
            | StockWord::PrimesReady
            | StockWord::Finished => {}
        }
    }

    fn join_key(&mut self, lane: PartyIndex, suite: Suite, counter: u64) {
        self.stop_keys(|other, old| other == lane && old < counter);
        let live = self.runs.values().filter(|run| matches!(run, RunOf::Key { .. })).count();
        let wanted = self.keys_per_lane.get(&suite).copied().unwrap_or(0).max(1);
        let full = self.shelf.free_in(lane, suite) >= wanted * LANE_FACTOR;
        // Rounds sent over a link that is not up yet are lost, and the run with them.
        let alone = self.present.len() < self.committee.size();
        if live > self.committee.size() || full || alone {
            self.stock.declined_keys.insert(lane, counter);
            return self.say_declined();
        }
        let (epoch, suite_byte) = (self.committee.epoch().to_be_bytes(), suite.point_len().to_be_bytes());
        let parts: [&[u8]; 4] = [&epoch, &lane.get().to_be_bytes(), &suite_byte, &counter.to_be_bytes()];
        let session = SessionId::new(tag::hash(tag::SESSION_KEY, &parts));
        if self.enters(session, b"key") {
            self.runs.insert(session, RunOf::Key { lane, counter, began: self.now });
            let run = RunOrder::Key(suite);
            self.effects.orders.push(Order::Start { session, run, priority: Priority::Key(self.now) });
        }
    }

    fn join_auxiliary(&mut self, counter: u64) {
        if self.stock.is_active() {
            return;
        }
        // A new beginning ends the old one: some party has given it up.
        self.stop_auxiliary(|old| old < counter);
        if self.runs.values().any(|run| matches!(run, RunOf::Auxiliary { .. })) {
            return;
        }
        if self.present.len() < self.committee.size() {
            self.stock.declined_auxiliary = Some(counter);
            return self.say_declined();
        }
        let parts: [&[u8]; 2] = [&self.committee.epoch().to_be_bytes(), &counter.to_be_bytes()];
        let session = SessionId::new(tag::hash(tag::SESSION_AUXILIARY, &parts));
        if self.enters(session, b"auxiliary") {
            self.runs.insert(session, RunOf::Auxiliary { counter, began: self.now });
            let run = RunOrder::Auxiliary;
            self.effects.orders.push(Order::Start { session, run, priority: Priority::Auxiliary });
        }
    }

    fn stop_auxiliary(&mut self, is_over: impl Fn(u64) -> bool) {
        let over = self.runs.iter().filter_map(|(session, run)| match run {
            RunOf::Auxiliary { counter, .. } if is_over(*counter) => Some(*session),
            _ => None,
        });
        let sessions: Vec<SessionId> = over.collect();
        for session in sessions {
            self.runs.remove(&session);
            self.effects.orders.push(Order::Stop(session));
        }
    }

    /// Marks a session entered, once ever. `false` if it was entered before.
    fn enters(&mut self, session: SessionId, what: &[u8]) -> bool {
        match self.memory.read(Table::Session, session.as_bytes()) {
            Ok(None) => {
                self.write([Entry::once(Table::Session, session.as_bytes(), what)]);
                true
            }
            Ok(Some(_)) => false,
            Err(error) => {
                self.memory_failed(None, &error);
                false
            }
        }
    }

    pub(super) fn key_news(&mut self, session: SessionId, lane: PartyIndex, news: RunNews) {
        match news {
            RunNews::Key(share) => {
                self.runs.remove(&session);
                self.key_made(lane, &share);
            }
            RunNews::Failed { reason, .. } => {
                self.runs.remove(&session);
                self.stock.not_before = self.now + RETRY_MS;
                self.note(Level::Warn, None, format!("key generation {session} failed: {reason}"));
            }
            RunNews::Queued | RunNews::Round(_) | RunNews::Signed(..) | RunNews::Auxiliary(_) => {}
        }
    }

    /// A share was made: stored first, then read back and proved, then stated.
    fn key_made(&mut self, lane: PartyIndex, share: &KeyShare) {
        let (epoch, key) = (self.committee.epoch(), share.info().key_id());
        let entries = self.shelf.made(epoch, lane, share);
        self.write(entries);
        let context = Stored::context(epoch, key, lane, &share.info().shares_digest());
        self.effects.orders.push(Order::Prove(key, context));
        if lane == self.me {
            self.stock.not_before = self.now;
        }
    }

    /// The share was read back from disk and proved: now it may be stated as stored.
    pub(super) fn proved(&mut self, key: KeyId, possession: Possession) {
        let record = match shelf::read_record(&self.memory, key) {
            Ok(Some(record)) => record,
            Ok(None) => return,
            Err(error) => return self.memory_failed(None, &error),
        };
        let Ok(info) = shelf::decode_info(&record, key) else { return };
        let stored = Stored {
            key,
            lane: record.lane,
            shares: info.shares_digest(),
            info: record.info,
            possession: possession.as_bytes().to_vec(),
        };
        self.say(Audience::All, Content::Stored(stored), Attachment::default());
    }

    /// A statement that a share is stored. Whoever lacks the certificate that we hold is shown it.
    pub(super) fn stated(&mut self, envelope: &Envelope) {
        let Content::Stored(stored) = &envelope.content else { return };
        match shelf::read_record(&self.memory, stored.key) {
            Ok(Some(record)) if !record.certificate.is_empty() => {
                if envelope.from != self.me {
                    let attachment = Attachment { stored: record.certificate, ..Attachment::default() };
                    self.say(Audience::One(envelope.from), Content::Stock(StockWord::Finished), attachment);
                }
            }
            Ok(_) => match self.shelf.stated(envelope, &self.committee, &self.memory) {
                Ok(entries) => {
                    let finished = !entries.is_empty();
                    self.write(entries);
                    if finished {
                        self.tick();
                    }
                }
                Err(error) => self.memory_failed(None, &error),
            },
            Err(error) => self.memory_failed(None, &error),
        }
    }

    pub(super) fn auxiliary_news(&mut self, session: SessionId, counter: u64, news: RunNews) {
        match news {
            RunNews::Auxiliary(auxiliary) => {
                self.runs.remove(&session);
                self.auxiliary_made(counter, &auxiliary);
            }
            RunNews::Failed { reason, .. } => {
                self.runs.remove(&session);
                self.stock.auxiliary_not_before = self.now + 10 * RETRY_MS;
                self.note(Level::Warn, None, format!("auxiliary data {session} failed: {reason}"));
                self.stock.declined_auxiliary = Some(counter);
                self.say_declined();
            }
            RunNews::Queued | RunNews::Round(_) | RunNews::Signed(..) | RunNews::Key(_) => {}
        }
    }

    fn auxiliary_made(&mut self, counter: u64, auxiliary: &AuxInfo) {
        let digest = auxiliary.digest();
        self.write([Entry::Put {
            table: Table::Stock,
            key: auxiliary_key(counter),
            value: auxiliary.encode(),
            rule: crate::store::Rule::WriteOnce,
        }]);
        self.stock.own.insert(counter, digest);
        self.say(Audience::All, Content::Stock(StockWord::AuxiliaryStored { counter, digest }), Attachment::default());
    }

    /// In force once all `n` parties have stored the same.
    fn auxiliary_stored(&mut self, from: PartyIndex, counter: u64, digest: [u8; 32]) {
        const COUNTERS_MAX: usize = 16;
        let own = self.stock.own.get(&counter).copied();
        if own.is_some() && from != self.me && self.stock.is_active() {
            // The one who asks may have missed ours.
            let word = StockWord::AuxiliaryStored { counter, digest: own.unwrap_or(digest) };
            if self.stock.stored.get(&counter).is_none_or(|heard| !heard.contains_key(&from)) {
                self.say(Audience::One(from), Content::Stock(word), Attachment::default());
            }
        }
        if self.stock.stored.len() >= COUNTERS_MAX && !self.stock.stored.contains_key(&counter) {
            self.stock.stored.pop_first();
        }
        let heard = self.stock.stored.entry(counter).or_default();
        heard.insert(from, digest);
        let agreed = heard.len() == self.committee.size() && heard.values().all(|stored| Some(*stored) == own);
        if agreed && !self.stock.is_active() {
            self.stock.active = Some((counter, digest));
            let bytes = postcard::to_stdvec(&(counter, digest)).unwrap_or_default();
            self.write([Entry::put(Table::Stock, AUXILIARY_ACTIVE, bytes)]);
            self.note(Level::Info, None, "auxiliary data is in force");
            self.tick();
        }
    }

    /// A peer came up: it may have missed what was stated about unfinished stock.
    pub(super) fn restate_stock(&mut self) {
        let unfinished: Vec<KeyId> = self.shelf.unfinished().collect();
        for key in unfinished {
            let record = shelf::read_record(&self.memory, key).ok().flatten();
            let Some((lane, info)) =
                record.and_then(|record| shelf::decode_info(&record, key).ok().map(|info| (record.lane, info)))
            else {
                continue;
            };
            let context = Stored::context(self.committee.epoch(), key, lane, &info.shares_digest());
            self.effects.orders.push(Order::Prove(key, context));
        }
        self.stock.restated_at = None;
        self.stock.announced_at = None;
        self.restate_auxiliary();
    }
}
