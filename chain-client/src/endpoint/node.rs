//! One endpoint while it is asked: bounded waits, bounded replies, and the height that each reply is of.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::OnceCell;
use tonic::metadata::MetadataMap;
use tonic::{Code, Response, Status};

use super::ceiling::Ceiling;
use super::{BoxedService, ReadError, Settings};
use crate::name::{ChainId, EndpointId, Height};
use crate::proto::cosmos::base::tendermint::v1beta1::{GetLatestBlockRequest, Header};
use crate::proto::{cosmos, zrchain};
use crate::reading::{Block, Pinned};
use crate::submission::cut;

/// Names the height of a reply's state in its metadata, and selects one in a request's.
pub(crate) const HEIGHT_KEY: &str = "x-cosmos-block-height";

/// A named gRPC service with its bounds.
pub(crate) struct Node {
    id: EndpointId,
    name: String,
    service: BoxedService,
    call_timeout: Duration,
    reply_bytes_max: usize,
    height: AtomicU64,
    ceiling: Arc<Ceiling>,
    vouched: OnceCell<()>,
}

/// One client per service, all over the same connection and with the same bound.
macro_rules! clients {
    ($($name:ident: $($path:ident)::+),+ $(,)?) => {
        $(pub(crate) fn $name(&self) -> $($path)::+<BoxedService> {
            $($path)::+::new(self.service.clone())
                .max_decoding_message_size(self.reply_bytes_max)
        })+
    };
}

impl Node {
    pub(super) fn new(
        id: EndpointId,
        name: String,
        service: BoxedService,
        settings: &Settings,
        ceiling: Arc<Ceiling>,
    ) -> Self {
        let Settings { call_timeout, reply_bytes_max, .. } = *settings;
        let (height, vouched) = (AtomicU64::new(0), OnceCell::new());
        Self { id, name, service, call_timeout, reply_bytes_max, height, ceiling, vouched }
    }

    clients! {
        treasury: zrchain::treasury::query_client::QueryClient,
        identity: zrchain::identity::query_client::QueryClient,
        auth: cosmos::auth::v1beta1::query_client::QueryClient,
        bank: cosmos::bank::v1beta1::query_client::QueryClient,
        transactions: cosmos::tx::v1beta1::service_client::ServiceClient,
        blocks: cosmos::base::tendermint::v1beta1::service_client::ServiceClient,
    }

