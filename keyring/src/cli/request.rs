//! `keyringd request`: asks for a key or a signature, waits for the answer, checks it, prints it. A small way in for who
//! writes dapps, and the example of `docs/requesting.md`.
//!
//! | Room | Holds |
//! | --- | --- |
//! | this one | what can be given; which chain is meant |
//! | `evm` | asks a zrSign contract: `contract` looks whom, `ask` pays, `wait` follows final blocks to the answer |
//! | `zrchain` | asks a zrChain, and `wait` follows the request to its end |
//! | `given` | what people write: amounts, bytes, waits |
//! | `told` | what is shown: progress on standard error, facts on standard output |
//!
//! Needs no node, no store and no configuration of a party: an endpoint, and the asker's own account key in a file. It owes
//! one thing: nothing is printed as an answer that was not held against what was asked.

mod evm;
mod given;
mod told;
mod zrchain;

use std::path::PathBuf;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use chain_client::zrsign::ask::Destination;
use clap::{Args, Subcommand, ValueEnum};
use url::Url;
use zeroize::Zeroizing;

use super::say;
use crate::config::{ProcessEnvironment, SecretRef};
use crate::harden;
use crate::report::{Misuse, Report};

const EVM: &str = "On an EVM chain";
const ZRCHAIN: &str = "On a zrChain";
const TRANSACTION: &str = "The transaction";
const EXAMPLES: &str = "Examples:
  keyringd request --evm URL --proxy eip155:1/0xPROXY --account me.key key --wallet evm
  keyringd request --evm URL --proxy eip155:1/0xPROXY --account me.key hash --wallet evm --index 0 0xHASH
  keyringd request --zrchain URL --chain-id ID --account me.key hash --key 7 0xHASH";
const NO_KEY: &str = "--account: what the file holds is a number, but no key of secp256k1";
/// Most endpoints.
const ENDPOINTS_MAX: usize = 16;

/// Whom to ask, what for.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct RequestArgs {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    what: What,
}

/// Whom to ask, and how. Stands before or behind what is asked for.
#[derive(Args, Clone, Debug)]
struct Common {
    /// JSON-RPC address of a node; of several, separated by commas, all must show the same.
    #[arg(long, global = true, value_name = "URL", value_delimiter = ',', help_heading = EVM)]
    evm: Vec<String>,
    /// The contract: eip155:CHAIN/ADDRESS, the proxy's address in its mixed-case form.
    #[arg(long, global = true, value_name = "CONTRACT", help_heading = EVM)]
    proxy: Option<String>,
    /// Take an answer at the chain's head, which may be taken back, and not only from final blocks.
    #[arg(long, global = true, help_heading = EVM)]
    unfinal: bool,
    /// What proves that a block's logs are its own: hashes, or on chains whose headers have other fields, blooms.
    #[arg(long, global = true, value_name = "WHICH", default_value = "roots", help_heading = EVM)]
    evidence: Evidence,
    /// Refuse other code behind the proxy than this: keccak-256 of it; several, separated by commas. Without it: other code
    /// than there is at first.
    #[arg(long, global = true, value_name = "HASH", value_delimiter = ',', value_parser = given::hash, help_heading = EVM)]
    code: Vec<B256>,
    /// Refuse a contract that does not trust this address: the keyring's controller key.
    #[arg(long, global = true, value_name = "ADDRESS", value_parser = given::address, help_heading = EVM)]
    controller: Option<Address>,
    /// What is offered for gas beyond twice the base fee.
    #[arg(long, global = true, value_name = "AMOUNT", default_value = "1gwei", value_parser = given::price, help_heading = EVM)]
    tip: u128,
    /// gRPC address of a node; of several, separated by commas, all must show the same answer.
    #[arg(long, global = true, value_name = "URL", value_delimiter = ',', help_heading = ZRCHAIN)]
    zrchain: Vec<String>,
    /// The chain's own name.
    #[arg(long, global = true, value_name = "ID", help_heading = ZRCHAIN)]
    chain_id: Option<String>,
    /// File with the key of the account that asks and pays: 32 bytes or 64 hexadecimal digits, its owner's alone (chmod 600).
    #[arg(long, global = true, value_name = "FILE")]
    account: Option<PathBuf>,
    /// Ask nothing: go on waiting for what this transaction asked. Everything else as it was given then.
    #[arg(long, global = true, value_name = "TRANSACTION", value_parser = given::hash)]
    asked: Option<B256>,
    /// Longest wait, such as 90s or 45m. Blocks of Ethereum are final after 13 minutes, those that ask and those that answer.
    #[arg(long, global = true, value_name = "TIME", default_value = "10m", value_parser = given::wait)]
    timeout: Duration,
    /// Most that asking may cost, fee, margin and gas: in wei (0.1ether if not said), or urock (10000000).
    #[arg(long, global = true, value_name = "AMOUNT", value_parser = given::amount)]
    spend_max: Option<U256>,
    /// The answer as one JSON object, for programs.
    #[arg(long, global = true)]
    json: bool,
}

