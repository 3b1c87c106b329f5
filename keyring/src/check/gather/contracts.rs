//! Collects what there is to know about contracts: asks every node of their chains, this party's memory, and the
//! contract itself at one final block.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use chain_client::zrsign::evm::{Block, EvmChain, EvmError, EvmSettings, Tips};
use chain_client::zrsign::name::Proxy;
use chain_client::zrsign::range::Mark;
use futures::future::{join_all, try_join_all};
use k256::ecdsa::VerifyingKey;

use super::super::{ContractFacts, ContractMemory, ContractState, ContractWords, EvmAccountFacts, EvmNodeFacts};
use super::line;
use crate::admin::proto::StatusReply;
use crate::agreement::Record;
use crate::app::evm_chain::{evm_chain, sender_settings};
use crate::app::evm_pen::EvmPen;
use crate::clock::Clock;
use crate::config::{Config, ContractConfig, Environment};
use crate::contract::{chain_of, controller_of};
use crate::roster::Roster;
use crate::sender::Pen as _;
use crate::store::{Store, Table};

/// Longest wait for all that one contract is asked.
const CONTRACT_PATIENCE: Duration = Duration::from_secs(60);

/// What this party remembers of each contract, in the order of the configuration, or why that is not known.
pub(super) type Memories = Result<Vec<ContractMemory>, String>;

// === this party ===

/// This party's account on a contract's chain.
pub(super) fn account(config: &ContractConfig, environment: &dyn Environment) -> Result<Address, String> {
    let key = config.account.key(environment).map_err(line)?;
    let pen = EvmPen::from_bytes(&key).ok_or_else(|| "it is no secp256k1 key".to_owned())?;
    Ok(pen.account())
}

/// What a store that nobody uses remembers of a contract.
pub(super) fn remembered(store: &dyn Store, proxy: Proxy) -> Result<ContractMemory, String> {
    let damaged = |what: &str| format!("the {what} of {proxy} in the store does not decode");
    let decree = store.read(Table::Decree, &controller_of(proxy).to_bytes()).map_err(line)?;
    let decree = decree.map(|bytes| Record::decode(&bytes).map_err(|_| damaged("controller key's decree")));
    let decided = decree.transpose()?.and_then(|record| record.decided);
    let address = |key: &[u8]| VerifyingKey::from_sec1_bytes(key).map(|key| Address::from_public_key(&key));
    let controller = decided.map(|decided| address(&decided.answer).map_err(|_| damaged("controller key")));
    let mark = store.read(Table::Cursor, chain_of(proxy.chain).as_bytes()).map_err(line)?;
    let mark = mark.map(|bytes| postcard::from_bytes::<Mark>(&bytes).map_err(|_| damaged("cursor"))).transpose()?;
    // What is in flight is not looked up: nobody sends it again while no node runs.
    Ok(ContractMemory { controller: controller.transpose()?, read: mark.map_or(0, |mark| mark.height), in_flight: 0 })
}

/// The running node's own words, or else what the store holds.
pub(super) fn memories(
    config: &Config,
    status: Option<&StatusReply>,
    remembered: Memories,
) -> Vec<Result<ContractMemory, String>> {
    let of = |(place, contract): (usize, &ContractConfig)| match (status, &remembered) {
        (Some(status), _) => told(status, contract.proxy),
        (None, Ok(memories)) => memories.get(place).copied().ok_or_else(|| "the store was not read".to_owned()),
        (None, Err(why)) => Err(why.clone()),
    };
    config.contracts.iter().enumerate().map(of).collect()
}

fn told(status: &StatusReply, proxy: Proxy) -> Result<ContractMemory, String> {
    let name = proxy.to_string();
    let Some(told) = status.contracts.iter().find(|contract| contract.proxy == name) else {
        return Err("the node was started without it: start it again".to_owned());
    };
    let controller = match told.controller.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| "the node's word for it is no address".to_owned())?),
    };
    Ok(ContractMemory { controller, read: told.read, in_flight: told.in_flight.into() })
}

// === chains ===

/// All contracts, side by side.
pub(super) async fn contracts(
    config: &Config,
    environment: &dyn Environment,
    roster: Option<&Roster>,
    memories: Vec<Result<ContractMemory, String>>,
    clock: &dyn Clock,
) -> Vec<ContractFacts> {
    // Whoever holds a role where it does not belong is found only by asking everywhere.
    let mut asked: BTreeSet<Address> = memories.iter().filter_map(|memory| memory.as_ref().ok()?.controller).collect();
    asked.extend(config.contracts.iter().filter_map(|contract| account(contract, environment).ok()));
    let each = config.contracts.iter().zip(memories).map(|(contract, memory)| {
        let chain = chain_of(contract.proxy.chain);
        let parties = roster.iter().flat_map(|roster| roster.parties());
        let listed = parties.filter_map(|entry| entry.accounts.get(&chain)?.parse().ok());
        let asked = asked.iter().copied().chain(listed).collect();
        self::contract(contract, account(contract, environment).ok(), memory, asked, clock)
    });
    join_all(each).await
}

