//! Several nodes of one chain: which to ask, when to turn to another, when to give up.
//!
//! Refuses to know what is asked. It owes each question a bounded number of attempts with a bounded wait, the node
//! it came from, and a preference that stays with one node while that node is well: transactions of one account must
//! go to one node (`docs/zrchain.md`, *Broadcasting*). Only this room and its like for EVM chains look at a clock here:
//! to let a failed node rest, and to tell how high a chain can be by now (`ceiling`).

mod ceiling;
mod node;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::{Channel, ClientTlsConfig};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt as _};
use url::Url;

pub(crate) use node::{Node, pinned, with_sources};

use self::ceiling::Ceiling;
use crate::name::{ChainId, EndpointId, Height};
use crate::reading::Block;

/// Any gRPC service, boxed: a channel over a socket, or a server in this process.
pub(crate) type BoxedService = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Broken>;

/// A failure of the service below gRPC. A type of its own: with the boxed error itself the compiler cannot show that
/// futures over it may move between threads.
#[derive(Debug, thiserror::Error)]
#[error("transport failed")]
pub(crate) struct Broken(#[source] BoxError);

/// Bounds on asking. All have defaults that fit blocks of one to six seconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Settings {
    /// Longest wait for one reply.
    pub call_timeout: Duration,
    /// How often all endpoints are tried in turn before a question fails.
    pub rounds: usize,
    /// First pause between rounds; it doubles, with jitter.
    pub pause_min: Duration,
    /// Longest pause between rounds.
    pub pause_max: Duration,
    /// How long an endpoint that failed rests before it is preferred again.
    pub rest: Duration,
    /// Blocks that an endpoint may be behind the highest one seen before others are preferred.
    pub lag_blocks_max: u64,
    /// Largest reply taken, in bytes.
    pub reply_bytes_max: usize,
    /// Records that a node scans for one page.
    pub page_records: u64,
    /// Pages per status in one scan.
    pub pages_max: usize,
    /// Bytes of open requests kept per status in one scan; about as many as a node can be made to hold open.
    pub scan_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(5),
            rounds: 3,
            pause_min: Duration::from_millis(100),
            pause_max: Duration::from_secs(2),
            rest: Duration::from_secs(10),
            lag_blocks_max: 2,
            // A node takes messages of at most 10 MiB but sends up to 2 GiB.
            reply_bytes_max: 32 * 1024 * 1024,
            page_records: 1000,
            pages_max: 256,
            scan_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// One node of a chain, not yet asked anything.
pub struct Endpoint {
    name: String,
    service: BoxedService,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Endpoint({})", self.name)
    }
}

/// An address that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Not an address of a node.
    #[error("endpoint address {0} must begin with http:// or https:// and name a host")]
    Address(String),
    /// TLS cannot be set up.
    #[error("endpoint {name} cannot be prepared")]
    Prepare {
        /// The address without credentials.
        name: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
}

impl Endpoint {
    /// Wraps any gRPC service, for example the routes of a server in this process.
    pub fn new<S, B>(name: impl Into<String>, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: tonic::codegen::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = service.map_response(|reply| reply.map(Body::new)).map_err(|error| Broken(error.into()));
        Self { name: name.into(), service: BoxCloneSyncService::new(service) }
    }

    /// A node at an address, connected when first asked: `http://host:9090`, or `https://…` under the system's roots.
    ///
    /// # Errors
    /// When the address is none: mend the configuration.
    pub fn at(address: &Url) -> Result<Self, EndpointError> {
        let name = redacted(address);
        if !matches!(address.scheme(), "http" | "https") || address.host_str().is_none() {
            return Err(EndpointError::Address(name));
        }
        let Ok(mut channel) = Channel::from_shared(address.as_str().to_owned()) else {
            return Err(EndpointError::Address(name));
        };
        if address.scheme() == "https" {
            let tls = ClientTlsConfig::new().with_native_roots();
            channel =
                channel.tls_config(tls).map_err(|source| EndpointError::Prepare { name: name.clone(), source })?;
        }
        let channel = channel
            .connect_timeout(Duration::from_secs(5))
            .http2_keep_alive_interval(Duration::from_secs(120))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true)
            .connect_lazy();
        Ok(Self::new(name, channel))
    }
}

