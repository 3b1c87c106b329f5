//! One gRPC endpoint: every unary method of the chain's services, by path, over raw bytes.
//!
//! The chain answers encoded requests by method path, so no generated server stands between: what a path means is
//! said in one place. Reflection v1 and v1alpha tell clients what there is. Faults are applied here.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::handle::ChainHandle;
use super::lies::{self, HeadLie};
use crate::chain::{Chain, QueryError, QueryStatus, hash_of};
use crate::faults::{FaultHandle, Pinning};

/// Height of the state that a reply was read from; as request metadata, the height asked for.
const HEIGHT: &str = "x-cosmos-block-height";
const BROADCAST: &str = "/cosmos.tx.v1beta1.Service/BroadcastTx";
/// Largest request, as a live node takes it.
const REQUEST_BYTES: usize = 10 * 1024 * 1024;
/// Longest wait for a block after which a lost answer is lost all the same.
const INCLUSION_PATIENCE: Duration = Duration::from_secs(30);
/// Calls that one connection may have open.
const CONCURRENT_CALLS: u32 = 256;

/// Serves until told to stop.
pub(super) fn serve(
    listener: TcpListener,
    chain: ChainHandle,
    faults: FaultHandle,
    head: HeadLie,
    mut stopped: watch::Receiver<bool>,
) -> Result<impl Future<Output = ()> + Send, tonic_reflection::server::Error> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(chain_client::proto::FILE_DESCRIPTOR_SET)
    };
    let routes = tonic::service::Routes::new(reflection().build_v1()?).add_service(reflection().build_v1alpha()?);
    let router = routes.into_axum_router().fallback_service(Dispatch { chain, faults, head, behind: Arc::default() });
    let routes = tonic::service::Routes::from(router);
    Ok(async move {
        let stop = async move {
            // A vanished sender means the chain is gone: stop as well.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let server = tonic::transport::Server::builder()
            .max_concurrent_streams(CONCURRENT_CALLS)
            .add_routes(routes)
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop);
        if let Err(error) = server.await {
            tracing::error!(%error, "endpoint ended");
        }
    })
}

/// All methods of one endpoint.
#[derive(Debug, Clone)]
struct Dispatch {
    chain: ChainHandle,
    faults: FaultHandle,
    head: HeadLie,
    behind: Arc<Mutex<Behind>>,
}

/// The mempool of an endpoint that lags: what it took since it stands where it stands.
#[derive(Debug, Default)]
struct Behind {
    height: u64,
    taken: Vec<Bytes>,
}

impl Behind {
    /// Offers a broadcast to the node as it stood at `height`, on top of what it took there.
    fn broadcast(&mut self, mut node: Chain, request: &Bytes) -> Result<Vec<u8>, QueryError> {
        if self.height != node.height() {
            *self = Self { height: node.height(), taken: Vec::new() };
        }
        for earlier in &self.taken {
            // Taken then, so taken now; only its mark in the mempool matters.
            let _ = node.broadcast(earlier);
        }
        let waiting = node.waiting();
        let answer = node.broadcast(request);
        if node.waiting() > waiting {
            self.taken.push(request.clone());
        }
        answer
    }
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<B> tower::Service<http::Request<B>> for Dispatch
where
    B: tonic::codegen::Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let method = Method { path: request.uri().path().to_owned(), endpoint: self.clone() };
        Box::pin(async move {
            let grpc = tonic::server::Grpc::new(RawCodec);
            let mut grpc = grpc.max_decoding_message_size(REQUEST_BYTES).max_encoding_message_size(usize::MAX);
            Ok(grpc.unary(method, request).await)
        })
    }
}

/// One method of one endpoint.
struct Method {
    path: String,
    endpoint: Dispatch,
}

impl tonic::server::UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = BoxFuture<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (path, endpoint) = (std::mem::take(&mut self.path), self.endpoint.clone());
        Box::pin(async move { endpoint.answer(&path, &request).await })
    }
}

