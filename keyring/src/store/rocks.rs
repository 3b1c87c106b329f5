//! The store on disk: the journal over RocksDB, one column family per table, every write synced.

use super::journal::Journal;
use super::medium::{Change, Column, Medium, RawPage, range_start};
use super::{
    ArchiveError, Argon2Cost, Entry, Head, OpenError, Page, Selection, Store, StoreError, StoreMemory, Table, Unlock,
    owner,
};
use crate::clock::Randomness;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode, Direction,
    IteratorMode, LogLevel, Options, WriteBatch, WriteOptions, perf,
};
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// Folder of the database inside the store's folder.
const DATABASE: &str = "database";
/// Lock file inside the store's folder. Ours, beside RocksDB's own: its refusal is clear and comes first.
const LOCK: &str = "lock";
/// Most open table files: a bound on file descriptors.
const OPEN_FILES_MAX: i32 = 512;
/// Most bytes of all tables together that wait in memory to be written out; near it those of one table are, the oldest first.
const WRITE_BUFFERS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most bytes of one table that wait so.
const WRITE_BUFFER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Memory is taken for them in blocks of so many bytes.
const WRITE_BUFFER_BLOCK_BYTES: usize = 64 * 1024;
/// Most bytes of table files, indices among them, that all tables together keep in memory.
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most bytes of write-ahead log before old tables are flushed.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A store in a folder of its own.
pub struct RocksStore {
    journal: Journal<RocksMedium>,
    /// Held for the life of the store; the system releases it when the process ends, however it ends.
    _lock: File,
}

/// What a look at a store without a write finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Where its journal stands.
    pub head: Head,
    /// Whose it is, by node key, if anybody has claimed it.
    pub owner: Option<Vec<u8>>,
}

struct RocksMedium {
    database: DB,
    cache: Cache,
    synced: WriteOptions,
}

impl RocksStore {
    /// Whether a store, or the beginning of one, lies in `folder`.
    #[must_use]
    pub fn stands_in(folder: &Path) -> bool {
        folder.join(DATABASE).is_dir()
    }

    /// Makes a store in `folder`, which is made too (mode 0700) if it is missing.
    ///
    /// # Errors
    /// [`OpenError::Exists`] if there is one, [`OpenError::Mode`], [`OpenError::InUse`], [`OpenError::WeakPassphrase`], or what the disk says.
    pub fn create(
        folder: &Path,
        unlock: &Unlock,
        cost: Argon2Cost,
        rng: Box<dyn Randomness>,
    ) -> Result<Self, OpenError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| path_error("make the directory", folder, source))?;
        check_mode(folder)?;
        let lock = take_lock(folder)?;
        let database = folder.join(DATABASE);
        let medium = RocksMedium::open(&database, true)?;
        Ok(Self { journal: Journal::create(medium, &database, unlock, cost, rng)?, _lock: lock })
    }

    /// Looks at the store in `folder` without writing anything: no recovery, no new file. What else is to be read of it,
    /// `look` reads.
    ///
    /// # Errors
    /// As [`Self::open`]. A process that dies while writing may leave what only a real opening recovers; that is no error.
    pub fn inspect<T>(
        folder: &Path,
        unlock: &Unlock,
        rng: Box<dyn Randomness>,
        look: impl FnOnce(&dyn Store) -> T,
    ) -> Result<(Inspection, T), OpenError> {
        let database = folder.join(DATABASE);
        if !database.is_dir() {
            return Err(OpenError::Missing { path: database });
        }
        let lock = take_lock(folder)?;
        // Let go at once: a node that starts meanwhile must find it free.
        flock(&lock, FlockOperation::Unlock).map_err(|error| path_error("unlock", folder, error.into()))?;
        let medium = RocksMedium::open_to_read(&database)?;
        let store = Self { journal: Journal::open(medium, &database, unlock, rng)?, _lock: lock };
        Ok((Inspection { head: store.head(), owner: owner(&store)? }, look(&store)))
    }

    /// Opens the store in `folder`.
    ///
    /// # Errors
    /// [`OpenError::Missing`] if there is none: it is never made in passing. [`OpenError::InUse`],
    /// [`OpenError::NewerSchema`], [`OpenError::WrongKey`] or what the disk says.
    pub fn open(folder: &Path, unlock: &Unlock, rng: Box<dyn Randomness>) -> Result<Self, OpenError> {
        let database = folder.join(DATABASE);
        if !database.is_dir() {
            return Err(OpenError::Missing { path: database });
        }
        check_mode(folder)?;
        let lock = take_lock(folder)?;
        let medium = RocksMedium::open(&database, false)?;
        Ok(Self { journal: Journal::open(medium, &database, unlock, rng)?, _lock: lock })
    }
}

