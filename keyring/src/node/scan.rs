//! What the chain lists as open: each request is examined once, and what is found decides whether it is worked on (law 1).

use std::collections::BTreeSet;

use chain_client::{Height, LowWater, Request};
use mpc_core::KeyId;

use super::chain::{decree_of, request_of};
use super::{ChainSide, Level, Node, Order};
use crate::admission::{self, Job, Known, Sighting, Verdict};
use crate::decree::{DecreeId, Kind};
use crate::planted::{self, Plant};
use crate::request::{RequestRecord, State};
use crate::shelf;
use crate::store::{Entry, Table};

/// Requests of a chain that were judged for good and are still shown as open, which are remembered as such. Beyond that
/// they are looked at again.
const JUDGED_MAX: usize = 16_384;

/// What of a chain's open requests this party has looked at. A request that can never be answered takes nobody's place.
#[derive(Default)]
pub(super) struct Examined {
    /// Asked about, not answered yet.
    asked: BTreeSet<DecreeId>,
    /// Judged for good, while the chain still shows them.
    judged: BTreeSet<DecreeId>,
}

impl Examined {
    /// Whether a request was asked about or judged.
    fn knows(&self, id: &DecreeId) -> bool {
        self.judged.contains(id) || self.asked.contains(id)
    }

    /// The examination has ended, or did not come about.
    pub(super) fn unseen(&mut self, id: &DecreeId) {
        self.asked.remove(id);
    }

    fn judge(&mut self, id: DecreeId) {
        if self.judged.len() < JUDGED_MAX {
            self.judged.insert(id);
        }
    }

    /// The chain shows these and no others.
    fn retain(&mut self, listed: &BTreeSet<DecreeId>) {
        self.asked.retain(|id| listed.contains(id));
        self.judged.retain(|id| listed.contains(id));
    }
}

impl Node {
    /// The chain's list of open requests, compared with what is live here. Each that is new is examined, as far as there is
    /// room for it: the others wait in the chain's own list.
    pub(super) fn open_requests(&mut self, chain: &str, height: Height, requests: Vec<Request>, complete: bool) {
        let mut room = self.room(chain);
        let Some(side) = self.chains.get(chain) else { return };
        let (keyring, absent_at) = (side.setup.keyring.clone(), side.complete_at.filter(|seen| *seen < height));
        let mut listed = BTreeSet::new();
        for request in requests.into_iter().filter(|request| !request.is_parent()) {
            let decree = decree_of(chain, &keyring, &request);
            listed.insert(decree.clone());
            if room > 0 && self.begins_to_examine(chain, &decree) {
                room -= 1;
                self.effects.orders.push(Order::Examine { decree, request: Box::new(request), at: height, absent_at });
            }
        }
        if complete {
            let Some(side) = self.chains.get_mut(chain) else { return };
            side.complete_at = side.complete_at.max(Some(height));
            side.examined.retain(&listed);
            let gone: Vec<DecreeId> = self
                .live
                .iter()
                .filter(|(id, live)| {
                    id.chain == chain && !live.request.learning && live.request.seen < height && !listed.contains(*id)
                })
                .map(|(id, _)| id.clone())
                .collect();
            for id in gone {
                let Some(request) = request_of(&id) else { continue };
                self.effects.orders.push(Order::ReadStanding(id, request));
            }
        }
    }

    /// Whether a request of the list is new to this party, which then begins to examine it.
    fn begins_to_examine(&mut self, chain: &str, id: &DecreeId) -> bool {
        let is_worked_on = self.live.get(id).is_some_and(|live| !live.request.learning);
        let has_ended = || matches!(self.stored_request(id), Ok(Some(record)) if record.state.is_end());
        let is_known = self.chains.get(chain).is_none_or(|side| side.examined.knows(id));
        if is_worked_on || is_known {
            return false;
        }
        if has_ended() {
            self.judged(chain, id.clone());
            return false;
        }
        self.chains.get_mut(chain).is_some_and(|side| side.examined.asked.insert(id.clone()))
    }

