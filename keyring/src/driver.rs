//! Runs sessions of `mpc-core` off the async runtime: one thread per live run, bounded in number, of which at most
//! `permits` compute at a time, the most urgent first.
//!
//! A run that waits for a message holds no permit: one that did would stop the whole cluster as soon as two parties wait
//! for each other. Sessions are not `Send`, so each is begun, driven and dropped on its own thread; what goes in and
//! comes out is. What peers say is kept within bounds per party, see `unclaimed`.

mod mailbox;
mod permits;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use mpc_core::{PartyIndex, Recipient, SessionId, Step};
use tokio::sync::mpsc;
use tracing::debug;

use self::mailbox::{Mailboxes, Next};
use self::permits::{Permit, Permits};
use crate::clock::thread_cpu_time;
use crate::node::{Priority, RunNews};
use crate::runs::{AnyRun, BeginError};

/// What runs may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Live runs, each a thread; one more is refused at once.
    pub runs_max: usize,
    /// Runs that compute at a time; at least one.
    pub permits: usize,
    /// Messages of one party that no run has taken yet, or whose run is not begun here.
    pub messages_per_party: usize,
    /// Bytes of the same.
    pub bytes_per_party: usize,
}

/// Events that wait for their reader; runs wait with them.
const EVENTS_MAX: usize = 4_096;

/// What runs say.
#[derive(Debug)]
pub enum DriverEvent {
    /// A message for the other parties of a run.
    Send {
        /// The run.
        session: SessionId,
        /// For whom: of a signing run other signers only, nobody else would ever take it.
        to: Vec<PartyIndex>,
        /// The message.
        body: Vec<u8>,
    },
    /// News for the node.
    News {
        /// The run.
        session: SessionId,
        /// The news.
        news: RunNews,
    },
}

/// The handle to all runs. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    mailboxes: Arc<Mailboxes>,
    permits: Arc<Permits>,
    events: mpsc::Sender<DriverEvent>,
}

impl Driver {
    /// A driver within these bounds, and where its events come out.
    #[must_use]
    pub fn new(bounds: Bounds) -> (Self, mpsc::Receiver<DriverEvent>) {
        let (events, driven) = mpsc::channel(EVENTS_MAX);
        let permits = Arc::new(Permits::new(bounds.permits.max(1)));
        (Self { mailboxes: Arc::new(Mailboxes::new(bounds)), permits, events }, driven)
    }

    /// Begins a run with these peers on a thread of its own; `begin` is called there. The outcome always comes out as an
    /// event.
    pub fn start(
        &self,
        session: SessionId,
        peers: Vec<PartyIndex>,
        priority: Priority,
        begin: impl FnOnce() -> Result<AnyRun, BeginError> + Send + 'static,
    ) {
        if !self.mailboxes.open(session) {
            return self.refuse(session, "too many runs are live, or this one was here before");
        }
        let this = self.clone();
        let thread = std::thread::Builder::new().name(format!("run-{session}"));
        let spawned = thread.spawn(move || {
            let _span = tracing::info_span!("session", %session).entered();
            let run = Run { driver: &this, session, peers, priority };
            let outcome = catch_unwind(AssertUnwindSafe(|| run.drive(begin)));
            let news = outcome.unwrap_or_else(|_| Some(failed("the run panicked: a defect of this program")));
            // A run has a thread of its own, so what the thread computed is what the run cost.
            debug!(target: crate::logging::TIMING, us = thread_cpu_time().as_micros() as u64, "computed");
            this.mailboxes.close(session);
            if let Some(news) = news {
                this.tell(session, news);
            }
        });
        if spawned.is_err() {
            self.mailboxes.close(session);
            self.refuse(session, "no thread can be started");
        }
    }

    /// Brings a peer's message to its run, or keeps it within bounds until the run begins. Never blocks.
    pub fn deliver(&self, session: SessionId, from: PartyIndex, body: Bytes) {
        self.mailboxes.deliver(session, from, body);
    }

    /// Gives a run up. It says nothing more but what is on its way already.
    pub fn cancel(&self, session: SessionId) {
        self.mailboxes.close(session);
    }

    /// Runs that are live.
    #[must_use]
    pub fn live(&self) -> usize {
        self.mailboxes.live()
    }

    /// Messages of peers that found no room, or gave theirs to a later one.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.mailboxes.dropped()
    }

    fn tell(&self, session: SessionId, news: RunNews) {
        // Nobody listens any more only when the daemon ends.
        let _ended = self.events.blocking_send(DriverEvent::News { session, news });
    }

    fn refuse(&self, session: SessionId, reason: &str) {
        // Called on the node's thread, which must not wait for its own reader: on a full queue the run's own clock ends it.
        let news = failed(reason);
        let _full = self.events.try_send(DriverEvent::News { session, news });
    }
}

fn failed(reason: &str) -> RunNews {
    RunNews::Failed { culprits: Vec::new(), reason: reason.to_owned() }
}

/// One run on its thread.
struct Run<'a> {
    driver: &'a Driver,
    session: SessionId,
    /// Everybody else in it.
    peers: Vec<PartyIndex>,
    priority: Priority,
}

impl Run<'_> {
    /// `None` when the run was given up.
    fn drive(&self, begin: impl FnOnce() -> Result<AnyRun, BeginError>) -> Option<RunNews> {
        let mut permit = self.permit();
        let mut run = match begin() {
            Ok(run) => run,
            Err(error) => return Some(failed(&error.to_string())),
        };
        let mut round = 0;
        loop {
            if !self.driver.mailboxes.is_live(self.session) {
                return None;
            }
            let step = run.step();
            if run.round() > round {
                round = run.round();
                self.driver.tell(self.session, RunNews::Round(round));
            }
            match step {
                Step::Send { to, body } => {
                    let to = match to {
                        Recipient::All => self.peers.clone(),
                        Recipient::One(peer) => vec![peer],
                    };
                    let event = DriverEvent::Send { session: self.session, to, body };
                    self.driver.events.blocking_send(event).ok()?;
                }
                Step::Yield => {
                    if self.driver.permits.is_wanted_before(&self.priority) {
                        drop(permit);
                        permit = self.permit();
                    }
                }
                Step::Wait => {
                    drop(permit);
                    let Next::Messages(messages) = self.driver.mailboxes.wait(self.session) else {
                        return None;
                    };
                    permit = self.permit();
                    for (from, body) in messages {
                        // An abort is told by the next step, with its culprits.
                        let _abort = run.receive(from, &body);
                    }
                }
                Step::Done(news) => return Some(news),
                Step::Stop(abort) => {
                    let culprits = abort.culprits().into_iter().collect();
                    return Some(RunNews::Failed { culprits, reason: abort.to_string() });
                }
            }
        }
    }

    fn permit(&self) -> Permit<'_> {
        self.driver.permits.try_take().unwrap_or_else(|| {
            self.driver.tell(self.session, RunNews::Queued);
            self.driver.permits.take(&self.priority)
        })
    }
}

#[cfg(test)]
mod tests;
