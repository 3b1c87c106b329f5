//! A user: makes a workspace, asks for keys and signatures, follows his requests block by block, verifies each answer.
//!
//! Refuses to know the keyring's processes; all he sees is the chain.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use chain_client::proto::cosmos::bank::v1beta1::MsgSend;
use chain_client::proto::zrchain::identity::{MsgNewWorkspace, MsgNewWorkspaceResponse};
use chain_client::proto::zrchain::treasury::query_client::QueryClient;
use chain_client::proto::zrchain::treasury::{QueryKeyByIdRequest, QuerySignTransactionRequestByIdRequest, WalletType};
use chain_client::tx::{any, urock};
use chain_client::{Ask, Block, Height, KeyType, LowWater, PartyAccount, Request, RequestId, Status, ZrChain};
use sha2::{Digest as _, Sha256};
use tonic::transport::Channel;

use super::board::{Board, RowId};
use super::order::{self, Evidence, Filed, Order, Shown, UserKey};
use super::report::{Row, State};
use super::sender::{Letter, Sender, offer, receipt};
use super::transfer::{BitcoinTransfer, EvmTransfer, NativeTransfer, Place, SolanaTransfer, Transfer};
use super::{DemoError, address, connect};

const GAS: u64 = 250_000;
/// How often the chain is asked for a new block.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest wait for a new block.
const BLOCK_PATIENCE: Duration = Duration::from_secs(60);
/// What the native wallet is given, so that it can send something.
const WALLET_UROCK: u128 = 10_000_000;

/// What was asked, and the row that tells what became of it.
struct Entry {
    order: Order,
    filed: Filed,
    made: Height,
    row: RowId,
}

/// See the module.
pub struct User {
    chain: Arc<ZrChain>,
    treasury: QueryClient<Channel>,
    sender: Sender,
    workspace: String,
    keys: BTreeMap<KeyType, UserKey>,
    entries: Vec<Entry>,
    seen: Height,
}

impl User {
    /// Signs in at a chain's gRPC address, `http://host:port`, as a customer of a keyring, and makes a workspace.
    ///
    /// # Errors
    /// When the chain cannot be read or refuses, or the account has no funds.
    pub async fn connect(grpc: &str, chain: &str, keyring: &str, account: PartyAccount) -> Result<Self, DemoError> {
        let (chain, treasury) = connect(grpc, chain, keyring)?;
        let chain = Arc::new(chain);
        let mut sender = Sender::new(Arc::clone(&chain), account).await?;
        let message = MsgNewWorkspace { creator: sender.address().to_owned(), ..Default::default() };
        let letter = Letter { what: "new workspace".to_owned(), message: any(&message), gas: GAS };
        let made = sender.send(vec![letter]).await?;
        let response = made.first().map(super::sender::Delivery::response::<MsgNewWorkspaceResponse>).transpose()?;
        let workspace = response.map(|made| made.addr).unwrap_or_default();
        let seen = made.first().map_or(Height(0), |made| made.height);
        let (keys, entries) = Default::default();
        Ok(Self { chain, treasury, sender, workspace, keys, entries, seen })
    }

    /// The user's workspace on the chain.
    pub fn workspace(&self) -> &str {
        &self.workspace
    }

    /// Asks for a key of each type, then for signatures of every kind with them; follows all to their end.
    ///
    /// # Errors
    /// When the chain cannot be read or stands still. Requests that end badly are no error but stand on the board.
    pub async fn make_requests<W: Write>(&mut self, board: &Board<W>) -> Result<(), DemoError> {
        let orders = [KeyType::EcdsaSecp256k1, KeyType::EddsaEd25519, KeyType::BitcoinSecp256k1].map(Order::Key);
        self.ask(orders.to_vec(), board).await?;
        self.follow(board).await?;
        for key in self.keys.values() {
            for (wallet, address) in &key.wallets {
                let wallet = wallet.as_str_name().trim_start_matches("WALLET_TYPE_");
                let (id, key_type) = (key.id, key.key_type.to_string());
                board.note(&format!("key {id:<4} {key_type:<8} {wallet:<14} {address}"))?;
            }
        }
        let orders = self.signatures().await?;
        self.ask(orders, board).await?;
        self.follow(board).await?;
        self.spend(board).await
    }

