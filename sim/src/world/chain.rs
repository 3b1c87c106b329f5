//! The chain's side: blocks, what each party's endpoint shows, reads and broadcasts that may fail, and what users want.

use chain_client::proto::zrchain::treasury::{MsgNewKeyRequest, MsgNewSignatureRequest};
use chain_client::tx::any;
use chain_client::{EndpointId, Height, Hint, KeyType, PartyAccount, Request, RequestId, SignedTx, Standing, Status};
use keyring::decree::DecreeId;
use keyring::node::{ChainNews, Event};
use mpc_core::PartyIndex;
use rand::{Rng, RngCore};

use super::faults::type_word;
use super::{Asked, Happening, World};
use crate::plan::{EndpointLie, ShellPlant, Wish};
use crate::town::{CHAIN, Town};

/// Endpoints of each party: one that is abreast, and one that may be behind or lie.
pub(super) const ENDPOINTS: usize = 2;
/// Blocks after healing within which what is still open must be answered.
const HEALING_MS: u64 = 60_000;

impl World {
    pub(super) fn block(&mut self) {
        self.after(self.plan.block_ms, Happening::Block);
        if self.halted {
            return;
        }
        let outcome = self.ledger.make_block(self.now);
        self.totals.blocks += 1;
        self.note(|| {
            let codes: Vec<u32> = outcome.transactions.iter().map(|result| result.code).collect();
            format!("block {} {codes:?}", outcome.height)
        });
        self.laws.block(&self.ledger, &outcome);
        let tip = outcome.height;
        for request in self.ledger.requests(tip).collect::<Vec<_>>() {
            let deadline = request.deadline.map_or(u64::MAX, |deadline| deadline.0);
            let answerable = !request.is_parent() && !self.plan.unanswerable;
            if request.status.is_open() {
                self.asked.entry(request.id).or_insert(Asked { deadline, answerable });
            }
        }
        for party in self.town.threshold.parties().collect::<Vec<_>>() {
            let wait = self.rng.gen_range(5..self.plan.block_ms / 2);
            self.after(wait, Happening::Sees { party, height: tip });
        }
    }

    /// A party's endpoint has a block and shows it to the node.
    pub(super) fn sees(&mut self, party: PartyIndex, height: u64) {
        let process = self.process_mut(party);
        process.sees = process.sees.max(height);
        if process.node.is_none() || height < process.sees {
            return;
        }
        if let Some(facts) = self.ledger.keyring_facts(height) {
            self.tell(party, ChainNews::Keyring { height: Height(height), facts });
        }
        let balance = self.ledger.chain.balance(self.town.account(party).address());
        self.tell(party, ChainNews::Balance(balance));
        let mut hash = self.ledger.hash(height);
        if self.process(party).forked {
            hash[0] ^= 0xFF;
        }
        self.tell(party, ChainNews::Head { height: Height(height), hash });
        if self.happens(self.endpoints.read_lost) {
            return;
        }
        let requests = self.ledger.open_requests(height);
        self.process_mut(party).shown.extend(requests.iter().map(|request| request.id));
        let low_water = self.ledger.low_water(height, &requests);
        self.tell(party, ChainNews::Open { height: Height(height), requests, complete: true, low_water });
    }

    fn tell(&mut self, party: PartyIndex, news: ChainNews) {
        self.deliver(party, Event::Chain(CHAIN.to_owned(), news));
    }

    fn happens(&mut self, chance: u32) -> bool {
        chance > 0 && self.rng.gen_range(0..1_000) < chance
    }

    fn reply(&mut self, party: PartyIndex, news: ChainNews) {
        let wait = self.rng.gen_range(5..60);
        let incarnation = self.process(party).incarnation;
        self.after(wait, Happening::Reply { party, incarnation, news });
    }

    /// The endpoint and height that a read goes to: the newest, or the second one, which may be behind.
    fn place_of_read(&mut self, party: PartyIndex) -> (EndpointId, u64) {
        let (sees, lag) = (self.process(party).sees, self.process(party).lag);
        let differs = lag > 0 || self.process(party).lie.is_some();
        if differs && self.rng.gen_bool(0.5) {
            return (EndpointId(1), sees.saturating_sub(lag).max(1));
        }
        (EndpointId(0), sees)
    }

    pub(super) fn examine(
        &mut self,
        party: PartyIndex,
        decree: DecreeId,
        request: &Request,
        at: Height,
        absent_at: Option<Height>,
    ) {
        let lost = self.happens(self.endpoints.read_lost);
        let sighting = self.ledger.sighting(&decree, request, at.0, absent_at.map(|height| height.0));
        let news = match sighting.filter(|_| !lost) {
            Some(sighting) => ChainNews::Seen(Box::new(sighting)),
            None => ChainNews::Unseen(decree),
        };
        self.reply(party, news);
    }

