//! Use of a running chain from this process: submit, read, wait for blocks, stop and start production.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::broadcast;

use super::clock;
use super::disk::{Disk, DiskError};
use crate::chain::{
    BlockOutcome, Chain, CheckOutcome, QueryError, Stalled, SystemFull, SystemRequest, TxHash, TxResult,
};

/// Blocks that a slow subscriber may be behind before it loses the oldest.
const SUBSCRIBER_BLOCKS: usize = 256;

/// A running chain, to be shared freely.
#[derive(Debug, Clone)]
pub struct ChainHandle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    running: Mutex<Running>,
    halted: AtomicBool,
    blocks: broadcast::Sender<Arc<BlockOutcome>>,
}

#[derive(Debug)]
struct Running {
    chain: Chain,
    disk: Option<Disk>,
}

/// What came of a tick.
pub(super) enum Produced {
    Block,
    Halted,
    Stalled(Stalled),
    Lost(DiskError),
}

/// Why waiting for the chain ended without what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WaitError {
    /// It did not happen in time.
    #[error("chain did not get there within the time given")]
    Timeout,
    /// The chain has ended.
    #[error("chain has ended")]
    Ended,
}

impl ChainHandle {
    pub(super) fn new(chain: Chain, disk: Option<Disk>) -> Self {
        let (blocks, _) = broadcast::channel(SUBSCRIBER_BLOCKS);
        let running = Mutex::new(Running { chain, disk });
        Self { inner: Arc::new(Inner { running, halted: AtomicBool::new(false), blocks }) }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        // The machine replaces whole values; a panic elsewhere leaves the last whole one.
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chain as it is now. A copy costs little and never changes.
    pub fn view(&self) -> Chain {
        self.running().chain.clone()
    }

    /// The last committed height.
    pub fn height(&self) -> u64 {
        self.running().chain.height()
    }

    /// Offers a transaction to the mempool.
    pub fn check_tx(&self, bytes: &[u8]) -> CheckOutcome {
        self.running().chain.check_tx(bytes)
    }

    /// Answers a broadcast request as an endpoint does.
    ///
    /// # Errors
    /// As [`Chain::broadcast`].
    pub fn broadcast(&self, request: &[u8]) -> Result<Vec<u8>, QueryError> {
        self.running().chain.broadcast(request)
    }

    /// Answers a query as an endpoint does.
    ///
    /// # Errors
    /// As [`Chain::query`].
    pub fn query(&self, path: &str, request: &[u8], height: Option<u64>) -> Result<(Vec<u8>, u64), QueryError> {
        self.view().query(path, request, height)
    }

    /// Puts a request of the chain's own into the next block.
    ///
    /// # Errors
    /// As [`Chain::request_by_system`].
    pub fn request_by_system(&self, request: SystemRequest) -> Result<(), SystemFull> {
        self.running().chain.request_by_system(request)
    }

    /// Stops making blocks; everything else goes on.
    pub fn halt(&self) {
        self.inner.halted.store(true, Ordering::SeqCst);
    }

    /// Makes blocks again.
    pub fn resume(&self) {
        self.inner.halted.store(false, Ordering::SeqCst);
    }

    /// Asks this for gas from now on.
    ///
    /// # Errors
    /// As [`Chain::set_min_gas_fee`].
    pub fn set_min_gas_fee(&self, min_gas_fee: &str) -> Result<(), String> {
        self.running().chain.set_min_gas_fee(min_gas_fee)
    }

    /// Empties the mempool, as a restart of the validator does; frees a stalled chain.
    pub fn forget_mempool(&self) {
        self.running().chain.forget_mempool();
    }

    /// Blocks from now on. A subscriber that is slow loses the oldest and is told so.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<BlockOutcome>> {
        self.inner.blocks.subscribe()
    }

    /// Makes a block now, halted or not.
    ///
    /// # Errors
    /// Production is stalled by a waiting transaction.
    pub fn make_block_now(&self) -> Result<(), Stalled> {
        match self.make_block(clock::now()) {
            Produced::Stalled(why) => Err(why),
            Produced::Lost(why) => {
                tracing::error!(%why, "block could not be written");
                Ok(())
            }
            Produced::Block | Produced::Halted => Ok(()),
        }
    }

    /// What a tick does.
    pub(super) fn produce(&self, now: Duration) -> Produced {
        if self.inner.halted.load(Ordering::SeqCst) { Produced::Halted } else { self.make_block(now) }
    }

    fn make_block(&self, now: Duration) -> Produced {
        let mut running = self.running();
        let outcome = match running.chain.make_block(now) {
            Ok(outcome) => outcome,
            Err(why) => return Produced::Stalled(why),
        };
        let Running { chain, disk } = &mut *running;
        // The block is on disk before anybody can see it: readers wait for the same lock.
        if let Some(Err(why)) = disk.as_mut().map(|disk| disk.append(chain)) {
            return Produced::Lost(why);
        }
        drop(running);
        // Nobody may be listening.
        let _ = self.inner.blocks.send(Arc::new(outcome));
        Produced::Block
    }

    /// Waits until the chain has reached a height.
    ///
    /// # Errors
    /// It did not within `patience`.
    pub async fn wait_for_height(&self, height: u64, patience: Duration) -> Result<(), WaitError> {
        self.wait(patience, || (self.height() >= height).then_some(())).await
    }

    /// Waits until a transaction was executed: its height and result.
    ///
    /// # Errors
    /// It was not within `patience`.
    pub async fn wait_for_transaction(&self, hash: &TxHash, patience: Duration) -> Result<(u64, TxResult), WaitError> {
        let found = || {
            let running = self.running();
            running.chain.transaction(hash).map(|(height, result)| (height, result.clone()))
        };
        self.wait(patience, found).await
    }

    /// Looks now and after each block.
    async fn wait<T>(&self, patience: Duration, look: impl Fn() -> Option<T>) -> Result<T, WaitError> {
        let mut blocks = self.subscribe();
        let seen = async {
            loop {
                if let Some(found) = look() {
                    return Ok(found);
                }
                if let Err(broadcast::error::RecvError::Closed) = blocks.recv().await {
                    return Err(WaitError::Ended);
                }
            }
        };
        tokio::time::timeout(patience, seen).await.unwrap_or(Err(WaitError::Timeout))
    }
}
