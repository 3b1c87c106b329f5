//! The contracts on a real EVM node: every function, every reachable revert, every event, every trap.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(clippy::print_stdout, reason = "what was measured is shown")]

#[path = "anvil/asks.rs"]
mod asks;
#[path = "anvil/cast.rs"]
mod cast;
#[path = "anvil/node.rs"]
mod node;
#[path = "anvil/world.rs"]
mod world;

#[path = "anvil/admin.rs"]
mod admin;
#[path = "anvil/answers.rs"]
mod answers;
#[path = "anvil/consumer.rs"]
mod consumer;
#[path = "anvil/examples.rs"]
mod examples;
#[path = "anvil/gas.rs"]
mod gas;
#[path = "anvil/hardened.rs"]
mod hardened;
#[path = "anvil/proxy.rs"]
mod proxy;
#[path = "anvil/refunds.rs"]
mod refunds;
#[path = "anvil/requests.rs"]
mod requests;
