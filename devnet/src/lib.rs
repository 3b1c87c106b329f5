//! Chains for a laptop: an embedded development chain that speaks zrChain's gRPC.
//!
//! [`chain`] is the pure machine (`docs/devnet-chain.md` says what it reproduces).

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod chain;
