//! What became of a nonce, by one look.
//!
//! | Nonce | Then |
//! | --- | --- |
//! | spent in a final block by ours, which answered | done; what was not paid back is booked |
//! | spent in a final block by ours, which reverted | booked; this party never sends that answer again |
//! | spent in a final block on nothing | booked; the answer may get another nonce if it is still wanted |
//! | spent in a final block by none of ours | halt, once that is seen for some blocks |
//! | spent at the head only | waited for: a reorganisation may take it back |
//! | unspent | looked after, if the look is not old: see `raise.rs` |

use chain_client::zrsign::price;

use super::{Halt, Look, Moves, Outcome, Pen, RELEASED_MAX, Receipt, Sender, Signed, book};
use crate::decree::DecreeId;

/// Blocks for which a final nonce must show none of ours before that is believed: a node behind a balancer may know the
/// account's count before it knows the receipt.
const DOUBT_BLOCKS: u64 = 6;

impl Sender {
    /// Account, contract, request and receipts, as one endpoint shows them.
    #[must_use]
    pub fn looked(&mut self, decree: &DecreeId, look: &Look, pen: &dyn Pen) -> Moves {
        let mut moves = Moves::default();
        if !self.observe(&look.sight, &mut moves) {
            return moves;
        }
        let of_decree = self.slots.values().filter(|slot| slot.decree == *decree);
        let nonces: Vec<u64> = of_decree.map(|slot| slot.nonce).collect();
        for nonce in nonces {
            self.judge(nonce, look, pen, &mut moves);
        }
        if !self.has_slot(decree) && self.halt.is_none() {
            self.consider(decree, look, pen, &mut moves);
        }
        moves
    }

    fn judge(&mut self, nonce: u64, look: &Look, pen: &dyn Pen, moves: &mut Moves) {
        let account = look.sight.account;
        if account.final_nonce > nonce {
            return self.conclude(nonce, look, moves);
        }
        let sent = self.sent.entry(nonce).or_default();
        sent.missing = None;
        sent.is_spent = account.nonce > nonce;
        if !sent.is_spent && !self.is_old(look.sight.head) {
            self.tend(nonce, look, pen, moves);
        }
    }

    /// The nonce is spent in a final block: by which transaction?
    fn conclude(&mut self, nonce: u64, look: &Look, moves: &mut Moves) {
        let Some(slot) = self.slots.get(&nonce) else { return };
        let finality = look.sight.finality;
        let mined = look.receipts.iter().filter(|receipt| receipt.height <= finality).find_map(|receipt| {
            let signed = slot.signed.iter().find(|signed| signed.hash == receipt.hash)?;
            Some((signed.clone(), *receipt))
        });
        let Some((signed, receipt)) = mined else { return self.doubt(nonce, look, moves) };
        let (decree, cost) = (slot.decree.clone(), cost(&signed, &receipt, slot.value));
        let has_reverted = signed.answers && !receipt.succeeded;
        self.book(&decree, cost, has_reverted, moves);
        self.release(nonce, moves);
        self.let_go(finality, moves);
        let is_over = self.answers.get(&decree).is_some_and(|held| held.is_over);
        if is_over || (signed.answers && !has_reverted) {
            self.drop_answer(&decree, moves);
        }
        if has_reverted {
            self.answers.remove(&decree);
            moves.outcomes.push(Outcome::Lost { decree, hash: signed.hash, cost });
        } else if signed.answers {
            moves.outcomes.push(Outcome::Landed { decree, height: receipt.height, cost });
        }
    }

    fn doubt(&mut self, nonce: u64, look: &Look, moves: &mut Moves) {
        let sent = self.sent.entry(nonce).or_default();
        sent.is_spent = true;
        let since = *sent.missing.get_or_insert(look.sight.head);
        if since.after(DOUBT_BLOCKS) > look.sight.head || self.halt.is_some() {
            return;
        }
        let chain = look.sight.account.final_nonce;
        self.stand_still(Halt::Stranger { nonce, chain, own: self.next.unwrap_or(chain) }, moves);
    }

    /// Lets a nonce go. What was signed under it stays known for a while.
    pub(super) fn release(&mut self, nonce: u64, moves: &mut Moves) {
        let Some(slot) = self.slots.remove(&nonce) else { return };
        self.sent.remove(&nonce);
        moves.entries.push(book::erase_slot(&self.name, nonce));
        moves.entries.push(book::put_released(&self.name, &slot));
        self.released.insert(nonce, slot);
        while self.released.len() > RELEASED_MAX {
            let Some((oldest, _)) = self.released.pop_first() else { break };
            moves.entries.push(book::erase_released(&self.name, oldest));
        }
    }
}

/// What a mined transaction has cost its sender. An endpoint that claims more than was signed is not believed: the bounds
/// were kept for what was signed.
fn cost(signed: &Signed, receipt: &Receipt, value: u128) -> u128 {
    let paid_back = if signed.answers && receipt.succeeded { value } else { 0 };
    price::loss(receipt.price.min(signed.price), paid_back, receipt.gas_used.min(signed.gas))
}
