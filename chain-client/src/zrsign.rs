//! zrSign Direct, pure: what its contracts ask in their logs, what an answer must say, and what a range of blocks must
//! show before it counts. No network here.
//!
//! | Room | Holds |
//! | --- | --- |
//! | [`abi`] | the contracts' surface, as types |
//! | [`name`] | proxies, wallet types, destinations, and how requests are named |
//! | [`event`] | logs to requests, by topic and by the contract's own type numbers |
//! | [`transaction`] | the nine-item payload, the fictitious simple one, and their digests |
//! | [`authorisation`] | the digest that admits an answer, and its signature's one form |
//! | [`range`] | whether a range of blocks is complete |
//! | [`price`] | at which gas price a response does not revert |
//!
//! The facts all of this relies on stand in `docs/zrsign.md`.

pub mod abi;
pub mod authorisation;
pub mod event;
pub mod name;
pub mod price;
pub mod range;
pub mod transaction;
