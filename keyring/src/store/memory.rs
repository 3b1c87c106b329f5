//! The store in memory: the same journal over a map, for tests and the simulation. It can crash at a chosen write, and
//! its disk can be copied at any time, to be opened again.

use super::journal::Journal;
use super::medium::{Change, Column, Medium, RawPage, range_start};
use super::{
    ArchiveError, Argon2Cost, Entry, Head, OpenError, Page, Selection, Store, StoreError, StoreMemory, Table, Unlock,
};
use crate::clock::Randomness;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// How errors name a store in memory.
const PLACE: &str = "memory";

/// What a disk would hold: sealed records. Cheap enough to copy, and enough to open a store from.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DiskImage {
    records: BTreeMap<(Column, Vec<u8>), Vec<u8>>,
}

impl fmt::Debug for DiskImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DiskImage({} records)", self.records.len())
    }
}

/// When a store crashes. Positions are the journal's: the first batch ever written makes position 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// The batch that would make this position never reaches the disk.
    Before(u64),
    /// The batch that makes this position is on disk, but its writer never hears of it.
    After(u64),
}

/// A store in memory.
pub struct MemoryStore {
    journal: Journal<MemoryMedium>,
    crash: Mutex<Crash>,
}

#[derive(Default)]
struct Crash {
    point: Option<CrashPoint>,
    crashed: bool,
}

#[derive(Default)]
struct MemoryMedium {
    image: Mutex<DiskImage>,
}

impl MemoryStore {
    /// An empty store. Everything about it follows from `seed`; it opens again with the same seed.
    pub fn new(seed: u64) -> Self {
        let journal = Journal::create(
            MemoryMedium::default(),
            Path::new(PLACE),
            &Self::unlock(seed),
            Argon2Cost::default(),
            Box::new(ChaCha20Rng::seed_from_u64(seed)),
        );
        match journal {
            Ok(journal) => Self { journal, crash: Mutex::default() },
            Err(error) => unreachable!("an empty map takes a new store: {error}"),
        }
    }

    /// Opens the store of an image that [`MemoryStore::new`] began with the same seed.
    ///
    /// # Errors
    /// As opening any store.
    pub fn open(image: DiskImage, seed: u64) -> Result<Self, OpenError> {
        Self::open_with(image, &Self::unlock(seed), Box::new(ChaCha20Rng::seed_from_u64(seed ^ u64::MAX)))
    }

    /// Makes a store with a chosen key and randomness.
    ///
    /// # Errors
    /// [`OpenError::WeakPassphrase`].
    pub fn create_with(unlock: &Unlock, cost: Argon2Cost, rng: Box<dyn Randomness>) -> Result<Self, OpenError> {
        let journal = Journal::create(MemoryMedium::default(), Path::new(PLACE), unlock, cost, rng)?;
        Ok(Self { journal, crash: Mutex::default() })
    }

    /// Opens an image with a chosen key and randomness.
    ///
    /// # Errors
    /// As opening any store.
    pub fn open_with(image: DiskImage, unlock: &Unlock, rng: Box<dyn Randomness>) -> Result<Self, OpenError> {
        let journal = Journal::open(MemoryMedium { image: Mutex::new(image) }, Path::new(PLACE), unlock, rng)?;
        Ok(Self { journal, crash: Mutex::default() })
    }

    /// What opens the store of a seed, and its backups.
    pub fn unlock(seed: u64) -> Unlock {
        let mut key = Zeroizing::new([0; 32]);
        key[..8].copy_from_slice(&seed.to_be_bytes());
        Unlock::KeyFile(key)
    }

    /// The disk as it is now, also after a crash.
    pub fn snapshot(&self) -> DiskImage {
        lock(&self.journal.medium().image).clone()
    }

    /// Crashes at this point. After it every operation returns [`StoreError::Crashed`]; open a new store from
    /// [`MemoryStore::snapshot`] to go on.
    pub fn crash_at(&self, point: CrashPoint) {
        lock(&self.crash).point = Some(point);
    }

    /// Crashes now.
    pub fn crash(&self) {
        lock(&self.crash).crashed = true;
    }

    fn alive(&self) -> Result<(), StoreError> {
        if lock(&self.crash).crashed { Err(StoreError::Crashed) } else { Ok(()) }
    }
}

impl Store for MemoryStore {
    fn append(&self, batch: &[Entry]) -> Result<Head, StoreError> {
        // Held over the write, so that the crash falls between the same two batches whoever else is writing.
        let mut crash = lock(&self.crash);
        let next = self.journal.head().position + 1;
        if !crash.crashed && !batch.is_empty() && crash.point == Some(CrashPoint::Before(next)) {
            crash.crashed = true;
        }
        if crash.crashed {
            return Err(StoreError::Crashed);
        }
        let head = self.journal.append(batch)?;
        if !batch.is_empty() && crash.point == Some(CrashPoint::After(head.position)) {
            crash.crashed = true;
            return Err(StoreError::Crashed);
        }
        Ok(head)
    }

    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.alive()?;
        self.journal.read(table, key)
    }

    fn scan(&self, table: Table, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Page, StoreError> {
        self.alive()?;
        self.journal.scan(table, prefix, after, limit)
    }

    fn head(&self) -> Head {
        self.journal.head()
    }

    fn memory(&self) -> StoreMemory {
        StoreMemory::default()
    }

    fn hash_at(&self, position: u64) -> Result<Option<[u8; 32]>, StoreError> {
        self.alive()?;
        self.journal.hash_at(position)
    }

    fn raise_boot(&self) -> Result<u64, StoreError> {
        self.alive()?;
        self.journal.raise_boot()
    }

    fn export(&self, selection: &Selection<'_>, out: &mut dyn std::io::Write) -> Result<u64, ArchiveError> {
        self.alive()?;
        self.journal.export(selection, out)
    }
}

impl Medium for MemoryMedium {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(lock(&self.image).records.get(&(column, key.to_vec())).cloned())
    }

    fn range(&self, column: Column, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<RawPage, StoreError> {
        let image = lock(&self.image);
        let from = (column, range_start(prefix, after));
        let inside = |place: &(Column, Vec<u8>)| place.0 == column && place.1.starts_with(prefix);
        let found = image.records.range(from..).take_while(|(place, _)| inside(place)).take(limit);
        Ok(found.map(|(place, value)| (place.1.clone(), value.clone())).collect())
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut image = lock(&self.image);
        for Change { column, key, value } in changes {
            match value {
                Some(value) => image.records.insert((column, key), value),
                None => image.records.remove(&(column, key)),
            };
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl DiskImage {
    /// Swaps the sealed bytes of two records: what a hand on the disk can do.
    pub(super) fn swap(&mut self, one: (Table, &[u8]), other: (Table, &[u8])) {
        let place = |(table, key): (Table, &[u8])| (Column::Table(table), key.to_vec());
        let first = self.records.remove(&place(one)).expect("record one");
        let second = self.records.insert(place(other), first).expect("record other");
        self.records.insert(place(one), second);
    }

    /// Writes a schema number as a newer program would.
    pub(super) fn set_schema(&mut self, schema: u16) {
        self.records.insert((Column::Header, b"schema".to_vec()), schema.to_be_bytes().to_vec());
    }

    /// All bytes of all records.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.records.iter().flat_map(|(place, value)| [place.1.as_slice(), value].concat()).collect()
    }
}
