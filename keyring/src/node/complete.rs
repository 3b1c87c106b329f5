//! Simple transactions: the request says who is paid what, the cluster settles on nonce, gas and price (docs/zrsign.md).
//!
//! A decree of its own, before the signature's: its leader names a final block of the destination and the transaction that
//! follows from it, and a party joins only when it has read that block from its own endpoint and finds the transaction
//! within its own bounds (law 1). The request whose turn it is comes from [`crate::lines`].

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use chain_client::zrsign::event::{SignatureAsked, SignatureKind, Task as Signs};
use chain_client::zrsign::transaction::{LegacyTransaction, SimpleTransaction, Surroundings};
use mpc_core::{KeyId, Suite};

use super::view::View;
use super::{Level, Live, Node, Order};
use crate::admission::{Job, Task, Unanswerable};
use crate::agreement::clock::Millis;
use crate::agreement::{Fresh, Judgement};
use crate::contract::{self, Asked};
use crate::decree::{DecreeId, Kind, Value};
use crate::lines::{Flight, LineName};
use crate::message::{Packet, Statement};
use crate::request::{Event, RequestRecord};
use crate::store::{Entry, Table};

/// How soon a destination is read again for a transaction that is to be completed, or that is in flight.
const LOOK_AGAIN_MS: Millis = 5_000;
/// The pause doubles up to this one while somebody waits for it: a destination may be down for long.
const WAITING_MS_MAX: Millis = 20_000;
/// And up to this one while nobody does: a transaction may never be sent.
const FLYING_MS_MAX: Millis = 160_000;
/// Final blocks by which the named one may be older than the newest that this party sees.
const AGE_BLOCKS_MAX: u64 = 32;
/// Blocks of a destination that are remembered for one decree.
const BLOCKS_MAX: usize = 8;

/// A block of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockName {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: B256,
}

/// What a destination shows of a wallet, from one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationLook {
    /// The newest final block.
    pub last_final: BlockName,
    /// The wallet's next nonce at it.
    pub nonce_final: u64,
    /// The final block that was asked about, or the newest.
    pub at: BlockName,
    /// What a transaction meets there.
    pub surroundings: Surroundings,
}

/// What this party has read for one decree.
#[derive(Debug, Default)]
pub(super) struct Looks {
    asked_at: Option<Millis>,
    asked_times: u32,
    newest: Option<B256>,
    seen: BTreeMap<B256, DestinationLook>,
    /// A proposal that waits until the block that it names is read.
    kept: Option<(BlockName, Packet)>,
}

impl DestinationLook {
    /// Whether a transaction that is completed there would be out of date.
    const fn is_stale(&self) -> bool {
        self.surroundings.nonce != self.nonce_final
            || self.at.height.saturating_add(AGE_BLOCKS_MAX) < self.last_final.height
    }
}

impl Looks {
    fn is_due(&self, now: Millis, pause_max: Millis) -> bool {
        let doubled = LOOK_AGAIN_MS.saturating_mul(1 << self.asked_times.saturating_sub(1).min(10));
        self.asked_at.is_none_or(|asked| now >= asked.saturating_add(doubled.min(pause_max)))
    }

    const fn asks(&mut self, now: Millis) {
        self.asked_at = Some(now);
        self.asked_times = self.asked_times.saturating_add(1);
    }

    fn took(&mut self, look: DestinationLook, is_newest: bool) {
        if self.seen.len() >= BLOCKS_MAX
            && let Some(oldest) = self.seen.values().min_by_key(|look| look.at.height).map(|look| look.at.hash)
        {
            self.seen.remove(&oldest);
        }
        self.seen.insert(look.at.hash, look);
        if is_newest {
            self.newest = Some(look.at.hash);
        }
    }
}

