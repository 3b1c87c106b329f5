//! Everything opened, checked against each other, and bound; nothing running. Whatever does not fit is named before
//! anything starts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chain_client::zrsign::evm::{EvmChain, EvmSettings, EvmSetupError};
use chain_client::{Endpoint, PartyAccount, ZrChain};
use mpc_core::{PartyIndex, Suite};
use rand::SeedableRng as _;
use transport::{NodeKey, WallClock};

use super::contract::ContractFollower;
use super::evm_chain::{destination_chain, evm_chain, sender_settings};
use super::evm_pen::EvmPen;
use super::facts::{ChainView, ContractView};
use super::pen::AccountPen;
use super::primes::PrimeRoom;
use super::pulse::Pulse;
use super::{App, ChainPiece, ContractPiece, Inbox};
use crate::admin::{BindError, Listener};
use crate::backup;
use crate::clock::{Clock, SystemClock};
use crate::committee::Committee;
use crate::config::{ChainConfig, Config, ContractConfig, DestinationConfig, Environment, SecretError};
use crate::contract;
use crate::driver::Bounds;
use crate::identity::{IdentityError, NodeIdentity};
use crate::lease::{Life, Process};
use crate::metrics::{MeteredStore, Metrics};
use crate::monitoring;
use crate::node::{self, ChainSetup, ContractSetup, Node, RecoverError, Setup};
use crate::roster::{Roster, RosterError};
use crate::sender::Pen as _;
use crate::store::{self, OpenError, RocksStore, Store, StoreError};

