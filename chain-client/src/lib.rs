//! What chains ask, and what we answer. No MPC, no peers.
//!
//! | Room | Holds |
//! | --- | --- |
//! | [`proto`] | the wire: generated messages, clients, and servers under the feature `server` |
//! | [`name`] | chain, height, request, key type, endpoint |
//! | [`request`] | requests and what became of them |
//! | [`reading`] | facts with the endpoint and height they were read from |
//! | [`answer`] | canonical bytes, and their check by the chain's own rule |
//! | [`endpoint`] | several nodes of one chain: preference, failover, bounded waits |
//! | [`zrchain`] | reads a zrChain, sends to it |
//! | [`account`] | an account key: address, signatures |
//! | [`tx`] | signed bytes, pure |
//! | [`fee`] | gas by record size, and its price |
//! | [`wallet`] | addresses on this chain and others |
//! | [`zrsign`] | the zrSign contracts on EVM chains: what is asked and answered, reads, sending |
//! | [`submission`] | signed transactions, hints, receipts |
//!
//! The facts all of this relies on stand in `docs/zrchain.md`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod account;
pub mod answer;
pub mod endpoint;
pub mod fee;
pub mod name;
pub mod proto;
pub mod reading;
pub mod request;
pub mod submission;
pub mod tx;
pub mod wallet;
pub mod zrchain;
pub mod zrsign;

pub use account::{AccountError, PartyAccount};
pub use answer::{Answer, AnswerError, Question};
pub use endpoint::{Endpoint, EndpointError, EndpointHealth, ReadError, Settings};
pub use fee::{AnswerLoad, Charge, FeePolicy, GasPrice};
pub use name::{ChainId, EndpointId, Height, KeyType, RequestId, RequestKind};
pub use reading::{AccountFacts, Block, ChainKey, KeyringFacts, MixedReading, Pinned, Reading, Scan, TreasuryFacts};
pub use request::{Ask, LowWater, Request, Standing, Status};
pub use submission::{Hint, Receipt, SignedTx, TxHash};
pub use tx::Seat;
pub use zrchain::{Comparison, Fork, ZrChain};
