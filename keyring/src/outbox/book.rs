//! What the store holds of a controller: each sequence with everything signed under it, the next sequence, sequences
//! that requests have used up, and why it stands still.

use chain_client::{EndpointId, Height};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

use super::gate::Gate;
use super::{Halt, Outbox, Released, Slot};
use crate::decree::DecreeId;
use crate::store::{Entry, Store, StoreError, Table};

impl Outbox {
    /// The controller as the store remembers it, for an account that is read through so many endpoints.
    ///
    /// # Errors
    /// When the store fails; a record that does not decode counts as damage of the store.
    pub fn recover(chain: &str, endpoints: usize, store: &dyn Store) -> Result<Self, StoreError> {
        let mut slots = BTreeMap::new();
        each(store, chain, &name("slot", chain, b""), |_, bytes| {
            let slot: Slot = postcard::from_bytes(bytes).ok()?;
            slots.insert(slot.sequence, slot);
            Some(())
        })?;
        let mut spent = BTreeMap::new();
        each(store, chain, &name("spent", chain, b""), |name, bytes| {
            spent.insert(DecreeId::from_bytes(name)?, postcard::from_bytes(bytes).ok()?);
            Some(())
        })?;
        let mut released = BTreeMap::new();
        each(store, chain, &name("past", chain, b""), |name, bytes| {
            released.insert(u64::from_be_bytes(name.try_into().ok()?), postcard::from_bytes(bytes).ok()?);
            Some(())
        })?;
        Ok(Self {
            chain: chain.to_owned(),
            endpoints: endpoints.max(1),
            next: one(store, chain, &next_key(chain))?,
            slots,
            released,
            let_go_at: one(store, chain, &let_go_key(chain))?.unwrap_or_default(),
            unchecked: None,
            spent,
            sent_at: BTreeMap::new(),
            waiting: BTreeMap::new(),
            asked_at: BTreeMap::new(),
            height: Height(0),
            read_at: BTreeMap::<EndpointId, Height>::new(),
            mended_at: Height(0),
            halt: one(store, chain, &halt_key(chain))?,
            gate: Gate::default(),
            contradiction: None,
            unconfirmed: None,
        })
    }
}

/// Why the controller of a chain stands still, as the store has it.
///
/// # Errors
/// When the store fails, or the record does not decode.
pub fn halt_on_disk(chain: &str, store: &dyn Store) -> Result<Option<Halt>, StoreError> {
    one(store, chain, &halt_key(chain))
}

fn damaged(chain: &str) -> StoreError {
    StoreError::Damaged { place: format!("outbox/{chain}"), what: "record does not decode" }
}

fn one<T: DeserializeOwned>(store: &dyn Store, chain: &str, key: &[u8]) -> Result<Option<T>, StoreError> {
    let bytes = store.read(Table::Outbox, key)?;
    bytes.map(|bytes| postcard::from_bytes(&bytes).map_err(|_| damaged(chain))).transpose()
}

/// Every record under a prefix, by the rest of its name.
fn each(
    store: &dyn Store,
    chain: &str,
    prefix: &[u8],
    mut take: impl FnMut(&[u8], &[u8]) -> Option<()>,
) -> Result<(), StoreError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(Table::Outbox, prefix, after.as_deref(), 256)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        for (name, bytes) in &page {
            let taken = name.strip_prefix(prefix).and_then(|rest| take(rest, bytes));
            taken.ok_or_else(|| damaged(chain))?;
        }
    }
}

pub(super) fn put_slot(chain: &str, slot: &Slot) -> Entry {
    Entry::put(Table::Outbox, slot_key(chain, slot.sequence), encode(slot))
}

pub(super) fn erase_slot(chain: &str, sequence: u64) -> Entry {
    Entry::delete(Table::Outbox, slot_key(chain, sequence))
}

pub(super) fn put_released(chain: &str, sequence: u64, released: &Released) -> Entry {
    Entry::put(Table::Outbox, name("past", chain, &sequence.to_be_bytes()), encode(released))
}

pub(super) fn erase_released(chain: &str, sequence: u64) -> Entry {
    Entry::delete(Table::Outbox, name("past", chain, &sequence.to_be_bytes()))
}

pub(super) fn put_next(chain: &str, next: u64) -> Entry {
    Entry::put(Table::Outbox, next_key(chain), encode(&next))
}

pub(super) fn put_let_go(chain: &str, height: Height) -> Entry {
    Entry::put(Table::Outbox, let_go_key(chain), encode(&height))
}

pub(super) fn put_spent(chain: &str, decree: &DecreeId, tries: u32) -> Entry {
    Entry::put(Table::Outbox, spent_key(chain, decree), encode(&tries))
}

pub(super) fn erase_spent(chain: &str, decree: &DecreeId) -> Entry {
    Entry::delete(Table::Outbox, spent_key(chain, decree))
}

pub(super) fn put_halt(chain: &str, halt: &Halt) -> Entry {
    Entry::put(Table::Outbox, halt_key(chain), encode(halt))
}

pub(super) fn erase_halt(chain: &str) -> Entry {
    Entry::delete(Table::Outbox, halt_key(chain))
}

/// That an operator ended this halt, going on at this sequence: kept for ever.
pub(super) fn put_resumed(chain: &str, sequence: u64, halt: &Halt) -> Entry {
    Entry::put(Table::Outbox, name("resumed", chain, &sequence.to_be_bytes()), encode(halt))
}

/// The name of a record, or of all of one kind. The chain's length stands before its name, so that no chain's names begin
/// with another's.
fn name(kind: &str, chain: &str, rest: &[u8]) -> Vec<u8> {
    let length = (chain.len() as u64).to_be_bytes();
    [kind.as_bytes(), b"/", &length, chain.as_bytes(), b"/", rest].concat()
}

fn slot_key(chain: &str, sequence: u64) -> Vec<u8> {
    name("slot", chain, &sequence.to_be_bytes())
}

fn spent_key(chain: &str, decree: &DecreeId) -> Vec<u8> {
    name("spent", chain, &decree.to_bytes())
}

fn next_key(chain: &str) -> Vec<u8> {
    name("next", chain, b"")
}

fn let_go_key(chain: &str) -> Vec<u8> {
    name("letgo", chain, b"")
}

fn halt_key(chain: &str) -> Vec<u8> {
    name("halt", chain, b"")
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // postcard of these plain types cannot fail.
    postcard::to_stdvec(value).unwrap_or_default()
}
