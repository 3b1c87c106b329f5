//! Keeps every line that this process logs, down to traces.

use std::io::Write;
use std::sync::{Arc, Mutex};

/// What was logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

/// Begins to keep; to be called first, and once in a process.
pub(crate) fn keep() -> Log {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter(
            "trace,libp2p=info,h2=info,hyper=info,tower=info,quinn=info,yamux=info,multistream_select=info",
        )
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    log
}

impl Log {
    pub(crate) fn words(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
