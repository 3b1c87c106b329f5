//! Nodes for the tests, and patience instead of sleep.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use transport::{
    Address, Bound, Incoming, Lane, Limits, Network, NetworkConfig, NodeKey, PeerBook, PeerEntry, PeerId, Timing,
    Transport as _, WallClock,
};

pub(crate) const LANE: Lane = Lane::new([1; 32]);
/// Far longer than anything takes; only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Tcp,
    Quic,
}

pub(crate) fn key(seed: u8) -> NodeKey {
    NodeKey::from_seed([seed; 32].into())
}

pub(crate) fn id(seed: u8) -> PeerId {
    key(seed).peer_id()
}

pub(crate) fn number(number: u32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

pub(crate) fn first_four(item: &Incoming) -> u32 {
    let Incoming::Frame { body, .. } = item else { panic!("not a frame: {item:?}") };
    u32::from_be_bytes(*body.first_chunk().expect("four bytes"))
}

pub(crate) fn numbers(items: &[Incoming], wanted: PeerId) -> Vec<u32> {
    items
        .iter()
        .filter(|item| matches!(item, Incoming::Frame { from, .. } if *from == wanted))
        .map(first_four)
        .collect()
}

pub(crate) fn config(seed: u8, kind: Kind, limits: Limits, clock: WallClock) -> NetworkConfig {
    let address: Address = match kind {
        Kind::Tcp => "/ip4/127.0.0.1/tcp/0",
        Kind::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
    }
    .parse()
    .expect("an address");
    let timing = Timing {
        ping_every: Duration::from_millis(100),
        redial_min: Duration::from_millis(20),
        redial_max: Duration::from_millis(500),
        ..Timing::default()
    };
    NetworkConfig { limits, timing, ..NetworkConfig::new(key(seed), vec![address], clock, seed.into()) }
}

pub(crate) async fn listen(seed: u8, kind: Kind) -> Bound {
    config(seed, kind, Limits::default(), WallClock::system()).build().await.expect("a free port")
}

pub(crate) fn entry(seed: u8, addresses: &[Address]) -> PeerEntry {
    PeerEntry { id: id(seed), name: format!("party-{seed}"), addresses: addresses.to_vec() }
}

pub(crate) fn book<'a>(digest: u8, nodes: impl IntoIterator<Item = (u8, &'a Bound)>) -> PeerBook {
    let entries = nodes.into_iter().map(|(seed, bound)| entry(seed, bound.listen_addresses()));
    PeerBook::new([digest; 32], entries).expect("a valid book")
}

/// A running node, and what a test waits for.
pub(crate) struct Node {
    pub(crate) id: PeerId,
    pub(crate) network: Network,
}

pub(crate) fn start(bound: Bound, book: &PeerBook) -> Node {
    Node { id: bound.peer_id(), network: bound.spawn(book) }
}

/// Nodes with all links up.
pub(crate) async fn spawn_all(kind: Kind, seeds: impl IntoIterator<Item = u8>, limits: Limits) -> Vec<Node> {
    let mut bound = Vec::new();
    for seed in seeds {
        bound.push((seed, config(seed, kind, limits, WallClock::system()).build().await.expect("a free port")));
    }
    let book = book(0, bound.iter().map(|(seed, bound)| (*seed, bound)));
    let mut nodes: Vec<_> = bound.into_iter().map(|(_, bound)| start(bound, &book)).collect();
    let others = nodes.len() - 1;
    for node in &mut nodes {
        node.all_up(others).await;
    }
    nodes
}

impl Node {
    pub(crate) async fn next(&mut self) -> Incoming {
        patient(self.network.next()).await.expect("the node runs")
    }

    pub(crate) async fn all_up(&mut self, others: usize) {
        let mut up = std::collections::BTreeSet::new();
        while up.len() < others {
            match self.next().await {
                Incoming::Up(peer) => drop(up.insert(peer)),
                Incoming::Down(peer) => drop(up.remove(&peer)),
                frame @ Incoming::Frame { .. } => panic!("nobody sent {frame:?}"),
            }
        }
    }

    /// The next event must be this link's `Up`.
    pub(crate) async fn up_with(&mut self, peer: PeerId) {
        assert_eq!(self.next().await, Incoming::Up(peer));
    }

    /// The next event must be this link's `Down`.
    pub(crate) async fn down_with(&mut self, peer: PeerId) {
        assert_eq!(self.next().await, Incoming::Down(peer));
    }

    /// The next `count` events, which must all be frames.
    pub(crate) async fn frames(&mut self, count: usize) -> Vec<Incoming> {
        let mut frames = Vec::new();
        while frames.len() < count {
            match self.next().await {
                frame @ Incoming::Frame { .. } => frames.push(frame),
                mark => panic!("{mark:?} after {} of {count} frames", frames.len()),
            }
        }
        frames
    }
}

/// Fails the test instead of hanging it.
pub(crate) async fn patient<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it should not take this long")
}

/// Looks again until there is something to see.
pub(crate) async fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    patient(async {
        let mut again = tokio::time::interval(Duration::from_millis(5));
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            again.tick().await;
        }
    })
    .await
}