impl Store for RocksStore {
    fn append(&self, batch: &[Entry]) -> Result<Head, StoreError> {
        self.journal.append(batch)
    }

    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.journal.read(table, key)
    }

    fn scan(&self, table: Table, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Page, StoreError> {
        self.journal.scan(table, prefix, after, limit)
    }

    fn head(&self) -> Head {
        self.journal.head()
    }

    fn memory(&self) -> StoreMemory {
        self.journal.medium().memory()
    }

    fn hash_at(&self, position: u64) -> Result<Option<[u8; 32]>, StoreError> {
        self.journal.hash_at(position)
    }

    fn raise_boot(&self) -> Result<u64, StoreError> {
        self.journal.raise_boot()
    }

    fn export(&self, selection: &Selection<'_>, out: &mut dyn std::io::Write) -> Result<u64, ArchiveError> {
        self.journal.export(selection, out)
    }
}

impl RocksMedium {
    fn open(path: &Path, create: bool) -> Result<Self, StoreError> {
        let columns = std::iter::once(Column::Header).chain(Table::ALL.map(Column::Table));
        let cache = Cache::new_lru_cache(CACHE_BYTES_MAX);
        let families = columns.map(|column| ColumnFamilyDescriptor::new(family_name(column), family_options(&cache)));
        let database = DB::open_cf_descriptors(&database_options(create), path, families).map_err(failed("open"))?;
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        Ok(Self { database, cache, synced })
    }

    fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        let columns = std::iter::once(Column::Header).chain(Table::ALL.map(Column::Table));
        let cache = Cache::new_lru_cache(CACHE_BYTES_MAX);
        let families = columns.map(|column| ColumnFamilyDescriptor::new(family_name(column), family_options(&cache)));
        let database = DB::open_cf_descriptors_read_only(&database_options(false), path, families, false);
        Ok(Self { database: database.map_err(failed("open"))?, cache, synced: WriteOptions::default() })
    }

    /// A store that cannot tell says nothing: nobody decides by it.
    fn memory(&self) -> StoreMemory {
        let used = perf::get_memory_usage_stats(Some(&[&self.database]), Some(&[&self.cache]));
        used.map_or_else(
            |_| StoreMemory::default(),
            |used| StoreMemory {
                buffers: used.mem_table_total,
                cache: used.cache_total,
                readers: used.mem_table_readers_total,
            },
        )
    }

    fn family(&self, column: Column) -> Result<&ColumnFamily, StoreError> {
        self.database.cf_handle(family_name(column)).ok_or_else(|| StoreError::Damaged {
            place: column.name().to_owned(),
            what: "its column family is missing",
        })
    }
}

impl Medium for RocksMedium {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.database.get_cf(self.family(column)?, key).map_err(failed("read"))
    }

    fn range(&self, column: Column, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<RawPage, StoreError> {
        let start = range_start(prefix, after);
        let records = self.database.iterator_cf(self.family(column)?, IteratorMode::From(&start, Direction::Forward));
        let mut page = Vec::new();
        for record in records.take(limit) {
            let (key, value) = record.map_err(failed("scan"))?;
            if !key.starts_with(prefix) {
                break;
            }
            page.push((key.into_vec(), value.into_vec()));
        }
        Ok(page)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        for Change { column, key, value } in changes {
            let family = self.family(column)?;
            match value {
                Some(value) => batch.put_cf(family, key, value),
                None => batch.delete_cf(family, key),
            }
        }
        self.database.write_opt(batch, &self.synced).map_err(failed("write"))
    }
}

