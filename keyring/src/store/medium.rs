//! What lies under the journal: sealed bytes under keys in columns, written in atomic batches. No meaning, no secrets.

use super::{StoreError, Table};

/// A column of the medium: one per table, and one for the store's own header and head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    /// Schema, wrapped key and head. In the clear but for the head.
    Header,
    /// One table's records, sealed.
    Table(Table),
}

impl Column {
    /// Name on disk, and in the associated data of every record.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Table(table) => table.name(),
        }
    }
}

/// One change. `value: None` removes the key.
pub(super) struct Change {
    pub(super) column: Column,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
}

/// Raw records in key order.
pub(super) type RawPage = Vec<(Vec<u8>, Vec<u8>)>;

/// Raw storage. Implementations own durability and atomicity, nothing else.
pub(super) trait Medium: Send + Sync {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` records with this prefix, in key order, strictly behind `after`.
    fn range(&self, column: Column, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<RawPage, StoreError>;

    /// All changes or none; synced when it returns.
    fn write(&self, changes: Vec<Change>) -> Result<(), StoreError>;
}

/// First key of a range: the prefix itself, or the key right behind `after`, whichever is later.
pub(super) fn range_start(prefix: &[u8], after: Option<&[u8]>) -> Vec<u8> {
    let behind = after.map(|key| [key, &[0]].concat()).unwrap_or_default();
    behind.max(prefix.to_vec())
}
