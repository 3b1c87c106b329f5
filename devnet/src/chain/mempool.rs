//! Transactions that wait for a block, and the hashes that are recognised when they come again.

use std::collections::VecDeque;
use std::sync::Arc;

use super::state::Set;
use super::transaction::{Transaction, TxHash};

/// What waits, in order of arrival, and what has been seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mempool {
    waiting: Vec<Arc<Transaction>>,
    seen: Set<TxHash>,
    /// The seen hashes, oldest first.
    order: VecDeque<TxHash>,
}

impl Mempool {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn waiting(&self) -> &[Arc<Transaction>] {
        &self.waiting
    }

    pub(crate) fn has_seen(&self, hash: &TxHash) -> bool {
        self.seen.contains(hash)
    }

    pub(crate) fn push(&mut self, transaction: Arc<Transaction>, remembered: usize) {
        self.remember(transaction.hash, remembered);
        self.waiting.push(transaction);
    }

    pub(crate) fn remember(&mut self, hash: TxHash, bound: usize) {
        if self.seen.contains(&hash) {
            return;
        }
        self.seen.insert_mut(hash);
        self.order.push_back(hash);
        while self.order.len() > bound.max(1) {
            if let Some(oldest) = self.order.pop_front() {
                self.seen.remove_mut(&oldest);
            }
        }
    }

    pub(crate) fn forget(&mut self, hash: &TxHash) {
        if self.seen.contains(hash) {
            self.seen.remove_mut(hash);
            self.order.retain(|one| one != hash);
        }
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> Vec<Arc<Transaction>> {
        std::mem::take(&mut self.waiting)
    }
}
