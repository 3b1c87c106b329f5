//! What a node says when given a transaction. Hints: they never decide that something is dead.

use chain_client::Hint;

use super::{Moves, Order, Outbox, Pen};

/// The code space of the SDK's own errors.
const SDK: &str = "sdk";
const NO_FUNDS: u32 = 5;
const OUT_OF_GAS: u32 = 11;
const FEE_TOO_LOW: u32 = 13;
const WRONG_SEQUENCE: u32 = 32;
/// Doublings of the fee at one price of the chain.
const FEE_STEPS_MAX: u32 = 16;
/// Doublings of the gas of one answer.
const GAS_STEP_MAX: u32 = 4;

impl Outbox {
    /// What a node said of the transaction of this sequence.
    #[must_use]
    pub fn hinted(&mut self, sequence: u64, hint: &Hint, pen: &dyn Pen) -> Moves {
        let mut moves = Moves::default();
        match hint {
            Hint::Taken => {
                self.gate.out_of_funds = false;
                self.gate.over_ceiling = false;
            }
            Hint::Refused { codespace, code, expected_sequence, .. } if codespace == SDK => match *code {
                NO_FUNDS => self.gate.out_of_funds = true,
                FEE_TOO_LOW => self.pay_more(sequence, pen, &mut moves),
                OUT_OF_GAS => self.take_more_gas(sequence, pen, &mut moves),
                WRONG_SEQUENCE => self.fill_gap(sequence, *expected_sequence, &mut moves),
                _ => {}
            },
            Hint::Known | Hint::Refused { .. } | Hint::Unknown { .. } => {}
        }
        moves
    }

    /// The same under the same sequence for a higher fee: at the chain's price as it is now, or twice what was offered at
    /// that price.
    fn pay_more(&mut self, sequence: u64, pen: &dyn Pen, moves: &mut Moves) {
        let Some(slot) = self.slots.get(&sequence).filter(|_| self.may_replace(sequence)) else { return };
        if !slot.spends_nothing() && !self.waiting.contains_key(&slot.decree) {
            // Its request is no longer worked on: when it has closed, the sequence is spent on nothing.
            return;
        }
        let before = slot.signed.clone();
        for fee_step in 0..FEE_STEPS_MAX {
            let Some(signed) = self.signed_again(sequence, fee_step, 0, pen) else {
                self.gate.over_ceiling = true;
                return;
            };
            if !before.contains(&signed) {
                self.set_steps(sequence, fee_step, 0);
                return self.replace(sequence, signed, moves);
            }
        }
        self.gate.over_ceiling = true;
    }

    /// The same under the same sequence with more gas. The node's first check has run out of it, so nothing is spent.
    fn take_more_gas(&mut self, sequence: u64, pen: &dyn Pen, moves: &mut Moves) {
        let Some(slot) = self.slots.get(&sequence) else { return };
        if slot.spends_nothing() || slot.gas_step >= GAS_STEP_MAX || !self.may_replace(sequence) {
            return;
        }
        let fee_step = slot.fee_step;
        if let Some(signed) = self.signed_again(sequence, fee_step, 1, pen) {
            self.set_steps(sequence, fee_step, 1);
            self.replace(sequence, signed, moves);
        }
    }

    /// A node that expects a lower sequence lacks what came before, which was lost or has not been gossiped to it: those
    /// bytes first, in order, once a block. One that expects a higher sequence has seen this one spent, or holds other
    /// bytes under it; a reading will tell.
    fn fill_gap(&mut self, sequence: u64, expected: Option<u64>, moves: &mut Moves) {
        let Some(expected) = expected.filter(|expected| *expected < sequence) else { return };
        if self.mended_at >= self.height {
            return;
        }
        self.mended_at = self.height;
        let missing: Vec<u64> = self.slots.range(expected..=sequence).map(|(at, _)| *at).collect();
        for sequence in missing {
            self.send_again(sequence, moves);
        }
    }

    fn may_replace(&self, sequence: u64) -> bool {
        self.may_sign(sequence) && self.slots.get(&sequence).is_some_and(|slot| self.may_send(slot))
    }

    fn set_steps(&mut self, sequence: u64, fee_step: u32, more_gas: u32) {
        if let Some(slot) = self.slots.get_mut(&sequence) {
            slot.fee_step = fee_step;
            slot.gas_step = slot.gas_step.saturating_add(more_gas);
        }
    }

    /// What stands under a sequence, signed for other fees. `None` above the ceiling, or when the answer is not at hand.
    fn signed_again(
        &self,
        sequence: u64,
        fee_step: u32,
        more_gas: u32,
        pen: &dyn Pen,
    ) -> Option<chain_client::SignedTx> {
        let slot = self.slots.get(&sequence)?;
        if slot.spends_nothing() {
            return pen.nothing(slot.account_number, sequence, fee_step);
        }
        let publication = self.waiting.get(&slot.decree)?;
        pen.answer(&Order {
            request: slot.request,
            answer: &publication.answer,
            account_number: slot.account_number,
            sequence,
            fee_step,
            gas_step: slot.gas_step.saturating_add(more_gas),
            load: publication.load,
        })
    }
}
