//! A dapp: a consumer contract that owns wallets, asks for keys and signatures, and believes nothing that it cannot check.
//!
//! All it sees is the chain. Signatures are checked with libraries that had no part in making them.

use std::io::Write;
use std::time::Duration;

use alloy_consensus::{SignableTransaction as _, TxEnvelope, TxLegacy};
use alloy_network::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use alloy_provider::Provider as _;
use alloy_rpc_types_eth::Filter;
use alloy_sol_types::{SolCall as _, SolConstructor as _, SolEvent as _};
use chain_client::{Block, Height};
use contracts::bindings::compatible::ZrSign;
use contracts::bindings::consumer::{ExampleConsumer, LegacyTransaction};
use contracts::names::{BITCOIN_TESTNET, EVM};

use super::town::{EvmTown, TownError, USER, call};
use crate::demo::{Row, Screen, State, Summary};

/// How often the chain is looked at.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest wait for all answers of a wave.
const PATIENCE: Duration = Duration::from_secs(150);
/// What the wallet sends on the other chain.
const SENT: u64 = 1_000_000_000_000_000;
/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;

/// What was asked for.
enum Order {
    Key { wallet_type: B256 },
    Hash { wallet_type: B256, hash: B256, trace: U256 },
    Transaction { unsigned: Box<TxLegacy>, trace: U256 },
}

/// A consumer contract and its operator.
pub struct Dapp<'a> {
    town: &'a EvmTown,
    /// Where its transactions go.
    other: &'a EvmTown,
    consumer: Address,
    entries: Vec<(Order, Row)>,
    evm_wallet: String,
    bitcoin_wallet: String,
}

impl<'a> Dapp<'a> {
    /// Deploys a consumer with ten ether.
    ///
    /// # Errors
    /// [`TownError`].
    pub async fn open(town: &'a EvmTown, other: &'a EvmTown) -> Result<Self, TownError> {
        let arguments = ExampleConsumer::constructorCall { zrSign: town.proxy().address };
        let code = [ExampleConsumer::BYTECODE.as_ref(), &arguments.abi_encode()].concat();
        let consumer = town.deploy_as(USER, "the consumer", code.into()).await?;
        town.fund(consumer, U256::from(10).pow(U256::from(19))).await?;
        let (evm_wallet, bitcoin_wallet) = (String::new(), String::new());
        Ok(Self { town, other, consumer, entries: Vec::new(), evm_wallet, bitcoin_wallet })
    }

    /// The consumer contract.
    #[must_use]
    pub const fn consumer(&self) -> Address {
        self.consumer
    }

    /// Asks for an EVM key and a Bitcoin key, then for signatures with both; follows all to their end. The signed
    /// transaction is carried to the other chain.
    ///
    /// # Errors
    /// When a node does not do what it is told. Requests that end badly are no error but stand in the summary.
    pub async fn make_requests<W: Write>(&mut self, screen: &mut Screen<W>) -> Result<Summary, TownError> {
        let wallet = ExampleConsumer::requestNewEVMWalletCall { options: 1 };
        self.ask_key("EVM key", EVM, wallet.abi_encode().into()).await?;
        let wallet = ExampleConsumer::requestNewBTCWalletCall { options: 1 };
        self.ask_key("Bitcoin testnet key", BITCOIN_TESTNET, wallet.abi_encode().into()).await?;
        if self.follow(screen).await? {
            for (name, wallet) in [("EVM", &self.evm_wallet), ("Bitcoin testnet", &self.bitcoin_wallet)] {
                screen.note(&format!("wallet {name:<16} {wallet}"))?;
            }
            self.ask_hash("EVM hash", EVM, keccak256("hello from a contract")).await?;
            self.ask_hash("Bitcoin hash", BITCOIN_TESTNET, keccak256("a signature hash of a spend")).await?;
            self.ask_transaction().await?;
            self.follow(screen).await?;
        }
        let rows: Vec<Row> = self.entries.iter().map(|(_, row)| row.clone()).collect();
        Ok(Summary::of(&rows))
    }

    async fn ask_key(&mut self, name: &str, wallet_type: B256, data: Bytes) -> Result<(), TownError> {
        let receipt = self.town.call(name, USER, self.consumer, data, U256::ZERO).await?;
        let made = self.block(receipt.block_number.unwrap_or_default()).await?;
        let row = Row::of_event(name.to_owned(), format!("key-{:.10}", wallet_type.to_string()), true, &made);
        self.entries.push((Order::Key { wallet_type }, row));
        Ok(())
    }

