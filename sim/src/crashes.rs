//! Every durable write on the path of a few requests, with a crash on either side of it. Enumerated, not sampled.
//!
//! A deterministic world is run once to count what each party writes between the block that shows the requests and the
//! moment when everything is settled and forgotten. Then it is run again for each of these writes, twice: the party dies
//! before the write reaches its disk, or after it and before anybody hears of it; it comes back from that disk. Up to
//! the crash each run is the first one, to the event, so no write is missed.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use chain_client::KeyType;
use mpc_core::PartyIndex;

use crate::outcome::Outcome;
use crate::plan::{Fault, Plan, Wish};
use crate::world::World;

/// Users ask here; the block that shows their requests comes a moment later.
const ASKED_MS: u64 = 1_000;
/// From here on writes count: the last moment before that block.
const COUNTED_FROM_MS: u64 = 1_999;
/// How long a party stays down.
const DOWN_MS: u64 = 3_000;
/// By then all is settled, crash or not; nothing goes wrong later.
const SETTLED_BY_MS: u64 = 25_000;

/// One crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashSite {
    /// Who dies.
    pub party: PartyIndex,
    /// At which of its writes, from 1.
    pub write: u64,
    /// Whether that write is lost.
    pub before: bool,
}

impl fmt::Display for CrashSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.before { "before" } else { "after" };
        write!(f, "party {} dies {side} its write {}", self.party, self.write)
    }
}

/// A crash that did harm.
#[derive(Clone, Debug)]
pub struct Harm {
    /// The crash.
    pub site: CrashSite,
    /// What was seen.
    pub text: String,
}

/// A scenario whose writes have been counted.
#[derive(Clone, Debug)]
pub struct Enumeration {
    plan: Plan,
    fulfilled: u64,
    /// By place of the party.
    writes: Vec<u64>,
    /// The order of turns at the ECDSA signature.
    turns: Vec<PartyIndex>,
}

impl Enumeration {
    /// A key, an ECDSA and an EdDSA signature, and a group of two, all at once, for `need` of `of`.
    ///
    /// # Errors
    /// What went wrong without any crash.
    pub fn of(need: u16, of: u16) -> Result<Self, String> {
        let wishes = [
            Wish::Key(KeyType::EcdsaSecp256k1),
            Wish::Sign(KeyType::EcdsaSecp256k1),
            Wish::Sign(KeyType::EddsaEd25519),
            Wish::Pair(KeyType::BitcoinSecp256k1),
        ];
        let calm = Plan::calm(31, need, of).healing_at(SETTLED_BY_MS);
        let plan = wishes.into_iter().fold(calm, |plan, wish| plan.wish(ASKED_MS, wish));
        let mut world = World::planned(plan.clone());
        let _ = world.run_until(COUNTED_FROM_MS, |_| false);
        let begun = world.journals();
        if !world.run_until(SETTLED_BY_MS - 1, World::is_quiet) {
            return Err(format!("nothing is settled by {SETTLED_BY_MS} ms: {:?}", world.outcome().violations));
        }
        let writes = world.journals().into_iter().zip(begun).map(|(end, begun)| end - begun).collect();
        let turns = world.turns(1);
        let outcome = world.finish();
        match judge(&outcome, 0, outcome.totals.fulfilled) {
            // A key, two signatures, a parent and its two children.
            None if outcome.totals.fulfilled == 6 => Ok(Self { plan, fulfilled: 6, writes, turns }),
            None => Err(format!("{} of 6 requests are answered", outcome.totals.fulfilled)),
            Some(text) => Err(text),
        }
    }

    /// How many writes each party makes on the path, by its place.
    #[must_use]
    pub fn writes(&self) -> &[u64] {
        &self.writes
    }

    /// One party of each role at the ECDSA signature: its leader, another signer, the last of those who do not sign.
    #[must_use]
    pub fn roles(&self) -> Vec<PartyIndex> {
        [self.turns.first(), self.turns.get(1), self.turns.last()].into_iter().flatten().copied().collect()
    }

    /// Both sides of every write of these parties.
    #[must_use]
    pub fn sites(&self, parties: &[PartyIndex]) -> Vec<CrashSite> {
        let mut sites = Vec::new();
        for party in parties {
            let writes = self.writes.get(usize::from(party.get())).copied().unwrap_or(0);
            for write in 1..=writes {
                sites.extend([true, false].map(|before| CrashSite { party: *party, write, before }));
            }
        }
        sites
    }

    /// Lets one crash happen and judges the end.
    #[must_use]
    pub fn crash(&self, site: CrashSite) -> Option<Harm> {
        let outcome = self.world(site).finish();
        judge(&outcome, 1, self.fulfilled).map(|text| Harm { site, text })
    }

    /// The event log of one crash, to look at.
    #[must_use]
    pub fn replay(&self, site: CrashSite) -> Outcome {
        self.world(site).logged().finish()
    }

    fn world(&self, CrashSite { party, write, before }: CrashSite) -> World {
        let mut world = World::planned(self.plan.clone());
        let _ = world.run_until(COUNTED_FROM_MS, |_| false);
        world.strike(Fault::CrashAtWrite { party, ahead: write, before, down_ms: DOWN_MS });
        world
    }

    /// Lets each crash happen, several at a time. Calls `done` after each.
    #[must_use]
    pub fn crash_all(&self, sites: &[CrashSite], jobs: usize, done: impl Fn() + Sync) -> Vec<Harm> {
        let (next, harms) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some(site) = sites.get(next.fetch_add(1, Ordering::Relaxed)) {
                let harm = self.crash(*site);
                done();
                if let Ok(mut harms) = harms.lock() {
                    harms.extend(harm);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                scope.spawn(work);
            }
        });
        harms.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What is wrong with the end of a run, if anything.
fn judge(outcome: &Outcome, crashes: u64, fulfilled: u64) -> Option<String> {
    let totals = &outcome.totals;
    if let Some(violation) = outcome.violations.first() {
        return Some(format!("{} at {} ms: {}", violation.law, violation.at_ms, violation.text));
    }
    if (totals.fulfilled, totals.expired, totals.open) != (fulfilled, 0, 0) {
        return Some(format!("{fulfilled} requests should be answered: {totals}"));
    }
    (totals.crashes != crashes).then(|| format!("{crashes} crashes were ordered: {totals}"))
}
