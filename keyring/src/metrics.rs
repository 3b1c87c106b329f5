//! What the daemon counts, for Prometheus.
//!
//! One [`Metrics`] per daemon, made before anything starts. What happens is counted where it is seen: by the [`Observer`]
//! on the node's thread, which sees every event, entry and order and decides nothing; by [`MeteredStore`] around the
//! journal; by the post office. What merely stands somewhere is set from a [`Snapshot`] when somebody asks. The pure
//! machines know nothing of this.
//!
//! Labels are bounded sets: chains of the configuration, parties of the roster, words of enums. Never a request, a key,
//! a payload, a session.

mod catalogue;
mod names;
mod observer;
mod process;
mod reference;
mod scrape;
mod store;

use std::sync::Mutex;

use prometheus_client::encoding::text;

pub use self::catalogue::{Counters, Gauges, Histograms};
pub use self::observer::Observer;
pub use self::process::ProcessFacts;
pub use self::reference::reference;
pub use self::scrape::{ChainSnapshot, Snapshot};
pub use self::store::MeteredStore;
use crate::node::Level;
use crate::readiness::{Class, Name};

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of one daemon.
pub struct Metrics {
    catalogue: catalogue::Catalogue,
    /// Setting from a snapshot and encoding are one step: two who ask at once must not mix theirs.
    asked: Mutex<()>,
    pub(crate) readiness: Readiness,
    pub(crate) requests: Requests,
    pub(crate) agreement: Agreement,
    pub(crate) runs: Runs,
    pub(crate) node: NodeMetrics,
    pub(crate) peers: Peers,
    pub(crate) chains: Chains,
    pub(crate) controllers: Controllers,
    contracts: Contracts,
    pub(crate) store: StoreMetrics,
    process: Process,
}

/// Whether it contributes.
pub(crate) struct Readiness {
    ready: Gauges<0>,
    not_ready: Gauges<1>,
    degraded: Gauges<1>,
}

/// The funnel.
pub(crate) struct Requests {
    open: Gauges<3>,
    pub(crate) stages: Counters<3>,
    pub(crate) decided_after: Histograms<2>,
    pub(crate) broadcast_after: Histograms<2>,
}

/// What is said about decrees.
pub(crate) struct Agreement {
    pub(crate) ballots: Counters<2>,
    pub(crate) messages: Counters<2>,
    pub(crate) dropped: Counters<1>,
}

/// Protocol runs.
pub(crate) struct Runs {
    live: Gauges<0>,
    pub(crate) begun: Counters<1>,
    pub(crate) took: Histograms<2>,
}

/// The node's thread.
pub(crate) struct NodeMetrics {
    inbox: Gauges<0>,
    pub(crate) notes: Counters<1>,
    auxiliary: Gauges<0>,
    shelf: Gauges<2>,
}

/// Links.
pub(crate) struct Peers {
    up: Gauges<1>,
    round_trip: Gauges<1>,
    clock_offset: Gauges<1>,
    queued: Gauges<1>,
    frames: Counters<2>,
    bytes: Counters<2>,
    ups: Counters<1>,
    dropped: Counters<2>,
    refused: Counters<1>,
}

/// Followers.
pub(crate) struct Chains {
    height: Gauges<1>,
    block_age: Gauges<1>,
    read_age: Gauges<1>,
    endpoint_height: Gauges<2>,
    endpoint_failures: Gauges<2>,
}

/// Accounts.
pub(crate) struct Controllers {
    in_flight: Gauges<1>,
    waiting: Gauges<1>,
    halted: Gauges<1>,
    balance: Gauges<1>,
    pub(crate) broadcasts: Counters<2>,
    pub(crate) dead: Counters<1>,
}

/// Contracts, and the accounts that send to them.
pub(crate) struct Contracts {
    height: Gauges<1>,
    read: Gauges<1>,
    closed: Gauges<1>,
    nonce: Gauges<1>,
    balance: Gauges<1>,
    price: Gauges<1>,
    lost_today: Gauges<1>,
    lost_total: Gauges<1>,
    in_flight: Gauges<1>,
    transactions: Gauges<1>,
    unread: Gauges<1>,
    waiting: Gauges<1>,
}

/// The journal.
pub(crate) struct StoreMetrics {
    position: Gauges<0>,
    memory: Gauges<1>,
    pub(crate) writes: Histograms<0>,
    pub(crate) entries: Counters<0>,
    pub(crate) bytes: Counters<0>,
    pub(crate) failures: Counters<1>,
}

/// The process.
struct Process {
    resident: Gauges<0>,
    descriptors: Gauges<0>,
    started: Gauges<0>,
    build: Gauges<3>,
}

impl Metrics {
    /// All metrics, with the series of these chains at zero.
    #[must_use]
    pub fn new(chains: &[String]) -> Self {
        let metrics = names::register();
        metrics.appear(chains);
        metrics
    }

    /// Sets what merely stands somewhere, and gives everything in the text format.
    #[must_use]
    pub fn text(&self, snapshot: &Snapshot) -> String {
        let _alone = self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.take(snapshot);
        let mut out = String::new();
        // Writing to a string does not fail.
        let _written = text::encode_registry(&mut out, &self.catalogue.ours)
            .and_then(|()| text::encode_registry(&mut out, &self.catalogue.bare))
            .and_then(|()| text::encode_eof(&mut out));
        out
    }

    /// Counters that were never moved are zero, not absent: an alarm on their first move needs that.
    fn appear(&self, chains: &[String]) {
        for chain in chains {
            for kind in ["key", "signature"] {
                for stage in observer::STAGES {
                    self.requests.stages.more([chain, kind, stage], 0);
                }
            }
            for turn in observer::TURNS {
                self.agreement.ballots.more([chain, turn], 0);
            }
            for hint in observer::HINTS {
                self.controllers.broadcasts.more([chain, hint], 0);
            }
            self.controllers.dead.more([chain], 0);
        }
        for kind in observer::RUN_KINDS {
            self.runs.begun.more([kind], 0);
        }
        for level in [Level::Alarm, Level::Warn, Level::Info, Level::Debug] {
            self.node.notes.more([observer::level_word(level)], 0);
        }
        for act in store::ACTS {
            self.store.failures.more([act], 0);
        }
        self.store.entries.more([], 0);
        self.store.bytes.more([], 0);
        for name in Name::ALL {
            match name.class() {
                Class::NotReady => self.readiness.not_ready.set([name.word()], 0.0),
                Class::Degraded => self.readiness.degraded.set([name.word()], 0.0),
            }
        }
    }
}

#[cfg(test)]
mod tests;
