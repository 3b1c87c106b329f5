//! Asks a zrChain: one message in one transaction, then the request's own record until it is closed, then the verdict.
//!
//! Every endpoint that was named must show the same answer. What the chain's own rule would refuse is no answer, whatever
//! the chain calls it.

mod wait;

use std::time::Duration;

use alloy_primitives::TxKind;
use chain_client::zrchain::ask::Wish;
use chain_client::zrsign::transaction::LegacyTransaction;
use chain_client::{
    ChainId, ChainKey, Charge, Endpoint, FeePolicy, GasPrice, Hint, KeyType, PartyAccount, Seat, Settings, SignedTx,
    TxHash, ZrChain, tx,
};

use super::told::{Facts, Progress};
use super::{By, Common, Kind, NO_KEY, RequestError, Wallet, What, misuse, needed, unasked};
use crate::report::{Misuse, Report};

/// What asking may cost if nothing is said.
const SPEND_MAX_UROCK: u128 = 10_000_000;
const PAUSE: Duration = Duration::from_secs(1);

/// A transaction that asks.
struct Sent {
    hash: TxHash,
    /// Itself; `None` when it was sent by an earlier call.
    signed: Option<SignedTx>,
}

struct Customer<'a> {
    chain: ZrChain,
    account: PartyAccount,
    wish: Wish,
    progress: &'a Progress,
}

/// Asks, waits, checks.
pub(super) async fn perform(common: &Common, what: &What) -> Result<Facts, Report> {
    if let What::Look(args) = what {
        let keyring = needed(args.keyring.as_deref(), "--keyring", "name the keyring that would be asked")?;
        return looked_at(&chain(common, keyring)?).await;
    }
    let account = PartyAccount::from_bytes(&common.key()?).map_err(|_| misuse(NO_KEY))?;
    let wish = wish(&chain(common, "")?, what).await?;
    let progress = Progress::new();
    let customer = Customer { chain: chain(common, wish.keyring())?, account, wish, progress: &progress };
    let sent = match common.asked {
        Some(hash) => Sent { hash: TxHash(hash.0), signed: None },
        None => customer.ask(common).await?,
    };
    match tokio::time::timeout(common.timeout, customer.answer(&sent)).await {
        Ok(answer) => answer,
        Err(_) => {
            let (waited, last, hash) = (common.timeout, progress.waited_for(), sent.hash.to_string());
            Err(RequestError::Late { waited, last, hash }.into())
        }
    }
}

fn chain(common: &Common, keyring: &str) -> Result<ZrChain, Report> {
    let id = needed(common.chain_id.as_deref(), "--chain-id", "name the chain: nodes of others look alike")?;
    let id = ChainId::new(id).map_err(|error| misuse(format!("--chain-id: {error}")))?;
    let endpoints = super::endpoints("--zrchain", &common.zrchain)?;
    let endpoints: Result<_, _> = endpoints.iter().map(Endpoint::at).collect();
    let endpoints = endpoints.map_err(|error| misuse(format!("--zrchain: {error}")))?;
    Ok(ZrChain::new(id, keyring, endpoints, Settings::default()))
}

/// Facts that a user holds against what the keyring's operators have published.
async fn looked_at(chain: &ZrChain) -> Result<Facts, Report> {
    let found = chain.keyring().await?;
    let keyring = found.value.ok_or_else(|| misuse("--keyring: the chain has no keyring of that address"))?;
    let mut facts = Facts::default();
    facts.show("chain", chain.id());
    facts.add("keyring", keyring.address);
    facts.add("active", keyring.active);
    facts.add("answers_needed", keyring.party_threshold.max(1));
    facts.add("parties", keyring.parties);
    facts.show("key_fee_urock", keyring.key_fee_urock);
    facts.show("signature_fee_urock", keyring.signature_fee_urock);
    facts.add("block", found.height.0);
    Ok(facts)
}

// === what is asked for ===

async fn wish(chain: &ZrChain, what: &What) -> Result<Wish, Report> {
    match what {
        What::Look(_) => Err(misuse("a look asks for nothing")),
        What::Simple(_) => {
            Err(misuse("simple is for contracts (--evm): a zrChain takes whole transactions only, ask for tx"))
        }
        What::Key(args) => {
            without(&[("--wallet", args.wallet.is_some()), ("--options", args.options.is_some())])?;
            let key_type = needed(args.kind, "--type", "say which type of key")?.key_type();
            let keyring = needed(args.keyring.clone(), "--keyring", "name the keyring that is to make it")?;
            let workspace = needed(args.workspace.clone(), "--workspace", "name the workspace that will own it")?;
            Ok(Wish::Key { key_type, keyring, workspace })
        }
        What::Hash(args) => {
            without(&[("--destination", args.destination.is_some())])?;
            let key = args.by.chain_key(chain).await?;
            Wish::signature(key, &args.payload).map_err(|error| misuse(error.to_string()))
        }
        What::Tx(args) => {
            let key = args.by.chain_key(chain).await?;
            let transfer = &args.transfer;
            let destination = transfer.destination.eip155();
            let destination = destination.ok_or_else(|| misuse("--destination: write eip155:NUMBER, an EVM chain"))?;
            let transaction = LegacyTransaction {
                nonce: args.nonce,
                gas_price: args.gas_price,
                gas_limit: args.gas_limit,
                to: TxKind::Call(transfer.to),
                value: transfer.value,
                data: transfer.data.clone(),
            };
            let wish = Wish::transaction(key, transaction, destination, transfer.broadcast);
            wish.map_err(|error| misuse(format!("--key: {error}")))
        }
    }
}

