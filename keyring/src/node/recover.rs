//! The node as its store remembers it: open decrees, free keys, auxiliary data, transactions in flight. Closed requests
//! and bound keys stay on disk, so a node with ten million of them starts as fast as an empty one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chain_client::{Height, LowWater};
use mpc_core::AuxInfo;

use super::chain::BLOCK_MS_ASSUMED;
use super::memory::Memory;
use super::scan::Examined;
use super::stock::Stock;
use super::{ChainSide, ContractSide, EARLY_BYTES_PER_PEER, EARLY_PACKETS_PER_PEER, Effects, Node, Setup};
use crate::agreement::Record;
use crate::agreement::clock::{GAP_ASSUMED_MS, Millis};
use crate::decree::DecreeId;
use crate::lease::Lease;
use crate::outbox::Outbox;
use crate::request::RequestRecord;
use crate::shelf::{Shelf, ShelfError};
use crate::store::{Store, StoreError, Table};
use crate::unclaimed::Unclaimed;

/// Why a node cannot remember.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The shelf's records cannot be read.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// A record does not decode.
    #[error("{0} does not decode: the store is damaged or was written by a newer program")]
    Record(String),
}

impl Node {
    /// The node as it stood when its store was last written. Its first effects say again what was said before.
    ///
    /// # Errors
    /// When a record cannot be read: a node without its memory must not start.
    pub fn recover(setup: Setup, store: Arc<dyn Store>, now: Millis) -> Result<Self, RecoverError> {
        let shelf = Shelf::recover(store.as_ref())?;
        let stock = recover_stock(store.as_ref())?;
        let mut chains = BTreeMap::new();
        for chain in setup.chains {
            let low_water = cursor(store.as_ref(), &chain.chain)?;
            let side = ChainSide {
                low_water,
                outbox: Outbox::recover(&chain.chain, chain.endpoints, store.as_ref())?,
                setup: chain,
                height: Height(0),
                hash: [0; 32],
                height_at: now,
                block_ms: BLOCK_MS_ASSUMED,
                keyring: None,
                examined: Examined::default(),
                complete_at: None,
            };
            chains.insert(side.setup.chain.clone(), side);
        }
        let mut contracts = BTreeMap::new();
        for contract in setup.contracts {
            let chain = crate::contract::chain_of(contract.proxy.chain);
            contracts.insert(chain, ContractSide::recover(contract, store.as_ref(), now)?);
        }
        let (quorum, parties) = (setup.committee.quorum(), setup.committee.parties());
        let remembered = super::standing::recover(store.as_ref())?;
        let lease = Lease::new(setup.me, parties, quorum, setup.process, remembered, now);
        let mut node = Self {
            me: setup.me,
            lease,
            consents: super::standing::recover_consents(store.as_ref())?,
            words: BTreeMap::new(),
            acted: false,
            committee: setup.committee,
            keys_per_lane: setup.keys_per_lane,
            slots: setup.slots.max(1),
            live_max: setup.live_max,
            memory: Memory::new(store.clone()),
            now,
            present: BTreeSet::from([setup.me]),
            round_trips: BTreeMap::new(),
            gap: GAP_ASSUMED_MS,
            live: BTreeMap::new(),
            early: Unclaimed::new(EARLY_PACKETS_PER_PEER, EARLY_BYTES_PER_PEER),
            runs: BTreeMap::new(),
            commitments: BTreeMap::new(),
            shelf,
            promised_keys: BTreeMap::new(),
            promised_runs: BTreeSet::new(),
            stock,
            chains,
            contracts,
            destinations: setup.destinations,
            dropped: BTreeMap::new(),
            effects: Effects::default(),
        };
        node.reopen(store.as_ref())?;
        node.ask_for_controllers();
        Ok(node)
    }

    /// Every decree that was open goes on from its record.
    fn reopen(&mut self, store: &dyn Store) -> Result<(), RecoverError> {
        let mut after: Option<Vec<u8>> = None;
        let mut waiting = Vec::new();
        loop {
            let page = store.scan(Table::Open, b"", after.as_deref(), 256)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (name, _) in &page {
                let what = || format!("open request {}", hex::encode(name));
                let Some(bytes) = store.read(Table::Request, name)? else { continue };
                let request: RequestRecord = postcard::from_bytes(&bytes).map_err(|_| RecoverError::Record(what()))?;
                if request.state.is_end() {
                    continue;
                }
                let Some(job) = request.job.clone() else {
                    waiting.extend(DecreeId::from_bytes(name).map(|id| (id, request)));
                    continue;
                };
                let record = match store.read(Table::Decree, name)? {
                    Some(bytes) => Record::decode(&bytes).map_err(|_| RecoverError::Record(what()))?,
                    None => Record::default(),
                };
                self.begin(job, request, record);
            }
        }
        for (id, request) in waiting {
            self.ask_again(&id, request);
        }
        Ok(())
    }
}

/// How far a chain was read: nothing below is open.
///
/// # Errors
/// When the record cannot be read.
pub fn cursor(store: &dyn Store, chain: &str) -> Result<LowWater, RecoverError> {
    match store.read(Table::Cursor, chain.as_bytes())? {
        Some(bytes) => postcard::from_bytes(&bytes).map_err(|_| RecoverError::Record(format!("cursor of {chain}"))),
        None => Ok(LowWater::default()),
    }
}

fn recover_stock(store: &dyn Store) -> Result<Stock, RecoverError> {
    let active = store
        .read(Table::Stock, Stock::active_key())?
        .map(|bytes| postcard::from_bytes(&bytes).map_err(|_| RecoverError::Record("auxiliary/active".to_owned())))
        .transpose()?;
    let mut own = BTreeMap::new();
    for (name, bytes) in store.scan(Table::Stock, b"auxiliary/", None, 64)? {
        let Some(counter) = name.strip_prefix(b"auxiliary/").and_then(|rest| rest.try_into().ok()) else { continue };
        let auxiliary = AuxInfo::decode(&bytes).map_err(|_| RecoverError::Record("auxiliary data".to_owned()))?;
        own.insert(u64::from_be_bytes(counter), auxiliary.digest());
    }
    Ok(Stock::recovered(active, own))
}
