//! The network in memory, used as a simulation uses it.

use std::time::Duration;

use bytes::Bytes;
use transport::{
    Fault, Incoming, Lane, Limits, NodeKey, PeerBook, PeerEntry, PeerId, SendError, Transport as _,
    memory::{Hub, MemoryTransport, Weather},
};

const LANE: Lane = Lane::new([1; 32]);

fn id(seed: u8) -> PeerId {
    NodeKey::from_seed([seed; 32].into()).peer_id()
}

fn book(digest: u8, seeds: impl IntoIterator<Item = u8>) -> PeerBook {
    let entries =
        seeds.into_iter().map(|seed| PeerEntry { id: id(seed), name: format!("party-{seed}"), addresses: Vec::new() });
    PeerBook::new([digest; 32], entries).expect("a valid book")
}

fn two(hub: &mut Hub) -> (MemoryTransport, MemoryTransport) {
    let mut first = hub.join(id(1), &book(0, 1..=2));
    let mut second = hub.join(id(2), &book(0, 1..=2));
    assert_eq!(drain(&mut first), [Incoming::Up(id(2))]);
    assert_eq!(drain(&mut second), [Incoming::Up(id(1))]);
    (first, second)
}

fn drain(transport: &mut MemoryTransport) -> Vec<Incoming> {
    std::iter::from_fn(|| transport.try_next()).collect()
}

fn numbers(items: Vec<Incoming>) -> Vec<u32> {
    items
        .into_iter()
        .filter_map(|item| match item {
            Incoming::Frame { body, .. } => Some(u32::from_be_bytes(body[..].try_into().expect("four bytes"))),
            Incoming::Up(_) | Incoming::Down(_) => None,
        })
        .collect()
}

