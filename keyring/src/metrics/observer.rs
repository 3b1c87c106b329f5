//! Watches the node from outside: every event that goes in, every entry that was written, every order that comes out.
//!
//! It decides nothing and is asked nothing by the node. What it remembers is bounded by what the node works on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chain_client::{Hint, RequestId};
use mpc_core::{PartyIndex, SessionId, Suite};

use super::Metrics;
use crate::agreement::clock::Millis;
use crate::decree::DecreeId;
use crate::message::{Content, Statement};
use crate::node::{ChainNews, Event, Level, Node, Order, RunNews, RunOrder};
use crate::request::{RequestRecord, State};
use crate::store::{Entry, Table};

/// Stages of the funnel.
pub(super) const STAGES: [&str; 10] =
    ["seen", "resumed", "admitted", "decided", "submitted", "settled", "unanswerable", "expired", "moot", "undone"];
/// Whose turn a ballot was.
pub(super) const TURNS: [&str; 2] = ["first", "later"];
/// What nodes of a chain say of a transaction.
pub(super) const HINTS: [&str; 4] = ["taken", "known", "refused", "unknown"];
/// Kinds of runs.
pub(super) const RUN_KINDS: [&str; 5] = ["sign_secp256k1", "sign_ed25519", "key_secp256k1", "key_ed25519", "auxiliary"];

/// Counts what a node does.
pub struct Observer {
    metrics: Arc<Metrics>,
    me: PartyIndex,
    /// Requests that this process has read, while the chain still lists them.
    seen: BTreeSet<(String, RequestId)>,
    /// Requests in the funnel.
    requests: BTreeMap<DecreeId, Tracked>,
    runs: BTreeMap<SessionId, (&'static str, Millis)>,
}

/// How far a request has come.
struct Tracked {
    is_decided: bool,
    is_submitted: bool,
    state: State,
    /// The highest attempt that this party spoke in.
    attempt: Option<u32>,
}

impl Observer {
    /// Watches this node, which was just recovered.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, node: &Node) -> Self {
        let mut this = Self::of(metrics, node.me());
        for live in node.live().filter(|live| !live.request.learning) {
            this.stage(live.decree, "resumed");
            this.requests.insert(live.decree.clone(), Tracked::at(live.request));
        }
        this
    }

    const fn of(metrics: Arc<Metrics>, me: PartyIndex) -> Self {
        Self { metrics, me, seen: BTreeSet::new(), requests: BTreeMap::new(), runs: BTreeMap::new() }
    }

    /// This is about to be told to the node.
    pub fn heard(&mut self, now: Millis, event: &Event) {
        match event {
            Event::Packet(packet) if packet.envelope.from != self.me => {
                self.metrics.agreement.messages.one(["in", content_word(&packet.envelope.content)]);
            }
            Event::Run(session, news) => match news {
                RunNews::Queued | RunNews::Round(_) => {}
                RunNews::Signed(..) | RunNews::Key(_) | RunNews::Auxiliary(_) => {
                    self.run_ended(*session, "finished", now);
                }
                RunNews::Failed { .. } => self.run_ended(*session, "failed", now),
            },
            Event::Chain(chain, news) => self.chain_news(chain, news),
            Event::Tick
            | Event::Contract(..)
            | Event::LinkUp(..)
            | Event::LinkDown(_)
            | Event::Packet(_)
            | Event::Proved(..)
            | Event::Primes(_)
            | Event::Nonce(_)
            | Event::Journal { .. }
            | Event::Operator(..)
            | Event::Twins(_)
            | Event::Leave => {}
        }
    }

