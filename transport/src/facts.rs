//! What is known about each link, for the status page, the metrics and the health check.

use std::{fmt, sync::Arc, time::Duration};

use crate::{ClockOffset, PeerId, exchange::Exchange};

/// One link, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    /// The peer at the other end.
    pub peer: PeerId,
    /// Its name in the book.
    pub name: String,
    /// Whether frames can be sent.
    pub up: bool,
    /// Connections with a finished handshake: 0, 1, or 2 when both sides dialed at once.
    pub connections: usize,
    /// The last ping's round trip, at first the handshake's; known whenever the link is up.
    pub round_trip: Option<Duration>,
    /// The peer's clock against ours; known whenever the link is up.
    pub clock_offset: Option<ClockOffset>,
    /// When a frame, a ping or a probe of this peer last arrived, in milliseconds since the Unix epoch.
    pub heard_at_ms: Option<u64>,
    /// When two processes last answered side by side under this peer's name, in milliseconds since the Unix epoch: one
    /// of them is a copy.
    pub twins_at_ms: Option<u64>,
    /// Why the link is down, or why the last one ended. `None` while it stands and when nothing happened yet.
    pub fault: Option<Fault>,
    /// Frames that wait to be sent.
    pub queued_frames: usize,
    /// Bytes that wait to be sent.
    pub queued_bytes: usize,
    /// Totals since the start of the process.
    pub counters: Counters,
}

/// Totals of one link since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Times the link came up.
    pub ups: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Frames given to the connection.
    pub frames_out: u64,
    /// Bytes of received bodies.
    pub bytes_in: u64,
    /// Bytes of sent bodies.
    pub bytes_out: u64,
    /// What was dropped, by reason.
    pub drops: Drops,
}

/// What was dropped on one link, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Handshakes refused because the peer holds another roster.
    pub stale_roster: u64,
    /// Connections closed because of a frame above the length bound.
    pub oversized: u64,
    /// Connections closed because of bytes that are no message, or one out of place.
    pub malformed: u64,
    /// Frames that `send` did not take because a queue was full.
    pub full: u64,
    /// Frames that were queued and given up when the link broke.
    pub unsent: u64,
}

/// Connections that never became a link, by reason, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateFacts {
    /// Dropped after the cryptographic handshake: a valid identity that is not in the book.
    pub strangers: u64,
    /// Dropped because too many connections were open or opening.
    pub over_limit: u64,
    /// Dropped during the cryptographic handshake: no identity was proved.
    pub failed_handshakes: u64,
}

/// Why a link is not up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The peer acts under another roster. One of the two must be brought up to date.
    #[error("the peer holds roster {}…, not ours", hex::encode(&theirs[..4]))]
    RosterDiffers {
        /// The digest it showed.
        theirs: [u8; 32],
    },
    /// The peer proved its identity but does not speak our protocol: most likely another version.
    #[error("the peer does not speak this version of the frame protocol")]
    NoCommonProtocol,
    /// The peer announced a frame above the length bound.
    #[error("the peer sent a frame of {claimed} bytes, above the bound of {bound}")]
    Oversized {
        /// Length it announced, in bytes.
        claimed: u64,
        /// Longest frame allowed at that point, in bytes.
        bound: u64,
    },
    /// The peer sent bytes that are no message, or one out of place.
    #[error("the peer sent a malformed frame: {0}")]
    Malformed(&'static str),
    /// The peer did not answer in time.
    #[error("the peer did not answer in time")]
    Silent,
    /// No address of the peer could be reached.
    #[error("the peer cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(String),
}

/// Tells how the links are. Clones are cheap and show the same links.
#[derive(Clone)]
pub struct Links {
    exchange: Arc<Exchange>,
}

impl Links {
    pub(crate) fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange }
    }

    /// Every peer of the book, in the order of their ids.
    #[must_use]
    pub fn snapshot(&self) -> Vec<LinkFacts> {
        self.exchange.peers().map(|(_, peer)| peer.facts()).collect()
    }

    /// One peer, or `None` if it is not in the book.
    #[must_use]
    pub fn link(&self, peer: PeerId) -> Option<LinkFacts> {
        self.exchange.peer(peer).map(|peer| peer.facts())
    }

    /// Whether frames can be sent to this peer.
    #[must_use]
    pub fn is_up(&self, peer: PeerId) -> bool {
        self.exchange.peer(peer).is_some_and(|peer| peer.is_up())
    }

    /// What never became a link.
    #[must_use]
    pub fn gate(&self) -> GateFacts {
        self.exchange.gate()
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.snapshot()).finish()
    }
}
