//! `keyringd request` as a user has it: the program, real chains, and answers made by plain keys in place of a committee.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

#[path = "request/asker.rs"]
mod asker;
#[path = "request/contract.rs"]
mod contract;
#[path = "request/keyholder.rs"]
mod keyholder;
#[path = "request/zrchain.rs"]
mod zrchain;