    pub(crate) const fn id(&self) -> EndpointId {
        self.id
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Highest height seen in any reply that was believed.
    pub(crate) fn height(&self) -> Height {
        Height(self.height.load(Ordering::Relaxed))
    }

    /// A reply is of the state of this height, if a chain can be so high.
    fn saw(&self, height: Height) -> Result<(), ReadError> {
        self.believe(height, self.ceiling.admits(height))
    }

    /// The node shows this as its newest block, which a chain may or may not have by now.
    pub(crate) fn saw_head(&self, head: &Block) -> Result<(), ReadError> {
        self.believe(head.height, self.ceiling.raise(head.height, head.time_unix_ms))
    }

    /// One false height would make every honest node count as behind, and be kept by all who hear of it.
    fn believe(&self, height: Height, is_possible: bool) -> Result<(), ReadError> {
        if !is_possible {
            let known = self.ceiling.height();
            return Err(self
                .malformed(format!("it shows height {height}, but no chain that was at {known} can be there by now")));
        }
        self.height.fetch_max(height.0, Ordering::Relaxed);
        Ok(())
    }

    /// Makes sure, once, that the node serves this chain, before it is asked anything else. Replies of modules do not
    /// say of which chain they are, and keyrings have the same addresses on every chain: a node of a test chain in the
    /// list would have users of that chain sign with the keys of this one.
    pub(super) async fn vouch(&self, chain: &ChainId) -> Result<(), ReadError> {
        let ask = || async {
            let mut client = self.blocks();
            let reply = self.reply(client.get_latest_block(GetLatestBlockRequest {})).await?.into_inner();
            let header = reply.sdk_block.and_then(|block| block.header);
            let header = header.ok_or_else(|| self.malformed("block without header"))?;
            self.is_of(chain, &header)
        };
        self.vouched.get_or_try_init(ask).await.copied()
    }

    /// Whether a block is of this chain.
    pub(crate) fn is_of(&self, chain: &ChainId, header: &Header) -> Result<(), ReadError> {
        if header.chain_id == chain.as_str() {
            return Ok(());
        }
        Err(self.malformed(format!("it serves chain {:?}, not {chain}", header.chain_id)))
    }

    /// Waits for a reply, within the bound.
    pub(crate) async fn reply<R>(
        &self,
        call: impl Future<Output = Result<Response<R>, Status>>,
    ) -> Result<Response<R>, ReadError> {
        match tokio::time::timeout(self.call_timeout, call).await {
            Ok(reply) => reply.map_err(|status| self.failed(&status)),
            Err(_) => Err(ReadError::Unreachable {
                endpoint: self.name.clone(),
                reason: format!("no reply within {:?}", self.call_timeout),
            }),
        }
    }

    /// Waits for the reply of a module's query and makes sure of which height it is.
    ///
    /// `at` must be the height that the request was pinned to, if any: a reply of another height is not taken.
    pub(crate) async fn read<R>(
        &self,
        at: Option<Height>,
        call: impl Future<Output = Result<Response<R>, Status>>,
    ) -> Result<Pinned<R>, ReadError> {
        let reply = self.reply(call).await?;
        let Some(height) = height_in(reply.metadata()) else {
            return Err(self.malformed(format!("metadata {HEIGHT_KEY} is missing or no number")));
        };
        if let Some(at) = at.filter(|at| *at != height) {
            return Err(self.malformed(format!("asked for height {at}, answered from {height}")));
        }
        self.saw(height)?;
        Ok(Pinned { endpoint: self.id, height, value: reply.into_inner() })
    }

    /// The same for things that may not exist: the chain's "not found" becomes `None`, of the height it was said of.
    pub(crate) async fn find<R>(
        &self,
        at: Option<Height>,
        call: impl Future<Output = Result<Response<R>, Status>>,
    ) -> Result<Pinned<Option<R>>, ReadError> {
        let error = match self.read(at, call).await {
            Ok(reply) => return Ok(reply.map(Some)),
            Err(error) => error,
        };
        let ReadError::Refused { height: said_of, .. } = &error else { return Err(error) };
        if !error.is_absence() {
            return Err(error);
        }
        match (at, *said_of) {
            (Some(at), Some(height)) if at != height => {
                Err(self.malformed(format!("asked for height {at}, answered from {height}")))
            }
            (None, None) => Err(self.malformed("says that a thing does not exist, but not of which height")),
            (Some(height), _) | (None, Some(height)) => {
                self.saw(height)?;
                Ok(Pinned { endpoint: self.id, height, value: None })
            }
        }
    }

    pub(crate) fn malformed(&self, what: impl Into<String>) -> ReadError {
        ReadError::Malformed { endpoint: self.name.clone(), what: what.into() }
    }

    fn failed(&self, status: &Status) -> ReadError {
        let endpoint = self.name.clone();
        let reason = cut(status.message().to_owned());
        // Failures below gRPC carry their cause; what the node itself said does not.
        let from_below = std::error::Error::source(status).is_some();
        match status.code() {
            // So tonic reports a reply beyond the bound; no query of the chain answers this code.
            Code::OutOfRange => ReadError::TooLarge { endpoint },
            Code::Unknown | Code::Internal if from_below => {
                ReadError::Unreachable { endpoint, reason: cut(with_sources(status)) }
            }
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted | Code::ResourceExhausted => {
                ReadError::Unreachable { endpoint, reason }
            }
            // So tonic reports bytes that are no message of the promised kind.
            Code::Internal | Code::DataLoss => ReadError::Malformed { endpoint, what: reason },
            code => ReadError::Refused { endpoint, code, reason, height: height_in(status.metadata()) },
        }
    }
}

fn height_in(metadata: &MetadataMap) -> Option<Height> {
    metadata.get(HEIGHT_KEY)?.to_str().ok()?.parse().ok().map(Height)
}

/// An error with all its causes: the outermost of a transport says little.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A request, pinned to a height if one is given.
pub(crate) fn pinned<M>(message: M, at: Option<Height>) -> tonic::Request<M> {
    let mut request = tonic::Request::new(message);
    if let Some(Height(at)) = at {
        request.metadata_mut().insert(HEIGHT_KEY, at.into());
    }
    request
}
