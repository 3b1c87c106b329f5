//! A chain that survives a restart: a snapshot of one height and a log of the blocks after it.
//!
//! Every block is in the log, synced, before anybody can see it. The log holds inputs (time, transactions, the chain's
//! own requests); reading it back makes the same blocks again and checks their hashes. A torn end, as a crash leaves
//! it, is cut off: no block in it was ever shown.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use prost::Message;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::chain::{BlockRecord, Bounds, Chain, Genesis, GenesisError, Snapshot, SnapshotError};

/// Blocks in the log at which a new snapshot is taken; it is taken half as many blocks back.
const LOG_BLOCKS: u64 = 4_000;
/// Bytes in front of each record: its length, and the start of its SHA-256.
const FRAME_BYTES: usize = 4 + 8;
/// Longest record, a guard against a damaged length.
const RECORD_BYTES: usize = 256 * 1024 * 1024;

/// Why a data folder cannot be used.
#[derive(Debug, Error)]
pub enum DiskError {
    /// The file system refuses.
    #[error("{path} cannot be used")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder belongs to a chain of another genesis.
    #[error("{0} was made by another genesis: use that one, or another folder")]
    OtherGenesis(PathBuf),
    /// The genesis is invalid.
    #[error("genesis is invalid")]
    Genesis(#[from] GenesisError),
    /// The snapshot cannot be used.
    #[error("snapshot cannot be used")]
    Snapshot(#[from] SnapshotError),
    /// The log says otherwise than the blocks made from it.
    #[error("block log is damaged at block {height}: {why}")]
    Log {
        /// Where.
        height: u64,
        /// How.
        why: String,
    },
}

/// The files of one chain.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    log: File,
    /// Height before the first block of the log.
    base: u64,
    policy: Compaction,
}

/// When the log is shortened, and what stays in it.
#[derive(Debug, Clone, Copy)]
struct Compaction {
    /// Blocks in the log at which a new snapshot is taken.
    log_blocks: u64,
    /// Blocks that stay in the log, so that transactions of that many heights are still found after a restart.
    kept_blocks: u64,
}

impl Compaction {
    /// A state can only be taken of a height that the chain still keeps.
    fn of(log_blocks: u64, bounds: Bounds) -> Self {
        let history = u64::try_from(bounds.history_blocks).unwrap_or(u64::MAX);
        Self { log_blocks, kept_blocks: (log_blocks / 2).min(history.saturating_sub(1)) }
    }
}

impl Disk {
    /// Opens or makes the folder; the chain as it was when it ended.
    pub(super) fn open(folder: &Path, genesis: &Genesis, bounds: Bounds) -> Result<(Chain, Self), DiskError> {
        Self::open_with(folder, genesis, bounds, LOG_BLOCKS)
    }

    fn open_with(
        folder: &Path,
        genesis: &Genesis,
        bounds: Bounds,
        log_blocks: u64,
    ) -> Result<(Chain, Self), DiskError> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |source| DiskError::Io { path, source }
        };
        fs::create_dir_all(folder).map_err(at(folder))?;
        check_genesis(folder, genesis)?;
        let path = folder.join("snapshot");
        let mut chain = match fs::read(&path) {
            Ok(bytes) => {
                let snapshot =
                    Snapshot::decode(bytes.as_slice()).map_err(|error| SnapshotError::Damaged(error.to_string()))?;
                Chain::from_snapshot(genesis, bounds, snapshot)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Chain::with_bounds(genesis, bounds)?,
            Err(source) => return Err(DiskError::Io { path, source }),
        };
        let base = chain.height();
        let path = folder.join("blocks.log");
        let mut log = OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(at(&path))?;
        let whole = replay(&mut log, &mut chain).map_err(|error| match error {
            ReplayError::Io(source) => DiskError::Io { path: path.clone(), source },
            ReplayError::Log { height, why } => DiskError::Log { height, why },
        })?;
        log.set_len(whole).and_then(|()| log.sync_all()).map_err(at(&path))?;
        Ok((chain, Self { folder: folder.to_path_buf(), log, base, policy: Compaction::of(log_blocks, bounds) }))
    }