/// What proves logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Evidence {
    /// Hashes of headers and receipts.
    Roots,
    /// Blooms of headers.
    Blooms,
}

/// What to ask for.
#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Show who would be asked. Costs nothing and needs no account.
    Look(LookArgs),
    /// Ask for a key.
    Key(KeyArgs),
    /// Ask for a signature of 32 bytes as they are; of a message, by an Ed25519 key of a zrChain.
    Hash(HashArgs),
    /// Ask for a signed transaction of an EVM chain, whole as it is given (type 0, EIP-155).
    Tx(TxArgs),
    /// Ask for a signed transaction to which whoever answers adds nonce and gas. For contracts only.
    Simple(SimpleArgs),
}

#[derive(Args, Clone, Debug)]
struct LookArgs {
    /// The keyring's address.
    #[arg(long, value_name = "ADDRESS", help_heading = ZRCHAIN)]
    keyring: Option<String>,
}

#[derive(Args, Clone, Debug)]
struct KeyArgs {
    /// For which wallet.
    #[arg(long, value_name = "WALLET", help_heading = EVM)]
    wallet: Option<Wallet>,
    /// 1, or 2 for a wallet that can ask for simple transactions; the fee is multiplied by it.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..), help_heading = EVM)]
    options: Option<u8>,
    /// The keyring that is to make it.
    #[arg(long, value_name = "ADDRESS", help_heading = ZRCHAIN)]
    keyring: Option<String>,
    /// A workspace of this account, which will own it.
    #[arg(long, value_name = "ADDRESS", help_heading = ZRCHAIN)]
    workspace: Option<String>,
    /// Of which type.
    #[arg(long = "type", value_name = "TYPE", help_heading = ZRCHAIN)]
    kind: Option<Kind>,
}

#[derive(Args, Clone, Debug)]
struct HashArgs {
    #[command(flatten)]
    by: By,
    /// A destination that the contract serves, by CAIP-2; the wallet's own chain if not said. What is signed is the same.
    #[arg(long, value_name = "CHAIN", help_heading = EVM)]
    destination: Option<Destination>,
    /// What is signed, in hexadecimal digits behind 0x.
    #[arg(value_name = "0xBYTES", value_parser = given::bytes)]
    payload: Bytes,
}

/// Which key signs.
#[derive(Args, Clone, Debug)]
struct By {
    /// Which wallet of this account signs.
    #[arg(long, value_name = "WALLET", help_heading = EVM)]
    wallet: Option<Wallet>,
    /// Its place among those, from 0.
    #[arg(long, value_name = "NUMBER", help_heading = EVM)]
    index: Option<u64>,
    /// The number of the key that signs.
    #[arg(long, value_name = "NUMBER", help_heading = ZRCHAIN)]
    key: Option<u64>,
}

#[derive(Args, Clone, Debug)]
struct TxArgs {
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    transfer: Transfer,
    /// The wallet's count of transactions on that chain.
    #[arg(long, value_name = "NUMBER", help_heading = TRANSACTION)]
    nonce: u64,
    /// wei for each unit of gas; 20gwei is another form.
    #[arg(long, value_name = "AMOUNT", value_parser = given::price, help_heading = TRANSACTION)]
    gas_price: u128,
    /// Most units of gas.
    #[arg(long, value_name = "NUMBER", help_heading = TRANSACTION)]
    gas_limit: u64,
}

#[derive(Args, Clone, Debug)]
struct SimpleArgs {
    /// The place of the wallet that signs among this account's EVM wallets, from 0.
    #[arg(long, value_name = "NUMBER")]
    index: u64,
    #[command(flatten)]
    transfer: Transfer,
}

