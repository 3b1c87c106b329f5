//! Publication: decided answers go to the controller of their chain, and what became of them comes back.

use chain_client::{Height, Hint, Reading};

use super::chain::{STANDBY_BLOCKS, request_of};
use super::{Level, Live, Node, Order};
use crate::decree::DecreeId;
use crate::outbox::{Leave, Moves, Outcome, Publication, Want};
use crate::request::Event;

impl Node {
    /// Nothing is judged any more by what the runs of this decree committed to, the last one's or an earlier attempt's.
    pub(super) fn forget_commitments(&mut self, id: &DecreeId) {
        self.commitments.retain(|_, (decree, _)| decree != id);
    }

    /// The cluster has decided: this party's turn to publish is its place among those present.
    pub(super) fn decided(&mut self, id: &DecreeId, live: &mut Live) {
        live.request.state = live.request.state.clone().on(&Event::Decided);
        live.request.decided_after_ms.get_or_insert(self.now.saturating_sub(live.seen_at));
        self.forget_commitments(id);
        let Some(certificate) = live.decree.decision() else { return };
        if self.contracts.contains_key(&id.chain) {
            let answer = certificate.answer.clone();
            return if live.job.is_answered_by(&answer) {
                self.decided_for_contract(id, live, &answer);
            } else {
                self.note(Level::Alarm, Some(id), "decided bytes do not verify".to_owned());
            };
        }
        let Some(question) = live.job.question() else { return };
        let answer = match question.decided(&certificate.answer) {
            Ok(answer) => answer,
            Err(error) => return self.note(Level::Alarm, Some(id), format!("decided bytes do not verify: {error}")),
        };
        let Some(load) = live.request.load.filter(|_| !live.request.learning) else { return };
        // Published once the restraint is let go: the decision is told again then.
        if self.keeps_out_of(&live.job) {
            return;
        }
        let turn = live.decree.order().iter().filter(|party| self.present.contains(party)).position(|p| *p == self.me);
        let Some(side) = self.chains.get_mut(&id.chain) else { return };
        let answers_needed = side.keyring.as_ref().map_or(1, |facts| facts.party_threshold.max(1)) as usize;
        let behind = turn.unwrap_or(0).saturating_sub(answers_needed.saturating_sub(1)) as u64;
        let Some(request) = request_of(id) else { return };
        let publication =
            Publication { request, answer, not_before: Height(side.height.0 + STANDBY_BLOCKS * behind), load };
        side.outbox.publish(id.clone(), publication);
        if behind == 0 {
            self.effects.orders.push(Order::ReadTogether(id.clone(), request));
        }
    }

    /// Whether this process may publish on a chain: it holds its lease and sees the chain that the others see.
    pub(super) fn may_publish(&self, chain: &str) -> bool {
        self.may_act() && !self.lease.is_blind(chain)
    }

    /// Tells a controller what the lease lets it do: for what is old only what was stored is sent again.
    pub(super) fn give_leave(&mut self, chain: &str, is_old: bool) {
        let below = self.lease.keeps_out_of_sequences(chain);
        let leave = match (self.may_publish(chain), is_old) {
            (false, _) => Leave::Nothing,
            (true, true) => Leave::Stored,
            (true, false) => Leave::All,
        };
        if let Some(side) = self.chains.get_mut(chain) {
            side.outbox.keep_out(below.checked_sub(1));
            side.outbox.allow(leave);
        }
    }

    /// Account and request, from one endpoint or from all that could be reached.
    pub(super) fn readings(&mut self, chain: &str, decree: &DecreeId, readings: &[Reading], of_all: bool) {
        if !self.may_publish(chain) {
            return;
        }
        let is_old = self.live.get(decree).is_some_and(|live| self.keeps_out_of(&live.job));
        self.give_leave(chain, is_old);
        let Some(side) = self.chains.get_mut(chain) else { return };
        let pen = side.setup.pen.clone();
        let moves = match readings {
            [reading] if !of_all => side.outbox.reading(decree, reading, pen.as_ref()),
            _ => side.outbox.testimony(decree, readings, pen.as_ref()),
        };
        self.outbox_moves(chain, moves);
    }

    pub(super) fn hint(&mut self, chain: &str, sequence: u64, hint: &Hint) {
        if !self.may_publish(chain) {
            return;
        }
        let Some(side) = self.chains.get(chain) else { return };
        let decree = side.outbox.slots().find(|slot| slot.sequence == sequence).map(|slot| slot.decree.clone());
        let live = decree.as_ref().and_then(|id| self.live.get(id));
        let is_old = live.is_some_and(|live| self.keeps_out_of(&live.job));
        self.give_leave(chain, is_old);
        let Some(side) = self.chains.get_mut(chain) else { return };
        let pen = side.setup.pen.clone();
        let moves = side.outbox.hinted(sequence, hint, pen.as_ref());
        self.outbox_moves(chain, moves);
        let Some(id) = decree else { return };
        let (event, word) = match hint {
            Hint::Taken | Hint::Known => (Event::Taken, None),
            Hint::Unknown { reason } => (Event::Unclear, Some(reason.clone())),
            Hint::Refused { code, reason, .. } => (Event::Unclear, Some(format!("code {code}: {reason}"))),
        };
        if let Some(word) = word {
            self.note(Level::Warn, Some(&id), format!("broadcast of sequence {sequence}: {word}"));
        }
        self.move_request(&id, &event);
    }

