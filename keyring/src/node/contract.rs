//! Contracts as a node knows them: what it is set up with, what it is told, what it shows, and their controller keys.
//!
//! One contract per chain. `span` takes what was asked in final blocks, `authorise` admits decided answers to the
//! contract, `deliver` carries them there.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::B256;
use chain_client::Height;
use chain_client::zrsign::name::{Destinations, LogPlace, Proxy, Slot};
use chain_client::zrsign::range::Mark;

use super::flight::flight_prefix;
use super::looks::{self, BlockName, DestinationLook, Looks, Unread};
use super::{Level, Node};
use crate::admission::{Job, Task};
use crate::agreement::clock::Millis;
use crate::contract::{self, Asked};
use crate::decree::DecreeId;
use crate::lines::Lines;
use crate::request::RequestRecord;
use crate::sender::{self, Call, Hint, Look, Sender, Sight, Simulated};
use crate::store::{Page, Store, StoreError, Table};

/// A contract, and this party's account on its chain.
pub struct ContractSetup {
    /// The contract.
    pub proxy: Proxy,
    /// Where its wallets' transactions may go, by CAIP-2, beside what its own logs tell.
    pub destinations: Vec<String>,
    /// What may be paid.
    pub settings: sender::Settings,
    /// Signs this party's transactions.
    pub pen: Arc<dyn sender::Pen + Send + Sync>,
}

/// A span of final blocks, read whole from one endpoint, in which the contract ran code that the operators have listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The mark that it begins behind.
    pub from: Mark,
    /// The mark that it ends with.
    pub to: Mark,
    /// The contract's `SRC_CHAIN_ID` at its end; `None` where there was no contract yet.
    pub source: Option<B256>,
    /// What the logs say, in order.
    pub said: Vec<Said>,
}

/// What one log says, with what else judging it needs, read at the span's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Something is asked for; whether it is still open.
    Asked(Asked, bool),
    /// A log that is not what it should be: who asked cannot be answered.
    Unreadable {
        /// Its trace number, where the log shows one.
        trace: u64,
        /// The log.
        at: LogPlace,
        /// Why.
        why: String,
    },
    /// A slot was filled with this address.
    KeyFilled(Slot, String),
    /// A signature request was answered.
    Answered {
        /// Its number.
        trace: u64,
        /// With this signature.
        signature: Vec<u8>,
        /// And with this beside it.
        meta_data: Vec<u8>,
        /// Whether relayers are to send it, as the answer says.
        broadcast: bool,
    },
    /// A destination by CAIP-2.
    Destination(String),
}

/// News of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContractNews {
    /// The newest final block as one endpoint shows it: for people to look at, since nothing leads to it from the mark.
    Final {
        /// Its height.
        height: Height,
        /// Its hash.
        hash: [u8; 32],
    },
    /// A span.
    Span(Box<Span>),
    /// Nothing is read and nothing signed.
    Closed {
        /// Where reading stood when that was found. An operator may have decided meanwhile to read from another block.
        mark: Option<Mark>,
        /// Why.
        why: String,
    },
    /// It is read as it should be.
    Opened,
    /// The newest block. A reorganised chain may be shorter for a while.
    Head(Height),
    /// The account at the newest block.
    Sight(Box<Sight>),
    /// What was asked for with [`super::Order::LookAtContract`].
    Look(DecreeId, Box<Look>),
    /// What was asked for with [`super::Order::Simulate`].
    Simulated(DecreeId, Box<Call>, Simulated),
    /// What a node said of a transaction.
    Sent {
        /// Its nonce.
        nonce: u64,
        /// Its name.
        hash: B256,
        /// What was said.
        hint: Hint,
    },
    /// An operator lets a sender that stands still go on at this nonce.
    Resume(u64),
    /// What was asked for with [`super::Order::LookAtDestination`], or why it could not be read.
    Destination {
        /// For which decree.
        decree: DecreeId,
        /// About which block, if one was named.
        at: Option<BlockName>,
        /// What it shows.
        said: Box<Result<DestinationLook, Unread>>,
    },
    /// An operator gives up the nonce of the simple transaction with this number.
    Release(u64),
    /// An operator takes the chain as it is now for true, though it took final blocks back.
    Rebase {
        /// Behind this final block everything is read anew.
        mark: Mark,
        /// Every request that was read behind it.
        undone: Vec<DecreeId>,
    },
}

