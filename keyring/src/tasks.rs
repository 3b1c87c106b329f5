//! The one place where tasks are born, so that all of them end: each is told to stop, and is aborted if it does not.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

/// The tasks of one daemon. Cheap to clone; dropping the last clone aborts what still runs.
#[derive(Clone, Default)]
pub struct Tasks {
    stop: CancellationToken,
    running: Arc<Mutex<JoinSet<()>>>,
}

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task that ends when the daemon drains, wherever it waits then.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.lock().spawn(async move {
            tokio::select! {
                () = stop.cancelled() => debug!(name, "task told to stop"),
                () = task => debug!(name, "task ended"),
            }
        });
    }

    /// Starts a task that watches [`Self::stopping`] itself and may finish what it does, within the drain's grace.
    #[allow(clippy::disallowed_methods, reason = "the one room that starts tasks")]
    pub fn spawn_draining(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        tokio::spawn(task)
    }

    /// Starts blocking work on a thread of its own; it must watch a stop flag of its own.
    pub fn spawn_blocking(&self, name: &'static str, work: impl FnOnce() + Send + 'static) {
        self.lock().spawn_blocking(move || {
            work();
            debug!(name, "blocking work ended");
        });
    }

    /// Resolves when the daemon drains.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells all to stop and waits for them, at most so long.
    pub async fn drain(&self, grace: Duration) {
        self.stop.cancel();
        let mut running = std::mem::take(&mut *self.lock());
        let ended = tokio::time::timeout(grace, async {
            while let Some(ended) = running.join_next().await {
                if let Err(failed) = ended
                    && failed.is_panic()
                {
                    error!("a task panicked");
                }
            }
        });
        if ended.await.is_err() {
            error!("tasks did not end in time and were aborted");
            running.abort_all();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
