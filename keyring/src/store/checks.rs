//! One suite for every store: what is asked of the disk is asked of memory, by the same lines.

use super::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::path::Path;

const PLANTED: &[u8] = b"a planted secret that must never lie in the clear";
const CHEAP: Argon2Cost = Argon2Cost { memory_kib: 64, passes: 1, lanes: 1 };

/// A disk that outlives its store.
trait Bench {
    type Store: Store;
    fn create(&mut self, unlock: &Unlock) -> Self::Store;
    /// Ends the store and opens it again.
    fn reopen(&mut self, store: Self::Store, unlock: &Unlock) -> Result<Self::Store, OpenError>;
    /// Ends the store, lets `hand` work on the raw medium, opens it again.
    fn tamper(&mut self, store: Self::Store, hand: Hand) -> Result<Self::Store, OpenError>;
    /// Every byte that lies on the medium while the store is open.
    fn bytes(&self, store: &Self::Store) -> Vec<u8>;
}

/// What a hand on the disk does.
#[derive(Clone, Copy)]
enum Hand {
    /// Exchanges the sealed bytes of two keys of the share table.
    Swap(&'static [u8], &'static [u8]),
    /// Raises the schema number.
    Schema(u16),
}

fn rng(seed: u64) -> Box<ChaCha20Rng> {
    Box::new(ChaCha20Rng::seed_from_u64(seed))
}

fn passphrase(text: &str) -> Unlock {
    Unlock::Passphrase(Zeroizing::new(text.as_bytes().to_vec()))
}

fn key_file() -> Unlock {
    Unlock::KeyFile(Zeroizing::new([7; 32]))
}

#[derive(Default)]
struct Memory;

impl Bench for Memory {
    type Store = MemoryStore;

    fn create(&mut self, unlock: &Unlock) -> MemoryStore {
        MemoryStore::create_with(unlock, CHEAP, rng(1)).unwrap()
    }

    fn reopen(&mut self, store: MemoryStore, unlock: &Unlock) -> Result<MemoryStore, OpenError> {
        MemoryStore::open_with(store.snapshot(), unlock, rng(2))
    }

    fn tamper(&mut self, store: MemoryStore, hand: Hand) -> Result<MemoryStore, OpenError> {
        let mut image = store.snapshot();
        match hand {
            Hand::Swap(one, other) => image.swap((Table::Share, one), (Table::Share, other)),
            Hand::Schema(schema) => image.set_schema(schema),
        }
        MemoryStore::open_with(image, &key_file(), rng(2))
    }

    fn bytes(&self, store: &MemoryStore) -> Vec<u8> {
        store.snapshot().bytes()
    }
}

struct Disk(tempfile::TempDir);

impl Default for Disk {
    fn default() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Disk {
    /// Not the temporary folder itself, which the system makes for everybody to enter.
    fn folder(&self) -> PathBuf {
        self.0.path().join("store")
    }
}

impl Bench for Disk {
    type Store = RocksStore;

    fn create(&mut self, unlock: &Unlock) -> RocksStore {
        RocksStore::create(&self.folder(), unlock, CHEAP, rng(1)).unwrap()
    }

    fn reopen(&mut self, store: RocksStore, unlock: &Unlock) -> Result<RocksStore, OpenError> {
        drop(store);
        RocksStore::open(&self.folder(), unlock, rng(2))
    }

    fn tamper(&mut self, store: RocksStore, hand: Hand) -> Result<RocksStore, OpenError> {
        drop(store);
        let path = self.folder().join("database");
        let options = rocksdb::Options::default();
        let names = std::iter::once("default").chain(Table::ALL.map(Table::name));
        let raw = rocksdb::DB::open_cf(&options, path, names).unwrap();
        match hand {
            Hand::Swap(one, other) => {
                let family = raw.cf_handle("share").unwrap();
                let sealed = |key| raw.get_cf(family, key).unwrap().unwrap();
                let (first, second) = (sealed(one), sealed(other));
                raw.put_cf(family, one, second).unwrap();
                raw.put_cf(family, other, first).unwrap();
            }
            Hand::Schema(schema) => raw.put("schema", schema.to_be_bytes()).unwrap(),
        }
        drop(raw);
        RocksStore::open(&self.folder(), &key_file(), rng(2))
    }

