//! One party's process: its disk, its node, its runs on its cores, and what its endpoint shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chain_client::RequestId;
use keyring::backup::{RestoreError, SELECTION};
use keyring::node::{Node, Priority};
use keyring::runs::{AnyRun, Workshop};
use keyring::store::{Archive, DiskImage, MemoryStore, Store, Table};
use mpc_core::testing::primes_for;
use mpc_core::{PartyIndex, SessionId, Threshold, Transparent};

use crate::plan::EndpointLie;

/// Sessions whose frames are kept before they begin here.
const EARLY_SESSIONS_MAX: usize = 64;
/// Frames kept for each.
const EARLY_FRAMES_MAX: usize = 128;

/// A process, living or dead. Its disk survives it.
pub(crate) struct Process {
    pub(crate) party: PartyIndex,
    pub(crate) store: Arc<MemoryStore>,
    /// Opens its disk.
    seed: u64,
    pub(crate) node: Option<Node>,
    pub(crate) workshop: Workshop,
    /// Counts its deaths: what was meant for a process that is gone reaches nobody.
    pub(crate) incarnation: u32,
    /// The number that it drew at its start.
    pub(crate) instance: u64,
    pub(crate) cores: Cores,
    /// When the next tick is due.
    pub(crate) alarm_at: u64,
    /// The newest height of its endpoint.
    pub(crate) sees: u64,
    /// How many blocks the other endpoint is behind, to which reads sometimes go.
    pub(crate) lag: u64,
    /// What that endpoint lies about the account's sequence.
    pub(crate) lie: Option<EndpointLie>,
    /// Whether its endpoints follow another branch of the chain.
    pub(crate) forked: bool,
    /// Everything it computes takes so many times longer.
    pub(crate) slowness: u64,
    /// Requests that its own endpoint has shown it, ever.
    pub(crate) shown: BTreeSet<RequestId>,
    /// Frames it still sends before it dies, if it does.
    pub(crate) frames_left: Option<u64>,
    /// A copy of its disk, put aside.
    pub(crate) copy: Option<DiskImage>,
    /// A backup, and what opens it.
    pub(crate) backup: Option<(Vec<u8>, u64)>,
    /// How long it stays down when it dies next.
    pub(crate) down_ms: Option<u64>,
}

impl Process {
    pub(crate) fn new(party: PartyIndex, threshold: Threshold, store: MemoryStore) -> Self {
        let store = Arc::new(store);
        Self {
            party,
            workshop: workshop(party, threshold, store.clone()),
            store,
            seed: disk_seed(party),
            node: None,
            incarnation: 0,
            instance: 0,
            cores: Cores::default(),
            alarm_at: u64::MAX,
            sees: 0,
            lag: 0,
            lie: None,
            forked: false,
            slowness: 1,
            shown: BTreeSet::new(),
            frames_left: None,
            copy: None,
            backup: None,
            down_ms: None,
        }
    }

    /// The process is gone; what it had in memory with it.
    pub(crate) fn die(&mut self) {
        self.node = None;
        self.cores = Cores::default();
        self.alarm_at = u64::MAX;
        self.frames_left = None;
        self.incarnation += 1;
    }

    /// An image of its disk, opened.
    pub(crate) fn opened(&self, image: DiskImage) -> MemoryStore {
        match MemoryStore::open(image, self.seed) {
            Ok(store) => store,
            Err(error) => unreachable!("a disk opens again: {error}"),
        }
    }

    /// What its disk holds, also while it is dead.
    pub(crate) fn disk_has(&self, table: Table, key: &[u8]) -> bool {
        let read = if self.node.is_some() {
            self.store.read(table, key)
        } else {
            self.opened(self.store.snapshot()).read(table, key)
        };
        read.is_ok_and(|value| value.is_some())
    }

    /// Writes a backup.
    pub(crate) fn back_up(&mut self) {
        let mut bytes = Vec::new();
        match self.store.export(&SELECTION, &mut bytes) {
            Ok(_) => self.backup = Some((bytes, self.seed)),
            Err(error) => unreachable!("a living disk has a backup: {error}"),
        }
    }

