//! What must hold after every event, judged from outside the nodes: from what is on their disks, what they send, and what
//! the chain shows. Each law has one name, which a violation carries.

mod health;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chain_client::proto::cosmos::tx::v1beta1::{TxBody, TxRaw};
use chain_client::proto::zrchain::treasury::{
    KeyRequestStatus, MsgFulfilKeyRequest, MsgFulfilSignatureRequest, SignRequestStatus, msg_fulfil_key_request,
};
use chain_client::{KeyType, RequestId, RequestKind, SignedTx, Standing, TxHash};
use devnet::chain::BlockOutcome;
use keyring::admission::suite_of;
use keyring::agreement::Record;
use keyring::decree::{Ballot, DecreeId, Kind};
use keyring::message::{Content, Share, Statement};
use keyring::node::{Node, Priority, RunOrder};
use keyring::readiness::Readiness;
use keyring::shelf::KeyRecord;
use keyring::stock::StockWord;
use keyring::store::{Entry, MemoryStore, Store, Table};
use mpc_core::{KeyId, PartyIndex, SessionId};
use prost::{Message as _, Name as _};

use self::health::Health;
use crate::ledger::Ledger;
use crate::process::Process;
use crate::town::Town;

/// A law that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The law.
    pub law: &'static str,
    /// When, in virtual milliseconds.
    pub at_ms: u64,
    /// What was seen.
    pub text: String,
}

/// What was observed so far, and what was wrong about it.
pub(crate) struct Laws {
    town: Arc<Town>,
    /// Whose doings break nothing, because nothing is expected of them.
    dishonest: BTreeSet<PartyIndex>,
    pub(crate) violations: Vec<Violation>,
    now: u64,
    decided: BTreeMap<DecreeId, Vec<u8>>,
    published: BTreeMap<RequestId, Vec<u8>>,
    key_owner: BTreeMap<Vec<u8>, RequestId>,
    /// Account sequences that a party used for a request, with the chain's height when it first did.
    sequences: BTreeMap<(PartyIndex, RequestId), BTreeMap<u64, u64>>,
    answers: BTreeMap<TxHash, (PartyIndex, RequestId)>,
    /// Highest account sequence that a party ever sent a transaction under.
    sent: BTreeMap<PartyIndex, u64>,
    included: BTreeMap<(PartyIndex, RequestId), TxHash>,
    partials: BTreeMap<(PartyIndex, SessionId), Vec<u8>>,
    /// Everything that binds a party which it ever said.
    words: BTreeMap<(PartyIndex, DecreeId), Words>,
    /// What of it another party has taken in, durably: that binds even a party whose disk is set back. What no other
    /// machine ever saw does not.
    heard: BTreeMap<(PartyIndex, DecreeId), Words>,
    /// What each party has taken in since its last write.
    unwritten: BTreeMap<PartyIndex, Vec<(PartyIndex, DecreeId, Ballot, Statement)>>,
    entered: BTreeSet<(PartyIndex, SessionId)>,
    signing: BTreeSet<SessionId>,
    rejected: BTreeSet<RequestId>,
    /// The virtual second, and ticks of each party in it.
    ticks: (u64, BTreeMap<PartyIndex, u32>),
    health: Health,
}

/// What a party ever said about one decree.
#[derive(Clone, Default)]
struct Words {
    promised: Option<Ballot>,
    joins: BTreeMap<Ballot, [u8; 32]>,
    accepts: BTreeMap<Ballot, [u8; 32]>,
}

impl Words {
    fn add(&mut self, ballot: Ballot, statement: &Statement) {
        match statement {
            Statement::Promise { .. } => {}
            Statement::Join { proposal, .. } => drop(self.joins.insert(ballot, *proposal)),
            Statement::Accept { answer } => drop(self.accepts.insert(ballot, *answer)),
            _ => return,
        }
        self.promised = self.promised.max(Some(ballot));
    }
}

/// Ticks of one party in one second, above which it spins.
const TICKS_MAX: u32 = 200;

