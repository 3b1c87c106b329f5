//! The controller of one account on one zrChain: which answer goes out under which sequence, and what became of it.
//!
//! The chain turns a request REJECTED for everybody when one party answers it twice, so here a request owns one account
//! sequence until that is provably *dead* (law 3): at one height, read from one endpoint, the account's sequence is past
//! the transaction's while the request is still open without us; and where several endpoints are configured, none that
//! can be reached says otherwise. Signed bytes are stored before they leave and are sent again only as they are. A
//! closed request never gets a sequence; one that was taken for it is spent on nothing. The facts behind all this stand
//! in `docs/publishing.md`.
//!
//! Pure: readings and hints in, [`Want`]s and entries out. The pen that signs is deterministic and passed in. Refuses to
//! know how an answer came to be decided; it publishes decided bytes only.
//!
//! | Room | Does |
//! | --- | --- |
//! | `outbox/book.rs` | what the store holds of it |
//! | `outbox/gate.rs` | what may go out now, and in words why not |
//! | `outbox/fate.rs` | what became of a sequence |
//! | `outbox/taking.rs` | which answer gets the next sequence |
//! | `outbox/hints.rs` | what nodes say of broadcasts |
//! | `outbox/witness.rs` | verdicts that all endpoints must share |

mod book;
mod fate;
mod gate;
mod hints;
mod taking;
mod witness;

#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chain_client::{Answer, AnswerLoad, EndpointId, Height, RequestId, SignedTx, Standing, TxHash};
use serde::{Deserialize, Serialize};

pub use self::book::halt_on_disk;
pub use self::gate::Leave;
pub use self::witness::ResumeError;
use crate::decree::DecreeId;
use crate::store::Entry;

/// Transactions of one account in flight at a time.
pub const IN_FLIGHT_MAX: usize = 16;
/// Blocks without news after which the same bytes are sent again.
const REPEAT_AFTER_BLOCKS: u64 = 2;
/// Sequences one request may use: each further one only after the one before was proved dead.
const SEQUENCES_PER_REQUEST_MAX: u32 = 3;
/// Transactions ever signed under one sequence: the fee of each replacement is higher, until the ceiling.
const SIGNED_PER_SEQUENCE_MAX: usize = 16;
/// How long a contradiction is shown after it was last seen; then it is told anew.
const CONTRADICTION_BLOCKS: u64 = 50;
/// Blocks within which the other endpoints are asked about what was let go on one's word.
const CHECK_BLOCKS: u64 = 16;
/// Sequences remembered after they were let go.
const RELEASED_MAX: usize = 64;
/// A reading so many blocks behind the newest block starts nothing.
const FRESH_BLOCKS: u64 = 3;

/// Signs for the account, deterministically, so that the same order gives the same bytes.
pub trait Pen {
    /// The account's address.
    fn account(&self) -> &str;
    /// The transaction that gives this answer under this sequence. `None` when the chain asks more than the configured
    /// ceiling.
    fn answer(&self, order: &Order<'_>) -> Option<SignedTx>;
    /// The fee of that transaction, in urock; what the keyring takes for the answer is not in it. `None` as above.
    fn fee(&self, order: &Order<'_>) -> Option<u128>;
    /// The transaction that spends a sequence on nothing; `fee_step` as in [`Order`]. `None` as above.
    fn nothing(&self, account_number: u64, sequence: u64, fee_step: u32) -> Option<SignedTx>;
}

/// What a pen signs.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The request.
    pub request: RequestId,
    /// The decided answer.
    pub answer: &'a Answer,
    /// The account's number on the chain.
    pub account_number: u64,
    /// The sequence it owns.
    pub sequence: u64,
    /// How often it was refused for its fee at one price of the chain: each step doubles the fee.
    pub fee_step: u32,
    /// How often gas may have run out for this request: each step doubles the gas.
    pub gas_step: u32,
    /// What the answer has to rewrite, hence what it costs.
    pub load: AnswerLoad,
}

/// One sequence and what it was taken for. Stored before its bytes leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The decree whose answer it carries.
    pub decree: DecreeId,
    /// The request.
    pub request: RequestId,
    /// The account's number on the chain.
    pub account_number: u64,
    /// The account sequence.
    pub sequence: u64,
    /// Everything ever signed under it, the newest last: at most one of them can land.
    pub signed: Vec<SignedTx>,
    /// See [`Order::fee_step`].
    pub fee_step: u32,
    /// See [`Order::gas_step`].
    pub gas_step: u32,
    /// Which of the request's sequences this is, from 1.
    pub try_number: u32,
    /// It was let go as spent and is not: whatever its request needs, the sequence is only to be spent.
    pub abandoned: bool,
}

