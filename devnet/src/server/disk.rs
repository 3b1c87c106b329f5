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

/// Blocks in the log at which a new snapshot is taken; it is taken half as many blocks back, so that transactions of
/// that many heights can still be found after a restart.
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
}

impl Disk {
    /// Opens or makes the folder; the chain as it was when it ended.
    pub(super) fn open(folder: &Path, genesis: &Genesis, bounds: Bounds) -> Result<(Chain, Self), DiskError> {
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
        Ok((chain, Self { folder: folder.to_path_buf(), log, base }))
    }

    /// Writes the chain's last block; it is durable when this returns.
    pub(super) fn append(&mut self, chain: &Chain) -> Result<(), DiskError> {
        let path = self.folder.join("blocks.log");
        let failed = |source| DiskError::Io { path: path.clone(), source };
        if let Some(record) = chain.record(chain.height()) {
            self.log.write_all(&framed(&record)).and_then(|()| self.log.sync_data()).map_err(failed)?;
        }
        if chain.height().saturating_sub(self.base) >= LOG_BLOCKS {
            self.compact(chain)?;
        }
        Ok(())
    }

    /// A new snapshot, then a log of what comes after it. A crash between the two leaves old blocks in the log, which
    /// reading skips.
    fn compact(&mut self, chain: &Chain) -> Result<(), DiskError> {
        let height = chain.height() - LOG_BLOCKS / 2;
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
    while let Some(body) = next_record(&mut reader).map_err(ReplayError::Io)? {
        let damaged = |why: String| ReplayError::Log { height: chain.height() + 1, why };
        let record = BlockRecord::decode(body.as_slice()).map_err(|error| damaged(error.to_string()))?;
        if record.height() > chain.height() {
            let height = record.height();
            chain.replay(record).map_err(|why| ReplayError::Log { height, why })?;
        }
        whole += (FRAME_BYTES + body.len()) as u64;
    }
    Ok(whole)
}

/// The next whole record; none at the end, torn or not.
fn next_record(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut frame = [0; FRAME_BYTES];
    if !fill(reader, &mut frame)? {
        return Ok(None);
    }
    let length = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    if length > RECORD_BYTES {
        return Ok(None);
    }
    let mut body = vec![0; length];
    if !fill(reader, &mut body)? || Sha256::digest(&body)[..8] != frame[4..] {
        return Ok(None);
    }
    Ok(Some(body))
}

/// Fills the buffer; false if the file ends first.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
