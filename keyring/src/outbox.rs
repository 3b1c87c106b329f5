//! The controller of one account on one zrChain: which answer goes out under which sequence, and what became of it.
//!
//! The chain turns a request REJECTED for everybody when one party answers it twice, so here a request owns one account
//! sequence until that is provably *dead* (law 3): at one height, read from one endpoint, the account's sequence is past
//! the transaction's while the request is still open without us. Signed bytes are stored before they leave and are sent
//! again only as they are. A closed request never gets a sequence; one that was taken for it is spent on nothing.
//!
//! Pure: readings and hints in, [`Want`]s and entries out. The pen that signs is deterministic and passed in. Refuses to
//! know how an answer came to be decided; it publishes decided bytes only.

use std::collections::BTreeMap;

use chain_client::{Answer, AnswerLoad, Height, Hint, Reading, RequestId, SignedTx, Standing};
use serde::{Deserialize, Serialize};

use crate::decree::DecreeId;
use crate::store::{Entry, Store, StoreError, Table};

/// Transactions of one account in flight at a time.
const IN_FLIGHT_MAX: usize = 16;
/// Blocks without news after which the same bytes are sent again.
const REPEAT_AFTER_BLOCKS: u64 = 2;
/// Sequences one request may use: each further one only after the one before was proved dead.
const SEQUENCES_PER_REQUEST_MAX: u32 = 3;

/// Signs for the account, deterministically, so that the same order gives the same bytes.
pub trait Pen {
    /// The account's address.
    fn account(&self) -> &str;
    /// The transaction that gives this answer under this sequence; `fee_step` raises the fee for a replacement. `None`
    /// when the chain asks more than the configured ceiling.
    fn answer(&self, order: &Order<'_>) -> Option<SignedTx>;
    /// The transaction that spends a sequence on nothing; `None` as above.
    fn nothing(&self, account_number: u64, sequence: u64) -> Option<SignedTx>;
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
    /// How often it was refused for its fee.
    pub fee_step: u32,
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
    /// The account sequence.
    pub sequence: u64,
    /// Everything ever signed under it, the newest last: at most one of them can land.
    pub signed: Vec<SignedTx>,
    /// How often it was refused for its fee.
    pub fee_step: u32,
    /// Which of the request's sequences this is, from 1.
    pub try_number: u32,
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
    /// Of the account's sequences, how many it has used up.
    pub used: u32,
    /// See [`Order::load`].
    pub load: AnswerLoad,
}

/// What the controller asks of its shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Account and request, of one endpoint and height.
    Read(DecreeId, RequestId),
    /// Send these bytes.
    Broadcast(SignedTx),
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
    /// The chain shows other bytes than the decided ones: alarm and silence.
    Foreign(DecreeId),
}