/// What a transaction does.
#[derive(Args, Clone, Debug)]
struct Transfer {
    /// The chain that it is for, by CAIP-2: eip155:NUMBER.
    #[arg(long, value_name = "CHAIN", help_heading = TRANSACTION)]
    destination: Destination,
    /// The recipient.
    #[arg(long, value_name = "ADDRESS", value_parser = given::address, help_heading = TRANSACTION)]
    to: Address,
    /// wei that go with it; 20gwei and 0.5ether are other forms.
    #[arg(long, value_name = "AMOUNT", value_parser = given::amount, help_heading = TRANSACTION)]
    value: U256,
    /// Call data, in hexadecimal digits behind 0x.
    #[arg(long, value_name = "0xBYTES", value_parser = given::bytes, default_value = "0x", help_heading = TRANSACTION)]
    data: Bytes,
    /// Let relayers send it as soon as it is signed.
    #[arg(long, help_heading = TRANSACTION)]
    broadcast: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wallet {
    Evm,
    Btc,
    BtcTestnet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Ecdsa,
    Ed25519,
    Bitcoin,
}

/// How asking ends without an answer.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    /// Nothing was sent.
    #[error("this call has asked nothing and paid nothing")]
    Unasked(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The transaction is spent, and nothing was asked by it.
    #[error("transaction {hash} stands in block {height} and asked nothing: {why}")]
    Spent { hash: String, height: u64, why: String },
    /// The time is over. What was asked is still asked.
    #[error(
        "no answer within {waited:?} ({last}); what was asked stands: go on with --asked {hash}, all else as before"
    )]
    Late { waited: Duration, last: String, hash: String },
    /// There will be no answer.
    #[error("request {request} was rejected in block {height} or before: {why}")]
    Rejected { request: String, height: u64, why: String },
    /// There is an answer, and it is wrong.
    #[error("DO NOT USE the answer to {request}: it is not what was asked for")]
    Wrong { request: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// What stands on the chain is not what was sent, or not where it was said to be.
    #[error("{0}; tell whoever runs the endpoint, and use another")]
    Unlike(String),
}

pub(super) async fn request(args: &RequestArgs) -> Result<(), Report> {
    let RequestArgs { common, what } = args;
    let facts = match (common.evm.as_slice(), common.zrchain.as_slice()) {
        ([_, ..], []) => {
            common.without(&[("--chain-id", common.chain_id.is_some())], "--zrchain")?;
            evm::perform(common, what).await?
        }
        ([], [_, ..]) => {
            let foreign = [
                ("--proxy", common.proxy.is_some()),
                ("--unfinal", common.unfinal),
                ("--code", !common.code.is_empty()),
                ("--controller", common.controller.is_some()),
            ];
            common.without(&foreign, "--evm")?;
            zrchain::perform(common, what).await?
        }
        _ => return Err(misuse("give either --evm with --proxy, or --zrchain with --chain-id: one chain is asked")),
    };
    say(&if common.json { facts.json()? } else { facts.text() })
}

impl Common {
    /// Flags of the other kind of chain would be without effect: somebody believes otherwise.
    fn without(&self, given: &[(&str, bool)], with: &str) -> Result<(), Report> {
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => Err(misuse(format!("{flag} goes with {with}: leave it out, or ask that chain"))),
            None => Ok(()),
        }
    }

    /// The key of the account that asks.
    fn key(&self) -> Result<Zeroizing<[u8; 32]>, Report> {
        harden::begin()?;
        let path = needed(self.account.clone(), "--account", "who asks pays: name the file with the account's key")?;
        Ok(SecretRef::File(path).key(&ProcessEnvironment)?)
    }
}

/// Addresses of nodes. What was given is not repeated: providers keep their keys in it.
fn endpoints(flag: &str, given: &[String]) -> Result<Vec<Url>, Report> {
    if given.len() > ENDPOINTS_MAX {
        return Err(misuse(format!("{flag} names {} nodes, at most {ENDPOINTS_MAX} are asked", given.len())));
    }
    let parsed = given.iter().map(|text| text.parse()).collect::<Result<_, _>>();
    parsed.map_err(|_| {
        misuse(format!("{flag} names something that is no address: write http://HOST:PORT or https://HOST/PATH"))
    })
}

fn needed<T>(given: Option<T>, flag: &str, why: &str) -> Result<T, Report> {
    given.ok_or_else(|| misuse(format!("{flag} is missing: {why}")))
}

fn misuse(what: impl Into<String>) -> Report {
    Misuse(what.into()).into()
}

fn unasked(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Report {
    RequestError::Unasked(why.into()).into()
}

/// The chain shows another request than this call is about: after `--asked` because other things were given than then.
fn unlike(what: String, is_asked_before: bool) -> Report {
    if is_asked_before {
        return misuse(format!("--asked: {what}; give everything else as it was given then"));
    }
    RequestError::Unlike(what).into()
}

#[cfg(test)]
mod tests;