impl Laws {
    pub(crate) fn new(town: Arc<Town>, dishonest: BTreeSet<PartyIndex>) -> Self {
        Self {
            town,
            dishonest,
            violations: Vec::new(),
            now: 0,
            decided: BTreeMap::new(),
            published: BTreeMap::new(),
            key_owner: BTreeMap::new(),
            sequences: BTreeMap::new(),
            answers: BTreeMap::new(),
            sent: BTreeMap::new(),
            included: BTreeMap::new(),
            partials: BTreeMap::new(),
            words: BTreeMap::new(),
            heard: BTreeMap::new(),
            unwritten: BTreeMap::new(),
            entered: BTreeSet::new(),
            signing: BTreeSet::new(),
            rejected: BTreeSet::new(),
            ticks: (0, BTreeMap::new()),
            health: Health::default(),
        }
    }

    pub(crate) fn at(&mut self, now: u64) {
        self.now = now;
    }

    pub(crate) fn broken(&mut self, law: &'static str, text: impl Into<String>) {
        self.violations.push(Violation { law, at_ms: self.now, text: text.into() });
    }

    /// A party's clock fired: a node that has nothing to do rests.
    pub(crate) fn ticks(&mut self, party: PartyIndex) {
        if self.ticks.0 != self.now / 1_000 {
            self.ticks = (self.now / 1_000, BTreeMap::new());
        }
        let count = self.ticks.1.entry(party).or_default();
        *count += 1;
        if *count == TICKS_MAX {
            self.broken("it_rests", format!("{party} ticks {TICKS_MAX} times in a second"));
        }
    }

    /// What a party has written: a decision is the same at all honest ones.
    pub(crate) fn wrote(&mut self, party: PartyIndex, entries: &[Entry]) {
        for (from, decree, ballot, statement) in self.unwritten.remove(&party).unwrap_or_default() {
            for words in [&mut self.heard, &mut self.words] {
                words.entry((from, decree.clone())).or_default().add(ballot, &statement);
            }
        }
        if self.dishonest.contains(&party) {
            return;
        }
        for entry in entries {
            let Entry::Put { table: Table::Decree, value, .. } = entry else { continue };
            let Ok(record) = Record::decode(value) else { continue };
            let Some(certificate) = record.decided else { continue };
            let about = certificate.accepts.first().and_then(|accept| accept.about_decree());
            let Some((decree, ..)) = about else { continue };
            let decree = decree.clone();
            if !self.decided.contains_key(&decree) {
                self.health.moved(self.now);
            }
            let first = self.decided.entry(decree.clone()).or_insert_with(|| certificate.answer.clone()).clone();
            if first != certificate.answer {
                self.broken("one_answer_per_request", format!("{party}: {decree} is decided twice, differently"));
            }
        }
    }

    /// A party has taken in what another one said; with its next write it remembers it.
    pub(crate) fn took_in(&mut self, party: PartyIndex, from: PartyIndex, said: (DecreeId, Ballot, Statement)) {
        let (decree, ballot, statement) = said;
        self.unwritten.entry(party).or_default().push((from, decree, ballot, statement));
    }

    /// A process has ended: what it had not written is gone.
    pub(crate) fn ended(&mut self, party: PartyIndex) {
        self.unwritten.remove(&party);
        self.health.ended(party);
    }

    /// A disk was set back, or came back from a backup.
    pub(crate) fn forgets(&mut self, party: PartyIndex) {
        // Of a run only frames may have left, which name no place in the journal. It may begin again; that a second partial
        // of it leaves is a break all the same.
        self.entered.retain(|(by, _)| *by != party);
        for (about, words) in self.words.iter_mut().filter(|((by, _), _)| *by == party) {
            *words = self.heard.get(about).cloned().unwrap_or_default();
        }
    }

