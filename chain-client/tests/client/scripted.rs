//! A node in this process that says what a script tells it to: no socket, no generated server.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chain_client::proto::cosmos::base::tendermint::v1beta1::{Block, GetLatestBlockResponse, Header};
use chain_client::proto::tendermint::types::BlockId;
use chain_client::{ChainId, Endpoint, Settings, ZrChain};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::Code;
use tonic::body::Body;

/// One question as the node received it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    /// `/package.Service/Method`
    pub(crate) path: String,
    /// The encoded request.
    pub(crate) message: Vec<u8>,
    /// The height it was pinned to.
    pub(crate) at: Option<u64>,
}

impl Asked {
    pub(crate) fn is(&self, method: &str) -> bool {
        self.path.ends_with(&format!("/{method}"))
    }

    pub(crate) fn read<M: Message + Default>(&self) -> M {
        M::decode(self.message.as_slice()).expect("the client asks in the chain's form")
    }
}

/// What the node does.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// A message, of this height if one is given.
    Message(Vec<u8>, Option<u64>),
    /// A gRPC status, of this height if one is given.
    Status(Code, String, Option<u64>),
    /// Nothing, ever.
    Silence,
}

impl Said {
    pub(crate) fn message(message: &impl Message, height: u64) -> Self {
        Self::Message(message.encode_to_vec(), Some(height))
    }

    pub(crate) fn not_found(text: &str, height: u64) -> Self {
        Self::Status(Code::Unknown, text.into(), Some(height))
    }

    pub(crate) fn down() -> Self {
        Self::Status(Code::Unavailable, "connection refused".into(), None)
    }
}

type Script = dyn Fn(&Asked) -> Said + Send + Sync;

/// The node; clones share its memory of what it was asked.
#[derive(Clone)]
pub(crate) struct Node {
    script: Arc<Script>,
    asked: Arc<Mutex<VecDeque<Asked>>>,
    /// Whether it was already asked which chain it serves.
    vouched: Arc<AtomicBool>,
}

impl Node {
    pub(crate) fn new(script: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), asked: Arc::default(), vouched: Arc::default() }
    }

    /// A node whose script also answers the first question, which chain it serves.
    pub(crate) fn unvouched(script: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        Self { vouched: Arc::new(AtomicBool::new(true)), ..Self::new(script) }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic in a script").iter().cloned().collect()
    }

    pub(crate) fn times(&self, method: &str) -> usize {
        self.asked().iter().filter(|asked| asked.is(method)).count()
    }
}

impl tower::Service<http::Request<Body>> for Node {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let node = self.clone();
        Box::pin(async move {
            let at = request.headers().get("x-cosmos-block-height");
            let at = at.map(|at| at.to_str().expect("text").parse().expect("a number"));
            let path = request.uri().path().to_owned();
            let frame = request.into_body().collect().await.expect("a body").to_bytes();
            let asked = Asked { path, message: frame.slice(5..).to_vec(), at };
            if asked.is("GetLatestBlock") && !node.vouched.swap(true, Ordering::SeqCst) {
                return Ok(reply(Said::Message(block(1, "zenrock").encode_to_vec(), None)));
            }
            node.asked.lock().expect("no panic in a script").push_back(asked.clone());
            let said = (node.script)(&asked);
            if matches!(said, Said::Silence) {
                std::future::pending::<()>().await;
            }
            Ok(reply(said))
        })
    }
}

/// A reply of one frame with its trailers.
fn reply(said: Said) -> http::Response<Body> {
    let (message, code, details, height) = match said {
        Said::Message(message, height) => (Some(message), Code::Ok, String::new(), height),
        Said::Status(code, details, height) => (None, code, details, height),
        Said::Silence => (None, Code::Unavailable, String::new(), None),
    };
    let mut frame = Vec::new();
    if let Some(message) = message {
        frame.push(0);
        frame.extend(u32::try_from(message.len()).expect("a small message").to_be_bytes());
        frame.extend(message);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code as i32));
    trailers.insert("grpc-message", HeaderValue::from_str(&details.replace(' ', "%20")).expect("visible text"));
    let body = Full::new(Bytes::from(frame)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = http::Response::new(Body::new(body));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    if let Some(height) = height {
        response.headers_mut().insert("x-cosmos-block-height", HeaderValue::from(height));
    }
    response
}

/// The newest block of a chain, made a while ago.
pub(crate) fn block(height: i64, chain: &str) -> GetLatestBlockResponse {
    let time = Some(prost_types::Timestamp { seconds: 1_750_000_000, nanos: 0 });
    let header = Header { chain_id: chain.into(), height, time, ..Default::default() };
    GetLatestBlockResponse {
        block_id: Some(BlockId { hash: vec![9; 32], part_set_header: None }),
        sdk_block: Some(Block { header: Some(header), ..Default::default() }),
        block: None,
    }
}

pub(crate) const KEYRING: &str = "keyring1k6vc6vhp6e6l3rxalue9v4ux";

/// Short waits, so that a test of failures is over soon.
pub(crate) fn hurried() -> Settings {
    Settings {
        call_timeout: Duration::from_millis(200),
        rounds: 2,
        pause_min: Duration::from_millis(1),
        pause_max: Duration::from_millis(2),
        ..Settings::default()
    }
}

pub(crate) fn client_with(nodes: &[&Node], settings: Settings) -> ZrChain {
    let endpoints = nodes.iter().enumerate().map(|(at, &node)| Endpoint::new(format!("node {at}"), node.clone()));
    ZrChain::new(ChainId::new("zenrock").expect("a name"), KEYRING, endpoints.collect(), settings)
}

pub(crate) fn client(nodes: &[&Node]) -> ZrChain {
    client_with(nodes, hurried())
}
