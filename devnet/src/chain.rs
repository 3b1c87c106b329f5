//! The chain as a pure machine: genesis and transactions in, blocks and answers out.
//!
//! It knows zrChain's rules, traps included, and refuses to know clocks, randomness, sockets and files: time is an
//! argument of [`Chain::make_block`], and the same inputs give the same chain. A copy is cheap: all state is shared
//! until it changes. What is weaker than a live chain stands in `docs/devnet-chain.md`.

mod address;
mod ante;
mod bank;
mod block;
mod coins;
mod context;
mod event;
mod execution;
mod fault;
mod gas;
mod genesis;
mod identity;
mod mempool;
mod message;
mod policy;
mod query;
mod record;
mod rules;
mod snapshot;
mod state;
mod transaction;
mod treasury;
mod unsigned;
mod wallets;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

pub use address::{Address, keyring_of, workspace_of};
pub use block::{BlockOutcome, TxResult};
pub use coins::DENOM;
pub use event::Event;
pub use fault::{QueryError, QueryStatus, TxFault};
pub use genesis::{
    Genesis, GenesisAccount, GenesisError, GenesisKeyring, GenesisPolicy, GenesisWorkspace, IdentityParams,
    PolicyParams, TreasuryParams,
};
pub use record::BlockRecord;
pub use rules::Bounds;
pub use snapshot::{Snapshot, SnapshotError};
pub use transaction::{TxHash, hash_of, hash_text};
pub use treasury::redemption::SystemRequest;

use ante::{Ante, Purpose};
use block::Block;
use gas::Meter;
use mempool::Mempool;
use rules::Rules;
use state::{Map, State};
use transaction::Transaction;

/// What the mempool says to a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOutcome {
    /// SHA-256 of the bytes.
    pub hash: TxHash,
    /// 0 if it waits for a block now.
    pub code: u32,
    /// Empty with code 0.
    pub codespace: &'static str,
    /// Empty with code 0.
    pub log: String,
}

impl CheckOutcome {
    /// The hash as services print it.
    pub fn hash_text(&self) -> String {
        hash_text(&self.hash)
    }
}

/// What executing a transaction now would give.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulateOutcome {
    /// Gas that it would use.
    pub gas_used: u64,
    /// One response per message.
    pub responses: Vec<prost_types::Any>,
    /// What it would raise.
    pub events: Vec<Event>,
}

/// No block can be made: a waiting transaction fails the checks of a proposal, and stays where it is.
///
/// A live chain stops like this for good; only a restart of its validator, [`Chain::forget_mempool`] here, frees it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("block {height} cannot be made: transaction {} fails its checks: {fault}", hash_text(.transaction))]
pub struct Stalled {
    /// The block that is not made.
    pub height: u64,
    /// The transaction in the way.
    pub transaction: TxHash,
    /// What is wrong with it.
    pub fault: TxFault,
}

/// Too many requests of the chain's own wait for a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} requests of the chain's own wait already: make a block first")]
pub struct SystemFull(pub usize);

/// An embedded chain.
#[derive(Debug, Clone)]
pub struct Chain {
    rules: Arc<Rules>,
    height: u64,
    time: Duration,
    /// As committed at `height`.
    state: State,
    /// As the mempool sees it: committed, and what waits has paid and counted.
    check: State,
    mempool: Mempool,
    system: Vec<SystemRequest>,
    blocks: Map<u64, Arc<Block>>,
    /// Hash of what precedes the first kept block.
    start_hash: [u8; 32],
    /// Height and place of executed transactions.
    index: Map<TxHash, (u64, usize)>,
}