    /// What a party is about to send must be on its disk.
    pub(crate) fn says(&mut self, process: &Process, content: &Content) {
        let party = process.party;
        if self.dishonest.contains(&party) {
            return;
        }
        let store = process.store.as_ref();
        match content {
            Content::Decree { decree, ballot, statement } => {
                let record = record_of(store, decree);
                if !is_on_disk(&record, *ballot, statement) {
                    let text = format!("{party} says {} of {decree} in {ballot}, its disk does not", word(statement));
                    self.broken("journal_before_wire", text);
                }
                if let Statement::Promise { .. } = statement {
                    self.stood_before(party, decree, *ballot, &record);
                }
                self.keeps_its_word(party, decree, *ballot, statement);
                if let Statement::Join { share: Some(share), .. } = statement {
                    self.partial_leaves(party, &record, share);
                }
            }
            Content::Stored(stored) => {
                if !has(store, Table::Share, stored.key.as_bytes()) {
                    self.broken("journal_before_wire", format!("{party} states a share that is not on its disk"));
                }
            }
            Content::Stock(StockWord::BeginKey { counter, .. }) => {
                self.counted(party, store, b"counter/key", *counter);
            }
            Content::Stock(StockWord::BeginAuxiliary { counter }) => {
                self.counted(party, store, b"counter/auxiliary", *counter);
            }
            Content::Stock(_) | Content::Lease(..) => {}
        }
    }

    /// What stands on a party's disk below a ballot when it promises that one counts as said: it may have died between
    /// write and word, says it again as it is, and its promise must report what it accepted.
    fn stood_before(&mut self, party: PartyIndex, decree: &DecreeId, ballot: Ballot, record: &Record) {
        let word = self.words.entry((party, decree.clone())).or_default();
        if let Some(joined) = record.joined.as_ref().filter(|joined| joined.ballot < ballot) {
            word.joins.entry(joined.ballot).or_insert(joined.proposal);
        }
        if let Some(accepted) = record.accepted.as_ref().filter(|accepted| accepted.ballot < ballot) {
            word.accepts.entry(accepted.ballot).or_insert(accepted.answer);
        }
    }

    /// What a party says agrees with everything it ever said, whatever became of its disk since (law 11): nothing new
    /// below what it promised, one join and one accept in a ballot, and no promise that hides what it accepted.
    fn keeps_its_word(&mut self, party: PartyIndex, decree: &DecreeId, ballot: Ballot, statement: &Statement) {
        let word = self.words.entry((party, decree.clone())).or_default();
        let is_below = word.promised.is_some_and(|promised| ballot < promised);
        let broken = match statement {
            Statement::Promise { accepted } => {
                let hides = word.accepts.last_key_value().is_some_and(|(highest, _)| {
                    *highest < ballot && accepted.is_none_or(|(shown, _)| shown < *highest)
                });
                is_below || hides
            }
            Statement::Join { proposal, .. } => match word.joins.get(&ballot) {
                Some(earlier) => earlier != proposal,
                None => is_below,
            },
            Statement::Accept { answer } => match word.accepts.get(&ballot) {
                Some(earlier) => earlier != answer,
                None => is_below,
            },
            _ => return,
        };
        word.add(ballot, statement);
        if broken {
            let text = format!(
                "{party} says {} of {decree} in {ballot}, against what it said before",
                crate::laws::word(statement)
            );
            self.broken("it_keeps_its_word", text);
        }
    }

    /// A party has taken in something of a peer, whatever it is about.
    pub(crate) fn heard(&mut self, by: PartyIndex, from: PartyIndex) {
        self.health.heard(by, from, self.now);
    }

    /// How long a question and its answer travel at most.
    pub(crate) const fn round_trip(&mut self, ms: u64) {
        self.health.round_trip = ms;
    }

    /// Whether a living party may act. What a liar says of itself nobody can know better.
    pub(crate) fn acts(&mut self, party: PartyIndex, acts: bool) {
        if !self.dishonest.contains(&party) {
            self.health.acts(party, acts, self.now);
        }
    }

    /// Something goes wrong now.
    pub(crate) const fn disturbed(&mut self) {
        self.health.moved(self.now);
    }

    /// A node is as it should be, by what it holds and by what it says of itself (laws 8 and 10). What a liar counts or
    /// says of itself binds nobody.
    pub(crate) fn healthy(&mut self, node: &Node, says: impl Fn(PartyIndex) -> Option<Readiness>, live_max: usize) {
        if self.dishonest.contains(&node.me()) {
            return;
        }
        let sizes = (live_max, self.town.threshold.of());
        let honest = |party: PartyIndex| if self.dishonest.contains(&party) { None } else { says(party) };
        if let Some((law, text)) = self.health.look(node, honest, sizes, self.now) {
            self.broken(law, text);
        }
    }

    /// The highest account sequence under which a party ever sent anything.
    pub(crate) fn sent_by(&self, party: PartyIndex) -> Option<u64> {
        self.sent.get(&party).copied()
    }

