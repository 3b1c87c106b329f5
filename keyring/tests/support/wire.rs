//! Wires between parties on loopback. Each party listens on a port that nobody is told of; at its address in the roster
//! stands a wire to it. What flows from the last party, or to it, can be held back or slowed down. It is late then, not
//! lost, as TCP sees it when packets are dropped; nothing is ever refused or reset.
//!
//! Nothing that goes over a wire says who dialled. So the last party is started last, when all others are linked with one
//! another: who dials them from then on is this party.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ground::{Ground, free_ports};

/// Bytes that are carried at a time.
const PIECE_BYTES: usize = 16 << 10;
/// Pieces that are on their way in one direction of a connection; beyond it whoever writes waits.
const PIECES_MAX: usize = 256;

/// What flows in one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    is_held: bool,
    delay: Duration,
}

/// As the last party sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    Outward,
    Inward,
}

pub(crate) struct Wires {
    outward: watch::Sender<Flow>,
    inward: watch::Sender<Flow>,
    last_has_begun: Arc<AtomicBool>,
    _carriers: JoinSet<()>,
}

impl Wires {
    /// Between the parties of a ground on which nobody runs yet.
    pub(crate) async fn lay(ground: &Ground) -> Self {
        let (outward, inward) = (watch::Sender::default(), watch::Sender::default());
        let last_has_begun = Arc::new(AtomicBool::new(false));
        let mut carriers = JoinSet::new();
        let hidden = free_ports(ground.terms.of.into());
        for (party, hidden) in hidden.into_iter().enumerate() {
            let listener = take_place(ground, party, hidden).await;
            let is_last = party + 1 == usize::from(ground.terms.of);
            let (there, back) = if is_last { (&inward, &outward) } else { (&outward, &inward) };
            let (there, back) = (there.subscribe(), back.subscribe());
            let wire = Wire { hidden, there, back, is_last, last_has_begun: last_has_begun.clone() };
            carriers.spawn(wire.serve(listener));
        }
        Self { outward, inward, last_has_begun, _carriers: carriers }
    }

    /// The last party is started next.
    pub(crate) fn last_begins(&self) {
        self.last_has_begun.store(true, Ordering::SeqCst);
    }

    pub(crate) fn hold(&self, direction: Direction) {
        self.flow(direction).send_modify(|flow| flow.is_held = true);
    }

    pub(crate) fn let_through(&self, direction: Direction) {
        self.flow(direction).send_modify(|flow| flow.is_held = false);
    }

    /// From now on everything takes so long, each way.
    pub(crate) fn slow_down(&self, delay: Duration) {
        for flow in [&self.outward, &self.inward] {
            flow.send_modify(|flow| flow.delay = delay);
        }
    }

    const fn flow(&self, direction: Direction) -> &watch::Sender<Flow> {
        match direction {
            Direction::Outward => &self.outward,
            Direction::Inward => &self.inward,
        }
    }
}

/// Listens where the roster says, and lets the party listen elsewhere.
async fn take_place(ground: &Ground, party: usize, hidden: u16) -> TcpListener {
    let path = ground.party_folder(party).join("keyringd.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let before = "listen = [\"/ip4/127.0.0.1/tcp/";
    let (_, behind) = config.split_once(before).expect("it listens");
    let (port, _) = behind.split_once('"').unwrap();
    let moved = config.replacen(&format!("{before}{port}\""), &format!("{before}{hidden}\""), 1);
    std::fs::write(&path, moved).unwrap();
    TcpListener::bind(("127.0.0.1", port.parse().unwrap())).await.unwrap()
}

/// The wire to one party.
struct Wire {
    hidden: u16,
    there: watch::Receiver<Flow>,
    back: watch::Receiver<Flow>,
    is_last: bool,
    last_has_begun: Arc<AtomicBool>,
}

impl Wire {
    async fn serve(self, listener: TcpListener) {
        // Between two others everything flows.
        let free = watch::Sender::<Flow>::default();
        let mut ways = JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            while ways.try_join_next().is_some() {}
            let is_lasts = self.is_last || self.last_has_begun.load(Ordering::SeqCst);
            let (there, back) =
                if is_lasts { (self.there.clone(), self.back.clone()) } else { (free.subscribe(), free.subscribe()) };
            let Ok(far) = TcpStream::connect(("127.0.0.1", self.hidden)).await else { continue };
            for stream in [&near, &far] {
                stream.set_nodelay(true).unwrap();
            }
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            ways.spawn(carry(near_in, far_out, there));
            ways.spawn(carry(far_in, near_out, back));
        }
    }
}

/// Carries one direction of a connection, until its end, which is a piece without bytes and waits like any other.
async fn carry(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, flow: watch::Receiver<Flow>) {
    let (pieces, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    let mut gate = flow.clone();
    let writing = async move {
        while let Some((at, piece)) = due.recv().await {
            tokio::time::sleep_until(at).await;
            let is_open = gate.wait_for(|flow| !flow.is_held).await.is_ok();
            if !is_open || piece.is_empty() || to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    let reading = async move {
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            // A connection that broke ends as any other.
            let count = from.read(&mut piece).await.unwrap_or(0);
            piece.truncate(count);
            let at = Instant::now() + flow.borrow().delay;
            if pieces.send((at, piece)).await.is_err() || count == 0 {
                return;
            }
        }
    };
    tokio::pin!(writing);
    tokio::select! {
        () = &mut writing => {}
        () = reading => writing.await,
    }
}