    fn bytes(&self, _store: &RocksStore) -> Vec<u8> {
        fn gather(folder: &Path, into: &mut Vec<u8>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { gather(&path, into) } else { into.extend(std::fs::read(path).unwrap()) }
            }
        }
        let mut all = Vec::new();
        gather(&self.folder(), &mut all);
        all
    }
}

fn text(store: &impl Store, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    store.read(table, key).unwrap().map(|value| value.to_vec())
}

fn a_batch_is_written_whole_and_read_back<B: Bench + Default>() {
    let mut bench = B::default();
    let store = bench.create(&key_file());
    let head = store.append(&[Entry::put(Table::Meta, "a", "1"), Entry::once(Table::Share, "a", "2")]).unwrap();
    assert_eq!(head.position, 1);
    assert_eq!(text(&store, Table::Meta, b"a"), Some(b"1".to_vec()));
    assert_eq!(text(&store, Table::Share, b"a"), Some(b"2".to_vec()));
    assert_eq!(text(&store, Table::Key, b"a"), None);
    store.append(&[Entry::put(Table::Meta, "a", "3"), Entry::delete(Table::Share, "a")]).unwrap();
    assert_eq!(text(&store, Table::Meta, b"a"), Some(b"3".to_vec()));
    assert_eq!(text(&store, Table::Share, b"a"), None);
}

fn a_refused_batch_writes_nothing<B: Bench + Default>() {
    let mut bench = B::default();
    let store = bench.create(&key_file());
    let before = store.append(&[Entry::once(Table::Binding, "key", "request 1")]).unwrap();
    let refused = store.append(&[
        Entry::put(Table::Meta, "beside", "x"),
        Entry::once(Table::Binding, "key", "request 2"),
        Entry::delete(Table::Binding, "key"),
    ]);
    assert!(matches!(refused, Err(StoreError::AlreadyWritten { table: Table::Binding, ref key }) if key == b"key"));
    assert_eq!(text(&store, Table::Meta, b"beside"), None);
    assert_eq!(text(&store, Table::Binding, b"key"), Some(b"request 1".to_vec()));
    assert_eq!(store.head(), before);
    store.append(&[Entry::once(Table::Binding, "key", "request 1")]).expect("the same bytes are welcome");
}

fn write_once_counts_within_one_batch_too<B: Bench + Default>() {
    let mut bench = B::default();
    let store = bench.create(&key_file());
    let twice = store.append(&[Entry::once(Table::Session, "s", "1"), Entry::once(Table::Session, "s", "2")]);
    assert!(matches!(twice, Err(StoreError::AlreadyWritten { .. })));
    assert_eq!(text(&store, Table::Session, b"s"), None);
    store.append(&[Entry::once(Table::Session, "s", "1"), Entry::once(Table::Session, "s", "1")]).unwrap();
}

fn a_batch_out_of_bounds_is_refused_whole<B: Bench + Default>() {
    let mut bench = B::default();
    let store = bench.create(&key_file());
    let many = vec![Entry::put(Table::Meta, "a", "1"); BATCH_ENTRIES_MAX + 1];
    let long_key = [Entry::put(Table::Meta, vec![0; KEY_BYTES_MAX + 1], "1")];
    let big = [Entry::put(Table::Meta, "a", "1"), Entry::put(Table::Meta, "b", vec![0; BATCH_BYTES_MAX])];
    for batch in [many.as_slice(), &long_key, &big] {
        assert!(matches!(store.append(batch), Err(StoreError::TooLarge { .. })));
    }
    assert_eq!(store.head().position, 0);
    assert_eq!(text(&store, Table::Meta, b"a"), None);
}

fn the_head_is_a_chain_that_survives_reopening<B: Bench + Default>() {
    let mut bench = B::default();
    let store = bench.create(&key_file());
    let first = store.append(&[Entry::put(Table::Meta, "a", "1")]).unwrap();
    let empty = store.append(&[]).unwrap();
    assert_eq!(first, empty);
    let store = bench.reopen(store, &key_file()).unwrap();
    assert_eq!(store.head(), first);
    assert_eq!(text(&store, Table::Meta, b"a"), Some(b"1".to_vec()));
    let second = store.append(&[Entry::put(Table::Meta, "a", "1")]).unwrap();
    assert_eq!(second.position, 2);
    assert_ne!(second.hash, first.hash, "the same batch in another position is another head");
    assert_eq!(bench.reopen(store, &key_file()).unwrap().head(), second);
}

