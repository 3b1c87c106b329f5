//! Which answer gets the next sequence: one whose turn has come, whose request is open without us, and which can be paid.

use chain_client::{Reading, Standing};

use super::{FRESH_BLOCKS, IN_FLIGHT_MAX, Moves, Order, Outbox, Outcome, Pen, Publication, Slot, Want, book};
use crate::decree::DecreeId;

impl Outbox {
    /// A decided answer and the request as it stands: takes a sequence, or lets it be.
    pub(super) fn consider(&mut self, decree: &DecreeId, reading: &Reading, pen: &dyn Pen, moves: &mut Moves) {
        let Some(publication) = self.waiting.get(decree).cloned() else { return };
        let standing = reading.standing();
        if standing.names(pen.account()) {
            moves.outcomes.push(Outcome::Landed(decree.clone(), reading.height()));
            return self.drop_waiting(decree, moves);
        }
        let Standing::Open { shown, .. } = standing else {
            moves.outcomes.push(Outcome::Closed(decree.clone(), reading.height(), standing.clone()));
            return self.drop_waiting(decree, moves);
        };
        if !publication.answer.agrees_with(shown) {
            moves.outcomes.push(Outcome::Foreign(decree.clone()));
            self.waiting.remove(decree);
            return;
        }
        let is_old = reading.height().after(FRESH_BLOCKS) < self.height;
        if is_old || publication.not_before > self.height {
            return;
        }
        let is_ours = |next: &u64| reading.account().sequence <= *next;
        if let Some(next) = self.next.filter(is_ours).filter(|next| self.has_room(*next)) {
            self.take(decree, &publication, next, reading, pen, moves);
        }
    }

    fn drop_waiting(&mut self, decree: &DecreeId, moves: &mut Moves) {
        let forgotten = self.forget(decree);
        moves.entries.extend(forgotten.entries);
    }

    /// Whether a new sequence may be taken at all. An account without money has one transaction after the other refused:
    /// those in flight are tried again until one is taken.
    fn has_room(&self, next: u64) -> bool {
        let waits_for_money = self.gate.out_of_funds && !self.slots.is_empty();
        self.may_sign(next) && !self.gate.paused && !waits_for_money && self.slots.len() < IN_FLIGHT_MAX
    }

    fn take(
        &mut self,
        decree: &DecreeId,
        publication: &Publication,
        sequence: u64,
        reading: &Reading,
        pen: &dyn Pen,
        moves: &mut Moves,
    ) {
        let tries = self.tries(decree);
        let order = Order {
            request: publication.request,
            answer: &publication.answer,
            account_number: reading.account().number,
            sequence,
            fee_step: 0,
            // What was spent without effect may have run out of gas.
            gas_step: tries,
            load: publication.load,
        };
        let (Some(signed), Some(fee)) = (pen.answer(&order), pen.fee(&order)) else {
            self.gate.over_ceiling = true;
            return;
        };
        self.gate.over_ceiling = false;
        // What is in flight has to be paid from the same purse.
        let each = fee.saturating_add(self.keyring_fee(publication.load.kind));
        let needed = each.saturating_mul(self.slots.len() as u128 + 1);
        if self.gate.balance.is_some_and(|balance| balance < needed) {
            self.gate.out_of_funds = true;
            return;
        }
        self.gate.out_of_funds = false;
        let slot = Slot {
            decree: decree.clone(),
            request: publication.request,
            account_number: order.account_number,
            sequence,
            signed: vec![signed.clone()],
            fee_step: 0,
            gas_step: order.gas_step,
            try_number: tries + 1,
            abandoned: false,
        };
        self.next = Some(sequence + 1);
        moves.entries.push(book::put_next(&self.chain, sequence + 1));
        moves.entries.push(book::put_slot(&self.chain, &slot));
        moves.outcomes.push(Outcome::Submitting(decree.clone(), signed.clone()));
        moves.wants.push(Want::Broadcast(signed));
        self.sent_at.insert(sequence, self.height);
        self.slots.insert(sequence, slot);
    }
}
