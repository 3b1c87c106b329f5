//! zrSign Direct under faults: whole daemons, a real EVM node with our contract on it, and between the two what can go
//! wrong there. Judged by the chain, by what the parties show, and by their accounts.

#![cfg(feature = "devnet")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(dead_code, reason = "the support serves several targets")]

// The world on the node is that of the contracts' own tests.
#[path = "../../contracts/tests/anvil/asks.rs"]
mod asks;
#[path = "../../contracts/tests/anvil/cast.rs"]
mod cast;
#[path = "../../contracts/tests/anvil/world.rs"]
#[allow(unused_imports, reason = "shared with contracts/tests")]
mod world;

#[path = "support/crew.rs"]
mod crew;
#[path = "support/customer.rs"]
mod customer;
#[path = "support/exposition.rs"]
mod exposition;
#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/go_between.rs"]
mod go_between;
#[path = "support/ground.rs"]
mod ground;
#[path = "support/settings.rs"]
mod settings;

#[path = "direct/kills.rs"]
mod kills;
#[path = "direct/lies.rs"]
mod lies;
#[path = "direct/node.rs"]
mod node;
#[path = "direct/owners.rs"]
mod owners;
#[path = "direct/reorganisations.rs"]
mod reorganisations;
#[path = "direct/scene.rs"]
mod scene;
#[path = "direct/town.rs"]
mod town;
#[path = "direct/upgrades.rs"]
mod upgrades;
