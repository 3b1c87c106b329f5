//! The journal over any medium: rules, sealing, head. Everything that both stores must do alike stands here, once.

use super::medium::{Change, Column, Medium};
use super::seal::{Argon2Cost, Header, Seal, Unlock};
use super::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, Entry, HEADS_KEPT, Head, KEY_BYTES_MAX, OpenError, Page, Rule, SCHEMA,
    StoreError, Table,
};
use crate::clock::Randomness;
use crate::tag::Tagged;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

const SCHEMA_KEY: &[u8] = b"schema";
const HEADER_KEY: &[u8] = b"header";
const HEAD_KEY: &[u8] = b"head";
const BOOT_KEY: &[u8] = b"boot";

/// A store over a medium.
pub(super) struct Journal<M> {
    medium: M,
    seal: Seal,
    writer: Mutex<Writer>,
    /// The head as last written: readers do not wait for a sync.
    head: Mutex<Head>,
}

/// What only the one writer touches.
struct Writer {
    rng: Box<dyn Randomness>,
    halted: bool,
}

impl<M: Medium> Journal<M> {
    /// Makes a store on an empty medium. `place` names it in errors.
    pub(super) fn create(
        medium: M,
        place: &Path,
        unlock: &Unlock,
        cost: Argon2Cost,
        mut rng: Box<dyn Randomness>,
    ) -> Result<Self, OpenError> {
        if medium.get(Column::Header, SCHEMA_KEY)?.is_some() {
            return Err(OpenError::Exists { path: place.to_owned() });
        }
        let (seal, header) = Seal::create(unlock, cost, &mut *rng)?;
        let head = Head { position: 0, hash: seal.head_digest().finish() };
        let clear = |key: &[u8], value| Change { column: Column::Header, key: key.to_vec(), value: Some(value) };
        medium.write(vec![
            clear(SCHEMA_KEY, SCHEMA.to_be_bytes().to_vec()),
            clear(HEADER_KEY, header.encode()?),
            clear(HEAD_KEY, seal.seal(Column::Header, HEAD_KEY, &encode_head(head), &mut *rng)?),
        ])?;
        Ok(Self::assemble(medium, seal, head, rng))
    }

    /// Opens the store on a medium: schema first, then the key, then the head.
    pub(super) fn open(medium: M, place: &Path, unlock: &Unlock, rng: Box<dyn Randomness>) -> Result<Self, OpenError> {
        let schema =
            medium.get(Column::Header, SCHEMA_KEY)?.ok_or_else(|| OpenError::Missing { path: place.to_owned() })?;
        let found =
            schema.try_into().map(u16::from_be_bytes).map_err(|_| OpenError::Header { what: "no schema number" })?;
        if found > SCHEMA {
            return Err(OpenError::NewerSchema { found, known: SCHEMA });
        }
        if found < SCHEMA {
            return Err(OpenError::Header { what: "a schema that never existed" });
        }
        let header = medium.get(Column::Header, HEADER_KEY)?.ok_or(OpenError::Header { what: "it is missing" })?;
        let seal = Seal::open(unlock, &Header::decode(&header)?)?;
        let sealed = medium.get(Column::Header, HEAD_KEY)?.ok_or(OpenError::Header { what: "no head" })?;
        let plain = seal.open_record(Column::Header, HEAD_KEY, &sealed)?;
        let head = decode_head(&plain).ok_or(OpenError::Header { what: "the head does not decode" })?;
        Ok(Self::assemble(medium, seal, head, rng))
    }

    fn assemble(medium: M, seal: Seal, head: Head, rng: Box<dyn Randomness>) -> Self {
        Self { medium, seal, writer: Mutex::new(Writer { rng, halted: false }), head: Mutex::new(head) }
    }

    /// The header as it lies on the medium: the wrapped data key.
    pub(super) fn header(&self) -> Result<Vec<u8>, OpenError> {
        self.medium.get(Column::Header, HEADER_KEY)?.ok_or(OpenError::Header { what: "it is missing" })
    }

    /// Lends the writer's randomness.
    pub(super) fn randomness<T>(&self, draw: impl FnOnce(&mut dyn Randomness) -> T) -> T {
        draw(&mut *lock(&self.writer).rng)
    }

