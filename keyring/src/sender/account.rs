//! Where the account stands. It moves by what this party signed and by nothing else; when it does not, the sender stands
//! still until an operator has looked.

use chain_client::Height;
use serde::{Deserialize, Serialize};

use super::{Moves, Outcome, Sender, Sight, book};

/// Nonces that are compared with the journal, at most.
const COMPARED_MAX: usize = 256;
/// Blocks by which an endpoint may be ahead of the newest block that the node has heard of.
const AHEAD_BLOCKS_MAX: u64 = 2;

/// Why the sender stands still until an operator decides. Written down: a restart does not end it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Halt {
    /// Somebody else uses the account.
    #[error("the account is at nonce {chain}, this party's journal at {own}: somebody else spends its nonces")]
    MovedWithoutUs {
        /// In a final block.
        chain: u64,
        /// The next one that this party would have used.
        own: u64,
    },
    /// Somebody else has spent a nonce that this party had taken.
    #[error(
        "nonce {nonce} was spent by a transaction that this party did not sign; the account is at {chain}, its journal \
         at {own}"
    )]
    Stranger {
        /// Which.
        nonce: u64,
        /// Where the account is in a final block.
        chain: u64,
        /// The next one that this party would have used.
        own: u64,
    },
    /// The chain takes back what it called final.
    #[error(
        "the account is back at nonce {chain}, which a final block had shown as spent; this party's journal is at {own}"
    )]
    WentBack {
        /// In a final block.
        chain: u64,
        /// The next one that this party would have used.
        own: u64,
    },
}

/// Why an operator's word to go on is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// There is nothing to end.
    #[error("the sender of this chain does not stand still")]
    NotHalted,
    /// Any other nonce would leave a gap, or be used twice.
    #[error(
        "nonce {given} is neither {own}, where this party's journal stands, nor {chain}, where the account was seen"
    )]
    Elsewhere {
        /// As the operator said.
        given: u64,
        /// The next one of the journal.
        own: u64,
        /// As the chain showed it.
        chain: u64,
    },
    /// The chain took back what this party had seen spent.
    #[error("nonce {given} was used by this party before: only {own}, where its journal stands, may be named")]
    UsedBefore {
        /// As the operator said.
        given: u64,
        /// The next one of the journal.
        own: u64,
    },
    /// What this party had signed under it is not known any more.
    #[error(
        "nonce {nonce} is unspent again, and this party has forgotten what it signed under it: bring the account to the \
         next nonce by hand, with its key, and say this again"
    )]
    Forgotten {
        /// The lowest one.
        nonce: u64,
    },
}

impl Sender {
    /// The account as an endpoint shows it: at each block also where no answer is looked after, so that an account that
    /// moves alone is noticed.
    #[must_use]
    pub fn sighted(&mut self, sight: &Sight) -> Moves {
        let mut moves = Moves::default();
        self.observe(sight, &mut moves);
        moves
    }

    /// Whether it may be believed.
    pub(super) fn observe(&mut self, sight: &Sight, moves: &mut Moves) -> bool {
        if self.is_forked() || !sight.is_of_one_moment() {
            return false;
        }
        if !self.is_old(sight.head) {
            self.see_time(sight.timestamp);
            self.seen = Some(*sight);
        }
        if self.halt.is_none() {
            self.compare(sight, moves);
        }
        true
    }

    fn compare(&mut self, sight: &Sight, moves: &mut Moves) {
        let shown = sight.account.final_nonce;
        let Some(own) = self.next else {
            // A new account, or a lost memory: begins where nothing is on its way to finality.
            if sight.account.nonce == shown && !self.is_old(sight.head) {
                self.begin(sight, moves);
            }
            return;
        };
        if shown > own {
            // What this party signed before it lost its memory moves the account as well.
            if self.slots.is_empty() && self.is_of_forgotten_past(shown.saturating_sub(1)) {
                self.begin(sight, moves);
            } else {
                self.stand_still(Halt::MovedWithoutUs { chain: shown, own }, moves);
            }
        } else if sight.finality >= self.let_go_at && self.gap(shown, own).is_some() {
            self.stand_still(Halt::WentBack { chain: shown, own }, moves);
        }
    }

    /// The lowest nonce between two that no slot holds.
    fn gap(&self, from: u64, to: u64) -> Option<u64> {
        (from..to).take(COMPARED_MAX).find(|nonce| !self.slots.contains_key(nonce))
    }

