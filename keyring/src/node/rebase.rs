//! An operator decides about a chain that took final blocks back.
//!
//! Until then the contract is closed: nothing is decided about it. What was read behind the block that the operator names
//! may stand in the chain or not, so all of it is *undone*, and everything behind that block is read anew: a request whose
//! event is found again goes on from its decree's record (law 2), any other is over.

use chain_client::zrsign::range::Mark;

use super::{Level, Node};
use crate::decree::DecreeId;
use crate::request::{Event, RequestRecord, State};
use crate::store::{Entry, Table};

impl Node {
    pub(super) fn rebase(&mut self, chain: &str, mark: Mark, undone: &[DecreeId]) {
        let Some(side) = self.contracts.get_mut(chain) else { return };
        // It opened by itself, or was read further, since the operator was asked.
        if side.closed.take_if(|_| side.mark.is_some_and(|known| mark.height < known.height)).is_none() {
            return;
        }
        side.mark = Some(mark);
        side.sender.fork(None);
        side.waiting.values_mut().for_each(|waiting| waiting.retain(|id| !undone.contains(id)));
        side.waiting.retain(|_, waiting| !waiting.is_empty());
        for id in undone {
            side.lines.leave(id);
        }
        let text = format!(
            "an operator takes {chain} for true as it is now: {} requests behind block {} are undone, and read anew",
            undone.len(),
            mark.height
        );
        self.note(Level::Alarm, None, text);
        let bytes = postcard::to_stdvec(&mark).unwrap_or_default();
        self.write([Entry::put(Table::Cursor, chain.as_bytes(), bytes)]);
        for id in undone {
            self.undo(id);
        }
        self.tick();
    }

    fn undo(&mut self, id: &DecreeId) {
        // Not as other news of a decree: it shall do nothing more, not even what it was kept from while this was closed.
        if let Some(mut live) = self.live.remove(id) {
            live.request.state = live.request.state.clone().on(&Event::Undone);
            self.write_request(id, &live);
            self.is_over(id, &live);
            return;
        }
        match self.stored_request(id) {
            Ok(Some(record)) => {
                self.write([Entry::delete(Table::Open, id.to_bytes())]);
                self.write_ended(id, &RequestRecord { state: State::Undone, ..record });
            }
            Ok(None) => {}
            Err(error) => self.memory_failed(Some(id), &error),
        }
    }
}
