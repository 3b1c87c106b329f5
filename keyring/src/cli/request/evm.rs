//! Asks a zrSign contract: looks whom it asks, pays, and lets [`wait`] follow the chain to the answer.
//!
//! ```text
//! open: chain id, newest block, code, what the contract says of itself     nothing is paid before all of this fits
//! ask:  fee for the worst block that can take it, gas, funds, a simulation, then one signed transaction
//! wait: its final block, the request's log there, final blocks behind it, the answer's log, the verdict
//! ```

mod ask;
mod contract;
mod wait;

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use chain_client::zrsign::ask::{Destination, KeyWish, Payload, SignatureWish, Wish};
use chain_client::zrsign::name::{Proxy, Slot, WalletKind};
use chain_client::zrsign::transaction::{self, LegacyTransaction, SimpleTransaction};

use super::told::{Facts, Progress};
use super::{By, Common, NO_KEY, RequestError, Wallet, What, misuse, needed};
use crate::app::evm_pen::EvmPen;
use crate::report::Report;
use crate::sender::Pen as _;
use contract::Contract;

const PAUSE: Duration = Duration::from_secs(1);

/// A transaction that asks.
struct Sent {
    hash: B256,
    /// Its bytes; `None` when it was sent by an earlier call.
    raw: Option<Bytes>,
}

/// Looks, asks, waits, checks.
pub(super) async fn perform(common: &Common, what: &What) -> Result<Facts, Report> {
    let progress = Progress::new();
    if let What::Look(args) = what {
        common.without(&[("--keyring", args.keyring.is_some())], "--zrchain")?;
        return Contract::open(common).await?.looked_at(common).await;
    }
    let proxy = proxy(common)?;
    let pen = EvmPen::from_bytes(&common.key()?).ok_or_else(|| misuse(NO_KEY))?;
    let wish = wish(what, proxy, pen.account())?;
    let contract = Contract::open(common).await?;
    let sent = match common.asked {
        Some(hash) => Sent { hash, raw: None },
        None => contract.ask(common, &wish, &pen, &progress).await?,
    };
    let answer = wait::answer(&contract, &wish, &sent, &progress);
    match tokio::time::timeout(common.timeout, answer).await {
        Ok(answer) => answer,
        Err(_) => {
            let (waited, last, hash) = (common.timeout, progress.waited_for(), sent.hash.to_string());
            Err(RequestError::Late { waited, last, hash }.into())
        }
    }
}

fn proxy(common: &Common) -> Result<Proxy, Report> {
    let text = needed(common.proxy.as_deref(), "--proxy", "name the contract, eip155:CHAIN/ADDRESS")?;
    text.parse().map_err(|error| misuse(format!("--proxy {error}")))
}

// === what is asked for ===

fn wish(what: &What, proxy: Proxy, owner: Address) -> Result<Wish, Report> {
    let signature = |wallet, destination: &Destination, payload, broadcast| {
        Wish::Signature(Box::new(SignatureWish { wallet, destination: destination.clone(), payload, broadcast }))
    };
    match what {
        What::Look(_) => Err(misuse("a look asks for nothing")),
        What::Key(args) => {
            let foreign = [
                ("--keyring", args.keyring.is_some()),
                ("--workspace", args.workspace.is_some()),
                ("--type", args.kind.is_some()),
            ];
            foreign_to_contracts(&foreign)?;
            let kind = needed(args.wallet, "--wallet", "say for which wallet the key is")?.kind();
            Ok(Wish::Key(KeyWish { proxy, kind, owner, options: args.options.unwrap_or(1) }))
        }
        What::Hash(args) => {
            let wallet = args.by.slot(proxy, owner)?;
            let hash = transaction::hash(&args.payload).map_err(|error| misuse(error.to_string()))?;
            let own = || Destination::of(proxy, wallet.kind);
            let destination = args.destination.clone().unwrap_or_else(own);
            Ok(signature(wallet, &destination, Payload::Hash(hash), false))
        }
        What::Tx(args) => {
            let transfer = &args.transfer;
            let wallet = By { wallet: args.by.wallet.or(Some(Wallet::Evm)), ..args.by.clone() }.slot(proxy, owner)?;
            for_evm(wallet, &transfer.destination)?;
            let transaction = LegacyTransaction {
                nonce: args.nonce,
                gas_price: args.gas_price,
                gas_limit: args.gas_limit,
                to: TxKind::Call(transfer.to),
                value: transfer.value,
                data: transfer.data.clone(),
            };
            Ok(signature(wallet, &transfer.destination, Payload::Transaction(transaction), transfer.broadcast))
        }
        What::Simple(args) => {
            let transfer = &args.transfer;
            let wallet = Slot { proxy, kind: WalletKind::Evm, owner, index: U256::from(args.index) };
            for_evm(wallet, &transfer.destination)?;
            let simple = SimpleTransaction { to: transfer.to, value: transfer.value, data: transfer.data.clone() };
            Ok(signature(wallet, &transfer.destination, Payload::Simple(simple), transfer.broadcast))
        }
    }
}

fn foreign_to_contracts(given: &[(&str, bool)]) -> Result<(), Report> {
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(misuse(format!("{flag} is for a zrChain: leave it out, or ask there with --zrchain"))),
        None => Ok(()),
    }
}

fn for_evm(wallet: Slot, destination: &Destination) -> Result<(), Report> {
    if wallet.kind != WalletKind::Evm {
        return Err(misuse("--wallet must be evm: other wallets sign hashes"));
    }
    match destination.eip155() {
        Some(_) => Ok(()),
        None => Err(misuse(format!("--destination {destination} is no EVM chain: write eip155:NUMBER"))),
    }
}

impl Wallet {
    const fn kind(self) -> WalletKind {
        match self {
            Self::Evm => WalletKind::Evm,
            Self::Btc => WalletKind::BitcoinMainnet,
            Self::BtcTestnet => WalletKind::BitcoinTestnet,
        }
    }

    const fn of(kind: WalletKind) -> &'static str {
        match kind {
            WalletKind::Evm => "evm",
            WalletKind::BitcoinMainnet => "btc",
            WalletKind::BitcoinTestnet => "btc-testnet",
        }
    }
}

impl By {
    fn slot(&self, proxy: Proxy, owner: Address) -> Result<Slot, Report> {
        foreign_to_contracts(&[("--key", self.key.is_some())])?;
        let kind = needed(self.wallet, "--wallet", "say which wallet signs")?.kind();
        let index = needed(self.index, "--index", "say which of the account's wallets signs, from 0")?;
        Ok(Slot { proxy, kind, owner, index: U256::from(index) })
    }
}