/// A contract as the node sees it.
pub(super) struct ContractSide {
    pub(super) setup: ContractSetup,
    pub(super) height: Height,
    pub(super) hash: [u8; 32],
    pub(super) height_at: Millis,
    pub(super) mark: Option<Mark>,
    pub(super) sender: Sender,
    /// The newest block, final or not.
    pub(super) head: Height,
    pub(super) source: Option<B256>,
    pub(super) destinations: Destinations,
    pub(super) closed: Option<String>,
    /// Whether the last span was not taken for want of room.
    pub(super) is_full: bool,
    /// Requests that wait until this party knows the wallet's key, by the key's decree.
    pub(super) waiting: BTreeMap<DecreeId, Vec<DecreeId>>,
    /// Simple transactions, one at a time for each wallet and destination.
    pub(super) lines: Lines,
    /// What was read of destinations, by the completion's decree, or by the signature's for what is in flight.
    pub(super) looks: BTreeMap<DecreeId, Looks>,
    /// When the next of them is to be read again.
    pub(super) look_at: Millis,
}

/// A contract, for status and metrics.
#[derive(Clone, Debug)]
pub struct ContractShown<'a> {
    /// The contract.
    pub proxy: Proxy,
    /// The newest final height; 0 before the first.
    pub height: Height,
    /// When that was, in the node's own time.
    pub height_at: Millis,
    /// Up to where its logs were taken.
    pub mark: Option<Mark>,
    /// The controller key: compressed secp256k1.
    pub controller: Option<Vec<u8>>,
    /// Why nothing is read.
    pub closed: Option<&'a str>,
    /// Whether nothing is read on because its own requests hold all places.
    pub is_full: bool,
    /// Requests whose wallet's key this party has not learned, and simple transactions whose turn has not come.
    pub waiting: usize,
    /// Simple transactions whose nonce is not spent for good.
    pub flying: usize,
    /// Destinations, by EIP-155 id, that are not read though a transaction waits for it, and why.
    pub unread: BTreeMap<u64, &'a str>,
}

impl ContractSide {
    /// Requests that wait for something else than agreement.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.values().map(Vec::len).sum::<usize>() + self.lines.waiting()
    }

    pub(super) fn recover(setup: ContractSetup, store: &dyn Store, now: Millis) -> Result<Self, super::RecoverError> {
        let chain = contract::chain_of(setup.proxy.chain);
        let damaged = |what: &str| super::RecoverError::Record(format!("{what} of {chain}"));
        let mark = store
            .read(Table::Cursor, chain.as_bytes())?
            .map(|bytes| postcard::from_bytes(&bytes).map_err(|_| damaged("cursor")))
            .transpose()?;
        let mut destinations = Destinations::default();
        for caip in &setup.destinations {
            destinations.learn(caip);
        }
        let prefix = destination_key(&chain, "");
        for (name, _) in store.scan(Table::Contract, &prefix, None, DESTINATIONS_MAX)? {
            let caip = name.get(prefix.len()..).and_then(|caip| std::str::from_utf8(caip).ok());
            destinations.learn(caip.ok_or_else(|| damaged("a destination"))?);
        }
        let source = store
            .read(Table::Contract, &source_key(&chain))?
            .map(|bytes| B256::try_from(bytes.as_slice()).map_err(|_| damaged("source")))
            .transpose()?;
        let mut lines = Lines::default();
        for (_, bytes) in scanned(store, &flight_prefix(&chain))? {
            let (line, flight) = postcard::from_bytes(&bytes).map_err(|_| damaged("a transaction in flight"))?;
            lines.fly(line, flight);
        }
        Ok(Self {
            sender: Sender::recover(setup.settings, store)?,
            head: Height(0),
            setup,
            height: Height(0),
            hash: [0; 32],
            height_at: now,
            mark,
            source,
            destinations,
            closed: None,
            is_full: false,
            waiting: BTreeMap::new(),
            lines,
            looks: BTreeMap::new(),
            look_at: 0,
        })
    }
}

