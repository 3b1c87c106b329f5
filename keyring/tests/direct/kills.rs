//! The party whose turn it is to send is killed (`kill -9`) with its answer signed and stored: before its bytes reach the
//! node, and after. Real processes.
//!
//! One round in every test run; more of them, and three of five in place of two of three, with `KEYRING_DIRECT_ROUNDS=20`.

use alloy_primitives::{Address, B256, Bytes, keccak256};

use crate::crew::Crew;
use crate::exposition::Exposition;
use crate::go_between::GoBetween;
use crate::ground::{Ground, Terms};
use crate::scene::Purse;
use crate::settings::setting;
use crate::town::{Answer, MAX_LOSS_WEI, NAME, Town, account, until};

struct Scene {
    crew: Crew,
    town: Town,
    wallet: Address,
    hashes: u64,
    /// By party, before the act that is played.
    purses: Vec<Purse>,
}

/// Who was killed, with which bytes signed.
struct Killed {
    party: usize,
    bytes: Bytes,
    trace: u64,
    hash: B256,
}

impl Scene {
    async fn with(terms: Terms) -> Self {
        let (ground, town) = tokio::join!(Ground::lay(terms), Town::build(terms.of));
        // So far apart that nobody's turn comes while the one before it is killed, on a slow machine too.
        town.settle(&ground, |_| "wait_blocks = 10").await;
        let mut crew = Crew::on(ground);
        for party in 0..usize::from(terms.of) {
            crew.start_party(party, &[]);
        }
        crew.until("a controller key", |status| !status.contracts[0].controller.is_empty()).await;
        let controller = crew.status(0).await.unwrap().contracts[0].controller.parse().unwrap();
        crew.until_stocked().await;
        town.open(controller).await;
        let wallet = town.with_wallet().await;
        let mut scene = Self { crew, town, wallet, hashes: 0, purses: Vec::new() };
        scene.rests().await;
        scene
    }

    fn parties(&self) -> std::ops::Range<usize> {
        0..self.town.ways.len()
    }

    /// A number that a party tells a monitor of this chain.
    fn told(&self, party: usize, name: &str) -> u128 {
        let told = self.crew.metrics(party);
        let shown = Exposition::parse(told.split_once("\r\n\r\n").unwrap().1).unwrap();
        shown.value(name, &[("chain", NAME)]).unwrap() as u128
    }

    /// Somebody asks; whoever sends the answer first is killed at once. `arrives`: its bytes have reached the node by then;
    /// else no party's do.
    async fn kills_the_sender(&mut self, arrives: bool) -> Killed {
        for way in &self.town.ways {
            if arrives { way.lets_everything_through() } else { way.swallows_transactions() }
        }
        let before: Vec<usize> = self.town.ways.iter().map(|way| way.sent().len()).collect();
        self.hashes += 1;
        let hash = keccak256(self.hashes.to_be_bytes());
        let trace = self.town.ask_hash(hash).await;
        self.town.hurry().await;
        let (party, bytes) = until("somebody sends", async || {
            self.parties().find_map(|party| Some((party, self.town.ways[party].sent().get(before[party])?.clone())))
        })
        .await;
        if arrives {
            until("it has arrived", async || self.town.knows(keccak256(&bytes)).await.then_some(())).await;
        }
        self.crew.kill_party(party).await;
        Killed { party, bytes, trace, hash }
    }

    /// The one answer.
    async fn answered(&self, killed: &Killed) -> Answer {
        self.town.hurrying(self.town.answered(killed.trace, killed.hash, self.wallet)).await
    }

    /// Nothing is in flight, the nonces of all accounts are in blocks without a gap, and since the last time nobody has
    /// lost more than one answer may cost, nor more than it says.
    async fn rests(&mut self) {
        let settled = self.crew.until("settled", |status| {
            let contract = &status.contracts[0];
            let rests = contract.in_flight == 0 && contract.waiting == 0 && contract.halted.is_empty();
            status.ready && status.requests_open == 0 && rests
        });
        self.town.hurrying(settled).await;
        let mut purses = Vec::new();
        for party in self.parties() {
            let next = self.told(party, "keyring_sender_nonce") as u64;
            let nonces = self.town.nonces(account(party)).await;
            assert_eq!(nonces, (next, next), "party {party}: the chain, with what waits, and the journal");
            let (balance, lost) =
                (self.town.balance(account(party)).await, self.told(party, "keyring_sender_lost_wei"));
            if let Some(before) = self.purses.get(party) {
                let (less, told) = (before.balance.saturating_sub(balance), lost - before.lost);
                assert!(less <= told && told <= MAX_LOSS_WEI, "party {party} lost {less} wei and tells of {told}");
            }
            purses.push(Purse { balance, lost });
        }
        self.purses = purses;
    }

    /// Its bytes never reached the node; the next party in turn answers, and it finds that out.
    async fn the_others_answer(&mut self) {
        let killed = self.kills_the_sender(false).await;
        self.town.ways.iter().for_each(GoBetween::lets_everything_through);
        let answer = self.answered(&killed).await;
        assert_ne!(answer.transaction, keccak256(&killed.bytes), "somebody else's");
        self.crew.start_party(killed.party, &[]);
        self.rests().await;
        assert_eq!(self.town.answers(killed.trace).await, [answer]);
    }

    /// Its bytes never reached the node, nor do those of the others, until it is back: it sends the same.
    async fn it_sends_the_same_bytes(&mut self) {
        let killed = self.kills_the_sender(false).await;
        let way = &self.town.ways[killed.party];
        let sent = way.sent().len();
        way.lets_everything_through();
        self.crew.start_party(killed.party, &[]);
        let answer = self.answered(&killed).await;
        assert_eq!(answer.transaction, keccak256(&killed.bytes), "what was signed before it was killed");
        assert_eq!(self.town.ways[killed.party].sent()[sent], killed.bytes);
        self.town.ways.iter().for_each(GoBetween::lets_everything_through);
        self.rests().await;
        assert_eq!(self.town.answers(killed.trace).await, [answer]);
    }

    /// Its bytes have reached the node: it finds its own answer.
    async fn it_finds_its_answer(&mut self) {
        let killed = self.kills_the_sender(true).await;
        let answer = self.answered(&killed).await;
        assert_eq!(answer.transaction, keccak256(&killed.bytes));
        let sent = self.town.ways[killed.party].sent().len();
        self.crew.start_party(killed.party, &[]);
        self.rests().await;
        let again = self.town.ways[killed.party].sent().split_off(sent);
        assert!(again.iter().all(|bytes| *bytes == killed.bytes), "nothing else under that nonce");
        assert_eq!(self.town.answers(killed.trace).await, [answer]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_party_that_is_killed_with_its_answer_signed_costs_no_request_its_one_answer_and_no_account_a_gap() {
    let rounds = setting("KEYRING_DIRECT_ROUNDS", 1);
    let (need, of) = if rounds > 1 { (3, 5) } else { (2, 3) };
    let mut scene = Scene::with(Terms { keys_per_lane: 1, ..Terms::of(need, of) }).await;
    for _ in 0..rounds {
        scene.the_others_answer().await;
        scene.it_sends_the_same_bytes().await;
        scene.it_finds_its_answer().await;
    }
    scene.crew.stop().await;
}