    pub(super) fn read_together(&mut self, party: PartyIndex, decree: DecreeId, request: RequestId) {
        if self.happens(self.endpoints.read_lost) {
            return;
        }
        let place = self.place_of_read(party);
        if let Some(reading) = self.reading_at(party, request, place) {
            self.reply(party, ChainNews::Reading(decree, Box::new(reading)));
        }
    }

    /// Account and request from both endpoints; from each only if it answers.
    pub(super) fn read_everywhere(&mut self, party: PartyIndex, decree: DecreeId, request: RequestId) {
        let process = self.process(party);
        let places = [(EndpointId(0), process.sees), (EndpointId(1), process.sees.saturating_sub(process.lag).max(1))];
        let mut readings = Vec::new();
        for place in places {
            if !self.happens(self.endpoints.read_lost) {
                readings.extend(self.reading_at(party, request, place));
            }
        }
        self.reply(party, ChainNews::Testimony(decree, readings));
    }

    fn reading_at(
        &self,
        party: PartyIndex,
        request: RequestId,
        (endpoint, at): (EndpointId, u64),
    ) -> Option<chain_client::Reading> {
        let account = self.town.account(party).address();
        if self.plan.shell_plant == Some(ShellPlant::MixedHeights) {
            return self.mixed_reading(account, request, endpoint, at)?.ok();
        }
        let reading = self.ledger.reading(account, request, endpoint, at)?.ok()?;
        match self.process(party).lie.filter(|_| endpoint == EndpointId(1)) {
            Some(lie) => self.twisted(&reading, lie),
            None => Some(reading),
        }
    }

    /// What an endpoint says that lies about the account's sequence.
    fn twisted(&self, reading: &chain_client::Reading, lie: EndpointLie) -> Option<chain_client::Reading> {
        let (endpoint, height, told) = (reading.endpoint(), reading.height(), reading.account());
        let sequence = match lie {
            EndpointLie::Ahead(by) => told.sequence.saturating_add(by),
            EndpointLie::Behind(by) => told.sequence.saturating_sub(by),
        };
        let account = chain_client::AccountFacts { sequence, ..told };
        let account = chain_client::Pinned { endpoint, height, value: account };
        let standing = chain_client::Pinned { endpoint, height, value: reading.standing().clone() };
        chain_client::Reading::of(account, reading.request(), standing).ok()
    }

    /// What a careless shell would put together: the account as it is, the request as it was.
    fn mixed_reading(
        &self,
        account: &str,
        request: RequestId,
        endpoint: EndpointId,
        at: u64,
    ) -> Option<Result<chain_client::Reading, chain_client::MixedReading>> {
        let height = Height(at);
        let account = chain_client::Pinned { endpoint, height, value: self.ledger.account(account, at)? };
        let value = self.ledger.standing(request, at.saturating_sub(2).max(1));
        Some(chain_client::Reading::of(account, request, chain_client::Pinned { endpoint, height, value }))
    }

    pub(super) fn read_standing(&mut self, party: PartyIndex, decree: DecreeId, request: RequestId) {
        if self.happens(self.endpoints.read_lost) {
            return;
        }
        let (_, at) = self.place_of_read(party);
        let standing = self.ledger.standing(request, at);
        self.reply(party, ChainNews::Standing(decree, Height(at), Box::new(standing)));
    }

    pub(super) fn broadcast(&mut self, party: PartyIndex, tx: SignedTx) {
        self.note(|| format!("{party} broadcasts {} sequence {} for {:?}", tx.hash, tx.sequence, tx.request));
        self.laws.broadcasts(party, &tx, &self.ledger, &self.processes);
        self.totals.broadcasts += 1;
        if self.happens(self.endpoints.broadcast_lost) {
            let hint = Hint::Unknown { reason: "connection refused".to_owned() };
            return self.reply(party, ChainNews::Hint { sequence: tx.sequence, hint });
        }
        let answered = !self.happens(self.endpoints.answer_lost);
        let late = if self.happens(self.endpoints.broadcast_late) { self.rng.gen_range(0..5_000) } else { 0 };
        let wait = self.rng.gen_range(5..60) + late;
        let incarnation = self.process(party).incarnation;
        self.after(wait, Happening::Arrives { party, incarnation, tx, answered });
    }

    pub(super) fn arrives(&mut self, party: PartyIndex, incarnation: u32, tx: &SignedTx, answered: bool) {
        let hint = self.ledger.broadcast(&tx.bytes);
        self.note(|| format!("the chain takes {}: {hint:?}", tx.hash));
        let hint = if answered { hint } else { Hint::Unknown { reason: "deadline exceeded".to_owned() } };
        if self.process(party).incarnation == incarnation {
            self.reply(party, ChainNews::Hint { sequence: tx.sequence, hint });
        }
    }

