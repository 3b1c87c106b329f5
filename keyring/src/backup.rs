//! Backup and restore: what of a party's memory a backup holds, and how a store is made from it.
//!
//! A backup holds what cannot be made again: key shares, auxiliary data, which key belongs to which request, and the
//! record of what was decided. It holds no outbox, no primes, no marks of entered sessions, and nothing that says which
//! requests are open: a restored party does not go on where it stopped.
//!
//! What the party did after its backup, nobody can tell it. So a restore makes another *incarnation*, which the peers'
//! operators must consent to ([`crate::lease`]), and takes every key that it does not know to be bound for one that it
//! may have bound ([`crate::shelf::FORGOTTEN`]). The rules stand in `docs/leases.md`.

use std::io::Read;

use crate::lease::Remembered;
use crate::node::{REMEMBERED, first_counters};
use crate::shelf::FORGOTTEN;
use crate::store::{self, Archive, ArchiveError, Entry, Record, Selection, Store, StoreError, Table};

/// The tables of a backup, in the order in which they are read while the node goes on. A key's binding comes before its
/// record and that before its share: whatever was written in between, a key that was bound is never taken for a free one
/// (a restore frees none), and a share that stands without its record is of no use.
const TABLES: [Table; 10] = [
    Table::Meta,
    Table::Cursor,
    Table::Contract,
    Table::Request,
    Table::Decree,
    Table::Audit,
    Table::Binding,
    Table::Key,
    Table::Share,
    Table::Stock,
];

/// What a backup takes.
pub const SELECTION: Selection<'static> = Selection { tables: &TABLES, wants: &wants };

/// Stands in a store while a restore fills it.
const UNFINISHED: &[u8] = b"restoring";
/// Highest incarnation: the counters that begin with it must have room above them.
const INCARNATION_MAX: u64 = 1 << 20;
/// Entries in one write of a restore.
const ENTRIES: usize = 1_024;

fn wants(table: Table, key: &[u8]) -> bool {
    match table {
        Table::Meta => key == REMEMBERED || key == store::OWNER,
        // Auxiliary data; no primes, which a run may have spent since, and no counters.
        Table::Stock => key.starts_with(b"auxiliary/"),
        _ => TABLES.contains(&table),
    }
}

/// What a restore made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Records taken over.
    pub records: u64,
    /// The new incarnation.
    pub incarnation: u64,
    /// The name of this restore, which the operators consent to: see [`crate::lease::restore_name`].
    pub restore: u64,
}

/// Why no store was made. What lies there is refused by every command: remove it and begin again.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup, or the new store.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The new store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record of the backup does not decode.
    #[error("the backup's {0} does not decode: it was written by a newer program")]
    Record(&'static str),
    /// The incarnation that was asked for is no later one.
    #[error("incarnation {asked} is not later than the backup's own, {own}, or above {INCARNATION_MAX}")]
    Incarnation {
        /// That one.
        asked: u64,
        /// The backup's.
        own: u64,
    },
}

/// Fills an empty store from a backup, as a new incarnation: the one behind the backup's own, or the one asked for
/// (where that one was restored, and lost, before). `restore` is fresh chance.
///
/// # Errors
/// [`RestoreError`].
pub fn restore(
    archive: &mut Archive<impl Read>,
    into: &dyn Store,
    asked: Option<u64>,
    restore: u64,
) -> Result<Restored, RestoreError> {
    into.append(&[Entry::put(Table::Meta, UNFINISHED, Vec::new())])?;
    let mut remembered = Remembered::default();
    let mut records = 0;
    while let Some(frame) = archive.next_frame()? {
        records += frame.len() as u64;
        let mut entries = Vec::new();
        for record in frame {
            if (record.table, record.key.as_slice()) == (Table::Meta, REMEMBERED) {
                let undecodable = |_| RestoreError::Record("memory of the peers");
                remembered = postcard::from_bytes(&record.value).map_err(undecodable)?;
            } else if wants(record.table, &record.key) {
                take(record, into, &mut entries)?;
            }
            if entries.len() >= ENTRIES {
                into.append(&std::mem::take(&mut entries))?;
            }
        }
        into.append(&entries)?;
    }
    let own = remembered.incarnation.number;
    let incarnation = asked.unwrap_or(own.saturating_add(1));
    if incarnation <= own || incarnation > INCARNATION_MAX {
        return Err(RestoreError::Incarnation { asked: incarnation, own });
    }
    remembered.incarnation = crate::lease::Incarnation { number: incarnation, restore, forgotten: None };
    let bytes = postcard::to_stdvec(&remembered).map_err(|_| RestoreError::Record("memory of the peers"))?;
    let mut last = vec![Entry::put(Table::Meta, REMEMBERED, bytes), Entry::delete(Table::Meta, UNFINISHED)];
    last.extend(first_counters(incarnation));
    into.append(&last)?;
    Ok(Restored { records, incarnation, restore })
}