    fn begin(&mut self, sight: &Sight, moves: &mut Moves) {
        self.next = Some(sight.account.final_nonce);
        moves.entries.push(book::put_next(&self.name, sight.account.final_nonce));
        self.let_go(sight.finality, moves);
    }

    /// What is spent at this final block stays so at every later one.
    pub(super) fn let_go(&mut self, finality: Height, moves: &mut Moves) {
        // An endpoint that claims a height far ahead keeps nobody from being heard for long.
        let newest = if self.height > Height(0) { self.height.after(AHEAD_BLOCKS_MAX) } else { finality };
        let finality = finality.min(newest);
        if finality > self.let_go_at {
            self.let_go_at = finality;
            moves.entries.push(book::put_let_go(&self.name, finality));
        }
    }

    pub(super) fn stand_still(&mut self, halt: Halt, moves: &mut Moves) {
        moves.entries.push(book::put_halt(&self.name, &halt));
        moves.outcomes.push(Outcome::Halted(halt.clone()));
        self.halt = Some(halt);
    }

    /// Whether [`Self::resume`] would take this.
    ///
    /// # Errors
    /// As there.
    pub fn check_resume(&self, nonce: u64) -> Result<(), ResumeError> {
        let Some(halt) = &self.halt else { return Err(ResumeError::NotHalted) };
        match *halt {
            Halt::MovedWithoutUs { chain, own } | Halt::Stranger { chain, own, .. } => {
                let chain = self.shown_since(chain);
                let is_known = nonce == own || nonce == chain;
                if is_known { Ok(()) } else { Err(ResumeError::Elsewhere { given: nonce, own, chain }) }
            }
            Halt::WentBack { own, .. } if nonce != own => Err(ResumeError::UsedBefore { given: nonce, own }),
            Halt::WentBack { chain, own } => {
                let forgotten = self.gaps(chain, own).into_iter().find(|nonce| !self.released.contains_key(nonce));
                forgotten.map_or(Ok(()), |nonce| Err(ResumeError::Forgotten { nonce }))
            }
        }
    }

    /// Where the account is by now in a final block, if it has moved on since the sender stood still.
    fn shown_since(&self, halted_at: u64) -> u64 {
        self.seen.map_or(halted_at, |sight| sight.account.final_nonce.max(halted_at))
    }

    /// Nonces that were let go and that the newest sight shows unspent.
    fn gaps(&self, halted_at: u64, own: u64) -> Vec<u64> {
        let from = self.seen.map_or(halted_at, |sight| sight.account.final_nonce);
        (from..own).take(COMPARED_MAX).filter(|nonce| !self.slots.contains_key(nonce)).collect()
    }

    /// An operator has looked, and takes the word of the chain, or of this party's journal, for where the account stands.
    /// On record. Where the account moves on, or the word was wrong, the next look stops the sender again.
    ///
    /// # Errors
    /// When it does not stand still, or the nonce is not one of these.
    pub fn resume(&mut self, nonce: u64) -> Result<Moves, ResumeError> {
        self.check_resume(nonce)?;
        let mut moves = Moves::default();
        let Some(halt) = self.halt.take() else { return Err(ResumeError::NotHalted) };
        moves.entries.push(book::put_resumed(&self.name, nonce, &halt));
        moves.entries.push(book::erase_halt(&self.name));
        match halt {
            Halt::MovedWithoutUs { .. } => self.next = Some(nonce),
            Halt::Stranger { nonce: lost, chain, .. } if nonce == self.shown_since(chain) => {
                self.release(lost, &mut moves);
            }
            Halt::Stranger { nonce: doubted, .. } => {
                if let Some(sent) = self.sent.get_mut(&doubted) {
                    sent.missing = None;
                }
            }
            Halt::WentBack { chain, own } => {
                self.gaps(chain, own).into_iter().for_each(|nonce| self.take_back(nonce, &mut moves));
            }
        }
        if let Some(next) = self.next {
            moves.entries.push(book::put_next(&self.name, next));
        }
        // What was spent by somebody else lies behind: only later blocks can show less than this.
        if let Some(sight) = self.seen {
            self.let_go(sight.finality, &mut moves);
        }
        Ok(moves)
    }

    /// A nonce that was let go is unspent: the bytes that were signed under it go out again as they are.
    fn take_back(&mut self, nonce: u64, moves: &mut Moves) {
        let Some(slot) = self.released.remove(&nonce) else { return };
        moves.entries.push(book::erase_released(&self.name, nonce));
        moves.entries.push(book::put_slot(&self.name, &slot));
        self.slots.insert(nonce, slot);
    }
}
