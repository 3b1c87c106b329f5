//! Configuration: one TOML file, checked once, then types.
//!
//! [`RawConfig`] mirrors the file and refuses unknown fields; [`Config`] holds what the rest of the daemon may rely on.
//! Secrets never stand in the file: it refers to them ([`SecretRef`]), and they are read when they are needed. Every
//! field is explained in `docs/configuration.md`, which a test compares with the fields that there are.

mod contract;
mod destination;
mod limits;
mod raw;
mod secret;
mod template;

pub use contract::{ContractConfig, RawContract, RawEvidence, RawFinality};
pub use destination::{DestinationConfig, RawDestination};
pub use limits::Limits;
pub use raw::{LogFormat, RawChain, RawConfig, RawLog, RawMonitoring, RawNode, RawShelf, RawStore, RawUnlock};
pub(crate) use secret::key_from;
pub use secret::{Environment, ProcessEnvironment, SecretError, SecretRef};
pub use template::{NewParty, annotated};

use crate::store;
use chain_client::{ChainId, FeePolicy};
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// Most bytes of a config file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The checked configuration of one node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node itself.
    pub node: NodeConfig,
    /// How the store opens.
    pub store: StoreConfig,
    /// The chains it serves, each id once; at least one chain or contract.
    pub chains: Vec<ChainConfig>,
    /// The contracts it serves; one on each EVM chain.
    pub contracts: Vec<ContractConfig>,
    /// The EVM chains to which simple transactions may go.
    pub destinations: Vec<DestinationConfig>,
    /// Keys made ahead of need.
    pub shelf: ShelfConfig,
    /// Every bound that may be moved.
    pub limits: Limits,
    /// What is logged, how and where.
    pub log: RawLog,
    /// Where machines ask how the node is; `None`: nowhere.
    pub monitoring: Option<MonitoringConfig>,
}

/// `[node]`.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The name of this party in the roster.
    pub name: String,
    /// Where store, lock and (by default) admin socket lie.
    pub data_dir: PathBuf,
    /// The roster file.
    pub roster: PathBuf,
    /// The node's Ed25519 seed.
    pub identity: SecretRef,
    /// Where this node listens for its peers.
    pub listen: Vec<transport::Address>,
    /// The admin socket.
    pub admin_socket: PathBuf,
    /// How long a stop may take.
    pub drain_timeout: Duration,
}

/// `[store]`.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Passphrase or key file.
    pub unlock: RawUnlock,
}

/// One `[[chain]]`.
#[derive(Clone, Debug)]
pub struct ChainConfig {
    /// The chain's own name.
    pub id: ChainId,
    /// The address of the keyring there.
    pub keyring: String,
    /// Nodes to ask, the first preferred.
    pub endpoints: Vec<EndpointUrl>,
    /// The secp256k1 key of this party's account.
    pub account: SecretRef,
    /// Ids of keys whose child requests need no workspace owner.
    pub reserved_keys: BTreeSet<u64>,
    /// What may be paid for one transaction.
    pub fees: FeePolicy,
    /// How often the chain is asked.
    pub poll_interval: Duration,
    /// Longest wait for one reply of an endpoint.
    pub call_timeout: Duration,
}

/// `[monitoring]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonitoringConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Connections at a time.
    pub connections_max: usize,
}

/// `[shelf]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShelfConfig {
    /// Finished secp256k1 keys kept per lane.
    pub secp256k1_per_lane: u16,
    /// Finished Ed25519 keys kept per lane.
    pub ed25519_per_lane: u16,
}

/// The address of a chain node. Prints without user, password, path and query: these may hold access tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointUrl(Url);

/// Why a configuration is refused: mend the file, nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}; name the file with --config")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is not this program's TOML.
    #[error("the configuration does not parse")]
    Parse(#[source] Box<toml::de::Error>),
    /// One field breaks a rule.
    #[error("configuration: {field} {what}")]
    Field {
        /// Its path in the file.
        field: String,
        /// The rule, and what to do.
        what: String,
    },
}

// === impl Config ===

impl Config {
    /// Reads and checks a file. Relative paths in it are taken from the file's own folder.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("")))
    }

    /// Parses and checks a text. Relative paths in it are taken from `folder`.
    ///
    /// # Errors
    /// [`ConfigError::Parse`], [`ConfigError::Field`].
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        RawConfig::parse(text)?.check(folder)
    }
}