    async fn ask_hash(&mut self, name: &str, wallet_type: B256, hash: B256) -> Result<(), TownError> {
        let destination = if wallet_type == EVM {
            keccak256(format!("eip155:{}", self.other.proxy().chain))
        } else {
            keccak256("bip122:000000000933ea01ad0ee984209779ba")
        };
        let call = ExampleConsumer::askHashCall {
            walletTypeId: wallet_type,
            walletIndex: U256::ZERO,
            dstChainId: destination,
            hash,
        };
        let (trace, row) = self.ask_signature(name, call.abi_encode().into()).await?;
        self.entries.push((Order::Hash { wallet_type, hash, trace }, row));
        Ok(())
    }

    /// A transfer on the other chain, where the wallet is given what it sends.
    async fn ask_transaction(&mut self) -> Result<(), TownError> {
        let wallet: Address =
            self.evm_wallet.parse().map_err(|_| TownError::Wrong("the wallet is no address".to_owned()))?;
        self.other.fund(wallet, U256::from(SENT) * U256::from(100)).await?;
        let unsigned = TxLegacy {
            chain_id: Some(self.other.proxy().chain),
            nonce: 0,
            gas_price: 4_000_000_000,
            gas_limit: TRANSFER_GAS,
            to: TxKind::Call(USER),
            value: U256::from(SENT),
            input: Bytes::new(),
        };
        let fields = LegacyTransaction::Fields {
            nonce: U256::from(unsigned.nonce),
            gasPrice: U256::from(unsigned.gas_price),
            gasLimit: U256::from(unsigned.gas_limit),
            to: USER,
            value: unsigned.value,
            data: Bytes::new(),
        };
        let call = ExampleConsumer::askTransactionCall {
            walletIndex: U256::ZERO,
            dstChainId: keccak256(format!("eip155:{}", self.other.proxy().chain)),
            fields,
            broadcast: true,
        };
        let (trace, row) = self.ask_signature("EVM transaction", call.abi_encode().into()).await?;
        self.entries.push((Order::Transaction { unsigned: Box::new(unsigned), trace }, row));
        Ok(())
    }

    async fn ask_signature(&self, name: &str, data: Bytes) -> Result<(U256, Row), TownError> {
        let receipt = self.town.call(name, USER, self.consumer, data, U256::ZERO).await?;
        let made = self.block(receipt.block_number.unwrap_or_default()).await?;
        let found = receipt.logs().iter().find(|log| log.topic0() == Some(&ZrSign::ZrSigRequest::SIGNATURE_HASH));
        let trace = found.and_then(|log| log.topics().get(1)).map(|topic| U256::from_be_bytes(topic.0));
        let trace = trace.ok_or_else(|| TownError::Wrong(format!("{name} left no request in the log")))?;
        Ok((trace, Row::of_event(name.to_owned(), format!("trace-{trace}"), false, &made)))
    }

    async fn block(&self, height: u64) -> Result<Block, TownError> {
        let found = self.town.provider().get_block_by_number(height.into()).await.map_err(call)?;
        let block = found.ok_or_else(|| TownError::Wrong(format!("the node has no block {height}")))?;
        let seconds = i64::try_from(block.header.timestamp).unwrap_or(i64::MAX / 1_000);
        Ok(Block { height: Height(height), hash: block.header.hash.0, time_unix_ms: seconds * 1_000 })
    }

