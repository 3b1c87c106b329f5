//! Simple transactions on their way: the nonce of one is its line's until it is spent in a final block of the destination, or
//! an operator gives it up. What is in flight is on disk ([`flight_key`]).

use chain_client::zrsign::event::SignatureAsked;
use chain_client::zrsign::transaction::LegacyTransaction;

use super::{Level, Node};
use crate::admission::Unanswerable;
use crate::contract;
use crate::decree::DecreeId;
use crate::lines::{Flight, LineName};
use crate::request::Event;
use crate::store::{Entry, Table};

impl Node {
    /// From now on nothing else of this line is completed, until its nonce is spent.
    pub(super) fn fly(&mut self, line: &LineName, signature: &DecreeId, transaction: &[u8]) {
        let Ok(transaction) = LegacyTransaction::decode(transaction) else { return };
        let Some(side) = self.contracts.get_mut(&signature.chain) else { return };
        side.lines.leave(signature);
        let flight = Flight { decree: signature.clone(), nonce: transaction.nonce };
        side.lines.fly(*line, flight.clone());
        let bytes = postcard::to_stdvec(&(line, &flight)).unwrap_or_default();
        self.write([Entry::put(Table::Contract, flight_key(&signature.chain, line), bytes)]);
    }

    /// Another party's answer stands on the contract: what it completed is in flight, though this party did not learn of it
    /// before.
    pub(super) fn answered_without(&mut self, id: &DecreeId, asked: &SignatureAsked, meta_data: &[u8]) {
        let Some((line, simple)) = self.simple_in(&id.chain, asked) else { return };
        let is_known = self.stored_record(&contract::completion_of(id)).ok().flatten();
        if is_known.is_some_and(|completion| completion.decided.is_some()) {
            return;
        }
        self.move_request(&contract::completion_of(id), &Event::Closed);
        if LegacyTransaction::decode(meta_data).is_ok_and(|transaction| simple.is_done_by(&transaction)) {
            self.fly(&line, id, meta_data);
        } else if let Some(side) = self.contracts.get_mut(&id.chain) {
            side.lines.leave(id);
        }
    }

    pub(super) fn flight_seen(&mut self, id: &DecreeId, nonce_final: u64) {
        let flight = self.flights(&id.chain).find(|(_, flight)| flight.decree == *id && flight.nonce < nonce_final);
        if let Some((line, nonce)) = flight.map(|(line, flight)| (*line, flight.nonce)) {
            self.note(Level::Info, Some(id), format!("nonce {nonce} is spent on its destination"));
            self.land(&id.chain, &line);
        }
    }

    fn land(&mut self, chain: &str, line: &LineName) {
        if let Some(side) = self.contracts.get_mut(chain) {
            side.lines.land(line);
            self.write([Entry::delete(Table::Contract, flight_key(chain, line))]);
            self.tick_completions();
        }
    }

    /// An operator gives up the nonce of a request, or a request whose turn it is and that cannot be completed: the next of
    /// its line does not wait for it.
    pub(super) fn release(&mut self, chain: &str, trace: u64) {
        let flight = self.flights(chain).find(|(_, flight)| flight.decree.request == trace);
        if let Some((line, flight)) = flight.map(|(line, flight)| (*line, flight.clone())) {
            let text = format!("an operator gives nonce {} up: the next of its wallet may take it", flight.nonce);
            self.note(Level::Alarm, Some(&flight.decree), text);
            self.land(chain, &line);
        } else if let Some(id) = self.incomplete(chain, trace).cloned() {
            self.give_up(&id);
        }
    }

    /// The request of this number, if it is next in its line and nothing is settled for it.
    pub fn incomplete(&self, chain: &str, trace: u64) -> Option<&DecreeId> {
        let mut heads = self.contracts.get(chain)?.lines.heads();
        heads.find(|(_, id)| id.request == trace).map(|(_, id)| id)
    }

    fn give_up(&mut self, id: &DecreeId) {
        let record = match self.stored_request(id) {
            Ok(Some(record)) => record,
            Ok(None) => return,
            Err(error) => return self.memory_failed(Some(id), &error),
        };
        self.move_request(&contract::completion_of(id), &Event::Closed);
        if let Some(side) = self.contracts.get_mut(&id.chain) {
            side.lines.leave(id);
        }
        let why = if record.note.is_empty() { "it was not completed" } else { &record.note };
        let why = Unanswerable::Contract(format!("given up by an operator of this party: {why}"));
        self.close(id, record.clone(), why);
        self.tick_completions();
    }

    /// Simple transactions on their way through their destinations.
    pub fn flights(&self, chain: &str) -> impl Iterator<Item = (&LineName, &Flight)> {
        self.contracts.get(chain).into_iter().flat_map(|side| side.lines.flights())
    }
}

/// Where a flight is remembered.
pub(super) fn flight_key(chain: &str, line: &LineName) -> Vec<u8> {
    [flight_prefix(chain).as_slice(), line.wallet.wallet_id().as_slice(), &line.destination.to_be_bytes()].concat()
}

/// What all flights of a contract begin with.
pub(super) fn flight_prefix(chain: &str) -> Vec<u8> {
    format!("flight/{chain}/").into_bytes()
}
