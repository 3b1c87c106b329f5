//! The files of a development network: secrets, a roster signed by all, one config and one store per party.
//!
//! Everything lies in one folder that only its owner can enter. Refuses to write into a folder that holds anything.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use chain_client::zrsign::name::Proxy;
use chain_client::{AccountError, PartyAccount};
use devnet::evm::EvmTown;
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

use crate::app::evm_pen::EvmPen;
use crate::config::{
    Limits, LogFormat, ProcessEnvironment, RawChain, RawConfig, RawContract, RawDestination, RawEvidence, RawFinality,
    RawLog, RawNode, RawShelf, RawStore, RawUnlock, SecretError, SecretRef, StoreConfig,
};
use crate::identity::{IdentityError, NodeIdentity};
use crate::roster::{RosterEntry, RosterError, RosterFile};
use crate::sender::Pen as _;
use crate::store::{Argon2Cost, OpenError, RocksStore};

/// Finished keys that each lane keeps: enough for the demo, made in a moment.
const KEYS_PER_LANE: u16 = 2;
/// Most that a party pays for one transaction.
const FEE_CEILING_UROCK: u64 = 1_000_000;
/// Highest price of gas on EVM chains: 100 gwei.
const PRICE_MAX_WEI: u64 = 100_000_000_000;

/// What the parties must know of the world.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The chain's name.
    pub(super) chain: String,
    /// The keyring's address there.
    pub(super) keyring: String,
    /// A node of the chain.
    pub(super) grpc: String,
    /// How many parties sign.
    pub(super) threshold: u16,
    /// How often the chain is asked.
    pub(super) poll_interval: Duration,
    /// Contracts on EVM chains.
    pub(super) contracts: Vec<EvmPlace>,
}

/// What the parties must know of a contract.
#[derive(Clone, Debug)]
pub(super) struct EvmPlace {
    proxy: Proxy,
    url: String,
    code_hash: B256,
    first_block: u64,
}

impl EvmPlace {
    /// As a town has it.
    pub(super) fn of(town: &EvmTown) -> Self {
        let (proxy, url) = (town.proxy(), town.url());
        Self { proxy, url, code_hash: town.code_hash(), first_block: town.first_block() }
    }
}

/// One party's corner.
pub(super) struct Party {
    /// Its name in the roster.
    pub(super) name: String,
    /// Its config file.
    pub(super) config: PathBuf,
    /// Where it logs.
    pub(super) log: PathBuf,
    /// Its admin socket.
    pub(super) socket: PathBuf,
    /// Its account on the chain.
    pub(super) account: String,
    /// Its account on EVM chains: another key, the same on all of them.
    pub(super) evm_account: Address,
    folder: PathBuf,
    identity: NodeIdentity,
    port: u16,
}

/// See the module.
pub(super) struct Ground {
    folder: PathBuf,
    parties: Vec<Party>,
}