    /// This was written.
    pub fn written(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Entry::Put { table: Table::Request, key, value, .. } = entry
                && let Some(id) = DecreeId::from_bytes(key)
                && let Ok(record) = postcard::from_bytes::<RequestRecord>(value)
            {
                self.moved(&id, &record);
            }
        }
    }

    /// This is about to be carried out.
    pub fn ordered(&mut self, now: Millis, order: &Order) {
        match order {
            Order::Say { content, .. } => self.said(content),
            Order::Start { session, run, .. } => {
                let kind = run_kind(run);
                self.metrics.runs.begun.one([kind]);
                self.runs.insert(*session, (kind, now));
            }
            Order::Stop(session) => self.run_ended(*session, "stopped", now),
            Order::Note(note) => self.metrics.node.notes.one([level_word(note.level)]),
            Order::Prove(..)
            | Order::Examine { .. }
            | Order::ReadTogether(..)
            | Order::Confirm(..)
            | Order::Explain(..)
            | Order::ReadStanding(..)
            | Order::Broadcast(..)
            | Order::LookAtContract { .. }
            | Order::Simulate { .. }
            | Order::LookAtDestination { .. }
            | Order::Send(..)
            | Order::Draw
            | Order::ShowJournal { .. } => {}
        }
    }

    fn chain_news(&mut self, chain: &str, news: &ChainNews) {
        match news {
            ChainNews::Seen(sighting) => {
                if self.seen.insert((chain.to_owned(), sighting.request.id)) {
                    self.stage(&sighting.decree, "seen");
                }
            }
            ChainNews::Open { requests, complete: true, .. } => {
                let listed: BTreeSet<RequestId> = requests.iter().map(|request| request.id).collect();
                self.seen.retain(|(of, request)| of != chain || listed.contains(request));
            }
            ChainNews::Hint { hint, .. } => self.metrics.controllers.broadcasts.one([chain, hint_word(hint)]),
            ChainNews::Head { .. }
            | ChainNews::Keyring { .. }
            | ChainNews::Balance(_)
            | ChainNews::Fork(_)
            | ChainNews::Testimony(..)
            | ChainNews::Explained { .. }
            | ChainNews::Resume(_)
            | ChainNews::Open { .. }
            | ChainNews::Unseen(_)
            | ChainNews::Reading(..)
            | ChainNews::Standing(..) => {}
        }
    }

    fn said(&mut self, content: &Content) {
        self.metrics.agreement.messages.one(["out", content_word(content)]);
        let Content::Decree { decree, ballot, statement } = content else { return };
        let takes_part = matches!(
            statement,
            Statement::Prepare | Statement::Promise { .. } | Statement::Propose(_) | Statement::Join { .. }
        );
        let Some(tracked) = self.requests.get_mut(decree).filter(|_| takes_part) else { return };
        if tracked.attempt.is_none_or(|attempt| attempt < ballot.attempt) {
            tracked.attempt = Some(ballot.attempt);
            let turn = if ballot.attempt == 0 { "first" } else { "later" };
            self.metrics.agreement.ballots.one([&decree.chain, turn]);
        }
    }

    /// A request's record was written.
    fn moved(&mut self, id: &DecreeId, record: &RequestRecord) {
        let Some(mut tracked) = self.requests.remove(id) else { return self.came(id, record) };
        let labels = [id.chain.as_str(), id.kind.word()];
        if let Some(after_ms) = record.decided_after_ms.filter(|_| !tracked.is_decided) {
            tracked.is_decided = true;
            self.stage(id, "decided");
            self.metrics.requests.decided_after.observe(labels, seconds(after_ms));
        }
        if let Some(after_ms) = record.broadcast_after_ms.filter(|_| !tracked.is_submitted) {
            tracked.is_submitted = true;
            self.stage(id, "submitted");
            self.metrics.requests.broadcast_after.observe(labels, seconds(after_ms));
        }
        let was_sent = matches!(tracked.state, State::Submitting | State::Submitted | State::Doubt);
        if was_sent && record.state == State::Agreed {
            self.metrics.controllers.dead.one([&id.chain]);
        }
        if record.state.is_end() {
            return self.stage(id, record.state.word());
        }
        tracked.state = record.state.clone();
        self.requests.insert(id.clone(), tracked);
    }

    /// The first record of a request in this process. Those that are only learned are not in the funnel.
    fn came(&mut self, id: &DecreeId, record: &RequestRecord) {
        match &record.state {
            State::Unanswerable(_) => self.stage(id, "unanswerable"),
            state if state.is_end() || record.learning => {}
            _ => {
                self.stage(id, "admitted");
                self.requests.insert(id.clone(), Tracked::at(record));
            }
        }
    }

    fn stage(&self, id: &DecreeId, stage: &str) {
        self.metrics.requests.stages.one([&id.chain, id.kind.word(), stage]);
    }

    fn run_ended(&mut self, session: SessionId, outcome: &str, now: Millis) {
        if let Some((kind, began)) = self.runs.remove(&session) {
            self.metrics.runs.took.observe([kind, outcome], seconds(now.saturating_sub(began)));
        }
    }
}

impl Tracked {
    fn at(record: &RequestRecord) -> Self {
        Self {
            is_decided: record.decided_after_ms.is_some(),
            is_submitted: record.broadcast_after_ms.is_some(),
            state: record.state.clone(),
            attempt: None,
        }
    }
}

fn seconds(ms: Millis) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

fn run_kind(run: &RunOrder) -> &'static str {
    match run {
        RunOrder::Sign { payload: mpc_core::Payload::Digest(_), .. } => "sign_secp256k1",
        RunOrder::Sign { payload: mpc_core::Payload::Message(_), .. } => "sign_ed25519",
        RunOrder::Key(Suite::Secp256k1) => "key_secp256k1",
        RunOrder::Key(Suite::Ed25519) => "key_ed25519",
        RunOrder::Auxiliary => "auxiliary",
    }
}

const fn hint_word(hint: &Hint) -> &'static str {
    match hint {
        Hint::Taken => "taken",
        Hint::Known => "known",
        Hint::Refused { .. } => "refused",
        Hint::Unknown { .. } => "unknown",
    }
}

pub(super) const fn level_word(level: Level) -> &'static str {
    match level {
        Level::Alarm => "alarm",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

const fn content_word(content: &Content) -> &'static str {
    match content {
        Content::Decree { statement, .. } => match statement {
            Statement::Prepare => "prepare",
            Statement::Promise { .. } => "promise",
            Statement::Propose(_) => "propose",
            Statement::Join { .. } => "join",
            Statement::Accept { .. } => "accept",
            Statement::Decided { .. } => "decided",
            Statement::Ask => "ask",
            Statement::Unable => "unable",
            Statement::Queued => "queued",
            Statement::Working(_) => "working",
        },
        Content::Stored(_) => "stored",
        Content::Stock(_) => "stock",
        Content::Lease(..) => "lease",
    }
}

#[cfg(test)]
mod tests;
