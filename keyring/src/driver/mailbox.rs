//! Messages for runs: of live ones, of ones that are not begun here yet, and of ended ones, each within bounds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mpc_core::{PartyIndex, SessionId};

use super::Bounds;

/// Messages that wait for one live run; an honest run of 32 parties has a tenth of it.
const LIVE_MESSAGES_MAX: usize = 4_096;
/// Ended runs remembered, so that their late messages are not taken for early ones.
const ENDED_MAX: usize = 4_096;

type Message = (PartyIndex, Bytes);

/// Where the messages of one live run wait.
#[derive(Default)]
pub(super) struct Mailbox {
    state: Mutex<Letters>,
    changed: Condvar,
}

#[derive(Default)]
struct Letters {
    messages: Vec<Message>,
    cancelled: bool,
}

/// Why a wait ended.
pub(super) enum Next {
    Messages,
    Cancelled,
}

impl Mailbox {
    /// Waits until there is a message or the run is given up.
    pub(super) fn wait(&self) -> Next {
        let mut letters = lock(&self.state);
        loop {
            if letters.cancelled {
                return Next::Cancelled;
            }
            if !letters.messages.is_empty() {
                return Next::Messages;
            }
            letters = self.changed.wait(letters).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut lock(&self.state).messages)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        lock(&self.state).cancelled
    }

    fn put(&self, message: Message) {
        let mut letters = lock(&self.state);
        if letters.messages.len() < LIVE_MESSAGES_MAX {
            letters.messages.push(message);
            self.changed.notify_one();
        }
    }

    fn cancel(&self) {
        lock(&self.state).cancelled = true;
        self.changed.notify_one();
    }
}

/// All mailboxes of a driver.
pub(super) struct Mailboxes {
    bounds: Bounds,
    offices: Mutex<Offices>,
}

#[derive(Default)]
struct Offices {
    live: BTreeMap<SessionId, Arc<Mailbox>>,
    early: BTreeMap<PartyIndex, Early>,
    ended: BTreeSet<SessionId>,
    ended_in_order: VecDeque<SessionId>,
}

/// One peer's messages for runs that are not begun here; the oldest fall out.
#[derive(Default)]
struct Early {
    messages: VecDeque<(SessionId, Bytes)>,
    bytes: usize,
}

impl Mailboxes {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, offices: Mutex::default() }
    }

    /// The mailbox of a new run, with what came early; `None` if there are too many or this session was here before.
    pub(super) fn open(&self, session: SessionId) -> Option<Arc<Mailbox>> {
        let mut offices = lock(&self.offices);
        if offices.live.len() >= self.bounds.runs_max
            || offices.live.contains_key(&session)
            || offices.ended.contains(&session)
        {
            return None;
        }
        let mailbox = Arc::new(Mailbox::default());
        for (from, early) in &mut offices.early {
            for body in early.take(session) {
                mailbox.put((*from, body));
            }
        }
        offices.live.insert(session, mailbox.clone());
        Some(mailbox)
    }

    pub(super) fn deliver(&self, session: SessionId, from: PartyIndex, body: Bytes) {
        let mut offices = lock(&self.offices);
        if let Some(mailbox) = offices.live.get(&session) {
            mailbox.put((from, body));
        } else if !offices.ended.contains(&session) {
            offices.early.entry(from).or_default().put(session, body, self.bounds);
        }
    }

    pub(super) fn cancel(&self, session: SessionId) {
        let mut offices = lock(&self.offices);
        if let Some(mailbox) = offices.live.get(&session) {
            mailbox.cancel();
        }
        offices.end(session);
    }

    pub(super) fn close(&self, session: SessionId) {
        lock(&self.offices).end(session);
    }

    pub(super) fn live(&self) -> usize {
        lock(&self.offices).live.len()
    }

    /// Bytes kept for runs that are not begun here.
    #[cfg(test)]
    pub(super) fn early_bytes(&self) -> usize {
        lock(&self.offices).early.values().map(|early| early.bytes).sum()
    }
}

impl Offices {
    fn end(&mut self, session: SessionId) {
        self.live.remove(&session);
        for early in self.early.values_mut() {
            early.take(session);
        }
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

impl Early {
    fn put(&mut self, session: SessionId, body: Bytes, bounds: Bounds) {
        self.bytes += body.len();
        self.messages.push_back((session, body));
        while self.messages.len() > bounds.early_messages_per_party || self.bytes > bounds.early_bytes_per_party {
            let Some((_, oldest)) = self.messages.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }

    fn take(&mut self, session: SessionId) -> Vec<Bytes> {
        let mut taken = Vec::new();
        self.messages.retain(|(of, body)| {
            if *of == session {
                taken.push(body.clone());
            }
            *of != session
        });
        self.bytes -= taken.iter().map(Bytes::len).sum::<usize>();
        taken
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
