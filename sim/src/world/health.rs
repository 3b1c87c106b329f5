//! What each node says of itself: the daemon's own judgement, over what its node and its shell show in this world.

use keyring::app::look::NodeLook;
use keyring::readiness::{Beat, ChainShell, Facts, PeerFacts, Readiness};
use mpc_core::PartyIndex;

use super::World;
use crate::network::Network;
use crate::plan::Endpoints;
use crate::process::Process;
use crate::town::{CHAIN, Town};

/// How long liars go on after everything else has healed.
pub(super) const LIES_END_MS: u64 = 5_000;

/// What a process tells a monitor; `None` while it is down.
fn says(process: &Process, town: &Town, network: &Network, now: u64) -> Option<Readiness> {
    let (party, node) = (process.party, process.node.as_ref()?);
    let look = NodeLook::at(node, process.store.as_ref(), &[CHAIN.to_owned()], now);
    let shell = ChainShell {
        id: CHAIN.to_owned(),
        keyring_address: town.keyring.clone(),
        account: town.account(party).address().to_owned(),
        // Endpoints always answer when they are asked for the head.
        read_age_ms: Some(0),
        look_age_ms: (process.sees > 0).then_some(0),
        ..ChainShell::default()
    };
    let name = |party: PartyIndex| format!("party {party}");
    let others = town.threshold.parties().filter(|peer| *peer != party);
    let is_here = |peer| look.present.contains(&peer) && network.is_up(party, peer);
    let chain = shell.facts(look.chains.get(CHAIN));
    Some(Readiness::of(&Facts {
        need: usize::from(town.threshold.need()),
        quorum: town.committee.quorum(),
        peers: others.map(|peer| PeerFacts { name: name(peer), is_here: is_here(peer) }).collect(),
        store_halted: false,
        links_ended: false,
        tasks_ended: Vec::new(),
        clock_warning: String::new(),
        node: Beat::Answered(look.facts(name, vec![chain], Vec::new())),
    }))
}

impl World {
    /// What a party's node tells a monitor now; `None` while it is down.
    #[must_use]
    pub fn readiness(&self, party: PartyIndex) -> Option<Readiness> {
        says(self.process(party), &self.town, &self.network, self.now)
    }

    /// Judges a node by what it holds and by what it says of itself.
    pub(super) fn judge_health(&mut self, party: PartyIndex) {
        if !self.is_still() {
            self.laws.disturbed();
        }
        self.laws.round_trip(2 * self.network.weather.way_ms_max());
        for process in &self.processes {
            if let Some(node) = process.node.as_ref() {
                self.laws.acts(process.party, node.may_act());
            }
        }
        let place = |party: PartyIndex| usize::from(party.get());
        let (processes, town, network, now) = (&self.processes, &self.town, &self.network, self.now);
        let Some(node) = processes.get(place(party)).and_then(|process| process.node.as_ref()) else { return };
        let told = |party| says(processes.get(place(party))?, town, network, now);
        self.laws.healthy(node, told, self.plan.live_max);
    }

    /// Whether nothing is wrong that no node can see: frames that get lost or late, reads that fail, lies, what a test holds
    /// back.
    fn is_still(&self) -> bool {
        let weather = self.network.weather;
        let lies = !self.liars.is_empty() && !self.lies_are_over();
        let is_plain = |process: &Process| {
            process.slowness == 1 && process.lag == 0 && process.lie.is_none() && process.frames_left.is_none()
        };
        (weather.slow, weather.lost) == (0, 0)
            && self.endpoints == Endpoints::default()
            && self.held_back.is_none()
            && !lies
            && self.processes.iter().all(is_plain)
    }

    /// Whether liars have become honest.
    pub(super) const fn lies_are_over(&self) -> bool {
        self.healed && self.now > self.plan.heals_at + LIES_END_MS
    }
}
