//! A fleet of daemons in this process: real stores, real links on loopback, a real gRPC chain; only the processes are
//! one. Each daemon can be stopped and started again from its own folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chain_client::PartyAccount;
use devnet::server::{Devnet, Options};
use keyring::app::{App, Running};
use keyring::clock::Randomness;
use keyring::config::{Config, ProcessEnvironment};
use keyring::identity::NodeIdentity;
use keyring::roster::{RosterEntry, RosterFile};
use keyring::store::{Argon2Cost, Entry, RocksStore, Store as _, Table, Unlock};
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

pub(crate) const CHAIN: &str = "zenrock";

pub(crate) struct Fleet {
    pub(crate) devnet: Devnet,
    pub(crate) url: String,
    pub(crate) keyring: String,
    folder: tempfile::TempDir,
    running: Vec<Option<Running>>,
}

fn account(name: &str) -> PartyAccount {
    use sha2::Digest as _;
    PartyAccount::from_bytes(&Zeroizing::new(sha2::Sha256::digest(format!("test account {name}")).into())).unwrap()
}

pub(crate) fn user() -> PartyAccount {
    account("user")
}

fn randomness(seed: u64) -> Box<dyn Randomness> {
    Box::new(ChaCha20Rng::seed_from_u64(seed))
}

impl Fleet {
    /// A chain with a keyring of `of` parties of which `need` sign, and all daemons running. With `dealt`, auxiliary data
    /// comes from a dealer and is in force at once; without, the daemons make it, which takes half a minute.
    pub(crate) async fn start(need: u16, of: u16, block: Duration, lifetime_blocks: u64, dealt: bool) -> Self {
        let (admin, user) = (account("admin"), user());
        let people = [("admin", admin.address()), ("user", user.address())];
        let mut genesis = devnet::demo::genesis(CHAIN, &people);
        genesis.treasury_params.default_btl = lifetime_blocks;
        let options = Options { block_interval: block, ..Options::default() };
        let devnet = Devnet::start(&genesis, options).await.unwrap();
        let url = devnet.endpoints()[0].url();

        let parties: Vec<PartyAccount> = (0..of).map(|i| account(&format!("party {i}"))).collect();
        let addresses: Vec<String> = parties.iter().map(|party| party.address().to_owned()).collect();
        let mut admin = devnet::demo::Admin::connect(&url, CHAIN, admin).await.unwrap();
        let keyring = admin.make_keyring(&addresses, u32::from(need)).await.unwrap();
        admin.fund(&addresses, 1_000_000_000).await.unwrap();

        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports(usize::from(of));
        let identities: Vec<NodeIdentity> =
            (0..of).map(|i| NodeIdentity::generate(&mut *randomness(u64::from(i)))).collect();
        let entries = identities.iter().enumerate().map(|(i, identity)| RosterEntry {
            name: format!("party-{i}"),
            node_key: identity.public(),
            addresses: vec![format!("/ip4/127.0.0.1/tcp/{}", ports[i])],
            accounts: [(CHAIN.to_owned(), addresses[i].clone())].into(),
        });
        let mut roster = RosterFile::new(1, need, entries);
        for identity in &identities {
            roster.sign(identity).unwrap();
        }
        std::fs::write(folder.path().join("roster.toml"), roster.to_toml().unwrap()).unwrap();
        let engine = mpc_core::Cggmp24::standard();
        let mut dealer = mpc_core::testing::Committee::new(&engine, need, of, 1);
        if dealt {
            dealer.deal_aux();
        }
        for (i, identity) in identities.iter().enumerate() {
            let auxiliary = dealer.aux(mpc_core::PartyIndex::new(i as u16));
            write_party(folder.path(), i, identity, (&url, &keyring), ports[i], auxiliary.as_deref());
        }
        let running = (0..of).map(|_| None).collect();
        let mut fleet = Self { devnet, url, keyring, folder, running };
        for i in 0..usize::from(of) {
            fleet.start_party(i).await;
        }
        fleet
    }

    fn party_folder(&self, party: usize) -> PathBuf {
        self.folder.path().join(format!("party-{party}"))
    }

    pub(crate) async fn start_party(&mut self, party: usize) {
        let config = Config::load(&self.party_folder(party).join("keyringd.toml")).unwrap();
        let primes = mpc_core::primes::prepared(party).unwrap();
        let app = App::build(config, &ProcessEnvironment, Some(primes)).await.unwrap();
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
        self.devnet.stop().await;
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

fn write_party(
    folder: &Path,
    party: usize,
    identity: &NodeIdentity,
    (url, keyring): (&str, &str),
    port: u16,
    auxiliary: Option<&mpc_core::AuxInfo>,
) {
    use std::os::unix::fs::PermissionsExt as _;
    let own = folder.join(format!("party-{party}"));
    std::fs::create_dir(&own).unwrap();
    identity.save_new(&own.join("identity")).unwrap();
    let secret = |name: &str, bytes: &[u8]| {
        let path = own.join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    use sha2::Digest as _;
    secret("account", &sha2::Sha256::digest(format!("test account party {party}")));
    secret("store.key", &[party as u8 + 1; 32]);
    let unlock = Unlock::KeyFile(Zeroizing::new([party as u8 + 1; 32]));
    let seed = 1_000 + party as u64;
    let store = RocksStore::create(&own.join("data"), &unlock, Argon2Cost::default(), randomness(seed)).unwrap();
    if let Some(auxiliary) = auxiliary {
        let key = keyring::node::auxiliary_key(1);
        let active = postcard::to_stdvec(&(1u64, auxiliary.digest())).unwrap();
        let entries = [
            Entry::put(Table::Stock, key, auxiliary.encode().to_vec()),
            Entry::put(Table::Stock, *b"auxiliary/active", active),
        ];
        store.append(&entries).unwrap();
    }
    drop(store);
    let text = format!(
        r#"
[node]
name = "party-{party}"
data_dir = "data"
roster = "../roster.toml"
identity = {{ file = "identity" }}
listen = ["/ip4/127.0.0.1/tcp/{port}"]

[store]
unlock = {{ keyfile = {{ file = "store.key" }} }}

[[chain]]
kind = "zrchain"
id = "{CHAIN}"
keyring = "{keyring}"
endpoints = ["{url}"]
account = {{ file = "account" }}
poll_interval = "100ms"
fee_ceiling_urock = 10000000

[shelf]
secp256k1_per_lane = 2
ed25519_per_lane = 2
"#
    );
    std::fs::write(own.join("keyringd.toml"), text).unwrap();
}

/// Ports that are free now; each is bound a moment later.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> = (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
