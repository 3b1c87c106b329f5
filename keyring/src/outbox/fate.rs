//! What became of a sequence, by one reading of one endpoint and height.
//!
//! | Spent? | Request | Then |
//! | --- | --- | --- |
//! | yes | names us, or is closed | done: the sequence is let go |
//! | yes | open without us | dead: another sequence, if the request has not used up its share |
//! | no | open without us | the same bytes again, after those of lower sequences |
//! | no | open with other bytes than ours | alarm; the sequence is spent on nothing |
//! | no | closed, or names us all the same | the sequence is spent on nothing |

use chain_client::{Height, Reading, SignedTx, Standing};

use super::{
    Moves, Outbox, Outcome, Pen, RELEASED_MAX, REPEAT_AFTER_BLOCKS, Released, SEQUENCES_PER_REQUEST_MAX,
    SIGNED_PER_SEQUENCE_MAX, Slot, Want, book,
};
use crate::decree::DecreeId;

/// Blocks by which an endpoint may be ahead of the newest block that the node has heard of.
const AHEAD_BLOCKS_MAX: u64 = 2;

impl Outbox {
    /// An account and a request, read together.
    #[must_use]
    pub fn reading(&mut self, decree: &DecreeId, reading: &Reading, pen: &dyn Pen) -> Moves {
        let mut moves = Moves::default();
        if !self.is_news(reading) {
            return moves;
        }
        match self.claim(decree, reading, pen.account()) {
            Some(_) if self.endpoints > 1 => {
                moves.wants.push(Want::Confirm(decree.clone(), reading.request()));
            }
            Some(claim) => {
                self.concede(claim, reading, &mut moves);
                self.act(decree, reading, pen, &mut moves);
            }
            None => self.act(decree, reading, pen, &mut moves),
        }
        moves
    }

    /// Whether a reading may be looked at. Heights never go back, each endpoint counted by itself: one that lags, or that
    /// claims to be far ahead, keeps no other from being heard. An endpoint that does not know the request yet shows
    /// nothing about it.
    pub(super) fn is_news(&mut self, reading: &Reading) -> bool {
        if self.is_forked() || matches!(reading.standing(), Standing::Gone) {
            return false;
        }
        let last = self.read_at.entry(reading.endpoint()).or_default();
        let is_news = reading.height() >= *last;
        *last = reading.height().max(*last);
        is_news
    }

    /// Does what a reading asks for, once what had to be confirmed is.
    pub(super) fn act(&mut self, decree: &DecreeId, reading: &Reading, pen: &dyn Pen, moves: &mut Moves) {
        self.tend_abandoned(reading, pen, moves);
        if let Some(sequence) = self.slot_of(decree).map(|slot| slot.sequence) {
            self.judge(sequence, reading, pen, moves);
        } else if self.waiting.contains_key(decree) {
            self.consider(decree, reading, pen, moves);
        }
    }

    fn judge(&mut self, sequence: u64, reading: &Reading, pen: &dyn Pen, moves: &mut Moves) {
        let (height, standing) = (reading.height(), reading.standing());
        let unspent_from = reading.account().sequence;
        let Some(slot) = self.slots.get(&sequence) else { return };
        let decree = slot.decree.clone();
        let is_spent = unspent_from > sequence;
        let is_ours = standing.names(pen.account());
        match (is_spent, is_ours, standing) {
            (true, true, _) => {
                moves.outcomes.push(Outcome::Landed(decree, height));
                self.let_go(sequence, height, moves);
            }
            (true, false, Standing::Open { .. }) => {
                // Only where one endpoint's word is enough: elsewhere it was conceded, or is denied.
            }
            (true, false, _) => {
                moves.outcomes.push(Outcome::Closed(decree, height, standing.clone()));
                self.let_go(sequence, height, moves);
            }
            (false, false, Standing::Open { shown, .. }) => {
                let is_foreign =
                    self.waiting.get(&decree).is_some_and(|publication| !publication.answer.agrees_with(shown));
                if is_foreign {
                    self.waiting.remove(&decree);
                    moves.outcomes.push(Outcome::Foreign(decree));
                    self.spend_on_nothing(sequence, unspent_from, pen, moves);
                } else {
                    self.repeat(sequence, unspent_from, moves);
                }
            }
            (false, ..) => self.spend_on_nothing(sequence, unspent_from, pen, moves),
        }
    }

    /// A sequence is dead: its decree may use another one, unless it has had its share.
    pub(super) fn bury(&mut self, sequence: u64, height: Height, moves: &mut Moves) {
        let Some(slot) = self.slots.get(&sequence) else { return };
        let (decree, tries) = (slot.decree.clone(), slot.try_number.max(self.tries(&slot.decree)));
        moves.outcomes.push(Outcome::Dead(decree.clone(), sequence, height));
        let hashes = slot.signed.iter().map(|signed| signed.hash).collect();
        moves.wants.push(Want::Explain(decree.clone(), hashes));
        self.erase(sequence, height, moves);
        // In the write that lets the sequence go: a crash grants no further one.
        moves.entries.push(book::put_spent(&self.chain, &decree, tries));
        self.spent.insert(decree.clone(), tries);
        if tries >= SEQUENCES_PER_REQUEST_MAX && self.waiting.remove(&decree).is_some() {
            moves.outcomes.push(Outcome::Exhausted(decree, tries));
        }
    }

    /// A spent sequence whose request needs no other.
    fn let_go(&mut self, sequence: u64, height: Height, moves: &mut Moves) {
        let Some(decree) = self.slots.get(&sequence).map(|slot| slot.decree.clone()) else { return };
        self.erase(sequence, height, moves);
        self.waiting.remove(&decree);
        self.asked_at.remove(&decree);
        if self.spent.remove(&decree).is_some() {
            moves.entries.push(book::erase_spent(&self.chain, &decree));
        }
    }