/// The header lies in the family that RocksDB makes by itself.
const fn family_name(column: Column) -> &'static str {
    match column {
        Column::Header => "default",
        Column::Table(table) => table.name(),
    }
}

fn database_options(create: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    options.create_missing_column_families(create);
    options.set_paranoid_checks(true);
    // A torn last record is a write that was never acknowledged. Damage anywhere else must not be passed over quietly.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_total_wal_size(LOG_BYTES_MAX);
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES_MAX);
    options.set_keep_log_file_num(4);
    options.set_log_level(LogLevel::Warn);
    options
}

fn family_options(cache: &Cache) -> Options {
    let mut options = Options::default();
    let mut tables = BlockBasedOptions::default();
    // Left to itself every family has a cache of its own, 32 MiB each, and indices lie outside of all.
    tables.set_block_cache(cache);
    tables.set_cache_index_and_filter_blocks(true);
    options.set_block_based_table_factory(&tables);
    // Sealed bytes do not compress.
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES_MAX);
    // Left to itself every family, however little is in it, holds a whole mebibyte at once, and counts it as used.
    options.set_arena_block_size(WRITE_BUFFER_BLOCK_BYTES);
    options
}

/// Names of files, sizes and dates tell a reader more than they should; a writer could exchange the whole store.
fn check_mode(folder: &Path) -> Result<(), OpenError> {
    let facts = folder.metadata().map_err(|source| path_error("look at", folder, source))?;
    let mode = facts.mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(OpenError::Mode { path: folder.to_owned(), mode }) }
}

fn take_lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|source| path_error("open", &path, source))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse { path: folder.to_owned() }),
        Err(error) => Err(path_error("lock", &path, error.into())),
    }
}

fn path_error(act: &'static str, path: &Path, source: std::io::Error) -> OpenError {
    OpenError::Path { act, path: path.to_owned(), source }
}

fn failed(act: &'static str) -> impl Fn(rocksdb::Error) -> StoreError {
    move |error| StoreError::Medium { act, source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha20Rng;

    fn rng() -> Box<dyn Randomness> {
        Box::new(ChaCha20Rng::seed_from_u64(1))
    }

    /// Every file of the store with its contents. The lock is empty.
    fn image(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let files =
            [folder.to_owned(), folder.join(DATABASE)].into_iter().flat_map(|at| std::fs::read_dir(at).unwrap());
        let paths = files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let mut image: Vec<_> = paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
        image.sort();
        image
    }

    #[test]
    fn an_inspection_finds_head_and_owner_and_leaves_every_byte_as_it_was() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("store");
        let unlock = Unlock::KeyFile(Zeroizing::new([7; 32]));
        let store = RocksStore::create(&folder, &unlock, Argon2Cost::default(), rng()).unwrap();
        store.append(&[Entry::put(Table::Meta, *b"key", *b"value")]).unwrap();
        crate::store::owner_or_claim(&store, &[9; 32]).unwrap();
        let head = store.head();
        let nothing = |_: &dyn Store| ();
        let busy = RocksStore::inspect(&folder, &unlock, rng(), nothing);
        assert!(matches!(busy, Err(OpenError::InUse { .. })), "a store in use is left alone");
        drop(store);
        let before = image(&folder);
        assert!(before.len() > 3, "there is something to compare");
        let value = |store: &dyn Store| store.read(Table::Meta, b"key").unwrap().map(|value| value.to_vec());
        let found = RocksStore::inspect(&folder, &unlock, rng(), value).unwrap();
        assert_eq!(found, (Inspection { head, owner: Some(vec![9; 32]) }, Some(b"value".to_vec())));
        let wrong = Unlock::KeyFile(Zeroizing::new([8; 32]));
        assert!(matches!(RocksStore::inspect(&folder, &wrong, rng(), nothing), Err(OpenError::WrongKey)));
        assert!(image(&folder) == before, "a byte has changed");
        let nowhere = folder.join("nowhere");
        assert!(matches!(RocksStore::inspect(&nowhere, &unlock, rng(), nothing), Err(OpenError::Missing { .. })));
        assert!(!nowhere.exists());
    }
}