    /// How many more requests of a chain may be taken in, those under examination counted as if they had been.
    fn room(&self, chain: &str) -> usize {
        if planted::is(Plant::TakesEverythingIn) {
            return usize::MAX;
        }
        let asked = |side: &ChainSide| side.examined.asked.len();
        let asked_all: usize = self.chains.values().map(asked).sum();
        let here = self.live_on(chain) + self.chains.get(chain).map_or(0, asked);
        let all = self.live.len() + asked_all;
        self.places().saturating_sub(here).min(self.live_max.saturating_sub(all))
    }

    /// Remembers where the next scan may start, so that a restart does not read the chain's whole history.
    pub(super) fn scanned(&mut self, chain: &str, low_water: LowWater) {
        let Some(side) = self.chains.get_mut(chain).filter(|side| side.low_water < low_water) else { return };
        side.low_water = low_water;
        let bytes = postcard::to_stdvec(&low_water).unwrap_or_default();
        self.write([Entry::put(Table::Cursor, chain.as_bytes(), bytes)]);
    }

    /// A request as the own endpoint shows it (law 1): admitted, refused for good, or looked at again.
    pub(super) fn seen(&mut self, chain: &str, sighting: Sighting) {
        let id = sighting.decree.clone();
        let Some(side) = self.chains.get_mut(chain) else { return };
        side.examined.unseen(&id);
        if self.live.get(&id).is_some_and(|live| !live.request.learning) {
            return;
        }
        let (reserved, seen) = (side.setup.reserved.clone(), side.height);
        match self.stored_request(&id) {
            Ok(Some(record)) if record.state.is_end() => return self.judged(chain, id),
            Ok(_) => {}
            Err(error) => {
                self.memory_failed(Some(&id), &error);
                return self.judged(chain, id);
            }
        }
        let verdict = admission::judge(&sighting, &reserved, |key| self.known(key, &id));
        let record = RequestRecord { load: Some(sighting.load), ..RequestRecord::new(seen) };
        match verdict {
            // What else was admitted meanwhile may have taken its place: it is listed again.
            Verdict::Admitted(_) if !self.live.contains_key(&id) && self.room(chain) == 0 => {}
            Verdict::Admitted(job) => self.admit(job, record),
            Verdict::Group => self.judged(chain, id),
            Verdict::Never(reason) => {
                let note = reason.to_string();
                self.note(Level::Info, Some(&id), format!("unanswerable: {note}"));
                let record = RequestRecord { state: State::Unanswerable(reason), note, ..record };
                self.write_ended(&id, &record);
                self.judged(chain, id);
            }
            Verdict::NotYet(key) => self.learn_owner(&sighting, key),
        }
    }

    /// A request of the chain's list needs no second look.
    fn judged(&mut self, chain: &str, id: DecreeId) {
        if let Some(side) = self.chains.get_mut(chain) {
            side.examined.judge(id);
        }
    }

    /// What this party knows of a key that the chain shows under a number.
    fn known(&self, key: KeyId, asked_by: &DecreeId) -> Known {
        match (shelf::read_record(&self.memory, key), shelf::binding(&self.memory, key)) {
            (Ok(Some(record)), Ok(bound)) if !record.certificate.is_empty() => match bound {
                Some(bound) if bound.chain == asked_by.chain && bound.keyring == asked_by.keyring => {
                    Known::Bound(bound.request)
                }
                Some(_) => Known::BoundElsewhere,
                None => Known::Unbound,
            },
            (Ok(None), _) => Known::Stranger,
            // Uncertified, or the store failed: not this party's to judge now.
            _ => Known::Unbound,
        }
    }

    /// The key is ours and this party has not learned whose it is: the decree of the key request knows.
    fn learn_owner(&mut self, sighting: &Sighting, key: KeyId) {
        let Some(chain_key) = &sighting.key else { return };
        let id = DecreeId { kind: Kind::Key, request: chain_key.id, ..sighting.decree.clone() };
        if self.live.contains_key(&id) || self.room(&id.chain) == 0 {
            return;
        }
        self.note(Level::Warn, Some(&sighting.decree), format!("{key:?} is ours; asking whose it is"));
        let task = admission::Task::Key { key_type: chain_key.key_type };
        let job = Job { decree: id, created: sighting.created, deadline: None, task };
        self.learn(job);
    }
}