    /// Most packets that any honest party ever kept of one peer.
    pub(crate) const fn early_most(&self) -> usize {
        self.health.early_most
    }

    fn counted(&mut self, party: PartyIndex, store: &MemoryStore, name: &[u8], counter: u64) {
        let stored = store.read(Table::Stock, name).ok().flatten();
        let stored = stored.and_then(|bytes| bytes.as_slice().try_into().ok()).map_or(0, u64::from_be_bytes);
        if stored < counter {
            self.broken("journal_before_wire", format!("{party} uses counter {counter}, its disk knows {stored}"));
        }
    }

    fn partial_leaves(&mut self, party: PartyIndex, record: &Record, share: &Share) {
        let burned = record.joined.as_ref().is_some_and(|joined| joined.share.as_ref() == Some(share));
        let first = self.partials.entry((party, share.session)).or_insert_with(|| share.partial.clone());
        let same = *first == share.partial;
        if !burned {
            self.broken("nonce_burned_before_use", format!("{party}: a partial of {} leaves unburned", share.session));
        }
        if !same {
            self.broken("nonce_burned_before_use", format!("{party}: two partials of {}", share.session));
        }
    }

    /// A run begins.
    pub(crate) fn begins(&mut self, process: &Process, session: SessionId, order: &RunOrder, priority: &Priority) {
        let party = process.party;
        if self.dishonest.contains(&party) {
            return;
        }
        if !has(process.store.as_ref(), Table::Session, session.as_bytes()) {
            self.broken("nonce_burned_before_use", format!("{party} begins {session} without its mark"));
        }
        if !self.entered.insert((party, session)) {
            self.broken("nonce_burned_before_use", format!("{party} enters {session} a second time"));
        }
        if matches!(order, RunOrder::Sign { .. }) {
            self.signing.insert(session);
        }
        if let (RunOrder::Sign { .. }, Priority::Request(_, decree)) = (order, priority)
            && !process.shown.contains(&request_of(decree))
        {
            let text = format!("{party} signs for {decree}, which its endpoint never showed");
            self.broken("only_what_the_chain_asks", text);
        }
    }

    /// Signing runs begun, each counted once.
    pub(crate) fn signing_runs(&self) -> usize {
        self.signing.len()
    }

    /// A party sends a transaction to the chain.
    pub(crate) fn broadcasts(&mut self, party: PartyIndex, tx: &SignedTx, ledger: &Ledger, processes: &[Process]) {
        let Some(publication) = Publication::read(&tx.bytes) else { return };
        let highest = self.sent.entry(party).or_insert(tx.sequence);
        *highest = (*highest).max(tx.sequence);
        let slot = processes.iter().find(|process| process.party == party);
        if slot.is_some_and(|process| !holds_tx(process.store.as_ref(), tx)) {
            self.broken("journal_before_wire", format!("{party} sends {} before its bytes are stored", tx.hash));
        }
        let Publication::Answer { request, bytes } = publication else {
            if matches!(publication, Publication::Refusal) {
                self.broken("silence", format!("{party} sends a rejection: {}", tx.hash));
            }
            return;
        };
        self.answers.insert(tx.hash, (party, request));
        let first = self.published.entry(request).or_insert_with(|| bytes.clone()).clone();
        if first != bytes {
            self.broken("one_answer_per_request", format!("{party} publishes other bytes for {request}"));
        }
        self.one_sequence(party, request, tx.sequence, ledger);
        if request.kind == RequestKind::Key {
            self.key_published(party, request, &bytes, ledger, processes);
        }
    }

    fn one_sequence(&mut self, party: PartyIndex, request: RequestId, sequence: u64, ledger: &Ledger) {
        let tip = ledger.height();
        let used = self.sequences.entry((party, request)).or_default();
        let is_new = !used.contains_key(&sequence);
        used.entry(sequence).or_insert(tip);
        let others: Vec<(u64, u64)> =
            used.iter().filter(|(other, _)| **other != sequence).map(|(other, from)| (*other, *from)).collect();
        if !is_new {
            return;
        }
        let account = self.town.account(party).address().to_owned();
        for (other, from) in others {
            let dead = (from..=tip).any(|height| {
                let standing = ledger.standing(request, height);
                let past = ledger.account(&account, height).is_some_and(|facts| facts.sequence > other);
                past && standing.is_open() && !standing.names(&account)
            });
            if !dead {
                let text = format!("{party} answers {request} under {sequence} while {other} is not dead");
                self.broken("one_submission_per_party", text);
            }
        }
    }

