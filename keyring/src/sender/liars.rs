//! Endpoints that say anything: nothing panics, and whatever is signed stays within the bounds.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;
use chain_client::Height;
use proptest::prelude::*;

use super::model::{GAS, GWEI, ModelPen, decree, delivery, settings};
use super::{
    AccountLook, ContractLook, Halt, Hint, IN_FLIGHT_MAX, Look, Moves, Outcome, Receipt, RequestLook, RequestState,
    Revert, SIGNED_PER_NONCE_MAX, Sender, Sight, Simulated, Want,
};
use crate::store::{MemoryStore, Store as _};

const ANSWERS: u64 = 6;

#[derive(Clone, Debug)]
enum Said {
    Block(u64),
    /// Wild, or such that it does not stop the sender at once.
    Sight(bool, Sight),
    /// About which answer; receipts are of these of its transactions.
    Look(u64, bool, Look, Vec<(usize, Receipt)>),
    Simulated(usize, Simulated),
    Hint(usize, Hint),
    Forget(u64),
    Restart,
}

fn wei() -> impl Strategy<Value = u128> {
    prop_oneof![6 => 0..8 * GWEI, 2 => 0..4_000_000 * GWEI, 1 => any::<u128>(), 1 => Just(u128::MAX)]
}

fn small() -> impl Strategy<Value = u64> {
    prop_oneof![12 => 0..12u64, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn sight() -> impl Strategy<Value = Sight> {
    let account = (wei(), prop_oneof![4 => Just(0u64), 1 => 0..9u64], small(), prop::bool::weighted(0.8));
    (small(), any::<u32>(), wei(), small(), account).prop_map(|(head, timestamp, base_fee, finality, account)| {
        let (balance, final_nonce, nonce, is_at_rest) = account;
        let nonce = if is_at_rest { final_nonce } else { nonce };
        // Days pass quickly, and back again.
        let timestamp = u64::from(timestamp % 400_000);
        let balance = balance.saturating_mul(200_000);
        let account = AccountLook { balance, nonce, final_nonce };
        Sight { head: Height(head), timestamp, base_fee, finality: Height(finality.min(head)), account }
    })
}

fn state() -> impl Strategy<Value = RequestState> {
    prop_oneof![
        6 => Just(RequestState::Open),
        1 => Just(RequestState::Unknown),
        1 => any::<bool>().prop_map(|agrees| RequestState::Answered { agrees }),
    ]
}

fn look() -> impl Strategy<Value = Look> {
    let contract =
        (prop::bool::weighted(0.1), prop::bool::weighted(0.9), prop_oneof![9 => Just(GAS), 1 => any::<u64>()]);
    (sight(), contract, state(), prop::bool::weighted(0.1), wei()).prop_map(
        |(sight, contract, at_head, is_old, value)| {
            let (paused, listed, response_gas) = contract;
            let at_final = if is_old { at_head } else { RequestState::Open };
            Look {
                sight,
                contract: ContractLook { paused, listed, response_gas },
                request: RequestLook { at_head, at_final, value: value.saturating_mul(200_000) },
                receipts: Vec::new(),
            }
        },
    )
}

fn receipt() -> impl Strategy<Value = Receipt> {
    (small(), any::<bool>(), any::<u64>(), wei()).prop_map(|(height, succeeded, gas_used, price)| Receipt {
        hash: B256::ZERO,
        height: Height(height),
        succeeded,
        gas_used,
        price,
    })
}

fn said() -> impl Strategy<Value = Said> {
    let revert = prop_oneof![Just(Revert::Panic), Just(Revert::Answered), any::<String>().prop_map(Revert::Other),];
    let simulated = prop_oneof![4 => Just(Simulated::Passed), 1 => revert.prop_map(Simulated::Reverted)];
    let hint = prop_oneof![Just(Hint::Taken), Just(Hint::Underpriced), Just(Hint::NonceSpent), Just(Hint::Unknown)];
    prop_oneof![
        4 => prop_oneof![20 => 0..6u64, 1 => any::<u64>()].prop_map(Said::Block),
        2 => (prop::bool::weighted(0.02), sight()).prop_map(|(is_wild, sight)| Said::Sight(is_wild, sight)),
        12 => (0..ANSWERS, prop::bool::weighted(0.01), look(), prop::collection::vec((any::<usize>(), receipt()), 1..4))
            .prop_map(|(which, is_wild, look, receipts)| Said::Look(which, is_wild, look, receipts)),
        12 => (any::<usize>(), simulated).prop_map(|(which, said)| Said::Simulated(which, said)),
        3 => (any::<usize>(), hint).prop_map(|(which, hint)| Said::Hint(which, hint)),
        1 => (0..ANSWERS).prop_map(Said::Forget),
        1 => Just(Said::Restart),
    ]
}

struct World {
    store: MemoryStore,
    sender: Sender,
    pen: ModelPen,
    asked: Vec<(u64, super::Call)>,
    height: u64,
    /// Of each answer, how often it was mined and reverted.
    lost: BTreeMap<u64, u32>,
    forgotten: BTreeSet<u64>,
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::new(1);
        let sender = Sender::recover(settings(), &store).unwrap();
        let (pen, asked, height) = (ModelPen::new(), Vec::new(), 1);
        let (lost, forgotten) = (BTreeMap::new(), BTreeSet::new());
        let mut world = Self { store, sender, pen, asked, height, lost, forgotten };
        world.publish();
        world
    }

    fn publish(&mut self) {
        for request in (0..ANSWERS).filter(|request| !self.forgotten.contains(request)) {
            let _ = self.sender.publish(decree(request), delivery(request, 0, Height(0)));
        }
    }

    /// A sight of an account that has moved by what was signed, or not at all.
    fn tame(&self, mut sight: Sight) -> Sight {
        let next = self.sender.facts().nonce.unwrap_or(0);
        let unspent = self.sender.slots().map(|slot| slot.nonce).min().unwrap_or(next);
        let AccountLook { nonce, final_nonce, .. } = sight.account;
        let lead = nonce.saturating_sub(final_nonce);
        sight.account.final_nonce = unspent.saturating_add(final_nonce).min(next);
        sight.account.nonce = sight.account.final_nonce.saturating_add(lead).min(next);
        sight.head = Height(self.height.saturating_add(sight.head.0 % 3).saturating_sub(1));
        sight.finality = Height(sight.head.0.saturating_sub(sight.finality.0 % 5));
        sight
    }

    fn hears(&mut self, said: Said) {
        let moves = match said {
            Said::Block(more) => {
                // Past the end of all heights it begins anew.
                self.height = self.height.wrapping_add(more);
                self.sender.block(Height(self.height))
            }
            Said::Sight(true, sight) => self.sender.sighted(&sight),
            Said::Sight(false, sight) => self.sender.sighted(&self.tame(sight)),
            Said::Look(which, is_wild, mut look, receipts) => {
                if !is_wild {
                    look.sight = self.tame(look.sight);
                }
                let slots = self.sender.slots().filter(|slot| slot.decree == decree(which));
                let hashes: Vec<B256> = slots.flat_map(|slot| &slot.signed).map(|signed| signed.hash).collect();
                for (at, receipt) in receipts {
                    let hash = hashes.get(at % hashes.len().max(1)).copied().unwrap_or_default();
                    look.receipts.push(Receipt { hash, ..receipt });
                }
                self.sender.looked(&decree(which), &look, &self.pen)
            }
            Said::Simulated(which, said) => {
                if self.asked.is_empty() {
                    return;
                }
                let (request, call) = self.asked.swap_remove(which % self.asked.len());
                self.sender.simulated(&decree(request), &call, &said, &self.pen)
            }
            Said::Hint(which, hint) => {
                let signed: Vec<_> = self.sender.slots().flat_map(|slot| slot.signed.clone()).collect();
                if let Some(signed) = signed.get(which % signed.len().max(1)) {
                    self.sender.hinted(signed.nonce, signed.hash, hint);
                }
                Moves::default()
            }
            Said::Forget(which) => {
                self.forgotten.insert(which);
                self.sender.forget(&decree(which))
            }
            Said::Restart => {
                self.sender = Sender::recover(settings(), &self.store).unwrap();
                self.publish();
                Moves::default()
            }
        };
        self.store.append(&moves.entries).unwrap();
        for outcome in moves.outcomes {
            if let Outcome::Lost { decree, .. } = outcome {
                *self.lost.entry(decree.request).or_default() += 1;
            }
        }
        for want in moves.wants {
            match want {
                Want::Simulate(decree, call, _) => self.asked.push((decree.request, call)),
                Want::Look(..) | Want::Broadcast(_) => {}
            }
        }
        let early = self.asked.len().saturating_sub(8);
        self.asked.drain(..early);
        let nonce = self.sender.facts().nonce.unwrap_or(0);
        // What went back is taken back without regard for the bounds, which were kept when it was signed.
        if matches!(self.sender.halted(), Some(Halt::MovedWithoutUs { .. } | Halt::Stranger { .. }))
            && let Ok(moves) = self.sender.resume(nonce)
        {
            self.store.append(&moves.entries).unwrap();
        }
    }

    fn judge(&self) {
        let (settings, facts) = (settings(), self.sender.facts());
        let reserved: u128 = self.sender.slots().map(super::Slot::worst).sum();
        assert!(facts.lost_today + reserved <= settings.max_loss_per_day, "{facts:?}, {reserved} reserved");
        let nonces: Vec<u64> = self.sender.slots().map(|slot| slot.nonce).collect();
        assert!(nonces.len() <= IN_FLIGHT_MAX && nonces.iter().all(|nonce| Some(*nonce) < facts.nonce));
        let answers: BTreeSet<_> = self.sender.slots().map(|slot| &slot.decree).collect();
        assert_eq!(answers.len(), nonces.len(), "an answer has two nonces");
        for slot in self.sender.slots() {
            assert!(slot.signed.len() <= SIGNED_PER_NONCE_MAX);
            let lost = self.sender.records.get(&slot.decree).map_or(0, |record| record.lost);
            assert!(lost + slot.worst() <= settings.max_loss_per_answer);
            assert!(slot.signed.iter().all(|signed| signed.nonce == slot.nonce && signed.price <= settings.price_max));
            assert!(slot.signed.windows(2).all(|two| two[1].price * 8 >= two[0].price * 9), "{slot:?}");
        }
        let restarted = Sender::recover(settings, &self.store).unwrap();
        assert!(restarted.slots().eq(self.sender.slots()), "the disk has something else");
        assert!(self.lost.values().all(|lost| *lost <= 1));
    }
}

proptest! {
    #[test]
    fn whatever_is_said_nothing_panics_and_every_bound_holds(said in prop::collection::vec(said(), 1..300)) {
        let mut world = World::new();
        for said in said {
            world.hears(said);
            world.judge();
        }
    }
}