impl RawConfig {
    /// Parses a text without checking more than its form.
    ///
    /// # Errors
    /// [`ConfigError::Parse`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Parse(Box::new(error)))
    }

    /// Checks every field against its rule.
    ///
    /// # Errors
    /// [`ConfigError::Field`] for the first that breaks one.
    pub fn check(self, folder: &Path) -> Result<Config, ConfigError> {
        let node = check_node(self.node, folder)?;
        if self.chain.is_empty() && self.contract.is_empty() {
            return refuse("chain", "is missing; name at least one [[chain]] or [[contract]]");
        }
        let mut chains = Vec::with_capacity(self.chain.len());
        for (place, chain) in self.chain.into_iter().enumerate() {
            chains.push(check_chain(chain, &format!("chain[{place}]"), folder)?);
        }
        let ids: BTreeSet<_> = chains.iter().map(|chain: &ChainConfig| &chain.id).collect();
        if ids.len() < chains.len() {
            return refuse("chain", "names one id twice; each chain is served once");
        }
        let mut contracts = Vec::with_capacity(self.contract.len());
        for (place, contract) in self.contract.into_iter().enumerate() {
            contracts.push(contract::check(contract, &format!("contract[{place}]"), folder)?);
        }
        let evm_chains: BTreeSet<u64> = contracts.iter().map(|contract| contract.proxy.chain).collect();
        if evm_chains.len() < contracts.len() {
            return refuse("contract", "names one chain twice; on each EVM chain one contract is served");
        }
        let mut destinations = Vec::with_capacity(self.destination.len());
        for (place, destination) in self.destination.iter().enumerate() {
            destinations.push(destination::check(destination, &format!("destination[{place}]"))?);
        }
        let ids: BTreeSet<u64> = destinations.iter().map(|destination| destination.chain).collect();
        if ids.len() < destinations.len() {
            return refuse("destination", "names one chain twice; each is read through one section");
        }
        let unlock = match self.store.unlock {
            RawUnlock::Passphrase(secret) => RawUnlock::Passphrase(check_secret(secret, "store.unlock", folder)?),
            RawUnlock::Keyfile(secret) => RawUnlock::Keyfile(check_secret(secret, "store.unlock", folder)?),
        };
        self.limits.check()?;
        let mut log = self.log;
        log.file = log.file.map(|path| folder.join(path));
        tracing_subscriber::EnvFilter::try_new(&log.level).or_else(|_| refuse("log.level", "is no filter"))?;
        Ok(Config {
            node,
            store: StoreConfig { unlock },
            chains,
            contracts,
            destinations,
            shelf: check_shelf(self.shelf)?,
            limits: self.limits,
            log,
            monitoring: self.monitoring.map(check_monitoring).transpose()?,
        })
    }
}

impl StoreConfig {
    /// Reads what opens the store.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn unlock(&self, environment: &dyn Environment) -> Result<store::Unlock, SecretError> {
        match &self.unlock {
            RawUnlock::Passphrase(secret) => secret.phrase(environment).map(store::Unlock::Passphrase),
            RawUnlock::Keyfile(secret) => secret.key(environment).map(store::Unlock::KeyFile),
        }
    }
}

// === impl EndpointUrl ===

impl EndpointUrl {
    /// The whole address, to connect with. Not to be printed.
    pub fn reveal(&self) -> &Url {
        &self.0
    }