    /// Seals something that leaves the store, for a place that no record has.
    pub(super) fn seal_beside(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.randomness(|rng| self.seal.seal(Column::Header, place, plain, rng))
    }

    pub(super) fn medium(&self) -> &M {
        &self.medium
    }

    pub(super) fn head(&self) -> Head {
        *lock(&self.head)
    }

    pub(super) fn read(&self, table: Table, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let column = Column::Table(table);
        let sealed = self.medium.get(column, key)?;
        sealed.map(|sealed| self.seal.open_record(column, key, &sealed)).transpose()
    }

    pub(super) fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let column = Column::Table(table);
        let raw = self.medium.range(column, prefix, after, limit)?;
        let open = |(key, sealed): (Vec<u8>, Vec<u8>)| {
            let plain = self.seal.open_record(column, &key, &sealed)?;
            Ok((key, plain))
        };
        raw.into_iter().map(open).collect()
    }

    pub(super) fn append(&self, batch: &[Entry]) -> Result<Head, StoreError> {
        let mut writer = lock(&self.writer);
        if writer.halted {
            return Err(StoreError::Halted);
        }
        if batch.is_empty() {
            return Ok(self.head());
        }
        check_bounds(batch)?;
        self.check_rules(batch)?;
        let head = self.next_head(batch);
        let mut changes = Vec::with_capacity(batch.len() + 1);
        for entry in batch {
            changes.push(self.seal_entry(entry, &mut *writer.rng)?);
        }
        let sealed = self.seal.seal(Column::Header, HEAD_KEY, &encode_head(head), &mut *writer.rng)?;
        changes.push(Change { column: Column::Header, key: HEAD_KEY.to_vec(), value: Some(sealed) });
        let key = past_head_key(head.position);
        let sealed = self.seal.seal(Column::Header, &key, &head.hash, &mut *writer.rng)?;
        changes.push(Change { column: Column::Header, key: key.to_vec(), value: Some(sealed) });
        if let Some(forgotten) = head.position.checked_sub(HEADS_KEPT) {
            changes.push(Change { column: Column::Header, key: past_head_key(forgotten).to_vec(), value: None });
        }
        // From here until the medium has answered nobody knows what is on disk. The mark also survives a panic.
        writer.halted = true;
        self.medium.write(changes)?;
        writer.halted = false;
        *lock(&self.head) = head;
        Ok(head)
    }

    pub(super) fn hash_at(&self, position: u64) -> Result<Option<[u8; 32]>, StoreError> {
        let damaged = || StoreError::Damaged { place: format!("head {position}"), what: "it is no hash" };
        let key = past_head_key(position);
        let Some(sealed) = self.medium.get(Column::Header, &key)? else { return Ok(None) };
        let plain = self.seal.open_record(Column::Header, &key, &sealed)?;
        plain.as_slice().try_into().map(Some).map_err(|_| damaged())
    }

    pub(super) fn raise_boot(&self) -> Result<u64, StoreError> {
        let damaged = || StoreError::Damaged { place: "boot counter".to_owned(), what: "it is no number" };
        let mut writer = lock(&self.writer);
        if writer.halted {
            return Err(StoreError::Halted);
        }
        let last = match self.medium.get(Column::Header, BOOT_KEY)? {
            Some(sealed) => {
                let plain = self.seal.open_record(Column::Header, BOOT_KEY, &sealed)?;
                plain.as_slice().try_into().map(u64::from_be_bytes).map_err(|_| damaged())?
            }
            None => 0,
        };
        let boot = last.checked_add(1).ok_or_else(damaged)?;
        let sealed = self.seal.seal(Column::Header, BOOT_KEY, &boot.to_be_bytes(), &mut *writer.rng)?;
        writer.halted = true;
        self.medium.write(vec![Change { column: Column::Header, key: BOOT_KEY.to_vec(), value: Some(sealed) }])?;
        writer.halted = false;
        Ok(boot)
    }

    /// Every write-once put finds its key free or holding the same bytes, as the batch so far would leave it.
    fn check_rules(&self, batch: &[Entry]) -> Result<(), StoreError> {
        let mut pending: BTreeMap<(Table, &[u8]), Option<&[u8]>> = BTreeMap::new();
        for entry in batch {
            let place = entry.place();
            match entry {
                Entry::Put { table, key, value, rule } => {
                    if *rule == Rule::WriteOnce && self.holds_other(&pending, place, value)? {
                        return Err(StoreError::AlreadyWritten { table: *table, key: key.clone() });
                    }
                    pending.insert(place, Some(value));
                }
                Entry::Delete { .. } => {
                    pending.insert(place, None);
                }
            }
        }
        Ok(())
    }

    fn holds_other(
        &self,
        pending: &BTreeMap<(Table, &[u8]), Option<&[u8]>>,
        (table, key): (Table, &[u8]),
        value: &[u8],
    ) -> Result<bool, StoreError> {
        match pending.get(&(table, key)) {
            Some(earlier) => Ok(earlier.is_some_and(|earlier| earlier != value)),
            None => Ok(self.read(table, key)?.is_some_and(|stored| stored.as_slice() != value)),
        }
    }

    fn seal_entry(&self, entry: &Entry, rng: &mut dyn Randomness) -> Result<Change, StoreError> {
        let (table, key) = entry.place();
        let column = Column::Table(table);
        let value = match entry {
            Entry::Put { value, .. } => Some(self.seal.seal(column, key, value, rng)?),
            Entry::Delete { .. } => None,
        };
        Ok(Change { column, key: key.to_vec(), value })
    }

    /// The head after this batch: a keyed hash over the head before it, the position and the batch's canonical form.
    fn next_head(&self, batch: &[Entry]) -> Head {
        let before = self.head();
        let position = before.position + 1;
        let begun = self.seal.head_digest().part(&before.hash).number(position).number(batch.len() as u64);
        let digest = batch.iter().fold(begun, hash_entry);
        Head { position, hash: digest.finish() }
    }
}

