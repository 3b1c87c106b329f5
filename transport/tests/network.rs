//! Real nodes over loopback, used as the daemon uses them. Nothing here sleeps: every wait is for an event.

#[path = "network/cluster.rs"]
mod cluster;
#[path = "network/firewall.rs"]
mod firewall;
#[path = "network/hostile.rs"]
mod hostile;

use bytes::Bytes;
use cluster::{Kind, LANE, PATIENCE, book, eventually, id, key, listen, number, numbers, patient, spawn_all, start};
use transport::{
    Address, Bound, Fault, Incoming, Lane, Limits, Links, NetworkConfig, PeerBook, PeerId, SendError, Transport as _,
    WallClock,
};

async fn exchange_in_order(kind: Kind, seeds: std::ops::RangeInclusive<u8>) {
    let mut nodes = spawn_all(kind, seeds.clone(), Limits::default()).await;
    for node in &nodes {
        for to in seeds.clone().map(id).filter(|to| *to != node.id) {
            (0..200).for_each(|k| node.network.send(to, LANE, number(k)).expect("an empty outbox"));
        }
    }
    let others = nodes.len() - 1;
    for node in &mut nodes {
        let frames = node.frames(200 * others).await;
        for from in seeds.clone().map(id).filter(|from| *from != node.id) {
            assert_eq!(numbers(&frames, from), (0..200).collect::<Vec<_>>(), "from {from}");
        }
    }
    for node in &nodes {
        for facts in node.network.links().snapshot() {
            assert_eq!((facts.counters.frames_in, facts.counters.frames_out), (200, 200));
            assert_eq!((facts.counters.bytes_in, facts.counters.bytes_out), (800, 800));
            assert_eq!(facts.counters.drops, transport::Drops::default());
        }
    }
}

#[tokio::test]
async fn two_nodes_exchange_frames_in_order_over_tcp() {
    exchange_in_order(Kind::Tcp, 1..=2).await;
}