    /// Writes the chain's last block; it is durable when this returns.
    pub(super) fn append(&mut self, chain: &Chain) -> Result<(), DiskError> {
        let path = self.folder.join("blocks.log");
        let failed = |source| DiskError::Io { path: path.clone(), source };
        if let Some(record) = chain.record(chain.height()) {
            self.log.write_all(&framed(&record)).and_then(|()| self.log.sync_data()).map_err(failed)?;
        }
        if chain.height().saturating_sub(self.base) >= self.policy.log_blocks {
            self.compact(chain)?;
        }
        Ok(())
    }

    /// A new snapshot, then a log of what comes after it. A crash between the two leaves old blocks in the log, which
    /// reading skips.
    fn compact(&mut self, chain: &Chain) -> Result<(), DiskError> {
        let height = chain.height() - self.policy.kept_blocks;
        let Some(snapshot) = chain.snapshot_at(height) else { return Ok(()) };
        replace(&self.folder, "snapshot", &snapshot.encode_to_vec())?;
        let mut bytes = Vec::new();
        for height in height + 1..=chain.height() {
            if let Some(record) = chain.record(height) {
                bytes.extend(framed(&record));
            }
        }
        replace(&self.folder, "blocks.log", &bytes)?;
        let path = self.folder.join("blocks.log");
        self.log = OpenOptions::new().append(true).open(&path).map_err(|source| DiskError::Io { path, source })?;
        self.base = height;
        Ok(())
    }
}

/// The genesis is stored with the chain, so that the two cannot part.
fn check_genesis(folder: &Path, genesis: &Genesis) -> Result<(), DiskError> {
    let path = folder.join("genesis.json");
    match fs::read_to_string(&path) {
        Ok(text) if Genesis::parse(&text)? == *genesis => Ok(()),
        Ok(_) => Err(DiskError::OtherGenesis(folder.to_path_buf())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = serde_json::to_vec_pretty(genesis).map_err(GenesisError::Malformed)?;
            replace(folder, "genesis.json", &text)
        }
        Err(source) => Err(DiskError::Io { path, source }),
    }
}

/// Puts a whole file in place of another: all of it, or nothing.
fn replace(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let (path, fresh) = (folder.join(name), folder.join(format!("{name}.new")));
    let write = || {
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| DiskError::Io { path: path.clone(), source })
}

fn framed(record: &BlockRecord) -> Vec<u8> {
    let body = record.encode_to_vec();
    let mut out = (body.len() as u32).to_be_bytes().to_vec();
    out.extend(&Sha256::digest(&body)[..8]);
    out.extend(body);
    out
}

enum ReplayError {
    Io(io::Error),
    Log { height: u64, why: String },
}

/// Makes the log's blocks again; how many of its bytes are whole records.
fn replay(log: &mut File, chain: &mut Chain) -> Result<u64, ReplayError> {
    let mut whole = 0;
    let mut reader = io::BufReader::new(log);
    loop {
        let body = match next_record(&mut reader).map_err(ReplayError::Io)? {
            Next::Whole(body) => body,
            Next::End => return Ok(whole),
            Next::Damaged => {
                let why = "a damaged record is followed by others".to_owned();
                return Err(ReplayError::Log { height: chain.height() + 1, why });
            }
        };
        let damaged = |why: String| ReplayError::Log { height: chain.height() + 1, why };
        let record = BlockRecord::decode(body.as_slice()).map_err(|error| damaged(error.to_string()))?;
        if record.height() > chain.height() {
            let height = record.height();
            chain.replay(record).map_err(|why| ReplayError::Log { height, why })?;
        }
        whole += (FRAME_BYTES + body.len()) as u64;
    }
}

enum Next {
    Whole(Vec<u8>),
    /// The end, torn or not.
    End,
    /// Not what was written, and not the end: no crash does that.
    Damaged,
}

fn next_record(reader: &mut impl Read) -> io::Result<Next> {
    let mut frame = [0; FRAME_BYTES];
    if !fill(reader, &mut frame)? {
        return Ok(Next::End);
    }
    let length = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    if length > RECORD_BYTES {
        return Ok(Next::Damaged);
    }
    let mut body = vec![0; length];
    if !fill(reader, &mut body)? {
        return Ok(Next::End);
    }
    if Sha256::digest(&body)[..8] == frame[4..] {
        return Ok(Next::Whole(body));
    }
    // A crash may leave the length of the last record without its bytes.
    Ok(if fill(reader, &mut [0])? { Next::Damaged } else { Next::End })
}

