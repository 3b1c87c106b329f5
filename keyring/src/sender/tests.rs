//! Each rule of a sender, one by one.

mod gates;
mod halts;
mod losses;
mod nonces;
mod turns;

use std::collections::VecDeque;

use alloy_primitives::{Address, Bytes, U256, keccak256};
use chain_client::Height;
use chain_client::zrsign::transaction::LegacyTransaction;

use super::model::{
    CHAIN, FINAL_DEPTH, Flying, GAS, GWEI, ModelChain, ModelPen, PROXY, Rival, decree, delivery, settings,
};
use super::{
    Call, DATA_BYTES_MAX, Delivery, Halt, Hint, IN_FLIGHT_MAX, Leave, Moves, Outcome, Pen as _, PublishError,
    ResumeError, Revert, SIGNED_PER_NONCE_MAX, Sender, Settings, Signed, Simulated, State, Want, Why, halt_on_disk,
};
use crate::store::{MemoryStore, Store as _, Table};

/// A sender, its disk, and a chain whose account is at nonce 5.
struct Desk {
    chain: ModelChain,
    store: MemoryStore,
    sender: Sender,
    pen: ModelPen,
    settings: Settings,
    /// Told since it was last asked.
    outcomes: Vec<Outcome>,
    /// Sent, and not given to the chain yet.
    flying: Vec<Flying>,
}

impl Desk {
    fn of(settings: Settings) -> Self {
        let store = MemoryStore::new(1);
        let sender = Sender::recover(settings, &store).unwrap();
        let (chain, pen) = (ModelChain::new(5), ModelPen::new());
        let mut desk = Self { chain, store, sender, pen, settings, outcomes: Vec::new(), flying: Vec::new() };
        desk.block();
        desk
    }

    fn new() -> Self {
        Self::of(settings())
    }

    fn kept(&mut self, moves: Moves) -> Vec<Want> {
        if !moves.entries.is_empty() {
            self.store.append(&moves.entries).unwrap();
        }
        self.outcomes.extend(moves.outcomes);
        moves.wants
    }

    /// Answers whatever is asked, until nothing is.
    fn carry_out(&mut self, moves: Moves) {
        let mut wants = VecDeque::from(self.kept(moves));
        while let Some(want) = wants.pop_front() {
            let moves = match want {
                Want::Look(decree, hashes) => {
                    let look = self.chain.look(decree.request, &hashes, 0);
                    self.sender.looked(&decree, &look, &self.pen)
                }
                Want::Simulate(decree, call, state) => {
                    let said = self.chain.simulate(&call, state);
                    self.sender.simulated(&decree, &call, &said, &self.pen)
                }
                Want::Broadcast(signed) => {
                    let slot = self.sender.slots().find(|slot| slot.nonce == signed.nonce).unwrap();
                    let request = signed.answers.then_some(slot.decree.request);
                    self.flying.push(Flying { signed, request });
                    continue;
                }
            };
            let more = self.kept(moves);
            wants.extend(more);
        }
    }

    /// A block, and everything that follows from it, but nothing that is sent arrives.
    fn block(&mut self) -> Vec<Signed> {
        self.chain.block();
        self.sees()
    }

    fn sees(&mut self) -> Vec<Signed> {
        let sight = self.chain.sight(0);
        let moves = self.sender.sighted(&sight);
        self.carry_out(moves);
        let moves = self.sender.block(self.chain.height());
        self.carry_out(moves);
        self.flying.drain(..).map(|flying| flying.signed).collect()
    }

    /// Blocks in which everything that is sent arrives.
    fn runs(&mut self, blocks: u64) {
        for _ in 0..blocks {
            self.chain.block();
            let sight = self.chain.sight(0);
            let moves = self.sender.sighted(&sight);
            self.carry_out(moves);
            let moves = self.sender.block(self.chain.height());
            self.carry_out(moves);
            for flying in self.flying.drain(..) {
                let hint = self.chain.broadcast(&flying);
                self.sender.hinted(flying.signed.nonce, flying.signed.hash, hint);
            }
        }
    }

    fn blocks(&mut self, count: u64) -> Vec<Signed> {
        (0..count).flat_map(|_| self.block()).collect()
    }

    fn ask(&mut self) -> u64 {
        self.ask_for_turn(0)
    }

    fn ask_for_turn(&mut self, turn: u32) -> u64 {
        let request = self.chain.ask();
        let moves = self.sender.publish(decree(request), delivery(request, turn, self.chain.height())).unwrap();
        self.carry_out(moves);
        request
    }

    /// An answer whose first transaction is on its way.
    fn submits(&mut self) -> (u64, Flying) {
        let request = self.ask();
        let [flying] = &self.flying[..] else { panic!("{:?}", self.flying) };
        let flying = flying.clone();
        self.flying.clear();
        (request, flying)
    }

    /// The same, in a block's pool.
    fn delivers(&mut self) -> (u64, Flying) {
        let (request, flying) = self.submits();
        assert_eq!(self.chain.broadcast(&flying), Hint::Taken);
        (request, flying)
    }

    fn is_too_cheap(&mut self, nonce: u64) {
        let newest = self.sender.slots().find(|slot| slot.nonce == nonce).and_then(|slot| slot.signed.last());
        let hash = newest.unwrap().hash;
        self.sender.hinted(nonce, hash, Hint::Underpriced);
    }

    fn restarts(&mut self) {
        self.sender = Sender::recover(self.settings, &self.store).unwrap();
    }

    fn told(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.outcomes)
    }

    fn why(&self, request: u64) -> Option<Why> {
        self.sender.why_waiting().find(|(id, _)| **id == decree(request)).map(|(_, why)| why.clone())
    }
}

fn rival(request: u64) -> Rival {
    Rival { request, agrees: true, is_hidden: true }
}
