//! What the store holds of a sender: each nonce with everything signed under it, the next nonce, what answers have cost
//! and which of them had their revert, the losses, and why it stands still.
//!
//! The records stand among the signed transactions of all controllers, under names of their own. Like these they are in
//! no backup.

use std::collections::BTreeMap;

use chain_client::Height;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::purse::Record;
use super::{Halt, Losses, Sender, Settings, Slot, gate};
use crate::decree::DecreeId;
use crate::store::{Entry, Store, StoreError, Table};

const TABLE: Table = Table::Outbox;

impl Sender {
    /// The sender as the store remembers it.
    ///
    /// # Errors
    /// When the store fails; a record that does not decode counts as damage of the store.
    pub fn recover(settings: Settings, store: &dyn Store) -> Result<Self, StoreError> {
        let chain = format!("eip155:{}", settings.chain);
        let losses: Losses = one(store, &chain, &losses_key(&chain))?.unwrap_or_default();
        Ok(Self {
            settings,
            next: one(store, &chain, &next_key(&chain))?,
            slots: slots(store, &chain, "sender/slot")?,
            sent: BTreeMap::new(),
            released: slots(store, &chain, "sender/past")?,
            let_go_at: one(store, &chain, &let_go_key(&chain))?.unwrap_or_default(),
            answers: BTreeMap::new(),
            records: records(store, &chain)?,
            losses,
            day: losses.day,
            height: Height(0),
            seen: None,
            halt: halt_on_disk(settings.chain, store)?,
            gate: gate::Gate::default(),
            name: chain,
        })
    }
}

/// Why the sender of a chain stands still, as the store has it.
///
/// # Errors
/// When the store fails, or the record does not decode.
pub fn halt_on_disk(chain: u64, store: &dyn Store) -> Result<Option<Halt>, StoreError> {
    let chain = format!("eip155:{chain}");
    one(store, &chain, &halt_key(&chain))
}

fn damaged(chain: &str) -> StoreError {
    StoreError::Damaged { place: format!("outbox/sender/{chain}"), what: "record does not decode" }
}

fn one<T: DeserializeOwned>(store: &dyn Store, chain: &str, key: &[u8]) -> Result<Option<T>, StoreError> {
    let bytes = store.read(TABLE, key)?;
    bytes.map(|bytes| postcard::from_bytes(&bytes).map_err(|_| damaged(chain))).transpose()
}

fn slots(store: &dyn Store, chain: &str, kind: &str) -> Result<BTreeMap<u64, Slot>, StoreError> {
    let mut slots = BTreeMap::new();
    each(store, chain, &name(kind, chain, b""), |_, bytes| {
        let slot: Slot = postcard::from_bytes(bytes).ok()?;
        slots.insert(slot.nonce, slot);
        Some(())
    })?;
    Ok(slots)
}

fn records(store: &dyn Store, chain: &str) -> Result<BTreeMap<DecreeId, Record>, StoreError> {
    let mut records = BTreeMap::new();
    each(store, chain, &name("sender/cost", chain, b""), |name, bytes| {
        records.insert(DecreeId::from_bytes(name)?, postcard::from_bytes(bytes).ok()?);
        Some(())
    })?;
    Ok(records)
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
        let page = store.scan(TABLE, prefix, after.as_deref(), 64)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(last.clone());
        for (name, bytes) in &page {
            let taken = name.strip_prefix(prefix).and_then(|rest| take(rest, bytes));
            taken.ok_or_else(|| damaged(chain))?;
        }
    }
}

pub(super) fn put_slot(chain: &str, slot: &Slot) -> Entry {
    Entry::put(TABLE, slot_key(chain, slot.nonce), encode(slot))
}

pub(super) fn erase_slot(chain: &str, nonce: u64) -> Entry {
    Entry::delete(TABLE, slot_key(chain, nonce))
}

pub(super) fn put_released(chain: &str, slot: &Slot) -> Entry {
    Entry::put(TABLE, released_key(chain, slot.nonce), encode(slot))
}

pub(super) fn erase_released(chain: &str, nonce: u64) -> Entry {
    Entry::delete(TABLE, released_key(chain, nonce))
}

pub(super) fn put_next(chain: &str, next: u64) -> Entry {
    Entry::put(TABLE, next_key(chain), encode(&next))
}

pub(super) fn put_let_go(chain: &str, height: Height) -> Entry {
    Entry::put(TABLE, let_go_key(chain), encode(&height))
}

pub(super) fn put_losses(chain: &str, losses: &Losses) -> Entry {
    Entry::put(TABLE, losses_key(chain), encode(losses))
}

pub(super) fn put_record(chain: &str, decree: &DecreeId, record: &Record) -> Entry {
    Entry::put(TABLE, record_key(chain, decree), encode(record))
}

pub(super) fn erase_record(chain: &str, decree: &DecreeId) -> Entry {
    Entry::delete(TABLE, record_key(chain, decree))
}

pub(super) fn put_halt(chain: &str, halt: &Halt) -> Entry {
    Entry::put(TABLE, halt_key(chain), encode(halt))
}

pub(super) fn erase_halt(chain: &str) -> Entry {
    Entry::delete(TABLE, halt_key(chain))
}

/// That an operator ended this halt, going on at this nonce: kept for ever.
pub(super) fn put_resumed(chain: &str, nonce: u64, halt: &Halt) -> Entry {
    Entry::put(TABLE, name("sender/resumed", chain, &nonce.to_be_bytes()), encode(halt))
}

/// The name of a record, or of all of one kind. The chain's length stands before its name, so that no chain's names begin
/// with another's.
fn name(kind: &str, chain: &str, rest: &[u8]) -> Vec<u8> {
    let length = (chain.len() as u64).to_be_bytes();
    [kind.as_bytes(), b"/", &length, chain.as_bytes(), b"/", rest].concat()
}

fn slot_key(chain: &str, nonce: u64) -> Vec<u8> {
    name("sender/slot", chain, &nonce.to_be_bytes())
}

fn released_key(chain: &str, nonce: u64) -> Vec<u8> {
    name("sender/past", chain, &nonce.to_be_bytes())
}

fn record_key(chain: &str, decree: &DecreeId) -> Vec<u8> {
    name("sender/cost", chain, &decree.to_bytes())
}

fn next_key(chain: &str) -> Vec<u8> {
    name("sender/next", chain, b"")
}

fn let_go_key(chain: &str) -> Vec<u8> {
    name("sender/letgo", chain, b"")
}

fn losses_key(chain: &str) -> Vec<u8> {
    name("sender/losses", chain, b"")
}

fn halt_key(chain: &str) -> Vec<u8> {
    name("sender/halt", chain, b"")
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // postcard of these plain types cannot fail.
    postcard::to_stdvec(value).unwrap_or_default()
}
