//! Collects the facts for a check: reads files, asks the running node or shakes hands with its peers, asks each chain
//! node. Refuses to judge. Every wait has an end.

mod contracts;

use super::{
    ChainFacts, ChainState, EndpointFacts, Facts, PartyFacts, PeerFacts, RunningFacts, SecretFacts, StoreFacts,
};
use crate::admin;
use crate::admin::proto::{StatusReply, StatusRequest};
use crate::clock::{Clock, SystemClock};
use crate::config::{ChainConfig, Config, Environment, RawUnlock, SecretRef};
use crate::contract::chain_of;
use crate::identity::NodeIdentity;
use crate::report::Report;
use crate::roster::Roster;
use crate::store::{OpenError, RocksStore, Store};
use chain_client::{Endpoint, GasPrice, PartyAccount, Settings, ZrChain};
use rand::SeedableRng as _;
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use transport::{Fault, NetworkConfig, NodeKey, Transport as _, WallClock};

/// Longest wait for the running node's own words.
const NODE_PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for handshakes with the peers.
const PEER_PATIENCE: Duration = Duration::from_secs(6);
/// How often links are looked at meanwhile.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest wait for links to close.
const GRACE: Duration = Duration::from_secs(2);

/// Everything about the party of this configuration.
pub async fn gather(path: &Path, environment: &dyn Environment) -> Facts {
    let config_path = path.display().to_string();
    match Config::load(path) {
        Ok(config) => Facts { config_path, party: Ok(party(&config, environment).await) },
        Err(error) => Facts { config_path, party: Err(line(error)) },
    }
}

async fn party(config: &Config, environment: &dyn Environment) -> PartyFacts {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let identity = config.node.identity.key(environment).ok().map(|seed| NodeIdentity::from_seed(&seed));
    let node_key = identity.as_ref().map(NodeIdentity::public);
    let roster = if config.node.roster.exists() {
        Roster::load(&config.node.roster).map_err(line)
    } else {
        Err(format!("there is none in {} yet", config.node.roster.display()))
    };
    let (store, remembered) = store(config, environment);
    let status = status(config).await;
    let peers = match (&status, &roster, &identity) {
        (Some(status), ..) => told(status),
        // Two processes with one identity would take each other's links: only when nobody else has the store.
        (None, Ok(roster), Some(identity)) if !matches!(store, StoreFacts::InUse) => {
            shaken(config, roster, identity, clock.clone()).await
        }
        _ => BTreeMap::new(),
    };
    let mut chains = Vec::new();
    for chain in &config.chains {
        chains.push(self::chain(chain, environment, clock.as_ref()).await);
    }
    let memories = contracts::memories(config, status.as_ref(), remembered);
    let contracts = contracts::contracts(config, environment, roster.as_ref().ok(), memories, clock.as_ref()).await;
    let folder = &config.node.data_dir;
    PartyFacts {
        name: config.node.name.clone(),
        secrets: secrets(config, environment),
        folder_mode: std::fs::metadata(folder).ok().map(|facts| facts.permissions().mode() & 0o7777),
        node_key,
        roster,
        store,
        disk_free: rustix::fs::statvfs(folder)
            .map(|facts| facts.f_bavail.saturating_mul(facts.f_frsize))
            .map_err(|error| format!("{} cannot be looked at: {error}", folder.display())),
        running: status.map(|status| RunningFacts {
            roster: hex::decode(&status.roster).ok().and_then(|bytes| bytes.try_into().ok()).unwrap_or_default(),
            not_ready: status.not_ready.iter().map(ToString::to_string).collect(),
            degraded: status.degraded.iter().map(ToString::to_string).collect(),
        }),
        peers,
        chains,
        contracts,
    }
}

/// An error with all its causes, in one line.
fn line(error: impl std::error::Error + Send + Sync + 'static) -> String {
    Report::from(error).to_string().replace("\n  because ", ": ").replace('\n', " ")
}

// === this machine ===

fn secrets(config: &Config, environment: &dyn Environment) -> Vec<SecretFacts> {
    let facts = |field: &str, reference: &SecretRef, fault: Option<String>| SecretFacts {
        field: field.to_owned(),
        place: reference.to_string(),
        fault,
        inherited: matches!(reference, SecretRef::Env(_)),
    };
    let mut secrets = Vec::new();
    let identity = &config.node.identity;
    secrets.push(facts("node.identity", identity, identity.key(environment).err().map(line)));
    let unlock = match &config.store.unlock {
        RawUnlock::Passphrase(reference) => (reference, reference.phrase(environment).err()),
        RawUnlock::Keyfile(reference) => (reference, reference.key(environment).err()),
    };
    secrets.push(facts("store.unlock", unlock.0, unlock.1.map(line)));
    for chain in &config.chains {
        let fault = match chain.account.key(environment) {
            Ok(key) => PartyAccount::from_bytes(&key).err().map(line),
            Err(error) => Some(line(error)),
        };
        secrets.push(facts(&format!("chain.account ({})", chain.id), &chain.account, fault));
    }
    for contract in &config.contracts {
        let field = format!("contract.account ({})", chain_of(contract.proxy.chain));
        secrets.push(facts(&field, &contract.account, contracts::account(contract, environment).err()));
    }
    secrets
}

