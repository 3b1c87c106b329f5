//! Transactions that wait for a block, and the hashes that are recognised when they come again.

use std::sync::Arc;

use super::state::Map;
use super::transaction::{Transaction, TxHash};

/// What waits, in order of arrival, and what has been seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mempool {
    waiting: Vec<Arc<Transaction>>,
    /// Seen hashes with the number under which they were seen.
    seen: Map<TxHash, u64>,
    /// The same, oldest first.
    order: Map<u64, TxHash>,
    next: u64,
}

impl Mempool {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn waiting(&self) -> &[Arc<Transaction>] {
        &self.waiting
    }

    pub(crate) fn has_seen(&self, hash: &TxHash) -> bool {
        self.seen.contains_key(hash)
    }

    /// Adds a transaction, remembering at most `remembered` hashes.
    pub(crate) fn push(&mut self, transaction: Arc<Transaction>, remembered: usize) {
        self.remember(transaction.hash, remembered);
        self.waiting.push(transaction);
    }

    fn remember(&mut self, hash: TxHash, bound: usize) {
        self.forget(&hash);
        self.seen.insert_mut(hash, self.next);
        self.order.insert_mut(self.next, hash);
        self.next += 1;
        while self.order.size() > bound.max(1) {
            let Some((number, oldest)) = self.order.first().map(|(number, hash)| (*number, *hash)) else { return };
            self.order.remove_mut(&number);
            self.seen.remove_mut(&oldest);
        }
    }

    /// Lets the same bytes come again.
    pub(crate) fn forget(&mut self, hash: &TxHash) {
        if let Some(number) = self.seen.get(hash).copied() {
            self.seen.remove_mut(hash);
            self.order.remove_mut(&number);
        }
    }

    /// An empty mempool that recognises some of what this one does.
    pub(crate) fn recognising(&self, kept: impl Fn(&TxHash) -> bool) -> Self {
        let mut other = Self { next: self.next, ..Self::default() };
        for (number, hash) in self.order.iter().filter(|(_, hash)| kept(hash)) {
            other.order.insert_mut(*number, *hash);
            other.seen.insert_mut(*hash, *number);
        }
        other
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> Vec<Arc<Transaction>> {
        std::mem::take(&mut self.waiting)
    }
}
