//! A firewall that swallows one direction, and a peer that reads nothing: each is noticed within a bound, disturbs nobody
//! else, and is got over without help.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;
use tokio::task::JoinSet;
use transport::{Address, Fault, Limits, NetworkConfig, PeerBook, SendError, Timing, Transport as _, WallClock};

use super::cluster::{self, Kind, LANE, Node, entry, eventually, id, number, numbers, patient, start};

/// A link without an answer for so long is judged down.
const SILENCE: Duration = Duration::from_millis(1_100);
/// Time for a busy machine to notice that it is.
const SLACK: Duration = Duration::from_secs(10);

fn config(seed: u8) -> NetworkConfig {
    let config = cluster::config(seed, Kind::Tcp, Limits::default(), WallClock::system());
    let ping_max = SILENCE - config.timing.ping_every;
    let timing = Timing { ping_max, handshake_max: Duration::from_millis(500), ..config.timing };
    NetworkConfig { timing, ..config }
}

/// A wire between two nodes with a gate in each direction. What a closed gate holds back is not lost but late, as TCP
/// sees it when packets are dropped; nothing is ever refused or reset.
struct Wire {
    address: Address,
    there: watch::Sender<bool>,
    back: watch::Sender<bool>,
    _carrier: JoinSet<()>,
}

impl Wire {
    async fn to(target: &Address) -> Self {
        let target = socket(target);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let ((there, there_is), (back, back_is)) = (watch::channel(true), watch::channel(true));
        let mut carrier = JoinSet::new();
        carrier.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(target).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                ways.spawn(carry(near_in, far_out, there_is.clone()));
                ways.spawn(carry(far_in, near_out, back_is.clone()));
            }
        });
        let address = format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address");
        Self { address, there, back, _carrier: carrier }
    }
}

async fn carry(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, mut gate: watch::Receiver<bool>) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if gate.wait_for(|open| *open).await.is_err() || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

fn socket(address: &Address) -> SocketAddr {
    let text = address.to_string();
    let parts: Vec<&str> = text.split('/').collect();
    SocketAddr::from(([127, 0, 0, 1], parts[4].parse().expect("a port")))
}

#[tokio::test]
async fn a_firewall_on_one_direction_is_judged_down_disturbs_nobody_and_heals() {
    for outward in [true, false] {
        let mut bound = Vec::new();
        for seed in 1..=3 {
            bound.push(config(seed).build().await.expect("a free port"));
        }
        let wire = Arc::new(Wire::to(&bound[1].listen_addresses()[0]).await);
        // The first reaches the second over the wire alone; the third is linked with both directly.
        let mut entries: Vec<_> =
            (1..=3).zip(&bound).map(|(seed, bound)| entry(seed, bound.listen_addresses())).collect();
        entries[0].addresses.clear();
        entries[1].addresses = vec![wire.address.clone()];
        let of_first = PeerBook::new([0; 32], entries.clone()).expect("valid");
        let mut direct: Vec<_> =
            (1..=3).zip(&bound).map(|(seed, bound)| entry(seed, bound.listen_addresses())).collect();
        direct[0].addresses.clear();
        let of_others = PeerBook::new([0; 32], direct).expect("valid");
        let books = [&of_first, &of_others, &of_others];
        let mut nodes: Vec<Node> = bound.into_iter().zip(books).map(|(bound, book)| start(bound, book)).collect();
        for node in &mut nodes {
            node.all_up(2).await;
        }
        let gate = if outward { &wire.there } else { &wire.back };
        gate.send(false).expect("carried");
        #[allow(clippy::disallowed_methods, reason = "the bound on the real time is what is tested")]
        let began = Instant::now();
        let [first, second, third] = &mut nodes[..] else { panic!("three nodes") };
        first.down_with(id(2)).await;
        second.down_with(id(1)).await;
        assert!(began.elapsed() < SILENCE + SLACK, "judged down after {:?}", began.elapsed());
        assert!(began.elapsed() > SILENCE / 4, "and not by a reset: {:?}", began.elapsed());
        let fault = eventually(|| first.network.links().link(id(2)).and_then(|facts| facts.fault)).await;
        assert!(!matches!(fault, Fault::RosterDiffers { .. } | Fault::Malformed(_)), "{fault}");
        assert_eq!(first.network.send(id(2), LANE, number(0)), Err(SendError::Down(id(2))));
        // The others talk on, and never noticed.
        for (k, peer) in [(1, id(1)), (2, id(2))] {
            third.network.send(peer, LANE, number(k)).expect("undisturbed");
        }
        assert_eq!(numbers(&first.frames(1).await, id(3)), [1]);
        assert_eq!(numbers(&second.frames(1).await, id(3)), [2]);
        assert!(third.network.links().snapshot().iter().all(|link| link.up && link.counters.ups == 1));
        gate.send(true).expect("carried");
        first.up_with(id(2)).await;
        second.up_with(id(1)).await;
        first.network.send(id(2), LANE, number(7)).expect("up again");
        assert_eq!(numbers(&second.frames(1).await, id(1)), [7]);
    }
}

#[tokio::test]
async fn a_peer_that_reads_nothing_fills_its_own_queue_and_nobody_elses() {
    let limits = Limits {
        outbox_bytes_max: 1 << 20,
        lane_bytes_max: 1 << 20,
        body_bytes_max: 64 << 10,
        inbox_bytes_max: 1 << 20,
        ..Limits::default()
    };
    let mut nodes = cluster::spawn_all(Kind::Tcp, 1..=3, limits).await;
    let (mut quick, slow) = (nodes.remove(1), nodes.remove(1));
    let first = &nodes[0];
    // Its consumer never asks for what has come.
    let full = patient(async {
        for _ in 0..4_096 {
            match first.network.send(slow.id, LANE, vec![0; 64 << 10].into()) {
                Ok(()) => tokio::task::yield_now().await,
                Err(SendError::Full(peer)) => return peer == slow.id,
                Err(error) => panic!("{error}"),
            }
        }
        false
    });
    assert!(full.await, "what waits for a slow peer is bounded");
    for k in 0..400 {
        first.network.send(quick.id, LANE, number(k)).expect("the other queue is its own");
    }
    assert_eq!(numbers(&quick.frames(400).await, id(1)), (0..400).collect::<Vec<_>>());
    let links = first.network.links();
    let waiting = links.link(slow.id).expect("known");
    assert!(waiting.queued_bytes <= limits.outbox_bytes_max, "{waiting:?}");
    assert!(waiting.up, "slow is not dead: its node answers pings");
    assert_eq!(links.link(quick.id).expect("known").counters.drops.full, 0);
}
