//! Turns and clocks: whose attempt is open, when it has waited long enough, and what its leader puts forward. Liveness
//! only.

use mpc_core::PartyIndex;

use super::{Act, Audience, Decree, Fresh, Rules, Surroundings};
use crate::decree::{Ballot, Proposal, Value};
use crate::message::{Attachment, Evidence, Statement};
use crate::planted::{self, Plant};

impl Decree {
    pub(super) fn current_ballot(&self) -> Ballot {
        Ballot { attempt: self.attempt, leader: self.leader_of(self.attempt) }
    }

    pub(super) fn leader_of(&self, attempt: u32) -> PartyIndex {
        let place = attempt as usize % self.order.len().max(1);
        self.order.get(place).copied().unwrap_or(self.me)
    }

    /// A valid message or hint of a ballot: the clock starts anew, and a higher attempt is moved to.
    pub(super) fn notice(
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

    pub(super) fn move_to(&mut self, attempt: u32, around: Surroundings<'_>, acts: &mut Vec<Act>) {
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

    pub(super) fn leave_runs_below(&mut self, ballot: Ballot, acts: &mut Vec<Act>) {
        if let Some(run) = self.run.take_if(|run| run.ballot < ballot) {
            acts.push(Act::Leave(run.session));
        }
    }

    /// The turn of an absent or unable party is over at once, but a whole round of them waits for the clock.
    pub(super) fn step_past(
        &mut self,
        ballot: Ballot,
        rules: &dyn Rules,
        around: Surroundings<'_>,
        acts: &mut Vec<Act>,
    ) {
        if ballot.attempt < self.attempt || self.stepped >= self.committee.size() {
            return;
        }
        self.stepped += 1;
        self.move_to(ballot.attempt.saturating_add(1), around, acts);
        self.turn(rules, around, acts);
    }

    /// The clock of the open attempt ran out: who owed something is left out, and the next turn opens.
    pub(super) fn run_out(&mut self, rules: &dyn Rules, around: Surroundings<'_>, acts: &mut Vec<Act>) {
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
    pub(super) fn turn(&mut self, rules: &dyn Rules, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        if self.restrained {
            return;
        }
        if around.present.len() < self.committee.quorum() {
            // The turn opens when enough are there: see `tick`.
            self.clock.hold(around.now);
            self.held = true;
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
    pub(super) fn propose(&mut self, ballot: Ballot, rules: &dyn Rules, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        let needed = if ballot.attempt == 0 || Self::skips_prepare(ballot) { 0 } else { self.committee.quorum() };
        if self.restrained || self.leading != Some(ballot) || self.promises.len() < needed {
            return;
        }
        let value = match self.highest_reported() {
            Some(shown) => Value::Adopt { answer: shown.answer.clone() },
            None => match rules.fresh(ballot, &self.left_out) {
                Fresh::Value(value) => value,
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
        self.say_proposal(Audience::All, ballot, proposal, acts);
    }

    /// The proof of the highest record that the promises at hand report.
    fn highest_reported(&self) -> Option<&Evidence> {
        let reported = self.promises.values().filter_map(|(envelope, shown)| match envelope.about_decree() {
            Some((_, _, Statement::Promise { accepted: Some(record) })) => Some((record, shown.as_ref()?)),
            _ => None,
        });
        reported.max_by_key(|(record, _)| **record).map(|(_, shown)| shown)
    }

    fn say_proposal(&self, to: Audience, ballot: Ballot, proposal: Proposal, acts: &mut Vec<Act>) {
        let promises = self.promises.values().map(|(envelope, _)| envelope.clone()).collect();
        let evidence = self.highest_reported().cloned();
        let attachment = Box::new(Attachment { evidence, promises, ..Attachment::default() });
        acts.push(Act::Say { to, ballot, statement: Statement::Propose(proposal), attachment });
    }

    /// What the leader of the open attempt has said in it, again, to a peer that was not there. Only a proposal that this
    /// party has heard itself is said again: that one is durable.
    pub(super) fn lead_again(&self, peer: PartyIndex, acts: &mut Vec<Act>) {
        let ballot = self.current_ballot();
        if self.restrained || ballot.leader != self.me {
            return;
        }
        match self.proposals.get(&ballot) {
            Some((_, proposal)) => self.say_proposal(Audience::One(peer), ballot, proposal.clone(), acts),
            None if self.leading == Some(ballot) && ballot.attempt > 0 && !self.promises.contains_key(&peer) => {
                self.say(acts, Audience::One(peer), ballot, Statement::Prepare);
            }
            None => {}
        }
    }
}
