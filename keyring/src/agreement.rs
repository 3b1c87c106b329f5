//! One decree at one party: the machine that settles on the exact bytes which answer one request.
//!
//! Pure: statements and news in, [`Act`]s out; the caller writes the [`Record`] when [`Decree::take_record`] hands one
//! out, in the same write as everything the acts bind or burn, and performs the acts only after that write is durable
//! (law 9). A party hears itself: what it says to all comes back to it like any other statement, so its own join,
//! accept or promise counts only once it is durable.
//!
//! Safety is that of single-decree Paxos whose acceptors are quorums of `Q`: an accepted record is replaced only by a
//! higher ballot's; a later ballot adopts the highest record that `Q` promises report, shown with its evidence. Two
//! things differ from the textbook. Ballot 0 belongs to the first party of the order alone and skips `prepare`. And a
//! partial signature is a join, so in later ballots it leaves a signer only after the `Q` promises were checked.
//! `docs/agreement.md` tells the protocol. `heard` judges what peers say, `turns` and [`clock`] serve liveness only, `speech`
//! says things.

pub mod clock;
mod evidence;
mod heard;
mod record;
mod speech;
mod turns;
mod votes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mpc_core::{KeyId, PartyIndex, SessionId};

use self::clock::{AttemptClock, Millis};
pub use self::record::{Accepted, Joined, Record};
use self::votes::Votes;
use crate::committee::Committee;
use crate::decree::{Ballot, DecreeId, Proposal, Value};
use crate::message::{Attachment, Certificate, Envelope, Evidence, Packet, Share, Statement};

/// Proposals remembered, of the newest ballots.
const PROPOSALS_MAX: usize = 8;

/// What the decree must know of its request, keys and stock, answered by the node from its own reading (law 1).
pub trait Rules {
    /// Digest of the request as this party's own endpoint shows it.
    fn request(&self) -> [u8; 32];
    /// Whether this party may and can support a fresh value: key and session as they must be, material ready.
    fn judge(&self, ballot: Ballot, value: &Value) -> Judgement;
    /// A fresh value for a ballot that this party leads, leaving out `left_out` while enough others are present.
    fn fresh(&self, ballot: Ballot, left_out: &BTreeSet<PartyIndex>) -> Fresh;
    /// `Some(false)`: this party took part in the share's run and the partial is bad. `None`: it cannot tell.
    fn check_share(&self, signer: PartyIndex, share: &Share) -> Option<bool>;
    /// The canonical answer of a run's shares, verified; `None` if they do not combine to one.
    fn combine(&self, signers: &[PartyIndex], shares: &BTreeMap<PartyIndex, Share>) -> Option<Vec<u8>>;
    /// Whether these bytes answer the request by the chain's own rule (and, for a key, it is one that we made).
    fn verifies(&self, answer: &[u8]) -> bool;
    /// Whether a signature has this nonce point.
    fn has_nonce_point(&self, answer: &[u8], nonce_point: &[u8]) -> bool;
    /// The key that these answer bytes name, for a key decree.
    fn key_named(&self, answer: &[u8]) -> Option<KeyId>;
}

/// May a fresh value be supported?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Yes.
    Fit,
    /// Not by this party now: it says `unable`.
    Unable,
    /// Never: whoever proposed it is wrong or lies.
    Wrong,
}

/// What a leader can put forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// This.
    Value(Value),
    /// Nothing until a core is free.
    NoCore,
    /// Nothing: material or parties are missing.
    Unable,
}

/// What the node sees around a decree at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Monotonic time.
    pub now: Millis,
    /// Time until the request's deadline, by measured block time.
    pub lifetime_left: Millis,
    /// Longest round trip to a present peer.
    pub round_trip: Millis,
    /// Parties whose link is up, this one among them.
    pub present: &'a BTreeSet<PartyIndex>,
}

/// Whom a statement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every party, this one among them.
    All,
    /// One party.
    One(PartyIndex),
}

/// What the node does for a decree, in order, once its record is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Sign and send.
    Say {
        /// To whom.
        to: Audience,
        /// In which ballot.
        ballot: Ballot,
        /// What.
        statement: Statement,
        /// What goes beside it.
        attachment: Box<Attachment>,
    },
    /// Mark the session entered, for ever, in the record's own write; then begin the run.
    Enter {
        /// The ballot of the run.
        ballot: Ballot,
        /// The run.
        session: SessionId,
        /// Its signers.
        signers: Vec<PartyIndex>,
        /// Its auxiliary data, if it is ECDSA.
        auxiliary: Option<[u8; 32]>,
    },
    /// Give a run up; whatever it still yields is dropped.
    Leave(SessionId),
    /// Bind this key to the decree's request, write-once, in the record's own write (law 6).
    Bind(KeyId),
    /// The decision is known; the record holds it.
    Decided,
}

