//! Chains at work: admitted requests become decrees, and what the chain shows ends them.

use chain_client::{Height, Request, RequestKind, Standing};

use super::{ChainNews, Event as NodeEvent, Level, Live, Node, Order};
use crate::admission::Job;
use crate::agreement::clock::Millis;
use crate::agreement::{Decree, Record};
use crate::decree::{DecreeId, Kind, Proposal, Value};
use crate::request::{Event, RequestRecord, State};
use crate::store::{Entry, Table};

/// Lifetime assumed of a request that has no deadline.
const NO_DEADLINE_MS: Millis = 60_000;
/// Block time assumed before one was measured.
pub(super) const BLOCK_MS_ASSUMED: Millis = 2_000;
/// Blocks between the turns of those who stand by.
pub(super) const STANDBY_BLOCKS: u64 = 3;

impl Node {
    pub(super) fn chain_news(&mut self, chain: &str, news: ChainNews) {
        if !self.chains.contains_key(chain) {
            return;
        }
        match news {
            ChainNews::Head { height, hash } => self.new_head(chain, height, hash),
            ChainNews::Keyring { height, facts } => {
                if let Some(side) = self.chains.get_mut(chain) {
                    side.outbox.keyring(height, &facts, side.setup.pen.account());
                    side.keyring = Some(facts);
                }
            }
            ChainNews::Balance(balance) => {
                if let Some(side) = self.chains.get_mut(chain) {
                    side.outbox.funds(balance);
                }
            }
            ChainNews::Fork(fork) => self.forked(chain, fork),
            ChainNews::Explained { decree, level, text } => {
                self.note(level, Some(&decree), text.clone());
                self.remark(&decree, text);
            }
            ChainNews::Resume(sequence) => self.resume(chain, sequence),
            ChainNews::Open { height, requests, complete, low_water } => {
                self.open_requests(chain, height, requests, complete);
                self.scanned(chain, low_water);
            }
            ChainNews::Seen(sighting) => self.seen(chain, *sighting),
            ChainNews::Unseen(decree) => {
                if let Some(side) = self.chains.get_mut(chain) {
                    side.examined.unseen(&decree);
                }
            }
            ChainNews::Reading(decree, reading) => self.readings(chain, &decree, std::slice::from_ref(&reading), false),
            ChainNews::Testimony(decree, readings) => self.readings(chain, &decree, &readings, true),
            ChainNews::Standing(decree, height, standing) => self.standing(&decree, height, &standing),
            ChainNews::Hint { sequence, hint } => self.hint(chain, sequence, &hint),
        }
    }

    pub(super) fn lifetime_left(&self, deadline: Option<Height>, chain: &str) -> Millis {
        let Some((deadline, side)) = deadline.zip(self.chains.get(chain)) else { return NO_DEADLINE_MS };
        deadline.0.saturating_sub(side.height.0).saturating_mul(side.block_ms)
    }

