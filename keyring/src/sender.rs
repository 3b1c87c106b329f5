//! The sender of one account on one EVM chain: which authorised answer goes out under which nonce, for which price, and
//! what became of it.
//!
//! A zrSign contract takes an answer from anybody who carries its authorisation; a second one reverts and costs its
//! sender gas. So parties take turns, and each looks and simulates before it signs. A nonce belongs to one answer until
//! it is spent in a final block; what the contract does not pay back is bounded per answer and per day. The facts and
//! the rules stand in `docs/sending.md`.
//!
//! Pure: looks and results of simulations in, [`Want`]s and entries out. Time is what blocks say. The pen that signs is
//! deterministic and passed in. Refuses to know how an answer came to be decided and authorised: it carries call data.
//!
//! | Room | Does |
//! | --- | --- |
//! | `sender/look.rs` | what is seen of the chain, and what a simulation says |
//! | `sender/pen.rs` | who signs, and what |
//! | `sender/book.rs` | what the store holds of it |
//! | `sender/gate.rs` | what may go out now, and in words why not |
//! | `sender/account.rs` | where the account stands; halts |
//! | `sender/fate.rs` | what became of a nonce |
//! | `sender/taking.rs` | which answer gets the next nonce |
//! | `sender/raise.rs` | the same bytes again, for more, or nothing in their place |
//! | `sender/price.rs` | what is offered for gas |
//! | `sender/purse.rs` | funds, and losses within their bounds |

mod account;
mod book;
mod fate;
mod gate;
mod look;
mod pen;
mod price;
mod purse;
mod raise;
mod taking;

#[cfg(test)]
mod liars;
#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes};
use chain_client::Height;
use chain_client::zrsign::price::Used;
use serde::{Deserialize, Serialize};

pub use self::account::{Halt, ResumeError};
pub use self::book::halt_on_disk;
pub use self::gate::Why;
pub use self::look::{
    AccountLook, Call, ContractLook, Hint, Look, Receipt, RequestLook, RequestState, Revert, Sight, Simulated, State,
};
pub use self::pen::{Pen, PenError, Signed};
pub use self::purse::Losses;
use self::purse::Record;
use crate::decree::DecreeId;
pub use crate::outbox::Leave;
use crate::store::Entry;

/// Transactions of one account in flight at a time.
pub const IN_FLIGHT_MAX: usize = 8;
/// Answers kept at a time, those in flight among them.
pub const ANSWERS_MAX: usize = 4_096;
/// Longest call data of an answer: nodes take no transaction of 128 KiB.
pub const DATA_BYTES_MAX: usize = 120 * 1024;
/// Transactions ever signed under one nonce.
pub const SIGNED_PER_NONCE_MAX: usize = 8;
/// How many of these may carry the answer: the others are kept for spending the nonce on nothing.
const ANSWERS_PER_NONCE_MAX: usize = 5;
/// Blocks without news after which the same bytes are sent again.
const REPEAT_AFTER_BLOCKS: u64 = 2;
/// Blocks after which what is not in a block yet may be replaced for more.
const RAISE_AFTER_BLOCKS: u64 = 4;
/// Blocks for which a simulation counts.
const SIMULATION_BLOCKS: u64 = 2;
/// A look so many blocks behind the newest block starts nothing.
const FRESH_BLOCKS: u64 = 3;
/// Answers without nonce that are looked after at each block.
const LOOKS_PER_BLOCK_MAX: usize = 32;
/// Nonces remembered with their bytes after they were let go.
const RELEASED_MAX: usize = 64;

/// What an operator sets for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The chain's EIP-155 id.
    pub chain: u64,
    /// Blocks from one party's turn to the next.
    pub wait_blocks: u64,
    /// What is offered for a unit of gas, as a part of the base fee: 200 is twice.
    pub factor_percent: u64,
    /// Wei for each unit of gas, beyond that.
    pub tip: u128,
    /// Highest price of a unit of gas, in wei.
    pub price_max: u128,
    /// Most wei that one answer may cost this party.
    pub max_loss_per_answer: u128,
    /// Most wei that all answers together may cost this party in one UTC day.
    pub max_loss_per_day: u128,
}

/// An authorised answer that is to be carried to its contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The contract.
    pub proxy: Address,
    /// The call that answers, with its authorisation.
    pub data: Bytes,
    /// This party's place among those present: 0 sends at once.
    pub turn: u32,
    /// The newest block when it was decided.
    pub decided_at: Height,
}

/// One nonce and what it was taken for. Stored before its bytes leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The decree whose answer it carries.
    pub decree: DecreeId,
    /// The account's nonce.
    pub nonce: u64,
    /// The contract.
    pub proxy: Address,
    /// What the contract holds for the answer's sender, in wei, as last seen before it was signed.
    pub value: u128,
    /// Everything ever signed under it, the newest last: only one of them can be mined.
    pub signed: Vec<Signed>,
}

impl Slot {
    /// Whether the newest bytes under it spend the nonce on nothing.
    #[must_use]
    pub fn spends_nothing(&self) -> bool {
        self.signed.last().is_some_and(|signed| !signed.answers)
    }

