//! zrSign Direct: what its contracts ask in their logs, what an answer must say, and what a range of blocks must show
//! before it counts. All of it is pure but [`evm`], which reads the chain and sends to it.
//!
//! | Room | Holds |
//! | --- | --- |
//! | [`abi`] | the contracts' surface, as types |
//! | [`name`] | proxies, wallet types, destinations, and how requests are named |
//! | [`event`] | logs to requests, by topic and by the contract's own type numbers |
//! | [`transaction`] | the nine-item payload, the fictitious simple one, and their digests |
//! | [`authorisation`] | the digest that admits an answer, and its signature's one form |
//! | [`ask`] | the other end: how to ask, and whether an answer is what was asked for |
//! | [`range`] | whether a range of blocks is complete |
//! | [`price`] | at which gas price a response does not revert |
//! | [`revert`] | why a response would revert |
//! | [`evm`] | endpoints of an EVM chain: final ranges, getters, sending |
//!
//! The facts all of this relies on stand in `docs/zrsign.md`.

pub mod abi;
pub mod ask;
pub mod authorisation;
pub mod event;
pub mod evm;
pub mod name;
pub mod price;
pub mod range;
pub mod revert;
pub mod transaction;
