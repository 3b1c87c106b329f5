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
//! `docs/agreement.md` tells the protocol; the clocks of [`clock`] serve liveness only.

pub mod clock;
mod evidence;
mod record;
mod votes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mpc_core::{KeyId, PartyIndex, SessionId};

use self::clock::{AttemptClock, Millis};
pub use self::record::{Accepted, Joined, Record};
use self::votes::Votes;
use crate::committee::Committee;
use crate::decree::{Ballot, DecreeId, Proposal, Value, answer_digest};
use crate::message::{Attachment, Certificate, Envelope, Evidence, Packet, Share, Statement};
use crate::planted::{self, Plant};

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
        }
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
        if self.record.decided.is_some() {
            return acts;
        }
        self.repeat(Audience::All, &mut acts);
        if self.record.promised.is_some() {
            self.say(&mut acts, Audience::All, self.current_ballot(), Statement::Ask);
            if let Some((ballot, _)) = self.record.entered
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
        if around.present.len() < self.committee.quorum() {
            self.clock.hold(around.now);
            self.held = true;
            return acts;
        }
        if std::mem::take(&mut self.held) {
            self.clock.forgive();
            self.clock.begin_phase(around.now, around.lifetime_left);
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
            self.repeat(Audience::One(peer), &mut acts);
        }
        acts
    }
}

/// A liar may not use up the attempts there are by jumping to the last one; an honest party is never so far ahead.
const ATTEMPTS_AHEAD_MAX: u32 = 1 << 14;
/// Hints go out at most this often.
const HINT_EVERY_MS: Millis = 1_000;

// === What was heard ===

impl Decree {
    /// Ballot 0 has one leader; later ballots may be led by any party of the committee.
    fn is_a_ballot(&self, ballot: Ballot) -> bool {
        if ballot.attempt == 0 && !planted::is(Plant::FirstLeaderByLiveness) {
            self.order.first() == Some(&ballot.leader)
        } else {
            usize::from(ballot.leader.get()) < self.committee.size()
                && ballot.attempt <= self.attempt.saturating_add(ATTEMPTS_AHEAD_MAX)
        }
    }

    fn on_prepare(
        &mut self,
        envelope: &Envelope,
        ballot: Ballot,
        rules: &dyn Rules,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) {
        if ballot.attempt == 0 || envelope.from != ballot.leader || !self.record.allows(ballot) {
            return;
        }
        self.leave_runs_below(ballot, acts);
        if self.record.promised != Some(ballot) {
            self.record.promise(ballot);
            self.changed = true;
        }
        self.notice(envelope.from, ballot, rules, around, acts);
        let accepted = self.record.accepted.as_ref();
        let statement = Statement::Promise { accepted: accepted.map(|record| (record.ballot, record.answer)) };
        let attachment =
            Attachment { evidence: accepted.map(|record| record.evidence.clone()), ..Attachment::default() };
        acts.push(Act::Say { to: Audience::One(ballot.leader), ballot, statement, attachment: Box::new(attachment) });
    }

    /// Whether a planted break lets this later ballot go without promises.
    fn skips_prepare(ballot: Ballot) -> bool {
        planted::is(Plant::PromiseRidesOnPartial) || (ballot.attempt == 1 && planted::is(Plant::SecondTurnSkipsPrepare))
    }

    fn on_promise(
        &mut self,
        packet: &Packet,
        ballot: Ballot,
        accepted: Option<(Ballot, [u8; 32])>,
        rules: &dyn Rules,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) {
        let envelope = &packet.envelope;
        if self.leading != Some(ballot) || ballot.leader != self.me {
            return;
        }
        let shown = match accepted {
            None => None,
            Some((reported, answer)) => {
                let proof = packet.attachment.evidence.as_ref().filter(|proof| {
                    reported < ballot
                        && evidence::proves_acceptance(proof, &self.id, reported, &answer, &self.committee, rules)
                });
                // A promise that cannot show its record counts for nothing.
                let Some(proof) = proof else { return };
                Some(proof.clone())
            }
        };
        self.promises.insert(envelope.from, (envelope.clone(), shown));
        self.notice(envelope.from, ballot, rules, around, acts);
        self.propose(ballot, rules, around, acts);
    }

