//! The node's durable memory: a journal of atomic, synced writes over tables of sealed records.
//!
//! This room knows bytes under keys in named tables. It refuses to know what they mean: which record may never be
//! written twice is said by the writer ([`Rule::WriteOnce`]) and enforced here, in the same write as everything else of
//! its batch. It owes its callers one promise: when [`Store::append`] returns, the whole batch is on disk, or none of it
//! is. Each batch moves the [`Head`], a position and a hash chain by which peers recognise this party's memory.
//!
//! Two implementations share every line but the raw medium: [`RocksStore`] on disk and [`MemoryStore`] for tests and the
//! simulation, which can also crash at a chosen write. Why it is built so: `docs/adr/0005-store.md`.

mod archive;
#[cfg(test)]
mod checks;
#[cfg(any(test, feature = "devnet"))]
mod faulty;
mod journal;
mod medium;
mod memory;
mod owner;
mod rocks;
mod seal;

pub use archive::{Archive, ArchiveError, Record, Selection};
#[cfg(any(test, feature = "devnet"))]
pub use faulty::{DiskFault, FaultyStore};
pub use memory::{CrashPoint, DiskImage, MemoryStore};
pub use owner::{OWNER, owner, owner_or_claim};
pub use rocks::{Inspection, RocksStore};
pub use seal::{Argon2Cost, Unlock};

use std::fmt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Layout of tables and records that this build writes. Raised by every change that an older build cannot read.
pub const SCHEMA: u16 = 1;
/// Most entries in one batch.
pub const BATCH_ENTRIES_MAX: usize = 8_192;
/// Most bytes of keys and values in one batch.
pub const BATCH_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How many of the journal's newest heads are kept: a peer that was away for longer cannot recognise this journal.
pub const HEADS_KEPT: u64 = 1 << 20;
/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1_024;

/// The tables. One column family each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Facts about the node itself.
    Meta,
    /// Ballots, proposals, joins and answers of each decree.
    Decree,
    /// Index of the decrees that are still open.
    Open,
    /// Requests seen on chains and how far we are with them.
    Request,
    /// Sealed key shares.
    Share,
    /// Public facts of keys.
    Key,
    /// Finished keys that wait for a request.
    Shelf,
    /// Which request a key belongs to, for ever.
    Binding,
    /// Sessions entered, once ever.
    Session,
    /// Auxiliary data, presignatures, primes.
    Stock,
    /// Signed transactions and account sequences.
    Outbox,
    /// How far each chain was read.
    Cursor,
    /// What contracts have told: which event opened a slot, which destinations there are.
    Contract,
    /// What an auditor wants to read later.
    Audit,
}

impl Table {
    /// Every table, in the order of their declaration.
    pub const ALL: [Self; 14] = [
        Self::Meta,
        Self::Decree,
        Self::Open,
        Self::Request,
        Self::Share,
        Self::Key,
        Self::Shelf,
        Self::Binding,
        Self::Session,
        Self::Stock,
        Self::Outbox,
        Self::Cursor,
        Self::Contract,
        Self::Audit,
    ];

    /// The table's name on disk: fixed for ever.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Decree => "decree",
            Self::Open => "open",
            Self::Request => "request",
            Self::Share => "share",
            Self::Key => "key",
            Self::Shelf => "shelf",
            Self::Binding => "binding",
            Self::Session => "session",
            Self::Stock => "stock",
            Self::Outbox => "outbox",
            Self::Cursor => "cursor",
            Self::Contract => "contract",
            Self::Audit => "audit",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a put does when its key is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The new value takes the old one's place.
    Replace,
    /// The same bytes are welcome, others refuse the whole batch.
    WriteOnce,
}

/// One change in a batch.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    /// Writes `value` under `key`.
    Put {
        /// Where.
        table: Table,
        /// Under which key; not secret, at most [`KEY_BYTES_MAX`] bytes.
        key: Vec<u8>,
        /// The plain value. It is sealed before it reaches the medium.
        value: Zeroizing<Vec<u8>>,
        /// What happens when the key is taken.
        rule: Rule,
    },
    /// Removes `key`. Removing what is not there is no error.
    Delete {
        /// Where.
        table: Table,
        /// Which key.
        key: Vec<u8>,
    },
}

impl Entry {
    /// A put that replaces.
    pub fn put(table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self::Put { table, key: key.into(), value: Zeroizing::new(value.into()), rule: Rule::Replace }
    }

    /// A put that is written once, ever.
    pub fn once(table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self::Put { table, key: key.into(), value: Zeroizing::new(value.into()), rule: Rule::WriteOnce }
    }

    /// A removal.
    pub fn delete(table: Table, key: impl Into<Vec<u8>>) -> Self {
        Self::Delete { table, key: key.into() }
    }

    /// Table and key that this entry changes.
    pub fn place(&self) -> (Table, &[u8]) {
        match self {
            Self::Put { table, key, .. } | Self::Delete { table, key } => (*table, key),
        }
    }
}

// Values may be shares and nonces: only their length is ever printed.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { table, key, value, rule } => {
                write!(f, "Put({table}/{} {rule:?}, {} bytes)", hex::encode(key), value.len())
            }
            Self::Delete { table, key } => write!(f, "Delete({table}/{})", hex::encode(key)),
        }
    }
}

/// Bytes that a store holds in memory. All zero where the medium does not say, or is memory itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreMemory {
    /// Written lately, not yet in a table file.
    pub buffers: u64,
    /// Blocks of table files, their indices among them.
    pub cache: u64,
    /// What open table files need beside that.
    pub readers: u64,
}