    /// The disk is lost and made anew from the backup.
    pub(crate) fn restore(&mut self, restore: u64) {
        let Some((backup, seed)) = &self.backup else { return };
        let store = MemoryStore::new(disk_seed(self.party) ^ restore);
        let unlock = MemoryStore::unlock(*seed);
        let made = Archive::open(backup.as_slice(), &unlock)
            .map_err(RestoreError::from)
            .and_then(|mut archive| keyring::backup::restore(&mut archive, &store, None, restore));
        match made {
            Ok(_) => (self.store, self.seed) = (Arc::new(store), disk_seed(self.party) ^ restore),
            Err(error) => unreachable!("a backup is restored: {error}"),
        }
    }

    /// Opens the disk again.
    pub(crate) fn reopen(&mut self, threshold: Threshold) {
        let image = self.store.snapshot();
        let store = Arc::new(self.opened(image));
        self.workshop = workshop(self.party, threshold, store.clone());
        self.store = store;
    }
}

/// The seed of a party's disk: the same in every world, so that prepared disks can be used again.
pub(crate) fn disk_seed(party: PartyIndex) -> u64 {
    1_000 + u64::from(party.get())
}

pub(crate) fn open(image: DiskImage, party: PartyIndex) -> MemoryStore {
    match MemoryStore::open(image, disk_seed(party)) {
        Ok(store) => store,
        Err(error) => unreachable!("a disk opens again: {error}"),
    }
}

fn workshop(me: PartyIndex, threshold: Threshold, store: Arc<MemoryStore>) -> Workshop {
    Workshop {
        me,
        threshold,
        store,
        engine: Arc::new(Transparent),
        primes: Box::new(move || Some(primes_for(&Transparent, me))),
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// For a message.
    Waits,
    /// For a core.
    Ready,
    /// On a core.
    Computes,
}

/// A run in memory.
pub(crate) struct Running {
    pub(crate) run: AnyRun,
    /// Who takes part.
    pub(crate) parties: Vec<PartyIndex>,
    pub(crate) priority: Priority,
    pub(crate) work: Work,
    pub(crate) round: u16,
    /// Whether the node knows that it waits for a core.
    pub(crate) told_queued: bool,
}

/// The runs of a process, and frames of runs that are not begun yet.
#[derive(Default)]
pub(crate) struct Cores {
    pub(crate) runs: BTreeMap<SessionId, Running>,
    early: BTreeMap<SessionId, Vec<(PartyIndex, Vec<u8>)>>,
    over: BTreeSet<SessionId>,
}

impl Cores {
    /// A frame of a run.
    pub(crate) fn receive(&mut self, session: SessionId, from: PartyIndex, body: &[u8]) {
        if let Some(running) = self.runs.get_mut(&session) {
            // An abort is said again by the next step.
            let _ = running.run.receive(from, body);
            if running.work == Work::Waits {
                running.work = Work::Ready;
            }
        } else if !self.over.contains(&session) {
            if self.early.len() >= EARLY_SESSIONS_MAX && !self.early.contains_key(&session) {
                self.early.pop_first();
            }
            let kept = self.early.entry(session).or_default();
            if kept.len() < EARLY_FRAMES_MAX {
                kept.push((from, body.to_vec()));
            }
        }
    }

    /// A run begins; frames that came before it are given to it.
    pub(crate) fn begin(&mut self, session: SessionId, run: AnyRun, parties: Vec<PartyIndex>, priority: Priority) {
        let work = Work::Ready;
        self.runs.insert(session, Running { run, parties, priority, work, round: 0, told_queued: false });
        for (from, body) in self.early.remove(&session).unwrap_or_default() {
            self.receive(session, from, &body);
        }
    }

    /// A run is over.
    pub(crate) fn end(&mut self, session: SessionId) {
        self.runs.remove(&session);
        self.early.remove(&session);
        self.over.insert(session);
    }

    pub(crate) fn computing(&self) -> usize {
        self.runs.values().filter(|running| running.work == Work::Computes).count()
    }

    /// The run that gets the next core.
    pub(crate) fn next(&self) -> Option<SessionId> {
        let ready = self.runs.iter().filter(|(_, running)| running.work == Work::Ready);
        ready.min_by_key(|(session, running)| (&running.priority, **session)).map(|(session, _)| *session)
    }
}