fn a_scan_keeps_order_prefix_and_bounds<B: Bench + Default>() {
    let mut bench = B::default();
    let store = bench.create(&key_file());
    let keys: [&[u8]; 7] = [b"a", b"b", b"b\0", b"b1", b"b2", b"b\xff\xff", b"c"];
    store.append(&keys.map(|key| Entry::put(Table::Open, key, key))).unwrap();
    store.append(&[Entry::put(Table::Key, "b3", "another table")]).unwrap();
    let scan = |prefix: &[u8], after: Option<&[u8]>, limit| -> Vec<Vec<u8>> {
        let page = store.scan(Table::Open, prefix, after, limit).unwrap();
        page.into_iter()
            .map(|(key, value)| {
                assert_eq!(key, value.as_slice());
                key
            })
            .collect()
    };
    assert_eq!(scan(b"b", None, 9), [b"b".as_slice(), b"b\0", b"b1", b"b2", b"b\xff\xff"]);
    assert_eq!(scan(b"b", None, 2), [b"b".as_slice(), b"b\0"]);
    assert_eq!(scan(b"b", Some(b"b\0"), 2), [b"b1", b"b2"]);
    assert_eq!(scan(b"b", Some(b"a"), 1), [b"b"]);
    assert!(scan(b"b", Some(b"c"), 9).is_empty());
    assert!(scan(b"b", None, 0).is_empty());
    assert_eq!(scan(b"", None, 99).len(), keys.len());
}

fn nothing_secret_lies_on_the_medium<B: Bench + Default>() {
    let mut bench = B::default();
    let store = bench.create(&key_file());
    store.append(&[Entry::put(Table::Share, "the key is not secret", PLANTED)]).unwrap();
    let bytes = bench.bytes(&store);
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(holds(b"the key is not secret"), "the search sees what is in the clear");
    assert!(!holds(PLANTED));
    assert!(!holds(&[7; 32]), "the key file's bytes are not stored");
}

fn exchanged_records_do_not_open<B: Bench + Default>() {
    let mut bench = B::default();
    let store = bench.create(&key_file());
    store.append(&[Entry::put(Table::Share, "one", "1"), Entry::put(Table::Share, "two", "2")]).unwrap();
    let store = bench.tamper(store, Hand::Swap(b"one", b"two")).unwrap();
    assert!(matches!(store.read(Table::Share, b"one"), Err(StoreError::Damaged { .. })));
    assert!(matches!(store.scan(Table::Share, b"", None, 9), Err(StoreError::Damaged { .. })));
}

fn a_wrong_key_is_told_before_anything_else<B: Bench + Default>() {
    let right = passphrase("correct horse battery staple");
    let mut bench = B::default();
    let store = bench.create(&right);
    store.append(&[Entry::put(Table::Meta, "a", "1")]).unwrap();
    let store = bench.reopen(store, &right).expect("the right passphrase");
    let wrong = bench.reopen(store, &passphrase("correct horse battery stapler"));
    assert!(matches!(wrong.err(), Some(OpenError::WrongKey)));

    let mut bench = B::default();
    let store = bench.create(&right);
    let kind = bench.reopen(store, &key_file());
    assert!(matches!(kind.err(), Some(OpenError::WrongKind { needs: "passphrase" })));

    let mut bench = B::default();
    let store = bench.create(&key_file());
    let wrong = bench.reopen(store, &Unlock::KeyFile(Zeroizing::new([8; 32])));
    assert!(matches!(wrong.err(), Some(OpenError::WrongKey)));
}

fn a_newer_schema_is_not_touched<B: Bench + Default>() {
    let mut bench = B::default();
    let store = bench.create(&key_file());
    let newer = bench.tamper(store, Hand::Schema(SCHEMA + 1));
    assert!(matches!(newer.err(), Some(OpenError::NewerSchema { found: 2, known: SCHEMA })));
}

