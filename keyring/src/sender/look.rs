//! What is seen of the chain, and what a simulation and a node say.

use alloy_primitives::{Address, B256, Bytes};
use chain_client::Height;

/// An account and its surroundings, as one endpoint shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The newest block.
    pub head: Height,
    /// Its time, in seconds since 1970.
    pub timestamp: u64,
    /// The base fee of the block after it, in wei.
    pub base_fee: u128,
    /// The newest final block.
    pub finality: Height,
    /// The account.
    pub account: AccountLook,
}

impl Sight {
    /// Whether it can be of one moment. Its parts are read one after the other.
    pub(super) fn is_of_one_moment(&self) -> bool {
        self.finality <= self.head && self.account.final_nonce <= self.account.nonce
    }
}

/// This party's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountLook {
    /// What it holds at the newest block, in wei.
    pub balance: u128,
    /// Its count of transactions at the newest block.
    pub nonce: u64,
    /// Its count of transactions at the newest final block.
    pub final_nonce: u64,
}

/// An answer's contract at the newest block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContractLook {
    /// Whether it takes no answers.
    pub paused: bool,
    /// Whether it runs code that the operators have listed.
    pub listed: bool,
    /// `getRespGas()`: the gas limit of every answer.
    pub response_gas: u64,
}

/// How a contract has a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// The block does not have it.
    Unknown,
    /// It waits for its answer.
    Open,
    /// It is answered.
    Answered {
        /// Whether with the decided bytes.
        agrees: bool,
    },
}

/// An answer's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLook {
    /// At the newest block.
    pub at_head: RequestState,
    /// At the newest final block.
    pub at_final: RequestState,
    /// What the contract holds for whoever answers, in wei, while it is open.
    pub value: u128,
}

/// One of our transactions in a block of the chain as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Which.
    pub hash: B256,
    /// The block.
    pub height: Height,
    /// Whether it had effect; it is paid for in either case.
    pub succeeded: bool,
    /// Gas that it used.
    pub gas_used: u64,
    /// Wei for each unit.
    pub price: u128,
}

/// Everything that decides about one answer, of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The account.
    pub sight: Sight,
    /// The answer's contract.
    pub contract: ContractLook,
    /// The answer's request.
    pub request: RequestLook,
    /// Those that were found of the transactions that were asked for.
    pub receipts: Vec<Receipt>,
}

/// A call, as it would be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// This party's account.
    pub from: Address,
    /// The contract.
    pub to: Address,
    /// The gas limit.
    pub gas: u64,
    /// Wei for each unit of gas.
    pub price: u128,
    /// Call data.
    pub data: Bytes,
}

/// On which state a call is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// After what waits in the node's pool: somebody else's answer may be there.
    Pending,
    /// Of the newest block: what waits may be our own, about to be replaced.
    Head,
}

/// What a simulation says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Simulated {
    /// The call passed.
    Passed,
    /// It did not.
    Reverted(Revert),
}

/// Why a call does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revert {
    /// Panic 0x11: the contract's arithmetic, which at some prices goes below zero.
    Panic,
    /// `RequestNotFoundOrAlreadyProcessed`, or `IncorrectWalletIndex` with a higher one expected.
    Answered,
    /// Anything else, in the contract's or the node's words.
    Other(String),
}

/// What a node says when given a transaction. It never decides that something is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// It is in the node's pool now, or was before.
    Taken,
    /// It, or what stands under its nonce, must be offered more.
    Underpriced,
    /// Its nonce is spent.
    NonceSpent,
    /// No answer, or another refusal: the same bytes again later.
    Unknown,
}