/// A run that this party takes part in.
#[derive(Clone, Debug)]
struct LiveRun {
    ballot: Ballot,
    session: SessionId,
    round: u16,
    /// The round that the others were told of last.
    told: Option<u16>,
    queued: bool,
    last_hint: Millis,
}

impl LiveRun {
    /// Whether there is something to tell: a round that begins, or a wait for a core. A run that waits for a message says
    /// nothing, or a lost message would keep its attempt alive.
    fn has_news(&self) -> bool {
        self.queued || self.told != Some(self.round)
    }
}

/// One decree at one party.
#[derive(Debug)]
pub struct Decree {
    id: DecreeId,
    committee: Arc<Committee>,
    me: PartyIndex,
    order: Vec<PartyIndex>,
    record: Record,
    changed: bool,
    proposals: BTreeMap<Ballot, (Envelope, Proposal)>,
    joins: Votes,
    accepts: Votes,
    promises: BTreeMap<PartyIndex, (Envelope, Option<Evidence>)>,
    /// The ballot this party leads now and has not proposed in yet.
    leading: Option<Ballot>,
    run: Option<LiveRun>,
    attempt: u32,
    clock: AttemptClock,
    /// Turns stepped past since a clock last ran out; bounds a round of parties that all say `unable`.
    stepped: usize,
    left_out: BTreeSet<PartyIndex>,
    heard_in_attempt: BTreeSet<PartyIndex>,
    last_queued: Option<Millis>,
    held: bool,
    /// Out of bounds for now: it says again what was stored and learns what others decide, nothing else.
    restrained: bool,
    /// What the leader of the highest ballot said while this party was restrained: heard when it is let go.
    kept: Option<(Ballot, Packet)>,
}

impl Decree {
    /// A decree as this party first meets it, or as it stood before a restart (`record`). Call [`Self::open`] next.
    #[must_use]
    pub fn new(
        id: DecreeId,
        committee: Arc<Committee>,
        me: PartyIndex,
        order: Vec<PartyIndex>,
        record: Record,
        gap: Millis,
        around: Surroundings<'_>,
    ) -> Self {
        let attempt = record.promised.map_or(0, |ballot| ballot.attempt);
        Self {
            id,
            committee,
            me,
            order,
            record,
            changed: false,
            proposals: BTreeMap::new(),
            joins: Votes::default(),
            accepts: Votes::default(),
            promises: BTreeMap::new(),
            leading: None,
            run: None,
            attempt,
            clock: AttemptClock::new(around.now, gap, around.lifetime_left),
            stepped: 0,
            left_out: BTreeSet::new(),
            heard_in_attempt: BTreeSet::new(),
            last_queued: None,
            held: false,
            restrained: false,
            kept: None,
        }
    }

    /// Restrains it or lets it go; whether it was restrained. [`Self::open`] it anew when it is let go.
    pub const fn restrain(&mut self, restrained: bool) -> bool {
        std::mem::replace(&mut self.restrained, restrained)
    }

    /// The decree's name.
    #[must_use]
    pub const fn id(&self) -> &DecreeId {
        &self.id
    }

    /// The record as it stands.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// The parties in the order of their turns; also the order in which they publish.
    #[must_use]
    pub fn order(&self) -> &[PartyIndex] {
        &self.order
    }

    /// The attempt that is open, for people and logs.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The run this party takes part in, if one is live.
    #[must_use]
    pub fn live_session(&self) -> Option<SessionId> {
        self.run.as_ref().map(|run| run.session)
    }

    /// Longest gap between signs of life, for the node's estimate.
    #[must_use]
    pub const fn gap(&self) -> Millis {
        self.clock.gap()
    }

    /// The answer, once decided.
    #[must_use]
    pub fn decision(&self) -> Option<&Certificate> {
        self.record.decided.as_ref()
    }

    /// The record to write, if it changed since it was last taken.
    #[must_use]
    pub fn take_record(&mut self) -> Option<&Record> {
        std::mem::take(&mut self.changed).then_some(&self.record)
    }