/// What stands in the way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroundError {
    /// A folder with something in it.
    #[error("{path} is not empty: name a new folder, old stores know another chain")]
    NotEmpty {
        /// Which.
        path: PathBuf,
    },
    /// The disk.
    #[error("{path} cannot be written")]
    Write {
        /// What.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// No free port on loopback.
    #[error("no free port on loopback")]
    Port(#[source] std::io::Error),
    /// An identity.
    #[error("a node identity cannot be kept")]
    Identity(#[from] IdentityError),
    /// An account.
    #[error("an account key cannot be made")]
    Account(#[from] AccountError),
    /// The roster.
    #[error("the roster cannot be signed")]
    Roster(#[from] RosterError),
    /// TOML.
    #[error("a file cannot be put into TOML")]
    Toml(#[from] toml::ser::Error),
    /// A secret that was just written.
    #[error("a secret cannot be read back")]
    Secret(#[from] SecretError),
    /// A store.
    #[error("a store cannot be made")]
    Store(#[from] OpenError),
}

/// A new account.
///
/// # Errors
/// One in 2¹²⁸.
pub(super) fn account(rng: &mut ChaCha20Rng) -> Result<PartyAccount, GroundError> {
    Ok(PartyAccount::from_bytes(&secret(rng))?)
}

fn secret(rng: &mut ChaCha20Rng) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    rng.fill_bytes(bytes.as_mut_slice());
    bytes
}

impl Ground {
    /// Makes the folder and every party's secrets.
    ///
    /// # Errors
    /// [`GroundError`].
    pub(super) fn draw_up(folder: Option<PathBuf>, parties: u16, rng: &mut ChaCha20Rng) -> Result<Self, GroundError> {
        let folder = folder.unwrap_or_else(|| {
            let mut mark = [0; 4];
            rng.fill_bytes(&mut mark);
            std::env::temp_dir().join(format!("keyring-devnet-{}", hex::encode(mark)))
        });
        let failed = |source| GroundError::Write { path: folder.clone(), source };
        make_folder(&folder)?;
        let folder = folder.canonicalize().map_err(failed)?;
        if std::fs::read_dir(&folder).map_err(failed)?.next().is_some() {
            return Err(GroundError::NotEmpty { path: folder });
        }
        // All ports are held until all are chosen, or two parties could get the same.
        let mut held = Vec::new();
        let mut drawn = Vec::new();
        for number in 1..=parties {
            let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(GroundError::Port)?;
            let port = listener.local_addr().map_err(GroundError::Port)?.port();
            held.push(listener);
            drawn.push(Party::draw_up(&folder, &format!("party-{number}"), port, rng)?);
        }
        Ok(Self { folder, parties: drawn })
    }

    /// The folder of all.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// All parties, by place in the roster.
    pub(super) fn parties(&self) -> &[Party] {
        &self.parties
    }

    /// Writes roster, configs and empty stores.
    ///
    /// # Errors
    /// [`GroundError`].
    pub(super) fn write(&self, place: &Place, rng: &mut ChaCha20Rng) -> Result<(), GroundError> {
        let entry =
            |party: &Party| RosterEntry {
                name: party.name.clone(),
                node_key: party.identity.public(),
                addresses: vec![party.address()],
                accounts: std::iter::once((place.chain.clone(), party.account.clone()))
                    .chain(place.contracts.iter().map(|contract| {
                        (crate::contract::chain_of(contract.proxy.chain), party.evm_account.to_string())
                    }))
                    .collect(),
            };
        let mut roster = RosterFile::new(1, place.threshold, self.parties.iter().map(entry))
            .with_contracts(place.contracts.iter().map(|contract| contract.proxy));
        for party in &self.parties {
            roster.sign(&party.identity)?;
        }
        let path = self.folder.join("roster.toml");
        write_private(&path, roster.to_toml()?.as_bytes())?;
        for party in &self.parties {
            write_private(&party.config, toml::to_string(&party.raw_config(place, &path))?.as_bytes())?;
            party.make_store(rng)?;
        }
        Ok(())
    }
}

impl Party {
    fn draw_up(all: &Path, name: &str, port: u16, rng: &mut ChaCha20Rng) -> Result<Self, GroundError> {
        let folder = all.join(name);
        make_folder(&folder)?;
        make_folder(&folder.join("data"))?;
        let identity = NodeIdentity::generate(rng);
        identity.save_new(&folder.join("identity.key"))?;
        let account_key = secret(rng);
        write_private(&folder.join("account.key"), Zeroizing::new(hex::encode(&account_key)).as_bytes())?;
        let evm_key = secret(rng);
        write_private(&folder.join("evm.key"), Zeroizing::new(hex::encode(&evm_key)).as_bytes())?;
        let evm_account = EvmPen::from_bytes(&evm_key).map(|pen| pen.account()).ok_or(AccountError::Invalid)?;
        let store_key = secret(rng);
        write_private(&folder.join("store.key"), Zeroizing::new(hex::encode(&store_key)).as_bytes())?;
        Ok(Self {
            name: name.to_owned(),
            config: folder.join("keyringd.toml"),
            log: folder.join("keyringd.log"),
            socket: folder.join("data").join("admin.sock"),
            account: PartyAccount::from_bytes(&account_key)?.address().to_owned(),
            evm_account,
            folder,
            identity,
            port,
        })
    }

    fn address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.port)
    }

    fn file(&self, name: &str) -> SecretRef {
        SecretRef::File(self.folder.join(name))
    }

    fn raw_config(&self, place: &Place, roster: &Path) -> RawConfig {
        RawConfig {
            node: RawNode {
                name: self.name.clone(),
                data_dir: self.folder.join("data"),
                roster: roster.to_owned(),
                identity: self.file("identity.key"),
                listen: vec![self.address()],
                admin_socket: Some(self.socket.clone()),
                drain_timeout: Duration::from_secs(10),
            },
            store: RawStore { unlock: RawUnlock::Keyfile(self.file("store.key")) },
            chain: vec![RawChain {
                kind: "zrchain".to_owned(),
                id: place.chain.clone(),
                keyring: place.keyring.clone(),
                endpoints: vec![place.grpc.clone()],
                account: self.file("account.key"),
                reserved_keys: Vec::new(),
                fee_floor_urock: 0,
                fee_ceiling_urock: FEE_CEILING_UROCK,
                poll_interval: place.poll_interval,
                call_timeout: Duration::from_secs(5),
            }],
            shelf: RawShelf { secp256k1_per_lane: KEYS_PER_LANE, ed25519_per_lane: KEYS_PER_LANE },
            limits: Limits::default(),
            log: RawLog { level: "info".to_owned(), format: LogFormat::Text, file: Some(self.log.clone()) },
            contract: place.contracts.iter().map(|contract| self.raw_contract(contract)).collect(),
            destination: place.contracts.iter().map(raw_destination).collect(),
            monitoring: None,
        }
    }

    fn raw_contract(&self, place: &EvmPlace) -> RawContract {
        RawContract {
            proxy: place.proxy.to_string(),
            endpoints: vec![place.url.clone()],
            account: self.file("evm.key"),
            code: vec![place.code_hash.to_string()],
            first_block: place.first_block,
            finality: RawFinality::Finalized,
            evidence: RawEvidence::Roots,
            agree: 1,
            destinations: Vec::new(),
            wait_blocks: 3,
            price_percent: 200,
            tip_wei: 0,
            price_max_wei: PRICE_MAX_WEI,
            max_loss_per_answer_wei: 20_000_000_000_000_000,
            max_loss_per_day_wei: 1_000_000_000_000_000_000,
            poll_interval: Duration::from_millis(250),
            call_timeout: Duration::from_secs(5),
            reply_bytes_max: 64 * 1024 * 1024,
        }
    }

    /// An empty store, as `init` makes it.
    fn make_store(&self, rng: &mut ChaCha20Rng) -> Result<(), GroundError> {
        let unlock = StoreConfig { unlock: RawUnlock::Keyfile(self.file("store.key")) };
        let unlock = unlock.unlock(&ProcessEnvironment)?;
        let mut seed = <ChaCha20Rng as rand::SeedableRng>::Seed::default();
        rng.fill_bytes(&mut seed);
        let own = ChaCha20Rng::from_seed(seed);
        drop(RocksStore::create(&self.folder.join("data"), &unlock, Argon2Cost::default(), Box::new(own))?);
        Ok(())
    }
}

/// Each chain is a destination of the wallets on the others, too.
fn raw_destination(place: &EvmPlace) -> RawDestination {
    RawDestination {
        chain: crate::contract::chain_of(place.proxy.chain),
        endpoints: vec![place.url.clone()],
        finality: RawFinality::Finalized,
        evidence: RawEvidence::Roots,
        tip_wei: 0,
        price_max_wei: PRICE_MAX_WEI,
        gas_max: 1_000_000,
        call_timeout: Duration::from_secs(5),
    }
}

fn make_folder(path: &Path) -> Result<(), GroundError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| GroundError::Write { path: path.to_owned(), source })
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<(), GroundError> {
    let failed = |source| GroundError::Write { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::roster::Roster;
    use std::os::unix::fs::PermissionsExt as _;

    fn place() -> Place {
        Place {
            chain: "zenrock".to_owned(),
            keyring: "keyring1k6vc6vhp6e6l3rxalue9v4ux".to_owned(),
            grpc: "http://127.0.0.1:9090".to_owned(),
            threshold: 2,
            contracts: Vec::new(),
            poll_interval: Duration::from_millis(250),
        }
    }

    #[test]
    fn what_is_written_is_what_a_daemon_reads() {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let ground = Ground::draw_up(Some(folder.path().join("new")), 3, &mut rng).unwrap();
        ground.write(&place(), &mut rng).unwrap();
        for party in ground.parties() {
            let config = Config::load(&party.config).unwrap();
            let roster = Roster::load(&config.node.roster).unwrap();
            let own = roster.own_place(&party.identity.public()).unwrap();
            assert_eq!(roster.entry(own).unwrap().name, config.node.name);
            assert_eq!(roster.index_of_account("zenrock", &party.account), Some(own));
            let unlock = config.store.unlock(&ProcessEnvironment).unwrap();
            let rng = Box::new(ChaCha20Rng::seed_from_u64(2));
            assert!(RocksStore::open(&config.node.data_dir, &unlock, rng).is_ok());
            for secret in ["identity.key", "account.key", "store.key"] {
                let mode = std::fs::metadata(party.folder.join(secret)).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{secret}");
            }
        }
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("theirs"), "x").unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let refused = Ground::draw_up(Some(folder.path().to_owned()), 2, &mut rng);
        assert!(matches!(refused, Err(GroundError::NotEmpty { .. })));
    }
}