async fn contract(
    config: &ContractConfig,
    account: Option<Address>,
    memory: Result<ContractMemory, String>,
    asked: BTreeSet<Address>,
    clock: &dyn Clock,
) -> ContractFacts {
    let mut facts = ContractFacts {
        proxy: config.proxy,
        code: config.code.clone(),
        first_block: config.first_block,
        agree: config.agree,
        settings: sender_settings(config),
        account,
        memory,
        endpoints: Vec::new(),
        asked_ms: (clock.wall_ms(), 0),
        state: Err("no node of its chain answers".to_owned()),
    };
    let chain = match evm_chain(config, EvmSettings { rounds: 1, ..EvmSettings::default() }) {
        Ok(chain) => chain,
        Err(error) => return ContractFacts { state: Err(line(error)), ..facts },
    };
    let tips = chain.tips_of_each().await;
    facts.asked_ms.1 = clock.wall_ms();
    let names = chain.health().into_iter().map(|node| node.name);
    let node =
        |(name, tips): (_, Result<Tips, EvmError>)| EvmNodeFacts { name, tips: tips.map_err(line), common: None };
    facts.endpoints = names.zip(tips).map(node).collect();
    compare(&chain, &mut facts.endpoints).await;
    let Some((last_final, head)) = far(&facts.endpoints, config.agree) else {
        let answer = facts.endpoints.iter().filter(|node| node.tips.is_ok()).count();
        facts.state = Err(format!("{answer} of its nodes answer, {} must show the same", config.agree));
        return facts;
    };
    let state = state(&chain, config, (account, asked), last_final, head);
    facts.state = match tokio::time::timeout(CONTRACT_PATIENCE, state).await {
        Ok(state) => state.map_err(line),
        Err(_) => Err(format!("its nodes did not say all within {CONTRACT_PATIENCE:?}")),
    };
    facts
}

/// Asks all nodes for the highest block that each of them calls final.
async fn compare(chain: &EvmChain, nodes: &mut [EvmNodeFacts]) {
    let heights = nodes.iter().filter_map(|node| Some(node.tips.as_ref().ok()?.last_final.height));
    let Some(common) = heights.min() else { return };
    for (node, shown) in nodes.iter_mut().zip(chain.hash_of_each(common).await) {
        node.common = shown.ok().flatten().filter(|_| node.tips.is_ok());
    }
}

/// The newest block that as many nodes as must agree call final, and the newest of all: a node that is far behind holds up
/// nothing.
fn far(nodes: &[EvmNodeFacts], agree: usize) -> Option<(Block, Block)> {
    let tips = || nodes.iter().filter_map(|node| node.tips.as_ref().ok());
    let mut finals: Vec<Block> = tips().map(|tips| tips.last_final).collect();
    finals.sort_by_key(|block| std::cmp::Reverse(block.height));
    let last_final = finals.get(agree.saturating_sub(1))?;
    Some((*last_final, tips().map(|tips| tips.head).max_by_key(|head| head.height)?))
}

/// What the chain says of the contract in a final block, and of the account in the newest.
async fn state(
    chain: &EvmChain,
    config: &ContractConfig,
    (account, asked): (Option<Address>, BTreeSet<Address>),
    last_final: Block,
    head: Block,
) -> Result<ContractState, EvmError> {
    let (proxy, at) = (config.proxy.address, last_final.hash);
    let account = match account {
        Some(account) => Some(account_at(chain, account, head.hash).await?),
        None => None,
    };
    Ok(ContractState {
        at: last_final.height,
        is_there: chain.has_code(proxy, at).await?,
        code: chain.code(proxy, at).await?,
        admin: chain.proxy_admin(proxy, at).await?,
        words: words(chain, proxy, asked, at).await.map_err(line),
        was_there: was_there(chain, config, last_final.height).await,
        head,
        account,
    })
}

async fn words(
    chain: &EvmChain,
    proxy: Address,
    asked: BTreeSet<Address>,
    at: B256,
) -> Result<ContractWords, EvmError> {
    let deployment = chain.deployment(proxy, at).await?;
    let holds = async |account| Ok((account, chain.has_role(proxy, deployment.mpc_role, account, at).await?));
    let holds_role: BTreeMap<_, _> = try_join_all(asked.into_iter().map(holds)).await?.into_iter().collect();
    Ok(ContractWords { deployment, holds_role })
}

