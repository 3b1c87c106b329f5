//! A store on a disk that fails as told: full, broken or slow. For tests of development builds; no deploy build has it.

use super::{ArchiveError, Entry, Head, Page, Selection, Store, StoreError, StoreMemory, Table};
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use zeroize::Zeroizing;

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// No space is left after so many writes.
    Full(u64),
    /// Writing fails after so many writes.
    Broken(u64),
    /// Every write takes so much longer.
    Slow(Duration),
}

/// A store over another one, with a fault between them. Reads are not touched.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    fault: DiskFault,
    written: AtomicU64,
    halted: AtomicBool,
}

impl FaultyStore {
    /// A store whose writes meet this fault.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, fault: DiskFault) -> Self {
        Self { inner, fault, written: AtomicU64::new(0), halted: AtomicBool::new(false) }
    }

    /// One write that meets the fault.
    fn write<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.halted.load(Ordering::SeqCst) {
            return Err(StoreError::Halted);
        }
        let written = self.written.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            DiskFault::Full(after) if written >= after => Err(self.fail(rustix::io::Errno::NOSPC)),
            DiskFault::Broken(after) if written >= after => Err(self.fail(rustix::io::Errno::IO)),
            DiskFault::Slow(each) => {
                std::thread::sleep(each);
                write()
            }
            DiskFault::Full(_) | DiskFault::Broken(_) => write(),
        }
    }

    /// As the real medium: after a failed write nothing more is taken.
    fn fail(&self, kind: rustix::io::Errno) -> StoreError {
        self.halted.store(true, Ordering::SeqCst);
        StoreError::Medium { act: "write", source: Box::new(io::Error::from_raw_os_error(kind.raw_os_error())) }
    }
}

impl Store for FaultyStore {
    fn append(&self, batch: &[Entry]) -> Result<Head, StoreError> {
        if batch.is_empty() {
            return self.inner.append(batch);
        }
        self.write(|| self.inner.append(batch))
    }

    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.inner.read(table, key)
    }

    fn scan(&self, table: Table, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Page, StoreError> {
        self.inner.scan(table, prefix, after, limit)
    }

    fn head(&self) -> Head {
        self.inner.head()
    }

    fn memory(&self) -> StoreMemory {
        self.inner.memory()
    }

    fn hash_at(&self, position: u64) -> Result<Option<[u8; 32]>, StoreError> {
        self.inner.hash_at(position)
    }

    fn raise_boot(&self) -> Result<u64, StoreError> {
        self.write(|| self.inner.raise_boot())
    }

    fn export(&self, selection: &Selection<'_>, out: &mut dyn io::Write) -> Result<u64, ArchiveError> {
        self.inner.export(selection, out)
    }
}

/// `full-after=N`, `broken-after=N` or `slow=200ms`.
impl FromStr for DiskFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let told = || "write full-after=N, broken-after=N or slow=TIME".to_owned();
        let (kind, value) = text.split_once('=').ok_or_else(told)?;
        let count = || value.parse().map_err(|_| told());
        match kind {
            "full-after" => count().map(Self::Full),
            "broken-after" => count().map(Self::Broken),
            "slow" => humantime_serde::re::humantime::parse_duration(value).map(Self::Slow).map_err(|_| told()),
            _ => Err(told()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn entry(number: u8) -> Vec<Entry> {
        vec![Entry::put(Table::Meta, [number], [number])]
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_then_nothing_more() {
        let inner = Arc::new(MemoryStore::new(1));
        let faulty = FaultyStore::new(inner.clone(), "full-after=2".parse().unwrap());
        assert_eq!(faulty.append(&entry(1)).unwrap().position, 1);
        assert_eq!(faulty.append(&entry(2)).unwrap().position, 2);
        let failed = faulty.append(&entry(3)).unwrap_err();
        let StoreError::Medium { source, .. } = failed else { panic!("{failed}") };
        assert!(source.to_string().contains("No space left"), "{source}");
        assert!(matches!(faulty.append(&entry(4)), Err(StoreError::Halted)));
        assert_eq!((inner.head().position, faulty.head().position), (2, 2));
        assert_eq!(faulty.read(Table::Meta, &[2]).unwrap().as_deref(), Some(&vec![2]));
        assert!(inner.read(Table::Meta, &[3]).unwrap().is_none());
    }

    #[test]
    fn faults_have_names() {
        assert_eq!("broken-after=7".parse(), Ok(DiskFault::Broken(7)));
        assert_eq!("slow=200ms".parse(), Ok(DiskFault::Slow(Duration::from_millis(200))));
        assert!("full-after=soon".parse::<DiskFault>().is_err());
        assert!("wet".parse::<DiskFault>().is_err());
    }
}