/// Fills the buffer; false if the file ends first.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::chain::SystemRequest;

    fn genesis() -> Genesis {
        Genesis::parse(r#"{"chain_id":"disk-test","accounts":[],"treasury_params":{}}"#).expect("genesis")
    }

    fn open(folder: &Path, bounds: Bounds) -> (Chain, Disk) {
        Disk::open_with(folder, &genesis(), bounds, 10).expect("opens")
    }

    fn grow(chain: &mut Chain, disk: &mut Disk, blocks: u64) {
        for _ in 0..blocks {
            // It fails, for there is no such key; that is input all the same.
            let request = SystemRequest::Redemption {
                creator: "nobody".to_owned(),
                key_ids: vec![1],
                digests: vec![vec![1; 32]],
                cache_id: Vec::new(),
            };
            chain.request_by_system(request).expect("room");
            chain.make_block(Duration::from_millis(chain.height() * 7)).expect("a block");
            disk.append(chain).expect("written");
        }
    }

    #[test]
    fn a_long_log_becomes_a_snapshot_and_a_short_log() {
        let folder = tempfile::tempdir().expect("folder");
        let (mut chain, mut disk) = open(folder.path(), Bounds::default());
        grow(&mut chain, &mut disk, 23);
        drop(disk);
        let (again, _) = open(folder.path(), Bounds::default());
        assert_eq!((again.height(), again.last_hash()), (23, chain.last_hash()));
        assert_eq!(again.snapshot(), chain.snapshot());
        assert!(again.block(19).is_some(), "the latest blocks are known");
        assert!(again.block(1).is_none(), "the oldest are in the snapshot");
    }

    #[test]
    fn a_short_memory_still_lets_the_log_be_shortened() {
        let folder = tempfile::tempdir().expect("folder");
        let bounds = Bounds { history_blocks: 2, ..Bounds::default() };
        let (mut chain, mut disk) = open(folder.path(), bounds);
        grow(&mut chain, &mut disk, 10);
        assert_eq!(disk.base, 9);
        grow(&mut chain, &mut disk, 3);
        let (again, _) = open(folder.path(), bounds);
        assert_eq!(again.last_hash(), chain.last_hash());
    }

    #[test]
    fn a_crash_between_snapshot_and_log_loses_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        let (mut chain, mut disk) = open(folder.path(), Bounds::default());
        grow(&mut chain, &mut disk, 9);
        let old_log = fs::read(folder.path().join("blocks.log")).expect("log");
        grow(&mut chain, &mut disk, 1);
        assert_eq!(disk.base, 5);
        let tenth = framed(&chain.record(10).expect("kept"));
        fs::write(folder.path().join("blocks.log"), [old_log, tenth].concat()).expect("the log as before");
        let (again, _) = open(folder.path(), Bounds::default());
        assert_eq!((again.height(), again.last_hash()), (10, chain.last_hash()));
    }

    #[test]
    fn a_log_that_was_changed_is_refused_or_cut() {
        let folder = tempfile::tempdir().expect("folder");
        let (mut chain, mut disk) = open(folder.path(), Bounds::default());
        grow(&mut chain, &mut disk, 5);
        let path = folder.path().join("blocks.log");
        let whole = fs::read(&path).expect("log");
        let mut flipped = whole.clone();
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        fs::write(&path, flipped).expect("log");
        assert_eq!(open(folder.path(), Bounds::default()).0.height(), 4, "a torn end is cut off");
        let mut rotten = whole.clone();
        rotten[FRAME_BYTES + 1] ^= 1;
        fs::write(&path, rotten).expect("log");
        let error =
            Disk::open_with(folder.path(), &genesis(), Bounds::default(), 10).expect_err("damage in the middle");
        assert!(matches!(error, DiskError::Log { height: 1, .. }), "{error}");
        let mut other = Chain::from_genesis(&genesis()).expect("chain");
        other.make_block(Duration::from_secs(99)).expect("a block");
        let second = whole[framed(&chain.record(1).expect("kept")).len()..].to_vec();
        fs::write(&path, [framed(&other.record(1).expect("kept")), second].concat()).expect("log");
        let error = Disk::open_with(folder.path(), &genesis(), Bounds::default(), 10).expect_err("another history");
        assert!(matches!(error, DiskError::Log { height: 2, .. }), "{error}");
    }
}
