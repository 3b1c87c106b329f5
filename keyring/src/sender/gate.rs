//! What may go out now, and in words why not.
//!
//! Three things can be done with a nonce: send stored bytes again, sign something else under one that is held, take a
//! new one. Each gate closes some of them; following what is in flight goes on behind all of them but a fork.

use chain_client::Height;

use super::{ContractLook, FRESH_BLOCKS, Leave, Moves, Outcome, PenError, Sender};
use crate::decree::DecreeId;

/// Longest of a contract's or a node's words that is kept.
const WORDS_MAX: usize = 200;

/// Why an answer waits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The endpoint is behind, or the account was not read yet.
    #[error("the account was not read yet, or the endpoint is behind")]
    Unread,
    /// The account has moved at the head. When that is final, the sender stands still.
    #[error("the newest block shows the account at nonce {chain}, this party's journal is at {own}")]
    Moved {
        /// At the newest block.
        chain: u64,
        /// The next one that this party would use.
        own: u64,
    },
    /// The newest block does not have the request.
    #[error("the newest block does not show the request")]
    Unknown,
    /// Somebody else has answered, in no final block yet.
    #[error("somebody else has answered; no final block shows it yet")]
    Answered,
    /// The contract takes no answers.
    #[error("the contract is paused")]
    Paused,
    /// The contract runs code that nobody has listed.
    #[error("the contract runs code that is not listed; compare it, then list it in the configuration")]
    Unlisted,
    /// The chain asks more than the operator gives.
    #[error("gas costs {needed} wei, more than the highest price of {max}")]
    TooDear {
        /// What it would take, in wei for a unit.
        needed: u128,
        /// The highest price.
        max: u128,
    },
    /// No price within the bounds lets the contract's arithmetic pass.
    #[error(
        "at {wanted} wei for gas the contract's arithmetic panics, and no price from the base fee up to {max} avoids it"
    )]
    DeadZone {
        /// What would be offered.
        wanted: u128,
        /// The highest price.
        max: u128,
    },
    /// It may cost more than one answer may.
    #[error("it may cost {worst} wei, of which `max_loss_per_answer` leaves {left}")]
    AnswerLoss {
        /// If it reverts.
        worst: u128,
        /// Of the bound.
        left: u128,
    },
    /// It may cost more than the day has left.
    #[error("it may cost {worst} wei, of which this day's budget leaves {left}, what is in flight taken off")]
    DayLoss {
        /// If it reverts.
        worst: u128,
        /// Of the budget.
        left: u128,
    },
    /// The account cannot pay for it and what is in flight.
    #[error("the account holds {balance} wei, with what is in flight {needed} are needed")]
    NoFunds {
        /// For all of it.
        needed: u128,
        /// What there is.
        balance: u128,
    },
    /// As many transactions are in flight as may be.
    #[error("as many transactions as allowed are in flight")]
    Full,
    /// A simulation of the call did not pass.
    #[error("a simulation of it fails: {0}")]
    Refused(String),
    /// Nobody said whether its call would pass.
    #[error("no endpoint says whether it would pass: it was refused for another reason than the contract's")]
    Untried,
    /// The account's key gives no signature, which time does not mend.
    #[error("{PenError}: nothing is sent for this account; look at the key, `contract.account`, and report it")]
    Unsigned,
    /// Under its nonce nothing more is signed.
    #[error(
        "as many transactions as allowed were signed under nonce {0}; the last one is sent again until it is mined"
    )]
    Exhausted(u64),
    /// This process may not sign now, for a reason that holds for the whole account: [`Sender::why_silent`].
    #[error("this process may not sign for the account now")]
    Silent,
}

impl Why {
    /// The reason in one fixed word, for metrics.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unread => "unread",
            Self::Moved { .. } => "moved",
            Self::Unknown => "unknown",
            Self::Answered => "answered",
            Self::Paused => "paused",
            Self::Unlisted => "unlisted",
            Self::TooDear { .. } => "too_dear",
            Self::DeadZone { .. } => "dead_zone",
            Self::AnswerLoss { .. } => "answer_loss",
            Self::DayLoss { .. } => "day_loss",
            Self::NoFunds { .. } => "no_funds",
            Self::Full => "full",
            Self::Refused(_) => "refused",
            Self::Untried => "untried",
            Self::Unsigned => "unsigned",
            Self::Exhausted(_) => "exhausted",
            Self::Silent => "silent",
        }
    }

    pub(super) fn refused(words: &str) -> Self {
        Self::Refused(words.chars().take(WORDS_MAX).collect())
    }
}

