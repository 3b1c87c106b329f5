//! A raw libp2p client that speaks the wire by hand: strangers, and members gone bad.

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm, SwarmBuilder,
    identity::Keypair,
    noise, ping,
    swarm::{
        SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
    tcp, yamux,
};
use tokio::task::JoinSet;
use transport::{Address, Fault, Incoming, Lane, Limits, PeerBook, Transport as _, WallClock};

use crate::cluster::{Kind, LANE, Node, book, config, entry, eventually, id, listen, number, numbers, patient, start};

const PROTOCOL: &str = "/keyring/frames/1";
const DIGEST: u8 = 0;

/// A client with any key and no manners.
struct Raw {
    control: libp2p_stream::Control,
    incoming: Option<libp2p_stream::IncomingStreams>,
    target: PeerId,
    /// Keeps the client's swarm running.
    _running: JoinSet<()>,
}

#[derive(libp2p::swarm::NetworkBehaviour)]
struct RawBehaviour {
    streams: libp2p_stream::Behaviour,
    ping: ping::Behaviour,
}

impl Raw {
    /// Dials `connections` times, and runs.
    fn dial(seed: u8, node: &Node, connections: usize) -> Self {
        Self::dial_at(seed, node.id, &node.network.listen_addresses()[0], connections)
    }

    fn dial_at(seed: u8, target: transport::PeerId, address: &Address, connections: usize) -> Self {
        let target = libp2p_name(target);
        let address = address.to_string().parse::<Multiaddr>().expect("an address");
        let mut swarm = raw_swarm(seed);
        for _ in 0..connections {
            let how = DialOpts::peer_id(target)
                .addresses(vec![address.clone()])
                .condition(PeerCondition::Always)
                .allocate_new_port()
                .build();
            swarm.dial(how).expect("dialing begins");
        }
        Self::run(swarm, target, None)
    }

    /// Listens, and answers who opens a stream.
    async fn listen(seed: u8, target: transport::PeerId) -> (Self, Address) {
        let mut swarm = raw_swarm(seed);
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("an address")).expect("a free port");
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = patient(swarm.select_next_some()).await {
                break address.to_string().parse().expect("an address");
            }
        };
        let incoming = swarm.behaviour().streams.new_control().accept(StreamProtocol::new(PROTOCOL));
        (Self::run(swarm, libp2p_name(target), Some(incoming.expect("registered once"))), address)
    }

    fn run(mut swarm: Swarm<RawBehaviour>, target: PeerId, incoming: Option<libp2p_stream::IncomingStreams>) -> Self {
        let control = swarm.behaviour().streams.new_control();
        let mut running = JoinSet::new();
        running.spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Self { control, incoming, target, _running: running }
    }

    /// The stream of a connection that the node dialed, greeted.
    async fn answer(&mut self) -> Stream {
        let incoming = self.incoming.as_mut().expect("a listening client");
        let (_, mut stream) = patient(incoming.next()).await.expect("the client runs");
        read_hello(&mut stream).await;
        send_hello(&mut stream).await;
        answer_probe(&mut stream).await;
        stream
    }

    async fn open(&mut self) -> Option<Stream> {
        patient(self.control.open_stream(self.target, StreamProtocol::new(PROTOCOL))).await.ok()
    }

    /// A stream with our own side of the handshake done properly.
    async fn greet(&mut self) -> Stream {
        let mut stream = self.open().await.expect("a member may open a stream");
        send_hello(&mut stream).await;
        read_hello(&mut stream).await;
        answer_probe(&mut stream).await;
        stream
    }
}

/// Roster digest and a process's number.
fn hello() -> [u8; 40] {
    let mut hello = [DIGEST; 40];
    hello[32..].copy_from_slice(&7u64.to_be_bytes());
    hello
}

async fn send_hello(stream: &mut Stream) {
    send(stream, 1, &hello()).await;
}

async fn read_hello(stream: &mut Stream) {
    let mut hello = [0; 4 + 41];
    patient(stream.read_exact(&mut hello)).await.expect("a hello");
    assert_eq!(hello[..5], [0, 0, 0, 41, 1]);
    assert_eq!(hello[5..37], [DIGEST; 32]);
}

/// Lets the node measure the round trip, without which it does not go on.
async fn answer_probe(stream: &mut Stream) {
    let probe = read_until(stream, 3).await;
    send(stream, 4, &[&probe[1..], &0u64.to_be_bytes()].concat()).await;
}

/// Reads until the node puts this connection in use.
async fn put_in_use(stream: &mut Stream) {
    read_until(stream, 2).await;
}