impl Dispatch {
    async fn answer(&self, path: &str, request: &Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let delay = self.faults.current().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if path == BROADCAST {
            return self.broadcast(request.get_ref()).await;
        }
        if self.faults.strikes_read() {
            return Err(unavailable());
        }
        let chain = self.chain.view();
        let faults = self.faults.current();
        let shown = faults.lag.shown(chain.height());
        let asked = asked_height(request.metadata())?;
        if let (Some(feigned), Pinning::Ignored | Pinning::Feigned) = (asked.filter(|asked| *asked > 0), faults.pin) {
            let (reply, newest) = chain.query(path, request.get_ref(), Some(shown)).map_err(|error| status(&error))?;
            let height = if faults.pin == Pinning::Feigned { feigned } else { newest };
            return Ok(with_height(Response::new(lies::twisted(path, reply, &faults, &self.head).into()), height));
        }
        // A node that lags knows of no later height.
        let height = if asked.unwrap_or(0) > shown { u64::MAX } else { asked.unwrap_or(shown) };
        let height = if height == 0 { shown } else { height };
        match chain.query(path, request.get_ref(), Some(height)) {
            Ok((reply, height)) => {
                Ok(with_height(Response::new(lies::twisted(path, reply, &faults, &self.head).into()), height))
            }
            Err(error) => Err(status(&error)),
        }
    }

    async fn broadcast(&self, request: &Bytes) -> Result<Response<Bytes>, Status> {
        let fate = self.faults.fate_of_broadcast();
        if fate.fail {
            return Err(unavailable());
        }
        if fate.swallow {
            let answer = self.chain.view().broadcast(request);
            return self.broadcast_reply(answer);
        }
        if fate.twice {
            // Its answer is the one that nobody sees.
            let _ = self.deliver(request);
        }
        let answer = self.deliver(request);
        if fate.silence {
            // The caller's deadline, or its hanging up, drops this future.
            std::future::pending::<()>().await;
        }
        if fate.lose_answer {
            self.wait_for_inclusion(request).await;
            return Err(unavailable());
        }
        self.broadcast_reply(answer)
    }

    /// The node's mempool, then everybody's. A node that lags judges by what it knows, and tells the others all the same.
    fn deliver(&self, request: &Bytes) -> Result<Vec<u8>, QueryError> {
        let shown = self.faults.current().lag.shown(self.chain.height());
        let view = self.chain.view();
        if shown == view.height() {
            return self.chain.broadcast(request);
        }
        let Some(node) = view.as_of(shown) else { return self.chain.broadcast(request) };
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = behind.broadcast(node, request);
        drop(behind);
        // What the others make of it, its sender does not learn from here.
        let _ = self.chain.broadcast(request);
        answer
    }

    fn broadcast_reply(&self, answer: Result<Vec<u8>, QueryError>) -> Result<Response<Bytes>, Status> {
        let shown = self.faults.current().lag.shown(self.chain.height());
        match answer {
            Ok(reply) => Ok(with_height(Response::new(reply.into()), shown)),
            Err(error) => Err(status(&QueryError { height: Some(shown), ..error })),
        }
    }

    async fn wait_for_inclusion(&self, request: &Bytes) {
        use chain_client::proto::cosmos::tx::v1beta1::BroadcastTxRequest;
        if let Ok(request) = <BroadcastTxRequest as prost::Message>::decode(request.clone()) {
            // Whether it was included or not, the answer is lost.
            let _ = self.chain.wait_for_transaction(&hash_of(&request.tx_bytes), INCLUSION_PATIENCE).await;
        }
    }
}

fn unavailable() -> Status {
    Status::unavailable("injected fault")
}

fn asked_height(metadata: &MetadataMap) -> Result<Option<u64>, Status> {
    let Some(value) = metadata.get(HEIGHT) else { return Ok(None) };
    let height = value.to_str().ok().and_then(|text| text.parse().ok());
    height.map(Some).ok_or_else(|| Status::invalid_argument(format!("invalid height header {HEIGHT}: {value:?}")))
}

fn put_height(metadata: &mut MetadataMap, height: u64) {
    metadata.insert(HEIGHT, height.into());
}

fn with_height(mut response: Response<Bytes>, height: u64) -> Response<Bytes> {
    put_height(response.metadata_mut(), height);
    response
}

fn status(error: &QueryError) -> Status {
    let mut status = match error.status {
        QueryStatus::Unknown => Status::unknown(&error.details),
        QueryStatus::InvalidArgument => Status::invalid_argument(&error.details),
        QueryStatus::NotFound => Status::not_found(&error.details),
        QueryStatus::Unimplemented => Status::unimplemented(&error.details),
    };
    if let Some(height) = error.height {
        put_height(status.metadata_mut(), height);
    }
    status
}

/// Messages as they are.
#[derive(Debug, Clone, Copy)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}