/// Why a daemon cannot be built: mend what is named and start again. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A secret that the configuration refers to.
    #[error("{field} cannot be read")]
    Secret {
        /// The field of the configuration.
        field: String,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// A contract of the configuration is none of the roster's.
    #[error(
        "contract {contract} is not in the roster: its controller key must be asked for by all parties; sign a roster that names it, or take the section out"
    )]
    Contract {
        /// As it is written.
        contract: String,
    },
    /// The endpoints of an EVM chain.
    #[error("the endpoints of {chain} are unusable")]
    EvmEndpoint {
        /// The chain.
        chain: String,
        /// Why.
        #[source]
        source: EvmSetupError,
    },
    /// The node's identity.
    #[error("node.identity is unusable")]
    Identity(#[from] IdentityError),
    /// The roster.
    #[error("the roster is unusable")]
    Roster(#[from] RosterError),
    /// This node stands in the roster under another name.
    #[error("node.name is {configured:?}, but the roster knows this identity as {listed:?}: one of the two is swapped")]
    Name {
        /// In the configuration.
        configured: String,
        /// In the roster.
        listed: String,
    },
    /// The store is another party's.
    #[error(
        "the store in {path} belongs to the party with node key {owner}, node.identity is {identity}: correct \
         `node.data_dir` or `node.identity`, one of the two is swapped"
    )]
    Owner {
        /// Where it lies.
        path: std::path::PathBuf,
        /// Whose it is.
        owner: String,
        /// Who came.
        identity: String,
    },
    /// The store.
    #[error("the store does not open")]
    Open(#[from] OpenError),
    /// A restore of the store was interrupted.
    #[error("the store in {path} is half of a backup: its restore was interrupted; remove it and restore again")]
    HalfRestored {
        /// Where it lies.
        path: std::path::PathBuf,
    },
    /// The store does not write.
    #[error("the boot counter cannot be raised")]
    Boot(#[from] StoreError),
    /// The node's memory.
    #[error("the store cannot be read back")]
    Recover(#[from] RecoverError),
    /// The account of a chain.
    #[error("the account of chain {chain} is unusable: {reason}")]
    Account {
        /// Which chain.
        chain: String,
        /// Why.
        reason: String,
    },
    /// An endpoint of a chain.
    #[error("an endpoint of chain {chain} is unusable")]
    Endpoint {
        /// Which chain.
        chain: String,
        /// Why.
        #[source]
        source: chain_client::EndpointError,
    },
    /// The links.
    #[error("the links to the peers cannot be set up; look at `node.listen` and `limits`")]
    Links(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The admin socket.
    #[error("the admin socket cannot be bound")]
    Admin(#[from] BindError),
    /// The address for monitoring.
    #[error("monitoring cannot be set up")]
    Monitoring(#[from] monitoring::BindError),
    /// Work that cannot be started.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
}

impl App {
    /// Opens and binds everything that the configuration names. With `primes`, which
    /// everybody knows then, none are searched for: development networks only.
    ///
    /// # Errors
    /// [`BuildError`]: nothing was started.
    pub async fn build(
        config: Config,
        environment: &dyn Environment,
        primes: Option<mpc_core::Primes>,
    ) -> Result<Self, BuildError> {
        Self::build_on(config, environment, primes, Arc::new(SystemClock::new()), |store| store).await
    }

    /// As [`App::build`], with a clock and a disk of the caller's: `journal` may put something between the daemon and its
    /// store.
    ///
    /// # Errors
    /// [`BuildError`]: nothing was started.
    pub async fn build_on(
        config: Config,
        environment: &dyn Environment,
        primes: Option<mpc_core::Primes>,
        clock: Arc<dyn Clock>,
        journal: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
    ) -> Result<Self, BuildError> {
        let secret = config.node.identity.bytes(environment).map_err(|source| named("node.identity", source))?;
        let identity = Arc::new(NodeIdentity::from_secret(&secret)?);
        let roster = Roster::load(&config.node.roster)?;
        let me = roster.own_place(&identity.public())?;
        let listed = roster.entry(me).map(|entry| entry.name.clone()).unwrap_or_default();
        if listed != config.node.name {
            return Err(BuildError::Name { configured: config.node.name.clone(), listed });
        }
        let unlock = config.store.unlock(environment).map_err(|source| named("store.unlock", source))?;
        let store = RocksStore::open(&config.node.data_dir, &unlock, Box::new(os_randomness()))?;
        if !backup::is_whole(&store).map_err(OpenError::Store)? {
            return Err(BuildError::HalfRestored { path: config.node.data_dir });
        }
        let owner = store::owner_or_claim(&store, &identity.public()).map_err(OpenError::Store)?;
        if owner != identity.public() {
            let (path, owner) = (config.node.data_dir.clone(), hex::encode(owner));
            return Err(BuildError::Owner { path, owner, identity: hex::encode(identity.public()) });
        }
        let contracts = config.contracts.iter().map(|contract| contract::chain_of(contract.proxy.chain));
        let names: Vec<String> =
            config.chains.iter().map(|chain| chain.id.as_str().to_owned()).chain(contracts).collect();
        let (metrics, store_halted) = (Arc::new(Metrics::new(&names)), Arc::new(AtomicBool::new(false)));
        let store = MeteredStore::new(journal(Arc::new(store)), metrics.clone(), store_halted.clone());
        let store: Arc<dyn Store> = Arc::new(store);

        let mut chains = BTreeMap::new();
        let mut setups = Vec::new();
        for chain in &config.chains {
            let (piece, setup) = build_chain(chain, environment, &clock, (&roster, me))?;
            chains.insert(setup.chain.clone(), piece);
            setups.push(setup);
        }
        let mut contracts = BTreeMap::new();
        let mut contract_setups = Vec::new();
        for contract in &config.contracts {
            let (piece, setup) = build_contract(contract, environment, &clock, (&roster, me))?;
            contracts.insert(contract::chain_of(setup.proxy.chain), piece);
            contract_setups.push(setup);
        }
        let destinations = build_destinations(&config.destinations)?;
        let committee = Committee::of(&roster).ok_or(BuildError::Roster(RosterError::Stranger {
            node_key: "a node key that is no point of its curve".to_owned(),
        }))?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let limits = &config.limits;
        let runs = Bounds {
            runs_max: limits.sessions_max,
            permits: limits.permits(cores),
            messages_per_party: limits.frames_kept_per_party,
            bytes_per_party: limits.bytes_kept_per_party,
        };
        let process = Process {
            life: Life { incarnation: node::incarnation(store.as_ref())?.number, boot: store.raise_boot()? },
            instance: rand::RngCore::next_u64(&mut rand::rngs::OsRng),
        };
        let setup = Setup {
            me,
            process,
            committee: Arc::new(committee),
            keys_per_lane: BTreeMap::from([
                (Suite::Secp256k1, config.shelf.secp256k1_per_lane.into()),
                (Suite::Ed25519, config.shelf.ed25519_per_lane.into()),
            ]),
            slots: runs.permits,
            live_max: limits.requests_open_max,
            chains: setups,
            contracts: contract_setups,
            destinations: config.destinations.iter().map(|one| (one.chain, one.caps)).collect(),
        };
        let node = Node::recover(setup, store.clone(), clock.monotonic_ms())?;
        let (bound, book) = bind(&config, &roster, &identity, clock.clone()).await?;
        let admin = Listener::bind(&config.node.admin_socket, config.limits.admin_connections_max)?;
        let monitoring = match config.monitoring {
            Some(asked) => Some(monitoring::Listener::bind(asked.listen, asked.connections_max).await?),
            None => None,
        };
        let primes = Arc::new(PrimeRoom::new(store.clone(), primes.as_ref()));
        Ok(Self {
            roster,
            me,
            identity,
            store,
            data_dir: config.node.data_dir,
            clock,
            node,
            process,
            chains,
            bound,
            book,
            primes,
            runs,
            admin,
            monitoring,
            metrics,
            contracts,
            destinations,
            store_halted,
        })
    }
}

pub(super) fn os_randomness() -> rand_chacha::ChaCha20Rng {
    rand_chacha::ChaCha20Rng::from_entropy()
}

fn named(field: &str, source: SecretError) -> BuildError {
    BuildError::Secret { field: field.to_owned(), source }
}

impl ChainPiece {
    pub(super) fn view(&self) -> ChainView {
        ChainView {
            client: self.client.clone(),
            account: crate::outbox::Pen::account(self.pen.as_ref()).to_owned(),
            pulse: self.pulse.clone(),
            poll: self.poll,
            call_timeout: self.call_timeout,
        }
    }
}

fn build_chain(
    chain: &ChainConfig,
    environment: &dyn Environment,
    clock: &Arc<dyn Clock>,
    (roster, me): (&Roster, PartyIndex),
) -> Result<(ChainPiece, ChainSetup), BuildError> {
    let name = chain.id.as_str().to_owned();
    let secret = chain
        .account
        .key(environment)
        .map_err(|source| BuildError::Secret { field: format!("chain {name}: account"), source })?;
    let account = PartyAccount::from_bytes(&secret)
        .map_err(|error| BuildError::Account { chain: name.clone(), reason: error.to_string() })?;
    check_account(roster, me, &name, account.address())?;
    let endpoints = chain
        .endpoints
        .iter()
        .map(|endpoint| Endpoint::at(endpoint.reveal()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| BuildError::Endpoint { chain: name.clone(), source })?;
    let settings = chain_client::Settings { call_timeout: chain.call_timeout, ..chain_client::Settings::default() };
    let client = Arc::new(ZrChain::new(chain.id.clone(), chain.keyring.clone(), endpoints, settings));
    let pen = Arc::new(AccountPen::new(chain.id.clone(), account, chain.fees));
    let setup = ChainSetup {
        chain: name,
        keyring: chain.keyring.clone(),
        reserved: chain.reserved_keys.iter().copied().collect(),
        endpoints: client.endpoints(),
        pen: pen.clone(),
    };
    let pulse = Arc::new(Pulse::new(clock.clone()));
    let (poll, call_timeout) = (chain.poll_interval, chain.call_timeout);
    Ok((ChainPiece { client, pen, poll, call_timeout, pulse }, setup))
}

impl ContractPiece {
    pub(super) fn view(&self) -> ContractView {
        ContractView {
            client: self.client.clone(),
            proxy: self.config.proxy,
            account: self.account,
            pulse: self.pulse.clone(),
            poll: self.config.poll_interval,
            call_timeout: self.config.call_timeout,
        }
    }

    pub(super) fn follower(self, inbox: Inbox) -> ContractFollower {
        ContractFollower {
            chain: self.client,
            proxy: self.config.proxy,
            code: self.config.code,
            first_block: self.config.first_block,
            account: self.account,
            inbox,
            poll: self.config.poll_interval,
            pulse: self.pulse,
        }
    }
}

/// A contract that the roster does not name has no controller key, and gets none.
fn build_contract(
    config: &ContractConfig,
    environment: &dyn Environment,
    clock: &Arc<dyn Clock>,
    (roster, me): (&Roster, PartyIndex),
) -> Result<(ContractPiece, ContractSetup), BuildError> {
    let name = contract::chain_of(config.proxy.chain);
    if !roster.contracts().contains(&config.proxy) {
        return Err(BuildError::Contract { contract: config.proxy.to_string() });
    }
    let secret = config
        .account
        .key(environment)
        .map_err(|source| BuildError::Secret { field: format!("contract {name}: account"), source })?;
    let pen = EvmPen::from_bytes(&secret).ok_or_else(|| BuildError::Account {
        chain: name.clone(),
        reason: "`account` is no secp256k1 key".to_owned(),
    })?;
    let account = pen.account();
    check_account(roster, me, &name, &account.to_string())?;
    let client = evm_chain(config, EvmSettings::default())
        .map_err(|source| BuildError::EvmEndpoint { chain: name.clone(), source })?;
    let setup = ContractSetup {
        proxy: config.proxy,
        destinations: config.destinations.clone(),
        settings: sender_settings(config),
        pen: Arc::new(pen),
    };
    let (client, pulse) = (Arc::new(client), Arc::new(Pulse::new(clock.clone())));
    Ok((ContractPiece { client, config: config.clone(), account, pulse }, setup))
}

/// The chains to which simple transactions may go.
fn build_destinations(destinations: &[DestinationConfig]) -> Result<BTreeMap<u64, Arc<EvmChain>>, BuildError> {
    let build = |config: &DestinationConfig| match destination_chain(config) {
        Ok(chain) => Ok((config.chain, Arc::new(chain))),
        Err(source) => Err(BuildError::EvmEndpoint { chain: contract::chain_of(config.chain), source }),
    };
    destinations.iter().map(build).collect()
}

/// Two parties with one account would spend each other's sequences.
fn check_account(roster: &Roster, me: PartyIndex, chain: &str, address: &str) -> Result<(), BuildError> {
    let refuse = |reason| Err(BuildError::Account { chain: chain.to_owned(), reason });
    let name = |place| roster.entry(place).map(|entry| entry.name.as_str()).unwrap_or_default();
    match roster.index_of_account(chain, address) {
        Some(place) if place != me => refuse(format!(
            "`account` is {address}, which is party {}'s in the roster: the account keys are swapped",
            name(place)
        )),
        Some(_) => Ok(()),
        None => match roster.entry(me).and_then(|entry| entry.accounts.get(chain)) {
            Some(listed) => refuse(format!(
                "`account` is {address}, but the roster lists {listed} for party {}: correct one of the two",
                name(me)
            )),
            None => Ok(()),
        },
    }
}

async fn bind(
    config: &Config,
    roster: &Roster,
    identity: &NodeIdentity,
    clock: Arc<dyn Clock>,
) -> Result<(transport::Bound, transport::PeerBook), BuildError> {
    let links = |error: Box<dyn std::error::Error + Send + Sync>| BuildError::Links(error);
    let book = roster.book()?;
    let process = rand::RngCore::next_u64(&mut os_randomness());
    let wall = WallClock::new(move || clock.wall_ms());
    let key = NodeKey::from_seed(identity.seed());
    let mut network = transport::NetworkConfig::new(key, config.node.listen.clone(), wall, process);
    network.limits.body_bytes_max = config.limits.frame_bytes_max;
    let bound = network.build().await.map_err(|error| links(error.into()))?;
    Ok((bound, book))
}
