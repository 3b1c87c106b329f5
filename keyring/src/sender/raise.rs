//! What is unspent: the same bytes again, the same answer for more, or nothing in its place.
//!
//! | Request at the head | Contract | Then |
//! | --- | --- | --- |
//! | open | takes answers | the same bytes again; for more, when the chain asks more; if that is out of bounds and something stands behind it, the nonce is spent on nothing |
//! | open | paused, or runs unlisted code | nothing leaves; if something for another contract stands behind it, the nonce is spent on nothing |
//! | answered by somebody else | – | the nonce is spent on nothing |
//! | not there | – | nothing: the endpoint is behind, or a reorganisation goes on |

use alloy_primitives::B256;

use super::gate::is_open;
use super::price::raised;
use super::taking::worst;
use super::{
    ANSWERS_PER_NONCE_MAX, Asked, Call, Hint, Look, Moves, Outcome, Pen, RAISE_AFTER_BLOCKS, REPEAT_AFTER_BLOCKS,
    RequestState, SIGNED_PER_NONCE_MAX, Sender, Signed, Slot, State, Want, Why, book,
};
use crate::decree::DecreeId;

impl Sender {
    /// Looks after a nonce that the newest block does not show as spent.
    pub(super) fn tend(&mut self, nonce: u64, look: &Look, pen: &dyn Pen, moves: &mut Moves) {
        let Some(slot) = self.slots.get(&nonce) else { return };
        let decree = slot.decree.clone();
        if slot.spends_nothing() {
            self.repeat(nonce, moves);
            match self.is_raise_due(nonce) {
                true => self.spend_on_nothing(nonce, pen, moves),
                false => self.waits_no_more(&decree),
            }
            return;
        }
        match (look.request.at_head, is_open(&look.contract)) {
            (RequestState::Unknown, _) => self.waits(&decree, Why::Unknown, moves),
            (RequestState::Answered { agrees }, _) => {
                if !agrees {
                    self.tell_foreign(&decree, moves);
                }
                self.waits(&decree, Why::Answered, moves);
                self.spend_on_nothing(nonce, pen, moves);
            }
            (RequestState::Open, Err(why)) => {
                self.waits(&decree, why, moves);
                // What is behind for the same contract can go on no sooner.
                let (proxy, behind) = (self.slots.get(&nonce).map(|slot| slot.proxy), nonce..);
                if self.slots.range(behind).any(|(_, other)| Some(other.proxy) != proxy) {
                    self.spend_on_nothing(nonce, pen, moves);
                }
            }
            (RequestState::Open, Ok(())) => {
                self.repeat(nonce, moves);
                match self.is_raise_due(nonce) {
                    true => self.want_raise(nonce, look, pen, moves),
                    false => self.waits_no_more(&decree),
                }
            }
        }
    }

    /// The newest stored bytes of a nonce, once more, after some blocks without news.
    fn repeat(&mut self, nonce: u64, moves: &mut Moves) {
        if !self.may_send() {
            return;
        }
        let height = self.height;
        let Some(signed) = self.slots.get(&nonce).and_then(|slot| slot.signed.last()) else { return };
        let sent = self.sent.entry(nonce).or_default();
        // A chain that was reorganised may be shorter than when they were sent.
        let is_due = sent.at.is_none_or(|at| at.after(REPEAT_AFTER_BLOCKS) <= height || at > height);
        if is_due {
            moves.wants.push(Want::Broadcast(signed.clone()));
            sent.at = Some(height);
        }
        sent.since.get_or_insert(height);
    }

    /// Whether the newest bytes of a nonce have stood for long enough, and the chain asks more by now.
    fn is_raise_due(&self, nonce: u64) -> bool {
        let sent = self.sent.get(&nonce).copied().unwrap_or_default();
        let has_stood = sent.since.is_some_and(|since| since.after(RAISE_AFTER_BLOCKS) <= self.height);
        let last = self.slots.get(&nonce).and_then(|slot| slot.signed.last()).map_or(0, |signed| signed.price);
        let asks_more = self.seen.is_some_and(|sight| {
            // Beyond the highest price nothing is offered, so the base fee itself tells.
            self.wanted_price(sight.base_fee).unwrap_or(sight.base_fee) >= raised(last)
        });
        sent.is_underpriced || (has_stood && asks_more)
    }

    /// The same answer under the same nonce for more, if the call passes.
    fn want_raise(&mut self, nonce: u64, look: &Look, pen: &dyn Pen, moves: &mut Moves) {
        let Some(slot) = self.slots.get(&nonce).filter(|_| self.may_sign(nonce)) else { return };
        let decree = slot.decree.clone();
        match self.raise_call(slot, look, pen) {
            Ok(Some(call)) => {
                let asked = Asked { call, at: self.height, value: look.request.value, under: Some(nonce) };
                self.want_simulation(&decree, asked, State::Head, moves);
            }
            // Its request is no longer worked on: the bytes that are there go out again, and no others.
            Ok(None) => {}
            Err(why) => {
                self.waits(&decree, why, moves);
                if self.is_stuck(nonce) {
                    self.give_way(nonce, pen, moves);
                }
            }
        }
    }