fn number(number: u32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn run(hub: &mut Hub) {
    while hub.step() {}
}

#[test]
fn nothing_moves_before_the_hub_is_told_to() {
    let mut hub = Hub::new(1, Limits::default());
    let (first, mut second) = two(&mut hub);
    hub.set_weather_everywhere(Weather { delay: Duration::from_millis(40), ..Weather::default() });
    first.send(id(2), LANE, number(7)).expect("an empty outbox");
    assert_eq!(drain(&mut second), []);
    assert_eq!(hub.next_due(), Some(Duration::from_millis(40)));
    hub.advance_to(Duration::from_millis(39));
    assert_eq!(drain(&mut second), []);
    assert!(hub.step());
    assert_eq!(hub.now(), Duration::from_millis(40));
    assert_eq!(drain(&mut second), [Incoming::Frame { from: id(1), lane: LANE, body: number(7) }]);
    assert!(!hub.step());
}

#[test]
fn jitter_alone_keeps_the_order_and_reordering_breaks_it() {
    for (reordering_per_mille, kept) in [(0, true), (500, false)] {
        let mut hub = Hub::new(2, Limits::default());
        let (first, mut second) = two(&mut hub);
        let jitter = Duration::from_millis(100);
        hub.set_weather_everywhere(Weather { jitter, reordering_per_mille, ..Weather::default() });
        (0..100).for_each(|k| first.send(id(2), LANE, number(k)).expect("room"));
        run(&mut hub);
        let arrived = numbers(drain(&mut second));
        assert_eq!(arrived.len(), 100);
        assert_eq!(arrived.is_sorted(), kept);
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let play = |seed| {
        let mut hub = Hub::new(seed, Limits::default());
        let (first, mut second) = two(&mut hub);
        hub.set_weather_everywhere(Weather {
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(90),
            loss_per_mille: 100,
            duplication_per_mille: 100,
            reordering_per_mille: 300,
        });
        (0..200).for_each(|k| first.send(id(2), LANE, number(k)).expect("room"));
        let mut log = Vec::new();
        while hub.step() {
            log.push((hub.now(), numbers(drain(&mut second))));
        }
        log
    };
    assert_eq!(play(7), play(7));
    assert_ne!(play(7), play(8));
    let mut arrived: Vec<_> = play(7).into_iter().flat_map(|(_, numbers)| numbers).collect();
    let all = arrived.len();
    arrived.sort_unstable();
    arrived.dedup();
    assert!(arrived.len() < 200, "some were lost");
    assert!(all > arrived.len(), "some came twice");
}

#[test]
fn a_cut_shows_as_down_loses_what_was_on_its_way_and_heals() {
    let mut hub = Hub::new(3, Limits::default());
    let (first, mut second) = two(&mut hub);
    first.send(id(2), LANE, number(1)).expect("room");
    hub.partition(&[id(1)], &[id(2)]);
    run(&mut hub);
    assert_eq!(drain(&mut second), [Incoming::Down(id(1))]);
    assert_eq!(first.send(id(2), LANE, number(2)), Err(SendError::Down(id(2))));
    assert_eq!(first.links().link(id(2)).expect("known").counters.drops.unsent, 1);
    hub.heal_all();
    first.send(id(2), LANE, number(3)).expect("up again");
    run(&mut hub);
    let expected = [Incoming::Up(id(1)), Incoming::Frame { from: id(1), lane: LANE, body: number(3) }];
    assert_eq!(drain(&mut second), expected);
}

#[test]
fn a_reader_that_sleeps_makes_the_senders_outbox_full_and_loses_nothing() {
    let limits = Limits { inbox_frames_max: 4, outbox_frames_max: 8, lane_frames_max: 8, ..Limits::default() };
    let mut hub = Hub::new(4, limits);
    let (first, mut second) = two(&mut hub);
    let mut taken = 0;
    while first.send(id(2), LANE, number(taken)).is_ok() {
        taken += 1;
        run(&mut hub);
        assert!(taken <= 16, "inbox, route and outbox hold sixteen frames");
    }
    assert_eq!(first.send(id(2), LANE, number(99)), Err(SendError::Full(id(2))));
    assert_eq!(first.links().link(id(2)).expect("known").counters.drops.full, 2);
    let mut arrived = Vec::new();
    loop {
        arrived.extend(numbers(drain(&mut second)));
        if !hub.step() {
            break;
        }
    }
    assert_eq!(arrived, (0..taken).collect::<Vec<_>>());
}

#[test]
fn another_roster_and_a_stranger_get_no_link_and_are_counted() {
    let mut hub = Hub::new(5, Limits::default());
    let mut first = hub.join(id(1), &book(0, 1..=2));
    let mut stale = hub.join(id(2), &book(9, 1..=2));
    let mut stranger = hub.join(id(3), &book(0, 1..=3));
    for transport in [&mut first, &mut stale, &mut stranger] {
        assert_eq!(drain(transport), []);
    }
    let facts = first.links().link(id(2)).expect("known");
    assert_eq!(facts.fault, Some(Fault::RosterDiffers { theirs: [9; 32] }));
    assert_eq!(facts.counters.drops.stale_roster, 1);
    assert_eq!(first.links().gate().strangers, 1);
    assert_eq!(first.send(id(3), LANE, number(0)), Err(SendError::Stranger(id(3))));
    assert_eq!(first.send(id(2), LANE, number(0)), Err(SendError::Down(id(2))));
}

#[test]
fn a_node_that_crashed_and_came_back_is_seen_down_and_up() {
    let mut hub = Hub::new(6, Limits::default());
    let (mut first, second) = two(&mut hub);
    second.send(id(1), LANE, number(1)).expect("room");
    let mut second = hub.join(id(2), &book(0, 1..=2));
    run(&mut hub);
    assert_eq!(drain(&mut first), [Incoming::Down(id(2)), Incoming::Up(id(2))]);
    assert_eq!(drain(&mut second), [Incoming::Up(id(1))]);
    hub.leave(id(2));
    assert_eq!(drain(&mut first), [Incoming::Down(id(2))]);
}

#[test]
fn facts_show_delay_and_clock_offset() {
    let mut hub = Hub::new(7, Limits::default());
    hub.set_weather_everywhere(Weather { delay: Duration::from_millis(25), ..Weather::default() });
    let (first, _second) = two(&mut hub);
    hub.set_clock_ahead(id(2), 700);
    let facts = first.links().link(id(2)).expect("known");
    assert_eq!(facts.round_trip, Some(Duration::from_millis(50)));
    assert_eq!((facts.up, facts.connections), (true, 1));
    let offset = facts.clock_offset.expect("measured");
    assert_eq!((offset.ahead_ms, offset.error_ms), (700, 25));
}

#[tokio::test]
async fn next_ends_when_the_node_has_left() {
    let mut hub = Hub::new(8, Limits::default());
    let (_first, mut second) = two(&mut hub);
    hub.leave(id(2));
    assert_eq!(second.next().await, Some(Incoming::Down(id(1))));
    assert_eq!(second.next().await, None);
}