/// The store, and what it remembers of the contracts.
fn store(config: &Config, environment: &dyn Environment) -> (StoreFacts, contracts::Memories) {
    let missing = |facts| (facts, Err("the store was not read".to_owned()));
    let Ok(unlock) = config.store.unlock(environment) else { return missing(StoreFacts::NoKey) };
    let look = |store: &dyn Store| config.contracts.iter().map(|it| contracts::remembered(store, it.proxy)).collect();
    match RocksStore::inspect(&config.node.data_dir, &unlock, Box::new(ChaCha20Rng::from_entropy()), look) {
        Ok((found, memories)) => (StoreFacts::Opens { position: found.head.position, owner: found.owner }, memories),
        Err(OpenError::InUse { .. }) => missing(StoreFacts::InUse),
        Err(error) => missing(StoreFacts::Fault(line(error))),
    }
}

// === peers ===

async fn status(config: &Config) -> Option<StatusReply> {
    let ask = async {
        let mut node = admin::connect(&config.node.admin_socket).await.ok()?;
        node.status(StatusRequest {}).await.ok().map(tonic::Response::into_inner)
    };
    tokio::time::timeout(NODE_PATIENCE, ask).await.ok().flatten()
}

/// The links of the running node.
fn told(status: &StatusReply) -> BTreeMap<String, PeerFacts> {
    let facts = status.peers.iter().map(|peer| {
        let why = if peer.fault.is_empty() { "no link yet" } else { &peer.fault };
        let fault = (!peer.up).then(|| why.to_owned());
        (peer.name.clone(), PeerFacts { fault, other_roster: peer.other_roster, ahead_ms: peer.clock_offset_ms })
    });
    facts.collect()
}

/// Links of our own, for as long as it takes to shake hands. Nothing is sent on them, and nothing that comes is read.
async fn shaken(
    config: &Config,
    roster: &Roster,
    identity: &NodeIdentity,
    clock: Arc<dyn Clock>,
) -> BTreeMap<String, PeerFacts> {
    let Ok(book) = roster.book() else { return BTreeMap::new() };
    let process = rand::RngCore::next_u64(&mut ChaCha20Rng::from_entropy());
    let key = NodeKey::from_seed(identity.seed());
    let mut network = NetworkConfig::new(key, Vec::new(), WallClock::new(move || clock.wall_ms()), process);
    network.limits.body_bytes_max = config.limits.frame_bytes_max;
    let Ok(bound) = network.build().await else { return BTreeMap::new() };
    let mut network = bound.spawn(&book);
    let links = network.links();
    let settled = async {
        while links.snapshot().iter().any(|link| !link.up && link.fault.is_none()) {
            tokio::time::sleep(PAUSE).await;
        }
    };
    let _late = tokio::time::timeout(PEER_PATIENCE, settled).await;
    let facts = links.snapshot().into_iter().map(|link| {
        let why = link.fault.as_ref().map_or_else(|| "no answer in time".to_owned(), ToString::to_string);
        let other_roster = matches!(link.fault, Some(Fault::RosterDiffers { .. })) && !link.up;
        let ahead_ms = link.clock_offset.map(|offset| offset.ahead_ms);
        (link.name, PeerFacts { fault: (!link.up).then_some(why), other_roster, ahead_ms })
    });
    let facts = facts.collect();
    network.drain(GRACE).await;
    facts
}

// === chains ===

async fn chain(config: &ChainConfig, environment: &dyn Environment, clock: &dyn Clock) -> ChainFacts {
    let settings = Settings { call_timeout: config.call_timeout, rounds: 1, ..Settings::default() };
    let mut nodes = Vec::new();
    let mut endpoints = Vec::new();
    for address in &config.endpoints {
        let client = match Endpoint::at(address.reveal()) {
            Ok(endpoint) => ZrChain::new(config.id.clone(), config.keyring.clone(), vec![endpoint], settings),
            Err(error) => {
                let head = Err(line(error));
                endpoints.push(EndpointFacts { name: address.to_string(), head, wall_ms: 0, common: None });
                continue;
            }
        };
        let head = client.head().await.map(|head| head.value).map_err(line);
        endpoints.push(EndpointFacts { name: address.to_string(), head, wall_ms: clock.wall_ms(), common: None });
        nodes.push((endpoints.len() - 1, client));
    }
    compare(&mut endpoints, &nodes).await;
    let account = config.account.key(environment).ok().and_then(|key| PartyAccount::from_bytes(&key).ok());
    let account = account.map(|account| account.address().to_owned());
    let state = state(config, account.as_deref(), settings).await;
    let (id, keyring) = (config.id.to_string(), config.keyring.clone());
    ChainFacts { id, keyring, account, fees: config.fees, endpoints, state }
}