    /// Begins: at a fresh request the first turn; after a restart, what was said is said again as it was.
    pub fn open(&mut self, rules: &dyn Rules, around: Surroundings<'_>) -> Vec<Act> {
        let mut acts = Vec::new();
        // First: it may replace what is stored, and only what the disk holds after this write may be said.
        if let Some((_, packet)) = self.kept.take_if(|_| !self.restrained) {
            acts.extend(self.hear(&packet, rules, around));
        }
        if self.record.decided.is_some() {
            return acts;
        }
        self.repeat(Audience::All, &mut acts);
        if self.restrained {
            self.say(&mut acts, Audience::All, self.current_ballot(), Statement::Ask);
        } else if self.record.promised.is_some() {
            self.say(&mut acts, Audience::All, self.current_ballot(), Statement::Ask);
            if let Some((ballot, session)) = self.record.entered
                && self.live_session() != Some(session)
                && self.record.joined.as_ref().is_none_or(|joined| joined.ballot < ballot)
            {
                // The run died with the process; its nonces are gone and its session is never entered again.
                self.say(&mut acts, Audience::All, ballot, Statement::Unable);
            }
        } else {
            self.turn(rules, around, &mut acts);
        }
        acts
    }

    /// A statement about this decree, its signature checked, this party's own among them.
    pub fn hear(&mut self, packet: &Packet, rules: &dyn Rules, around: Surroundings<'_>) -> Vec<Act> {
        let mut acts = Vec::new();
        let envelope = &packet.envelope;
        let Some((about, ballot, statement)) = envelope.about_decree() else { return acts };
        if *about != self.id || !self.is_a_ballot(ballot) {
            return acts;
        }
        if self.record.decided.is_some() {
            if matches!(statement, Statement::Ask | Statement::Prepare | Statement::Propose(_)) {
                self.tell_decision(envelope.from, &mut acts);
            }
            return acts;
        }
        if self.restrained {
            return self.learn(packet, ballot, statement, rules);
        }
        match statement {
            Statement::Prepare => self.on_prepare(envelope, ballot, rules, around, &mut acts),
            Statement::Promise { accepted } => self.on_promise(packet, ballot, *accepted, rules, around, &mut acts),
            Statement::Propose(proposal) => self.on_propose(packet, ballot, proposal, rules, around, &mut acts),
            Statement::Join { .. } => {
                let is_new = self.joins.cast(ballot, envelope);
                self.notice(envelope.from, ballot, rules, around, &mut acts);
                if is_new {
                    self.try_accept(ballot, rules, &mut acts);
                }
            }
            Statement::Accept { .. } => {
                let is_new = self.accepts.cast(ballot, envelope);
                self.notice(envelope.from, ballot, rules, around, &mut acts);
                // What is repeated in answer to a question must not raise the question again.
                if is_new {
                    self.try_decide(ballot, rules, &mut acts);
                }
            }
            Statement::Decided { .. } => self.on_decided(&packet.attachment, rules, &mut acts),
            Statement::Ask => self.repeat(Audience::One(envelope.from), &mut acts),
            Statement::Unable => self.on_unable(envelope.from, ballot, rules, around, &mut acts),
            Statement::Queued | Statement::Working(_) => {
                self.notice(envelope.from, ballot, rules, around, &mut acts);
            }
        }
        acts
    }

    /// Whether [`Self::hear`] would judge what this packet proposes: what judging needs may have to be read first, and nobody
    /// shall order a reading with a proposal that is dropped anyway.
    #[must_use]
    pub fn would_judge(&self, packet: &Packet, rules: &dyn Rules) -> bool {
        let Some((about, ballot, Statement::Propose(proposal))) = packet.envelope.about_decree() else { return false };
        *about == self.id
            && self.is_a_ballot(ballot)
            && self.record.decided.is_none()
            && !self.restrained
            && self.is_to_be_judged(packet, ballot, proposal, rules)
    }

    /// What a restrained party makes of a statement: it counts others' votes, keeps the leader's word, and promises nothing.
    fn learn(&mut self, packet: &Packet, ballot: Ballot, statement: &Statement, rules: &dyn Rules) -> Vec<Act> {
        let mut acts = Vec::new();
        let envelope = &packet.envelope;
        match statement {
            Statement::Join { .. } => {
                self.joins.cast(ballot, envelope);
            }
            Statement::Accept { .. } => {
                if self.accepts.cast(ballot, envelope) {
                    self.try_decide(ballot, rules, &mut acts);
                }
            }
            Statement::Decided { .. } => self.on_decided(&packet.attachment, rules, &mut acts),
            Statement::Ask => self.repeat(Audience::One(envelope.from), &mut acts),
            Statement::Prepare | Statement::Propose(_) if envelope.from == ballot.leader => {
                if self.kept.as_ref().is_none_or(|(kept, _)| *kept <= ballot) {
                    self.kept = Some((ballot, packet.clone()));
                }
            }
            Statement::Prepare
            | Statement::Propose(_)
            | Statement::Promise { .. }
            | Statement::Unable
            | Statement::Queued
            | Statement::Working(_) => {}
        }
        acts
    }