/// The gates that hold for the whole account.
#[derive(Debug)]
pub(super) struct Gate {
    leave: Leave,
    /// Up to this one nonces may be of a past that this party does not remember.
    keep_out: Option<u64>,
    /// Why the chain's endpoints are not believed at all.
    fork: Option<String>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { leave: Leave::All, keep_out: None, fork: None }
    }
}

impl Sender {
    /// What may be done until this is said anew.
    pub const fn allow(&mut self, leave: Leave) {
        self.gate.leave = leave;
    }

    /// Nonces up to this one may have been used by this party before it lost its memory: what is stored under them may
    /// be sent again as it is, and nothing else is ever signed under them. `None` when everything is remembered.
    pub const fn keep_out(&mut self, up_to: Option<u64>) {
        self.gate.keep_out = up_to;
    }

    /// Whether the endpoints follow two chains, or one has replaced a final block, in words; while that is so, nothing
    /// that any of them shows is believed.
    pub fn fork(&mut self, fork: Option<String>) {
        self.gate.fork = fork;
    }

    /// Whether nothing of the chain is believed.
    #[must_use]
    pub const fn is_forked(&self) -> bool {
        self.gate.fork.is_some()
    }

    /// Why nothing is sent on this chain at all, in words; empty when answers go out.
    #[must_use]
    pub fn why_silent(&self) -> String {
        let gate = &self.gate;
        if let Some(halt) = &self.halt {
            return format!("{halt}; end it with `keyringd controller resume`");
        }
        if let Some(fork) = &gate.fork {
            return format!("its endpoints are not believed: {fork}");
        }
        match gate.leave {
            Leave::Nothing => return "this process holds no lease".to_owned(),
            Leave::Stored => return "only what is stored may be sent again".to_owned(),
            Leave::All => {}
        }
        if let Some(bound) = gate.keep_out.filter(|bound| self.next.is_some_and(|next| next <= *bound)) {
            return format!(
                "nonces up to {bound} may have been used before this party lost its memory; if nothing of its account is on \
                 its way: `keyringd controller resume`"
            );
        }
        String::new()
    }

    /// Answers that wait, or that are in flight and cannot be helped on, with the reason.
    pub fn why_waiting(&self) -> impl Iterator<Item = (&DecreeId, &Why)> {
        self.answers.iter().filter_map(|(decree, held)| Some((decree, held.why.as_ref()?)))
    }

    /// Tells a reason once, until it is another one.
    pub(super) fn waits(&mut self, decree: &DecreeId, why: Why, moves: &mut Moves) {
        let Some(held) = self.answers.get_mut(decree) else { return };
        let is_news = held.why.as_ref().is_none_or(|before| before.word() != why.word());
        if is_news {
            moves.outcomes.push(Outcome::Waiting(decree.clone(), why.clone()));
        }
        held.why = Some(why);
    }

    pub(super) fn waits_no_more(&mut self, decree: &DecreeId) {
        if let Some(held) = self.answers.get_mut(decree) {
            held.why = None;
        }
    }

    /// Whether stored bytes may be sent again.
    pub(super) const fn may_send(&self) -> bool {
        !matches!(self.gate.leave, Leave::Nothing) && self.gate.fork.is_none() && self.halt.is_none()
    }

    /// Whether anything new may be signed under a nonce.
    pub(super) fn may_sign(&self, nonce: u64) -> bool {
        self.gate.leave == Leave::All && self.may_send() && !self.is_of_forgotten_past(nonce)
    }

    /// Whether this party may have used a nonce in a past that it does not remember.
    pub(super) fn is_of_forgotten_past(&self, nonce: u64) -> bool {
        self.gate.keep_out.is_some_and(|bound| nonce <= bound)
    }

    /// Whether something seen at this block is too old to begin anything with.
    pub(super) fn is_old(&self, head: Height) -> bool {
        head.after(FRESH_BLOCKS) < self.height
    }
}

/// Whether a contract takes answers now.
pub(super) const fn is_open(contract: &ContractLook) -> Result<(), Why> {
    match (contract.listed, contract.paused) {
        (false, _) => Err(Why::Unlisted),
        (true, true) => Err(Why::Paused),
        (true, false) => Ok(()),
    }
}
