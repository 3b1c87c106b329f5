//! The one place where tasks are born, so that all of them end: each is told to stop, and is aborted if it does not.

use std::collections::BTreeSet;
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
    ended_early: EndedEarly,
}

/// Tasks that ended although nobody told them to: parts of the daemon that are missing now.
#[derive(Clone, Default)]
pub struct EndedEarly(Arc<Mutex<BTreeSet<&'static str>>>);

/// Tells when its task ends before it was told to, also by a panic.
struct Watch {
    name: &'static str,
    stop: CancellationToken,
    ended_early: EndedEarly,
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
        let ended_early = self.ended_early.clone();
        let watch = Watch { name, stop: stop.clone(), ended_early };
        self.lock().spawn(async move {
            let _watch = watch;
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

    /// Tells which ended by themselves.
    #[must_use]
    pub fn ended_early(&self) -> EndedEarly {
        self.ended_early.clone()
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

impl EndedEarly {
    /// Their names.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<&'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            self.ended_early.lock().insert(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_by_itself_is_known_and_one_that_was_told_to_is_not() {
        let tasks = Tasks::new();
        tasks.spawn("steady", std::future::pending());
        tasks.spawn("done", async {});
        tasks.spawn("panicked", async { panic!("on purpose") });
        let ended = tasks.ended_early();
        while ended.names().len() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(ended.names(), ["done", "panicked"]);
        tasks.drain(Duration::from_secs(5)).await;
        assert_eq!(ended.names(), ["done", "panicked"]);
    }
}
