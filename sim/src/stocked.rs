//! Prepared disks: a committee whose shelf is full, whose auxiliary data is in force, and for which the chain has a key of
//! each type. Made once per process and size, by the same nodes, in a calm world.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chain_client::KeyType;
use devnet::chain::Chain;
use keyring::store::DiskImage;

use crate::plan::{Plan, Wish};
use crate::world::World;

/// What a prepared world begins from.
pub(crate) struct Stocked {
    pub(crate) disks: Vec<DiskImage>,
    pub(crate) chain: Chain,
}

type Size = (u16, u16, usize);

static STOCKED: Mutex<BTreeMap<Size, Arc<Stocked>>> = Mutex::new(BTreeMap::new());

/// The prepared disks of `need` of `of`.
pub(crate) fn of(need: u16, of: u16, keys_per_lane: usize) -> Arc<Stocked> {
    let mut all = STOCKED.lock().unwrap_or_else(PoisonError::into_inner);
    all.entry((need, of, keys_per_lane)).or_insert_with(|| Arc::new(prepare(need, of, keys_per_lane))).clone()
}

fn prepare(need: u16, of: u16, keys_per_lane: usize) -> Stocked {
    const LONG_MS: u64 = 600_000;
    let mut plan = Plan { from_scratch: true, keys_per_lane, slots: 4, compute_ms: (1, 2), ..Plan::calm(7, need, of) };
    // Keys 1 to 4; key 2 is one that the chain reserves.
    let types = [KeyType::EcdsaSecp256k1, KeyType::EcdsaSecp256k1, KeyType::EddsaEd25519, KeyType::BitcoinSecp256k1];
    plan.wishes = (0..).zip(types).map(|(place, key_type)| (500 + place * 3_000, Wish::Key(key_type))).collect();
    let mut world = World::from_scratch(plan);
    let done = world.run_until(LONG_MS, |world| world.now() > 12_000 && world.is_settled() && world.is_stocked());
    assert!(done, "a calm committee of {need} of {of} stocks its shelf: {:?}", world.outcome().violations);
    world.stop()
}