impl Node {
    /// A simple transaction by a wallet whose key is known: completed already, or it takes its place in line.
    pub(super) fn simple_asked(&mut self, id: &DecreeId, record: RequestRecord, line: LineName, public: Vec<u8>) {
        let destination = line.destination;
        if !self.destinations.contains_key(&destination) {
            let why = format!("no endpoint for its destination eip155:{destination} is configured ([[destination]])");
            return self.close(id, record, Unanswerable::Contract(why));
        }
        match self.stored_record(&contract::completion_of(id)) {
            Ok(Some(completion)) if completion.decided.is_some() => {
                let answer = completion.decided.map(|decided| decided.answer).unwrap_or_default();
                self.sign_completed(id, record, destination, public, &answer);
            }
            Ok(_) => {
                let Some(side) = self.contracts.get_mut(&id.chain) else { return };
                side.lines.enter(line, id.clone());
                let note = side.lines.why_not(id).unwrap_or_default();
                self.write([Entry::put(Table::Open, id.to_bytes(), Vec::new())]);
                self.write_ended(id, &RequestRecord { note, ..record });
                self.tick_completions();
            }
            Err(error) => self.memory_failed(Some(id), &error),
        }
    }

    /// Reads destinations for those whose turn it is and for what is in flight.
    pub(super) fn tick_completions(&mut self) {
        let now = self.now;
        let mut due = Vec::new();
        for (chain, side) in self.contracts.iter_mut().filter(|(_, side)| side.closed.is_none()) {
            let heads = side.lines.heads().map(|(line, id)| (*line, contract::completion_of(id)));
            let flights = side.lines.flights().map(|(line, flight)| (*line, flight.decree.clone()));
            let wanted: Vec<_> = heads.chain(flights).collect();
            side.looks.retain(|id, _| wanted.iter().any(|(_, wanted)| wanted == id));
            for (line, id) in wanted {
                let pause_max = if side.lines.is_waited_for(&line) { WAITING_MS_MAX } else { FLYING_MS_MAX };
                if side.looks.entry(id.clone()).or_default().is_due(now, pause_max) {
                    due.push((chain.clone(), line, id));
                }
            }
        }
        for (chain, line, id) in due {
            self.look_at_destination(&chain, &line, &id, None);
        }
    }

    fn look_at_destination(&mut self, chain: &str, line: &LineName, id: &DecreeId, at: Option<BlockName>) {
        let Some(wallet) = self.wallet_address(line) else { return };
        let simple = match id.kind {
            Kind::Completion => match self.simple_of(&contract::signature_of(id)) {
                Some((_, simple)) => Some(simple),
                None => return,
            },
            _ => None,
        };
        let now = self.now;
        if let Some(looks) = self.contracts.get_mut(chain).and_then(|side| side.looks.get_mut(id)) {
            looks.asks(now);
        }
        self.effects.orders.push(Order::LookAtDestination {
            decree: id.clone(),
            destination: line.destination,
            wallet,
            simple,
            at,
        });
    }

    /// The address of a wallet whose key is known here.
    fn wallet_address(&self, line: &LineName) -> Option<Address> {
        let opened = self.opened_by(&line.wallet).ok()??;
        let public = self.stored_record(&opened).ok()??.decided?.answer;
        contract::address_of(line.wallet.kind, &public).ok()?.parse().ok()
    }

    /// What a request asks for, if it is for a simple transaction: from what is on disk.
    fn simple_of(&self, id: &DecreeId) -> Option<(LineName, SimpleTransaction)> {
        let Asked::Signature(asked) = self.stored_request(id).ok()??.asked? else { return None };
        self.simple_in(&id.chain, &asked)
    }

    fn simple_in(&self, chain: &str, asked: &SignatureAsked) -> Option<(LineName, SimpleTransaction)> {
        if asked.kind != SignatureKind::Simple {
            return None;
        }
        match asked.task(&self.contracts.get(chain)?.destinations).ok()? {
            Signs::Complete(simple, destination) => Some((LineName { wallet: asked.wallet, destination }, simple)),
            Signs::Digest(_) => None,
        }
    }

