//! The ground that daemons stand on: a chain with a keyring on it, a roster signed by all, one folder per party with its
//! secrets, its config and its store. Nothing here runs a daemon.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chain_client::PartyAccount;
use devnet::server::{Devnet, Options};
use keyring::clock::Randomness;
use keyring::identity::NodeIdentity;
use keyring::roster::{RosterEntry, RosterFile};
use keyring::store::{Argon2Cost, Entry, RocksStore, Store as _, Table, Unlock};
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

pub(crate) const CHAIN: &str = "zenrock";

/// What is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) need: u16,
    pub(crate) of: u16,
    pub(crate) block: Duration,
    /// Blocks that a request lives.
    pub(crate) lifetime_blocks: u64,
    /// Whether auxiliary data comes from a dealer and is in force at once; else daemons make it, in half a minute.
    pub(crate) dealt: bool,
    pub(crate) keys_per_lane: u16,
    pub(crate) log_level: &'static str,
    /// Endpoints of the chain. Everybody but the daemons uses the first.
    pub(crate) endpoints: usize,
    /// So many of them, counted from the last, which they prefer, are the daemons'.
    pub(crate) daemons_use: usize,
    /// What each party's account holds at first.
    pub(crate) funds_urock: u128,
}

impl Terms {
    pub(crate) const fn of(need: u16, of: u16) -> Self {
        let block = Duration::from_millis(500);
        Self {
            need,
            of,
            block,
            lifetime_blocks: 240,
            dealt: true,
            keys_per_lane: 2,
            log_level: "info",
            endpoints: 1,
            daemons_use: 1,
            funds_urock: 1_000_000_000,
        }
    }

    /// How long a request lives.
    pub(crate) fn lifetime(&self) -> Duration {
        self.block * u32::try_from(self.lifetime_blocks).unwrap()
    }

    /// Free keys when every lane of both curves is full.
    pub(crate) fn stock(&self) -> usize {
        2 * usize::from(self.of) * usize::from(self.keys_per_lane)
    }
}

pub(crate) struct Ground {
    pub(crate) terms: Terms,
    pub(crate) devnet: Devnet,
    pub(crate) admin: devnet::demo::Admin,
    pub(crate) url: String,
    pub(crate) keyring: String,
    pub(crate) folder: tempfile::TempDir,
}

fn account_secret(name: &str) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(format!("test account {name}")).into()
}

fn account(name: &str) -> PartyAccount {
    PartyAccount::from_bytes(&Zeroizing::new(account_secret(name))).unwrap()
}

pub(crate) fn user() -> PartyAccount {
    account("user")
}

/// A party's account.
pub(crate) fn party(party: usize) -> PartyAccount {
    account(&format!("party {party}"))
}

/// The address of a party's account.
pub(crate) fn party_address(index: usize) -> String {
    party(index).address().to_owned()
}

fn store_key(party: usize) -> [u8; 32] {
    account_secret(&format!("store key {party}"))
}

/// What opens a party's store.
pub(crate) fn unlock(party: usize) -> Unlock {
    Unlock::KeyFile(Zeroizing::new(store_key(party)))
}

pub(crate) fn randomness(seed: u64) -> Box<dyn Randomness> {
    Box::new(ChaCha20Rng::seed_from_u64(seed))
}