    /// Shows the chain's progress for ever.
    ///
    /// # Errors
    /// When the chain cannot be read or stands still.
    pub async fn watch<W: Write>(&mut self, board: &Board<W>) -> Result<(), DemoError> {
        let mut from = LowWater::default();
        loop {
            let block = self.next_block().await?;
            let scan = self.chain.open_requests(from).await?.value;
            from = scan.low_water;
            board.tick(self.chain.id().as_str(), block.height.0, scan.requests.len())?;
        }
    }

    /// Every kind of signature that the verified keys allow.
    async fn signatures(&mut self) -> Result<Vec<Order>, DemoError> {
        let mut orders = Vec::new();
        let digest = |text: &str| Sha256::digest(text).to_vec();
        if let Some(key) = self.keys.get(&KeyType::EcdsaSecp256k1).cloned() {
            let raw = |payloads| Order::Raw { key: key.clone(), payloads };
            orders.push(raw(vec![digest("one digest")]));
            orders.push(raw(["first of three", "second", "third"].map(digest).to_vec()));
            let transfers =
                [Transfer::Evm(EvmTransfer::from_key(&key.public_key)?), Transfer::Native(self.native(&key).await?)];
            orders.extend(transfers.map(|transfer| Order::Transfer { key: key.clone(), transfer }));
        }
        if let Some(key) = self.keys.get(&KeyType::BitcoinSecp256k1).cloned() {
            let transfer = Transfer::Bitcoin(BitcoinTransfer::from_key(&key.public_key)?);
            orders.push(Order::Raw { key: key.clone(), payloads: vec![digest("a bitcoin digest")] });
            orders.push(Order::Transfer { key, transfer });
        }
        if let Some(key) = self.keys.get(&KeyType::EddsaEd25519).cloned() {
            let transfer = Transfer::Solana(SolanaTransfer::from_key(&key.public_key)?);
            orders.push(Order::Raw { key: key.clone(), payloads: vec![b"a whole message, signed as it is".to_vec()] });
            orders.push(Order::Transfer { key, transfer });
        }
        Ok(orders)
    }

    /// A transfer back to the user from the key's own account, which gets some money for it first.
    async fn native(&mut self, key: &UserKey) -> Result<NativeTransfer, DemoError> {
        let (wallet, user) = (address::native(&key.public_key)?.to_string(), self.sender.address().to_owned());
        let message =
            MsgSend { from_address: user.clone(), to_address: wallet.clone(), amount: vec![urock(WALLET_UROCK)] };
        let what = format!("transfer to {wallet}");
        self.sender.send(vec![Letter { what, message: any(&message), gas: GAS }]).await?;
        let facts = self.chain.account(&wallet).await?.value.ok_or(DemoError::NoAccount { address: wallet })?;
        let place = Place { chain: self.chain.id().clone(), account_number: facts.number, sequence: facts.sequence };
        Ok(NativeTransfer::from_key(&key.public_key, &place, &user)?)
    }

    /// Sends the native transfer that the committee signed: the chain itself executes it.
    async fn spend<W: Write>(&self, board: &Board<W>) -> Result<(), DemoError> {
        for entry in &self.entries {
            let Order::Transfer { transfer: Transfer::Native(transfer), .. } = &entry.order else { continue };
            if !board.is_verified(entry.row) {
                continue;
            }
            let Evidence::Signatures(shown) = self.evidence(entry).await? else { continue };
            let Some(signature) = shown.signatures.first() else { continue };
            let signed = transfer.signed(signature)?;
            let name = entry.order.name();
            offer(&self.chain, &name, &signed).await?;
            let receipt = receipt(&self.chain, &name, signed.hash).await?;
            board.note(&format!("the chain executed the signed {name} in block {}", receipt.height))?;
        }
        Ok(())
    }

    /// Sends the orders and enters each with its block.
    async fn ask<W: Write>(&mut self, orders: Vec<Order>, board: &Board<W>) -> Result<(), DemoError> {
        let creator = self.sender.address().to_owned();
        let letter = |order: &Order| order.letter(&creator, &self.workspace, self.chain.keyring_address());
        let letters = orders.iter().map(letter).collect::<Result<Vec<_>, _>>()?;
        let delivered = self.sender.send(letters).await?;
        for (order, delivery) in orders.into_iter().zip(delivered) {
            let filed = order.filed(&delivery)?;
            let made = self.block(delivery.height).await?;
            let chain = self.chain.id().to_string();
            let row = board.enter(Row::new(chain, order.name(), filed.request, order.items()?, &made));
            self.entries.push(Entry { order, filed, made: made.height, row });
            self.seen = self.seen.max(Height(made.height.0.saturating_sub(1)));
        }
        Ok(())
    }