    /// How an address would print; of a text that is none, nothing is shown.
    pub fn redacted(text: &str) -> String {
        check_endpoint(text, "").map_or_else(|_| "no address".to_owned(), |url| url.to_string())
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === rules ===

fn refuse<T>(field: impl Into<String>, what: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Field { field: field.into(), what: what.into() })
}

fn check_node(raw: RawNode, folder: &Path) -> Result<NodeConfig, ConfigError> {
    if raw.name.is_empty() {
        return refuse("node.name", "is empty; write this party's name in the roster");
    }
    if raw.listen.is_empty() {
        return refuse("node.listen", "is empty; peers must reach this node");
    }
    let listen = raw.listen.iter().map(|address| address.parse::<transport::Address>()).collect::<Result<_, _>>();
    let listen = listen.or_else(|error| refuse("node.listen", format!("is wrong: {error}")))?;
    let data_dir = folder.join(raw.data_dir);
    Ok(NodeConfig {
        name: raw.name,
        roster: folder.join(raw.roster),
        identity: check_secret(raw.identity, "node.identity", folder)?,
        listen,
        admin_socket: raw.admin_socket.map_or_else(|| data_dir.join("admin.sock"), |path| folder.join(path)),
        data_dir,
        drain_timeout: within("node.drain_timeout", raw.drain_timeout, 1, 600)?,
    })
}

fn check_chain(raw: RawChain, at: &str, folder: &Path) -> Result<ChainConfig, ConfigError> {
    if raw.kind != "zrchain" {
        return refuse(format!("{at}.kind"), format!("is {:?}; this program serves \"zrchain\"", raw.kind));
    }
    let id = ChainId::new(raw.id).or_else(|error| refuse(format!("{at}.id"), format!("is wrong: {error}")))?;
    if raw.keyring.is_empty() || raw.keyring.len() > 128 {
        return refuse(format!("{at}.keyring"), "must be the keyring's address on the chain, at most 128 characters");
    }
    if raw.endpoints.is_empty() || raw.endpoints.len() > 16 {
        return refuse(format!("{at}.endpoints"), "must name 1 to 16 nodes");
    }
    let mut endpoints = Vec::with_capacity(raw.endpoints.len());
    for (place, text) in raw.endpoints.iter().enumerate() {
        endpoints.push(check_endpoint(text, &format!("{at}.endpoints[{place}]"))?);
    }
    let (floor, ceiling) = (raw.fee_floor_urock, raw.fee_ceiling_urock);
    if ceiling == 0 || floor > ceiling {
        return refuse(
            format!("{at}.fee_ceiling_urock"),
            format!("is {ceiling}; it must be above 0 and the floor, {floor}"),
        );
    }
    Ok(ChainConfig {
        id,
        keyring: raw.keyring,
        endpoints,
        account: check_secret(raw.account, &format!("{at}.account"), folder)?,
        reserved_keys: raw.reserved_keys.into_iter().collect(),
        fees: FeePolicy { floor_urock: floor.into(), ceiling_urock: ceiling.into() },
        poll_interval: within_ms(&format!("{at}.poll_interval"), raw.poll_interval, 50, 60_000)?,
        call_timeout: within_ms(&format!("{at}.call_timeout"), raw.call_timeout, 100, 60_000)?,
    })
}

fn check_endpoint(text: &str, field: &str) -> Result<EndpointUrl, ConfigError> {
    // The text is never repeated in the error: it may hold a password.
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(EndpointUrl(url)),
        _ => refuse(field, "is no address of a node; write http://host:port or https://host:port"),
    }
}

fn check_shelf(raw: RawShelf) -> Result<ShelfConfig, ConfigError> {
    for (field, value) in [("secp256k1_per_lane", raw.secp256k1_per_lane), ("ed25519_per_lane", raw.ed25519_per_lane)] {
        if value > 1_000 {
            return refuse(
                format!("shelf.{field}"),
                format!("is {value}; at most 1000 finished keys are kept per lane"),
            );
        }
    }
    Ok(ShelfConfig { secp256k1_per_lane: raw.secp256k1_per_lane, ed25519_per_lane: raw.ed25519_per_lane })
}

fn check_monitoring(raw: RawMonitoring) -> Result<MonitoringConfig, ConfigError> {
    let Ok(listen) = raw.listen.parse::<SocketAddr>() else {
        return refuse("monitoring.listen", "is no address and port; write 127.0.0.1:9464");
    };
    if !(1..=256).contains(&raw.connections_max) {
        return refuse(
            "monitoring.connections_max",
            format!("is {}; it must lie between 1 and 256", raw.connections_max),
        );
    }
    Ok(MonitoringConfig { listen, connections_max: raw.connections_max })
}

fn check_secret(secret: SecretRef, field: &str, folder: &Path) -> Result<SecretRef, ConfigError> {
    match secret {
        SecretRef::File(path) => Ok(SecretRef::File(folder.join(path))),
        SecretRef::Env(name) if name.is_empty() => refuse(field, "names no environment variable"),
        SecretRef::Credential(name) if name.is_empty() || name.contains('/') || name.starts_with('.') => {
            refuse(field, "must be the plain name of a systemd credential")
        }
        SecretRef::Pkcs11(_) => {
            refuse(field, "refers to PKCS#11, which this version cannot read; use file, env or credential")
        }
        other => Ok(other),
    }
}

fn within(field: &str, value: Duration, least_s: u64, most_s: u64) -> Result<Duration, ConfigError> {
    within_ms(field, value, least_s * 1_000, most_s * 1_000)
}

fn within_ms(field: &str, value: Duration, least_ms: u64, most_ms: u64) -> Result<Duration, ConfigError> {
    let (least, most) = (Duration::from_millis(least_ms), Duration::from_millis(most_ms));
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    refuse(field, format!("is {value:?}; it must lie between {least:?} and {most:?}"))
}

#[cfg(test)]
mod tests;