    /// What it can cost at most, in wei, whichever of its transactions is mined and however it ends.
    #[must_use]
    pub fn worst(&self) -> u128 {
        self.signed.iter().map(Signed::worst).max().unwrap_or(0)
    }
}

/// What the sender asks of its shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Account, contract, request, and the receipts of these transactions, of one endpoint: [`Sender::looked`].
    Look(DecreeId, Vec<B256>),
    /// Whether this very call would pass: [`Sender::simulated`].
    Simulate(DecreeId, Call, State),
    /// Send these bytes.
    Broadcast(Signed),
}

/// What became of an answer; told to the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A transaction that carries it is signed and stored.
    Submitting(DecreeId, B256),
    /// Ours was mined in a final block, and answered.
    Landed {
        /// Which answer.
        decree: DecreeId,
        /// The block.
        height: Height,
        /// What was not paid back, in wei.
        cost: u128,
    },
    /// Ours was mined in a final block, and reverted. This party never sends that answer again; others may.
    Lost {
        /// Which answer.
        decree: DecreeId,
        /// The transaction.
        hash: B256,
        /// What it cost, in wei.
        cost: u128,
    },
    /// A final block shows that somebody else has brought our answer.
    Settled(DecreeId),
    /// The chain shows another answer than the decided one: alarm.
    Foreign(DecreeId),
    /// It waits, from now on for this reason.
    Waiting(DecreeId, Why),
    /// The sender stands still from now on.
    Halted(Halt),
}

/// Why an answer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It had its one revert.
    #[error("a transaction of this party for it was mined and reverted: this party never sends it again")]
    Reverted,
    /// Offer it again later.
    #[error("{ANSWERS_MAX} answers wait already")]
    Full,
    /// No node takes it.
    #[error("its call data has {found} bytes, a transaction carries at most {DATA_BYTES_MAX}")]
    TooLarge {
        /// Its length.
        found: usize,
    },
}

/// Entries to write, what to ask, what happened.
#[derive(Debug, Default)]
pub struct Moves {
    /// For the journal, in the same write.
    pub entries: Vec<Entry>,
    /// For the shell, once that is durable.
    pub wants: Vec<Want>,
    /// For the node.
    pub outcomes: Vec<Outcome>,
}

/// What is told of a sender, for metrics and status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The next unused nonce, once the account was read.
    pub nonce: Option<u64>,
    /// What the account held when it was last seen, in wei.
    pub balance: Option<u128>,
    /// What would be offered for a unit of gas, in wei.
    pub price: Option<u128>,
    /// What was not paid back this UTC day, in wei.
    pub lost_today: u128,
    /// The same since this account is used.
    pub lost_total: u128,
    /// Nonces taken and not seen spent in a final block.
    pub in_flight: usize,
    /// Answers without a nonce.
    pub waiting: usize,
}

/// An answer, waiting or in flight.
#[derive(Clone, Debug)]
struct Held {
    delivery: Delivery,
    /// Its turn.
    not_before: Height,
    /// Nor before this block: the contract has refused it.
    again_at: Height,
    refusals: u32,
    looked_at: Height,
    asked: Option<Asked>,
    /// What a refusal has taught about the gas that it takes.
    used: Option<Used>,
    why: Option<Why>,
    /// Whether another answer on the chain was told.
    is_foreign: bool,
    /// Its request is over; its nonce is not spent yet.
    is_over: bool,
}

/// A simulation that was asked for.
#[derive(Clone, Debug)]
struct Asked {
    call: Call,
    at: Height,
    value: u128,
    /// The nonce that it would replace; none for a new one.
    under: Option<u64>,
}

/// What is known of a nonce beside its slot. Lost with the process.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// When bytes of it were last sent.
    at: Option<Height>,
    /// Since when its newest bytes are the newest, as far as this process knows.
    since: Option<Height>,
    /// A node wants more for it.
    is_underpriced: bool,
    /// Whether the newest look saw it spent at the head.
    is_spent: bool,
    /// Since when it is spent in a final block by none of ours, as the endpoints show it.
    missing: Option<Height>,
}

/// The sender of one account on one chain.
#[derive(Debug)]
pub struct Sender {
    settings: Settings,
    /// The chain's name in the store, as CAIP-2 writes it.
    name: String,
    /// The next unused nonce, once the account was read.
    next: Option<u64>,
    slots: BTreeMap<u64, Slot>,
    sent: BTreeMap<u64, Sent>,
    /// The last nonces that were let go.
    released: BTreeMap<u64, Slot>,
    /// The highest final block in which a nonce was found spent and let go.
    let_go_at: Height,
    answers: BTreeMap<DecreeId, Held>,
    /// What answers have cost that are not over.
    records: BTreeMap<DecreeId, Record>,
    losses: Losses,
    /// The newest day that a block has shown.
    day: u64,
    height: Height,
    seen: Option<Sight>,
    halt: Option<Halt>,
    gate: gate::Gate,
}

