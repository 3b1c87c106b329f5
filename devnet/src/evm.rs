//! EVM chains for a laptop: a real node with a zrSign contract on it, and a dapp that uses it.
//!
//! | Room | Holds |
//! | --- | --- |
//! | `town` | a node, the contract behind its proxy, its administrators |
//! | `dapp` | a consumer contract that asks for keys and signatures, and carries transactions to their chain |
//! | `order` | what a wallet is asked to sign, and the verdict on what came back |

mod dapp;
mod order;
mod town;

pub use dapp::Dapp;
pub use town::{EvmTown, TownError};
