//! A dapp: a consumer contract that owns wallets, asks for keys and signatures, and believes nothing that it cannot check.
//!
//! All it sees is the chain. What a wallet has signed for another chain it carries there, as a relayer would.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use alloy_consensus::{Signed, TxEnvelope, TxLegacy};
use alloy_network::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_provider::Provider as _;
use alloy_rpc_types_eth::Filter;
use alloy_sol_types::{SolCall, SolConstructor as _, SolEvent as _};
use chain_client::{Block, Height};
use contracts::bindings::compatible::ZrSign;
use contracts::bindings::consumer::{ExampleConsumer, LegacyTransaction, ZrSignConnect};

use super::order::{self, Order, Simple, Verdict, WalletType};
use super::town::{EvmTown, TownError, USER, call};
use crate::demo::{Board, Row, RowId, State};

/// How often the chain is looked at.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest wait for all answers of a wave: on a busy machine requests with a deadline, a zrChain's, are served before.
const PATIENCE: Duration = Duration::from_secs(240);
/// What the wallet sends on the other chain, first a whole transaction, then a simple one.
const SENT: [u64; 2] = [1_000_000_000_000_000, 2_000_000_000_000_000];
/// What it is given there: both, and gas at any price that anybody pays here.
const GIFT: u64 = 100_000_000_000_000_000;
/// Gas of a plain transfer, and what is offered for it.
const TRANSFER_GAS: u64 = 21_000;
const TRANSFER_GAS_PRICE: u128 = 4_000_000_000;
/// Options of a key: the second kind is *monitored*, so that the keyring may complete its transactions.
const PLAIN: u8 = 1;
const MONITORED: u8 = 2;
/// Bitcoin's test network as a destination.
const BITCOIN_DESTINATION: &str = "bip122:000000000933ea01ad0ee984209779ba";

/// What was asked for.
enum Asked {
    Key(WalletType),
    Signature { order: Order, trace: U256 },
}

/// What was asked for, and the row that tells what became of it.
struct Entry {
    asked: Asked,
    row: RowId,
}