/// A sequence that was let go as spent. Kept for a while, because an endpoint may have lied about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Released {
    decree: DecreeId,
    request: RequestId,
    account_number: u64,
}

impl Slot {
    /// Whether the newest bytes under it spend the sequence on nothing.
    #[must_use]
    pub fn spends_nothing(&self) -> bool {
        self.signed.last().is_some_and(|signed| signed.request.is_none())
    }
}

/// An answer that is to be published.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The request.
    pub request: RequestId,
    /// The decided answer.
    pub answer: Answer,
    /// Not before this height: standbys look again later.
    pub not_before: Height,
    /// See [`Order::load`].
    pub load: AnswerLoad,
}

/// What the controller asks of its shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Account and request, of one endpoint and height: [`Outbox::reading`].
    Read(DecreeId, RequestId),
    /// The same from every endpoint: [`Outbox::testimony`].
    Confirm(DecreeId, RequestId),
    /// Send these bytes.
    Broadcast(SignedTx),
    /// Tell a person what became of these, all of one dead sequence.
    Explain(DecreeId, Vec<TxHash>),
}

/// What became of a publication; told to the request machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its bytes are signed and stored under this sequence.
    Submitting(DecreeId, SignedTx),
    /// Our answer stands on the request.
    Landed(DecreeId, Height),
    /// The request closed without needing ours.
    Closed(DecreeId, Height, Standing),
    /// What was sent under the sequence failed; the request is open without us. It may try again.
    Dead(DecreeId, u64, Height),
    /// So many sequences were spent on it without effect: this party gives it up.
    Exhausted(DecreeId, u32),
    /// The chain shows other bytes than the decided ones: alarm and silence.
    Foreign(DecreeId),
    /// Our answer stands on the request, though none of ours can have brought it there: this sequence is unspent.
    Impostor(DecreeId, u64),
    /// Endpoints say what cannot both be true; in words.
    Contradiction(String),
    /// The controller stands still from now on.
    Halted(Halt),
}

/// Why the controller stands still until an operator decides. Written down: a restart does not end it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Halt {
    /// Somebody else uses the account.
    #[error("the account is at sequence {chain}, this party's journal at {own}: somebody else spends its sequences")]
    MovedWithoutUs {
        /// On the chain.
        chain: u64,
        /// The next one that this party would have used.
        own: u64,
    },
    /// The chain takes back what it showed.
    #[error(
        "the account is back at sequence {chain}, which the chain had shown as spent; this party's journal is at {own}"
    )]
    WentBack {
        /// On the chain.
        chain: u64,
        /// The next one that this party would have used.
        own: u64,
    },
}

/// The controller of one account.
#[derive(Debug)]
pub struct Outbox {
    chain: String,
    /// How many endpoints are configured.
    endpoints: usize,
    /// The next unused sequence, once the account was read.
    next: Option<u64>,
    slots: BTreeMap<u64, Slot>,
    /// The last sequences that were let go.
    released: BTreeMap<u64, Released>,
    /// The highest height at which a sequence was found spent and let go.
    let_go_at: Height,
    /// What was let go last on one endpoint's word, and when: the others are asked whether it is so.
    unchecked: Option<(DecreeId, RequestId, Height)>,
    /// Of requests that are not over, how many sequences were spent without effect.
    spent: BTreeMap<DecreeId, u32>,
    sent_at: BTreeMap<u64, Height>,
    waiting: BTreeMap<DecreeId, Publication>,
    /// When an answer that waits was last asked about: nobody waits behind one that cannot be signed now.
    asked_at: BTreeMap<DecreeId, Height>,
    height: Height,
    /// The highest height that a reading of each endpoint was taken from.
    read_at: BTreeMap<EndpointId, Height>,
    /// When lower sequences were last sent again because a node missed them.
    mended_at: Height,
    halt: Option<Halt>,
    gate: gate::Gate,
    /// What endpoints contradict each other about, in words, and when they last did.
    contradiction: Option<(Height, String)>,
    /// What cannot be confirmed because endpoints are missing or behind, in words.
    unconfirmed: Option<String>,
}

