//! Chains for a laptop: an embedded development chain that speaks zrChain's gRPC.
//!
//! [`chain`] is the pure machine (`docs/devnet-chain.md` says what it reproduces), [`server`] runs it behind gRPC
//! endpoints whose [`faults`] can be injected, [`chain_only`] is the whole as a command, [`demo`] are the people who
//! use it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod chain;
pub mod chain_only;
pub mod demo;
pub mod evm;
pub mod faults;
pub mod server;