    /// News of this party's own run.
    pub fn run_reached(&mut self, session: SessionId, round: u16, around: Surroundings<'_>) -> Vec<Act> {
        if let Some(run) = self.run.as_mut().filter(|run| run.session == session) {
            run.round = round;
            run.queued = false;
        }
        self.hint(around)
    }

    /// This party's run waits for a core.
    pub fn run_queued(&mut self, session: SessionId, around: Surroundings<'_>) -> Vec<Act> {
        if let Some(run) = self.run.as_mut().filter(|run| run.session == session) {
            run.queued = true;
        }
        self.hint(around)
    }

    /// This party's run yielded its part. Join, burn and partial are one write; a run that was left yields nothing.
    pub fn run_done(&mut self, share: Share) -> Vec<Act> {
        let mut acts = Vec::new();
        let Some(run) = self.run.take_if(|run| run.session == share.session) else { return acts };
        if self.restrained {
            // Its partial never leaves; the session stays entered and is never entered again.
            return acts;
        }
        let Some((_, proposal)) = self.proposals.get(&run.ballot) else { return acts };
        let already = self.record.joined.as_ref().is_some_and(|joined| joined.ballot >= run.ballot);
        if !self.record.allows(run.ballot) || already {
            return acts;
        }
        let proposal = proposal.digest(&self.id, run.ballot);
        self.join(run.ballot, proposal, Some(share), &mut acts);
        acts
    }

    /// This party's run failed; `culprits` are named where that can be known.
    pub fn run_failed(
        &mut self,
        session: SessionId,
        culprits: &[PartyIndex],
        rules: &dyn Rules,
        around: Surroundings<'_>,
    ) -> Vec<Act> {
        let mut acts = Vec::new();
        if let Some(run) = self.run.take_if(|run| run.session == session) {
            self.left_out.extend(culprits.iter().filter(|party| **party != self.me));
            self.say(&mut acts, Audience::All, run.ballot, Statement::Unable);
            if run.ballot.leader == self.me {
                self.step_past(run.ballot, rules, around, &mut acts);
            }
        }
        acts
    }

    /// Time passed, a core became free, or who is present changed.
    pub fn tick(&mut self, rules: &dyn Rules, around: Surroundings<'_>) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.record.decided.is_some() {
            return acts;
        }
        if self.restrained || around.present.len() < self.committee.quorum() {
            self.clock.hold(around.now);
            self.held = true;
            return acts;
        }
        if std::mem::take(&mut self.held) {
            self.clock.forgive();
            self.clock.begin_phase(around.now, around.lifetime_left);
            if self.leading.is_none() {
                self.turn(rules, around, &mut acts);
            }
        }
        if let Some(ballot) = self.leading {
            self.propose(ballot, rules, around, &mut acts);
        }
        acts.extend(self.hint(around));
        if around.now >= self.clock.runs_out_at(around.round_trip) {
            self.run_out(rules, around, &mut acts);
        }
        acts
    }

    /// When [`Self::tick`] has something to do.
    #[must_use]
    pub fn alarm(&self, around: Surroundings<'_>) -> Option<Millis> {
        // Without a quorum time stands still: whoever comes back is news by itself.
        if self.record.decided.is_some() || around.present.len() < self.committee.quorum() {
            return None;
        }
        let news = self.run.as_ref().filter(|run| run.has_news());
        let hint = news.map(|run| run.last_hint + HINT_EVERY_MS);
        let queued = self.leading.and(self.last_queued).map(|last| last + HINT_EVERY_MS);
        [Some(self.clock.runs_out_at(around.round_trip)), hint, queued].into_iter().flatten().min()
    }

    /// A peer's link came up: it may have missed what was said.
    pub fn peer_came(&mut self, peer: PartyIndex) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.record.decided.is_none() {
            self.left_out.remove(&peer);
            self.lead_again(peer, &mut acts);
            self.repeat(Audience::One(peer), &mut acts);
        }
        acts
    }
}

/// Hints go out at most this often.
const HINT_EVERY_MS: Millis = 1_000;