async fn account_at(chain: &EvmChain, account: Address, at: B256) -> Result<EvmAccountFacts, EvmError> {
    let state = chain.account(account, at).await?;
    let balance = u128::try_from(state.balance).unwrap_or(u128::MAX);
    Ok(EvmAccountFacts { balance, nonce: state.nonce, pending: chain.pending_nonce(account).await? })
}

/// Whether there was code at the contract's address when reading begins.
async fn was_there(chain: &EvmChain, config: &ContractConfig, last_final: u64) -> Result<bool, String> {
    let first = config.first_block;
    if first > last_final {
        return Err("it is not final".to_owned());
    }
    let block = chain.block(first).await.map_err(line)?;
    let block = block.ok_or_else(|| format!("no node shows block {first}"))?;
    chain.has_code(config.proxy.address, block.hash).await.map_err(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::proto::Contract;
    use crate::message::Certificate;
    use crate::store::{Entry, MemoryStore};
    use alloy_primitives::U256;
    use k256::ecdsa::SigningKey;

    const PROXY: Proxy = Proxy { chain: 31_337, address: Address::repeat_byte(9) };

    fn key() -> SigningKey {
        SigningKey::from_slice(&[0x22; 32]).unwrap()
    }

    fn address() -> Address {
        Address::from_public_key(key().verifying_key())
    }

    #[test]
    fn a_store_tells_the_controller_key_and_how_far_the_contract_was_read() {
        let store = MemoryStore::new(1);
        assert_eq!(remembered(&store, PROXY), Ok(ContractMemory::default()));
        let decree = controller_of(PROXY).to_bytes();
        let put =
            |table, name: &[u8], value: Vec<u8>| store.append(&[Entry::put(table, name, value)]).map(|_| ()).unwrap();
        // A decree that is not decided tells nothing.
        put(Table::Decree, &decree, Record::default().encode().unwrap());
        assert_eq!(remembered(&store, PROXY).unwrap().controller, None);
        let decided = |answer: &[u8]| {
            let decided = Some(Certificate { answer: answer.to_vec(), accepts: Vec::new() });
            Record { decided, ..Record::default() }.encode().unwrap()
        };
        put(Table::Decree, &decree, decided(&key().verifying_key().to_sec1_bytes()));
        let mark = Mark { height: 40, hash: B256::ZERO, next_trace: U256::ZERO };
        put(Table::Cursor, b"eip155:31337", postcard::to_stdvec(&mark).unwrap());
        let memory = ContractMemory { controller: Some(address()), read: 40, in_flight: 0 };
        assert_eq!(remembered(&store, PROXY), Ok(memory));
        let other = Proxy { address: Address::ZERO, ..PROXY };
        assert_eq!(remembered(&store, other).unwrap().controller, None, "of another contract of that chain");
        for damage in [decided(&[7; 33]), vec![0xFF; 3]] {
            put(Table::Decree, &decree, damage);
            assert!(remembered(&store, PROXY).unwrap_err().contains("does not decode"));
        }
    }

    #[test]
    fn the_contract_is_looked_at_as_far_as_enough_nodes_have_come() {
        let block = |height: u64| Block {
            height,
            hash: B256::with_last_byte(height as u8),
            timestamp: height,
            base_fee: None,
            gas_limit: 0,
        };
        let node = |tips| EvmNodeFacts { name: String::new(), tips, common: None };
        let shows = |head, last_final| {
            let endpoint = chain_client::EndpointId(0);
            node(Ok(Tips { endpoint, head: block(head), last_final: block(last_final) }))
        };
        let nodes = [shows(50, 40), node(Err("it is down".to_owned())), shows(120, 100), shows(121, 99)];
        assert_eq!(far(&nodes, 1), Some((block(100), block(121))));
        assert_eq!(far(&nodes, 2), Some((block(99), block(121))));
        assert_eq!(far(&nodes, 3), Some((block(40), block(121))));
        assert_eq!(far(&nodes, 4), None);
    }

    #[test]
    fn a_running_node_tells_the_same_or_that_it_does_not_know_the_contract() {
        let contract = |controller: &str| Contract {
            proxy: PROXY.to_string(),
            controller: controller.to_owned(),
            read: 40,
            in_flight: 3,
            ..Contract::default()
        };
        let status = |contracts| StatusReply { contracts, ..StatusReply::default() };
        let known = ContractMemory { controller: Some(address()), read: 40, in_flight: 3 };
        assert_eq!(told(&status(vec![contract(&address().to_string())]), PROXY), Ok(known));
        let unknown = ContractMemory { controller: None, ..known };
        assert_eq!(told(&status(vec![contract("")]), PROXY), Ok(unknown));
        assert!(told(&status(vec![contract("0x12")]), PROXY).is_err());
        assert!(told(&status(vec![]), PROXY).unwrap_err().contains("start it again"));
    }
}
