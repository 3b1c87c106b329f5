//! What came of a run, and how it is told.

use std::fmt;

use crate::laws::Violation;
use crate::plan::Plan;

/// Counts of one run, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Things that happened.
    pub events: u64,
    /// Blocks made.
    pub blocks: u64,
    /// Frames sent.
    pub frames: u64,
    /// Durable writes.
    pub writes: u64,
    /// Runs begun, per party.
    pub runs: u64,
    /// Transactions sent, repetitions included.
    pub broadcasts: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Alarms that nodes raised.
    pub alarms: u64,
    /// Requests answered.
    pub fulfilled: u64,
    /// Requests that expired.
    pub expired: u64,
    /// Requests still open at the end.
    pub open: u64,
}

impl Totals {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.blocks += other.blocks;
        self.frames += other.frames;
        self.writes += other.writes;
        self.runs += other.runs;
        self.broadcasts += other.broadcasts;
        self.crashes += other.crashes;
        self.alarms += other.alarms;
        self.fulfilled += other.fulfilled;
        self.expired += other.expired;
        self.open += other.open;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events, {} blocks, {} frames, {} writes, {} runs, {} broadcasts, {} crashes; requests: {} answered, {} \
             expired, {} open",
            self.events,
            self.blocks,
            self.frames,
            self.writes,
            self.runs,
            self.broadcasts,
            self.crashes,
            self.fulfilled,
            self.expired,
            self.open
        )
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What it meant.
    pub plan: Plan,
    /// Laws that did not hold; empty if all is well.
    pub violations: Vec<Violation>,
    /// How much happened.
    pub totals: Totals,
    /// The event log, if it was kept.
    pub log: Vec<String>,
}

impl Outcome {
    /// Whether all laws held.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        self.violations.is_empty()
    }

    /// Whether this law was broken.
    #[must_use]
    pub fn broke(&self, law: &str) -> bool {
        self.violations.iter().any(|violation| violation.law == law)
    }
}