    pub(super) fn wish(&mut self, wish: Wish) {
        self.note(|| format!("wish: {wish:?}"));
        let town = self.town.clone();
        let creator = town.user.address().to_owned();
        let message = match wish {
            Wish::Key(key_type) => Some(any(&MsgNewKeyRequest {
                creator,
                workspace_addr: town.workspace.clone(),
                keyring_addr: town.keyring.clone(),
                key_type: type_word(key_type).to_owned(),
                ..Default::default()
            })),
            Wish::Sign(key_type) => self.signature_message(creator, key_type, false, 1),
            Wish::SignNewest(key_type) => self.signature_message(creator, key_type, true, 1),
            Wish::Pair(key_type) => self.signature_message(creator, key_type, false, 2),
        };
        self.wishes_open = self.wishes_open.saturating_sub(1);
        if let Some(message) = message {
            self.user_sends(message);
        }
    }

    /// Sends a message as the user.
    fn user_sends(&mut self, message: prost_types::Any) {
        let town = self.town.clone();
        self.send_as(&town.user, message);
    }

    /// Sends a message as anybody whose account nothing else uses.
    pub(super) fn send_as(&mut self, account: &PartyAccount, message: prost_types::Any) {
        let address = account.address().to_owned();
        let Some(facts) = self.ledger.account(&address, self.ledger.height()) else { return };
        let next = self.sent.get(&address).copied().unwrap_or(0).max(facts.sequence);
        let tx = Town::user_tx(account, facts.number, next, message);
        let hint = self.ledger.broadcast(&tx.bytes);
        self.note(|| format!("the chain takes {} of {address}: {hint:?}", tx.hash));
        let next = if matches!(hint, Hint::Taken) { next + 1 } else { 0 };
        self.sent.insert(address, next);
    }

    fn signature_message(
        &mut self,
        creator: String,
        key_type: KeyType,
        newest: bool,
        items: usize,
    ) -> Option<prost_types::Any> {
        let tip = self.ledger.height();
        let mine: Vec<u64> = (1..)
            .map_while(|id| self.ledger.request(RequestId::key(id), tip).map(|_| id))
            .filter(|id| !crate::town::RESERVED.contains(id))
            .filter(|id| self.ledger.key(*id, tip).is_some_and(|key| key.key_type == key_type))
            .collect();
        let key = if newest { mine.last() } else { mine.first() }.copied()?;
        let data: Vec<String> = (0..items)
            .map(|_| {
                let mut payload = [0; 32];
                self.rng.fill_bytes(&mut payload);
                hex::encode(payload)
            })
            .collect();
        Some(any(&MsgNewSignatureRequest {
            creator,
            key_ids: vec![key; items],
            data_for_signing: data.join(","),
            ..Default::default()
        }))
    }

    /// Whether nothing is left to be done.
    pub(crate) fn is_settled(&self) -> bool {
        let tip = self.ledger.height();
        self.healed
            && self.wishes_open == 0
            && self.restarts_due.is_empty()
            && self.ledger.chain.waiting() == 0
            && self.asked.keys().all(|id| self.ledger.request(*id, tip).is_none_or(|request| !request.status.is_open()))
    }

    /// After healing every open request ends: answered if there was time for it, else expired.
    pub(super) fn judge_the_end(&mut self) {
        let tip = self.ledger.height();
        let healed_height = tip.saturating_sub((self.now.saturating_sub(self.plan.heals_at)) / self.plan.block_ms);
        let needed = HEALING_MS / self.plan.block_ms;
        for (id, asked) in self.asked.clone() {
            let Some(request) = self.ledger.request(id, tip) else { continue };
            let had_time = asked.deadline >= healed_height + needed;
            let can =
                self.processes.iter().filter(|process| process.node.is_some()).count() >= self.town.committee.quorum();
            if request.status.is_open() && asked.deadline < tip {
                self.laws.broken("every_open_request_ends", format!("{id} is open past its deadline"));
            }
            if had_time && asked.answerable && can && request.status != Status::Fulfilled {
                let text = format!("{id} is {:?} {}", request.status, request.reject_reason);
                self.laws.broken("every_open_request_ends", text);
            }
        }
        self.laws.disks(&self.processes);
        self.laws.spent(&self.ledger);
        let tip_open = |id| self.ledger.request(id, tip).is_some_and(|request| request.status.is_open());
        let mut left = Vec::new();
        for process in &self.processes {
            let Some(node) = process.node.as_ref() else { continue };
            for live in node.live().filter(|live| !tip_open(crate::laws::request_of(live.decree))) {
                left.push(format!("{} keeps {} alive as {}", process.party, live.decree, live.request.state.word()));
            }
            if let Some(slot) = node.outbox(CHAIN).and_then(|outbox| outbox.slots().next()) {
                left.push(format!("{} still holds sequence {}", process.party, slot.sequence));
            }
        }
        for text in left {
            self.laws.broken("every_open_request_ends", text);
        }
    }

    pub(super) fn count(&mut self) {
        let tip = self.ledger.height();
        for id in self.asked.keys() {
            match self.ledger.standing(*id, tip) {
                Standing::Fulfilled { .. } => self.totals.fulfilled += 1,
                Standing::Rejected { .. } => self.totals.expired += 1,
                Standing::Open { .. } => self.totals.open += 1,
                Standing::Gone => {}
            }
        }
    }
}