/// All records under a prefix.
fn scanned(store: &dyn Store, prefix: &[u8]) -> Result<Page, StoreError> {
    let mut all = Page::new();
    loop {
        let after = all.last().map(|(name, _)| name.clone());
        let page = store.scan(Table::Contract, prefix, after.as_deref(), PAGE)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Records read at a time.
const PAGE: usize = 256;

/// Destinations that one contract may tell of; the list of an honest one has a dozen.
pub(super) const DESTINATIONS_MAX: usize = 1_024;

pub(super) fn destination_key(chain: &str, caip: &str) -> Vec<u8> {
    format!("destination/{chain}/{caip}").into_bytes()
}

pub(super) fn source_key(chain: &str) -> Vec<u8> {
    format!("source/{chain}").into_bytes()
}

pub(super) fn slot_key(slot: &Slot) -> Vec<u8> {
    [b"slot/".as_slice(), slot.wallet_id().as_slice()].concat()
}

impl Node {
    pub(super) fn contract_news(&mut self, chain: &str, news: ContractNews) {
        let Some(side) = self.contracts.get_mut(chain) else { return };
        match news {
            // Not only a higher one: what an endpoint invented must not stay.
            ContractNews::Final { height, hash } if hash != side.hash => {
                (side.height, side.hash, side.height_at) = (height, hash, self.now);
                // The lease never forgets a height, so it sees only what was followed from mark to mark.
                if let Some(mark) = side.mark {
                    self.lease.see(chain, mark.height, mark.hash.0);
                }
                self.tick();
            }
            ContractNews::Final { .. } => {}
            ContractNews::Span(span) => self.span(chain, *span),
            ContractNews::Rebase { mark, undone } => self.rebase(chain, mark, &undone),
            ContractNews::Destination { decree, at, said } => self.destination_seen(&decree, at, *said),
            ContractNews::Release(trace) => self.release(chain, trace),
            ContractNews::Closed { mark, .. } if mark.is_some() && side.mark.is_some() && mark != side.mark => {}
            ContractNews::Closed { why, .. } => {
                if side.closed.as_ref() != Some(&why) {
                    side.closed = Some(why.clone());
                    side.sender.fork(Some(why.clone()));
                    self.note(Level::Alarm, None, format!("{chain} is not served: {why}"));
                }
            }
            ContractNews::Opened => {
                if side.closed.take().is_some() {
                    side.sender.fork(None);
                    self.note(Level::Warn, None, format!("{chain} is served again"));
                }
            }
            news => self.sender_news(chain, news),
        }
    }

    /// Asks for the controller key of each contract of the roster, until there is one.
    pub(super) fn ask_for_controllers(&mut self) {
        let proxies: Vec<Proxy> = self.contracts.values().map(|side| side.setup.proxy).collect();
        for proxy in proxies {
            let decree = contract::controller_of(proxy);
            let is_known = match self.stored_request(&decree) {
                Ok(record) => record.is_some_and(|record| record.state.is_end()),
                Err(error) => return self.memory_failed(Some(&decree), &error),
            };
            if !is_known && !self.live.contains_key(&decree) {
                let task = Task::Key { key_type: chain_client::KeyType::EcdsaSecp256k1 };
                let job = Job { decree, created: Height(0), deadline: None, task };
                self.admit(job, RequestRecord::new(Height(0)));
            }
        }
    }

    /// The key that authorises answers at a contract, once it is decided.
    pub(super) fn controller(&self, proxy: Proxy) -> Result<Option<Vec<u8>>, StoreError> {
        let stored = self.stored_record(&contract::controller_of(proxy))?;
        Ok(stored.and_then(|record| record.decided).map(|decided| decided.answer))
    }

    /// Whether nothing may be decided about a contract: what was read of it may not hold.
    pub(super) fn is_closed(&self, chain: &str) -> bool {
        self.contracts.get(chain).is_some_and(|side| side.closed.is_some())
    }

    /// A contract that it serves.
    #[must_use]
    pub fn contract(&self, chain: &str) -> Option<ContractShown<'_>> {
        let side = self.contracts.get(chain)?;
        Some(ContractShown {
            proxy: side.setup.proxy,
            height: side.height,
            height_at: side.height_at,
            mark: side.mark,
            controller: self.controller(side.setup.proxy).ok().flatten(),
            closed: side.closed.as_deref(),
            is_full: side.is_full,
            waiting: side.waiting(),
            flying: side.lines.flights().count(),
            unread: looks::unread(&side.looks),
        })
    }
}