fn without(given: &[(&str, bool)]) -> Result<(), Report> {
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(misuse(format!("{flag} is for a contract: leave it out, or ask one with --evm"))),
        None => Ok(()),
    }
}

impl Kind {
    const fn key_type(self) -> KeyType {
        match self {
            Self::Ecdsa => KeyType::EcdsaSecp256k1,
            Self::Ed25519 => KeyType::EddsaEd25519,
            Self::Bitcoin => KeyType::BitcoinSecp256k1,
        }
    }
}

impl By {
    async fn chain_key(&self, chain: &ZrChain) -> Result<ChainKey, Report> {
        let is_other = self.wallet.is_some_and(|wallet| wallet != Wallet::Evm);
        without(&[("--wallet", is_other), ("--index", self.index.is_some())])?;
        let number = needed(self.key, "--key", "name the key that signs by its number")?;
        let key = chain.key(number, None).await.map_err(unasked)?.value;
        key.ok_or_else(|| misuse(format!("--key: the chain has no key {number}")))
    }
}

impl Customer<'_> {
    // === asking ===

    /// Signs one transaction that asks, and hands it to the nodes.
    async fn ask(&self, common: &Common) -> Result<Sent, Report> {
        let address = self.account.address();
        let keyring_fee = self.expect_room().await?;
        let facts = self.chain.account(address).await.map_err(unasked)?.value;
        let facts =
            facts.ok_or_else(|| unasked(format!("account {address} does not exist: send it some urock first")))?;
        let charge = self.charge(common, keyring_fee).await?;
        let seat = Seat { chain: self.chain.id().clone(), account_number: facts.number, sequence: facts.sequence };
        let signed = tx::sign_messages(&self.account, &seat, vec![self.wish.message(address)], charge);
        self.progress.say(&format!("asking on {} as {address}, sequence {}", self.chain.id(), facts.sequence));
        self.progress.say(&format!("paying {keyring_fee} urock to the keyring, {} urock for gas", charge.fee_urock));
        self.progress.say(&format!("transaction {}", signed.hash));
        match self.chain.broadcast_everywhere(&signed).await {
            // What is unknown may have been taken: it is waited for, and sent again.
            Hint::Taken | Hint::Known | Hint::Unknown { .. } => Ok(Sent { hash: signed.hash, signed: Some(signed) }),
            Hint::Refused { codespace, code, reason, .. } => {
                let remedy = match (codespace.as_str(), code) {
                    ("sdk", 5) => "; fund the account",
                    ("sdk", 32) => "; another transaction of the account is under way, let it pass",
                    _ => "",
                };
                Err(unasked(format!("the node refuses the transaction ({codespace} {code}: {reason}){remedy}")))
            }
        }
    }

    /// What the chain would refuse only after it has taken the gas. Gives the keyring's fee.
    async fn expect_room(&self) -> Result<u64, Report> {
        let (workspace, keyring) = (self.wish.workspace(), self.wish.keyring());
        let flag = if matches!(self.wish, Wish::Key { .. }) { "--workspace" } else { "--key" };
        let owners = self.chain.workspace_owners(workspace, None).await.map_err(unasked)?.value;
        let owners = owners.unwrap_or_default();
        if !owners.iter().any(|owner| owner == self.account.address()) {
            let why = format!("{flag}: workspace {workspace} is not one of {}'s", self.account.address());
            return Err(unasked(Misuse(why)));
        }
        let facts = self.chain.keyring().await.map_err(unasked)?.value;
        let facts = facts.ok_or_else(|| unasked(Misuse(format!("--keyring: the chain has no keyring {keyring}"))))?;
        if !facts.active {
            return Err(unasked(format!("keyring {keyring} is switched off: every answer would reject the request")));
        }
        Ok(if matches!(self.wish, Wish::Key { .. }) { facts.key_fee_urock } else { facts.signature_fee_urock })
    }

    async fn charge(&self, common: &Common, keyring_fee: u64) -> Result<Charge, Report> {
        let price = self.chain.treasury().await.map_err(unasked)?.value.min_gas_price;
        let price = GasPrice::parse(&price).map_err(unasked)?;
        let spend_max = match common.spend_max {
            Some(most) => u128::try_from(most).unwrap_or(u128::MAX),
            None => SPEND_MAX_UROCK,
        };
        let too_much = |why: String| unasked(Misuse(format!("--spend-max of {spend_max} urock: {why}")));
        let ceiling = spend_max.checked_sub(u128::from(keyring_fee));
        let ceiling_urock = ceiling.ok_or_else(|| too_much(format!("the keyring alone wants {keyring_fee}")))?;
        let policy = FeePolicy { floor_urock: 0, ceiling_urock };
        policy.charge(self.wish.gas_limit(), price).map_err(|error| too_much(error.to_string()))
    }
}
