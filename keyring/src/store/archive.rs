//! A backup of a store: its records in one sealed file.
//!
//! ```text
//! magic ‖ id (16 bytes) ‖ length (u32) of header ‖ header ‖ frames, each: length (u32) ‖ sealed frame
//! ```
//!
//! The header is the store's own: the wrapped data key, so a backup opens with what opened its store. Each frame is
//! sealed under the data key in a place of its own, named by the backup's id, its number and whether it is the last: a
//! frame that was taken out, doubled, moved, or brought from another backup does not open, and a file that is cut short
//! has no last frame. Numbers are big-endian.

use super::journal::Journal;
use super::medium::{Column, Medium};
use super::seal::{Header, Seal, Unlock};
use super::{OpenError, StoreError, Table};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use zeroize::{Zeroize as _, Zeroizing};

const MAGIC: &[u8; 16] = b"keyring backup 1";
/// Plain bytes after which a frame is closed.
const FRAME_BYTES: usize = 1 << 20;
/// Longest sealed frame that is read: one record may be as long as a whole batch.
const FRAME_BYTES_MAX: usize = super::BATCH_BYTES_MAX + 2 * FRAME_BYTES;
/// Longest header that is read.
const HEADER_BYTES_MAX: usize = 4 * 1024;
/// Records read from the store at a time.
const PAGE: usize = 256;

/// Why a backup could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file cannot be written.
    #[error("the backup cannot be written")]
    Write(#[source] io::Error),
    /// The file cannot be read.
    #[error("the backup cannot be read")]
    Read(#[source] io::Error),
    /// It is something else.
    #[error("this file is no backup, or one of a newer program")]
    Stranger,
    /// Its end is missing.
    #[error("the backup is cut short: take another one")]
    CutShort,
    /// A part does not open or decode.
    #[error("the backup is damaged at frame {frame}: take another one")]
    Damaged {
        /// Counted from 0.
        frame: u64,
    },
    /// The store that is backed up failed, or the one that is made from it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Passphrase or key file do not open it.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// A record on its way.
#[derive(Serialize, Deserialize)]
pub struct Record {
    /// Where it belongs.
    #[serde(with = "table_name")]
    pub table: Table,
    /// Under which key.
    pub key: Vec<u8>,
    /// What it says.
    pub value: Vec<u8>,
}

impl Drop for Record {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

/// Which records of a store a backup holds: these tables, in this order, and what is wanted of each.
pub struct Selection<'a> {
    /// The tables, in the order in which they are read. Writing goes on meanwhile: what is read later may be newer.
    pub tables: &'a [Table],
    /// Whether the record under this key is taken.
    pub wants: &'a (dyn Fn(Table, &[u8]) -> bool + Sync),
}

/// The place a frame is sealed in.
fn place(id: [u8; 16], number: u64, is_last: bool) -> Vec<u8> {
    [b"backup/", id.as_slice(), &number.to_be_bytes(), &[u8::from(is_last)]].concat()
}

impl<M: Medium> Journal<M> {
    /// Writes a backup; returns how many records are in it.
    pub(super) fn export(&self, selection: &Selection<'_>, out: &mut dyn Write) -> Result<u64, ArchiveError> {
        let header = self.header()?;
        let mut id = [0; 16];
        self.randomness(|rng| rng.fill_bytes(&mut id));
        let mut writer = Writer { journal: self, out, id, frames: 0, records: 0 };
        writer.write(MAGIC)?;
        writer.write(&id)?;
        writer.write_part(&header)?;
        let mut frame: Vec<Record> = Vec::new();
        let mut bytes = 0;
        for table in selection.tables {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let page = self.scan(*table, b"", after.as_deref(), PAGE)?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                for (key, value) in page.iter().filter(|(key, _)| (selection.wants)(*table, key)) {
                    bytes += key.len() + value.len();
                    frame.push(Record { table: *table, key: key.clone(), value: value.to_vec() });
                    if bytes >= FRAME_BYTES {
                        writer.frame(std::mem::take(&mut frame), false)?;
                        bytes = 0;
                    }
                }
            }
        }
        writer.frame(frame, true)?;
        writer.out.flush().map_err(ArchiveError::Write)?;
        Ok(writer.records)
    }
}

struct Writer<'a, M> {
    journal: &'a Journal<M>,
    out: &'a mut dyn Write,
    id: [u8; 16],
    frames: u64,
    records: u64,
}

impl<M: Medium> Writer<'_, M> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.out.write_all(bytes).map_err(ArchiveError::Write)
    }

    fn write_part(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let length = u32::try_from(bytes.len()).map_err(|_| ArchiveError::Damaged { frame: self.frames })?;
        self.write(&length.to_be_bytes())?;
        self.write(bytes)
    }

    fn frame(&mut self, records: Vec<Record>, is_last: bool) -> Result<(), ArchiveError> {
        let damaged = ArchiveError::Damaged { frame: self.frames };
        let plain = Zeroizing::new(postcard::to_stdvec(&records).map_err(|_| damaged)?);
        let place = place(self.id, self.frames, is_last);
        let sealed = self.journal.seal_beside(&place, &plain)?;
        self.write_part(&sealed)?;
        self.frames += 1;
        self.records += records.len() as u64;
        Ok(())
    }
}

/// A backup that is being read.
pub struct Archive<R> {
    input: R,
    seal: Seal,
    id: [u8; 16],
    frames: u64,
    has_ended: bool,
}

