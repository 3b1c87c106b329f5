//! One connection's stream: a handshake, then frames both ways until it ends.
//!
//! Reading and writing are two loops in one task. Both stop at a bound: the reader waits for room in the inbox, and the
//! peer's flow control does the rest; the writer waits for the socket, and our outbox fills.
//!
//! ```text
//! both      hello ─▶ ◀─ hello     equal roster digests, or the connection ends
//! both      probe ─▶ ◀─ echo      round trip and clock offset are known before the link is up
//! conductor use   ─▶              on one connection; from here on frames, both ways
//! both      probe ─▶ ◀─ echo      now and then, on the connection in use
//! ```

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{SinkExt as _, StreamExt as _};
use libp2p::swarm::{ConnectionId, Stream};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, timeout},
};
use tokio_util::{
    codec::Framed,
    compat::{Compat, FuturesAsyncReadCompatExt as _},
    sync::CancellationToken,
};

use crate::{
    Fault, PeerId,
    exchange::{Exchange, Peer},
    frame::{Codec, Message, WireError},
    link::Dialer,
};

type Wire = Framed<Compat<Stream>, Codec>;

/// What a conversation tells the driver while it runs.
#[derive(Debug)]
pub(super) enum Report {
    /// The handshake is done.
    Ready { peer: PeerId, connection: ConnectionId, dialer: Dialer, process: u64 },
    /// The conductor put this connection in use.
    Asked { peer: PeerId, connection: ConnectionId },
}

/// What a conversation leaves behind. Nothing of it arrives after this.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) peer: PeerId,
    pub(super) connection: ConnectionId,
    /// `None` if the driver ended it.
    pub(super) fault: Option<Fault>,
}

/// The driver's hand on a running conversation: a few flags, so that orders can neither pile up nor be refused.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pending: Mutex<Pending>,
    changed: Notify,
    cancelled: CancellationToken,
}

#[derive(Debug, Default)]
struct Pending {
    /// Carry frames; if `true`, say so first.
    begin: Option<bool>,
    probe: bool,
    /// Date of the peer's last probe that was not answered yet.
    echo: Option<u64>,
    finish: bool,
}

impl Orders {
    /// Carry the frames from now on; with `announce`, tell the peer first.
    pub(super) fn begin(&self, announce: bool) {
        self.change(|pending| pending.begin = Some(announce));
    }

    /// Ask the peer for its date.
    pub(super) fn probe(&self) {
        self.change(|pending| pending.probe = true);
    }

    /// Send what waits, then end in good order.
    pub(super) fn finish(&self) {
        self.change(|pending| pending.finish = true);
    }

    /// End at once.
    pub(super) fn cancel(&self) {
        self.cancelled.cancel();
    }

