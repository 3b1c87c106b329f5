//! Daemons of one process and a contract that they serve, and what all of it shows: the chain, the parties' own facts,
//! what they tell a monitor.

use std::net::SocketAddr;

use alloy_primitives::{Address, B256, keccak256};
use keyring::admin::proto::{Request, RequestsRequest};
use keyring::agreement::Record;
use keyring::decree::{DecreeId, Kind};
use keyring::node::Node;
use keyring::store::Table;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::exposition::Exposition;
use crate::fleet::Fleet;
use crate::go_between::BLOCK;
use crate::ground::{Ground, Terms};
use crate::town::{Answer, MAX_LOSS_WEI, NAME, Town, account, until};

/// Two of three, with one spare key in each lane: enough for a controller key and a few wallets.
pub(crate) const TERMS: Terms = Terms { keys_per_lane: 1, ..Terms::of(2, 3) };

/// Headers asked for in five polls or more.
const LOOKS: u64 = 24;

pub(crate) struct Scene {
    pub(crate) fleet: Fleet,
    pub(crate) town: Town,
    hashes: u8,
}

/// What a party has on the chain, and what it says to have lost there.
pub(crate) struct Purse {
    pub(crate) balance: u128,
    pub(crate) lost: u128,
}

fn show_logs() {
    let _once =
        tracing_subscriber::fmt().with_env_filter("info,libp2p=warn").with_ansi(false).with_test_writer().try_init();
}

/// What stands at a path of a monitor's address.
pub(crate) async fn told(address: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    heard.split_once("\r\n\r\n").unwrap().1.to_owned()
}

impl Scene {
    /// A fleet whose controller key the contract trusts.
    pub(crate) async fn with(terms: Terms) -> Self {
        Self::where_each_says(terms, |_| "").await
    }

    /// The same; each party says this of the contract, beside what all say.
    pub(crate) async fn where_each_says(terms: Terms, more: impl Fn(usize) -> &'static str) -> Self {
        show_logs();
        let (ground, town) = tokio::join!(Ground::lay(terms), Town::build(terms.of));
        town.settle(&ground, more).await;
        let fleet = Fleet::of(ground).await;
        fleet.until("a controller key", |node| controller(node).is_some()).await;
        let controller = fleet.look(0, controller).await.unwrap();
        town.open(controller).await;
        Self { fleet, town, hashes: 0 }
    }

    pub(crate) fn parties(&self) -> std::ops::Range<usize> {
        0..usize::from(self.fleet.terms.of)
    }

    // --- asking -----------------------------------------------------------------------------------------------------

    /// A hash that nobody asked for before.
    pub(crate) fn new_hash(&mut self) -> B256 {
        self.hashes += 1;
        keccak256([self.hashes])
    }

    /// A hash from the request to the one answer, on a wallet of the user's.
    pub(crate) async fn serves(&mut self, wallet: Address) -> (u64, Answer) {
        let hash = self.new_hash();
        let trace = self.town.ask_hash(hash).await;
        self.town.hurry().await;
        (trace, self.town.answered(trace, hash, wallet).await)
    }

    // --- the parties ------------------------------------------------------------------------------------------------

    /// Waits until every party's node is so.
    async fn all(&self, what: &str, is: impl Fn(&Node) -> bool + Clone + Send + 'static) {
        for party in self.parties() {
            until(what, async || self.fleet.look(party, is.clone()).await.then_some(())).await;
        }
    }

    /// Waits until nobody has anything left to do at the contract but these requests, nothing is in flight and nobody's
    /// nonces have a gap.
    pub(crate) async fn rests_but_for(&self, open: &[u64]) {
        let open = open.to_vec();
        let is_done = move |node: &Node| {
            let mut live = node.live().filter(|live| live.decree.chain == NAME && live.decree.kind != Kind::Controller);
            let sender = node.sender(NAME).unwrap();
            let is_open = |id: &DecreeId| id.kind != Kind::Key && open.contains(&id.request);
            live.all(|live| is_open(live.decree)) && sender.slots().next().is_none() && sender.facts().nonce.is_some()
        };
        self.town.hurrying(self.all("all is settled at the contract", is_done)).await;
        for party in self.parties() {
            let next = self.fleet.look(party, |node| node.sender(NAME).unwrap().facts().nonce).await.unwrap();
            assert_eq!(
                self.town.nonces(account(party)).await,
                (next, next),
                "party {party}: the chain, what waits, the journal"
            );
        }
    }

    pub(crate) async fn rests(&self) {
        self.rests_but_for(&[]).await;
    }

    /// Waits until everybody has read what is final now.
    pub(crate) async fn reads_on(&self) {
        let last = self.town.last_final().await;
        let has_read = move |node: &Node| node.contract(NAME).unwrap().mark.is_some_and(|mark| mark.height >= last);
        self.all("all is read", has_read).await;
    }

