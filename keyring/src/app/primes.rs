//! Safe primes for the auxiliary data: searched for in idle time, ahead of need, stored one by one so that a restart
//! goes on where the last search ended. Each set serves one run and is forgotten when it is taken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mpc_core::Primes;
use mpc_core::primes::{Progress, SafePrime, Search};
use rand::SeedableRng as _;
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::store::{Entry, Rule, Store, StoreError, Table};
use crate::tasks::Tasks;

const PREFIX: &[u8] = b"prime/";
/// Bits of each of the four safe primes of a party (SecurityLevel128 of the ECDSA library).
const BITS: u32 = 1536;

/// Where this party's primes are kept until they are used.
pub struct PrimeRoom {
    store: Arc<dyn Store>,
    /// Known to everybody, so the same set may serve every run.
    published: Option<Zeroizing<Vec<u8>>>,
    ready: Mutex<Option<Primes>>,
    searching: AtomicBool,
    stop: AtomicBool,
    /// Primes at hand or found so far; candidates tested since the start.
    found: AtomicU64,
    candidates: AtomicU64,
}

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchProgress {
    /// Primes found and not yet taken.
    pub found: u32,
    /// Candidates tested since the process began.
    pub candidates: u64,
    /// Whether a search is on.
    pub searching: bool,
}

impl PrimeRoom {
    /// A room. With a `published` set, which a development network has, none are ever searched for.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, published: Option<&Primes>) -> Self {
        Self {
            store,
            published: published.map(Primes::encode),
            ready: Mutex::default(),
            searching: AtomicBool::default(),
            stop: AtomicBool::default(),
            found: AtomicU64::new(published.map_or(0, |_| 4)),
            candidates: AtomicU64::default(),
        }
    }

    /// How far the search is.
    pub fn progress(&self) -> SearchProgress {
        SearchProgress {
            found: u32::try_from(self.found.load(Ordering::Relaxed)).unwrap_or(u32::MAX),
            candidates: self.candidates.load(Ordering::Relaxed),
            searching: self.searching.load(Ordering::SeqCst),
        }
    }

    /// Whether a set is there to be taken.
    pub fn is_at_hand(&self) -> bool {
        self.published.is_some() || self.ready.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// A set of primes, for one run. They are gone from the disk before the run begins; a published set stays.
    #[must_use]
    pub fn take(&self) -> Option<Primes> {
        if let Some(published) = &self.published {
            return Primes::decode(published).ok();
        }
        let primes = self.ready.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        match self.forget() {
            Ok(()) => {
                self.found.store(0, Ordering::Relaxed);
                Some(primes)
            }
            Err(error) => {
                warn!(%error, "primes cannot be taken: the store does not write");
                None
            }
        }
    }

    /// Ends a search; what was found stays stored.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Searches in the background unless auxiliary data is in force, primes are at hand, or a search is on.
    pub fn search_if_needed(self: &Arc<Self>, tasks: &Tasks) {
        let at_hand = self.is_at_hand();
        let in_force = self.store.read(Table::Stock, b"auxiliary/active").is_ok_and(|active| active.is_some());
        if at_hand || in_force || self.searching.swap(true, Ordering::SeqCst) {
            return;
        }
        let this = self.clone();
        tasks.spawn_blocking("primes", move || {
            if let Err(error) = this.search() {
                warn!(%error, "the search for primes ended");
            }
            this.searching.store(false, Ordering::SeqCst);
        });
    }

    fn search(&self) -> Result<(), StoreError> {
        let stored = self.store.scan(Table::Stock, PREFIX, None, 4)?;
        let found: Vec<SafePrime> = stored.iter().filter_map(|(_, bytes)| SafePrime::from_bytes(bytes).ok()).collect();
        self.found.store(found.len() as u64, Ordering::Relaxed);
        info!(found = found.len(), wanted = 4, "searching for safe primes");
        let failed = Mutex::new(None);
        let observe = |progress: Progress<'_>| {
            let Progress::Found(prime) = progress else {
                self.candidates.fetch_add(1, Ordering::Relaxed);
                return;
            };
            let place = self.found.fetch_add(1, Ordering::Relaxed) + 1;
            info!(found = place, wanted = 4, "safe prime found");
            let key = [PREFIX, &place.to_be_bytes()].concat();
            let value = Zeroizing::new(prime.as_bytes().to_vec());
            let entry = Entry::Put { table: Table::Stock, key, value, rule: Rule::Replace };
            if let Err(error) = self.store.append(&[entry]) {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                self.stop();
            }
        };
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut rng = rand_chacha::ChaCha20Rng::from_entropy();
        let primes = Search::resume(BITS, found).run(workers, &self.stop, &observe, &mut rng);
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        // Stopped before the set was whole: what was found is stored and the next start goes on from it.
        if let Ok(primes) = primes {
            *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = Some(primes);
        }
        Ok(())
    }

    fn forget(&self) -> Result<(), StoreError> {
        let stored = self.store.scan(Table::Stock, PREFIX, None, 8)?;
        let entries: Vec<Entry> = stored.into_iter().map(|(key, _)| Entry::delete(Table::Stock, key)).collect();
        if entries.is_empty() { Ok(()) } else { self.store.append(&entries).map(|_| ()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn a_published_set_serves_every_run() {
        let set = mpc_core::primes::prepared(0).unwrap();
        let room = PrimeRoom::new(Arc::new(MemoryStore::new(1)), Some(&set));
        for _ in 0..2 {
            assert_eq!(room.take().unwrap().encode(), set.encode(), "a run that fails spends nothing");
        }
    }

    #[test]
    fn without_a_set_there_is_nothing_to_take() {
        assert!(PrimeRoom::new(Arc::new(MemoryStore::new(1)), None).take().is_none());
    }
}
