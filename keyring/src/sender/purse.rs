//! Funds, and losses within their bounds.
//!
//! What is in flight is reserved at its worst: a transaction that reverts is paid back by nobody. So whatever becomes of
//! it, an answer costs no more than its bound, and no day's bookings exceed the day's. A loss is booked, durably and
//! once, when a final block shows it, to the UTC day of the newest block then seen.

use serde::{Deserialize, Serialize};

use super::{Moves, Sender, Why, book};
use crate::decree::DecreeId;

const DAY_SECONDS: u64 = 86_400;

/// What was not paid back, in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// The UTC day of the last booking, counted from 1970.
    pub day: u64,
    /// On that day.
    pub on_day: u128,
    /// Since this account is used.
    pub total: u128,
}

/// What an answer has cost that is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) lost: u128,
    /// It had its one revert.
    pub(super) reverted: bool,
}

impl Sender {
    /// A block has this time. Days do not go back.
    pub(super) fn see_time(&mut self, timestamp: u64) {
        self.day = self.day.max(timestamp / DAY_SECONDS);
    }

    pub(super) fn lost_today(&self) -> u128 {
        if self.day > self.losses.day { 0 } else { self.losses.on_day }
    }

    /// Whether one more transaction can be paid for and lost: under a new nonce, or under one that is held.
    pub(super) fn can_bear(&self, decree: &DecreeId, worst: u128, under: Option<u64>) -> Result<(), Why> {
        let held = under.and_then(|nonce| self.slots.get(&nonce)).map_or(0, |slot| slot.worst());
        let others = self.slots.values().filter(|slot| Some(slot.nonce) != under);
        // What is reserved already adds no risk.
        if worst > held {
            let (max, lost) = (self.settings.max_loss_per_answer, self.lost_with(decree));
            if lost.saturating_add(worst) > max {
                return Err(Why::AnswerLoss { worst, left: max.saturating_sub(lost) });
            }
            let reserved = others.clone().fold(0u128, |sum, slot| sum.saturating_add(slot.worst()));
            let (max, lost) = (self.settings.max_loss_per_day, self.lost_today().saturating_add(reserved));
            if lost.saturating_add(worst) > max {
                return Err(Why::DayLoss { worst, left: max.saturating_sub(lost) });
            }
        }
        // What a block holds is paid for.
        let is_unpaid = |nonce: u64| self.sent.get(&nonce).is_none_or(|sent| !sent.is_spent);
        let in_flight =
            others.filter(|slot| is_unpaid(slot.nonce)).fold(0u128, |sum, slot| sum.saturating_add(slot.worst()));
        let needed = in_flight.saturating_add(worst.max(held));
        let balance = self.seen.map_or(0, |sight| sight.account.balance);
        if balance < needed { Err(Why::NoFunds { needed, balance }) } else { Ok(()) }
    }

    fn lost_with(&self, decree: &DecreeId) -> u128 {
        self.records.get(decree).map_or(0, |record| record.lost)
    }

    /// Books what a final block shows.
    pub(super) fn book(&mut self, decree: &DecreeId, cost: u128, reverted: bool, moves: &mut Moves) {
        if cost == 0 && !reverted {
            return;
        }
        let on_day = self.lost_today().saturating_add(cost);
        self.losses =
            Losses { day: self.day.max(self.losses.day), on_day, total: self.losses.total.saturating_add(cost) };
        moves.entries.push(book::put_losses(&self.name, &self.losses));
        let record = self.records.entry(decree.clone()).or_default();
        record.lost = record.lost.saturating_add(cost);
        record.reverted |= reverted;
        moves.entries.push(book::put_record(&self.name, decree, record));
    }
}
