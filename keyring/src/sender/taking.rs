//! Which answer gets the next nonce: one whose turn has come, whose request is open at the head, whose loss is within its
//! bounds, and whose very call has just passed a simulation.

use chain_client::Height;

use super::gate::is_open;
use super::price::learned;
use super::{
    Asked, Call, Held, IN_FLIGHT_MAX, Look, Moves, Outcome, Pen, RequestState, Revert, SIMULATION_BLOCKS, Sender, Sent,
    Signed, Simulated, Slot, State, Want, Why, book,
};
use crate::decree::DecreeId;

/// Most blocks that an answer waits after a refusal, as a power of two.
const BACK_OFF_MAX: u32 = 4;

/// What a call costs at most.
pub(super) fn worst(call: &Call) -> u128 {
    chain_client::zrsign::price::loss(call.price, 0, call.gas)
}

impl Held {
    /// It is tried again after 1, 2, 4, 8, at most 16 blocks.
    fn back_off(&mut self, height: Height) {
        self.again_at = height.after(1 << self.refusals.min(BACK_OFF_MAX));
        self.refusals = self.refusals.saturating_add(1);
    }
}

impl Sender {
    /// An answer without a nonce, and its request as it stands.
    pub(super) fn consider(&mut self, decree: &DecreeId, look: &Look, pen: &dyn Pen, moves: &mut Moves) {
        if !self.answers.contains_key(decree) {
            return;
        }
        if let RequestState::Answered { agrees: false } = look.request.at_head {
            self.tell_foreign(decree, moves);
        }
        if let RequestState::Answered { agrees } = look.request.at_final {
            if agrees {
                moves.outcomes.push(Outcome::Settled(decree.clone()));
            } else {
                self.tell_foreign(decree, moves);
            }
            return self.drop_answer(decree, moves);
        }
        match self.first_call(decree, look, pen) {
            Ok(call) => {
                let asked = Asked { call, at: self.height, value: look.request.value, under: None };
                self.want_simulation(decree, asked, State::Pending, moves);
            }
            Err(why) => self.waits(decree, why, moves),
        }
    }

    pub(super) fn want_simulation(&mut self, decree: &DecreeId, asked: Asked, state: State, moves: &mut Moves) {
        let Some(held) = self.answers.get_mut(decree) else { return };
        moves.wants.push(Want::Simulate(decree.clone(), asked.call.clone(), state));
        let at = asked.at;
        let is_unanswered = held.asked.replace(asked).is_some_and(|before| before.at < at);
        if is_unanswered {
            self.waits(decree, Why::Untried, moves);
        }
    }

    /// Another answer stands on the chain than the decided one. Told once.
    pub(super) fn tell_foreign(&mut self, decree: &DecreeId, moves: &mut Moves) {
        if let Some(held) = self.answers.get_mut(decree)
            && !held.is_foreign
        {
            held.is_foreign = true;
            moves.outcomes.push(Outcome::Foreign(decree.clone()));
        }
    }

    fn first_call(&self, decree: &DecreeId, look: &Look, pen: &dyn Pen) -> Result<Call, Why> {
        match look.request.at_head {
            RequestState::Unknown => return Err(Why::Unknown),
            RequestState::Answered { .. } => return Err(Why::Answered),
            RequestState::Open => {}
        }
        is_open(&look.contract)?;
        let held = self.answers.get(decree).filter(|held| held.not_before <= self.height).ok_or(Why::Unread)?;
        if self.is_old(look.sight.head) {
            return Err(Why::Unread);
        }
        self.next_nonce()?;
        let price = self.answer_price(look.sight.base_fee, 0, look.request.value, held.used)?;
        let (to, data, gas) = (held.delivery.proxy, held.delivery.data.clone(), look.contract.response_gas);
        let call = Call { from: pen.account(), to, gas, price, data };
        self.can_bear(decree, worst(&call), None)?;
        Ok(call)
    }