    /// A destination was read, or could not be.
    pub(super) fn destination_seen(
        &mut self,
        id: &DecreeId,
        at: Option<BlockName>,
        said: Result<DestinationLook, String>,
    ) {
        if id.kind != Kind::Completion {
            return match said {
                Ok(look) => self.flight_seen(id, look.nonce_final),
                Err(why) => self.note(Level::Debug, Some(id), format!("its destination is not read: {why}")),
            };
        }
        let Some(looks) = self.contracts.get_mut(&id.chain).and_then(|side| side.looks.get_mut(id)) else { return };
        let kept = looks.kept.take_if(|(block, _)| at == Some(*block));
        if let Ok(look) = &said {
            looks.took(*look, at.is_none());
        }
        let why = said.as_ref().err().map(|why| format!("its destination is not read: {why}"));
        self.remark_waiting(&contract::signature_of(id), &why.unwrap_or_default());
        // What its leader proposed is judged now: if the block could not be read, this party is unable.
        if let Some((_, packet)) = kept {
            self.hear_decree(packet);
        }
        // Who cannot read the destination takes part all the same: it learns what the others settle on, and signs that.
        if at.is_none() && !self.live.contains_key(id) {
            self.admit_completion(id);
        }
    }

    fn admit_completion(&mut self, id: &DecreeId) {
        let signature = contract::signature_of(id);
        let is_next =
            self.contracts.get(&id.chain).is_some_and(|side| side.lines.heads().any(|(_, head)| *head == signature));
        let stored = match self.stored_request(&signature) {
            Ok(stored) => stored.filter(|_| is_next),
            Err(error) => return self.memory_failed(Some(id), &error),
        };
        let (Some(stored), Some((line, simple))) = (stored, self.simple_of(&signature)) else { return };
        let Some(wallet) = self.wallet_address(&line) else { return };
        let task = Task::Complete { simple: Box::new(simple), wallet, destination: line.destination };
        let job = Job { decree: id.clone(), created: stored.seen, deadline: None, task };
        self.admit(job, RequestRecord { asked: stored.asked, ..RequestRecord::new(stored.seen) });
    }

    /// Tells whoever looks why a request waits in line, and the log when that has changed.
    fn remark_waiting(&mut self, id: &DecreeId, note: &str) {
        match self.stored_request(id) {
            Ok(Some(record)) if record.note != note && !record.state.is_end() => {
                if !note.is_empty() {
                    self.note(Level::Warn, Some(id), note.to_owned());
                }
                self.write_ended(id, &RequestRecord { note: note.to_owned(), ..record });
            }
            Ok(_) => {}
            Err(error) => self.memory_failed(Some(id), &error),
        }
    }

    /// A proposal that names a block of a destination waits until this party has read that block. What it is not to wait for
    /// comes back.
    pub(super) fn waits_for_destination(&mut self, packet: Packet) -> Option<Packet> {
        let Some((id, ballot, Statement::Propose(proposal))) = packet.envelope.about_decree() else {
            return Some(packet);
        };
        let Value::Transaction { height, block, .. } = &proposal.value else { return Some(packet) };
        let (id, block) = (id.clone(), BlockName { height: *height, hash: B256::from(*block) });
        let is_leaders = packet.envelope.from == ballot.leader && id.kind == Kind::Completion;
        let line = self.live.get(&id).filter(|_| is_leaders).and_then(|_| self.simple_of(&contract::signature_of(&id)));
        let Some((line, _)) = line else { return Some(packet) };
        let Some(looks) = self.contracts.get_mut(&id.chain).map(|side| side.looks.entry(id.clone()).or_default())
        else {
            return Some(packet);
        };
        if looks.seen.contains_key(&block.hash) {
            return Some(packet);
        }
        looks.kept = Some((block, packet));
        self.look_at_destination(&id.chain.clone(), &line, &id, Some(block));
        None
    }

    /// The cluster has settled on the transaction: it is in flight from now on, and its signature is asked for.
    pub(super) fn completed(&mut self, id: &DecreeId, live: &mut Live, answer: &[u8]) {
        live.request.state = live.request.state.clone().on(&Event::Answered);
        let signature = contract::signature_of(id);
        let stored = match self.stored_request(&signature) {
            Ok(stored) => stored.filter(|record| !record.state.is_end()),
            Err(error) => return self.memory_failed(Some(id), &error),
        };
        let (Some(record), Some((line, _))) = (stored, self.simple_of(&signature)) else { return };
        self.fly(&line, &signature, answer);
        let public = self.opened_by(&line.wallet).ok().flatten().and_then(|opened| {
            self.stored_record(&opened).ok().flatten().and_then(|record| record.decided).map(|decided| decided.answer)
        });
        let Some(public) = public else { return };
        self.sign_completed(&signature, record, line.destination, public, answer);
    }