    fn on_propose(
        &mut self,
        packet: &Packet,
        ballot: Ballot,
        proposal: &Proposal,
        rules: &dyn Rules,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) {
        let envelope = &packet.envelope;
        if envelope.from != ballot.leader
            || !self.record.allows(ballot)
            || proposal.request != rules.request()
            || self.proposals.contains_key(&ballot)
        {
            return;
        }
        let fresh = !matches!(proposal.value, Value::Adopt { .. });
        let backed = if ballot.attempt == 0 || (fresh && Self::skips_prepare(ballot)) {
            fresh
        } else {
            evidence::backs_proposal(proposal, ballot, &packet.attachment, &self.id, &self.committee, rules)
        };
        if !backed {
            return;
        }
        self.notice(envelope.from, ballot, rules, around, acts);
        self.leave_runs_below(ballot, acts);
        if fresh {
            match rules.judge(ballot, &proposal.value) {
                Judgement::Fit => {}
                Judgement::Unable => return self.say(acts, Audience::All, ballot, Statement::Unable),
                Judgement::Wrong => return,
            }
        }
        self.proposals.insert(ballot, (envelope.clone(), proposal.clone()));
        while self.proposals.len() > PROPOSALS_MAX {
            self.proposals.pop_first();
        }
        self.support(ballot, proposal, rules, around, acts);
        self.try_accept(ballot, rules, acts);
    }

    /// Enters the run or joins, once per ballot.
    fn support(
        &mut self,
        ballot: Ballot,
        proposal: &Proposal,
        rules: &dyn Rules,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) {
        let name = proposal.digest(&self.id, ballot);
        if let Some(joined) = self.record.joined.as_ref().filter(|joined| joined.ballot >= ballot) {
            if joined.ballot == ballot && joined.proposal == name {
                self.repeat(Audience::All, acts);
            }
            return;
        }
        match &proposal.value {
            Value::Run { signers, session, auxiliary } => {
                self.clock.begin_phase(around.now, around.lifetime_left);
                if !signers.contains(&self.me) {
                    // With t = Q the signers' joins are a quorum by themselves.
                    if usize::from(self.committee.threshold().need()) < self.committee.quorum() {
                        self.join(ballot, name, None, acts);
                    }
                } else if self.record.entered.is_some_and(|(entered, _)| entered >= ballot) {
                    self.say(acts, Audience::All, ballot, Statement::Unable);
                } else {
                    self.record.promise(ballot);
                    self.record.entered = Some((ballot, *session));
                    self.changed = true;
                    let round = 0;
                    self.run = Some(LiveRun {
                        ballot,
                        session: *session,
                        round,
                        told: None,
                        queued: false,
                        last_hint: around.now,
                    });
                    acts.push(Act::Enter {
                        ballot,
                        session: *session,
                        signers: signers.clone(),
                        auxiliary: *auxiliary,
                    });
                }
            }
            Value::Key { key, .. } => {
                acts.push(Act::Bind(*key));
                self.join(ballot, name, None, acts);
            }
            Value::Adopt { answer } => {
                acts.extend(rules.key_named(answer).map(Act::Bind));
                self.join(ballot, name, None, acts);
            }
        }
    }

    fn join(&mut self, ballot: Ballot, proposal: [u8; 32], share: Option<Share>, acts: &mut Vec<Act>) {
        self.record.promise(ballot);
        self.record.joined = Some(Joined { ballot, proposal, share: share.clone() });
        self.changed = true;
        self.say(acts, Audience::All, ballot, Statement::Join { proposal, share });
    }