/// Reads until a message of this kind.
async fn read_until(stream: &mut Stream, kind: u8) -> Vec<u8> {
    loop {
        let mut length = [0; 4];
        patient(stream.read_exact(&mut length)).await.expect("a message");
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        patient(stream.read_exact(&mut message)).await.expect("a message");
        if message.first() == Some(&kind) {
            return message;
        }
    }
}

fn libp2p_name(peer: transport::PeerId) -> PeerId {
    let key = libp2p::identity::ed25519::PublicKey::try_from_bytes(peer.as_bytes()).expect("a key");
    libp2p::identity::PublicKey::from(key).to_peer_id()
}

fn raw_swarm(seed: u8) -> Swarm<RawBehaviour> {
    SwarmBuilder::with_existing_identity(Keypair::ed25519_from_bytes([seed; 32]).expect("a seed"))
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("noise")
        .with_quic()
        .with_behaviour(|_| RawBehaviour { streams: libp2p_stream::Behaviour::new(), ping: ping::Behaviour::default() })
        .expect("infallible")
        .with_swarm_config(|config| config.with_idle_connection_timeout(crate::cluster::PATIENCE))
        .build()
}

async fn send(stream: &mut Stream, kind: u8, contents: &[u8]) {
    let length = u32::try_from(1 + contents.len()).expect("short");
    let message = [&length.to_be_bytes()[..], &[kind], contents].concat();
    raw(stream, &message).await;
}

async fn raw(stream: &mut Stream, bytes: &[u8]) {
    patient(stream.write_all(bytes)).await.expect("written");
    patient(stream.flush()).await.expect("flushed");
}

/// Reads until the node closes the stream or the connection.
async fn closed(mut stream: Stream) {
    let mut rest = Vec::new();
    // An error is a closed connection as well.
    let _ = patient(stream.read_to_end(&mut rest)).await;
}

/// Two honest nodes, linked, whose book also lists member 3, who is not running.
async fn two_and_an_absent_member(kind: Kind) -> (Node, Node) {
    let limits = Limits::default();
    let (first, second) = (listen(1, kind).await, config(2, kind, limits, WallClock::system()));
    let second = second.build().await.expect("a free port");
    let mut entries: Vec<_> = book(DIGEST, [(1, &first), (2, &second)]).entries().cloned().collect();
    entries.push(entry(3, &[]));
    let book = PeerBook::new([DIGEST; 32], entries).expect("valid");
    let (mut first, mut second) = (start(first, &book), start(second, &book));
    first.up_with(id(2)).await;
    second.up_with(id(1)).await;
    (first, second)
}

/// The honest link was never down, and still carries frames.
async fn is_undisturbed(first: &Node, second: &mut Node) {
    first.network.send(id(2), LANE, number(77)).expect("the link stands");
    assert_eq!(numbers(&second.frames(1).await, id(1)), [77]);
    let facts = first.network.links().link(id(2)).expect("known");
    assert_eq!((facts.up, facts.counters.ups), (true, 1));
    assert_eq!(facts.counters.drops, transport::Drops::default());
}

#[tokio::test]
async fn a_stranger_is_dropped_at_the_handshake_counted_and_disturbs_nobody() {
    for kind in [Kind::Tcp, Kind::Quic] {
        let (first, mut second) = two_and_an_absent_member(kind).await;
        let mut stranger = Raw::dial(9, &first, 1);
        let links = first.network.links();
        eventually(|| (links.gate().strangers > 0).then_some(())).await;
        if let Some(mut stream) = stranger.open().await {
            // The stranger's end of a connection that the node has dropped already: nothing comes back on it.
            let _ = stream.write_all(&[0; 64]).await;
            closed(stream).await;
        }
        assert!(links.link(id(9)).is_none());
        assert_eq!(links.link(id(3)).expect("known").counters, transport::Counters::default());
        is_undisturbed(&first, &mut second).await;
    }
}

#[tokio::test]
async fn an_oversized_length_prefix_closes_the_connection_and_disturbs_nobody() {
    for kind in [Kind::Tcp, Kind::Quic] {
        let (first, mut second) = two_and_an_absent_member(kind).await;
        let mut member = Raw::dial(3, &first, 1);
        let mut stream = member.greet().await;
        raw(&mut stream, &u32::MAX.to_be_bytes()).await;
        closed(stream).await;
        let links = first.network.links();
        let facts = eventually(|| links.link(id(3)).filter(|facts| facts.fault.is_some())).await;
        let bound = 33 + Limits::default().body_bytes_max as u64;
        assert_eq!(facts.fault, Some(Fault::Oversized { claimed: u32::MAX.into(), bound }));
        assert_eq!(facts.counters.drops.oversized, 1);
        assert!(!facts.up);
        is_undisturbed(&first, &mut second).await;
    }
}

