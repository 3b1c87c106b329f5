//! What a running node tells about itself: the admin interface's facts, looked up between two beats of the node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use alloy_primitives::Address;
use async_trait::async_trait;
use chain_client::ZrChain;
use chain_client::zrsign::evm::{EvmChain, EvmHealth};
use chain_client::zrsign::name::Proxy;
use mpc_core::{KeyId, PartyIndex, Suite};

use super::Inbox;
use super::look::{ChainLook, ContractLook, NodeLook};
use super::primes::PrimeRoom;
use super::pulse::Pulse;
use crate::admin::proto::{
    Chain, Contract, Endpoint, Key, KeysReply, Lane, Line, Peer, Reason, RebaseContractReply, ReleaseNonceReply,
    Request, RequestsReply, StatusReply, Stock, WhyReply,
};
use crate::admin::{BackupParts, Facts};
use crate::agreement::Record;
use crate::clock::Clock;
use crate::decree::{DecreeId, Kind};
use crate::driver::Driver;
use crate::lease::restore_name;
use crate::metrics::Metrics;
use crate::node::{ChainNews, ContractNews, Event, Node, Word};
use crate::outbox;
use crate::readiness::{self, Beat, Readiness};
use crate::request::RequestRecord;
use crate::roster::Roster;
use crate::sender;
use crate::shelf;
use crate::store::{Store, Table};
use crate::tasks::EndedEarly;

/// Everything that the facts are drawn from.
pub struct Desk {
    pub(super) inbox: Inbox,
    pub(super) store: Arc<dyn Store>,
    pub(super) links: transport::Links,
    pub(super) chains: BTreeMap<String, ChainView>,
    pub(super) contracts: BTreeMap<String, ContractView>,
    pub(super) roster: Roster,
    pub(super) me: PartyIndex,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) primes: Arc<PrimeRoom>,
    /// The node's own time when it started.
    pub(super) started_ms: u64,
    /// The same by the wall clock.
    pub(super) started_wall_ms: u64,
    pub(super) driver: Driver,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tasks: EndedEarly,
    pub(super) store_halted: Arc<AtomicBool>,
    pub(super) links_ended: Arc<AtomicBool>,
}

/// A chain, as its shell shows it.
pub struct ChainView {
    pub(super) client: Arc<ZrChain>,
    pub(super) account: String,
    pub(super) pulse: Arc<Pulse>,
    pub(super) poll: Duration,
    pub(super) call_timeout: Duration,
}

/// A contract, as its shell shows it.
pub struct ContractView {
    pub(super) client: Arc<EvmChain>,
    pub(super) proxy: Proxy,
    pub(super) account: Address,
    pub(super) pulse: Arc<Pulse>,
    pub(super) poll: Duration,
    pub(super) call_timeout: Duration,
}

#[async_trait]
impl Facts for Desk {
    async fn status(&self) -> Option<StatusReply> {
        let node = match self.look().await {
            Beat::Answered(node) => node,
            Beat::Stuck(_) | Beat::Ended => return None,
        };
        let readiness = Readiness::of(&self.readiness_facts(Beat::Answered(&node)));
        let (threshold, quorum) = (self.roster.threshold(), self.roster.quorum());
        Some(StatusReply {
            name: self.roster.entry(self.me).map(|entry| entry.name.clone()).unwrap_or_default(),
            party: self.me.get().into(),
            epoch: self.roster.epoch(),
            roster: hex::encode(self.roster.digest()),
            need: threshold.need().into(),
            of: threshold.of().into(),
            quorum: quorum as u32,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            development: cfg!(feature = "devnet"),
            uptime_ms: self.clock.monotonic_ms().saturating_sub(self.started_ms),
            ready: readiness.is_ready(),
            not_ready: readiness.not_ready().map(reason).collect(),
            degraded: readiness.degraded().map(reason).collect(),
            journal_position: node.head.position,
            journal_head: hex::encode(node.head.hash),
            runs: count(node.runs),
            requests_open: u32::try_from(node.requests_open()).unwrap_or(u32::MAX),
            peers: self.peers(&node),
            chains: self.chain_facts(&node.chains),
            contracts: self.contract_facts(&node.contracts),
            shelf: node.lanes.iter().map(lane).collect(),
            stock: Some(self.stock(node.has_auxiliary)),
            clock_warning: super::skew::skew(&self.links).map(|skew| skew.warning()).unwrap_or_default(),
        })
    }