    /// Waits until everybody has asked for the newest blocks so often that what was to be seen was seen.
    pub(crate) async fn all_look_again(&self) {
        let asked = || self.parties().map(|party| self.town.ways[party].heard(BLOCK));
        let before: Vec<u64> = asked().collect();
        let again = async || asked().zip(&before).all(|(now, before)| now >= before + LOOKS).then_some(());
        until("everybody looks again", again).await;
    }

    /// Transactions that all parties sent.
    pub(crate) fn sent(&self) -> usize {
        self.town.ways.iter().map(|way| way.sent().len()).sum()
    }

    /// What a party has written into the decree about a signature request.
    pub(crate) async fn record(&self, party: usize, trace: u64) -> Option<Record> {
        let inbox = self.fleet.running(party).inbox();
        let records = inbox.look(|_, store| store.scan(Table::Decree, b"", None, 10_000)).await.unwrap().unwrap();
        let is_it = |id: &DecreeId| id.chain == NAME && id.kind == Kind::Signature && id.request == trace;
        let (_, bytes) = records.iter().find(|(name, _)| DecreeId::from_bytes(name).is_some_and(|id| is_it(&id)))?;
        Some(Record::decode(bytes).unwrap())
    }

    /// What `keyringd requests --ended` shows of a signature request, and of what admits its answer.
    pub(crate) async fn shown(&self, party: usize, trace: u64) -> (Option<Request>, Option<Request>) {
        let socket = self.fleet.party_folder(party).join("data").join("admin.sock");
        let mut admin = keyring::admin::connect(&socket).await.unwrap();
        let all = RequestsRequest { limit: 1_000, ended: true, ..Default::default() };
        let all = admin.requests(all).await.unwrap().into_inner().requests;
        let request = all.iter().find(|one| one.name.starts_with(&format!("{NAME}/signature/{trace}@"))).cloned();
        // Both are named by the event that asked.
        let name = request.as_ref().map(|one| one.name.replace("/signature/", "/authorisation/"));
        let authorisation = all.into_iter().find(|one| Some(&one.name) == name.as_ref());
        (request, authorisation)
    }

    async fn metrics(&self, party: usize) -> Exposition {
        let said = told(self.fleet.monitoring(party), "/metrics").await;
        Exposition::parse(&said).unwrap_or_else(|wrong| panic!("{wrong}\n{said}"))
    }

    /// A metric whose labels are these; it must be told.
    pub(crate) async fn metric(&self, party: usize, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metrics(party).await.value(name, labels).unwrap_or_else(|| panic!("party {party}: no {name} {labels:?}"))
    }

    pub(crate) async fn alarms(&self, party: usize) -> f64 {
        self.metric(party, "keyring_notes_total", &[("level", "alarm")]).await
    }

    /// Waits until `/readyz` has a line that begins so. That line.
    pub(crate) async fn says(&self, party: usize, words: &str) -> String {
        until(words, async || {
            let said = told(self.fleet.monitoring(party), "/readyz").await;
            said.lines().find(|line| line.starts_with(words)).map(str::to_owned)
        })
        .await
    }

    /// Waits until `/readyz` of every party says nothing but this.
    pub(crate) async fn all_ready(&self) {
        for party in self.parties() {
            self.says(party, "ready").await;
        }
    }

    /// Nobody has raised an alarm, everybody contributes.
    pub(crate) async fn all_is_well(&self) {
        self.all_ready().await;
        for party in self.parties() {
            assert_eq!(self.alarms(party).await, 0.0, "party {party}");
        }
    }

    // --- money ------------------------------------------------------------------------------------------------------

    pub(crate) async fn purses(&self) -> Vec<Purse> {
        let mut purses = Vec::new();
        for party in self.parties() {
            let lost = self.fleet.look(party, |node| node.sender(NAME).unwrap().facts().lost_total).await;
            purses.push(Purse { balance: self.town.balance(account(party)).await, lost });
        }
        purses
    }

    /// Since then nobody has lost more than it says, and nobody says more than so many answers may cost.
    pub(crate) async fn nobody_lost_more_since(&self, before: &[Purse], answers: u32) {
        for (party, (before, now)) in before.iter().zip(self.purses().await).enumerate() {
            let (lost, told) = (before.balance.saturating_sub(now.balance), now.lost - before.lost);
            assert!(lost <= told, "party {party} lost {lost} wei and tells of {told}");
            assert!(told <= MAX_LOSS_WEI * u128::from(answers), "party {party} lost {told} wei by {answers} answers");
            let shown = self.metric(party, "keyring_sender_lost_wei", &[("chain", NAME)]).await;
            assert!((shown - now.lost as f64).abs() <= 1.0, "party {party}: the metric says {shown}, not {}", now.lost);
        }
    }
}

/// The controller key's address, once it is known.
fn controller(node: &Node) -> Option<Address> {
    let public = node.contract(NAME)?.controller?;
    Some(Address::from_public_key(&k256::ecdsa::VerifyingKey::from_sec1_bytes(&public).unwrap()))
}
