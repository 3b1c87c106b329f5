//! What peers say, judged and acted upon: prepares, promises, proposals, joins, accepts, decisions.

use std::collections::BTreeMap;

use mpc_core::PartyIndex;

use super::record::{Accepted, Joined};
use super::{Act, Audience, Decree, Judgement, LiveRun, PROPOSALS_MAX, Rules, Surroundings, evidence};
use crate::decree::{Ballot, Proposal, Value, answer_digest};
use crate::message::{Attachment, Certificate, Envelope, Evidence, Packet, Share, Statement};
use crate::planted::{self, Plant};

/// A liar may not use up the attempts there are by jumping to the last one; an honest party is never so far ahead.
const ATTEMPTS_AHEAD_MAX: u32 = 1 << 14;

impl Decree {
    /// Ballot 0 has one leader; later ballots may be led by any party of the committee.
    pub(super) fn is_a_ballot(&self, ballot: Ballot) -> bool {
        if ballot.attempt == 0 && !planted::is(Plant::FirstLeaderByLiveness) {
            self.order.first() == Some(&ballot.leader)
        } else {
            usize::from(ballot.leader.get()) < self.committee.size()
                && ballot.attempt <= self.attempt.saturating_add(ATTEMPTS_AHEAD_MAX)
        }
    }

    pub(super) fn on_prepare(
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
    pub(super) fn skips_prepare(ballot: Ballot) -> bool {
        planted::is(Plant::PromiseRidesOnPartial) || (ballot.attempt == 1 && planted::is(Plant::SecondTurnSkipsPrepare))
    }

    pub(super) fn on_promise(
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

    /// Whether a proposal is its leader's own, the first of its ballot, for the request as this party reads it, of a ballot
    /// that may still be joined, and backed by promises where that ballot needs them.
    pub(super) fn is_to_be_judged(
        &self,
        packet: &Packet,
        ballot: Ballot,
        proposal: &Proposal,
        rules: &dyn Rules,
    ) -> bool {
        if packet.envelope.from != ballot.leader
            || !self.record.allows(ballot)
            || proposal.request != rules.request()
            || self.proposals.contains_key(&ballot)
        {
            return false;
        }
        let fresh = !matches!(proposal.value, Value::Adopt { .. });
        if ballot.attempt == 0 || (fresh && Self::skips_prepare(ballot)) {
            return fresh;
        }
        evidence::backs_proposal(proposal, ballot, &packet.attachment, &self.id, &self.committee, rules)
    }

    pub(super) fn on_propose(
        &mut self,
        packet: &Packet,
        ballot: Ballot,
        proposal: &Proposal,
        rules: &dyn Rules,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) {
        let envelope = &packet.envelope;
        if !self.is_to_be_judged(packet, ballot, proposal, rules) {
            return;
        }
        self.notice(envelope.from, ballot, rules, around, acts);
        self.leave_runs_below(ballot, acts);
        if !matches!(proposal.value, Value::Adopt { .. }) {
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
    pub(super) fn support(
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
            Value::Transaction { .. } => self.join(ballot, name, None, acts),
        }
    }

    pub(super) fn join(&mut self, ballot: Ballot, proposal: [u8; 32], share: Option<Share>, acts: &mut Vec<Act>) {
        self.record.promise(ballot);
        self.record.joined = Some(Joined { ballot, proposal, share: share.clone() });
        self.changed = true;
        self.say(acts, Audience::All, ballot, Statement::Join { proposal, share });
    }

    /// Accepts when `Q` joins for one proposal are here, all signers among them, the answer verifies, and nothing higher
    /// was promised.
    pub(super) fn try_accept(&mut self, ballot: Ballot, rules: &dyn Rules, acts: &mut Vec<Act>) {
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
            Value::Transaction { bytes, .. } => Some(bytes.clone()),
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
    pub(super) fn accepts_lower(&self, ballot: Ballot) -> bool {
        planted::is(Plant::AcceptsLowerBallot)
            && self.record.accepted.as_ref().is_none_or(|record| record.ballot != ballot)
    }

    pub(super) fn try_decide(&mut self, ballot: Ballot, rules: &dyn Rules, acts: &mut Vec<Act>) {
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

    pub(super) fn on_decided(&mut self, attachment: &Attachment, rules: &dyn Rules, acts: &mut Vec<Act>) {
        if let Some(certificate) = &attachment.certificate
            && evidence::decides(certificate, &self.id, &self.committee, rules)
        {
            self.decide(certificate.clone(), rules, acts);
        }
    }

    pub(super) fn decide(&mut self, certificate: Certificate, rules: &dyn Rules, acts: &mut Vec<Act>) {
        acts.extend(rules.key_named(&certificate.answer).map(Act::Bind));
        self.record.decided = Some(certificate);
        self.changed = true;
        self.leading = None;
        acts.extend(self.run.take().map(|run| Act::Leave(run.session)));
        acts.push(Act::Decided);
    }

    pub(super) fn on_unable(
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
