//! zrSign's client on a real EVM node with our contracts, through endpoints that tell the truth and endpoints that lie.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

// The node and the world on it are those of the contracts' own tests.
#[allow(dead_code, reason = "shared with contracts/tests")]
#[path = "../../../contracts/tests/anvil/asks.rs"]
mod asks;
#[allow(dead_code, reason = "shared with contracts/tests")]
#[path = "../../../contracts/tests/anvil/cast.rs"]
mod cast;
#[path = "../../../contracts/tests/anvil/node.rs"]
mod node;
#[allow(dead_code, unused_imports, reason = "shared with contracts/tests")]
#[path = "../../../contracts/tests/anvil/world.rs"]
mod world;

mod agreement;
mod bench;
mod each;
mod faults;
mod finality;
mod getters;
mod liar;
mod lies;
mod ranges;
mod scene;
mod sending;
mod tls;
mod twice;
