//! Laws 8 and 10: what a node holds keeps its bounds; whom it counts as here is here; and whoever does not contribute, or
//! has something to do that does not move, names what keeps it.

use std::collections::BTreeMap;

use keyring::decree::DecreeId;
use keyring::lease::LEASE_MS;
use keyring::node::Node;
use keyring::readiness::{Name, Readiness};
use keyring::request::State;
use mpc_core::PartyIndex;

/// A peer counts as here for so long after it was last heard, or could act: one lease, and the longest time between two
/// looks of a node.
const PRESENT_MS_MAX: u64 = LEASE_MS + 2_000;
/// Where nothing goes wrong and nothing is achieved for so long, something stands in the way. It is longer than it takes a
/// node to call a chain halted.
const STILL_MS: u64 = 45_000;
/// Account sequences that one party may have in flight.
const SEQUENCES_MAX: usize = 16;
/// Packets of one peer that are kept about requests which the own endpoint does not show.
const EARLY_PACKETS_MAX: usize = 4_096;
/// Their bytes.
const EARLY_BYTES_MAX: usize = 4 << 20;

/// What was broken, and how.
type Broken = (&'static str, String);

/// What the judgement needs to remember.
#[derive(Default)]
pub(crate) struct Health {
    /// When each party last took in anything of each peer.
    heard: BTreeMap<(PartyIndex, PartyIndex), u64>,
    /// Since when each living party may not act.
    idle: BTreeMap<PartyIndex, u64>,
    /// How long a question and its answer travel at most, by the weather of this moment.
    pub(crate) round_trip: u64,
    /// Since when each party has had each request to do.
    waiting: BTreeMap<(PartyIndex, DecreeId), u64>,
    /// When something last went wrong, or was achieved.
    moved_at: u64,
    /// Most packets that any party ever kept of a peer.
    pub(crate) early_most: usize,
}

impl Health {
    /// A party has taken in something of a peer.
    pub(crate) fn heard(&mut self, by: PartyIndex, from: PartyIndex, now: u64) {
        self.heard.insert((by, from), now);
    }

    /// A process has ended.
    pub(crate) fn ended(&mut self, party: PartyIndex) {
        self.waiting.retain(|(by, _), _| *by != party);
        self.heard.retain(|(by, _), _| *by != party);
        self.idle.remove(&party);
    }

    /// Whether a living party may act.
    pub(crate) fn acts(&mut self, party: PartyIndex, acts: bool, now: u64) {
        if acts {
            self.idle.remove(&party);
        } else {
            self.idle.entry(party).or_insert(now);
        }
    }

    /// Something went wrong, or was achieved: what waits has no cause of its own yet.
    pub(crate) const fn moved(&mut self, now: u64) {
        self.moved_at = now;
    }

    /// A living node, and what it would tell a monitor. `live_max` and `parties` are what it was set up with.
    pub(crate) fn look(
        &mut self,
        node: &Node,
        says: impl Fn(PartyIndex) -> Option<Readiness>,
        (live_max, parties): (usize, u16),
        now: u64,
    ) -> Option<Broken> {
        self.beyond_bounds(node, live_max, usize::from(parties))
            .or_else(|| self.counts_who_is_gone(node, now))
            .or_else(|| self.is_silent_about_itself(node, says, parties, now))
    }

    fn beyond_bounds(&mut self, node: &Node, live_max: usize, parties: usize) -> Option<Broken> {
        let (live, runs) = (node.live().count(), node.runs());
        let in_flight = node.outbox(crate::town::CHAIN).map_or(0, |outbox| outbox.slots().count());
        let most = |which: fn((PartyIndex, usize, usize)) -> usize| node.early_kept().map(which).max().unwrap_or(0);
        let (packets, bytes) = (most(|(_, packets, _)| packets), most(|(_, _, bytes)| bytes));
        self.early_most = self.early_most.max(packets);
        // A request has one run at a time, a lane one key, the roster one run of auxiliary data.
        let runs_max = live_max + parties + 1;
        let sizes = [
            (live, live_max, "open requests"),
            (runs, runs_max, "runs"),
            (in_flight, SEQUENCES_MAX, "sequences in flight"),
            (packets, EARLY_PACKETS_MAX, "early packets of one peer"),
            (bytes, EARLY_BYTES_MAX, "bytes of early packets of one peer"),
        ];
        let beyond = sizes.into_iter().find(|(size, most, _)| size > most);
        beyond.map(|(size, most, what)| {
            ("within_bounds", format!("{}: {size} {what}, at most {most} are allowed", node.me()))
        })
    }

    fn counts_who_is_gone(&self, node: &Node, now: u64) -> Option<Broken> {
        let me = node.me();
        let age = |peer: &PartyIndex| now - self.heard.get(&(me, *peer)).copied().unwrap_or(0);
        let idle = |peer: &PartyIndex| self.idle.get(peer).map_or(0, |since| now - since);
        // That it may not act is the next thing that it says, when it has heard the answer to the last.
        let is_gone = |peer: &PartyIndex| age(peer) > PRESENT_MS_MAX || idle(peer) > PRESENT_MS_MAX + self.round_trip;
        let gone = node.present().iter().find(|peer| **peer != me && is_gone(peer))?;
        let (age, idle) = (age(gone), idle(gone));
        let text = format!(
            "{me} counts {gone} as here, which it last heard {age} ms ago and which may not act since {idle} ms"
        );
        Some(("no_false_health", text))
    }

    fn is_silent_about_itself(
        &mut self,
        node: &Node,
        says: impl Fn(PartyIndex) -> Option<Readiness>,
        parties: u16,
        now: u64,
    ) -> Option<Broken> {
        let me = node.me();
        if !node.may_act() && says(me).is_some_and(|says| says.is_ready()) {
            return Some(("no_false_health", format!("{me} does not act and says that it is ready")));
        }
        // What a node has taken from it is the chain's to show, and the others' to answer.
        let is_own = |state: &State| !state.is_end() && *state != State::Submitted;
        let to_do: Vec<DecreeId> = node
            .live()
            .filter(|live| !live.request.learning && is_own(&live.request.state))
            .map(|live| live.decree.clone())
            .collect();
        self.waiting.retain(|(party, decree), _| *party != me || to_do.contains(decree));
        for decree in to_do {
            let since = *self.waiting.entry((me, decree.clone())).or_insert(now);
            let stands_still = now - since.max(self.moved_at) > STILL_MS;
            // That somebody is absent keeps nothing from being done, as long as enough are here. Whoever contributes all that
            // it can need not know what keeps another one.
            let names_cause = |says: Readiness| says.names().any(|name| name != Name::PeersAbsent);
            if stands_still && !(0..parties).filter_map(|party| says(PartyIndex::new(party))).any(names_cause) {
                return Some((
                    "no_false_health",
                    format!("{me} does not get on with {decree}, and nobody names a cause"),
                ));
            }
        }
        None
    }
}