/// One record as it goes into the new store.
fn take(mut record: Record, into: &dyn Store, entries: &mut Vec<Entry>) -> Result<(), StoreError> {
    let (table, key) = (record.table, record.key.clone());
    if table == Table::Key {
        // Bindings came before, but may not be written yet.
        let about = |entry: &Entry| entry.place() == (Table::Binding, key.as_slice());
        let is_bound = entries.iter().any(about) || into.read(Table::Binding, &key)?.is_some();
        if !is_bound {
            entries.push(Entry::put(Table::Shelf, key.clone(), FORGOTTEN));
        }
    }
    entries.push(Entry::put(table, key, std::mem::take(&mut record.value)));
    Ok(())
}

/// Whether a restore that filled this store has come to its end, or none ever began.
///
/// # Errors
/// When the store cannot be read.
pub fn is_whole(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.read(Table::Meta, UNFINISHED)?.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn backup(store: &MemoryStore) -> Vec<u8> {
        let mut bytes = Vec::new();
        store.export(&SELECTION, &mut bytes).unwrap();
        bytes
    }

    fn restored(bytes: &[u8], asked: Option<u64>) -> (MemoryStore, Result<Restored, RestoreError>) {
        let store = MemoryStore::new(2);
        let mut archive = Archive::open(bytes, &MemoryStore::unlock(1)).unwrap();
        let result = restore(&mut archive, &store, asked, 77);
        (store, result)
    }

    fn party() -> MemoryStore {
        let store = MemoryStore::new(1);
        store::owner_or_claim(&store, &[9; 32]).unwrap();
        let entries = [
            Entry::put(Table::Key, "bound", "record"),
            Entry::put(Table::Share, "bound", "share"),
            Entry::put(Table::Binding, "bound", "request"),
            Entry::put(Table::Key, "free", "record"),
            Entry::put(Table::Share, "free", "share"),
            Entry::put(Table::Shelf, "free", ""),
            Entry::put(Table::Open, "request", ""),
            Entry::put(Table::Outbox, "slot", "bytes"),
            Entry::put(Table::Session, "session", "entered"),
            Entry::put(Table::Stock, "primes/1", "prime"),
            Entry::put(Table::Stock, "counter/key", 7_u64.to_be_bytes()),
            Entry::put(Table::Stock, "auxiliary/active", "1"),
        ];
        store.append(&entries).unwrap();
        store
    }

    #[test]
    fn a_restored_store_holds_shares_and_bindings_and_takes_every_other_key_for_bound() {
        let (store, result) = restored(&backup(&party()), None);
        let restored = result.unwrap();
        assert_eq!((restored.incarnation, restored.restore), (1, 77));
        let text = |table, key: &str| store.read(table, key.as_bytes()).unwrap().map(|value| value.to_vec());
        assert_eq!(store::owner(&store).unwrap(), Some(vec![9; 32]));
        for key in ["bound", "free"] {
            assert_eq!(text(Table::Share, key), Some(b"share".to_vec()));
        }
        assert_eq!(text(Table::Binding, "bound"), Some(b"request".to_vec()));
        assert_eq!(text(Table::Shelf, "bound"), None);
        assert_eq!(text(Table::Shelf, "free"), Some(FORGOTTEN.to_vec()));
        assert_eq!(text(Table::Stock, "auxiliary/active"), Some(b"1".to_vec()));
        for (table, key) in
            [(Table::Open, "request"), (Table::Outbox, "slot"), (Table::Session, "session"), (Table::Stock, "primes/1")]
        {
            assert_eq!(text(table, key), None, "{table} {key}");
        }
        let counter = u64::from_be_bytes(text(Table::Stock, "counter/key").unwrap().try_into().unwrap());
        assert!(counter > 1_000_000, "no name of a run comes twice");
        assert!(is_whole(&store).unwrap());
        let incarnation = crate::node::incarnation(&store).unwrap();
        assert_eq!((incarnation.number, incarnation.restore, incarnation.forgotten), (1, 77, None));
    }

    #[test]
    fn a_restore_of_a_restored_party_is_a_later_incarnation() {
        let (first, _) = restored(&backup(&party()), None);
        let mut bytes = Vec::new();
        first.export(&SELECTION, &mut bytes).unwrap();
        let again = |asked| {
            let store = MemoryStore::new(3);
            let mut archive = Archive::open(bytes.as_slice(), &MemoryStore::unlock(2)).unwrap();
            restore(&mut archive, &store, asked, 78)
        };
        assert_eq!(again(None).unwrap().incarnation, 2);
        assert_eq!(again(Some(9)).unwrap().incarnation, 9);
        assert!(matches!(again(Some(1)), Err(RestoreError::Incarnation { asked: 1, own: 1 })));
        assert!(matches!(again(Some(u64::MAX)), Err(RestoreError::Incarnation { asked: u64::MAX, own: 1 })));
    }

    #[test]
    fn a_restore_that_was_interrupted_leaves_a_store_that_says_so() {
        let bytes = backup(&party());
        let (store, result) = restored(&bytes[..bytes.len() - 3], None);
        assert!(matches!(result, Err(RestoreError::Archive(ArchiveError::CutShort))));
        assert!(!is_whole(&store).unwrap());
    }
}