#[tokio::test]
async fn before_the_hello_even_a_short_frame_is_oversized() {
    let (first, mut second) = two_and_an_absent_member(Kind::Tcp).await;
    let mut member = Raw::dial(3, &first, 1);
    let mut stream = member.open().await.expect("a member may open a stream");
    raw(&mut stream, &42u32.to_be_bytes()).await;
    closed(stream).await;
    let links = first.network.links();
    let facts = eventually(|| links.link(id(3)).filter(|facts| facts.fault.is_some())).await;
    assert_eq!(facts.fault, Some(Fault::Oversized { claimed: 42, bound: 41 }));
    is_undisturbed(&first, &mut second).await;
}

#[tokio::test]
async fn malformed_frames_close_the_connection_and_disturb_nobody() {
    let hello = hello();
    let cases: [(&str, u8, &[u8]); 5] = [
        ("a message of an unknown kind", 9, b"?"),
        ("a message of a wrong length", 5, &[1; 31]),
        ("a message of a wrong length", 3, &[0; 9]),
        ("a second hello", 1, &hello),
        ("an empty message", 0, b""),
    ];
    let (first, mut second) = two_and_an_absent_member(Kind::Tcp).await;
    let links = first.network.links();
    for (number, (reason, kind, contents)) in cases.into_iter().enumerate() {
        let mut member = Raw::dial(3, &first, 1);
        let mut stream = member.greet().await;
        match kind {
            0 => raw(&mut stream, &[0; 4]).await,
            _ => send(&mut stream, kind, contents).await,
        }
        closed(stream).await;
        let counted = number as u64 + 1;
        let facts = eventually(|| links.link(id(3)).filter(|f| f.counters.drops.malformed == counted && !f.up)).await;
        assert_eq!(facts.fault, Some(Fault::Malformed(reason)));
    }
    is_undisturbed(&first, &mut second).await;
}

#[tokio::test]
async fn a_second_stream_on_one_connection_is_malformed() {
    let (first, mut second) = two_and_an_absent_member(Kind::Quic).await;
    let mut member = Raw::dial(3, &first, 1);
    let stream = member.greet().await;
    let surplus = member.open().await;
    closed(stream).await;
    drop(surplus);
    let links = first.network.links();
    eventually(|| links.link(id(3)).filter(|facts| facts.counters.drops.malformed == 1)).await;
    is_undisturbed(&first, &mut second).await;
}

#[tokio::test]
async fn a_member_that_never_greets_is_closed_and_called_silent() {
    let (first, mut second) = two_and_an_absent_member(Kind::Tcp).await;
    let mut member = Raw::dial(3, &first, 1);
    let stream = member.open().await.expect("a member may open a stream");
    closed(stream).await;
    let links = first.network.links();
    let facts = eventually(|| links.link(id(3)).filter(|facts| facts.fault.is_some())).await;
    assert_eq!(facts.fault, Some(Fault::Silent));
    is_undisturbed(&first, &mut second).await;
}

#[tokio::test]
async fn a_member_with_another_roster_cannot_hide_it_by_staying_silent() {
    let (first, mut second) = two_and_an_absent_member(Kind::Tcp).await;
    let mut member = Raw::dial(3, &first, 1);
    let mut stream = member.open().await.expect("a member may open a stream");
    send(&mut stream, 1, &[9; 40]).await;
    read_hello(&mut stream).await;
    let links = first.network.links();
    // The stream stays open on the member's side; the node waits only so long.
    let facts = eventually(|| links.link(id(3)).filter(|facts| facts.fault.is_some())).await;
    assert_eq!(facts.fault, Some(Fault::RosterDiffers { theirs: [9; 32] }));
    assert_eq!(facts.counters.drops.stale_roster, 1);
    is_undisturbed(&first, &mut second).await;
}

#[tokio::test]
async fn a_member_cannot_open_connections_without_end() {
    let (first, mut second) = two_and_an_absent_member(Kind::Tcp).await;
    let _member = Raw::dial(3, &first, 8);
    let links = first.network.links();
    eventually(|| (links.gate().over_limit >= 4).then_some(())).await;
    is_undisturbed(&first, &mut second).await;
}