    fn sign_completed(
        &mut self,
        id: &DecreeId,
        record: RequestRecord,
        destination: u64,
        public: Vec<u8>,
        answer: &[u8],
    ) {
        let Ok(transaction) = LegacyTransaction::decode(answer) else {
            return self.note(Level::Alarm, Some(id), "what was decided is no transaction".to_owned());
        };
        let task = Task::Sign {
            key: KeyId::of(Suite::Secp256k1, &public),
            key_type: chain_client::KeyType::EcdsaSecp256k1,
            public,
            payload: transaction.digest(destination).to_vec(),
        };
        let job = Job { decree: id.clone(), created: record.seen, deadline: None, task };
        self.admit(job, RequestRecord { note: String::new(), ..record });
    }

    /// From now on nothing else of this line is completed, until its nonce is spent.
    fn fly(&mut self, line: &LineName, signature: &DecreeId, transaction: &[u8]) {
        let Ok(transaction) = LegacyTransaction::decode(transaction) else { return };
        let Some(side) = self.contracts.get_mut(&signature.chain) else { return };
        side.lines.leave(signature);
        let flight = Flight { decree: signature.clone(), nonce: transaction.nonce };
        side.lines.fly(*line, flight.clone());
        let bytes = postcard::to_stdvec(&(line, &flight)).unwrap_or_default();
        self.write([Entry::put(Table::Contract, flight_key(&signature.chain, line), bytes)]);
    }

    /// Another party's answer stands on the contract: what it completed is in flight, though this party did not learn of it
    /// before.
    pub(super) fn answered_without(&mut self, id: &DecreeId, asked: &SignatureAsked, meta_data: &[u8]) {
        let Some((line, simple)) = self.simple_in(&id.chain, asked) else { return };
        let is_known = self.stored_record(&contract::completion_of(id)).ok().flatten();
        if is_known.is_some_and(|completion| completion.decided.is_some()) {
            return;
        }
        self.move_request(&contract::completion_of(id), &Event::Closed);
        if LegacyTransaction::decode(meta_data).is_ok_and(|transaction| simple.is_done_by(&transaction)) {
            self.fly(&line, id, meta_data);
        } else if let Some(side) = self.contracts.get_mut(&id.chain) {
            side.lines.leave(id);
        }
    }

    fn flight_seen(&mut self, id: &DecreeId, nonce_final: u64) {
        let flight = self.flights(&id.chain).find(|(_, flight)| flight.decree == *id && flight.nonce < nonce_final);
        if let Some((line, nonce)) = flight.map(|(line, flight)| (*line, flight.nonce)) {
            self.note(Level::Info, Some(id), format!("nonce {nonce} is spent on its destination"));
            self.land(&id.chain, &line);
        }
    }

    fn land(&mut self, chain: &str, line: &LineName) {
        if let Some(side) = self.contracts.get_mut(chain) {
            side.lines.land(line);
            self.write([Entry::delete(Table::Contract, flight_key(chain, line))]);
            self.tick_completions();
        }
    }

    /// An operator gives the nonce of a request up: the next of its line does not wait for it.
    pub(super) fn release(&mut self, chain: &str, trace: u64) {
        let flight = self.flights(chain).find(|(_, flight)| flight.decree.request == trace);
        if let Some((line, flight)) = flight.map(|(line, flight)| (*line, flight.clone())) {
            let text = format!("an operator gives nonce {} up: the next of its wallet may take it", flight.nonce);
            self.note(Level::Alarm, Some(&flight.decree), text);
            self.land(chain, &line);
        }
    }

    /// Simple transactions on their way through their destinations.
    pub fn flights(&self, chain: &str) -> impl Iterator<Item = (&LineName, &Flight)> {
        self.contracts.get(chain).into_iter().flat_map(|side| side.lines.flights())
    }
}

/// Where a flight is remembered.
pub(super) fn flight_key(chain: &str, line: &LineName) -> Vec<u8> {
    [flight_prefix(chain).as_slice(), line.wallet.wallet_id().as_slice(), &line.destination.to_be_bytes()].concat()
}