    /// Follows everything that is open, block by block. Whether all went well.
    async fn follow<W: Write>(&mut self, screen: &mut Screen<W>) -> Result<bool, TownError> {
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut seen = 0;
        while self.entries.iter().any(|(_, row)| !row.state.is_closed()) {
            let height = self.town.height().await?;
            if height == seen {
                if tokio::time::Instant::now() > end {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            seen = height;
            let at = self.block(height).await?;
            let mut changed = Vec::new();
            for place in 0..self.entries.len() {
                let Some((order, row)) = self.entries.get(place) else { continue };
                if row.state.is_closed() {
                    continue;
                }
                let Some(state) = self.look(order).await? else { continue };
                if let Some((_, row)) = self.entries.get_mut(place)
                    && row.note(state, &at)
                {
                    changed.push(place);
                }
            }
            let rows: Vec<Row> = self.entries.iter().map(|(_, row)| row.clone()).collect();
            screen.show(height, &rows, &changed)?;
            self.learn_wallets().await?;
            if tokio::time::Instant::now() > end {
                break;
            }
        }
        Ok(self.entries.iter().all(|(_, row)| matches!(row.state, State::Verified { .. })))
    }

    async fn learn_wallets(&mut self) -> Result<(), TownError> {
        self.evm_wallet = self.wallet(EVM).await?.unwrap_or_default();
        self.bitcoin_wallet = self.wallet(BITCOIN_TESTNET).await?.unwrap_or_default();
        Ok(())
    }

    async fn wallet(&self, wallet_type: B256) -> Result<Option<String>, TownError> {
        let call = ZrSign::getZrKeysCall { walletTypeId: wallet_type, owner: self.consumer };
        Ok(self.town.read(&call).await?.into_iter().next())
    }

    /// What became of a request; `None` while it is open.
    async fn look(&self, order: &Order) -> Result<Option<State>, TownError> {
        Ok(match order {
            Order::Key { wallet_type } => self.wallet(*wallet_type).await?.map(|wallet| proven(is_address(&wallet))),
            Order::Hash { wallet_type, hash, trace } => self.answer(*trace).await?.map(|answer| {
                let wallet = if *wallet_type == EVM { &self.evm_wallet } else { &self.bitcoin_wallet };
                proven(signed_by(&answer.signature, *hash, wallet).and_then(|proof| {
                    if answer.metaData.as_ref() == hash.as_slice() {
                        Ok(proof)
                    } else {
                        Err("metaData is not the hash".to_owned())
                    }
                }))
            }),
            Order::Transaction { unsigned, trace } => match self.answer(*trace).await? {
                Some(answer) => Some(proven(self.carried(unsigned, &answer).await?)),
                None => None,
            },
        })
    }

    async fn answer(&self, trace: U256) -> Result<Option<ZrSign::ZrSigResolve>, TownError> {
        let filter = Filter::new()
            .address(self.town.proxy().address)
            .event_signature(ZrSign::ZrSigResolve::SIGNATURE_HASH)
            .topic1(trace)
            .from_block(self.town.first_block());
        let logs = self.town.provider().get_logs(&filter).await.map_err(call)?;
        let decoded = logs.first().map(|log| ZrSign::ZrSigResolve::decode_log(&log.inner).map(|log| log.data));
        decoded.transpose().map_err(call)
    }

    /// Joins payload and signature, as any relayer would, and sends them to the other chain.
    async fn carried(
        &self,
        unsigned: &TxLegacy,
        answer: &ZrSign::ZrSigResolve,
    ) -> Result<Result<String, String>, TownError> {
        let digest = unsigned.signature_hash();
        if let Err(why) = signed_by(&answer.signature, digest, &self.evm_wallet) {
            return Ok(Err(why));
        }
        let Some(signature) = signature(&answer.signature) else { return Ok(Err("no signature".to_owned())) };
        let signed: TxEnvelope = unsigned.clone().into_signed(signature).into();
        let receipt = self.other.raw("the wallet's transaction", &signed.encoded_2718()).await?;
        let height = receipt.block_number.unwrap_or_default();
        Ok(if receipt.from.to_string() == self.evm_wallet && answer.broadcast {
            Ok(format!("in block {height} of eip155:{}", self.other.proxy().chain))
        } else {
            Err(format!("the other chain sees it come from {}", receipt.from))
        })
    }
}

/// `r‖s‖v` with `v` 0 or 1.
fn signature(bytes: &[u8]) -> Option<Signature> {
    let (bytes, parity) = match bytes {
        [rs @ .., parity @ (0 | 1)] if rs.len() == 64 => (rs, *parity == 1),
        _ => return None,
    };
    Some(Signature::from_bytes_and_parity(bytes, parity))
}

/// Whether a wallet has signed a hash: its address comes out of the signature.
fn signed_by(bytes: &[u8], hash: B256, wallet: &str) -> Result<String, String> {
    let signature = signature(bytes).ok_or_else(|| format!("{} bytes are no signature", bytes.len()))?;
    let key = signature.recover_from_prehash(&hash).map_err(|error| error.to_string())?;
    let by = if wallet.starts_with("0x") {
        Address::from_public_key(&key).to_string()
    } else {
        let key = bitcoin::CompressedPublicKey::from_slice(&key.to_sec1_bytes()).map_err(|error| error.to_string())?;
        bitcoin::Address::p2wpkh(&key, bitcoin::Network::Testnet).to_string()
    };
    if by == wallet { Ok(format!("recovers to {wallet}")) } else { Err(format!("recovers to {by}, not {wallet}")) }
}

fn is_address(wallet: &str) -> Result<String, String> {
    let is_evm = Address::parse_checksummed(wallet, None).is_ok();
    let bitcoin = wallet.parse::<bitcoin::Address<bitcoin::address::NetworkUnchecked>>();
    let is_bitcoin = bitcoin.is_ok_and(|address| address.require_network(bitcoin::Network::Testnet).is_ok());
    if is_evm || is_bitcoin { Ok(wallet.to_owned()) } else { Err(format!("{wallet} is no address")) }
}

fn proven(judged: Result<String, String>) -> State {
    match judged {
        Ok(proof) => State::Verified { proof },
        Err(why) => State::Unverified { why },
    }
}