/// Canonical form of an entry: kind, table, key, and for puts the value.
fn hash_entry(digest: Tagged, entry: &Entry) -> Tagged {
    let (table, key) = entry.place();
    let kind: &[u8] = match entry {
        Entry::Put { rule: Rule::Replace, .. } => b"put",
        Entry::Put { rule: Rule::WriteOnce, .. } => b"once",
        Entry::Delete { .. } => b"delete",
    };
    let digest = digest.part(kind).part(table.name().as_bytes()).part(key);
    match entry {
        Entry::Put { value, .. } => digest.part(value),
        Entry::Delete { .. } => digest,
    }
}

fn check_bounds(batch: &[Entry]) -> Result<(), StoreError> {
    let within = |what, size, max| if size > max { Err(StoreError::TooLarge { what, size, max }) } else { Ok(()) };
    within("the number of entries", batch.len(), BATCH_ENTRIES_MAX)?;
    let mut bytes = 0_usize;
    for entry in batch {
        let (_, key) = entry.place();
        within("a key's length in bytes", key.len(), KEY_BYTES_MAX)?;
        let value = match entry {
            Entry::Put { value, .. } => value.len(),
            Entry::Delete { .. } => 0,
        };
        bytes = bytes.saturating_add(key.len()).saturating_add(value);
    }
    within("the sum of its bytes", bytes, BATCH_BYTES_MAX)
}

/// Beside the head itself, its hash at every position of late.
fn past_head_key(position: u64) -> [u8; 13] {
    let mut key = *b"past/\0\0\0\0\0\0\0\0";
    key[5..].copy_from_slice(&position.to_be_bytes());
    key
}

fn encode_head(head: Head) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[..8].copy_from_slice(&head.position.to_be_bytes());
    bytes[8..].copy_from_slice(&head.hash);
    bytes
}

fn decode_head(bytes: &[u8]) -> Option<Head> {
    let (position, hash) = bytes.split_at_checked(8)?;
    Some(Head { position: u64::from_be_bytes(position.try_into().ok()?), hash: hash.try_into().ok()? })
}

/// A panic under the lock leaves data that is still whole: what a panic may leave half done is guarded by `halted`.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