impl Sender {
    /// Nonces taken and not seen spent in a final block.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.values()
    }

    /// Whether nothing is in flight and nothing waits.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.slots.is_empty() && self.answers.is_empty()
    }

    /// Why it stands still, if it does.
    #[must_use]
    pub const fn halted(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// Whether a nonce or a place in the queue is held for this decree.
    #[must_use]
    pub fn holds(&self, decree: &DecreeId) -> bool {
        self.answers.contains_key(decree) || self.has_slot(decree)
    }

    /// For metrics and status.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            nonce: self.next,
            balance: self.seen.map(|sight| sight.account.balance),
            price: self.seen.and_then(|sight| self.wanted_price(sight.base_fee).ok()),
            lost_today: self.lost_today(),
            lost_total: self.losses.total,
            in_flight: self.slots.len(),
            waiting: self.answers.keys().filter(|decree| !self.has_slot(decree)).count(),
        }
    }

    /// A decided and authorised answer. One that is known keeps its place and takes the earlier turn.
    ///
    /// # Errors
    /// [`PublishError`]: not taken, or not now.
    pub fn publish(&mut self, decree: DecreeId, delivery: Delivery) -> Result<Moves, PublishError> {
        if self.records.get(&decree).is_some_and(|record| record.reverted) {
            return Err(PublishError::Reverted);
        }
        let found = delivery.data.len();
        if found > DATA_BYTES_MAX {
            return Err(PublishError::TooLarge { found });
        }
        let not_before = delivery.decided_at.after(self.settings.wait_blocks.saturating_mul(delivery.turn.into()));
        let mut moves = Moves::default();
        if let Some(held) = self.answers.get_mut(&decree) {
            held.not_before = held.not_before.min(not_before);
        } else if self.answers.len() >= ANSWERS_MAX {
            return Err(PublishError::Full);
        } else {
            let held = Held {
                delivery,
                not_before,
                again_at: Height(0),
                refusals: 0,
                looked_at: Height(0),
                asked: None,
                used: None,
                why: None,
                is_foreign: false,
                is_over: false,
            };
            self.answers.insert(decree.clone(), held);
            if not_before <= self.height && self.halt.is_none() && !self.is_forked() {
                self.want_look(&decree, &mut moves);
            }
        }
        Ok(moves)
    }

    /// Forgets an answer and what it has cost, when its nonce, if it has one, is spent: its request is over, and is never
    /// published again.
    #[must_use]
    pub fn forget(&mut self, decree: &DecreeId) -> Moves {
        let mut moves = Moves::default();
        if !self.has_slot(decree) {
            self.drop_answer(decree, &mut moves);
        } else if let Some(held) = self.answers.get_mut(decree) {
            held.is_over = true;
        }
        moves
    }

    fn drop_answer(&mut self, decree: &DecreeId, moves: &mut Moves) {
        self.answers.remove(decree);
        if self.records.remove(decree).is_some() {
            moves.entries.push(book::erase_record(&self.name, decree));
        }
    }

    /// A new block: looks after everything in flight, and after answers whose turn has come, those that were not looked
    /// after for longest first.
    #[must_use]
    pub fn block(&mut self, height: Height) -> Moves {
        let mut moves = Moves::default();
        if self.height == Height(0) {
            // What was published before the first block was seen has its turns from that block on: after a common restart
            // all parties would send at once.
            for held in self.answers.values_mut().filter(|held| held.delivery.decided_at == Height(0)) {
                held.not_before = height.after(held.not_before.0);
            }
        }
        // A reorganised chain can be shorter for a while: the newest word counts, not the highest.
        self.height = height;
        if self.is_forked() {
            return moves;
        }
        let in_flight: BTreeSet<DecreeId> = self.slots.values().map(|slot| slot.decree.clone()).collect();
        for decree in &in_flight {
            self.want_look(decree, &mut moves);
        }
        if self.halt.is_some() {
            return moves;
        }
        let is_due = |held: &Held| held.not_before.max(held.again_at) <= height;
        let mut due: Vec<(Height, DecreeId)> = self
            .answers
            .iter()
            .filter(|(decree, held)| is_due(held) && !in_flight.contains(*decree))
            .map(|(decree, held)| (held.looked_at, decree.clone()))
            .collect();
        due.sort();
        for (_, decree) in due.into_iter().take(LOOKS_PER_BLOCK_MAX) {
            self.want_look(&decree, &mut moves);
        }
        moves
    }

    fn want_look(&mut self, decree: &DecreeId, moves: &mut Moves) {
        if let Some(held) = self.answers.get_mut(decree) {
            held.looked_at = self.height;
        }
        let of_decree = self.slots.values().filter(|slot| slot.decree == *decree);
        let hashes = of_decree.flat_map(|slot| slot.signed.iter().map(|signed| signed.hash)).collect();
        moves.wants.push(Want::Look(decree.clone(), hashes));
    }

    fn has_slot(&self, decree: &DecreeId) -> bool {
        self.slots.values().any(|slot| slot.decree == *decree)
    }
}
