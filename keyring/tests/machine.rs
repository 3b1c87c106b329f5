//! Faults of the machine, with the real program: what it says, how it ends, and that nothing is lost by it. The faults at
//! start are those of the table in docs/operations.md, read from there.

#![cfg(feature = "devnet")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(clippy::print_stdout, reason = "a campaign tells what it did")]
#![allow(dead_code, reason = "the support serves several targets")]

#[path = "support/crew.rs"]
mod crew;
#[path = "support/customer.rs"]
mod customer;
#[path = "support/ground.rs"]
mod ground;
#[path = "machine/running.rs"]
mod running;
#[path = "machine/secrecy.rs"]
mod secrecy;
#[path = "machine/starting.rs"]
mod starting;