impl Ground {
    /// A chain with a keyring, and everything that its daemons need.
    pub(crate) async fn lay(terms: Terms) -> Self {
        let (admin, user) = (account("admin"), user());
        let people = [("admin", admin.address()), ("user", user.address())];
        let mut genesis = devnet::demo::genesis(CHAIN, &people);
        genesis.treasury_params.default_btl = terms.lifetime_blocks;
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let endpoints = vec![address; terms.endpoints];
        let options = Options { block_interval: terms.block, endpoints, ..Options::default() };
        let devnet = Devnet::start(&genesis, options).await.unwrap();
        let url = devnet.endpoints()[0].url();
        let addresses: Vec<String> = (0..usize::from(terms.of)).map(party_address).collect();
        let mut admin = devnet::demo::Admin::connect(&url, CHAIN, admin).await.unwrap();
        let keyring = admin.make_keyring(&addresses, u32::from(terms.need)).await.unwrap();
        admin.fund(&addresses, terms.funds_urock).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let urls = devnet.endpoints().iter().rev().take(terms.daemons_use);
        let urls: Vec<String> = urls.map(devnet::server::Endpoint::url).collect();
        write_parties(folder.path(), terms, (&urls, &keyring));
        Self { terms, devnet, admin, url, keyring, folder }
    }

    pub(crate) fn party_folder(&self, party: usize) -> PathBuf {
        party_folder(self.folder.path(), party)
    }
}

/// The folder of one party.
pub(crate) fn party_folder(folder: &Path, party: usize) -> PathBuf {
    folder.join(format!("party-{party}"))
}

/// Roster, secrets, configs and stores; `place` is the endpoints of the chain and the keyring's address there.
pub(crate) fn write_parties(folder: &Path, terms: Terms, place: (&[String], &str)) {
    let Terms { need, of, .. } = terms;
    let ports = free_ports(2 * usize::from(of));
    let identities: Vec<NodeIdentity> =
        (0..of).map(|i| NodeIdentity::generate(&mut *randomness(u64::from(i)))).collect();
    let entries = identities.iter().enumerate().map(|(i, identity)| RosterEntry {
        name: format!("party-{i}"),
        node_key: identity.public(),
        addresses: vec![format!("/ip4/127.0.0.1/tcp/{}", ports[i])],
        accounts: [(CHAIN.to_owned(), party_address(i))].into(),
    });
    let mut roster = RosterFile::new(1, need, entries);
    for identity in &identities {
        roster.sign(identity).unwrap();
    }
    std::fs::write(folder.join("roster.toml"), roster.to_toml().unwrap()).unwrap();
    let engine = mpc_core::Cggmp24::standard();
    let mut dealer = mpc_core::testing::Committee::new(&engine, need, of, 1);
    if terms.dealt {
        dealer.deal_aux();
    }
    for (i, identity) in identities.iter().enumerate() {
        let auxiliary = dealer.aux(mpc_core::PartyIndex::new(i as u16));
        write_party(folder, i, identity, (terms, place, (ports[i], ports[usize::from(of) + i])), auxiliary.as_deref());
    }
}

fn write_party(
    folder: &Path,
    party: usize,
    identity: &NodeIdentity,
    (terms, (urls, keyring), (port, monitoring)): (Terms, (&[String], &str), (u16, u16)),
    auxiliary: Option<&mpc_core::AuxInfo>,
) {
    use std::os::unix::fs::PermissionsExt as _;
    let own = party_folder(folder, party);
    std::fs::create_dir(&own).unwrap();
    identity.save_new(&own.join("identity")).unwrap();
    let secret = |name: &str, bytes: &[u8]| {
        let path = own.join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    secret("account", &account_secret(&format!("party {party}")));
    secret("store.key", &store_key(party));
    let seed = 1_000 + party as u64;
    let store = RocksStore::create(&own.join("data"), &unlock(party), Argon2Cost::default(), randomness(seed)).unwrap();
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
    let Terms { keys_per_lane: keys, log_level: level, .. } = terms;
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
endpoints = {urls:?}
account = {{ file = "account" }}
poll_interval = "100ms"
fee_ceiling_urock = 10000000

[shelf]
secp256k1_per_lane = {keys}
ed25519_per_lane = {keys}

[monitoring]
listen = "127.0.0.1:{monitoring}"

[log]
level = "{level}"
"#
    );
    std::fs::write(own.join("keyringd.toml"), text).unwrap();
}

/// Ports that are free now; each is bound a moment later.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> = (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
