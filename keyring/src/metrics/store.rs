//! The store with a meter: counts and times what passes, changes nothing, and remembers that a write failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroizing;

use super::Metrics;
use crate::clock::Stopwatch;
use crate::store::{ArchiveError, Entry, Head, Page, Selection, Store, StoreError, StoreMemory, Table};

/// What can fail.
pub(super) const ACTS: [&str; 3] = ["write", "read", "scan"];

/// A store that is counted.
pub struct MeteredStore {
    inner: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    halted: Arc<AtomicBool>,
}

impl MeteredStore {
    /// This store, counted there; the flag is raised when a write fails.
    #[must_use]
    pub const fn new(inner: Arc<dyn Store>, metrics: Arc<Metrics>, halted: Arc<AtomicBool>) -> Self {
        Self { inner, metrics, halted }
    }

    fn counted<T>(&self, act: &str, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_err() {
            self.metrics.store.failures.one([act]);
        }
        result
    }
}

impl Store for MeteredStore {
    fn append(&self, batch: &[Entry]) -> Result<Head, StoreError> {
        let watch = Stopwatch::begin();
        let result = self.inner.append(batch);
        if result.is_err() {
            // Whatever the reason, the node that asked for this write stops.
            self.halted.store(true, Ordering::SeqCst);
        } else if !batch.is_empty() {
            let metrics = &self.metrics.store;
            metrics.writes.observe([], watch.seconds());
            metrics.entries.more([], batch.len() as u64);
            metrics.bytes.more([], batch.iter().map(bytes_of).sum());
        }
        self.counted("write", result)
    }

    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.counted("read", self.inner.read(table, key))
    }

    fn scan(&self, table: Table, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Page, StoreError> {
        self.counted("scan", self.inner.scan(table, prefix, after, limit))
    }

    fn head(&self) -> Head {
        self.inner.head()
    }

    fn memory(&self) -> StoreMemory {
        self.inner.memory()
    }

    fn hash_at(&self, position: u64) -> Result<Option<[u8; 32]>, StoreError> {
        self.counted("read", self.inner.hash_at(position))
    }

    fn raise_boot(&self) -> Result<u64, StoreError> {
        let result = self.inner.raise_boot();
        if result.is_err() {
            self.halted.store(true, Ordering::SeqCst);
        }
        self.counted("write", result)
    }

    fn export(&self, selection: &Selection<'_>, out: &mut dyn std::io::Write) -> Result<u64, ArchiveError> {
        self.inner.export(selection, out)
    }
}

fn bytes_of(entry: &Entry) -> u64 {
    let value = match entry {
        Entry::Put { value, .. } => value.len(),
        Entry::Delete { .. } => 0,
    };
    (entry.place().1.len() + value) as u64
}
