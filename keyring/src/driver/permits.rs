//! Who may compute: a number of permits, given to the most urgent of those who wait.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::node::Priority;

/// A bounded number of permits.
pub(super) struct Permits {
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    free: usize,
    /// Who waits, most urgent first; the number keeps equals in the order of their coming.
    waiting: BTreeSet<(Priority, u64)>,
    ticket: u64,
}

/// The right to compute; given back when dropped.
pub(super) struct Permit<'a>(&'a Permits);

impl Permits {
    pub(super) fn new(permits: usize) -> Self {
        let state = State { free: permits, waiting: BTreeSet::new(), ticket: 0 };
        Self { state: Mutex::new(state), freed: Condvar::new() }
    }

    /// A permit if one is free and nobody waits.
    pub(super) fn try_take(&self) -> Option<Permit<'_>> {
        let mut state = self.lock();
        if state.free == 0 || !state.waiting.is_empty() {
            return None;
        }
        state.free -= 1;
        Some(Permit(self))
    }

    /// Waits for a permit; the most urgent of those who wait gets the next.
    pub(super) fn take(&self, priority: &Priority) -> Permit<'_> {
        let mut state = self.lock();
        state.ticket += 1;
        let place = (priority.clone(), state.ticket);
        state.waiting.insert(place.clone());
        while state.free == 0 || state.waiting.first() != Some(&place) {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting.remove(&place);
        state.free -= 1;
        // The next in line may have been woken too early to see that its turn has come.
        self.freed.notify_all();
        Permit(self)
    }

    /// Whether somebody more urgent waits.
    pub(super) fn is_wanted_before(&self, priority: &Priority) -> bool {
        self.lock().waiting.first().is_some_and(|(first, _)| first < priority)
    }

    /// How many stand in line.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.lock().free += 1;
        self.0.freed.notify_all();
    }
}