    fn change(&self, change: impl FnOnce(&mut Pending)) {
        change(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn take(&self) -> Pending {
        std::mem::take(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Everything one conversation knows.
pub(super) struct Conversation {
    pub(super) exchange: Arc<Exchange>,
    pub(super) roster_digest: [u8; 32],
    /// The number that this process drew.
    pub(super) process: u64,
    pub(super) handshake_max: Duration,
    pub(super) peer: PeerId,
    pub(super) connection: ConnectionId,
    pub(super) dialer: Dialer,
    /// Whether this node decides which connection is used.
    pub(super) conductor: bool,
    pub(super) orders: Arc<Orders>,
    pub(super) reports: mpsc::Sender<Report>,
}

impl Conversation {
    /// Talks until the stream ends, a fault ends it, or the driver does.
    pub(super) async fn run(self, stream: Stream) -> Ended {
        let orders = Arc::clone(&self.orders);
        let fault = tokio::select! {
            biased;
            () = orders.cancelled.cancelled() => None,
            fault = self.talk(stream) => Some(fault),
        };
        Ended { peer: self.peer, connection: self.connection, fault }
    }

    async fn talk(&self, stream: Stream) -> Fault {
        let Some(peer) = self.exchange.peer(self.peer) else {
            return Fault::Malformed("a peer that is not in the book");
        };
        let mut wire = Framed::new(stream.compat(), Codec::for_hello());
        let (theirs, process) = match timeout(self.handshake_max, self.greet(&mut wire)).await {
            Ok(Ok(hello)) => hello,
            Ok(Err(fault)) => return fault,
            Err(_) => return Fault::Silent,
        };
        if theirs != self.roster_digest {
            // Closing our half first and waiting for theirs: over QUIC an early close could overtake our hello.
            let last_words = async { (wire.close().await.is_ok(), wire.next().await.is_none()) };
            let _ = timeout(self.handshake_max, last_words).await;
            return Fault::RosterDiffers { theirs };
        }
        *wire.codec_mut() = Codec::for_frames(self.exchange.limits().body_bytes_max);
        match timeout(self.handshake_max, self.measure(peer, &mut wire)).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => return fault,
            Err(_) => return Fault::Silent,
        }
        let ready = Report::Ready { peer: self.peer, connection: self.connection, dialer: self.dialer, process };
        // The driver outlives its conversations; should it be gone, the stream ends as well.
        let _ = self.reports.send(ready).await;
        self.exchange_frames(peer, wire).await
    }

    /// Says hello, and gives the roster digest and the process of the other side.
    async fn greet(&self, wire: &mut Wire) -> Result<([u8; 32], u64), Fault> {
        wire.send(Message::Hello { roster_digest: self.roster_digest, process: self.process }).await?;
        match next_message(wire).await? {
            Message::Hello { roster_digest, process } => Ok((roster_digest, process)),
            _ => Err(Fault::Malformed("a message before the hello")),
        }
    }

    /// Measures the round trip and compares the clocks, and lets the peer do the same.
    ///
    /// The peer's probe left before its echo of ours, so when the echo is here, the peer has been answered as well.
    async fn measure(&self, peer: &Peer, wire: &mut Wire) -> Result<(), Fault> {
        let (sent_ms, sent_at) = (self.exchange.now_ms(), Instant::now());
        wire.send(Message::Probe { date_ms: sent_ms }).await?;
        loop {
            match next_message(wire).await? {
                Message::Probe { date_ms: probe_ms } => {
                    wire.send(Message::Echo { probe_ms, date_ms: self.exchange.now_ms() }).await?;
                }
                Message::Echo { probe_ms, date_ms } if probe_ms == sent_ms => {
                    let now_ms = self.exchange.now_ms();
                    peer.note_clock(sent_ms, date_ms, now_ms);
                    peer.note(|facts| {
                        facts.round_trip = Some(sent_at.elapsed());
                        facts.heard_at_ms = Some(now_ms);
                    });
                    return Ok(());
                }
                _ => return Err(Fault::Malformed("a message that does not belong in a greeting")),
            }
        }
    }

    async fn exchange_frames(&self, peer: &Peer, wire: Wire) -> Fault {
        let (sink, stream) = wire.split();
        let state = Shared::default();
        let reading = self.read(peer, stream, &state);
        tokio::pin!(reading);
        tokio::select! {
            fault = &mut reading => fault,
            written = self.write(peer, sink, &state) => match written {
                Err(error) => error.into(),
                // All is sent and our half is closed; the peer closes its half when it has read the end.
                Ok(()) => reading.await,
            },
        }
    }

    async fn write(
        &self,
        peer: &Peer,
        mut sink: futures::stream::SplitSink<Wire, Message>,
        state: &Shared,
    ) -> Result<(), WireError> {
        loop {
            let orders = self.orders.take();
            if let Some(announce) = orders.begin {
                state.begin();
                if announce {
                    sink.feed(Message::Use).await?;
                }
            }
            if let Some(probe_ms) = orders.echo {
                sink.feed(Message::Echo { probe_ms, date_ms: self.exchange.now_ms() }).await?;
            }
            if orders.probe {
                let date_ms = self.exchange.now_ms();
                state.probe_left(date_ms);
                sink.feed(Message::Probe { date_ms }).await?;
            }
            if orders.finish {
                state.finishing.store(true, Ordering::Relaxed);
            }
            if let Some((lane, body)) = state.in_use().then(|| peer.take()).flatten() {
                sink.feed(Message::Frame { lane, body }).await?;
                continue;
            }
            if state.finishing() {
                return sink.close().await;
            }
            sink.flush().await?;
            tokio::select! {
                () = self.orders.changed.notified() => {}
                () = peer.filled(), if state.in_use() => {}
            }
        }
    }

    async fn read(&self, peer: &Peer, mut stream: futures::stream::SplitStream<Wire>, state: &Shared) -> Fault {
        loop {
            let message = match stream.next().await {
                Some(Ok(message)) => message,
                Some(Err(error)) => return error.into(),
                None => return Fault::Lost("closed by the peer".into()),
            };
            if let Err(what) = self.receive(peer, message, state).await {
                return Fault::Malformed(what);
            }
        }
    }

    /// Takes one message in, or says why it is out of place.
    async fn receive(&self, peer: &Peer, message: Message, state: &Shared) -> Result<(), &'static str> {
        let now_ms = self.exchange.now_ms();
        peer.note(|facts| facts.heard_at_ms = Some(now_ms));
        match message {
            Message::Frame { lane, body } if state.in_use() => {
                peer.count_received(body.len());
                if state.finishing() {
                    // The owner may have stopped reading; the end of the stream must be seen all the same.
                    self.exchange.inbox().try_push(self.peer, lane, &body);
                } else {
                    self.exchange.inbox().push(self.peer, lane, body).await;
                }
            }
            Message::Use if !self.conductor && !state.asked.swap(true, Ordering::Relaxed) => {
                let report = Report::Asked { peer: self.peer, connection: self.connection };
                let _ = self.reports.send(report).await;
                // Nothing more is read before the connection that was in use until now has ended.
                state.begun.notified().await;
            }
            // Only the last one is answered, so that probes without end cost no memory.
            Message::Probe { date_ms } => self.orders.change(|pending| pending.echo = Some(date_ms)),
            Message::Echo { probe_ms, date_ms } => {
                if state.probe_answered(probe_ms) {
                    peer.note_clock(probe_ms, date_ms, now_ms);
                }
            }
            Message::Hello { .. } => return Err("a second hello"),
            Message::Use => return Err("a connection put in use out of turn"),
            Message::Frame { .. } => return Err("a frame before the connection was in use"),
        }
        Ok(())
    }
}

async fn next_message(wire: &mut Wire) -> Result<Message, Fault> {
    match wire.next().await {
        Some(message) => Ok(message?),
        None => Err(Fault::Lost("closed by the peer during the handshake".into())),
    }
}

/// What the two loops of one conversation tell each other.
#[derive(Default)]
struct Shared {
    in_use: AtomicBool,
    asked: AtomicBool,
    finishing: AtomicBool,
    begun: Notify,
    probe: Mutex<Option<u64>>,
}

impl Shared {
    fn begin(&self) {
        self.in_use.store(true, Ordering::Relaxed);
        self.begun.notify_one();
    }

    fn in_use(&self) -> bool {
        self.in_use.load(Ordering::Relaxed)
    }

    fn finishing(&self) -> bool {
        self.finishing.load(Ordering::Relaxed)
    }

    fn probe_left(&self, date_ms: u64) {
        *self.probe.lock().unwrap_or_else(PoisonError::into_inner) = Some(date_ms);
    }

    /// Whether this answers the probe on its way; it answers once.
    fn probe_answered(&self, probe_ms: u64) -> bool {
        self.probe.lock().unwrap_or_else(PoisonError::into_inner).take_if(|sent| *sent == probe_ms).is_some()
    }
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Oversized { claimed, bound } => Self::Oversized { claimed, bound },
            WireError::Malformed(what) => Self::Malformed(what),
            WireError::Io(error) => Self::Lost(error.to_string()),
        }
    }
}