    /// A new block: deadlines pass, transactions are looked after, standbys' turns come.
    fn new_head(&mut self, chain: &str, height: Height, hash: [u8; 32]) {
        let now = self.now;
        let Some(side) = self.chains.get_mut(chain) else { return };
        if height <= side.height {
            return;
        }
        if side.height.0 > 0 {
            let per_block = (now.saturating_sub(side.height_at)) / (height.0 - side.height.0);
            side.block_ms = ((side.block_ms * 7 + per_block) / 8).max(1);
        }
        (side.height, side.hash) = (height, hash);
        self.lease.see(chain, height.0, hash);
        side.height_at = now;
        self.give_leave(chain, false);
        if self.may_publish(chain) {
            let Some(side) = self.chains.get_mut(chain) else { return };
            let moves = side.outbox.block(height);
            self.outbox_moves(chain, moves);
        }
        let late: Vec<DecreeId> = self
            .live
            .iter()
            .filter(|(id, live)| id.chain == chain && live.job.deadline.is_some_and(|deadline| deadline <= height))
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            // Whether the chain fulfilled it at the last moment is read from the chain, not assumed.
            let Some(request) = request_of(&id) else { continue };
            self.effects.orders.push(Order::ReadStanding(id, request));
        }
        self.tick();
    }

    pub(super) fn admit(&mut self, job: Job, request: RequestRecord) {
        let id = job.decree.clone();
        let stored = match self.stored_record(&id) {
            Ok(record) => record.unwrap_or_default(),
            Err(error) => return self.memory_failed(Some(&id), &error),
        };
        self.live.remove(&id);
        let request = RequestRecord { job: Some(job.clone()), ..request };
        let deadline = job.deadline.map_or_else(|| "no deadline".to_owned(), |height| format!("until block {height}"));
        self.note(Level::Info, Some(&id), format!("admitted, {deadline}"));
        self.write([Entry::put(Table::Open, id.to_bytes(), Vec::new())]);
        self.begin(job, request, stored);
    }

    /// Makes a decree live, hears what peers said of it early, and opens it.
    pub(super) fn begin(&mut self, job: Job, request: RequestRecord, stored: Record) {
        use super::Records as _;
        let id = job.decree.clone();
        let order = self.committee.order(&job.order_seed());
        // A key offered before a crash may be bound elsewhere already: it is offered to nobody else.
        if let Some((_, Proposal { value: Value::Key { key, .. }, .. })) = &stored.proposed {
            self.promised_keys.insert(*key, id.clone());
        }
        let around = self.around(job.deadline, &id.chain);
        let decided = stored.decided.is_some();
        let decree = Decree::new(id.clone(), self.committee.clone(), self.me, order, stored, self.gap, around);
        let (digest, seen_at) = (job.digest(), self.now);
        let learning = request.learning;
        let live = Live { decree, job, digest, request, seen_at, asked_at: 0 };
        // After a start all open requests come here, as the disk holds them: written again, they might fit into no batch.
        let (name, request) = (id.to_bytes(), postcard::to_stdvec(&live.request).unwrap_or_default());
        if !matches!(self.memory.read(Table::Request, &name), Ok(Some(stored)) if *stored == request) {
            self.write([Entry::put(Table::Request, name, request)]);
        }
        self.live.insert(id.clone(), live);
        if learning {
            return;
        }
        if decided {
            return self.with_live(&id, |_, _, _| vec![crate::agreement::Act::Decided]);
        }
        self.with_live(&id, |live, view, node| {
            live.decree.open(view, node.around(view.job.deadline, &view.job.decree.chain))
        });
        for (_, packet) in self.early.take(&id) {
            let now = self.now;
            self.on(now, NodeEvent::Packet(Box::new(packet)));
        }
    }

    pub(super) fn learn(&mut self, job: Job) {
        let request = RequestRecord {
            state: State::Parked,
            job: Some(job.clone()),
            learning: true,
            ..RequestRecord::new(job.created)
        };
        let stored = self.stored_record(&job.decree).ok().flatten().unwrap_or_default();
        self.write([Entry::put(Table::Open, job.decree.to_bytes(), Vec::new())]);
        self.begin(job, request, stored);
        self.tick_decrees();
    }

    fn standing(&mut self, id: &DecreeId, height: Height, standing: &Standing) {
        match standing {
            // Requests never vanish: this endpoint is behind the block that made it.
            Standing::Gone => {}
            Standing::Open { .. } => {
                let late = self.live.get(id).is_some_and(|live| live.job.deadline.is_some_and(|last| last <= height));
                if late {
                    self.move_request(id, &Event::TooLate);
                }
            }
            _ => self.closed(id, standing),
        }
    }

    /// The chain has closed a request. A key request whose decision is not known here is followed until it is learned:
    /// signatures by that key need it.
    pub(super) fn closed(&mut self, id: &DecreeId, standing: &Standing) {
        let fulfilled = matches!(standing, Standing::Fulfilled { .. } | Standing::Rejected { key: Some(_), .. });
        let held = self.chains.get(&id.chain).is_some_and(|side| side.outbox.slots().any(|slot| slot.decree == *id));
        let Some(live) = self.live.get_mut(id) else { return };
        if id.kind == Kind::Key && fulfilled && live.decree.decision().is_none() {
            live.request.learning = true;
            return;
        }
        if let Standing::Rejected { reason, .. } = standing {
            live.request.note.clone_from(reason);
        }
        if held {
            // Its transaction's fate comes first; the controller tells it.
            return;
        }
        let expired = matches!(standing, Standing::Rejected { reason, .. } if reason.contains("timed out"));
        let event = match (fulfilled, expired) {
            (true, _) => Event::Answered,
            (false, true) => Event::TooLate,
            (false, false) => Event::Closed,
        };
        if event == Event::TooLate {
            // No sequence is held for it: what was sent, if anything was, is spent without effect.
            self.move_request(id, &Event::Dead);
        }
        self.move_request(id, &event);
    }

    pub(super) fn move_request(&mut self, id: &DecreeId, event: &Event) {
        self.with_live(id, |live, _, _| {
            live.request.state = live.request.state.clone().on(event);
            Vec::new()
        });
    }

    /// Whether a decree needs no more attention; its traces in memory go, its records stay.
    pub(super) fn is_over(&mut self, id: &DecreeId, live: &Live) -> bool {
        let learned = live.request.learning && live.decree.decision().is_some();
        if !learned && !live.request.state.is_end() {
            return false;
        }
        if learned && !live.request.state.is_end() {
            let request = RequestRecord { state: State::Settled, ..live.request.clone() };
            self.write_ended(id, &request);
        }
        self.write([Entry::delete(Table::Open, id.to_bytes())]);
        if let Some(session) = live.decree.live_session() {
            self.runs.remove(&session);
            self.effects.orders.push(Order::Stop(session));
        }
        self.forget_commitments(id);
        // Offered and not bound here, a key may be offered again: who took the offer has bound it, and refuses.
        self.promised_keys.retain(|_, offered_to| offered_to != id);
        if let Some(side) = self.chains.get_mut(&id.chain) {
            let moves = side.outbox.forget(id);
            self.write(moves.entries);
        }
        if let Some(side) = self.contracts.get_mut(&id.chain) {
            let moves = side.sender.forget(id);
            self.write(moves.entries);
        }
        true
    }

    pub(super) fn write_ended(&mut self, id: &DecreeId, request: &RequestRecord) {
        self.write([Entry::put(Table::Request, id.to_bytes(), postcard::to_stdvec(request).unwrap_or_default())]);
    }

    pub(super) fn stored_request(&self, id: &DecreeId) -> Result<Option<RequestRecord>, crate::store::StoreError> {
        use super::Records as _;
        let damaged =
            || crate::store::StoreError::Damaged { place: format!("request/{id}"), what: "record does not decode" };
        self.memory
            .read(Table::Request, &id.to_bytes())?
            .map(|bytes| postcard::from_bytes(&bytes).map_err(|_| damaged()))
            .transpose()
    }
}