    /// Whether the newest bytes of a nonce cannot be mined for what they offer.
    pub(super) fn is_stuck(&self, nonce: u64) -> bool {
        let last = self.slots.get(&nonce).and_then(|slot| slot.signed.last());
        let base_fee = self.seen.map_or(0, |sight| sight.base_fee);
        let is_underpriced = self.sent.get(&nonce).is_some_and(|sent| sent.is_underpriced);
        is_underpriced || last.is_some_and(|last| last.price < base_fee)
    }

    /// An answer that cannot go on now does not hold up those behind it, which may have reserved what its own raise
    /// would need.
    pub(super) fn give_way(&mut self, nonce: u64, pen: &dyn Pen, moves: &mut Moves) {
        if self.slots.last_key_value().is_some_and(|(last, _)| *last > nonce) {
            self.spend_on_nothing(nonce, pen, moves);
        }
    }

    fn raise_call(&self, slot: &Slot, look: &Look, pen: &dyn Pen) -> Result<Option<Call>, Why> {
        let (Some(held), Some(last)) = (self.answers.get(&slot.decree), slot.signed.last()) else { return Ok(None) };
        if slot.signed.len() >= ANSWERS_PER_NONCE_MAX {
            return Err(Why::Exhausted(slot.nonce));
        }
        let price = self.answer_price(look.sight.base_fee, raised(last.price), look.request.value, held.used)?;
        let (to, data, gas) = (held.delivery.proxy, held.delivery.data.clone(), look.contract.response_gas);
        let call = Call { from: pen.account(), to, gas, price, data };
        self.can_bear(&slot.decree, worst(&call), Some(slot.nonce))?;
        Ok(Some(call))
    }

    /// The call has passed: its transaction takes the place of the one before.
    pub(super) fn raise(&mut self, decree: &DecreeId, asked: &Asked, nonce: u64, pen: &dyn Pen, moves: &mut Moves) {
        let Some(slot) = self.slots.get(&nonce).filter(|slot| slot.decree == *decree) else { return };
        let is_spent = self.sent.get(&nonce).is_some_and(|sent| sent.is_spent);
        let is_more = slot.signed.last().is_some_and(|last| asked.call.price >= raised(last.price));
        let has_room = slot.signed.len() < ANSWERS_PER_NONCE_MAX;
        if is_spent || slot.spends_nothing() || !is_more || !has_room || !self.may_sign(nonce) {
            return;
        }
        if let Err(why) = self.can_bear(decree, worst(&asked.call), Some(nonce)) {
            return self.waits(decree, why, moves);
        }
        let Ok(signed) = Signed::of_call(pen, self.settings.chain, nonce, &asked.call) else {
            return self.waits(decree, Why::Unsigned, moves);
        };
        moves.outcomes.push(Outcome::Submitting(decree.clone(), signed.hash));
        if let Some(slot) = self.slots.get_mut(&nonce) {
            slot.value = slot.value.min(asked.value);
        }
        self.replace(nonce, signed, moves);
    }

    /// Nothing may come of this nonce any more: a transfer of nothing to oneself takes its place, so that what stands
    /// behind it goes on. Until it is spent the earlier bytes may still be mined, and cost what was reserved for them.
    fn spend_on_nothing(&mut self, nonce: u64, pen: &dyn Pen, moves: &mut Moves) {
        let (Some(slot), Some(sight)) = (self.slots.get(&nonce), self.seen) else { return };
        if !self.may_sign(nonce) {
            return;
        }
        let decree = slot.decree.clone();
        if slot.signed.len() >= SIGNED_PER_NONCE_MAX {
            return self.waits(&decree, Why::Exhausted(nonce), moves);
        }
        let least = slot.signed.last().map_or(0, |last| raised(last.price));
        let price = self.wanted_price(sight.base_fee).unwrap_or(0).max(least);
        let max = self.settings.price_max;
        if price > max {
            return self.waits(&decree, Why::TooDear { needed: price, max }, moves);
        }
        let Ok(signed) = Signed::of_nothing(pen, self.settings.chain, nonce, price) else {
            return self.waits(&decree, Why::Unsigned, moves);
        };
        if let Err(why) = self.can_bear(&decree, signed.worst(), Some(nonce)) {
            return self.waits(&decree, why, moves);
        }
        self.replace(nonce, signed, moves);
    }

    /// Another transaction under the same nonce: only one of them can be mined.
    fn replace(&mut self, nonce: u64, signed: Signed, moves: &mut Moves) {
        let Some(slot) = self.slots.get_mut(&nonce) else { return };
        slot.signed.push(signed.clone());
        let decree = slot.decree.clone();
        moves.entries.push(book::put_slot(&self.name, slot));
        moves.wants.push(Want::Broadcast(signed));
        let sent = self.sent.entry(nonce).or_default();
        (sent.at, sent.since, sent.is_underpriced) = (Some(self.height), Some(self.height), false);
        self.waits_no_more(&decree);
    }

    /// What a node said of a transaction of this nonce. Of one that was replaced since nothing is learned.
    pub fn hinted(&mut self, nonce: u64, hash: B256, hint: Hint) {
        let newest = self.slots.get(&nonce).and_then(|slot| slot.signed.last());
        if let (true, Some(sent)) = (newest.is_some_and(|last| last.hash == hash), self.sent.get_mut(&nonce)) {
            match hint {
                Hint::Taken => sent.is_underpriced = false,
                Hint::Underpriced => sent.is_underpriced = true,
                Hint::NonceSpent | Hint::Unknown => {}
            }
        }
    }
}