    /// A public key leaves: all shares are safe, the certificate is here, and the key is nobody else's.
    fn key_published(
        &mut self,
        party: PartyIndex,
        request: RequestId,
        public: &[u8],
        ledger: &Ledger,
        processes: &[Process],
    ) {
        let key_type = ledger.request(request, ledger.height()).and_then(|request| match request.ask {
            chain_client::Ask::Key { key_type, .. } => Some(key_type),
            _ => None,
        });
        let key = KeyId::of(suite_of(key_type.unwrap_or(KeyType::EcdsaSecp256k1)), public);
        for process in processes.iter().filter(|process| !self.dishonest.contains(&process.party)) {
            if !process.disk_has(Table::Share, key.as_bytes()) {
                self.violations.push(Violation {
                    law: "key_after_shares",
                    at_ms: self.now,
                    text: format!("{party} publishes {key:?}, {} holds no share of it", process.party),
                });
            }
        }
        let certified = processes.iter().find(|process| process.party == party).is_some_and(|process| {
            let record = process.store.read(Table::Key, key.as_bytes()).ok().flatten();
            record
                .and_then(|bytes| postcard::from_bytes::<KeyRecord>(&bytes).ok())
                .is_some_and(|record| record.certificate.len() == self.town.committee.size())
        });
        if !certified {
            self.broken("key_after_shares", format!("{party} publishes {key:?} without its certificate"));
        }
        let owner = *self.key_owner.entry(public.to_vec()).or_insert(request);
        if owner != request {
            self.broken("key_after_shares", format!("{key:?} serves {owner} and {request}"));
        }
    }

    /// A block: nothing was rejected because of us, nobody answered twice.
    pub(crate) fn block(&mut self, ledger: &Ledger, outcome: &BlockOutcome) {
        for result in outcome.transactions.iter().filter(|result| result.code == 0) {
            let hash = TxHash(result.hash);
            let Some(answer) = self.answers.get(&hash).copied() else { continue };
            let first = *self.included.entry(answer).or_insert(hash);
            if first != hash {
                self.broken("one_submission_per_party", format!("two answers of {} to {} landed", answer.0, answer.1));
            }
        }
        let closed: Vec<_> = ledger
            .requests(outcome.height)
            .filter(|request| !request.status.is_open() && !self.rejected.contains(&request.id))
            .collect();
        for request in closed {
            self.rejected.insert(request.id);
            self.health.moved(self.now);
            if let Standing::Rejected { reason, .. } = ledger.standing(request.id, outcome.height)
                && !reason.contains("timed out")
            {
                self.broken("nothing_rejected_because_of_us", format!("{} was rejected: {reason}", request.id));
            }
        }
    }

    /// At the end every account sequence that was ever used is spent: none is lost, none leaves a gap.
    pub(crate) fn spent(&mut self, ledger: &Ledger) {
        for (party, highest) in self.sent.clone() {
            let account = self.town.account(party).address().to_owned();
            let next = ledger.account(&account, ledger.height()).map(|facts| facts.sequence);
            if !self.dishonest.contains(&party) && next != Some(highest + 1) {
                let text = format!("{party} sent under sequence {highest}, its account stands at {next:?}");
                self.broken("no_sequence_lost", text);
            }
        }
    }

    /// All disks, at the end: decisions and bindings agree.
    pub(crate) fn disks(&mut self, processes: &[Process]) {
        for process in processes {
            if self.dishonest.contains(&process.party) {
                continue;
            }
            let store = process.opened(process.store.snapshot());
            let mut after: Option<Vec<u8>> = None;
            while let Ok(page) = store.scan(Table::Decree, b"", after.as_deref(), 256) {
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                let entries: Vec<Entry> =
                    page.iter().map(|(key, value)| Entry::put(Table::Decree, key.clone(), value.to_vec())).collect();
                self.wrote(process.party, &entries);
            }
        }
    }
}