/// Entries to write, what to ask, what happened.
#[derive(Debug, Default)]
pub struct Moves {
    /// For the journal, in the same write.
    pub entries: Vec<Entry>,
    /// For the shell, once that is durable.
    pub wants: Vec<Want>,
    /// For the request machine.
    pub outcomes: Vec<Outcome>,
}

impl Outbox {
    /// Sequences taken and not proved spent.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.values()
    }

    /// Answers that wait for their turn, for a sequence, or for their sequence's fate.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The next unused sequence, once the account was read.
    #[must_use]
    pub const fn next_sequence(&self) -> Option<u64> {
        self.next
    }

    /// Whether nothing is in flight, waits, or is to be looked at again.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.slots.is_empty() && self.waiting.is_empty() && self.unchecked.is_none()
    }

    /// Why it stands still, if it does.
    #[must_use]
    pub const fn halted(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// Whether a sequence or a place in the queue is held for this decree.
    #[must_use]
    pub fn holds(&self, decree: &DecreeId) -> bool {
        self.waiting.contains_key(decree) || self.slot_of(decree).is_some()
    }

    /// Requests that are open and given up here: their sequences were spent without effect.
    pub fn given_up(&self) -> impl Iterator<Item = &DecreeId> {
        self.spent.iter().filter(|(_, tries)| **tries >= SEQUENCES_PER_REQUEST_MAX).map(|(decree, _)| decree)
    }

    /// A decided answer to publish. A decree that holds a sequence keeps it; one that has used up its sequences gets no
    /// other, also after a restart.
    pub fn publish(&mut self, decree: DecreeId, publication: Publication) {
        if self.tries(&decree) < SEQUENCES_PER_REQUEST_MAX {
            self.waiting.entry(decree).or_insert(publication);
        }
    }

    /// Forgets an answer that waits without a sequence: its request is over.
    #[must_use]
    pub fn forget(&mut self, decree: &DecreeId) -> Moves {
        let mut moves = Moves::default();
        if self.slot_of(decree).is_none() {
            self.waiting.remove(decree);
            self.asked_at.remove(decree);
            if self.spent.remove(decree).is_some() {
                moves.entries.push(book::erase_spent(&self.chain, decree));
            }
        }
        moves
    }

    /// A new block: looks after everything in flight, oldest first, and at answers whose turn has come.
    #[must_use]
    pub fn block(&mut self, height: Height) -> Moves {
        let mut moves = Moves::default();
        self.height = self.height.max(height);
        if self.is_forked() {
            return moves;
        }
        moves.wants.extend(self.slots.values().map(|slot| Want::Read(slot.decree.clone(), slot.request)));
        if self.unchecked.as_ref().is_some_and(|(.., since)| since.after(CHECK_BLOCKS) < self.height) {
            self.unchecked = None;
        }
        if let Some((decree, request, _)) = self.unchecked.as_ref().filter(|_| self.slots.is_empty()) {
            moves.wants.push(Want::Confirm(decree.clone(), *request));
        }
        if self.halt.is_some() {
            return moves;
        }
        let held: BTreeSet<&DecreeId> =
            self.slots.values().filter(|slot| !slot.abandoned).map(|slot| &slot.decree).collect();
        let mut due: Vec<(Height, DecreeId, RequestId)> = self
            .waiting
            .iter()
            .filter(|(decree, publication)| publication.not_before <= self.height && !held.contains(decree))
            .map(|(decree, publication)| {
                let asked = self.asked_at.get(decree).copied().unwrap_or_default();
                (asked, decree.clone(), publication.request)
            })
            .collect();
        due.sort();
        for (_, decree, request) in due.into_iter().take(IN_FLIGHT_MAX.saturating_sub(self.slots.len())) {
            self.asked_at.insert(decree.clone(), self.height);
            moves.wants.push(Want::Read(decree, request));
        }
        moves
    }

    fn slot_of(&self, decree: &DecreeId) -> Option<&Slot> {
        self.slots.values().find(|slot| slot.decree == *decree && !slot.abandoned)
    }

    fn tries(&self, decree: &DecreeId) -> u32 {
        self.spent.get(decree).copied().unwrap_or(0)
    }
}