impl<R: Read> Archive<R> {
    /// Opens a backup with what opened its store.
    ///
    /// # Errors
    /// [`ArchiveError::Stranger`], [`ArchiveError::Open`], or what the disk says.
    pub fn open(mut input: R, unlock: &Unlock) -> Result<Self, ArchiveError> {
        let mut magic = [0; MAGIC.len()];
        let mut id = [0; 16];
        if read_all(&mut input, &mut magic).is_err() || magic != *MAGIC {
            return Err(ArchiveError::Stranger);
        }
        read_all(&mut input, &mut id)?;
        let header = read_part(&mut input, HEADER_BYTES_MAX)?.ok_or(ArchiveError::Stranger)?;
        let seal = Seal::open(unlock, &Header::decode(&header)?)?;
        Ok(Self { input, seal, id, frames: 0, has_ended: false })
    }

    /// The records of the next frame; `None` behind the last one.
    ///
    /// # Errors
    /// [`ArchiveError::CutShort`], [`ArchiveError::Damaged`], or what the disk says.
    pub fn next_frame(&mut self) -> Result<Option<Vec<Record>>, ArchiveError> {
        if self.has_ended {
            return Ok(None);
        }
        let damaged = || ArchiveError::Damaged { frame: self.frames };
        let sealed = read_part(&mut self.input, FRAME_BYTES_MAX)?.ok_or_else(damaged)?;
        let open = |is_last| self.seal.open_record(Column::Header, &place(self.id, self.frames, is_last), &sealed);
        let (plain, is_last) = match open(false) {
            Ok(plain) => (plain, false),
            Err(_) => (open(true).map_err(|_| damaged())?, true),
        };
        let records = postcard::from_bytes(&plain).map_err(|_| damaged())?;
        self.has_ended = is_last;
        self.frames += 1;
        Ok(Some(records))
    }
}

/// Fills the buffer, or the file is cut short.
fn read_all(input: &mut impl Read, buffer: &mut [u8]) -> Result<(), ArchiveError> {
    input.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveError::CutShort,
        _ => ArchiveError::Read(error),
    })
}

/// A part with its length before it; `None` if it is longer than `max`.
fn read_part(input: &mut impl Read, max: usize) -> Result<Option<Vec<u8>>, ArchiveError> {
    let mut length = [0; 4];
    read_all(input, &mut length)?;
    let Some(length) = usize::try_from(u32::from_be_bytes(length)).ok().filter(|length| *length <= max) else {
        return Ok(None);
    };
    let mut part = Vec::new();
    let read = input.take(length as u64).read_to_end(&mut part).map_err(ArchiveError::Read)?;
    if read == length { Ok(Some(part)) } else { Err(ArchiveError::CutShort) }
}

/// Tables by their names: the order of their declaration may change.
mod table_name {
    use super::Table;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(table: &Table, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(table.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Table, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = Table::ALL.into_iter().find(|table| table.name() == name);
        known.ok_or_else(|| D::Error::custom("a table of a newer program"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Entry, MemoryStore, Store};

    const EVERYTHING: Selection<'_> = Selection { tables: &Table::ALL, wants: &|_, _| true };

    fn store() -> MemoryStore {
        let store = MemoryStore::new(1);
        for number in 0..600_u16 {
            let value = vec![7; if number % 100 == 0 { 600_000 } else { 20 }];
            store.append(&[Entry::put(Table::Share, number.to_be_bytes(), value)]).unwrap();
        }
        store.append(&[Entry::put(Table::Outbox, "never", "out")]).unwrap();
        store
    }

    fn unlock() -> Unlock {
        MemoryStore::unlock(1)
    }

    fn read(bytes: &[u8]) -> Result<Vec<Record>, ArchiveError> {
        let mut archive = Archive::open(bytes, &unlock())?;
        let mut records = Vec::new();
        while let Some(frame) = archive.next_frame()? {
            records.extend(frame);
        }
        Ok(records)
    }

    fn written(selection: &Selection<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        store().export(selection, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_wanted_comes_back_and_nothing_else() {
        let selection = Selection { tables: &[Table::Share, Table::Outbox], wants: &|table, _| table != Table::Outbox };
        let records = read(&written(&selection)).unwrap();
        assert_eq!(records.len(), 600);
        assert!(records.iter().all(|record| record.table == Table::Share && record.value[0] == 7));
    }

    #[test]
    fn an_empty_store_has_a_backup_too() {
        let mut bytes = Vec::new();
        assert_eq!(MemoryStore::new(1).export(&EVERYTHING, &mut bytes).unwrap(), 0);
        assert_eq!(read(&bytes).unwrap().len(), 0);
    }

    #[test]
    fn it_opens_with_its_own_key_only() {
        let other = MemoryStore::unlock(2);
        let refused = Archive::open(written(&EVERYTHING).as_slice(), &other).err().unwrap();
        assert!(matches!(refused, ArchiveError::Open(OpenError::WrongKey)), "{refused}");
        assert!(matches!(Archive::open(&b"something else"[..], &unlock()).err(), Some(ArchiveError::Stranger)));
    }

    #[test]
    fn a_file_that_is_cut_short_or_altered_anywhere_does_not_pass() {
        let bytes = written(&EVERYTHING);
        for cut in [0, 20, 40, 200, bytes.len() / 2, bytes.len() - 1] {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in (0..bytes.len()).step_by(bytes.len() / 97).chain(0..120) {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(read(&altered).is_err(), "byte {at}");
        }
    }

    #[test]
    fn frames_of_two_backups_of_one_store_do_not_mix() {
        let store = store();
        let (mut one, mut other) = (Vec::new(), Vec::new());
        store.export(&EVERYTHING, &mut one).unwrap();
        store.export(&EVERYTHING, &mut other).unwrap();
        let frames_at = |bytes: &[u8]| 36 + u32::from_be_bytes(bytes[32..36].try_into().unwrap()) as usize;
        let mixed = [&one[..frames_at(&one)], &other[frames_at(&other)..]].concat();
        assert!(matches!(read(&mixed), Err(ArchiveError::Damaged { frame: 0 })));
    }
}