impl Chain {
    /// A chain at height 0.
    ///
    /// # Errors
    /// The genesis contradicts the chain's rules; the error names the entry.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, GenesisError> {
        Self::with_bounds(genesis, Bounds::default())
    }

    /// A chain at height 0 with its own bounds on memory.
    ///
    /// # Errors
    /// The genesis contradicts the chain's rules; the error names the entry.
    pub fn with_bounds(genesis: &Genesis, bounds: Bounds) -> Result<Self, GenesisError> {
        genesis.check()?;
        let rules = Arc::new(Rules::of(genesis, bounds)?);
        Ok(Self::start(rules, genesis::state_of(genesis)?, 0, Duration::ZERO))
    }

    fn start(rules: Arc<Rules>, state: State, height: u64, time: Duration) -> Self {
        Self {
            rules,
            height,
            time,
            check: state.clone(),
            state,
            mempool: Mempool::default(),
            system: Vec::new(),
            blocks: Map::default(),
            start_hash: [0; 32],
            index: Map::default(),
        }
    }

    /// The last committed height; 0 before the first block.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// Time of the last block since the Unix epoch.
    pub fn time(&self) -> Duration {
        self.time
    }

    /// The chain's name.
    pub fn chain_id(&self) -> &str {
        &self.rules.chain_id
    }

    /// Transactions that wait for a block.
    pub fn waiting(&self) -> usize {
        self.mempool.len()
    }

    /// The outcome of a block that is still kept.
    pub fn block(&self, height: u64) -> Option<&BlockOutcome> {
        self.blocks.get(&height).map(|block| &block.outcome)
    }

    /// The result of an executed transaction that is still kept, and its height.
    pub fn transaction(&self, hash: &TxHash) -> Option<(u64, &TxResult)> {
        let (height, place) = self.index.get(hash)?;
        self.block(*height)?.transactions.get(*place).map(|result| (*height, result))
    }

    /// Balance of any account text, urock.
    pub fn balance(&self, of: &str) -> u128 {
        Address::parse(of).map_or(0, |address| self.state.balance(&address))
    }

    /// Hash of the last block.
    pub fn last_hash(&self) -> [u8; 32] {
        self.blocks.get(&self.height).map_or(self.start_hash, |block| block.outcome.hash)
    }

    /// All urock there is.
    pub fn supply(&self) -> u128 {
        self.state.balances.values().sum()
    }

    /// Offers a transaction to the mempool, as a broadcast does.
    ///
    /// Sequences count what already waits; the same bytes are recognised (code 19) while they wait and after they
    /// succeeded.
    pub fn check_tx(&mut self, bytes: &[u8]) -> CheckOutcome {
        let hash = hash_of(bytes);
        let fault = self.admit(bytes, &hash).err();
        let (code, codespace, log) =
            fault.map_or((0, "", String::new()), |fault| (fault.code, fault.codespace, fault.log));
        CheckOutcome { hash, code, codespace, log }
    }

    fn admit(&mut self, bytes: &[u8], hash: &TxHash) -> Result<(), TxFault> {
        let bounds = self.rules.bounds;
        if self.mempool.len() >= bounds.mempool_transactions {
            return Err(TxFault::mempool_full(self.mempool.len()));
        }
        if bytes.len() > bounds.transaction_bytes {
            return Err(TxFault::too_large(bytes.len(), bounds.transaction_bytes));
        }
        if self.mempool.has_seen(hash) {
            return Err(TxFault::already_in_mempool());
        }
        let mut transaction = Transaction::decode(bytes)?;
        self.check = self.passing(&self.check, &transaction)?;
        transaction.verified = true;
        self.mempool.push(Arc::new(transaction), bounds.seen_transactions);
        Ok(())
    }

    /// The mempool's state once `transaction` waits too.
    fn passing(&self, check: &State, transaction: &Transaction) -> Result<State, TxFault> {
        let mut state = check.clone();
        let ante = Ante { rules: &self.rules, height: self.height, purpose: Purpose::Check };
        ante.run(&mut state, transaction, &mut Meter::new(transaction.gas_limit()))?;
        Ok(state)
    }

    /// Puts a request of the chain's own into the next block.
    ///
    /// # Errors
    /// As many as [`Bounds::system_requests`] wait already: make a block first.
    pub fn request_by_system(&mut self, request: SystemRequest) -> Result<(), SystemFull> {
        if self.system.len() >= self.rules.bounds.system_requests {
            return Err(SystemFull(self.system.len()));
        }
        self.system.push(request);
        Ok(())
    }

    /// Asks this for gas from now on, as a change of the treasury's parameters does. Lost when the chain is read back from
    /// disk: its rules come from the genesis.
    ///
    /// # Errors
    /// The text is no price such as `0.0001urock`; the error says why.
    pub fn set_min_gas_fee(&mut self, min_gas_fee: &str) -> Result<(), String> {
        self.rules = Arc::new(self.rules.with_floor(min_gas_fee)?);
        Ok(())
    }

    /// Empties the mempool and forgets what was seen, as a restart of the only validator does.
    pub fn forget_mempool(&mut self) {
        self.mempool = Mempool::default();
        self.check = self.state.clone();
    }

    /// Drops what waits and remembers what was seen.
    fn forget_waiting(&mut self) {
        self.mempool.drain();
        self.check = self.state.clone();
    }

    /// The chain as a node sees it that has not got past `height`: that state, nothing waiting. None if the height is
    /// not kept. For endpoints that lag.
    pub fn as_of(&self, height: u64) -> Option<Self> {
        if height == self.height {
            return Some(self.clone());
        }
        let block = self.blocks.get(&height)?;
        let landed =
            |hash: &TxHash| self.transaction(hash).is_some_and(|(landed, result)| landed <= height && result.code == 0);
        Some(Self {
            height,
            time: block.outcome.time,
            check: block.state.clone(),
            state: block.state.clone(),
            mempool: self.mempool.recognising(landed),
            system: Vec::new(),
            ..self.clone()
        })
    }

    /// Makes the next block from all that waits. `time` counts from the Unix epoch; it never goes back.
    ///
    /// # Errors
    /// [`Stalled`] if a waiting transaction fails the checks of a proposal (a passed timeout height): nothing changes,
    /// and nothing will until the mempool is emptied.
    pub fn make_block(&mut self, time: Duration) -> Result<BlockOutcome, Stalled> {
        let height = self.height + 1;
        self.process_proposal(height)?;
        let time = time.max(self.time);
        let mut state = self.state.clone();
        let mut events = Vec::new();
        let system = std::mem::take(&mut self.system);
        for request in &system {
            self.run_system(&mut state, height, request, &mut events);
        }
        bank::sweep(&mut state);
        let mut begin = Vec::new();
        treasury::expiry::sweep(&mut state, height, &mut begin);
        events.extend(begin.into_iter().map(|event| event.with("mode", "BeginBlock")));
        let transactions = self.mempool.drain();
        let results: Vec<_> =
            transactions.iter().map(|transaction| self.deliver(&mut state, height, transaction)).collect();
        let previous = self.last_hash();
        let mut outcome = BlockOutcome { height, time, hash: [0; 32], transactions: results, events };
        outcome.hash = block::hash(&self.rules.chain_id, &previous, &outcome);
        self.commit(Block { outcome: outcome.clone(), previous, transactions, system, state });
        Ok(outcome)
    }

    fn commit(&mut self, block: Block) {
        let outcome = &block.outcome;
        for (place, result) in outcome.transactions.iter().enumerate() {
            self.index.insert_mut(result.hash, (outcome.height, place));
            if result.code != 0 {
                self.mempool.forget(&result.hash);
            }
        }
        self.height = outcome.height;
        self.time = outcome.time;
        self.check = block.state.clone();
        self.state = block.state.clone();
        self.blocks.insert_mut(self.height, Arc::new(block));
        self.prune();
    }

    fn prune(&mut self) {
        while self.blocks.size() > self.rules.bounds.history_blocks {
            let Some((oldest, block)) = self.blocks.first().map(|(height, block)| (*height, Arc::clone(block))) else {
                return;
            };
            for result in &block.outcome.transactions {
                if self.index.get(&result.hash).is_some_and(|(height, _)| *height == oldest) {
                    self.index.remove_mut(&result.hash);
                }
            }
            self.blocks.remove_mut(&oldest);
        }
    }

    /// Answers a unary gRPC query: the full method path and the encoded request, from the state after block `height`
    /// (none: the last). Gives the encoded reply and the height it was read from.
    ///
    /// # Errors
    /// The status and text that a live chain answers with.
    pub fn query(&self, path: &str, request: &[u8], height: Option<u64>) -> Result<(Vec<u8>, u64), QueryError> {
        query::answer(self, path, request, height)
    }

    /// The mempool's side of a broadcast: encoded `BroadcastTxRequest` in, encoded `BroadcastTxResponse` out.
    ///
    /// # Errors
    /// Malformed request, empty transaction or unsupported mode.
    pub fn broadcast(&mut self, request: &[u8]) -> Result<Vec<u8>, QueryError> {
        query::broadcast(self, request)
    }
}