/// The address without user, password, path and query.
pub(crate) fn redacted(address: &Url) -> String {
    let host = address.host_str().unwrap_or("no host");
    match address.port_or_known_default() {
        Some(port) => format!("{}://{host}:{port}", address.scheme()),
        None => format!("{}://{host}", address.scheme()),
    }
}

/// A question that got no usable reply from any endpoint, cut by what can be done.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nobody answered in time. Ask again later.
    #[error("{endpoint} did not answer: {reason}")]
    Unreachable {
        /// The last one tried.
        endpoint: String,
        /// What went wrong.
        reason: String,
    },
    /// The node answers, and says no: a height it has not yet or no longer, a malformed question. Another height or node may help.
    #[error("{endpoint} refused: {reason}")]
    Refused {
        /// The last one tried.
        endpoint: String,
        /// gRPC's code.
        code: tonic::Code,
        /// The node's words, cut.
        reason: String,
        /// The height of the state it looked at, where it says so.
        height: Option<Height>,
    },
    /// The reply breaks the chain's form or comes from another height or chain: tell a person, use another node.
    #[error("{endpoint} sent a reply that cannot be trusted: {what}")]
    Malformed {
        /// The last one tried.
        endpoint: String,
        /// Which field, and why.
        what: String,
    },
    /// The reply is larger than the bound. Ask for less, or raise `reply_bytes_max`.
    #[error("{endpoint} sent more than the bound on replies")]
    TooLarge {
        /// The last one tried.
        endpoint: String,
    },
}

impl ReadError {
    /// Whether waiting a little may help.
    fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            // Heights that are not there yet come as UNKNOWN.
            Self::Refused { code, .. } => *code == tonic::Code::Unknown,
            Self::Malformed { .. } | Self::TooLarge { .. } => false,
        }
    }

    /// Whether the chain said that the thing does not exist. Its modules say so in words only, under UNKNOWN.
    pub(crate) fn is_absence(&self) -> bool {
        match self {
            Self::Refused { code: tonic::Code::NotFound, .. } => true,
            Self::Refused { code: tonic::Code::Unknown, reason, .. } => reason.contains("not found"),
            _ => false,
        }
    }
}

/// How an endpoint has been doing, for status pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointHealth {
    /// Which one.
    pub id: EndpointId,
    /// Its address without credentials.
    pub name: String,
    /// Failures in a row.
    pub failures: u32,
    /// Whether others are preferred because it failed lately.
    pub resting: bool,
    /// Highest height it has shown and a chain can have.
    pub height: Height,
}

#[derive(Default)]
struct Health {
    failures: u32,
    rest_until: Option<Instant>,
}

struct Slot {
    node: Node,
    health: Mutex<Health>,
}

/// The endpoints of one chain.
pub(crate) struct Endpoints {
    chain: ChainId,
    slots: Vec<Slot>,
    settings: Settings,
    ceiling: Arc<Ceiling>,
    compared: OnceCell<()>,
}

impl Endpoints {
    pub(crate) fn new(chain: ChainId, endpoints: Vec<Endpoint>, settings: Settings) -> Self {
        let ceiling = Arc::new(Ceiling::new());
        let slots = (0..).zip(endpoints).map(|(id, Endpoint { name, service })| Slot {
            node: Node::new(EndpointId(id), name, service, &settings, ceiling.clone()),
            health: Mutex::default(),
        });
        Self { chain, slots: slots.collect(), settings, ceiling, compared: OnceCell::new() }
    }

    pub(crate) const fn chain(&self) -> &ChainId {
        &self.chain
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Asks until somebody answers: all endpoints in order of preference, some rounds of that with growing pauses.
    pub(crate) async fn ask<'a, T, F, Reply>(&'a self, question: F) -> Result<T, ReadError>
    where
        F: Fn(&'a Node) -> Reply,
        Reply: Future<Output = Result<T, ReadError>>,
    {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.settings.pause_min)
            .with_max_delay(self.settings.pause_max)
            .with_max_times(self.settings.rounds.saturating_sub(1))
            .with_jitter();
        (|| self.round(&question)).retry(pauses).when(ReadError::is_passing).await
    }

