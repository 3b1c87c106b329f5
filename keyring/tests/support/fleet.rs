//! A fleet of daemons in this process: real stores, real links on loopback, a real gRPC chain; only the processes are
//! one. Each daemon can be stopped and started again from its own folder.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use keyring::app::{App, Running};
use keyring::config::{Config, ProcessEnvironment};
use keyring::store::Table;

use super::ground::{CHAIN, Ground, Terms};

pub(crate) struct Fleet {
    ground: Ground,
    running: Vec<Option<Running>>,
    monitoring: Vec<Option<SocketAddr>>,
}

impl Deref for Fleet {
    type Target = Ground;

    fn deref(&self) -> &Ground {
        &self.ground
    }
}

impl DerefMut for Fleet {
    fn deref_mut(&mut self) -> &mut Ground {
        &mut self.ground
    }
}

impl Fleet {
    /// A chain with a keyring of `of` parties of which `need` sign, and all daemons running. With `dealt`, auxiliary data
    /// comes from a dealer and is in force at once; without, the daemons make it, which takes half a minute.
    pub(crate) async fn start(need: u16, of: u16, block: Duration, lifetime_blocks: u64, dealt: bool) -> Self {
        Self::on(Terms { block, lifetime_blocks, dealt, ..Terms::of(need, of) }).await
    }

    /// The same, with every choice.
    pub(crate) async fn on(terms: Terms) -> Self {
        Self::of(Ground::lay(terms).await).await
    }

    /// All daemons running on a ground that is laid out.
    pub(crate) async fn of(ground: Ground) -> Self {
        let of = usize::from(ground.terms.of);
        let mut fleet = Self { ground, running: (0..of).map(|_| None).collect(), monitoring: vec![None; of] };
        for party in 0..of {
            fleet.start_party(party).await;
        }
        fleet
    }

    pub(crate) async fn start_party(&mut self, party: usize) {
        let config = Config::load(&self.party_folder(party).join("keyringd.toml")).unwrap();
        let primes = mpc_core::primes::prepared(party).unwrap();
        let app = App::build(config, &ProcessEnvironment, Some(primes)).await.unwrap();
        self.monitoring[party] = app.monitoring_address();
        self.running[party] = Some(app.spawn().unwrap());
    }

    pub(crate) async fn stop_party(&mut self, party: usize) {
        if let Some(running) = self.running[party].take() {
            running.drain(Duration::from_secs(10)).await.unwrap();
        }
    }

    pub(crate) async fn stop(mut self) {
        for party in 0..self.running.len() {
            self.stop_party(party).await;
        }
        self.ground.devnet.stop().await;
    }

    /// A daemon that runs.
    pub(crate) fn running(&self, party: usize) -> &Running {
        self.running[party].as_ref().unwrap()
    }

    /// Where a daemon answers for monitoring.
    pub(crate) fn monitoring(&self, party: usize) -> SocketAddr {
        self.monitoring[party].unwrap()
    }

    /// Signing runs that any running daemon has ever entered, each counted once.
    pub(crate) async fn signing_runs(&self) -> usize {
        let mut runs = std::collections::BTreeSet::new();
        for running in self.running.iter().flatten() {
            let entered = running.inbox().look(|_, store| store.scan(Table::Session, b"", None, 10_000).unwrap()).await;
            // Stock runs are marked with one word, signing runs with their decree.
            runs.extend(entered.unwrap().into_iter().filter(|(_, what)| what.len() > 16).map(|(session, _)| session));
        }
        runs.len()
    }

    /// Brings a party news as if they came from its chain.
    pub(crate) async fn tell(&self, party: usize, news: keyring::node::ChainNews) {
        let running = self.running[party].as_ref().unwrap();
        running.inbox().tell(keyring::node::Event::Chain(CHAIN.to_owned(), news)).await;
    }

    /// What a party's node shows.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        party: usize,
        look: impl FnOnce(&keyring::node::Node) -> T + Send + 'static,
    ) -> T {
        self.running[party].as_ref().unwrap().inbox().look(move |node, _| look(node)).await.unwrap()
    }

    /// Waits until the running daemons satisfy a condition on their nodes.
    pub(crate) async fn until(&self, what: &str, is: impl Fn(&keyring::node::Node) -> bool + Send + Sync + 'static) {
        let is = Arc::new(is);
        let patience = async {
            for running in self.running.iter().flatten() {
                loop {
                    let is = is.clone();
                    if running.inbox().look(move |node, _| is(node)).await == Some(true) {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(90), patience).await.unwrap_or_else(|_| panic!("never: {what}"));
    }
}