macro_rules! every_store {
    ($($check:ident),+ $(,)?) => {
        mod in_memory {
            $(#[test] fn $check() { super::$check::<super::Memory>(); })+
        }
        mod on_disk {
            $(#[test] fn $check() { super::$check::<super::Disk>(); })+
        }
    };
}

every_store!(
    a_batch_is_written_whole_and_read_back,
    a_refused_batch_writes_nothing,
    write_once_counts_within_one_batch_too,
    a_batch_out_of_bounds_is_refused_whole,
    the_head_is_a_chain_that_survives_reopening,
    a_scan_keeps_order_prefix_and_bounds,
    nothing_secret_lies_on_the_medium,
    exchanged_records_do_not_open,
    a_wrong_key_is_told_before_anything_else,
    a_newer_schema_is_not_touched,
);

#[test]
fn memory_and_disk_agree_on_every_head() {
    // Same seeds, same store id and keys: the chain depends on nothing that the medium adds.
    let (mut memory, mut disk) = (Memory, Disk::default());
    let (one, other) = (memory.create(&key_file()), disk.create(&key_file()));
    for value in ["1", "2", "3"] {
        let batch = [Entry::put(Table::Meta, "a", value), Entry::delete(Table::Open, value)];
        assert_eq!(one.append(&batch).unwrap(), other.append(&batch).unwrap());
    }
}

#[test]
fn a_short_passphrase_makes_no_store() {
    let made = MemoryStore::create_with(&passphrase("short"), CHEAP, rng(1));
    assert!(matches!(made.err(), Some(OpenError::WeakPassphrase { found: 5, .. })));
}

#[test]
fn a_second_process_or_a_second_store_finds_the_door_shut() {
    let mut disk = Disk::default();
    let store = disk.create(&key_file());
    let second = RocksStore::open(&disk.folder(), &key_file(), rng(3));
    assert!(matches!(second.err(), Some(OpenError::InUse { .. })));
    drop(store);
    let again = RocksStore::create(&disk.folder(), &key_file(), CHEAP, rng(3));
    assert!(matches!(again.err(), Some(OpenError::Exists { .. })));
}

#[test]
fn opening_where_nothing_is_never_makes_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let opened = RocksStore::open(folder.path(), &key_file(), rng(1));
    assert!(matches!(opened.err(), Some(OpenError::Missing { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_crash_before_a_write_loses_it_and_one_after_keeps_it() {
    for (point, kept) in [(CrashPoint::Before(2), false), (CrashPoint::After(2), true)] {
        let store = MemoryStore::new(5);
        store.crash_at(point);
        store.append(&[Entry::put(Table::Meta, "a", "1")]).unwrap();
        assert!(matches!(store.append(&[Entry::put(Table::Meta, "b", "2")]), Err(StoreError::Crashed)));
        assert!(matches!(store.append(&[Entry::put(Table::Meta, "c", "3")]), Err(StoreError::Crashed)));
        assert!(matches!(store.read(Table::Meta, b"a"), Err(StoreError::Crashed)));
        let store = MemoryStore::open(store.snapshot(), 5).unwrap();
        assert_eq!(text(&store, Table::Meta, b"a"), Some(b"1".to_vec()));
        assert_eq!(text(&store, Table::Meta, b"b").is_some(), kept);
        assert_eq!(text(&store, Table::Meta, b"c"), None);
        assert_eq!(store.head().position, if kept { 2 } else { 1 });
    }
}

#[test]
fn a_snapshot_is_the_disk_of_its_moment() {
    let store = MemoryStore::new(6);
    store.append(&[Entry::put(Table::Meta, "a", "1")]).unwrap();
    let image = store.snapshot();
    store.append(&[Entry::put(Table::Meta, "a", "2")]).unwrap();
    let old = MemoryStore::open(image, 6).unwrap();
    assert_eq!(text(&old, Table::Meta, b"a"), Some(b"1".to_vec()));
    assert_ne!(old.head(), store.head());
}

#[test]
fn values_are_never_printed() {
    let printed = format!("{:?}", Entry::put(Table::Share, "k", PLANTED));
    assert_eq!(printed, "Put(share/6b Replace, 49 bytes)");
}

#[test]
fn a_folder_that_others_may_enter_holds_no_store() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut disk = Disk::default();
    drop(disk.create(&key_file()));
    let opened = |mode| {
        std::fs::set_permissions(disk.folder(), std::fs::Permissions::from_mode(mode)).unwrap();
        RocksStore::open(&disk.folder(), &key_file(), rng(2)).map(drop)
    };
    for mode in [0o701, 0o750, 0o770] {
        assert!(matches!(opened(mode), Err(OpenError::Mode { mode: found, .. }) if found == mode));
    }
    assert!(opened(0o700).is_ok());
    let open_to_all = tempfile::tempdir().unwrap();
    std::fs::set_permissions(open_to_all.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let made = RocksStore::create(open_to_all.path(), &key_file(), CHEAP, rng(1));
    assert!(matches!(made, Err(OpenError::Mode { .. })));
}
