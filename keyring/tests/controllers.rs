//! Controllers under fire: real daemons, real endpoints that lag, lie, lose and fork, one chain that keeps count. Each of
//! two parties must answer every request, so whatever one of them does wrong shows: an answer too few leaves the request
//! open, one too many rejects it, and the account's sequence counts both.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(dead_code, reason = "the support serves several targets")]

#[path = "support/customer.rs"]
mod customer;
#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/ground.rs"]
mod ground;

use std::time::Duration;

use chain_client::{ChainId, Charge, Endpoint, RequestId, Seat, Settings, ZrChain, tx};
use customer::Customer;
use devnet::faults::{FaultHandle, Faults, Lag, Pinning, Sequences, Times};
use fleet::Fleet;
use ground::{CHAIN, Terms, party, party_address};
use keyring::node::{ChainNews, Node};

/// Fleets share two cores badly: one at a time.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Scene {
    fleet: Fleet,
    customer: Customer,
    key: RequestId,
    signatures: u8,
    /// The parties' sequences before the first answer that is counted.
    sequences: [u64; 2],
}

fn show_logs() {
    let _once =
        tracing_subscriber::fmt().with_env_filter("info,libp2p=warn").with_ansi(false).with_test_writer().try_init();
}

fn why_silent(node: &Node) -> String {
    node.outbox(CHAIN).map(keyring::outbox::Outbox::why_silent).unwrap_or_default()
}

impl Scene {
    /// Two daemons that both must answer, and a key to sign with.
    async fn with(terms: Terms) -> Self {
        show_logs();
        let fleet = Fleet::on(terms).await;
        fleet.until("shelf", |node| node.has_auxiliary() && node.free_keys().count() >= 8).await;
        let customer = Customer::of(&fleet).await;
        let keys = customer.ask_keys(&["ed25519"]).await;
        customer.all_fulfilled(&keys).await;
        let mut scene = Self { fleet, customer, key: keys[0], signatures: 0, sequences: [0; 2] };
        scene.sequences = scene.sequences_now().await;
        scene
    }

    async fn sequences_now(&self) -> [u64; 2] {
        let mut sequences = [0; 2];
        for (index, sequence) in (0..).zip(&mut sequences) {
            *sequence = self.account(index).await.sequence;
        }
        sequences
    }

    async fn account(&self, index: usize) -> chain_client::AccountFacts {
        self.customer.account(party(index).address()).await
    }

    /// Waits until both daemons would have a person look at this.
    async fn both_tell(&self, what: &'static str) {
        let told =
            move |outbox: &keyring::outbox::Outbox| outbox.warnings().iter().any(|warning| warning.contains(what));
        self.fleet.until(what, move |node| node.outbox(CHAIN).is_some_and(told)).await;
    }

    fn chain(&self) -> ZrChain {
        let endpoint = Endpoint::at(&self.fleet.url.parse().unwrap()).unwrap();
        ZrChain::new(ChainId::new(CHAIN).unwrap(), self.fleet.keyring.clone(), vec![endpoint], Settings::default())
    }

    async fn ask(&mut self, count: u8) -> Vec<RequestId> {
        let payloads: Vec<Vec<u8>> =
            (0..count).map(|n| format!("message {}", self.signatures + n).into_bytes()).collect();
        self.signatures += count;
        self.customer.ask_signatures(self.key, &payloads).await
    }

    /// Everything asked so far is fulfilled, by exactly one transaction of each party.
    async fn all_are_answered_once(&self, ids: &[RequestId], phase: &str) {
        self.customer.all_fulfilled(ids).await;
        let counted = self.sequences.map(|before| before + u64::from(self.signatures));
        assert_eq!(self.sequences_now().await, counted, "{phase}: one transaction for each answer");
    }

    /// The endpoint that daemons prefer.
    fn preferred(&self) -> FaultHandle {
        self.fleet.devnet.endpoints().last().unwrap().faults.clone()
    }

    async fn blocks(&self, count: u64) {
        let handle = self.fleet.devnet.handle();
        handle.wait_for_height(handle.height() + count, Duration::from_secs(60)).await.unwrap();
    }

    async fn both_hold_a_sequence(&self) {
        let holds = |node: &Node| node.outbox(CHAIN).is_some_and(|outbox| outbox.slots().count() > 0);
        self.fleet.until("a sequence is held", holds).await;
    }

    async fn open_among(&self, ids: &[RequestId]) -> Vec<RequestId> {
        let mut open = Vec::new();
        for id in ids {
            if self.customer.look(*id).await.status.is_open() {
                open.push(*id);
            }
        }
        open
    }