    async fn is_ready(&self) -> bool {
        self.readiness().await.is_ready()
    }

    async fn keys(&self, after: &str, limit: u32) -> Option<KeysReply> {
        let after = hex::decode(after).unwrap_or_default();
        self.inbox.look(move |_, store| keys(store, &after, limit)).await
    }

    async fn requests(&self, after: &str, limit: u32, ended: bool) -> Option<RequestsReply> {
        let after = self.decree_named(after).await?.map(|id| id.to_bytes());
        self.inbox.look(move |node, store| requests(node, store, after.as_deref(), limit, ended)).await
    }

    async fn decide(&self, peer: &str, word: Word) -> Option<Result<(), String>> {
        let mut others = self.roster.indices().zip(self.roster.parties()).filter(|(place, _)| *place != self.me);
        let Some((place, _)) = others.find(|(_, entry)| entry.name == peer) else {
            return Some(Err(format!("no other party of the roster is named {peer:?}")));
        };
        let before = match self.inbox.look(move |node, _| node.would(place, word).map(|()| node.words(place))).await? {
            Ok(words) => words,
            Err(why) => return Some(Err(format!("{peer}: {why}"))),
        };
        self.inbox.tell(Event::Operator(place, word)).await;
        if self.inbox.look(move |node, _| node.words(place)).await? > before {
            return Some(Ok(()));
        }
        Some(Err(format!("{peer}: it came back, or was decided about, at this very moment; look at `status`")))
    }

    async fn backup(&self) -> Option<BackupParts> {
        Some(super::export::export(self.store.clone()))
    }

    async fn why(&self, name: &str) -> Option<Option<WhyReply>> {
        let Some(id) = self.decree_named(name).await? else { return Some(None) };
        self.inbox.look(move |node, store| why(node, store, &id)).await
    }

