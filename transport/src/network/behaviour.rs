//! What libp2p is told to do on every connection: admit, limit, ping, and open one stream for our frames.
//!
//! The stream is opened by whoever dialed the connection, once, and is handed over with the name of its connection, so
//! that a fault on it ends exactly that connection.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol, allow_block_list, connection_limits,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    ping,
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour, Stream,
        StreamUpgradeError, SubstreamProtocol, THandlerInEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use crate::{frame::PROTOCOL, link::Dialer};

/// The order matters: who is not allowed is refused before anything else looks at it.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) allowed: allow_block_list::Behaviour<allow_block_list::AllowedPeers>,
    pub(super) limits: connection_limits::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) streams: Streams,
}

/// Opens and accepts the one stream of each connection.
#[derive(Default)]
pub(super) struct Streams {
    events: VecDeque<StreamEvent>,
}

#[derive(Debug)]
pub(super) struct StreamEvent {
    pub(super) peer: PeerId,
    pub(super) connection: ConnectionId,
    pub(super) news: StreamNews,
}

#[derive(Debug)]
pub(super) enum StreamNews {
    /// The stream stands. It carries no byte of ours yet.
    Opened(Stream, Dialer),
    /// We dialed, and the peer does not speak the protocol.
    NoCommonProtocol,
    /// We dialed, and the stream could not be opened.
    Failed,
    /// The peer opened a stream that it may not open.
    Surplus,
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = OneStream;
    type ToSwarm = StreamEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<OneStream, ConnectionDenied> {
        Ok(OneStream::new(Dialer::They))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<OneStream, ConnectionDenied> {
        Ok(OneStream::new(Dialer::We))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, news: StreamNews) {
        self.events.push_back(StreamEvent { peer, connection, news });
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<StreamEvent, THandlerInEvent<Self>>> {
        // libp2p polls again after every event of a handler, so no waker is kept.
        self.events.pop_front().map_or(Poll::Pending, |event| Poll::Ready(ToSwarm::GenerateEvent(event)))
    }
}

/// The handler of one connection.
pub(super) struct OneStream {
    dialer: Dialer,
    asked: bool,
    accepted: bool,
    /// At most one per stream that libp2p lets a peer negotiate at once, emptied at every poll.
    news: VecDeque<StreamNews>,
}

impl OneStream {
    fn new(dialer: Dialer) -> Self {
        Self { dialer, asked: false, accepted: false, news: VecDeque::new() }
    }

    fn on_inbound(&mut self, stream: Stream) {
        if self.dialer == Dialer::They && !self.accepted {
            self.accepted = true;
            self.news.push_back(StreamNews::Opened(stream, Dialer::They));
        } else {
            self.news.push_back(StreamNews::Surplus);
        }
    }
}

type Protocol = ReadyUpgrade<StreamProtocol>;

impl ConnectionHandler for OneStream {
    type FromBehaviour = std::convert::Infallible;
    type ToBehaviour = StreamNews;
    type InboundProtocol = Protocol;
    type OutboundProtocol = Protocol;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Protocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(StreamProtocol::new(PROTOCOL)), ())
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Protocol, (), StreamNews>> {
        if let Some(news) = self.news.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(news));
        }
        if self.dialer == Dialer::We && !self.asked {
            self.asked = true;
            let protocol = self.listen_protocol();
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        // libp2p polls again after every connection event, so no waker is kept.
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: std::convert::Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Protocol, Protocol>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                self.on_inbound(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, .. }) => {
                self.news.push_back(StreamNews::Opened(protocol, Dialer::We));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.news.push_back(match error {
                    StreamUpgradeError::NegotiationFailed => StreamNews::NoCommonProtocol,
                    StreamUpgradeError::Timeout | StreamUpgradeError::Io(_) => StreamNews::Failed,
                    StreamUpgradeError::Apply(never) => match never {},
                });
            }
            _ => {}
        }
    }
}