    pub(super) fn outbox_moves(&mut self, chain: &str, moves: Moves) {
        self.write(moves.entries);
        for outcome in moves.outcomes {
            self.outcome(outcome);
        }
        for want in moves.wants {
            self.effects.orders.push(match want {
                Want::Read(decree, request) => Order::ReadTogether(decree, request),
                Want::Confirm(decree, request) => Order::Confirm(decree, request),
                Want::Explain(decree, hashes) => Order::Explain(decree, hashes),
                Want::Broadcast(signed) => Order::Broadcast(chain.to_owned(), signed),
            });
        }
    }

    fn outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Submitting(id, signed) => {
                let now = self.now;
                if let Some(live) = self.live.get_mut(&id) {
                    live.request.transaction = Some(signed.hash);
                    live.request.broadcast_after_ms.get_or_insert(now.saturating_sub(live.seen_at));
                }
                self.move_request(&id, &Event::Signed);
            }
            Outcome::Landed(id, _) => self.move_request(&id, &Event::Answered),
            Outcome::Closed(id, _, standing) => self.closed(&id, &standing),
            Outcome::Dead(id, sequence, height) => {
                self.note(Level::Warn, Some(&id), format!("sequence {sequence} is dead at height {height}"));
                self.move_request(&id, &Event::Dead);
            }
            Outcome::Exhausted(id, tries) => {
                let text = format!("given up here: {tries} sequences were spent on it without effect");
                self.note(Level::Alarm, Some(&id), text.clone());
                self.remark(&id, text);
            }
            Outcome::Foreign(id) => {
                let text = "the chain shows other bytes than the decided ones: nothing is published";
                self.note(Level::Alarm, Some(&id), text);
                self.remark(&id, text.to_owned());
            }
            Outcome::Impostor(id, sequence) => {
                let text =
                    format!("the chain shows our answer while its sequence {sequence} is unspent: who signed it?");
                self.note(Level::Alarm, Some(&id), text);
            }
            Outcome::Contradiction(text) => self.note(Level::Alarm, None, format!("endpoints contradict: {text}")),
            Outcome::Halted(halt) => self.note(Level::Alarm, None, format!("the controller stands still: {halt}")),
        }
    }

    /// Words for whoever asks why a request stands where it stands.
    pub(super) fn remark(&mut self, id: &DecreeId, text: String) {
        let Some(live) = self.live.get_mut(id) else { return };
        live.request.note = text;
        let request = live.request.clone();
        self.write_ended(id, &request);
    }

    /// The endpoints have begun, or ceased, to follow two chains: nothing is published in between.
    pub(super) fn forked(&mut self, chain: &str, fork: Option<String>) {
        let Some(side) = self.chains.get_mut(chain) else { return };
        let was = side.outbox.is_forked();
        side.outbox.fork(fork.clone());
        match fork {
            Some(text) if !was => {
                self.note(Level::Alarm, None, format!("the endpoints of {chain} follow two chains: {text}"));
            }
            None if was => self.note(Level::Warn, None, format!("the endpoints of {chain} agree again")),
            _ => {}
        }
    }

    /// Whether this party was restored and keeps out of sequences of its account that the chain shows as unspent: what
    /// it had signed under them before may still be on its way.
    #[must_use]
    pub fn keeps_out_of_account(&self, chain: &str, sequence: u64) -> bool {
        let next = self.chains.get(chain).and_then(|side| side.outbox.next_sequence());
        self.forgot_up_to(chain, next, sequence)
    }

    pub(super) fn forgot_up_to(&self, chain: &str, next: Option<u64>, sequence: u64) -> bool {
        next.is_some_and(|next| {
            next <= sequence && sequence < self.lease.forgot(chain).map_or(0, |known| known.sequence)
        })
    }

    pub(super) fn resume(&mut self, chain: &str, sequence: u64) {
        if self.keeps_out_of_account(chain, sequence) && self.lease.remember_sequence(chain, sequence) {
            self.remember_lease();
            let text = format!("an operator lets this party use its account on {chain} from sequence {sequence} on");
            return self.note(Level::Alarm, None, text);
        }
        let Some(side) = self.chains.get_mut(chain) else { return };
        match side.outbox.resume(sequence) {
            Ok(moves) => {
                let text = format!("an operator lets the controller of {chain} go on at sequence {sequence}");
                self.note(Level::Alarm, None, text);
                self.outbox_moves(chain, moves);
            }
            Err(error) => self.note(Level::Warn, None, format!("controller of {chain}: {error}")),
        }
    }
}
