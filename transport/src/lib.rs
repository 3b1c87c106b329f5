//! Authenticated frames between known peers, and nothing about what they mean.
//!
//! A node gives this crate its key and the book of its peers, and gets back one ordered, authenticated link to each of
//! them. A *frame* is a [`Lane`] and a body: bytes in, the same bytes out. Lanes keep conversations apart on one link, so
//! that a long one cannot starve the others. Whoever is not in the book is dropped before a byte of a frame is read.
//!
//! # The contract of a link
//!
//! Between [`Incoming::Up`] and the next [`Incoming::Down`] of a peer, frames of one lane arrive in the order in which
//! they were sent, each once, none missing. `Down` says that frames sent before may be lost; nothing is repeated by
//! itself, so whoever must be heard sends again after the next `Up`. Frames of *different* lanes may overtake one
//! another. (The in-memory [`memory::Hub`] can be told to break every one of these promises, to test who relies on them.)
//!
//! # What this crate refuses to know
//!
//! Sessions, parties, chains, signatures, disks. What it owes: bounded queues in both directions, an answer instead of a
//! wait when one is full, and the truth about every link in [`LinkFacts`]. What it asks: a wall clock ([`WallClock`]), a
//! seed for its jitter, and a consumer that calls [`Transport::next`].
//!
//! # Where to look
//!
//! | Question | Room |
//! | --- | --- |
//! | who may talk to us | [`PeerBook`], `identity`, `book` |
//! | what goes over the wire | `frame` |
//! | what waits where, and how much of it | [`Limits`], `outbox`, `inbox`, `exchange` |
//! | how a link is doing | [`Links`], `facts`, `offset` |
//! | which of two connections is the link, when to dial again | `link`, `backoff` |
//! | the network of operators: libp2p | [`Network`], `network` |
//! | the network of tests and simulations | [`memory`] |
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::future::Future;

use bytes::Bytes;

mod backoff;
mod book;
mod clock;
mod exchange;
mod facts;
mod frame;
mod identity;
mod inbox;
mod limits;
mod link;
pub mod memory;
mod network;
mod offset;
mod outbox;

pub use book::{Address, AddressError, BookError, PeerBook, PeerEntry};
pub use clock::WallClock;
pub use exchange::Sender;
pub use facts::{Counters, Drops, Fault, GateFacts, LinkFacts, Links};
pub use frame::Lane;
pub use identity::{NodeKey, PeerId};
pub use limits::{LimitError, Limits};
pub use network::{Bound, BuildError, Network, NetworkConfig, Timing};
pub use offset::ClockOffset;

/// Sends frames to known peers and hands out what they sent.
///
/// One value per node; its [`Sender`] and [`Links`] handles may be cloned into as many threads as wanted.
pub trait Transport: Send + 'static {
    /// Queues one frame for `to`. Never blocks.
    ///
    /// # Errors
    /// See [`SendError`]: each variant is another thing to do next. On any error nothing was queued.
    fn send(&self, to: PeerId, lane: Lane, body: Bytes) -> Result<(), SendError>;

    /// The next event, or `None` once the transport has shut down and everything received was handed out.
    ///
    /// Dropping the future loses nothing. While nobody calls this, peers are held back, not buffered.
    fn next(&mut self) -> impl Future<Output = Option<Incoming>> + Send;

    /// A handle that sends, for other threads.
    fn sender(&self) -> Sender;

    /// A handle that tells how the links are.
    fn links(&self) -> Links;
}

/// What a transport hands to its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A peer sent this.
    Frame {
        /// Who sent it; proved by the link's handshake.
        from: PeerId,
        /// The conversation it belongs to, as the sender says.
        lane: Lane,
        /// At most [`Limits::body_bytes_max`] bytes.
        body: Bytes,
    },
    /// The link to this peer stands: frames can be sent.
    Up(PeerId),
    /// The link broke: frames sent before may be lost.
    Down(PeerId),
}

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The receiver is not in the peer book (or is this node itself). A bug of the caller, or a stale roster.
    #[error("{0} is not in the peer book")]
    Stranger(PeerId),
    /// There is no link now. Send again after the next [`Incoming::Up`].
    #[error("no link to {0}")]
    Down(PeerId),
    /// The outbox, or this lane's part of it, is full: the peer reads more slowly than we write. Look again later.
    #[error("the outbox for {0} is full")]
    Full(PeerId),
    /// The body is longer than both ends allow; it can never be sent.
    #[error("a body of {size} bytes is above the bound of {bound}")]
    TooLarge {
        /// Length of the refused body, in bytes.
        size: usize,
        /// [`Limits::body_bytes_max`].
        bound: usize,
    },
}