    async fn nothing_happens_for(&self, blocks: u64, ids: &[RequestId]) {
        let before = self.sequences_now().await;
        self.blocks(blocks).await;
        assert_eq!(self.sequences_now().await, before, "nothing is published");
        for id in ids {
            assert!(self.customer.look(*id).await.status.is_open(), "{id} is neither answered nor spoilt");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_lag_lie_lose_and_fork_cost_no_request_its_answer() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut scene = Scene::with(Terms { endpoints: 2, daemons_use: 2, ..Terms::of(2, 2) }).await;
    let liar = scene.preferred();

    // The response is lost after inclusion.
    liar.set(Faults { lose_broadcast_answers: Times::Always, ..Faults::default() });
    let asked = scene.ask(2).await;
    scene.all_are_answered_once(&asked, "lost responses").await;

    // The preferred endpoint is behind, shows stale sequences and does not keep to a height.
    for pin in [Pinning::Ignored, Pinning::Feigned] {
        liar.set(Faults { lag: Lag::Behind(2), sequences: Sequences::Behind(1), pin, ..Faults::default() });
        let asked = scene.ask(1).await;
        scene.all_are_answered_once(&asked, "stale sequences, other heights").await;
    }
    scene.both_tell("that the account went back is denied").await;

    // It takes what it is given and tells nobody, and shows the sequence as spent: a false death.
    let swallow = Faults { swallow_broadcasts: Times::Always, ..Faults::default() };
    liar.set(Faults { sequences: Sequences::Ahead(1), ..swallow });
    let asked = scene.ask(1).await;
    scene.both_tell("is dead is denied").await;
    scene.all_are_answered_once(&asked, "a false death").await;

    // It follows another chain from here on.
    liar.set(Faults { forks_from: Some(scene.fleet.devnet.handle().height() + 1), ..Faults::default() });
    scene.fleet.until("the fork is seen", |node| why_silent(node).contains("two chains")).await;
    let asked = scene.ask(1).await;
    scene.nothing_happens_for(6, &asked).await;
    liar.clear();
    scene.all_are_answered_once(&asked, "a fork").await;
    scene.fleet.until("all is well", |node| why_silent(node).is_empty()).await;
    scene.fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_cannot_be_stops_nobody_for_longer_than_it_is_shown() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut scene = Scene::with(Terms::of(2, 2)).await;
    let head = scene.fleet.devnet.endpoints()[0].head.clone();
    // With one endpoint its word is all there is: nothing new is seen while it lies, and nothing false is believed.
    head.set(1 << 60);
    let asked = scene.ask(1).await;
    scene.nothing_happens_for(6, &asked).await;
    head.set(0);
    scene.all_are_answered_once(&asked, "a false head").await;
    scene.fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyring_switched_off_a_raised_floor_a_halted_chain_and_empty_purses_are_waited_for() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut scene = Scene::with(Terms { endpoints: 2, funds_urock: 2_000, ..Terms::of(2, 2) }).await;
    let (daemons, chain) = (scene.preferred(), scene.fleet.devnet.handle());
    let keyring = scene.fleet.keyring.clone();
    let unreachable = Faults { fail_broadcasts: Times::Always, ..Faults::default() };

    // Switched off while answers are signed and have not landed: a single one that does now rejects its request.
    daemons.set(unreachable);
    let asked = scene.ask(1).await;
    scene.both_hold_a_sequence().await;
    scene.fleet.admin.set_active(&keyring, 2, false).await.unwrap();
    scene.fleet.until("both see it", |node| why_silent(node).contains("switched off")).await;
    daemons.clear();
    scene.nothing_happens_for(6, &asked).await;
    scene.fleet.admin.set_active(&keyring, 2, true).await.unwrap();
    scene.all_are_answered_once(&asked, "a keyring switched off and on").await;

    // The floor on fees rises above what was signed for.
    daemons.set(unreachable);
    let asked = scene.ask(1).await;
    scene.both_hold_a_sequence().await;
    chain.set_min_gas_fee("0.004urock").unwrap();
    daemons.clear();
    scene.all_are_answered_once(&asked, "a raised floor").await;

    // No blocks for a while, and what waited is forgotten.
    let asked = scene.ask(2).await;
    chain.halt();
    tokio::time::sleep(Duration::from_secs(2)).await;
    chain.forget_mempool();
    chain.resume();
    scene.all_are_answered_once(&asked, "a halted chain").await;

    // The purses run dry, and are filled again.
    let asked = scene.ask(6).await;
    let is_dry = |node: &Node| node.outbox(CHAIN).is_some_and(keyring::outbox::Outbox::is_out_of_funds);
    scene.fleet.until("the purses are empty", is_dry).await;
    scene.blocks(4).await;
    let open = scene.open_among(&asked).await;
    assert!(!open.is_empty(), "there is not enough for all");
    scene.nothing_happens_for(3, &open).await;
    // The administrator's own fee is fixed.
    chain.set_min_gas_fee("0.0001urock").unwrap();
    let parties: Vec<String> = (0..2).map(party_address).collect();
    scene.fleet.admin.fund(&parties, 100_000).await.unwrap();
    scene.all_are_answered_once(&asked, "empty purses").await;
    scene.fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_moves_without_us_stops_its_controller_until_an_operator_says_otherwise() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut scene = Scene::with(Terms::of(2, 2)).await;
    let facts = scene.account(0).await;
    let seat = Seat { chain: ChainId::new(CHAIN).unwrap(), account_number: facts.number, sequence: facts.sequence };
    let foreign = tx::nothing(&party(0), &seat, Charge { gas_limit: 200_000, fee_urock: 1_000 });
    assert_eq!(scene.chain().broadcast(&foreign).await, chain_client::Hint::Taken);
    scene.blocks(2).await;

    let asked = scene.ask(1).await;
    let is_halted = |node: &Node| node.outbox(CHAIN).is_some_and(|outbox| outbox.halted().is_some());
    let halted = async {
        while !scene.fleet.look(0, is_halted).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), halted).await.expect("it stops");
    scene.fleet.stop_party(0).await;
    scene.fleet.start_party(0).await;
    scene.blocks(4).await;
    assert!(scene.fleet.look(0, is_halted).await, "a restart ends nothing");
    assert!(scene.customer.look(asked[0]).await.status.is_open());
    scene.fleet.tell(0, ChainNews::Resume(facts.sequence + 2)).await;
    assert!(scene.fleet.look(0, is_halted).await, "any other sequence is refused");
    scene.fleet.tell(0, ChainNews::Resume(facts.sequence + 1)).await;
    scene.sequences[0] += 1;
    scene.all_are_answered_once(&asked, "resumed").await;
    scene.fleet.stop().await;
}