/// Why the controller stands still until an operator decides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// Somebody else uses the account.
    #[error("the account is at sequence {chain}, this party's journal at {own}: somebody else spends its sequences")]
    MovedWithoutUs {
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
    /// The next unused sequence, once the account was read.
    next: Option<u64>,
    slots: BTreeMap<u64, Slot>,
    sent_at: BTreeMap<u64, Height>,
    waiting: BTreeMap<DecreeId, Publication>,
    height: Height,
    /// The highest height that a reading was taken from.
    read_at: Height,
    halt: Option<Halt>,
    paused: bool,
    out_of_funds: bool,
    over_ceiling: bool,
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
    /// The controller as the store remembers it.
    ///
    /// # Errors
    /// When the store fails; a record that does not decode counts as damage of the store.
    pub fn recover(chain: &str, store: &dyn Store) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged { place: format!("outbox/{chain}"), what: "record does not decode" };
        let mut slots = BTreeMap::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = store.scan(Table::Outbox, &slot_prefix(chain), after.as_deref(), 256)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (_, bytes) in &page {
                let slot: Slot = postcard::from_bytes(bytes).map_err(|_| damaged())?;
                slots.insert(slot.sequence, slot);
            }
        }
        let next = store
            .read(Table::Outbox, &next_key(chain))?
            .map(|bytes| postcard::from_bytes::<u64>(&bytes).map_err(|_| damaged()))
            .transpose()?;
        Ok(Self {
            chain: chain.to_owned(),
            next,
            slots,
            sent_at: BTreeMap::new(),
            waiting: BTreeMap::new(),
            height: Height(0),
            read_at: Height(0),
            halt: None,
            // Until the keyring was read and found to be on.
            paused: true,
            out_of_funds: false,
            over_ceiling: false,
        })
    }

    /// The next sequence that this party would use, once it has used one or read the account.
    #[must_use]
    pub const fn next_sequence(&self) -> Option<u64> {
        self.next
    }

    /// Sequences taken and not proved spent.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.values()
    }

    /// Answers that wait for their turn, for a sequence, or for their sequence's fate.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Why it stands still, if it does.
    #[must_use]
    pub const fn halted(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// Whether the last broadcast was refused for lack of funds.
    #[must_use]
    pub const fn is_out_of_funds(&self) -> bool {
        self.out_of_funds
    }

    /// Whether the chain asks more for an answer than the configured ceiling.
    #[must_use]
    pub const fn is_over_ceiling(&self) -> bool {
        self.over_ceiling
    }

    /// Why nothing is published now, in words; empty when answers go out.
    #[must_use]
    pub fn why_silent(&self) -> String {
        match &self.halt {
            Some(halt) => halt.to_string(),
            None if self.paused => {
                "the keyring is unread or switched off, or this account is no party of it".to_owned()
            }
            None if self.out_of_funds => "the account has no funds".to_owned(),
            None if self.over_ceiling => {
                "the chain asks more than `fee_ceiling_urock`, or its fees are unread".to_owned()
            }
            None => String::new(),
        }
    }

    /// Whether a sequence or a place in the queue is held for this decree.
    #[must_use]
    pub fn holds(&self, decree: &DecreeId) -> bool {
        self.waiting.contains_key(decree) || self.slots.values().any(|slot| slot.decree == *decree)
    }

    /// A decided answer to publish. A decree that holds a sequence keeps it.
    pub fn publish(&mut self, decree: DecreeId, publication: Publication) {
        self.waiting.entry(decree).or_insert(publication);
    }

    /// Whether answers may go out at all: not while the keyring is switched off or this account is no party of it, since
    /// every answer would then spoil its request.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Forgets an answer that waits without a sequence: its request is over.
    pub fn forget(&mut self, decree: &DecreeId) {
        if !self.slots.values().any(|slot| slot.decree == *decree) {
            self.waiting.remove(decree);
        }
    }

    /// A new block: looks after everything in flight, oldest first, and at answers whose turn has come.
    #[must_use]
    pub fn block(&mut self, height: Height) -> Moves {
        let mut moves = Moves::default();
        self.height = self.height.max(height);
        if self.halt.is_some() {
            return moves;
        }
        for slot in self.slots.values() {
            moves.wants.push(Want::Read(slot.decree.clone(), slot.request));
        }
        let room = IN_FLIGHT_MAX.saturating_sub(self.slots.len());
        let due = self.waiting.iter().filter(|(decree, publication)| {
            publication.not_before <= self.height && !self.slots.values().any(|slot| slot.decree == **decree)
        });
        moves.wants.extend(due.take(room).map(|(decree, publication)| Want::Read(decree.clone(), publication.request)));
        moves
    }

    /// An account and a request, read together.
    #[must_use]
    pub fn reading(&mut self, decree: &DecreeId, reading: &Reading, pen: &dyn Pen) -> Moves {
        let mut moves = Moves::default();
        // Heights never go back: an endpoint that lags shows what was, and what was decides nothing.
        // An endpoint that does not know the request yet shows nothing about it.
        let is_unknown = matches!(reading.standing(), Standing::Gone);
        if self.halt.is_some() || reading.height() < self.read_at || is_unknown {
            return moves;
        }
        self.read_at = reading.height();
        if let Some(sequence) = self.slots.values().find(|slot| slot.decree == *decree).map(|slot| slot.sequence) {
            self.judge(sequence, reading, pen, &mut moves);
        } else if self.waiting.contains_key(decree) {
            self.consider(decree, reading, pen, &mut moves);
        }
        moves
    }

    /// What a node said when given a transaction. A hint: it never decides that something is dead.
    #[must_use]
    pub fn hinted(&mut self, sequence: u64, hint: &Hint, pen: &dyn Pen, account_number: Option<u64>) -> Moves {
        const FEE_TOO_LOW: u32 = 13;
        const NO_FUNDS: u32 = 5;
        let mut moves = Moves::default();
        let Hint::Refused { codespace, code, .. } = hint else {
            self.out_of_funds &= !matches!(hint, Hint::Taken);
            return moves;
        };
        match (codespace.as_str(), *code) {
            ("sdk", NO_FUNDS) => self.out_of_funds = true,
            ("sdk", FEE_TOO_LOW) => {
                let Some(publication) =
                    self.slots.get(&sequence).and_then(|slot| self.waiting.get(&slot.decree)).cloned()
                else {
                    return moves;
                };
                let Some(account_number) = account_number else { return moves };
                let Some(slot) = self.slots.get_mut(&sequence) else { return moves };
                slot.fee_step = slot.fee_step.saturating_add(1);
                let order = Order {
                    request: slot.request,
                    answer: &publication.answer,
                    account_number,
                    sequence,
                    fee_step: slot.fee_step,
                    load: publication.load,
                };
                match pen.answer(&order) {
                    Some(signed) => replace(slot, signed, &self.chain, &mut moves),
                    None => self.over_ceiling = true,
                }
            }
            _ => {}
        }
        moves
    }

    /// The fate of a sequence, by one reading of one endpoint and height.
    fn judge(&mut self, sequence: u64, reading: &Reading, pen: &dyn Pen, moves: &mut Moves) {
        let (height, standing) = (reading.height(), reading.standing());
        let Some(slot) = self.slots.get_mut(&sequence) else { return };
        if standing.names(pen.account()) {
            moves.outcomes.push(Outcome::Landed(slot.decree.clone(), height));
            return self.drop_slot(sequence, moves);
        }
        let spent = reading.account().sequence > sequence;
        match (spent, standing.is_open()) {
            (true, true) => {
                moves.outcomes.push(Outcome::Dead(slot.decree.clone(), sequence, height));
                let (decree, try_number) = (slot.decree.clone(), slot.try_number);
                if let Some(publication) = self.waiting.get_mut(&decree) {
                    publication.used = try_number;
                }
                self.release(sequence, try_number >= SEQUENCES_PER_REQUEST_MAX, moves);
            }
            (true, false) => {
                moves.outcomes.push(Outcome::Closed(slot.decree.clone(), height, standing.clone()));
                self.drop_slot(sequence, moves);
            }
            (false, true) => self.repeat(sequence, height, moves),
            (false, false) => {
                let spends_nothing = slot.signed.last().is_some_and(|signed| signed.request.is_none());
                if spends_nothing {
                    self.repeat(sequence, height, moves);
                } else {
                    self.sent_at.insert(sequence, height);
                    if let Some(signed) = pen.nothing(reading.account().number, sequence) {
                        replace(slot, signed, &self.chain, moves);
                    }
                }
            }
        }
    }

    /// A decided answer and the request as it stands: takes a sequence, or lets it be.
    fn consider(&mut self, decree: &DecreeId, reading: &Reading, pen: &dyn Pen, moves: &mut Moves) {
        let Some(publication) = self.waiting.get(decree).cloned() else { return };
        let standing = reading.standing();
        if standing.names(pen.account()) {
            moves.outcomes.push(Outcome::Landed(decree.clone(), reading.height()));
            self.waiting.remove(decree);
            return;
        }
        let Standing::Open { shown, .. } = standing else {
            moves.outcomes.push(Outcome::Closed(decree.clone(), reading.height(), standing.clone()));
            self.waiting.remove(decree);
            return;
        };
        if !publication.answer.agrees_with(shown) {
            moves.outcomes.push(Outcome::Foreign(decree.clone()));
            self.waiting.remove(decree);
            return;
        }
        let on_chain = reading.account().sequence;
        let next = self.next.unwrap_or(on_chain);
        if on_chain > next {
            self.halt = Some(Halt::MovedWithoutUs { chain: on_chain, own: next });
            return;
        }
        if self.paused || self.slots.len() >= IN_FLIGHT_MAX || publication.not_before > self.height {
            return;
        }
        let order = Order {
            request: publication.request,
            answer: &publication.answer,
            account_number: reading.account().number,
            sequence: next,
            fee_step: 0,
            load: publication.load,
        };
        let signed = pen.answer(&order);
        self.over_ceiling = signed.is_none();
        let Some(signed) = signed else { return };
        let slot = Slot {
            decree: decree.clone(),
            request: publication.request,
            sequence: next,
            signed: vec![signed.clone()],
            fee_step: 0,
            try_number: publication.used + 1,
        };
        self.next = Some(next + 1);
        moves.entries.push(Entry::put(Table::Outbox, next_key(&self.chain), encode(&(next + 1))));
        moves.entries.push(Entry::put(Table::Outbox, slot_key(&self.chain, next), encode(&slot)));
        moves.outcomes.push(Outcome::Submitting(decree.clone(), signed.clone()));
        moves.wants.push(Want::Broadcast(signed));
        self.sent_at.insert(next, reading.height());
        self.slots.insert(next, slot);
    }

    /// The same bytes again, after some blocks without news.
    fn repeat(&mut self, sequence: u64, height: Height, moves: &mut Moves) {
        let due = self.sent_at.get(&sequence).is_none_or(|sent| height.0 >= sent.0 + REPEAT_AFTER_BLOCKS);
        if due
            && !self.paused
            && let Some(signed) = self.slots.get(&sequence).and_then(|slot| slot.signed.last())
        {
            self.sent_at.insert(sequence, height);
            moves.wants.push(Want::Broadcast(signed.clone()));
        }
    }

    /// A spent sequence; its decree may use another one, unless it has had its share.
    fn release(&mut self, sequence: u64, exhausted: bool, moves: &mut Moves) {
        if let Some(slot) = self.slots.remove(&sequence) {
            self.sent_at.remove(&sequence);
            moves.entries.push(Entry::delete(Table::Outbox, slot_key(&self.chain, sequence)));
            if exhausted {
                self.waiting.remove(&slot.decree);
            }
        }
    }

    fn drop_slot(&mut self, sequence: u64, moves: &mut Moves) {
        self.release(sequence, true, moves);
    }
}

/// Another transaction under the same sequence: only one of them can land.
fn replace(slot: &mut Slot, signed: SignedTx, chain: &str, moves: &mut Moves) {
    slot.signed.push(signed.clone());
    moves.entries.push(Entry::put(Table::Outbox, slot_key(chain, slot.sequence), encode(slot)));
    moves.wants.push(Want::Broadcast(signed));
}

fn slot_prefix(chain: &str) -> Vec<u8> {
    [b"slot/", chain.as_bytes(), b"/"].concat()
}

fn slot_key(chain: &str, sequence: u64) -> Vec<u8> {
    [slot_prefix(chain).as_slice(), &sequence.to_be_bytes()].concat()
}

fn next_key(chain: &str) -> Vec<u8> {
    [b"next/", chain.as_bytes()].concat()
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // postcard of these plain types cannot fail.
    postcard::to_stdvec(value).unwrap_or_default()
}
