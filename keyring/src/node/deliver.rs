//! Authorised answers leave: this party's turn, its sender on that chain, and what became of its transactions.

use alloy_primitives::{Bytes, U256};
use chain_client::zrsign::name::Slot;
use chain_client::{Height, TxHash};

use super::contract::ContractNews;
use super::{Level, Live, Node, Order};
use crate::contract::{self, Asked};
use crate::decree::{DecreeId, Kind};
use crate::request::Event;
use crate::sender::{Delivery, Hint, Leave, Moves, Outcome, PublishError, Want, Why};

/// What a look at a contract is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whether a slot is filled, and with this address.
    Key {
        /// The slot.
        slot: Slot,
        /// The decided address.
        wallet: String,
    },
    /// Whether a signature request is answered. What it was answered with stands in the logs alone.
    Signature {
        /// Its number.
        trace: U256,
    },
}

impl Node {
    /// News that concern the sender.
    pub(super) fn sender_news(&mut self, chain: &str, news: ContractNews) {
        match news {
            ContractNews::Head(height) => {
                let Some(side) = self.contracts.get_mut(chain) else { return };
                side.head = height;
                if self.give_sender_leave(chain, None) != Leave::Nothing {
                    self.with_sender(chain, |sender, _| sender.block(height));
                }
            }
            ContractNews::Sight(sight) => self.with_sender(chain, |sender, _| sender.sighted(&sight)),
            ContractNews::Look(decree, look) => {
                self.give_sender_leave(chain, Some(&decree));
                self.with_sender(chain, |sender, pen| sender.looked(&decree, &look, pen));
            }
            ContractNews::Simulated(decree, call, said) => {
                self.give_sender_leave(chain, Some(&decree));
                self.with_sender(chain, |sender, pen| sender.simulated(&decree, &call, &said, pen));
            }
            ContractNews::Sent { nonce, hash, hint } => {
                let Some(side) = self.contracts.get_mut(chain) else { return };
                side.sender.hinted(nonce, hash, hint);
                let of_nonce = side.sender.slots().find(|slot| slot.nonce == nonce).map(|slot| slot.decree.clone());
                let event = if hint == Hint::Taken { Event::Taken } else { Event::Unclear };
                if let Some(decree) = of_nonce {
                    self.move_request(&decree, &event);
                }
            }
            ContractNews::Resume(nonce) => self.resume_sender(chain, nonce),
            ContractNews::Final { .. }
            | ContractNews::Span(_)
            | ContractNews::Closed { .. }
            | ContractNews::Opened
            | ContractNews::Destination { .. }
            | ContractNews::Release(_)
            | ContractNews::Rebase { .. } => {}
        }
    }

    fn with_sender(
        &mut self,
        chain: &str,
        act: impl FnOnce(&mut crate::sender::Sender, &dyn crate::sender::Pen) -> Moves,
    ) {
        let Some(side) = self.contracts.get_mut(chain) else { return };
        let pen = side.setup.pen.clone();
        let moves = act(&mut side.sender, pen.as_ref());
        self.sender_moves(chain, moves);
    }

    /// Tells the sender what the lease lets it do: for what is old only what was stored is sent again.
    fn give_sender_leave(&mut self, chain: &str, about: Option<&DecreeId>) -> Leave {
        let is_old = about.and_then(|id| self.live.get(id)).is_some_and(|live| self.keeps_out_of(&live.job));
        let leave = match (self.may_publish(chain), is_old) {
            (false, _) => Leave::Nothing,
            (true, true) => Leave::Stored,
            (true, false) => Leave::All,
        };
        let below = self.lease.keeps_out_of_sequences(chain);
        if let Some(side) = self.contracts.get_mut(chain) {
            side.sender.keep_out(below.checked_sub(1));
            side.sender.allow(leave);
        }
        leave
    }

    /// The complete call goes to the sender, in this party's turn among those present.
    pub(super) fn deliver(&mut self, id: &DecreeId, live: &Live, data: Bytes) {
        let turn = live.decree.order().iter().filter(|party| self.present.contains(party)).position(|p| *p == self.me);
        let Some(side) = self.contracts.get_mut(&id.chain) else { return };
        let turn = u32::try_from(turn.unwrap_or(0)).unwrap_or(u32::MAX);
        let delivery = Delivery { proxy: side.setup.proxy.address, data, turn, decided_at: side.head };
        match side.sender.publish(id.clone(), delivery) {
            Ok(moves) => self.sender_moves(&id.chain, moves),
            // It is told when it happens, and again to whoever asks.
            Err(PublishError::Reverted) => self.note(Level::Info, Some(id), PublishError::Reverted.to_string()),
            Err(error) => self.note(Level::Alarm, Some(id), format!("not sent by this party: {error}")),
        }
    }