/// Asks all nodes for the highest block that each of them should have.
async fn compare(endpoints: &mut [EndpointFacts], nodes: &[(usize, ZrChain)]) {
    let heights = endpoints.iter().filter_map(|node| Some(node.head.as_ref().ok()?.height));
    let Some(common) = heights.min().filter(|_| nodes.len() > 1) else { return };
    for (place, client) in nodes {
        let Some(facts) = endpoints.get_mut(*place).filter(|facts| facts.head.is_ok()) else { continue };
        facts.common = client.block(common).await.ok().flatten().map(|block| block.value.hash);
    }
}

async fn state(config: &ChainConfig, account: Option<&str>, settings: Settings) -> Result<ChainState, String> {
    let endpoints = config.endpoints.iter().filter_map(|address| Endpoint::at(address.reveal()).ok()).collect();
    let client = ZrChain::new(config.id.clone(), config.keyring.clone(), endpoints, settings);
    let keyring = client.keyring().await.map_err(line)?.value;
    let (facts, balance_urock) = match account {
        Some(account) => {
            (client.account(account).await.map_err(line)?.value, client.balance(account).await.map_err(line)?.value)
        }
        None => (None, 0),
    };
    let price = GasPrice::parse(&client.treasury().await.map_err(line)?.value.min_gas_price).map_err(line);
    Ok(ChainState { keyring, account: facts, balance_urock, price })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NewParty, annotated};
    use crate::roster::{RosterEntry, RosterFile};
    use zeroize::Zeroizing;

    fn identity(seed: u8) -> NodeIdentity {
        NodeIdentity::from_seed(&Zeroizing::new([seed; 32]))
    }

    fn roster(epoch: u64, beta: &str) -> Roster {
        let entry = |(name, seed, address): (&str, u8, &str)| RosterEntry {
            name: name.to_owned(),
            node_key: identity(seed).public(),
            addresses: vec![address.to_owned()],
            accounts: BTreeMap::new(),
        };
        // Port 1 is nobody's.
        let parties = [("alpha", 1, "/ip4/127.0.0.1/tcp/1"), ("beta", 2, beta), ("gamma", 3, "/ip4/127.0.0.1/tcp/1")];
        let mut file = RosterFile::new(epoch, 2, parties.map(entry));
        for seed in 1..=3 {
            file.sign(&identity(seed)).unwrap();
        }
        file.verify().unwrap()
    }

    fn config() -> Config {
        let party = NewParty {
            name: "alpha".to_owned(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
            chain: "zenrock".to_owned(),
            keyring: "keyring1x".to_owned(),
            endpoints: vec!["http://127.0.0.1:9".to_owned()],
        };
        Config::parse(&annotated(&party).unwrap(), Path::new("/nowhere")).unwrap()
    }

    /// What alpha finds, while beta runs under the roster of this epoch.
    async fn found(beta_epoch: u64) -> BTreeMap<String, PeerFacts> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let wall = clock.clone();
        let key = NodeKey::from_seed(identity(2).seed());
        let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        let beta = NetworkConfig::new(key, listen, WallClock::new(move || wall.wall_ms()), 2).build().await.unwrap();
        let address = beta.listen_addresses()[0].to_string();
        let mut beta = beta.spawn(&roster(beta_epoch, &address).book().unwrap());
        let found = shaken(&config(), &roster(1, &address), &identity(1), clock).await;
        beta.drain(GRACE).await;
        found
    }

    #[tokio::test]
    async fn a_handshake_finds_who_is_there_and_how_its_clock_stands() {
        let found = found(1).await;
        assert!(found["beta"].fault.is_none() && found["beta"].ahead_ms.is_some(), "{found:?}");
        assert!(found["gamma"].fault.is_some() && !found["gamma"].other_roster, "{found:?}");
    }

    #[tokio::test]
    async fn a_handshake_names_the_peer_that_holds_another_roster() {
        let found = found(2).await;
        assert!(found["beta"].other_roster && found["beta"].fault.is_some(), "{found:?}");
        assert!(!found["gamma"].other_roster, "{found:?}");
    }
}
