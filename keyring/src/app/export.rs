//! A backup on its way to the operator: written on a thread that may block, carried in bounded parts.

use std::io::{self, Write};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::admin::BackupParts;
use crate::backup::SELECTION;
use crate::store::Store;

/// Bytes of one part.
const PART_BYTES: usize = 64 * 1024;
/// Parts that wait to be carried.
const PARTS_MAX: usize = 8;

/// Begins a backup. Whoever drops the parts ends it.
pub fn export(store: Arc<dyn Store>) -> BackupParts {
    let (sender, parts) = mpsc::channel(PARTS_MAX);
    let carrier = Carrier { sender, part: Vec::with_capacity(PART_BYTES) };
    drop(tokio::task::spawn_blocking(move || carrier.carry(store.as_ref())));
    parts
}

struct Carrier {
    sender: mpsc::Sender<Result<Vec<u8>, String>>,
    part: Vec<u8>,
}

impl Carrier {
    fn carry(mut self, store: &dyn Store) {
        let result = store.export(&SELECTION, &mut self);
        if let Err(error) = result {
            // Nobody listens any more, perhaps.
            let _gone = self.sender.blocking_send(Err(crate::report::Report::from(error).to_string()));
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let part = std::mem::replace(&mut self.part, Vec::with_capacity(PART_BYTES));
        self.sender.blocking_send(Ok(part)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Carrier {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PART_BYTES - self.part.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.part.extend_from_slice(taken);
        if self.part.len() >= PART_BYTES {
            self.send()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.part.is_empty() { Ok(()) } else { self.send() }
    }
}