/// What a transaction of a party does.
enum Publication {
    Answer { request: RequestId, bytes: Vec<u8> },
    Refusal,
    Nothing,
}

impl Publication {
    fn read(bytes: &[u8]) -> Option<Self> {
        let raw = TxRaw::decode(bytes).ok()?;
        let body = TxBody::decode(raw.body_bytes.as_slice()).ok()?;
        let message = body.messages.first()?;
        if message.type_url == MsgFulfilKeyRequest::type_url() {
            let answer = MsgFulfilKeyRequest::decode(message.value.as_slice()).ok()?;
            let fulfils = answer.status() == KeyRequestStatus::Fulfilled;
            return Some(match answer.result {
                Some(msg_fulfil_key_request::Result::Key(key)) if fulfils => {
                    Self::Answer { request: RequestId::key(answer.request_id), bytes: key.public_key }
                }
                _ => Self::Refusal,
            });
        }
        if message.type_url == MsgFulfilSignatureRequest::type_url() {
            let answer = MsgFulfilSignatureRequest::decode(message.value.as_slice()).ok()?;
            return Some(if answer.status() == SignRequestStatus::Fulfilled {
                Self::Answer { request: RequestId::signature(answer.request_id), bytes: answer.signed_data }
            } else {
                Self::Refusal
            });
        }
        Some(Self::Nothing)
    }
}

/// The request that a decree answers.
pub(crate) fn request_of(decree: &DecreeId) -> RequestId {
    match decree.kind {
        Kind::Key | Kind::Controller => RequestId::key(decree.request),
        Kind::Signature | Kind::Authorisation | Kind::Completion => RequestId::signature(decree.request),
    }
}

pub(crate) fn record_of(store: &dyn Store, decree: &DecreeId) -> Record {
    let bytes = store.read(Table::Decree, &decree.to_bytes()).ok().flatten();
    bytes.and_then(|bytes| Record::decode(&bytes).ok()).unwrap_or_default()
}

/// Whether the disk holds what is said. Several packets heard at once may be one write: then a join or accept may have
/// been superseded in it by a higher ballot's, as it would have been a moment later; a partial never.
fn is_on_disk(record: &Record, ballot: Ballot, statement: &Statement) -> bool {
    match statement {
        Statement::Prepare | Statement::Promise { .. } => record.promised >= Some(ballot),
        Statement::Propose(proposal) => record.proposed == Some((ballot, proposal.clone())),
        Statement::Join { proposal, share } => record.joined.as_ref().is_some_and(|joined| {
            let superseded = share.is_none() && joined.ballot > ballot;
            superseded || (joined.ballot == ballot && joined.proposal == *proposal && joined.share == *share)
        }),
        Statement::Accept { answer } => record.accepted.as_ref().is_some_and(|accepted| {
            accepted.ballot > ballot || (accepted.ballot == ballot && accepted.answer == *answer)
        }),
        Statement::Decided { .. } => record.decided.is_some(),
        Statement::Ask | Statement::Unable | Statement::Queued | Statement::Working(_) => true,
    }
}

/// The word for logs.
pub(crate) fn word(statement: &Statement) -> &'static str {
    match statement {
        Statement::Prepare => "prepare",
        Statement::Promise { .. } => "promise",
        Statement::Propose(_) => "propose",
        Statement::Join { share: None, .. } => "join",
        Statement::Join { share: Some(_), .. } => "join+partial",
        Statement::Accept { .. } => "accept",
        Statement::Decided { .. } => "decided",
        Statement::Ask => "ask",
        Statement::Unable => "unable",
        Statement::Queued => "queued",
        Statement::Working(_) => "working",
    }
}

fn has(store: &dyn Store, table: Table, key: &[u8]) -> bool {
    store.read(table, key).is_ok_and(|value| value.is_some())
}

/// Whether the signed bytes are in the outbox on disk, whatever the form of its records.
fn holds_tx(store: &dyn Store, tx: &SignedTx) -> bool {
    store
        .scan(Table::Outbox, b"slot/", None, 1_024)
        .is_ok_and(|page| page.iter().any(|(_, value)| value.windows(tx.bytes.len()).any(|window| window == tx.bytes)))
}