/// What all flights of a contract begin with.
pub(super) fn flight_prefix(chain: &str) -> Vec<u8> {
    format!("flight/{chain}/").into_bytes()
}

impl View<'_> {
    fn completion(&self, block: Option<B256>) -> Option<(&SimpleTransaction, &DestinationLook)> {
        let Task::Complete { simple, .. } = &self.job.task else { return None };
        let looks = self.node.contracts.get(&self.job.decree.chain)?.looks.get(&self.job.decree)?;
        Some((simple.as_ref(), looks.seen.get(&block.or(looks.newest)?)?))
    }

    pub(super) fn judge_transaction(&self, height: u64, block: [u8; 32], bytes: &[u8]) -> Judgement {
        let Task::Complete { destination, .. } = &self.job.task else { return Judgement::Wrong };
        let Some((simple, look)) = self.completion(Some(B256::from(block))) else { return Judgement::Unable };
        let Some(caps) = self.node.destinations.get(destination) else { return Judgement::Unable };
        let offered = LegacyTransaction::decode(bytes).ok().filter(|offered| *offered.encode() == *bytes);
        match offered.filter(|offered| look.at.height == height && simple.is_done_by(offered)) {
            None => Judgement::Wrong,
            Some(offered) if !look.is_stale() && simple.permits(&offered, look.surroundings, *caps).is_ok() => {
                Judgement::Fit
            }
            Some(_) => Judgement::Unable,
        }
    }

    pub(super) fn fresh_transaction(&self) -> Fresh {
        let Task::Complete { destination, .. } = &self.job.task else { return Fresh::Unable };
        let Some(caps) = self.node.destinations.get(destination) else { return Fresh::Unable };
        // Who has read nothing lately lets another lead, at once.
        let Some((simple, look)) = self.completion(None).filter(|(_, look)| !look.is_stale()) else {
            return Fresh::Unable;
        };
        match simple.complete(look.surroundings, *caps) {
            Ok(transaction) => Fresh::Value(Value::Transaction {
                height: look.at.height,
                block: look.at.hash.0,
                bytes: transaction.encode().to_vec(),
            }),
            Err(_) => Fresh::Unable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at: u64, nonce: u64, last: u64, nonce_final: u64) -> DestinationLook {
        let block = |height: u64| BlockName { height, hash: B256::from(alloy_primitives::U256::from(height)) };
        DestinationLook {
            last_final: block(last),
            nonce_final,
            at: block(at),
            surroundings: Surroundings { nonce, base_fee: 1, gas_estimate: 21_000 },
        }
    }

    #[test]
    fn a_block_is_stale_when_its_nonce_is_spent_or_it_is_too_old() {
        assert!(!look(10, 3, 10, 3).is_stale());
        assert!(!look(10, 3, 10 + AGE_BLOCKS_MAX, 3).is_stale());
        assert!(look(10, 3, 11 + AGE_BLOCKS_MAX, 3).is_stale());
        assert!(look(10, 3, 12, 4).is_stale(), "a transaction of the wallet landed since");
    }

    #[test]
    fn what_is_read_in_vain_is_read_less_and_less_often_and_never_given_up() {
        let (mut looks, mut now, mut pauses) = (Looks::default(), 0, Vec::new());
        for _ in 0..12 {
            let begun = now;
            while !looks.is_due(now, FLYING_MS_MAX) {
                now += 1_000;
            }
            pauses.push(now - begun);
            looks.asks(now);
        }
        assert_eq!(pauses[..4], [0, 5_000, 10_000, 20_000]);
        assert_eq!(pauses.last(), Some(&FLYING_MS_MAX));
    }

    #[test]
    fn only_so_many_blocks_are_remembered_and_the_newest_last() {
        let mut looks = Looks::default();
        for height in 0..20 {
            looks.took(look(height, 0, height, 0), true);
        }
        assert_eq!(looks.seen.len(), BLOCKS_MAX);
        assert_eq!(looks.newest.and_then(|newest| looks.seen.get(&newest)).map(|look| look.at.height), Some(19));
    }
}