/// A consumer contract and its operator.
pub struct Dapp<'a> {
    town: &'a EvmTown,
    /// Where its transactions go.
    other: &'a EvmTown,
    consumer: Address,
    entries: Vec<Entry>,
    wallets: BTreeMap<WalletType, String>,
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
        Ok(Self { town, other, consumer, entries: Vec::new(), wallets: BTreeMap::new() })
    }

    /// The consumer contract.
    #[must_use]
    pub const fn consumer(&self) -> Address {
        self.consumer
    }

    /// Asks for a key of each type, then for signatures of every kind with them; follows all to their end. Signed
    /// transactions are carried to the other chain, which must execute them. The last is one that the keyring completes.
    ///
    /// # Errors
    /// When a node does not do what it is told. Requests that end badly are no error but stand on the board.
    pub async fn make_requests<W: Write>(&mut self, board: &Board<W>) -> Result<(), TownError> {
        self.ask_key(WalletType::Evm, MONITORED, board).await?;
        self.ask_key(WalletType::BitcoinTestnet, PLAIN, board).await?;
        if !self.follow(board).await? {
            return Ok(());
        }
        self.learn_wallets(board).await?;
        self.ask_hash(WalletType::Evm, "hello from a contract", board).await?;
        self.ask_hash(WalletType::BitcoinTestnet, "a signature hash of a spend", board).await?;
        self.ask_transaction(board).await?;
        if self.follow(board).await? {
            self.ask_simple_transaction(board).await?;
            self.follow(board).await?;
        }
        Ok(())
    }

    /// The short form: an EVM key, and a hash signed with it.
    ///
    /// # Errors
    /// As [`Self::make_requests`].
    pub async fn make_two_requests<W: Write>(&mut self, board: &Board<W>) -> Result<(), TownError> {
        self.ask_key(WalletType::Evm, PLAIN, board).await?;
        if self.follow(board).await? {
            self.learn_wallets(board).await?;
            self.ask_hash(WalletType::Evm, "hello from another chain", board).await?;
            self.follow(board).await?;
        }
        Ok(())
    }

    async fn ask_key<W: Write>(&mut self, wallet: WalletType, options: u8, board: &Board<W>) -> Result<(), TownError> {
        let data = match wallet {
            WalletType::Evm => ExampleConsumer::requestNewEVMWalletCall { options }.abi_encode(),
            WalletType::BitcoinTestnet => ExampleConsumer::requestNewBTCWalletCall { options }.abi_encode(),
        };
        let name = format!("{} key", wallet.name());
        let receipt = self.town.call(&name, USER, self.consumer, data.into(), U256::ZERO).await?;
        let made = self.block(receipt.block_number.unwrap_or_default()).await?;
        let row = board.enter(Row::of_event(self.town.caip(), name, wallet.key().to_owned(), true, &made));
        self.entries.push(Entry { asked: Asked::Key(wallet), row });
        Ok(())
    }

    async fn ask_hash<W: Write>(&mut self, wallet: WalletType, text: &str, board: &Board<W>) -> Result<(), TownError> {
        let hash = keccak256(text);
        let destination = match wallet {
            WalletType::Evm => self.destination(),
            WalletType::BitcoinTestnet => keccak256(BITCOIN_DESTINATION),
        };
        let call = ExampleConsumer::askHashCall {
            walletTypeId: wallet.id(),
            walletIndex: U256::ZERO,
            dstChainId: destination,
            hash,
        };
        self.ask_signature(Order::Hash { wallet, hash }, &call, board).await
    }

    /// The wallet's first transaction on the other chain, where it is given what it sends.
    async fn ask_transaction<W: Write>(&mut self, board: &Board<W>) -> Result<(), TownError> {
        self.other.fund(self.evm_wallet()?, U256::from(GIFT)).await?;
        let unsigned = TxLegacy {
            chain_id: Some(self.other.proxy().chain),
            nonce: 0,
            gas_price: TRANSFER_GAS_PRICE,
            gas_limit: TRANSFER_GAS,
            to: TxKind::Call(USER),
            value: U256::from(SENT[0]),
            input: Bytes::new(),
        };
        let fields = LegacyTransaction::Fields {
            nonce: U256::from(unsigned.nonce),
            gasPrice: U256::from(unsigned.gas_price),
            gasLimit: U256::from(unsigned.gas_limit),
            to: USER,
            value: unsigned.value,
            data: unsigned.input.clone(),
        };
        let call = ExampleConsumer::askTransactionCall {
            walletIndex: U256::ZERO,
            dstChainId: self.destination(),
            fields,
            broadcast: true,
        };
        self.ask_signature(Order::Transaction(unsigned), &call, board).await
    }

    /// A transfer of which nonce, gas and its price are the keyring's to find out, on the other chain.
    async fn ask_simple_transaction<W: Write>(&mut self, board: &Board<W>) -> Result<(), TownError> {
        let nonce = self.other.settled_nonce(self.evm_wallet()?).await?;
        let (value, chain) = (U256::from(SENT[1]), self.other.proxy().chain);
        let simple = Simple { to: USER, value, input: Bytes::new(), chain, nonce };
        let fields = ZrSignConnect::SimpleTx { to: USER.to_string(), value, data: simple.input.clone() };
        let call = ExampleConsumer::askSimpleTransactionCall {
            walletIndex: U256::ZERO,
            dstChainId: self.destination(),
            fields,
            broadcast: true,
        };
        self.ask_signature(Order::Simple(simple), &call, board).await
    }

    async fn ask_signature<W: Write>(
        &mut self,
        order: Order,
        call: &impl SolCall,
        board: &Board<W>,
    ) -> Result<(), TownError> {
        let name = order.name();
        let receipt = self.town.call(&name, USER, self.consumer, call.abi_encode().into(), U256::ZERO).await?;
        let made = self.block(receipt.block_number.unwrap_or_default()).await?;
        let found = receipt.logs().iter().find(|log| log.topic0() == Some(&ZrSign::ZrSigRequest::SIGNATURE_HASH));
        let trace = found.and_then(|log| log.topics().get(1)).map(|topic| U256::from_be_bytes(topic.0));
        let trace = trace.ok_or_else(|| TownError::Wrong(format!("{name} left no request in the log")))?;
        let row = board.enter(Row::of_event(self.town.caip(), name, format!("signature-{trace}"), false, &made));
        self.entries.push(Entry { asked: Asked::Signature { order, trace }, row });
        Ok(())
    }

    /// The other chain's name in a contract.
    fn destination(&self) -> B256 {
        keccak256(self.other.caip())
    }

    fn evm_wallet(&self) -> Result<Address, TownError> {
        let wallet = self.wallets.get(&WalletType::Evm).and_then(|wallet| wallet.parse().ok());
        wallet.ok_or_else(|| TownError::Wrong("the dapp has no EVM wallet".to_owned()))
    }

    async fn block(&self, height: u64) -> Result<Block, TownError> {
        let found = self.town.provider().get_block_by_number(height.into()).await.map_err(call)?;
        let block = found.ok_or_else(|| TownError::Wrong(format!("the node has no block {height}")))?;
        let seconds = i64::try_from(block.header.timestamp).unwrap_or(i64::MAX / 1_000);
        Ok(Block { height: Height(height), hash: block.header.hash.0, time_unix_ms: seconds * 1_000 })
    }

    /// Follows everything that is open, block by block. Whether all that was ever asked went well.
    async fn follow<W: Write>(&self, board: &Board<W>) -> Result<bool, TownError> {
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut looked_at = 0;
        while self.entries.iter().any(|entry| board.is_open(entry.row)) && tokio::time::Instant::now() < end {
            let height = self.town.height().await?;
            if height == looked_at {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            looked_at = height;
            let at = self.block(height).await?;
            let mut seen = Vec::new();
            for entry in &self.entries {
                if board.is_open(entry.row)
                    && let Some(state) = self.look(&entry.asked).await?
                {
                    seen.push((entry.row, state));
                }
            }
            board.show(&self.town.caip(), &at, seen)?;
        }
        Ok(self.entries.iter().all(|entry| board.is_verified(entry.row)))
    }

    async fn learn_wallets<W: Write>(&mut self, board: &Board<W>) -> Result<(), TownError> {
        for wallet in [WalletType::Evm, WalletType::BitcoinTestnet] {
            if let Some(address) = self.wallet(wallet).await? {
                board.note(&format!("wallet {:<16} {address}, owned on {}", wallet.name(), self.town.caip()))?;
                self.wallets.insert(wallet, address);
            }
        }
        Ok(())
    }

    async fn wallet(&self, wallet: WalletType) -> Result<Option<String>, TownError> {
        let call = ZrSign::getZrKeysCall { walletTypeId: wallet.id(), owner: self.consumer };
        Ok(self.town.read(&call).await?.into_iter().next())
    }

    /// What became of a request; `None` while it is open.
    async fn look(&self, asked: &Asked) -> Result<Option<State>, TownError> {
        let judged = match asked {
            Asked::Key(wallet) => self.wallet(*wallet).await?.map(|text| order::address(*wallet, &text)),
            Asked::Signature { order, trace } => match self.answer(*trace).await? {
                None => None,
                Some(answer) => {
                    let wallet = self.wallets.get(&order.wallet()).map_or("", String::as_str);
                    Some(match order.judge(&answer, wallet) {
                        Ok(Verdict::Proven(proof)) => Ok(proof),
                        Ok(Verdict::Signed(transaction)) => self.carry(*transaction, wallet).await,
                        Err(why) => Err(why),
                    })
                }
            },
        };
        Ok(judged.map(|judged| match judged {
            Ok(proof) => State::Verified { proof },
            Err(why) => State::Unverified { why },
        }))
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

    /// Sends a signed transaction to the other chain. Whatever keeps that chain from executing it is the answer's fault.
    async fn carry(&self, transaction: Signed<TxLegacy>, wallet: &str) -> Result<String, String> {
        let (nonce, there) = (transaction.tx().nonce, self.other.caip());
        let bytes = TxEnvelope::from(transaction).encoded_2718();
        let receipt = self.other.raw("the wallet's transaction", &bytes).await.map_err(|error| error.to_string())?;
        if receipt.from.to_string() != wallet {
            return Err(format!("{there} sees it come from {}", receipt.from));
        }
        Ok(format!("nonce {nonce}, executed in block {} of {there}", receipt.block_number.unwrap_or_default()))
    }
}