    /// Asks each endpoint at most once, best first.
    pub(crate) async fn round<'a, T, F, Reply>(&'a self, question: &F) -> Result<T, ReadError>
    where
        F: Fn(&'a Node) -> Reply,
        Reply: Future<Output = Result<T, ReadError>>,
    {
        let mut last = ReadError::Unreachable { endpoint: "no endpoint".into(), reason: "none is configured".into() };
        for slot in self.in_order() {
            let reply = match slot.node.vouch(&self.chain).await {
                Ok(()) => question(&slot.node).await,
                Err(error) => Err(error),
            };
            self.note(slot, &reply);
            match reply {
                Ok(reply) => return Ok(reply),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks every endpoint once, side by side. What each said, or why it said nothing.
    pub(crate) async fn each<'a, T, F, Reply>(&'a self, question: F) -> Vec<(EndpointId, Result<T, ReadError>)>
    where
        F: Fn(&'a Node) -> Reply,
        Reply: Future<Output = Result<T, ReadError>>,
    {
        let ask = |slot: &'a Slot| {
            let question = &question;
            async move {
                let reply = match slot.node.vouch(&self.chain).await {
                    Ok(()) => question(&slot.node).await,
                    Err(error) => Err(error),
                };
                self.note(slot, &reply);
                (slot.node.id(), reply)
            }
        };
        futures::future::join_all(self.slots.iter().map(ask)).await
    }

    /// Before any head is believed, all endpoints are asked for theirs, once: what the first one says, nobody has checked
    /// yet. All are measured from the second highest, so one liar among them moves nothing. It is one endpoint's word alone
    /// where no other answers.
    pub(crate) async fn compare_first<'a, F, Reply>(&'a self, head: F)
    where
        F: Fn(&'a Node) -> Reply,
        Reply: Future<Output = Result<Block, ReadError>>,
    {
        let compare = || async {
            let mut heads: Vec<_> = self.each(head).await.into_iter().filter_map(|(_, head)| head.ok()).collect();
            heads.sort_by_key(|head| std::cmp::Reverse(head.height));
            if let Some(second) = heads.get(1) {
                self.ceiling.raise(second.height, second.time_unix_ms);
            }
            // Where nobody answers there was nothing to compare.
            if heads.is_empty() { Err(()) } else { Ok(()) }
        };
        if self.count() > 1 {
            let _nobody = self.compared.get_or_try_init(compare).await;
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn health(&self) -> Vec<EndpointHealth> {
        let now = Instant::now();
        let look = |slot: &Slot| {
            let health = slot.health.lock().unwrap_or_else(PoisonError::into_inner);
            EndpointHealth {
                id: slot.node.id(),
                name: slot.node.name().to_owned(),
                failures: health.failures,
                resting: health.rest_until.is_some_and(|until| until > now),
                height: slot.node.height(),
            }
        };
        self.slots.iter().map(look).collect()
    }

    /// Rested before resting, abreast before behind, then as configured.
    fn in_order(&self) -> Vec<&Slot> {
        let health = self.health();
        let best = health.iter().map(|one| one.height).max().unwrap_or_default();
        let mut order: Vec<_> = self.slots.iter().zip(&health).collect();
        order.sort_by_key(|(_, one)| {
            (one.resting, one.height.after(self.settings.lag_blocks_max) < best, one.resting.then_some(one.failures))
        });
        order.into_iter().map(|(slot, _)| slot).collect()
    }

    fn note<T>(&self, slot: &Slot, reply: &Result<T, ReadError>) {
        let mut health = slot.health.lock().unwrap_or_else(PoisonError::into_inner);
        match reply {
            Err(error @ (ReadError::Unreachable { .. } | ReadError::Malformed { .. })) => {
                health.failures = health.failures.saturating_add(1);
                health.rest_until = Instant::now().checked_add(self.settings.rest);
                let (endpoint, failures) = (slot.node.name(), health.failures);
                if failures == 1 {
                    tracing::warn!(endpoint, %error, "endpoint failed, others are preferred");
                } else {
                    tracing::debug!(endpoint, failures, %error, "endpoint failed again");
                }
            }
            // A node that says no is well.
            Ok(_) | Err(ReadError::Refused { .. } | ReadError::TooLarge { .. }) => {
                health.failures = 0;
                health.rest_until = None;
            }
        }
    }
}