/// The decree of a request.
#[must_use]
pub fn decree_of(chain: &str, keyring: &str, request: &Request) -> DecreeId {
    let kind = match request.id.kind {
        RequestKind::Key => Kind::Key,
        RequestKind::Signature => Kind::Signature,
    };
    DecreeId {
        chain: chain.to_owned(),
        keyring: keyring.to_owned(),
        kind,
        request: request.id.number,
        event: None,
        item: 0,
    }
}

/// The request of a zrChain behind a decree; `None` for what only contracts have.
pub(super) const fn request_of(id: &DecreeId) -> Option<chain_client::RequestId> {
    let kind = match id.kind {
        Kind::Key => RequestKind::Key,
        Kind::Signature => RequestKind::Signature,
        Kind::Controller | Kind::Authorisation | Kind::Completion => return None,
    };
    Some(chain_client::RequestId { kind, number: id.request })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission;
    use crate::committee::Committee;
    use crate::identity::NodeIdentity;
    use crate::lease::{Life, Process};
    use crate::node::Setup;
    use crate::store::{MemoryStore, Store as _};
    use chain_client::KeyType;
    use mpc_core::{PartyIndex, Threshold};
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use zeroize::Zeroizing;

    #[test]
    fn a_start_writes_no_open_request_again() {
        let keys = (1..=3).map(|seed| {
            let identity = NodeIdentity::from_seed(&Zeroizing::new([seed; 32]));
            ed25519_dalek::VerifyingKey::from_bytes(&identity.public()).unwrap()
        });
        let committee = Committee::new(1, Threshold::new(2, 3).unwrap(), keys.collect()).unwrap();
        let store = Arc::new(MemoryStore::new(1));
        for number in 0..300 {
            let decree = DecreeId {
                chain: "zenrock".to_owned(),
                keyring: "keyring1".to_owned(),
                kind: Kind::Key,
                request: number,
                event: None,
                item: 0,
            };
            let task = admission::Task::Key { key_type: KeyType::EddsaEd25519 };
            let job = Job { decree: decree.clone(), created: Height(7), deadline: Some(Height(900)), task };
            let record = RequestRecord { job: Some(job), ..RequestRecord::new(Height(7)) };
            let record = postcard::to_stdvec(&record).unwrap();
            let entries = [
                Entry::put(Table::Open, decree.to_bytes(), Vec::new()),
                Entry::put(Table::Request, decree.to_bytes(), record),
            ];
            store.append(&entries).unwrap();
        }
        let setup = Setup {
            me: PartyIndex::new(0),
            process: Process { life: Life { incarnation: 0, boot: 1 }, instance: 1 },
            committee: Arc::new(committee),
            keys_per_lane: BTreeMap::new(),
            slots: 1,
            live_max: 300,
            chains: Vec::new(),
            contracts: Vec::new(),
            destinations: BTreeMap::new(),
        };
        let mut node = Node::recover(setup, store, 0).unwrap();
        assert_eq!(node.live.len(), 300);
        let written = node.take_effects().entries;
        let requests = written.iter().filter(|entry| matches!(entry, Entry::Put { table: Table::Request, .. }));
        assert_eq!(requests.count(), 0, "the disk holds them as they are");
    }
}