    /// Accepts when `Q` joins for one proposal are here, all signers among them, the answer verifies, and nothing higher
    /// was promised.
    fn try_accept(&mut self, ballot: Ballot, rules: &dyn Rules, acts: &mut Vec<Act>) {
        let accepted_here = self.record.accepted.as_ref().is_some_and(|record| record.ballot >= ballot);
        if (accepted_here || !self.record.allows(ballot)) && !self.accepts_lower(ballot) {
            return;
        }
        let Some((proposed, proposal)) = self.proposals.get(&ballot).cloned() else { return };
        let name = proposal.digest(&self.id, ballot);
        let mut joins = Vec::new();
        let mut shares = BTreeMap::new();
        let mut bad = Vec::new();
        for (party, envelope) in self.joins.of(ballot) {
            let Some((_, _, Statement::Join { proposal, share })) = envelope.about_decree() else { continue };
            if *proposal != name {
                continue;
            }
            match share.as_ref().map(|share| (share, rules.check_share(party, share))) {
                Some((_, Some(false))) => bad.push(party),
                Some((share, _)) => {
                    shares.insert(party, share.clone());
                    joins.push(envelope.clone());
                }
                None => joins.push(envelope.clone()),
            }
        }
        for party in bad {
            self.joins.strike(ballot, party);
            self.left_out.insert(party);
        }
        if joins.len() < self.committee.quorum() {
            return;
        }
        let answer = match &proposal.value {
            Value::Run { signers, session, .. } => {
                let complete =
                    signers.iter().all(|signer| shares.get(signer).is_some_and(|share| share.session == *session));
                if !complete {
                    return;
                }
                rules.combine(signers, &shares)
            }
            Value::Key { public, .. } => Some(public.clone()),
            Value::Adopt { answer } => Some(answer.clone()),
        };
        let Some(answer) = answer.filter(|answer| rules.verifies(answer)) else { return };
        acts.extend(rules.key_named(&answer).map(Act::Bind));
        let digest = answer_digest(&self.id, &answer);
        let evidence = Evidence { proposal: proposed, joins, answer };
        self.record.promise(ballot);
        self.record.accepted = Some(Accepted { ballot, answer: digest, evidence });
        self.changed = true;
        self.say(acts, Audience::All, ballot, Statement::Accept { answer: digest });
        self.try_decide(ballot, rules, acts);
    }

    /// Whether a planted break lets a lower ballot's answer replace the accepted one.
    fn accepts_lower(&self, ballot: Ballot) -> bool {
        planted::is(Plant::AcceptsLowerBallot)
            && self.record.accepted.as_ref().is_none_or(|record| record.ballot != ballot)
    }

    fn try_decide(&mut self, ballot: Ballot, rules: &dyn Rules, acts: &mut Vec<Act>) {
        let mut by_answer: BTreeMap<[u8; 32], Vec<Envelope>> = BTreeMap::new();
        for (_, envelope) in self.accepts.of(ballot) {
            if let Some((_, _, Statement::Accept { answer })) = envelope.about_decree() {
                by_answer.entry(*answer).or_default().push(envelope.clone());
            }
        }
        for (digest, accepts) in by_answer {
            if accepts.len() < self.committee.quorum() {
                continue;
            }
            match self.record.accepted.as_ref().filter(|record| record.answer == digest) {
                Some(record) => {
                    let certificate = Certificate { answer: record.evidence.answer.clone(), accepts };
                    self.decide(certificate, rules, acts);
                }
                // A decision whose bytes are not here: whoever accepted can show them.
                None => self.say(acts, Audience::All, ballot, Statement::Ask),
            }
            return;
        }
    }

    fn on_decided(&mut self, attachment: &Attachment, rules: &dyn Rules, acts: &mut Vec<Act>) {
        if let Some(certificate) = &attachment.certificate
            && evidence::decides(certificate, &self.id, &self.committee, rules)
        {
            self.decide(certificate.clone(), rules, acts);
        }
    }

    fn decide(&mut self, certificate: Certificate, rules: &dyn Rules, acts: &mut Vec<Act>) {
        acts.extend(rules.key_named(&certificate.answer).map(Act::Bind));
        self.record.decided = Some(certificate);
        self.changed = true;
        self.leading = None;
        acts.extend(self.run.take().map(|run| Act::Leave(run.session)));
        acts.push(Act::Decided);
    }

    fn on_unable(
        &mut self,
        from: PartyIndex,
        ballot: Ballot,
        rules: &dyn Rules,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) {
        if ballot.attempt < self.attempt {
            return;
        }
        if from == ballot.leader {
            return self.step_past(ballot, rules, around, acts);
        }
        let signs = self.proposals.get(&ballot).is_some_and(
            |(_, proposal)| matches!(&proposal.value, Value::Run { signers, .. } if signers.contains(&from)),
        );
        // Its own share may have gone out before it said so; then the run still ends.
        if signs && !self.joins.has(ballot, from) {
            self.left_out.insert(from);
            if ballot.leader == self.me {
                self.say(acts, Audience::All, ballot, Statement::Unable);
                self.step_past(ballot, rules, around, acts);
            }
        }
    }
}