/// Where the journal stands. Peers remember it, to know a rolled-back disk when they meet one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head {
    /// Batches written since the store was made.
    pub position: u64,
    /// Hash chain over all of them, keyed by a secret of this store.
    pub hash: [u8; 32],
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({}, {}…)", self.position, hex::encode(&self.hash[..4]))
    }
}

/// Why a store operation was refused, cut by what the caller can do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A write-once record holds other bytes. Nothing of the batch was written. The caller's proposal is refused.
    #[error("record {table}/{} was already written with other bytes", hex::encode(.key))]
    AlreadyWritten {
        /// The table of the record.
        table: Table,
        /// Its key.
        key: Vec<u8>,
    },
    /// The batch breaks a bound of this store. Nothing was written. A defect of the caller.
    #[error("batch is too large: {what} is {size}, at most {max} are taken")]
    TooLarge {
        /// What was measured.
        what: &'static str,
        /// How much it was.
        size: usize,
        /// How much may be.
        max: usize,
    },
    /// A record does not open under this store's key in this place. The disk lies: stop, restore.
    #[error("record {place} is damaged or was moved: {what}; stop this node and restore its data directory")]
    Damaged {
        /// Table and key.
        place: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The medium failed. After a failed write the store refuses all others, since nobody knows what reached the disk:
    /// stop the node and start it again.
    #[error("storage failed to {act}; stop the node, look at the disk, start again")]
    Medium {
        /// What was tried.
        act: &'static str,
        /// What the medium said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A write failed earlier in this process.
    #[error("an earlier write failed, so the store takes no more; stop the node, look at the disk, start again")]
    Halted,
    /// The crash that a test asked for. Open a new store from the image to go on.
    #[error("crashed on request of the test")]
    Crashed,
}

/// Why a store could not be opened or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no store. Starting empty would forget every promise, so it is never made in passing.
    #[error("no store in {path}; make one with `keyringd init`, or correct `node.data_dir`")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is a store already.
    #[error("{path} holds a store already; it is never overwritten")]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Another process has it.
    #[error("another process uses the store in {path}; two copies of one party must never run: stop that one first")]
    InUse {
        /// Where.
        path: PathBuf,
    },
    /// Passphrase or key file do not open this store.
    #[error("wrong passphrase or key file for this store; correct `store.unlock`")]
    WrongKey,
    /// The store was made with the other kind of unlocking.
    #[error("this store opens with a {needs}; correct `store.unlock`")]
    WrongKind {
        /// What the store was made with.
        needs: &'static str,
    },
    /// The passphrase is too short to protect shares.
    #[error("the passphrase has {found} bytes; at least {least} are needed")]
    WeakPassphrase {
        /// Its length.
        found: usize,
        /// The least length.
        least: usize,
    },
    /// A newer program wrote this store.
    #[error("the store has schema {found}, this program knows {known}; run the newer program")]
    NewerSchema {
        /// On disk.
        found: u16,
        /// [`SCHEMA`].
        known: u16,
    },
    /// The header does not parse or its parameters are out of bounds.
    #[error("the store's header is damaged: {what}; restore its data directory")]
    Header {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Others than its owner can enter the folder.
    #[error("the data directory {path} has mode {mode:04o}; take it from group and others with chmod 700")]
    Mode {
        /// Which folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The path cannot be used.
    #[error("cannot {act} {path}; `node.data_dir` must belong to the daemon's user, on a disk that works")]
    Path {
        /// What was tried.
        act: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Reading or writing the header failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One page of a scan: keys and plain values, in the order of the keys.
pub type Page = Vec<(Vec<u8>, Zeroizing<Vec<u8>>)>;

/// The node's memory. One writer at a time; readers see only whole batches.
pub trait Store: Send + Sync {
    /// Writes the whole batch or nothing. Durable (synced) when it returns; the new head is part of the same write.
    /// An empty batch writes nothing and returns the head as it is.
    ///
    /// # Errors
    /// [`StoreError::AlreadyWritten`] and [`StoreError::TooLarge`] leave everything as it was. After
    /// [`StoreError::Medium`] nobody knows what reached the disk: the store takes no more writes.
    fn append(&self, batch: &[Entry]) -> Result<Head, StoreError>;

    /// The value under `key`, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the record does not open in its place, [`StoreError::Medium`] if reading fails.
    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// At most `limit` records whose keys begin with `prefix`, in key order, beginning behind `after`.
    ///
    /// # Errors
    /// As [`Store::read`]; one damaged record fails the scan.
    fn scan(&self, table: Table, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Page, StoreError>;

    /// Where the journal stands.
    fn head(&self) -> Head;

    /// The journal's hash at a position, while it is among the newest [`HEADS_KEPT`]; `None` for a position that this
    /// journal has not reached, or has forgotten.
    ///
    /// # Errors
    /// As [`Store::read`].
    fn hash_at(&self, position: u64) -> Result<Option<[u8; 32]>, StoreError>;

    /// What it keeps in memory, as far as it says.
    fn memory(&self) -> StoreMemory;

    /// Raises the boot counter and returns it; durable when it returns. No part of the journal: its position stays.
    ///
    /// # Errors
    /// As [`Store::append`].
    fn raise_boot(&self) -> Result<u64, StoreError>;

    /// Writes a sealed backup of the selected records, which [`Archive`] reads with what opens this store. Writing goes on
    /// meanwhile. Returns the number of records.
    ///
    /// # Errors
    /// [`ArchiveError`]: what was written so far is no backup.
    fn export(&self, selection: &Selection<'_>, out: &mut dyn std::io::Write) -> Result<u64, ArchiveError>;
}