    /// Lets a sequence go. What it was stays known for a while.
    fn erase(&mut self, sequence: u64, height: Height, moves: &mut Moves) {
        let Some(slot) = self.slots.remove(&sequence) else { return };
        self.sent_at.remove(&sequence);
        moves.entries.push(book::erase_slot(&self.chain, sequence));
        let Slot { decree, request, account_number, .. } = slot;
        // Where one endpoint's word is all there is, there is nobody to ask.
        self.unchecked = (self.endpoints > 1).then(|| (decree.clone(), request, self.height));
        let released = Released { decree, request, account_number };
        moves.entries.push(book::put_released(&self.chain, sequence, &released));
        self.released.insert(sequence, released);
        while self.released.len() > RELEASED_MAX {
            let Some((oldest, _)) = self.released.pop_first() else { break };
            moves.entries.push(book::erase_released(&self.chain, oldest));
        }
        // An endpoint that claims a height far ahead keeps nobody from being heard for long.
        let height = height.min(self.height.after(AHEAD_BLOCKS_MAX));
        if height > self.let_go_at {
            self.let_go_at = height;
            moves.entries.push(book::put_let_go(&self.chain, height));
        }
    }

    /// Takes sequences back that were let go as spent and are not: each is spent on nothing, whatever was signed under it
    /// before. False when one of them is no longer known.
    pub(super) fn take_back(&mut self, unspent_from: u64, moves: &mut Moves) -> bool {
        let next = self.next.unwrap_or(unspent_from);
        let missing: Vec<u64> =
            (unspent_from..next).filter(|at| !self.slots.contains_key(at)).take(RELEASED_MAX + 1).collect();
        if !missing.iter().all(|sequence| self.released.contains_key(sequence)) {
            return false;
        }
        for sequence in missing {
            let Some(Released { decree, request, account_number }) = self.released.remove(&sequence) else { continue };
            let slot = Slot {
                decree,
                request,
                account_number,
                sequence,
                signed: Vec::new(),
                fee_step: 0,
                gas_step: 0,
                try_number: 0,
                abandoned: true,
            };
            moves.entries.push(book::erase_released(&self.chain, sequence));
            moves.entries.push(book::put_slot(&self.chain, &slot));
            self.slots.insert(sequence, slot);
        }
        true
    }

    /// Sequences that were taken back need no request to be judged by.
    fn tend_abandoned(&mut self, reading: &Reading, pen: &dyn Pen, moves: &mut Moves) {
        let shown = reading.account().sequence;
        let abandoned: Vec<u64> = self.slots.values().filter(|slot| slot.abandoned).map(|slot| slot.sequence).collect();
        for sequence in abandoned {
            if shown > sequence {
                self.erase(sequence, reading.height(), moves);
            } else {
                self.spend_on_nothing(sequence, shown, pen, moves);
            }
        }
    }

    /// The same bytes again, after some blocks without news; before them those of every lower sequence that the account
    /// has not passed, since nothing behind a gap can land.
    fn repeat(&mut self, sequence: u64, unspent_from: u64, moves: &mut Moves) {
        let lower: Vec<u64> = self.slots.range(unspent_from.min(sequence)..=sequence).map(|(at, _)| *at).collect();
        for sequence in lower {
            let sent = self.sent_at.get(&sequence);
            if sent.is_none_or(|sent| sent.after(REPEAT_AFTER_BLOCKS) <= self.height) {
                self.send_again(sequence, moves);
            }
        }
    }

    /// The newest stored bytes of a sequence, once more.
    pub(super) fn send_again(&mut self, sequence: u64, moves: &mut Moves) {
        let Some(slot) = self.slots.get(&sequence).filter(|slot| self.may_send(slot)) else { return };
        if let Some(signed) = slot.signed.last() {
            moves.wants.push(Want::Broadcast(signed.clone()));
            self.sent_at.insert(sequence, self.height);
        }
    }

    /// Nothing may come of this sequence any more: a transfer to oneself takes its place. Until it is spent the earlier
    /// bytes may still land, without effect.
    fn spend_on_nothing(&mut self, sequence: u64, unspent_from: u64, pen: &dyn Pen, moves: &mut Moves) {
        let Some(slot) = self.slots.get(&sequence) else { return };
        if slot.spends_nothing() {
            return self.repeat(sequence, unspent_from, moves);
        }
        if !self.may_sign(sequence) {
            return;
        }
        let signed = pen.nothing(slot.account_number, sequence, 0);
        self.gate.over_ceiling = signed.is_none();
        if let Some(signed) = signed {
            self.replace(sequence, signed, moves);
        }
    }

    /// Another transaction under the same sequence: only one of them can land.
    pub(super) fn replace(&mut self, sequence: u64, signed: SignedTx, moves: &mut Moves) {
        let Some(slot) = self.slots.get_mut(&sequence) else { return };
        // However many answers were signed, there is room for nothing.
        let max = if signed.request.is_some() { SIGNED_PER_SEQUENCE_MAX } else { 2 * SIGNED_PER_SEQUENCE_MAX };
        if slot.signed.len() >= max && !slot.signed.contains(&signed) {
            return;
        }
        slot.signed.retain(|before| *before != signed);
        slot.signed.push(signed.clone());
        moves.entries.push(book::put_slot(&self.chain, slot));
        moves.wants.push(Want::Broadcast(signed));
        self.sent_at.insert(sequence, self.height);
    }
}