    /// The nonce that the next answer gets, if one may be taken now.
    fn next_nonce(&self) -> Result<u64, Why> {
        let (Some(own), Some(sight)) = (self.next, self.seen) else { return Err(Why::Unread) };
        if !self.may_sign(own) {
            return Err(Why::Silent);
        }
        let chain = sight.account.nonce;
        // There is no nonce of `u64::MAX` (EIP-2681).
        if chain > own || own == u64::MAX {
            return Err(Why::Moved { chain, own });
        }
        if self.slots.len() >= IN_FLIGHT_MAX { Err(Why::Full) } else { Ok(own) }
    }

    /// What a simulation of a call says. Only the call that was asked for counts, and only for some blocks.
    #[must_use]
    pub fn simulated(&mut self, decree: &DecreeId, call: &Call, said: &Simulated, pen: &dyn Pen) -> Moves {
        let mut moves = Moves::default();
        let asked = self.answers.get_mut(decree).and_then(|held| held.asked.take_if(|asked| asked.call == *call));
        let Some(asked) = asked else { return moves };
        match (said, asked.under) {
            _ if asked.at.after(SIMULATION_BLOCKS) < self.height => {}
            (Simulated::Passed, None) => self.take(decree, &asked, pen, &mut moves),
            (Simulated::Passed, Some(nonce)) => self.raise(decree, &asked, nonce, pen, &mut moves),
            (Simulated::Reverted(revert), under) => {
                self.refused(decree, &asked, revert, &mut moves);
                if let Some(nonce) = under.filter(|nonce| *revert != Revert::Panic && self.is_stuck(*nonce)) {
                    self.give_way(nonce, pen, &mut moves);
                }
            }
        }
        moves
    }

    fn refused(&mut self, decree: &DecreeId, asked: &Asked, revert: &Revert, moves: &mut Moves) {
        let height = self.height;
        let Some(held) = self.answers.get_mut(decree) else { return };
        if asked.under.is_none() {
            held.back_off(height);
        }
        let why = match revert {
            Revert::Panic => {
                held.used = learned(asked.call.price, asked.value);
                Why::refused("the contract's arithmetic panics at this price; another is tried")
            }
            Revert::Answered => Why::Answered,
            Revert::Other(words) => Why::refused(words),
        };
        self.waits(decree, why, moves);
    }

    /// The key gives no signature: nothing has changed yet, and the nonce is the next answer's. Tried again after a while.
    fn unsigned(&mut self, decree: &DecreeId, moves: &mut Moves) {
        let height = self.height;
        if let Some(held) = self.answers.get_mut(decree) {
            held.back_off(height);
        }
        self.waits(decree, Why::Unsigned, moves);
    }

    /// The call has passed: it takes a nonce, if nothing has changed meanwhile.
    fn take(&mut self, decree: &DecreeId, asked: &Asked, pen: &dyn Pen, moves: &mut Moves) {
        if self.has_slot(decree) {
            return;
        }
        let borne = self.can_bear(decree, worst(&asked.call), None);
        let nonce = match borne.and_then(|()| self.next_nonce()) {
            Ok(nonce) => nonce,
            Err(why) => return self.waits(decree, why, moves),
        };
        let Ok(signed) = Signed::of_call(pen, self.settings.chain, nonce, &asked.call) else {
            return self.unsigned(decree, moves);
        };
        let slot = Slot {
            decree: decree.clone(),
            nonce,
            proxy: asked.call.to,
            value: asked.value,
            signed: vec![signed.clone()],
        };
        self.waits_no_more(decree);
        if let Some(held) = self.answers.get_mut(decree) {
            held.refusals = 0;
        }
        self.next = Some(nonce + 1);
        moves.entries.push(book::put_next(&self.name, nonce + 1));
        moves.entries.push(book::put_slot(&self.name, &slot));
        moves.outcomes.push(Outcome::Submitting(decree.clone(), signed.hash));
        moves.wants.push(Want::Broadcast(signed));
        let now = Some(self.height);
        self.sent.insert(nonce, Sent { at: now, since: now, ..Sent::default() });
        self.slots.insert(nonce, slot);
    }
}