// === Turns and clocks ===

impl Decree {
    fn current_ballot(&self) -> Ballot {
        Ballot { attempt: self.attempt, leader: self.leader_of(self.attempt) }
    }

    fn leader_of(&self, attempt: u32) -> PartyIndex {
        let place = attempt as usize % self.order.len().max(1);
        self.order.get(place).copied().unwrap_or(self.me)
    }

    /// A valid message or hint of a ballot: the clock starts anew, and a higher attempt is moved to.
    fn notice(
        &mut self,
        from: PartyIndex,
        ballot: Ballot,
        rules: &dyn Rules,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) {
        self.left_out.remove(&from);
        if ballot.attempt > self.attempt {
            self.move_to(ballot.attempt, around, acts);
            // Another party may lead this attempt; if it is this party's turn all the same, it waits for its clock.
            let _ = rules;
        }
        if ballot.attempt == self.attempt {
            self.heard_in_attempt.insert(from);
            self.clock.sign_of_life(around.now);
        }
    }

    fn move_to(&mut self, attempt: u32, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        self.attempt = attempt;
        self.leading = None;
        self.last_queued = None;
        self.promises.clear();
        self.heard_in_attempt.clear();
        self.clock.begin_phase(around.now, around.lifetime_left);
        if let Some(run) = self.run.take_if(|run| run.ballot.attempt < attempt) {
            acts.push(Act::Leave(run.session));
        }
    }

    fn leave_runs_below(&mut self, ballot: Ballot, acts: &mut Vec<Act>) {
        if let Some(run) = self.run.take_if(|run| run.ballot < ballot) {
            acts.push(Act::Leave(run.session));
        }
    }

    /// The turn of an absent or unable party is over at once, but a whole round of them waits for the clock.
    fn step_past(&mut self, ballot: Ballot, rules: &dyn Rules, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        if ballot.attempt < self.attempt || self.stepped >= self.committee.size() {
            return;
        }
        self.stepped += 1;
        self.move_to(ballot.attempt.saturating_add(1), around, acts);
        self.turn(rules, around, acts);
    }

    /// The clock of the open attempt ran out: who owed something is left out, and the next turn opens.
    fn run_out(&mut self, rules: &dyn Rules, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        let owing: Vec<PartyIndex> = match self.proposals.get(&self.current_ballot()).map(|(_, proposal)| proposal) {
            None => vec![self.leader_of(self.attempt)],
            Some(Proposal { value: Value::Run { signers, .. }, .. }) => {
                signers.iter().copied().filter(|signer| !self.joins.has(self.current_ballot(), *signer)).collect()
            }
            Some(_) => Vec::new(),
        };
        let silent: Vec<PartyIndex> =
            owing.iter().copied().filter(|party| !self.heard_in_attempt.contains(party)).collect();
        let owing = if silent.is_empty() { owing } else { silent };
        self.left_out.extend(owing.into_iter().filter(|party| *party != self.me));
        self.clock.run_out();
        self.stepped = 0;
        if self.record.accepted.is_some() {
            self.repeat(Audience::All, acts);
            self.say(acts, Audience::All, self.current_ballot(), Statement::Ask);
        }
        self.move_to(self.attempt.saturating_add(1), around, acts);
        self.turn(rules, around, acts);
    }

    /// Opens the current attempt, stepping past absent parties, and leads it if it is this party's turn.
    fn turn(&mut self, rules: &dyn Rules, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        if around.present.len() < self.committee.quorum() {
            return;
        }
        if self.attempt == 0
            && planted::is(Plant::FirstLeaderByLiveness)
            && self.order.iter().find(|party| around.present.contains(party)) == Some(&self.me)
        {
            let ballot = Ballot { attempt: 0, leader: self.me };
            self.leading = Some(ballot);
            return self.propose(ballot, rules, around, acts);
        }
        while !around.present.contains(&self.leader_of(self.attempt)) && self.stepped < self.committee.size() {
            self.stepped += 1;
            self.attempt = self.attempt.saturating_add(1);
        }
        let ballot = self.current_ballot();
        if ballot.leader != self.me {
            return;
        }
        let proposed = self.record.proposed.as_ref().is_some_and(|(proposed, _)| *proposed >= ballot);
        if proposed || !self.record.allows(ballot) {
            return;
        }
        self.leading = Some(ballot);
        self.promises.clear();
        if ballot.attempt == 0 || Self::skips_prepare(ballot) {
            self.propose(ballot, rules, around, acts);
        } else {
            self.record.promise(ballot);
            self.changed = true;
            self.say(acts, Audience::All, ballot, Statement::Prepare);
        }
    }

