//! The store together with what the current effects will write: within one batch, what was decided a moment ago is read
//! back as if it were on disk already.

use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::store::{Entry, Store, StoreError, Table};

/// Reading records.
pub trait Records {
    /// The value under `key`, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;
}

impl Records for &dyn Store {
    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Store::read(*self, table, key)
    }
}

/// What a record will hold once the next write is durable; `None` if it will be gone.
type Change = Option<Zeroizing<Vec<u8>>>;

/// The store and the entries that wait for the next write.
pub(super) struct Memory {
    store: Arc<dyn Store>,
    pending: BTreeMap<(Table, Vec<u8>), Change>,
}

impl Memory {
    pub(super) const fn new(store: Arc<dyn Store>) -> Self {
        Self { store, pending: BTreeMap::new() }
    }

    /// Remembers an entry until it is durable.
    pub(super) fn pending(&mut self, entry: &Entry) {
        match entry {
            Entry::Put { table, key, value, .. } => {
                self.pending.insert((*table, key.clone()), Some(value.clone()));
            }
            Entry::Delete { table, key } => {
                self.pending.insert((*table, key.clone()), None);
            }
        }
    }

    /// All of it is durable.
    pub(super) fn committed(&mut self) {
        self.pending.clear();
    }
}

impl Records for Memory {
    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        match self.pending.get(&(table, key.to_vec())) {
            Some(value) => Ok(value.clone()),
            None => self.store.read(table, key),
        }
    }
}