#[tokio::test]
async fn a_member_that_dials_again_replaces_its_old_connection() {
    // Frames of the old connection come before `Down`, those of the new one after `Up`; none is mixed up.
    let (mut first, _second) = two_and_an_absent_member(Kind::Tcp).await;
    let mut open = Vec::new();
    for round in 0..2u32 {
        let mut member = Raw::dial(3, &first, 1);
        let mut stream = member.greet().await;
        if id(3) < id(1) {
            send(&mut stream, 2, b"").await;
        }
        if round == 1 {
            first.down_with(id(3)).await;
        }
        first.up_with(id(3)).await;
        send(&mut stream, 5, &[&[4; 32][..], &round.to_be_bytes()].concat()).await;
        let frame = Incoming::Frame { from: id(3), lane: Lane::new([4; 32]), body: number(round) };
        assert_eq!(first.next().await, frame);
        open.push((member, stream));
    }
    assert_eq!(first.network.links().link(id(3)).expect("known").counters.ups, 2);
}

/// Node 1 alone, with a listening raw member in its book.
async fn one_and_a_listening_member(seed: u8) -> (Node, Raw) {
    let bound = listen(1, Kind::Tcp).await;
    let (member, address) = Raw::listen(seed, bound.peer_id()).await;
    let book = PeerBook::new([DIGEST; 32], [entry(seed, &[address])]).expect("valid");
    (start(bound, &book), member)
}

/// A seed whose node decides, or does not decide, which connection carries its link with node 1.
fn member_that_is_conductor(conductor: bool) -> u8 {
    (3..).find(|seed| (id(*seed) < id(1)) == conductor).expect("half of all ids are smaller")
}

#[tokio::test]
async fn when_one_of_two_connections_dies_the_other_takes_over() {
    for member_decides in [true, false] {
        let seed = member_that_is_conductor(member_decides);
        let (mut node, mut member) = one_and_a_listening_member(seed).await;
        let mut dialed_by_node = member.answer().await;
        if member_decides {
            send(&mut dialed_by_node, 2, b"").await;
        } else {
            put_in_use(&mut dialed_by_node).await;
        }
        node.up_with(id(seed)).await;
        let links = node.network.links();
        // A second client with the same key, so that the stream is certain to go over the second connection.
        let mut twin = Raw::dial(seed, &node, 1);
        let mut dialed_by_member = twin.greet().await;
        eventually(|| links.link(id(seed)).filter(|facts| facts.connections == 2)).await;
        assert_eq!(links.link(id(seed)).expect("known").counters.ups, 1);
        drop(dialed_by_node);
        node.down_with(id(seed)).await;
        if member_decides {
            send(&mut dialed_by_member, 2, b"").await;
        } else {
            put_in_use(&mut dialed_by_member).await;
        }
        node.up_with(id(seed)).await;
        send(&mut dialed_by_member, 5, &[&[4; 32][..], b"here"].concat()).await;
        let (from, lane) = (id(seed), Lane::new([4; 32]));
        assert_eq!(node.next().await, Incoming::Frame { from, lane, body: (&b"here"[..]).into() });
    }
}

#[tokio::test]
async fn a_peer_that_speaks_another_version_is_named_so() {
    let bound = listen(1, Kind::Tcp).await;
    let (mut member, address) = Raw::listen(3, bound.peer_id()).await;
    member.incoming = None;
    let node = start(bound, &PeerBook::new([DIGEST; 32], [entry(3, &[address])]).expect("valid"));
    let links = node.network.links();
    let facts = eventually(|| links.link(id(3)).filter(|facts| facts.fault.is_some())).await;
    assert_eq!(facts.fault, Some(Fault::NoCommonProtocol));
}

#[tokio::test]
async fn a_frozen_peer_is_noticed_by_its_silence() {
    let mut quick = config(1, Kind::Tcp, Limits::default(), WallClock::system());
    quick.timing.ping_max = std::time::Duration::from_millis(300);
    let bound = quick.build().await.expect("a free port");
    let mut node = start(bound, &PeerBook::new([DIGEST; 32], [entry(3, &[])]).expect("valid"));
    let (thaw, frozen) = std::sync::mpsc::sync_channel::<()>(0);
    let (target, address) = (node.id, node.network.listen_addresses()[0].clone());
    let member = std::thread::spawn(move || {
        // A runtime of its own, so that it can be stopped with all its sockets open.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _open = runtime.block_on(async {
            let mut member = Raw::dial_at(3, target, &address, 1);
            let mut stream = member.greet().await;
            if id(3) < id(1) {
                send(&mut stream, 2, b"").await;
            }
            // Later probes come over a connection in use only.
            read_until(&mut stream, 3).await;
            (member, stream)
        });
        frozen.recv().expect_err("thawed by the end of the test");
    });
    node.up_with(id(3)).await;
    node.down_with(id(3)).await;
    let links = node.network.links();
    eventually(|| links.link(id(3)).filter(|facts| facts.fault == Some(Fault::Silent))).await;
    drop(thaw);
    member.join().expect("the member thread ends well");
}
