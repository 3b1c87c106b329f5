//! Real keyring cores on a seeded network, with a virtual clock, an embedded chain, crashes and lies. Development only.
//!
//! | Room | Holds |
//! | --- | --- |
//! | [`Plan`] | what a seed means: sizes, weather, faults, wishes, lies |
//! | [`World`] | processes, network, chain, clock; lets things happen |
//! | [`Outcome`], [`Violation`] | what came of it, and which law did not hold |
//! | [`Enumeration`] | a crash on both sides of every write of a path |
//!
//! One seed is one run, to the event. `docs/simulation.md` tells what is simulated, what is judged, and what is weaker
//! than the real thing.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod crashes;
mod laws;
mod ledger;
mod liar;
mod network;
mod outcome;
mod plan;
mod process;
mod stocked;
mod town;
mod world;

pub use crashes::{CrashSite, Enumeration, Harm};
pub use laws::Violation;
pub use liar::Lie;
pub use network::Weather;
pub use outcome::{Outcome, Totals};
#[cfg(feature = "planted")]
pub use plan::Plant;
pub use plan::{EndpointLie, Endpoints, Fault, Plan, ShellPlant, Wish};
pub use world::{Who, World};

/// Runs the world of a seed to its end.
#[must_use]
pub fn run_seed(seed: u64) -> Outcome {
    World::seeded(seed).finish()
}