#[tokio::test]
async fn two_nodes_exchange_frames_in_order_over_quic() {
    exchange_in_order(Kind::Quic, 1..=2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_nodes_exchange_frames_in_order_over_tcp() {
    exchange_in_order(Kind::Tcp, 1..=5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_nodes_exchange_frames_in_order_over_quic() {
    exchange_in_order(Kind::Quic, 1..=5).await;
}

#[tokio::test]
async fn a_body_at_the_bound_arrives_whole() {
    for kind in [Kind::Tcp, Kind::Quic] {
        let mut nodes = spawn_all(kind, 1..=2, Limits::default()).await;
        let bound = Limits::default().body_bytes_max;
        let body = Bytes::from((0..bound).map(|k| (k % 251) as u8).collect::<Vec<_>>());
        nodes[0].network.send(id(2), LANE, body.clone()).expect("an empty outbox");
        assert_eq!(nodes[1].frames(1).await, [Incoming::Frame { from: id(1), lane: LANE, body }]);
        let longer = Bytes::from(vec![0; bound + 1]);
        let refused = SendError::TooLarge { size: bound + 1, bound };
        assert_eq!(nodes[0].network.send(id(2), LANE, longer), Err(refused));
    }
}

#[tokio::test]
async fn facts_tell_round_trip_and_clock_offset() {
    let (first, second) = (listen(1, Kind::Tcp).await, {
        let ahead = WallClock::new(|| WallClock::system().unix_ms() + 60_000);
        cluster::config(2, Kind::Tcp, Limits::default(), ahead).build().await.expect("a free port")
    });
    let book = book(0, [(1, &first), (2, &second)]);
    let (mut first, mut second) = (start(first, &book), start(second, &book));
    first.up_with(id(2)).await;
    second.up_with(id(1)).await;
    assert!(second.network.links().link(id(1)).expect("known").clock_offset.expect("known once up").ahead_ms < 0);
    let facts = first.network.links().link(id(2)).expect("known");
    assert!(facts.round_trip.is_some());
    let offset = facts.clock_offset.expect("known once up");
    assert!((offset.ahead_ms - 60_000).unsigned_abs() <= offset.error_ms + 5, "{offset:?}");
    assert!(facts.heard_at_ms.is_some());
    assert!(facts.connections >= 1);
}

#[tokio::test]
async fn a_node_under_another_roster_is_refused_on_both_sides_with_the_reason() {
    for kind in [Kind::Tcp, Kind::Quic] {
        let (first, second) = (listen(1, kind).await, listen(2, kind).await);
        let (ours, theirs) = (book(7, [(1, &first), (2, &second)]), book(8, [(1, &first), (2, &second)]));
        let (first, second) = (start(first, &ours), start(second, &theirs));
        for (node, peer, digest) in [(&first, id(2), 8), (&second, id(1), 7)] {
            let links = node.network.links();
            let facts = eventually(|| links.link(peer).filter(|facts| facts.counters.drops.stale_roster > 0)).await;
            assert_eq!(facts.fault, Some(Fault::RosterDiffers { theirs: [digest; 32] }));
            assert!(!facts.up);
            assert_eq!(node.network.send(peer, LANE, number(0)), Err(SendError::Down(peer)));
        }
    }
}

#[tokio::test]
async fn a_restarted_peer_is_found_again_by_itself() {
    for kind in [Kind::Tcp, Kind::Quic] {
        let (first, second) = (listen(1, kind).await, listen(2, kind).await);
        let book = book(0, [(1, &first), (2, &second)]);
        let address = second.listen_addresses()[0].clone();
        let (mut first, mut second) = (start(first, &book), start(second, &book));
        for round in 0..3 {
            first.up_with(id(2)).await;
            second.up_with(id(1)).await;
            first.network.send(id(2), LANE, number(round)).expect("up");
            assert_eq!(numbers(&second.frames(1).await, id(1)), [round]);
            // A crash: nothing is said. The next life of the node gets the same port.
            drop(second);
            first.down_with(id(2)).await;
            second = start(listen_again(2, kind, &address).await, &book);
        }
        assert_eq!(first.network.links().link(id(2)).expect("known").counters.ups, 3);
    }
}

/// Binds the address of a node that has just crashed: its port may become free only a moment later.
async fn listen_again(seed: u8, kind: Kind, address: &Address) -> Bound {
    patient(async {
        loop {
            let mut config = cluster::config(seed, kind, Limits::default(), WallClock::system());
            config.listen = vec![address.clone()];
            match config.build().await {
                Ok(bound) => return bound,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_slow_reader_fills_bounded_queues_and_then_send_says_full() {
    for kind in [Kind::Tcp, Kind::Quic] {
        let limits = Limits {
            body_bytes_max: 64 << 10,
            outbox_bytes_max: 1 << 20,
            lane_bytes_max: 1 << 20,
            inbox_bytes_max: 1 << 20,
            ..Limits::default()
        };
        let mut nodes = spawn_all(kind, 1..=2, limits).await;
        let links = nodes[0].network.links();
        let body = |k: u32| {
            let mut body = vec![0; 64 << 10];
            body[..4].copy_from_slice(&k.to_be_bytes());
            Bytes::from(body)
        };
        // The second node never calls `next`. What can be sent is bounded by its inbox, both outboxes and what the
        // connection itself holds on its way (a few windows): below 16 MiB.
        let mut sent = 0;
        let full = patient(async {
            loop {
                match nodes[0].network.send(id(2), LANE, body(sent)) {
                    Ok(()) => sent += 1,
                    Err(SendError::Full(_)) => {
                        let before = links.link(id(2)).expect("known").counters.frames_out;
                        if settled(&links, before).await {
                            return true;
                        }
                    }
                    Err(error) => panic!("{error}"),
                }
                assert!(sent < 256, "16 MiB went into bounded queues");
            }
        });
        assert!(full.await);
        assert!(nodes[0].network.links().link(id(2)).expect("known").counters.drops.full > 0);
        // Nothing was lost: the reader wakes up and gets every frame that was taken, in order.
        let frames = nodes[1].frames(sent as usize).await;
        let arrived: Vec<_> = frames.iter().map(cluster::first_four).collect();
        assert_eq!(arrived, (0..sent).collect::<Vec<_>>());
    }
}

/// Whether the writer has stopped: no frame leaves while a ping goes there and back.
async fn settled(links: &Links, frames_out: u64) -> bool {
    let heard = links.link(id(2)).expect("known").heard_at_ms;
    eventually(|| links.link(id(2)).filter(|facts| facts.heard_at_ms > heard)).await.counters.frames_out == frames_out
}

#[tokio::test]
async fn a_full_lane_does_not_stop_another_one() {
    let limits = Limits { lane_frames_max: 4, ..Limits::default() };
    let mut nodes = spawn_all(Kind::Tcp, 1..=2, limits).await;
    let quiet = Lane::new([2; 32]);
    // One thread, no await: the writer cannot take anything in between.
    let taken = (0..100).take_while(|k| nodes[0].network.send(id(2), LANE, number(*k)).is_ok()).count();
    assert_eq!(taken, 4);
    nodes[0].network.sender().send(id(2), quiet, number(0)).expect("another lane has room");
    let frames = nodes[1].frames(5).await;
    let place = frames.iter().position(|item| matches!(item, Incoming::Frame { lane, .. } if *lane == quiet));
    assert_eq!(place, Some(1), "lanes take turns");
}

#[tokio::test]
async fn draining_delivers_what_waits_and_ends_both_streams_of_events() {
    for kind in [Kind::Tcp, Kind::Quic] {
        let mut nodes = spawn_all(kind, 1..=2, Limits::default()).await;
        let (mut second, mut first) = (nodes.pop().expect("two"), nodes.pop().expect("two"));
        (0..300).for_each(|k| first.network.send(id(2), LANE, number(k)).expect("room"));
        let reader = async {
            let frames = second.frames(300).await;
            assert_eq!(numbers(&frames, id(1)), (0..300).collect::<Vec<_>>());
            second.down_with(id(1)).await;
        };
        let (in_time, ()) = tokio::join!(first.network.drain(PATIENCE), reader);
        assert!(in_time);
        assert_eq!(first.network.send(id(2), LANE, number(0)), Err(SendError::Down(id(2))));
        assert_eq!(patient(first.network.next()).await, Some(Incoming::Down(id(2))));
        assert_eq!(patient(first.network.next()).await, None);
    }
}

#[tokio::test]
async fn handles_send_from_many_threads() {
    let mut nodes = spawn_all(Kind::Tcp, 1..=2, Limits::default()).await;
    let sender = nodes[0].network.sender();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let sender = sender.clone();
            scope.spawn(move || {
                let lane = Lane::new([thread; 32]);
                (0..100).for_each(|k| sender.send(id(2), lane, number(k)).expect("room"));
            });
        }
    });
    let frames = nodes[1].frames(400).await;
    for thread in 0..4 {
        let lane_is =
            |item: &&Incoming| matches!(item, Incoming::Frame { lane, .. } if *lane == Lane::new([thread; 32]));
        let of_thread: Vec<_> = frames.iter().filter(lane_is).cloned().collect();
        assert_eq!(numbers(&of_thread, id(1)), (0..100).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_in_the_error() {
    for kind in [Kind::Tcp, Kind::Quic] {
        let first = listen(1, kind).await;
        let mut config = cluster::config(2, kind, Limits::default(), WallClock::system());
        config.listen = first.listen_addresses().to_vec();
        let error = config.build().await.expect_err("the port is taken");
        assert!(error.to_string().contains(&first.listen_addresses()[0].to_string()), "{error}");
        assert_eq!(first.peer_id(), key(1).peer_id());
    }
}

#[tokio::test]
async fn a_time_out_of_range_is_named_in_the_error() {
    let mut config = cluster::config(1, Kind::Tcp, Limits::default(), WallClock::system());
    config.timing.ping_every = std::time::Duration::ZERO;
    assert!(config.build().await.expect_err("zero").to_string().starts_with("ping_every"));
    let mut config = cluster::config(1, Kind::Tcp, Limits::default(), WallClock::system());
    config.limits.lane_bytes_max = 1;
    assert!(
        matches!(config.build().await, Err(transport::BuildError::Limits(error)) if error.field == "lane_bytes_max")
    );
}

#[tokio::test]
async fn only_one_side_needs_an_address() {
    let (first, second) = (listen(1, Kind::Tcp).await, listen(2, Kind::Tcp).await);
    let mut entries: Vec<_> = book(0, [(1, &first), (2, &second)]).entries().cloned().collect();
    entries.iter_mut().filter(|entry| entry.id == id(2)).for_each(|entry| entry.addresses.clear());
    let half = PeerBook::new([0; 32], entries).expect("valid");
    let (mut first, mut second) = (start(first, &half), start(second, &half));
    first.up_with(id(2)).await;
    second.up_with(id(1)).await;
}

/// A node, another one that it dials, and a process of the other one's key that dials it. The first is the one that
/// decides which connection is used, so it keeps the one that it has.
struct Three {
    first: cluster::Node,
    second: cluster::Node,
    again: Bound,
    its_book: PeerBook,
    name: PeerId,
}

impl Three {
    async fn of(kind: Kind) -> Self {
        let (small, large) = if id(1) < id(2) { (1, 2) } else { (2, 1) };
        let (first, second) = (listen(small, kind).await, listen(large, kind).await);
        let known = |addresses: &[Address]| {
            let entries = [cluster::entry(small, addresses), cluster::entry(large, &[])];
            PeerBook::new([0; 32], entries).expect("a valid book")
        };
        let both = book(0, [(small, &first), (large, &second)]);
        let its_book = known(first.listen_addresses());
        let config = cluster::config(large, kind, Limits::default(), WallClock::system());
        let again = NetworkConfig { process: 99, ..config }.build().await.expect("a free port");
        let (mut first, mut second) = (start(first, &both), start(second, &known(&[])));
        first.up_with(id(large)).await;
        second.up_with(id(small)).await;
        Self { first, second, again, its_book, name: id(large) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_answer_under_one_name_are_seen() {
    for kind in [Kind::Tcp, Kind::Quic] {
        let Three { first, second: _lives, again, its_book, name } = Three::of(kind).await;
        let links = first.network.links();
        assert_eq!(links.link(name).expect("in the book").twins_at_ms, None);
        let _copy = start(again, &its_book);
        eventually(|| links.link(name).expect("in the book").twins_at_ms).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_started_anew_has_no_twin() {
    for kind in [Kind::Tcp, Kind::Quic] {
        let Three { mut first, second, again, its_book, name } = Three::of(kind).await;
        let links = first.network.links();
        drop(second);
        let _again = start(again, &its_book);
        first.down_with(name).await;
        first.up_with(name).await;
        let heard = || links.link(name).expect("in the book").heard_at_ms;
        let began = heard();
        eventually(|| heard().filter(|at| began.is_none_or(|began| *at > began + 1_000))).await;
        assert_eq!(links.link(name).expect("in the book").twins_at_ms, None);
    }
}
