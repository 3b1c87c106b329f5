//! Where runs hear: messages reach live runs, wait for ones that are not begun here, and are dropped for ended ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mpc_core::{PartyIndex, SessionId};

use super::Bounds;
use crate::unclaimed::Unclaimed;

/// Ended runs remembered, so that their late messages are not taken for early ones.
const ENDED_MAX: usize = 16_384;

/// Why a wait ended.
pub(super) enum Next {
    Messages(Vec<(PartyIndex, Bytes)>),
    Cancelled,
}

/// All mailboxes of a driver, behind one lock that nobody computes under.
pub(super) struct Mailboxes {
    runs_max: usize,
    offices: Mutex<Offices>,
}

struct Offices {
    /// Live runs, and what wakes them.
    live: BTreeMap<SessionId, Arc<Condvar>>,
    frames: Unclaimed<SessionId, Bytes>,
    ended: BTreeSet<SessionId>,
    ended_in_order: VecDeque<SessionId>,
}

impl Mailboxes {
    pub(super) fn new(bounds: Bounds) -> Self {
        let offices = Offices {
            live: BTreeMap::new(),
            frames: Unclaimed::new(bounds.messages_per_party, bounds.bytes_per_party),
            ended: BTreeSet::new(),
            ended_in_order: VecDeque::new(),
        };
        Self { runs_max: bounds.runs_max, offices: Mutex::new(offices) }
    }

    /// Opens the mailbox of a new run, with what came early. False if there are too many or this session was here before.
    pub(super) fn open(&self, session: SessionId) -> bool {
        let mut offices = self.lock();
        if offices.live.len() >= self.runs_max || offices.is_known(session) {
            return false;
        }
        offices.live.insert(session, Arc::default());
        offices.frames.begin(&session);
        true
    }

    pub(super) fn deliver(&self, session: SessionId, from: PartyIndex, body: Bytes) {
        let mut offices = self.lock();
        if offices.ended.contains(&session) {
            return;
        }
        let wake = offices.live.get(&session).cloned();
        let bytes = body.len();
        if offices.frames.keep(session, from, body, bytes, wake.is_some())
            && let Some(wake) = wake
        {
            wake.notify_one();
        }
    }

    /// Waits until there are messages for a run, and takes them, or until it is given up.
    pub(super) fn wait(&self, session: SessionId) -> Next {
        let mut offices = self.lock();
        loop {
            let Some(wake) = offices.live.get(&session).cloned() else {
                return Next::Cancelled;
            };
            if !offices.frames.is_empty(&session) {
                return Next::Messages(offices.frames.take(&session));
            }
            offices = wake.wait(offices).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn is_live(&self, session: SessionId) -> bool {
        self.lock().live.contains_key(&session)
    }

    /// Ends a run: it hears nothing more and never begins again.
    pub(super) fn close(&self, session: SessionId) {
        let mut offices = self.lock();
        if let Some(wake) = offices.live.remove(&session) {
            wake.notify_one();
        }
        drop(offices.frames.take(&session));
        offices.remember(session);
    }

    pub(super) fn live(&self) -> usize {
        self.lock().live.len()
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lock().frames.dropped()
    }

    fn lock(&self) -> MutexGuard<'_, Offices> {
        self.offices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Offices {
    fn is_known(&self, session: SessionId) -> bool {
        self.live.contains_key(&session) || self.ended.contains(&session)
    }

    fn remember(&mut self, session: SessionId) {
        if self.ended.insert(session) {
            self.ended_in_order.push_back(session);
        }
        if self.ended_in_order.len() > ENDED_MAX
            && let Some(oldest) = self.ended_in_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: u8) -> SessionId {
        SessionId::new([name; 32])
    }

    fn mailboxes(messages_per_party: usize) -> Mailboxes {
        Mailboxes::new(Bounds { runs_max: 2, permits: 1, messages_per_party, bytes_per_party: 1_000 })
    }

    fn heard(mailboxes: &Mailboxes, name: u8) -> Vec<(u16, u8)> {
        match mailboxes.wait(session(name)) {
            Next::Messages(messages) => messages.into_iter().map(|(from, body)| (from.get(), body[0])).collect(),
            Next::Cancelled => panic!("the run is live"),
        }
    }

    fn say(mailboxes: &Mailboxes, name: u8, from: u16, body: u8) {
        mailboxes.deliver(session(name), PartyIndex::new(from), Bytes::from(vec![body]));
    }

    #[test]
    fn a_party_that_floods_a_live_run_crowds_nobody_out() {
        let mailboxes = mailboxes(3);
        assert!(mailboxes.open(session(1)));
        (0..10).for_each(|body| say(&mailboxes, 1, 1, body));
        say(&mailboxes, 1, 2, 77);
        assert_eq!(heard(&mailboxes, 1), [(1, 0), (1, 1), (1, 2), (2, 77)]);
        assert_eq!(mailboxes.dropped(), 7);
    }

    #[test]
    fn a_flood_for_runs_that_never_begin_leaves_room_for_a_run_that_does() {
        let mailboxes = mailboxes(3);
        (10..200).for_each(|name| say(&mailboxes, name, 1, 0));
        assert!(mailboxes.open(session(1)));
        say(&mailboxes, 1, 1, 5);
        assert_eq!(heard(&mailboxes, 1), [(1, 5)]);
    }

    #[test]
    fn an_ended_run_hears_nothing_and_never_begins_again() {
        let mailboxes = mailboxes(3);
        assert!(mailboxes.open(session(1)));
        mailboxes.close(session(1));
        say(&mailboxes, 1, 1, 5);
        assert!(matches!(mailboxes.wait(session(1)), Next::Cancelled));
        assert!(!mailboxes.open(session(1)));
        assert!(mailboxes.lock().frames.is_empty(&session(1)));
    }

    #[test]
    fn live_runs_are_bounded() {
        let mailboxes = mailboxes(3);
        assert!(mailboxes.open(session(1)) && mailboxes.open(session(2)));
        assert!(!mailboxes.open(session(3)));
        mailboxes.close(session(1));
        assert!(mailboxes.open(session(3)));
    }
}
