//! The demo: an administrator and a user who work through ordinary signed transactions over gRPC, as on any zrChain.
//!
//! Refuses to know keyrings' processes: [`Admin`] makes a keyring of accounts, [`User`] asks it for keys and signatures
//! and verifies every answer from the bytes that the chain shows, with libraries that had no part in making it.
//!
//! | Room | Holds |
//! | --- | --- |
//! | `genesis` | the chain they play on |
//! | `admin`, `user` | the two people |
//! | `customer` | single requests, for who wants to ask by hand |
//! | `sender` | an account: sequences, waiting for inclusion |
//! | `order` | what is asked for, and the verdict on what came back |
//! | `transfer` | transactions of other chains, one file per chain |
//! | `address`, `proof` | addresses and signatures, by other people's code |
//! | `report`, `board`, `screen` | what became of each request; the table of all; how it is shown |

mod address;
mod admin;
mod board;
mod customer;
mod genesis;
mod order;
mod proof;
mod report;
mod screen;
mod sender;
mod transfer;
mod user;

pub use admin::{Admin, NewKeyring};
pub use board::Board;
pub(crate) use board::RowId;
pub use customer::Customer;
pub use genesis::genesis;
pub use order::UserKey;
pub use proof::Unverified;
pub use report::{Latency, Row, State, Summary};
pub use screen::Style;
pub use transfer::BitcoinTransfer;
pub use user::User;

use chain_client::proto::zrchain::treasury::query_client::QueryClient;
use chain_client::{ChainId, Endpoint, Height, ReadError, Settings, ZrChain};
use tonic::transport::Channel;

/// Why the demo cannot go on. A request that ends badly is none of these: it stands on the [`Board`].
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The chain cannot be read.
    #[error("the chain cannot be read")]
    Read(#[from] ReadError),
    /// The chain does not answer a question of the user.
    #[error("the chain does not answer: {}", .0.message())]
    Query(#[from] tonic::Status),
    /// No address of a chain.
    #[error("{text:?} is no gRPC address or chain id")]
    Address {
        /// What was given.
        text: String,
    },
    /// The account was never funded.
    #[error("account {address} does not exist: send it something first")]
    NoAccount {
        /// Its address.
        address: String,
    },
    /// A transaction was not taken.
    #[error("{what} was refused with code {code}: {reason}")]
    Refused {
        /// Which.
        what: String,
        /// The chain's code.
        code: u32,
        /// The chain's words.
        reason: String,
    },
    /// A transaction failed in its block.
    #[error("{what} failed in block {height} with code {code}: {log}")]
    Failed {
        /// Which.
        what: String,
        /// The chain's code.
        code: u32,
        /// The block.
        height: Height,
        /// The chain's words.
        log: String,
    },
    /// Nothing came in time.
    #[error("no sign of {what} in time: {reason}")]
    Silent {
        /// Of what.
        what: String,
        /// The last that was heard.
        reason: String,
    },
    /// A reply that cannot be.
    #[error("{what} makes no sense: {why}")]
    Reply {
        /// Of what.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// A transaction of another chain cannot be built from the key.
    #[error("a transaction cannot be built")]
    Transfer(#[from] Unverified),
    /// The output is closed.
    #[error("the output cannot be written")]
    Screen(#[from] std::io::Error),
}

/// A client of the chain for one keyring, and a second one for what only users ask.
fn connect(grpc: &str, chain: &str, keyring: &str) -> Result<(ZrChain, QueryClient<Channel>), DemoError> {
    let wrong = |text: &str| DemoError::Address { text: text.to_owned() };
    let chain = ChainId::new(chain).map_err(|_| wrong(chain))?;
    let channel = Channel::from_shared(grpc.to_owned()).map_err(|_| wrong(grpc))?.connect_lazy();
    let endpoint = Endpoint::new(grpc, channel.clone());
    Ok((ZrChain::new(chain, keyring, vec![endpoint], Settings::default()), QueryClient::new(channel)))
}
