//! A keyring's view of one zrChain, over gRPC.
//!
//! Refuses to decide: it reads, sends, and hands both on with their origin. What it relies on stands in
//! `docs/zrchain.md`; what it does about several nodes in [`crate::endpoint`].
//!
//! | Room | Does |
//! | --- | --- |
//! | `read` | single facts, pinned to a height where asked |
//! | `scan` | all open requests of the keyring, in pages of one height |
//! | `submit` | broadcasts stored bytes, finds their receipts |
//! | `map` | the chain's messages in our words |
//! | [`ask`] | the other end: how to ask, and whether an answer is one |
//! | `fork` | whether all endpoints follow one chain |

pub mod ask;
mod fork;
pub mod map;
mod read;
mod scan;
mod submit;

pub use fork::{Comparison, Fork};
pub use submit::hint;

use std::sync::Mutex;

use crate::endpoint::{Endpoint, EndpointHealth, Endpoints, Settings};
use crate::name::ChainId;

/// The denomination of all fees and balances.
pub const DENOMINATION: &str = "urock";

/// Client of one chain for one keyring. Cheap to share behind an `Arc`.
///
/// Every ability asks one node at a time, within the bounds of [`Settings`], and turns to another when a node fails.
pub struct ZrChain {
    keyring: String,
    endpoints: Endpoints,
    deadlines: Mutex<scan::Deadlines>,
}

impl std::fmt::Debug for ZrChain {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ZrChain({} of {})", self.keyring, self.id())
    }
}

impl ZrChain {
    /// A client that asks these endpoints, the first being preferred while it is well.
    #[must_use]
    pub fn new(chain: ChainId, keyring: impl Into<String>, endpoints: Vec<Endpoint>, settings: Settings) -> Self {
        Self {
            keyring: keyring.into(),
            endpoints: Endpoints::new(chain, endpoints, settings),
            deadlines: Mutex::default(),
        }
    }

    /// Which chain.
    #[must_use]
    pub const fn id(&self) -> &ChainId {
        self.endpoints.chain()
    }

    /// The address of the keyring that is served.
    #[must_use]
    pub fn keyring_address(&self) -> &str {
        &self.keyring
    }

    /// How many endpoints are configured.
    #[must_use]
    pub fn endpoints(&self) -> usize {
        self.endpoints.count()
    }

    /// How the endpoints have been doing.
    #[must_use]
    pub fn health(&self) -> Vec<EndpointHealth> {
        self.endpoints.health()
    }
}
