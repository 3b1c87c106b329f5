//! `keyringd`: one party of an off-chain MPC keyring. The only crate that sees protocols, peers and chains together.
//!
//! | Room | Holds |
//! | --- | --- |
//! | [`node`] | the party as a pure machine: events in, journal entries and orders out |
//! | [`agreement`] | one decree: which bytes answer one request |
//! | [`decree`], [`message`], [`stock`] | the words peers use |
//! | [`admission`] | what is answered, and what can never be |
//! | [`contract`] | what zrSign contracts ask, in the words of decrees |
//! | [`lines`] | simple transactions, one at a time for each wallet and destination |
//! | [`request`] | the life of a request, as operators see it |
//! | [`shelf`] | finished keys, their certificates, the write-once binding |
//! | [`outbox`] | the controller of an account on a zrChain |
//! | [`sender`] | the sender of an account on an EVM chain |
//! | [`store`] | the journal and its sealed tables |
//! | [`lease`] | one living copy: which process may act as the party |
//! | [`roster`], [`committee`], [`identity`] | who the parties are |
//! | [`ceremony`] | how operators come to one roster, and how far its first stock is |
//! | [`check`] | would this party work? facts in, findings with remedies out |
//! | [`backup`] | what of a party's memory outlives its disk, and how it comes back |
//! | [`config`] | one file, checked once |
//! | [`admin`] | what an operator may ask a running node |
//! | [`readiness`], [`monitoring`], [`metrics`] | whether it contributes and why not; how machines ask; what is counted |
//! | [`report`], [`logging`] | errors and lines, at the edge |
//! | [`cli`], [`harden`] | the commands; what the process asks of the system |
//! | [`runs`], [`driver`] | sessions begun and driven on threads of their own |
//! | [`clock`], [`tag`], [`tasks`], [`files`] | time and chance; hash domains; where tasks are born; files written whole |

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod admin;
pub mod admission;
pub mod agreement;
pub mod app;
pub mod backup;
pub mod ceremony;
pub mod check;
pub mod cli;
pub mod clock;
pub mod committee;
pub mod config;
pub mod contract;
pub mod decree;
pub mod driver;
pub mod files;
pub mod harden;
pub mod identity;
pub mod lease;
pub mod lines;
pub mod logging;
#[cfg(test)]
mod manual;
pub mod message;
pub mod metrics;
pub mod monitoring;
pub mod node;
pub mod outbox;
#[cfg(feature = "planted")]
pub mod planted;
#[cfg(not(feature = "planted"))]
#[allow(unreachable_pub, reason = "the enum is public where the feature is on")]
mod planted;
pub mod readiness;
pub mod report;
pub mod request;
pub mod roster;
pub mod runs;
pub mod sender;
pub mod shelf;
pub mod stock;
pub mod store;
pub mod tag;
pub mod tasks;
mod unclaimed;