    /// Looks at every block until all requests are closed.
    async fn follow<W: Write>(&mut self, board: &Board<W>) -> Result<(), DemoError> {
        while self.entries.iter().any(|entry| board.is_open(entry.row)) {
            let block = self.next_block().await?;
            let mut seen = Vec::new();
            for place in 0..self.entries.len() {
                seen.extend(self.look(place, &block, board).await?);
            }
            board.show(self.chain.id().as_str(), &block, seen)?;
        }
        Ok(())
    }

    /// How a request stood after a block; nothing if it was closed before, or made later.
    async fn look<W: Write>(
        &mut self,
        place: usize,
        block: &Block,
        board: &Board<W>,
    ) -> Result<Option<(RowId, State)>, DemoError> {
        let Some(entry) = self.entries.get(place) else { return Ok(None) };
        if !board.is_open(entry.row) || entry.made > block.height {
            return Ok(None);
        }
        let request = self.request(entry.filed.request, Some(block.height)).await?;
        let row = entry.row;
        let state = match request.status {
            Status::Pending => State::Pending,
            Status::Partial if request.is_parent() => State::Partial { answers: request.shown.len() },
            Status::Partial => State::Partial { answers: request.answered_by.len() },
            Status::Rejected => State::Rejected { why: request.reject_reason },
            Status::Fulfilled => {
                let evidence = self.evidence(entry).await?;
                let judged = entry.order.judge(&evidence);
                if let (Order::Key(key_type), Evidence::Key(record)) = (&entry.order, &evidence)
                    && let Ok(key) = order::key(*key_type, record)
                {
                    self.keys.insert(*key_type, key);
                }
                match judged {
                    Ok(proof) => State::Verified { proof },
                    Err(why) => State::Unverified { why: why.to_string() },
                }
            }
        };
        Ok(Some((row, state)))
    }

    /// Reads back from the chain all that a verdict needs.
    async fn evidence(&self, entry: &Entry) -> Result<Evidence, DemoError> {
        let mut treasury = self.treasury.clone();
        let id = entry.filed.request;
        if let Order::Key(_) = entry.order {
            let prefixes = vec![address::NATIVE_PREFIX.to_owned()];
            let question = QueryKeyByIdRequest { id: id.number, wallet_type: WalletType::Unspecified.into(), prefixes };
            return Ok(Evidence::Key(treasury.key_by_id(question).await?.into_inner()));
        }
        let request = self.request(id, None).await?;
        let mut shown = Shown::default();
        match request.ask {
            Ask::Group { children, .. } => {
                for child in children {
                    let child = self.request(child, None).await?;
                    collect(&mut shown, child);
                }
            }
            _ => collect(&mut shown, request),
        }
        if let Some(id) = entry.filed.transaction {
            let question = QuerySignTransactionRequestByIdRequest { id };
            let kept = treasury.sign_transaction_request_by_id(question).await?.into_inner();
            shown.unsigned = kept.sign_transaction_request.map(|kept| kept.unsigned_transaction);
        }
        Ok(Evidence::Signatures(shown))
    }

    async fn request(&self, id: RequestId, at: Option<Height>) -> Result<Request, DemoError> {
        let found = self.chain.request(id, at).await?.value;
        found.ok_or_else(|| DemoError::Reply { what: "request", why: format!("{id} is gone from the chain") })
    }

    /// The block after the last one looked at, as soon as there is one.
    async fn next_block(&mut self) -> Result<Block, DemoError> {
        let next = self.seen.after(1);
        let found = tokio::time::timeout(BLOCK_PATIENCE, async {
            loop {
                let head = self.chain.head().await?.value;
                if head.height == next {
                    return Ok(head);
                }
                if head.height > next {
                    return self.block(next).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        let block: Block = match found.await {
            Ok(block) => block,
            Err(_) => Err(DemoError::Silent { what: format!("block {next}"), reason: "the chain stands still".into() }),
        }?;
        self.seen = block.height;
        Ok(block)
    }

    async fn block(&self, height: Height) -> Result<Block, DemoError> {
        let found = self.chain.block(height).await?.map(|found| found.value);
        found.ok_or_else(|| DemoError::Reply { what: "block", why: format!("{height} is gone from the chain") })
    }
}

fn collect(shown: &mut Shown, request: Request) {
    if let Ask::Signature { payload, .. } = request.ask {
        shown.payloads.push(payload);
        shown.signatures.extend(request.shown);
    }
}
