//! Between the node and its peers: packets become frames, frames become packets, and each lane finds its reader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mpc_core::{PartyIndex, SessionId};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use transport::{Incoming, Lane, Links, Network, PeerId, SendError, Sender, Transport as _};

use super::Inbox;
use crate::driver::Driver;
use crate::message::{self, Packet};
use crate::metrics::Metrics;
use crate::node::Event;
use crate::roster::Roster;

/// The lane of signed statements; runs have their session id as lane.
#[must_use]
pub fn agreement_lane() -> Lane {
    Lane::from(crate::tag::hash(crate::tag::AGREEMENT_LANE, &[]))
}

/// Places and peers of one roster.
#[derive(Clone, Debug)]
pub struct Directory {
    peers: BTreeMap<PartyIndex, PeerId>,
    places: BTreeMap<PeerId, PartyIndex>,
}

impl Directory {
    /// Everybody in the roster but this party.
    #[must_use]
    pub fn of(roster: &Roster, me: PartyIndex) -> Self {
        let peers: BTreeMap<_, _> = roster
            .indices()
            .zip(roster.parties())
            .filter(|(place, _)| *place != me)
            .map(|(place, entry)| (place, PeerId::from(entry.node_key)))
            .collect();
        let places = peers.iter().map(|(place, peer)| (*peer, *place)).collect();
        Self { peers, places }
    }

    /// All other places.
    pub fn others(&self) -> impl Iterator<Item = PartyIndex> + '_ {
        self.peers.keys().copied()
    }

    /// The place of a peer.
    #[must_use]
    pub fn place(&self, peer: PeerId) -> Option<PartyIndex> {
        self.places.get(&peer).copied()
    }

    /// The peer in a place.
    #[must_use]
    pub fn peer(&self, place: PartyIndex) -> Option<PeerId> {
        self.peers.get(&place).copied()
    }
}

/// Sends statements and rounds.
#[derive(Clone)]
pub struct Post {
    sender: Sender,
    directory: Directory,
}

impl Post {
    /// A post office for this roster.
    #[must_use]
    pub const fn new(sender: Sender, directory: Directory) -> Self {
        Self { sender, directory }
    }

    /// Everybody else.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Statements to one party, as few frames as they fit in.
    pub fn packets(&self, to: PartyIndex, packets: &[Packet]) {
        match message::encode_frame(packets) {
            Ok(frame) => self.frame(to, agreement_lane(), frame.into()),
            Err(error) => match packets {
                [] => {}
                [_] => warn!(peer = %to, %error, "a statement does not fit a frame"),
                _ => {
                    let (first, second) = packets.split_at(packets.len() / 2);
                    self.packets(to, first);
                    self.packets(to, second);
                }
            },
        }
    }

    /// One message of a run.
    pub fn round(&self, to: PartyIndex, session: SessionId, body: Bytes) {
        self.frame(to, Lane::from(*session.as_bytes()), body);
    }

    fn frame(&self, to: PartyIndex, lane: Lane, body: Bytes) {
        let Some(peer) = self.directory.peer(to) else { return };
        match self.sender.send(peer, lane, body) {
            Ok(()) => {}
            // Whoever must be heard is said again when the link comes up.
            Err(SendError::Down(_)) => debug!(peer = %to, "link is down, frame not sent"),
            Err(error) => warn!(peer = %to, %error, "frame not sent"),
        }
    }
}

/// How long links may take to send what waits when the daemon drains.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// Reads frames until told to stop or until the transport ends: statements to the node, rounds to their runs. Then
/// closes the links in order.
pub async fn receive(
    mut network: Network,
    directory: Directory,
    driver: Driver,
    inbox: Inbox,
    metrics: Arc<Metrics>,
    stopping: CancellationToken,
) {
    let (agreement, links) = (agreement_lane(), network.links());
    loop {
        let incoming = tokio::select! {
            biased;
            () = stopping.cancelled() => {
                network.drain(DRAIN_GRACE).await;
                return;
            }
            incoming = network.next() => incoming,
        };
        let Some(incoming) = incoming else {
            error!("the transport ended by itself: this node hears nobody any more");
            return;
        };
        hear(incoming, agreement, &links, &directory, &driver, &inbox, &metrics).await;
    }
}

async fn hear(
    incoming: Incoming,
    agreement: Lane,
    links: &Links,
    directory: &Directory,
    driver: &Driver,
    inbox: &Inbox,
    metrics: &Metrics,
) {
    match incoming {
        Incoming::Up(peer) => {
            let round_trip = links.link(peer).and_then(|link| link.round_trip).unwrap_or_default();
            let ms = u64::try_from(round_trip.as_millis()).unwrap_or(u64::MAX);
            if let Some(place) = directory.places.get(&peer) {
                inbox.tell(Event::LinkUp(*place, ms)).await;
            }
        }
        Incoming::Down(peer) => {
            if let Some(place) = directory.places.get(&peer) {
                inbox.tell(Event::LinkDown(*place)).await;
            }
        }
        Incoming::Frame { from, lane, body } => {
            let Some(place) = directory.places.get(&from).copied() else { return };
            if lane != agreement {
                return driver.deliver(SessionId::new(*lane.as_bytes()), place, body);
            }
            match message::decode_frame(&body) {
                Ok(packets) => {
                    for packet in packets {
                        inbox.tell(Event::Packet(Box::new(packet))).await;
                    }
                }
                Err(error) => {
                    metrics.agreement.dropped.one(["malformed"]);
                    warn!(peer = %place, %error, "frame of statements dropped");
                }
            }
        }
    }
}