    async fn resume_controller(&self, chain: &str, sequence: u64) -> Option<Result<(), String>> {
        if let Some(view) = self.contracts.get(chain) {
            return self.resume_sender(chain, view.proxy.chain, sequence).await;
        }
        let name = chain.to_owned();
        let check = move |node: &Node, _: &dyn Store| match node.outbox(&name) {
            None => Err(format!("chain {name:?} is not served here")),
            Some(_) if node.keeps_out_of_account(&name, sequence) => Ok(()),
            Some(outbox) => outbox.check_resume(sequence).map_err(|error| error.to_string()),
        };
        if let Err(reason) = self.inbox.look(check).await? {
            return Some(Err(reason));
        }
        self.inbox.tell(Event::Chain(chain.to_owned(), ChainNews::Resume(sequence))).await;
        let name = chain.to_owned();
        Some(match self.inbox.look(move |_, store| outbox::halt_on_disk(&name, store)).await? {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("the account moved again at this very moment: look at `status`".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    async fn rebase_contract(&self, chain: &str, height: u64) -> Option<Result<RebaseContractReply, String>> {
        super::operator::rebase(self, chain, height).await
    }

    async fn release_nonce(&self, chain: &str, trace: u64) -> Option<Result<ReleaseNonceReply, String>> {
        super::operator::release(self, chain, trace).await
    }
}

impl Desk {
    async fn resume_sender(&self, chain: &str, number: u64, nonce: u64) -> Option<Result<(), String>> {
        let name = chain.to_owned();
        let check = move |node: &Node, _: &dyn Store| match node.sender(&name) {
            None => Err(format!("chain {name:?} is not served here")),
            Some(_) if node.keeps_out_of_nonce(&name, nonce) => Ok(()),
            Some(sender) => sender.check_resume(nonce).map_err(|error| error.to_string()),
        };
        if let Err(reason) = self.inbox.look(check).await? {
            return Some(Err(reason));
        }
        self.inbox.tell(Event::Contract(chain.to_owned(), ContractNews::Resume(nonce))).await;
        Some(match self.inbox.look(move |_, store| sender::halt_on_disk(number, store)).await? {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("the account moved again at this very moment: look at `status`".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    fn stock(&self, auxiliary: bool) -> Stock {
        let search = self.primes.progress();
        Stock { auxiliary, primes_found: search.found, candidates: search.candidates, searching: search.searching }
    }

    fn peers(&self, node: &NodeLook) -> Vec<Peer> {
        let links = self.links.snapshot();
        let others = self.roster.indices().filter(|place| *place != self.me);
        let facts = others.filter_map(|place| {
            let entry = self.roster.entry(place)?;
            let link = links.iter().find(|link| *link.peer.as_bytes() == entry.node_key)?;
            Some(Peer {
                party: place.get().into(),
                name: entry.name.clone(),
                up: link.up,
                round_trip_us: link.round_trip.and_then(|trip| u64::try_from(trip.as_micros()).ok()),
                clock_offset_ms: link.clock_offset.map(|offset| offset.ahead_ms),
                queued_frames: link.queued_frames as u64,
                frames_in: link.counters.frames_in,
                frames_out: link.counters.frames_out,
                fault: link.fault.as_ref().map(ToString::to_string).unwrap_or_default(),
                known: node.present.contains(&place),
                fenced: node.fenced.contains(&place),
                asks_to_come_back: node
                    .asking
                    .iter()
                    .find(|(peer, _)| *peer == place)
                    .map(|(_, (_, restore))| restore_name(*restore))
                    .unwrap_or_default(),
                other_roster: matches!(link.fault, Some(transport::Fault::RosterDiffers { .. })),
            })
        });
        facts.collect()
    }

    fn chain_facts(&self, looks: &BTreeMap<String, ChainLook>) -> Vec<Chain> {
        let chain = |(id, view): (&String, &ChainView)| {
            let look = looks.get(id);
            Chain {
                id: id.clone(),
                keyring: view.client.keyring_address().to_owned(),
                height: look.map_or(0, |look| look.height.0),
                account: view.account.clone(),
                outbox_in_flight: look.map_or(0, |look| count(look.in_flight)),
                outbox_waiting: look.map_or(0, |look| count(look.waiting)),
                halted: look.map(|look| look.why_silent.clone()).unwrap_or_default(),
                endpoints: view.client.health().into_iter().map(endpoint).collect(),
            }
        };
        self.chains.iter().map(chain).collect()
    }

    fn contract_facts(&self, looks: &BTreeMap<String, ContractLook>) -> Vec<Contract> {
        let contract = |(id, view): (&String, &ContractView)| {
            let (look, wei) = (looks.get(id), |value: u128| value.to_string());
            Contract {
                proxy: view.proxy.to_string(),
                height: look.map_or(0, |look| look.height.0),
                read: look.map_or(0, |look| look.read),
                controller: look.and_then(|look| look.controller).map(|key| key.to_string()).unwrap_or_default(),
                account: view.account.to_string(),
                balance_wei: look.and_then(|look| look.sender.balance).map(wei).unwrap_or_default(),
                lost_today_wei: look.map(|look| wei(look.sender.lost_today)).unwrap_or_default(),
                in_flight: look.map_or(0, |look| count(look.sender.in_flight)),
                waiting: look.map_or(0, |look| count(look.sender.waiting)),
                halted: look
                    .map(|look| look.closed.clone().unwrap_or_else(|| look.why_silent.clone()))
                    .unwrap_or_default(),
                endpoints: view.client.health().into_iter().map(evm_endpoint).collect(),
            }
        };
        self.contracts.iter().map(contract).collect()
    }

    /// The keyring or contract that is served on a chain.
    fn served_on(&self, chain: &str) -> Option<String> {
        let keyring = self.chains.get(chain).map(|view| view.client.keyring_address().to_owned());
        keyring.or_else(|| self.contracts.get(chain).map(|view| view.proxy.address.to_string()))
    }

    /// `chain/kind/number`, with `@event` on a contract, and `.item` where there is one. Of an event as much is enough as
    /// tells it from the others of that number. `None` outside: the node has ended.
    async fn decree_named(&self, name: &str) -> Option<Option<DecreeId>> {
        let Some((id, event)) = self.parsed(name) else { return Some(None) };
        if event.is_empty() {
            return Some(Some(id));
        }
        self.inbox.look(move |_, store| with_event(store, &id, &event)).await
    }

    /// The decree without its event, and the event's first digits.
    fn parsed(&self, name: &str) -> Option<(DecreeId, String)> {
        let mut parts = name.rsplitn(3, '/');
        let (number, kind, chain) = (parts.next()?, parts.next()?, parts.next()?);
        let (number, event) = number.split_once('@').unwrap_or((number, ""));
        let (request, item) = number.split_once('.').unwrap_or((number, "0"));
        let kind = Kind::ALL.into_iter().find(|known| known.word() == kind)?;
        let id = DecreeId {
            keyring: self.served_on(chain)?,
            chain: chain.to_owned(),
            kind,
            request: request.parse().ok()?,
            event: None,
            item: item.parse().ok()?,
        };
        Some((id, event.to_ascii_lowercase()))
    }
}

/// The one request of a number whose event begins with these digits.
fn with_event(store: &dyn Store, id: &DecreeId, digits: &str) -> Option<DecreeId> {
    const EVENTS_MAX: usize = 1_024;
    let page = store.scan(Table::Request, &id.prefix(), None, EVENTS_MAX).ok()?;
    let named = page.iter().filter_map(|(name, _)| DecreeId::from_bytes(name));
    let mut found = named.filter(|id| id.event.is_some_and(|event| hex::encode(event).starts_with(digits)));
    found.next().filter(|_| found.next().is_none())
}

fn endpoint(health: chain_client::EndpointHealth) -> Endpoint {
    Endpoint { name: health.name, height: health.height.0, failures: health.failures, resting: health.resting }
}

fn evm_endpoint(health: EvmHealth) -> Endpoint {
    Endpoint { name: health.name, height: health.height, failures: health.failures, resting: health.resting }
}

fn reason(reason: &readiness::Reason) -> Reason {
    Reason { name: reason.name.word().to_owned(), text: reason.text.clone() }
}

fn lane((&(place, suite), &free): (&(PartyIndex, Suite), &u32)) -> Lane {
    Lane { party: place.get().into(), suite: suite.to_string(), free }
}

fn keys(store: &dyn Store, after: &[u8], limit: u32) -> KeysReply {
    let page = store.scan(Table::Key, b"", (!after.is_empty()).then_some(after), limit as usize + 1);
    let page = page.unwrap_or_default();
    let more = page.len() > limit as usize;
    let key = |(name, _): &(Vec<u8>, _)| {
        let id = KeyId::new(name.as_slice().try_into().ok()?);
        let record = shelf::read_record(&store, id).ok()??;
        let info = shelf::decode_info(&record, id).ok()?;
        let bound = shelf::binding(&store, id).ok()?;
        let state = match (&bound, record.certificate.is_empty()) {
            (Some(_), _) => "bound",
            (None, _) if shelf::is_forgotten(&store, id).ok()? => "forgotten",
            (None, true) => "making",
            (None, false) => "free",
        };
        Some(Key {
            id: hex::encode(id.as_bytes()),
            suite: info.suite().to_string(),
            public_key: hex::encode(info.group_key()),
            epoch: record.epoch,
            lane: record.lane.get().into(),
            state: state.to_owned(),
            request: bound.map(|bound| bound.to_string()).unwrap_or_default(),
        })
    };
    KeysReply { keys: page.iter().take(limit as usize).filter_map(key).collect(), more }
}

fn requests(node: &Node, store: &dyn Store, after: Option<&[u8]>, limit: u32, ended: bool) -> RequestsReply {
    let table = if ended { Table::Request } else { Table::Open };
    let page = store.scan(table, b"", after, limit as usize + 1).unwrap_or_default();
    let more = page.len() > limit as usize;
    let named = page.iter().take(limit as usize).filter_map(|(name, _)| {
        let id = DecreeId::from_bytes(name)?;
        Some(request(node, &id, &read_request(store, &id)?))
    });
    RequestsReply { requests: named.collect(), more }
}

fn read_request(store: &dyn Store, id: &DecreeId) -> Option<RequestRecord> {
    postcard::from_bytes(&store.read(Table::Request, &id.to_bytes()).ok()??).ok()
}

fn request(node: &Node, id: &DecreeId, record: &RequestRecord) -> Request {
    let attempt = node.live().find(|live| live.decree == id).map_or(0, |live| live.attempt);
    Request {
        name: id.to_string(),
        kind: id.kind.word().to_owned(),
        state: record.state.word().to_owned(),
        reason: record.note.clone(),
        attempt,
        seen: record.seen.0,
        deadline: record.job.as_ref().and_then(|job| job.deadline).map_or(0, |height| height.0),
        decided_after_ms: record.decided_after_ms,
        broadcast_after_ms: record.broadcast_after_ms,
        transaction: record.transaction.map(|hash| hash.to_string()).unwrap_or_default(),
    }
}

fn why(node: &Node, store: &dyn Store, id: &DecreeId) -> Option<WhyReply> {
    let record = read_request(store, id)?;
    let mut lines = Vec::new();
    let mut line = |about: &str, text: String| lines.push(Line { about: about.to_owned(), text });
    match &record.job {
        Some(job) => line("asked", format!("{:?} created in block {}", job.suite(), job.created)),
        None => line("asked", "nothing that can be answered".to_owned()),
    }
    let stored = store.read(Table::Decree, &id.to_bytes()).ok().flatten();
    if let Some(decree) = stored.and_then(|bytes| Record::decode(&bytes).ok()) {
        decree_lines(&decree, &mut line);
    }
    for slot in node.outbox(&id.chain).into_iter().flat_map(|outbox| outbox.slots()).filter(|slot| slot.decree == *id) {
        line("in flight", format!("sequence {}, {} transactions signed under it", slot.sequence, slot.signed.len()));
    }
    Some(WhyReply { request: Some(request(node, id, &record)), lines })
}

fn decree_lines(decree: &Record, line: &mut impl FnMut(&str, String)) {
    if let Some(ballot) = decree.promised {
        line("promised", format!("nothing below ballot {ballot}"));
    }
    if let Some((ballot, session)) = decree.entered {
        line("entered", format!("run {session} of ballot {ballot}"));
    }
    if let Some(joined) = &decree.joined {
        let part = if joined.share.is_some() { ", with this party's partial" } else { "" };
        line("joined", format!("ballot {}{part}", joined.ballot));
    }
    if let Some(accepted) = &decree.accepted {
        line("accepted", format!("ballot {}, {} joins shown", accepted.ballot, accepted.evidence.joins.len()));
    }
    if let Some(decided) = &decree.decided {
        let by: Vec<String> = decided.accepts.iter().map(|accept| accept.from.to_string()).collect();
        line("decided", format!("by the accepts of parties {}", by.join(", ")));
    }
}

fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
