//! What the world outside is told of the node's health: one bounded look at it, judged by [`crate::readiness`].

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use mpc_core::PartyIndex;

use super::Inbox;
use super::facts::{ChainView, ContractView, Desk};
use super::look::{ContractLook, NodeLook};
use crate::agreement::clock::Millis;
use crate::metrics::{ChainSnapshot, ProcessFacts, Snapshot};
use crate::monitoring::Probe;
use crate::node::Node;
use crate::readiness::{Beat, ChainShell, ContractFacts, Facts, NodeFacts, PeerFacts, Readiness};
use crate::store::Store;

/// Longest wait for the node's thread. It takes at most a few hundred events between two looks.
pub(super) const LOOK_MAX: Duration = Duration::from_secs(3);

impl Inbox {
    /// Looks at the node, and does not wait for ever.
    pub(super) async fn look_within<T: Send + 'static>(
        &self,
        longest: Duration,
        look: impl FnOnce(&Node, &dyn Store) -> T + Send + 'static,
    ) -> Beat<T> {
        match tokio::time::timeout(longest, self.look(look)).await {
            Ok(Some(seen)) => Beat::Answered(seen),
            Ok(None) => Beat::Ended,
            Err(_) => Beat::Stuck(ms(longest)),
        }
    }

    /// News that wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }
}

impl Desk {
    pub(super) async fn look(&self) -> Beat<NodeLook> {
        let chains: Vec<String> = self.chains.keys().chain(self.contracts.keys()).cloned().collect();
        let clock = self.clock.clone();
        let look = move |node: &Node, store: &dyn Store| NodeLook::at(node, store, &chains, clock.monotonic_ms());
        self.inbox.look_within(LOOK_MAX, look).await
    }

    pub(super) async fn readiness(&self) -> Readiness {
        let look = self.look().await;
        Readiness::of(&self.readiness_facts(look.as_ref()))
    }

    pub(super) fn readiness_facts(&self, node: Beat<&NodeLook>) -> Facts {
        let peers = self.roster.indices().filter(|place| *place != self.me).filter_map(|place| {
            let entry = self.roster.entry(place)?;
            let counted = match &node {
                Beat::Answered(look) => look.present.contains(&place),
                Beat::Stuck(_) | Beat::Ended => true,
            };
            let is_here = counted && self.links.is_up(transport::PeerId::from(entry.node_key));
            Some(PeerFacts { name: entry.name.clone(), is_here })
        });
        Facts {
            need: self.roster.threshold().need().into(),
            quorum: self.roster.quorum(),
            peers: peers.collect(),
            store_halted: self.store_halted.load(Ordering::SeqCst),
            links_ended: self.links_ended.load(Ordering::SeqCst),
            tasks_ended: self.tasks.names(),
            clock_warning: super::skew::skew(&self.links).map(|skew| skew.warning()).unwrap_or_default(),
            node: match node {
                Beat::Answered(look) => Beat::Answered(self.node_facts(look)),
                Beat::Stuck(waited_ms) => Beat::Stuck(waited_ms),
                Beat::Ended => Beat::Ended,
            },
        }
    }

    fn node_facts(&self, look: &NodeLook) -> NodeFacts {
        let chain = |(id, view): (&String, &ChainView)| chain_shell(id, view).facts(look.chains.get(id));
        let contract = |(id, view): (&String, &ContractView)| contract_facts(id, view, look.contracts.get(id));
        let (chains, contracts) = (self.chains.iter().map(chain), self.contracts.iter().map(contract));
        look.facts(|at| self.name_of(at), chains.collect(), contracts.collect())
    }

    fn name_of(&self, party: PartyIndex) -> String {
        self.roster.entry(party).map(|entry| entry.name.clone()).unwrap_or_default()
    }

    async fn snapshot(&self) -> Snapshot {
        let look = self.look().await;
        let readiness = Readiness::of(&self.readiness_facts(look.as_ref()));
        let chain = |(id, view): (&String, &ChainView)| {
            let snapshot = ChainSnapshot { read_age_ms: view.pulse.read_age_ms(), endpoints: view.client.health() };
            (id.clone(), snapshot)
        };
        Snapshot {
            readiness,
            node: match look {
                Beat::Answered(look) => Some(look),
                Beat::Stuck(_) | Beat::Ended => None,
            },
            parties: self.roster.parties().iter().map(|entry| entry.name.clone()).collect(),
            inbox_waiting: self.inbox.waiting(),
            links: self.links.snapshot(),
            gate: self.links.gate(),
            chains: self.chains.iter().map(chain).collect::<BTreeMap<_, _>>(),
            rounds_dropped: self.driver.dropped(),
            process: ProcessFacts::read(self.started_wall_ms),
        }
    }
}

#[async_trait]
impl Probe for Desk {
    async fn is_alive(&self) -> bool {
        matches!(self.inbox.look_within(LOOK_MAX, |_, _| ()).await, Beat::Answered(()))
    }

    async fn readiness(&self) -> Readiness {
        self.readiness().await
    }

    async fn metrics(&self) -> String {
        self.metrics.text(&self.snapshot().await)
    }
}

fn chain_shell(id: &str, view: &ChainView) -> ChainShell {
    ChainShell {
        id: id.to_owned(),
        keyring_address: view.client.keyring_address().to_owned(),
        account: view.account.clone(),
        poll_ms: ms(view.poll),
        call_timeout_ms: ms(view.call_timeout),
        read_age_ms: view.pulse.read_age_ms(),
        look_age_ms: view.pulse.look_age_ms(),
        look_failed: view.pulse.look_failed(),
        failing_endpoints: view.client.health().into_iter().filter(|one| one.resting).map(|one| one.name).collect(),
    }
}

fn contract_facts(id: &str, view: &ContractView, look: Option<&ContractLook>) -> ContractFacts {
    ContractFacts {
        id: id.to_owned(),
        poll_ms: ms(view.poll),
        call_timeout_ms: ms(view.call_timeout),
        read_age_ms: look.and_then(|_| view.pulse.read_age_ms()),
        look_age_ms: look.and_then(|_| view.pulse.look_age_ms()),
        closed: look.and_then(|look| look.closed.clone()),
        is_full: look.is_some_and(|look| look.is_full),
        has_controller: look.is_some_and(|look| look.controller.is_some()),
        halted: look.and_then(|look| look.halted.clone()),
        waits: look.map(|look| look.waits.clone()).unwrap_or_default(),
        unread_destinations: look.map(|look| look.unread.clone()).unwrap_or_default(),
        failing_endpoints: view.client.health().into_iter().filter(|one| one.resting).map(|one| one.name).collect(),
    }
}

fn ms(span: Duration) -> Millis {
    Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX)
}