    /// Proposes in the ballot this party leads, once its promises are here and there is something to put forward.
    fn propose(&mut self, ballot: Ballot, rules: &dyn Rules, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        let needed = if ballot.attempt == 0 || Self::skips_prepare(ballot) { 0 } else { self.committee.quorum() };
        if self.leading != Some(ballot) || self.promises.len() < needed {
            return;
        }
        let highest = self
            .promises
            .values()
            .filter_map(|(envelope, shown)| match envelope.about_decree() {
                Some((_, _, Statement::Promise { accepted: Some(record) })) => {
                    shown.as_ref().map(|shown| (*record, shown.clone()))
                }
                _ => None,
            })
            .max_by_key(|(record, _)| *record);
        let (value, shown) = match highest {
            Some((_, shown)) => (Value::Adopt { answer: shown.answer.clone() }, Some(shown)),
            None => match rules.fresh(ballot, &self.left_out) {
                Fresh::Value(value) => (value, None),
                Fresh::NoCore => return self.say_queued(ballot, around, acts),
                Fresh::Unable => {
                    self.leading = None;
                    self.say(acts, Audience::All, ballot, Statement::Unable);
                    return self.step_past(ballot, rules, around, acts);
                }
            },
        };
        let proposal = Proposal { request: rules.request(), value };
        self.leading = None;
        self.record.promise(ballot);
        self.record.proposed = Some((ballot, proposal.clone()));
        self.changed = true;
        let promises = self.promises.values().map(|(envelope, _)| envelope.clone()).collect();
        let attachment = Attachment { evidence: shown, promises, ..Attachment::default() };
        acts.push(Act::Say {
            to: Audience::All,
            ballot,
            statement: Statement::Propose(proposal),
            attachment: Box::new(attachment),
        });
    }
}

// === Speaking ===

impl Decree {
    fn say(&self, acts: &mut Vec<Act>, to: Audience, ballot: Ballot, statement: Statement) {
        acts.push(Act::Say { to, ballot, statement, attachment: Box::default() });
    }

    fn say_queued(&mut self, ballot: Ballot, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        if self.last_queued.is_none_or(|last| around.now >= last + HINT_EVERY_MS) {
            self.last_queued = Some(around.now);
            self.say(acts, Audience::All, ballot, Statement::Queued);
        }
    }

    /// Tells the others of each round of this party's run and of its wait for a core, at most once a second.
    fn hint(&mut self, around: Surroundings<'_>) -> Vec<Act> {
        let mut acts = Vec::new();
        if let Some(run) = self.run.as_mut().filter(|run| run.has_news())
            && around.now >= run.last_hint + HINT_EVERY_MS
        {
            run.last_hint = around.now;
            run.told = Some(run.round);
            let statement = if run.queued { Statement::Queued } else { Statement::Working(run.round) };
            let ballot = run.ballot;
            self.say(&mut acts, Audience::All, ballot, statement);
        }
        acts
    }

    /// The stored join and accept, as they are.
    fn repeat(&self, to: Audience, acts: &mut Vec<Act>) {
        if let Some(Joined { ballot, proposal, share }) = &self.record.joined {
            let statement = Statement::Join { proposal: *proposal, share: share.clone() };
            self.say(acts, to, *ballot, statement);
        }
        if let Some(accepted) = &self.record.accepted {
            self.say(acts, to, accepted.ballot, Statement::Accept { answer: accepted.answer });
        }
    }

    fn tell_decision(&self, to: PartyIndex, acts: &mut Vec<Act>) {
        let Some(certificate) = &self.record.decided else { return };
        if to == self.me {
            return;
        }
        let answer = answer_digest(&self.id, &certificate.answer);
        let attachment = Attachment { certificate: Some(certificate.clone()), ..Attachment::default() };
        acts.push(Act::Say {
            to: Audience::One(to),
            ballot: self.current_ballot(),
            statement: Statement::Decided { answer },
            attachment: Box::new(attachment),
        });
    }
}
