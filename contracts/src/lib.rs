//! The zrSign contracts: our own Solidity under `solidity/`, what it compiles to under `artifacts/`, and bindings for
//! Rust made from that.
//!
//! For the development chains and for tests. What a keyring reads from a chain and signs is decided in `chain-client`,
//! which does not know this crate.

pub mod answer;
pub mod anvil;
pub mod bindings;
pub mod names;