    fn sender_moves(&mut self, chain: &str, moves: Moves) {
        self.write(moves.entries);
        for outcome in moves.outcomes {
            self.sender_outcome(outcome);
        }
        for want in moves.wants {
            let order = match want {
                Want::Look(decree, hashes) => self.target_of(&decree).map(|target| Order::LookAtContract {
                    chain: chain.to_owned(),
                    decree,
                    target,
                    hashes,
                }),
                Want::Simulate(decree, call, state) => {
                    Some(Order::Simulate { chain: chain.to_owned(), decree, call: Box::new(call), state })
                }
                Want::Broadcast(signed) => Some(Order::Send(chain.to_owned(), signed)),
            };
            self.effects.orders.extend(order);
        }
    }

    /// What is to be looked at for an answer, from what is on disk: its request may be over while its nonce is not spent.
    fn target_of(&mut self, id: &DecreeId) -> Option<Target> {
        let asked = match self.stored_request(id) {
            Ok(record) => record?.asked?,
            Err(error) => {
                self.memory_failed(Some(id), &error);
                return None;
            }
        };
        match asked {
            Asked::Signature(asked) => Some(Target::Signature { trace: asked.name.trace }),
            Asked::Key { asked, .. } => {
                let decree = DecreeId { kind: Kind::Key, ..id.clone() };
                let public = self.stored_record(&decree).ok()??.decided?.answer;
                Some(Target::Key { slot: asked.slot, wallet: contract::address_of(asked.slot.kind, &public).ok()? })
            }
        }
    }

    fn sender_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Submitting(id, hash) => {
                let now = self.now;
                if let Some(live) = self.live.get_mut(&id) {
                    live.request.transaction = Some(TxHash(hash.0));
                    live.request.broadcast_after_ms.get_or_insert(now.saturating_sub(live.seen_at));
                }
                self.move_request(&id, &Event::Signed);
            }
            Outcome::Landed { decree, height, cost } => {
                let text = format!("answered by this party in block {height}; {cost} wei were not paid back");
                self.note(Level::Info, Some(&decree), text);
                self.authorisation_resolved(&decree, true);
            }
            Outcome::Lost { decree, hash, cost } => {
                let text = format!("transaction {hash} reverted and cost {cost} wei: this party never sends it again");
                self.note(Level::Warn, Some(&decree), text.clone());
                self.remark(&decree, text);
                self.move_request(&decree, &Event::Dead);
            }
            Outcome::Settled(decree) => self.authorisation_resolved(&decree, true),
            Outcome::Foreign(decree) => self.authorisation_resolved(&decree, false),
            Outcome::Waiting(decree, why) => {
                // All else may pass by itself; a key that does not sign is for a person.
                let level = if why == Why::Unsigned { Level::Alarm } else { Level::Warn };
                self.note(level, Some(&decree), format!("not sent yet: {why}"));
                self.remark(&decree, why.to_string());
            }
            Outcome::Halted(halt) => self.note(Level::Alarm, None, format!("the sender stands still: {halt}")),
        }
    }

    fn authorisation_resolved(&mut self, authorisation: &DecreeId, is_ours: bool) {
        let asked = self.live.get(authorisation).and_then(|live| live.request.asked.as_ref());
        if let Some(decree) = asked.and_then(|asked| asked.decree().ok()) {
            self.resolved(&decree, is_ours);
        }
    }

    fn resume_sender(&mut self, chain: &str, nonce: u64) {
        if self.keeps_out_of_nonce(chain, nonce) && self.lease.remember_sequence(chain, nonce) {
            self.remember_lease();
            let text = format!("an operator lets this party use its account on {chain} from nonce {nonce} on");
            return self.note(Level::Alarm, None, text);
        }
        let Some(side) = self.contracts.get_mut(chain) else { return };
        match side.sender.resume(nonce) {
            Ok(moves) => {
                let text = format!("an operator lets the sender of {chain} go on at nonce {nonce}");
                self.note(Level::Alarm, None, text);
                self.sender_moves(chain, moves);
            }
            Err(error) => self.note(Level::Warn, None, format!("sender of {chain}: {error}")),
        }
    }

    /// As [`Self::keeps_out_of_account`], of an account on an EVM chain.
    #[must_use]
    pub fn keeps_out_of_nonce(&self, chain: &str, nonce: u64) -> bool {
        let next = self.contracts.get(chain).and_then(|side| side.sender.facts().nonce);
        self.forgot_up_to(chain, next, nonce)
    }

    /// The newest block that the sender of a chain has heard of.
    #[must_use]
    pub fn sender_head(&self, chain: &str) -> Option<Height> {
        self.contracts.get(chain).map(|side| side.head)
    }

    /// The sender of a chain's account.
    #[must_use]
    pub fn sender(&self, chain: &str) -> Option<&crate::sender::Sender> {
        self.contracts.get(chain).map(|side| &side.sender)
    }
}
