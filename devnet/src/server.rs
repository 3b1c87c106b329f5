//! The chain as a running thing: blocks on an interval, gRPC endpoints, faults, a disk if asked.
//!
//! A thin shell around [`crate::chain::Chain`], which stays pure. Owns the tasks, the sockets, the clock and the lock;
//! knows no rule of the chain. Several endpoints serve one chain and may show different heights.

mod clock;
mod disk;
mod grpc;
mod handle;
mod lies;
mod producer;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use disk::DiskError;
pub use handle::{ChainHandle, WaitError};
pub use lies::HeadLie;

use crate::chain::{Bounds, Chain, Genesis, GenesisError};
use crate::faults::FaultHandle;

/// How a chain runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Time between blocks. Default 1 s.
    pub block_interval: Duration,
    /// Addresses to serve on; port 0 takes a free one. Default one endpoint on loopback.
    pub endpoints: Vec<SocketAddr>,
    /// Bounds on memory.
    pub bounds: Bounds,
    /// Folder that keeps the chain across restarts; none keeps it in memory.
    pub data: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            block_interval: Duration::from_secs(1),
            endpoints: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            bounds: Bounds::default(),
            data: None,
        }
    }
}

/// Why a chain does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The genesis is invalid.
    #[error("chain cannot start from this genesis")]
    Genesis(#[from] GenesisError),
    /// The data folder cannot be used.
    #[error("chain's data folder cannot be used")]
    Disk(#[from] DiskError),
    /// An address cannot be bound.
    #[error("endpoint {address} cannot be bound")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Reflection rejects the protocol definitions.
    #[error("reflection service cannot be built")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// One gRPC endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it does wrong.
    pub faults: FaultHandle,
    /// How far ahead of the truth its newest block is.
    pub head: HeadLie,
}

impl Endpoint {
    /// The URL that clients connect to.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A running chain. Dropping it ends its tasks; [`Devnet::stop`] ends them in order.
#[derive(Debug)]
pub struct Devnet {
    handle: ChainHandle,
    endpoints: Vec<Endpoint>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Devnet {
    /// Starts a chain: binds its endpoints, loads what the data folder holds, makes blocks.
    ///
    /// # Errors
    /// Genesis, data folder or address cannot be used; the error says which.
    pub async fn start(genesis: &Genesis, options: Options) -> Result<Self, StartError> {
        let (chain, disk) = match &options.data {
            Some(folder) => {
                let (chain, disk) = disk::Disk::open(folder, genesis, options.bounds)?;
                (chain, Some(disk))
            }
            None => (Chain::with_bounds(genesis, options.bounds)?, None),
        };
        let handle = ChainHandle::new(chain, disk);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut endpoints = Vec::new();
        for address in options.endpoints {
            let bound = |source| StartError::Bind { address, source };
            let listener = TcpListener::bind(address).await.map_err(bound)?;
            let address = listener.local_addr().map_err(bound)?;
            let endpoint = Endpoint { address, faults: FaultHandle::default(), head: HeadLie::default() };
            let Endpoint { faults, head, .. } = endpoint.clone();
            let server =
                grpc::serve(listener, handle.clone(), faults, head, stopped.clone()).map_err(StartError::Reflection)?;
            tasks.spawn(server);
            endpoints.push(endpoint);
        }
        tasks.spawn(producer::run(handle.clone(), options.block_interval, stopped));
        Ok(Self { handle, endpoints, stop, tasks })
    }

    /// Use of the chain from this process.
    pub fn handle(&self) -> ChainHandle {
        self.handle.clone()
    }

    /// Its endpoints, in the order of the options.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Ends block production and lets calls finish, for a bounded time.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(2), drained).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}
