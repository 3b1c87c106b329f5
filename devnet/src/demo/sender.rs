//! An account that sends transactions and waits for them, as an ordinary wallet does.
//!
//! Refuses to know what the messages mean. It owes: sequences in order without gaps, the same bytes again when a node
//! does not answer, an error with the chain's own words otherwise.

use std::sync::Arc;
use std::time::Duration;

use chain_client::proto::cosmos::base::abci::v1beta1::TxMsgData;
use chain_client::tx::{Seat, sign_messages};
use chain_client::{FeePolicy, GasPrice, Height, Hint, PartyAccount, Receipt, SignedTx, TxHash, ZrChain};
use prost::{Message, Name};
use prost_types::Any;

use super::DemoError;

/// How often a wallet offers the same bytes, and looks for its receipt.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for a transaction to enter a node's pool, and then a block.
const PATIENCE: Duration = Duration::from_secs(60);
/// The node's pool is full for the moment.
const POOL_FULL: u32 = 20;

/// A message with the gas that it may use.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    /// What it is, for errors.
    pub(crate) what: String,
    /// The message.
    pub(crate) message: Any,
    /// Gas limit.
    pub(crate) gas: u64,
}

/// A message that was executed.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    what: String,
    /// The block it stands in.
    pub(crate) height: Height,
    response: Any,
}

/// See the module.
pub(crate) struct Sender {
    chain: Arc<ZrChain>,
    account: PartyAccount,
    price: GasPrice,
    seat: Seat,
}

impl Sender {
    /// Looks up the account's place and the price of gas.
    ///
    /// # Errors
    /// When the chain cannot be read, or the account was never funded.
    pub(crate) async fn new(chain: Arc<ZrChain>, account: PartyAccount) -> Result<Self, DemoError> {
        let missing = || DemoError::NoAccount { address: account.address().to_owned() };
        let facts = chain.account(account.address()).await?.value.ok_or_else(missing)?;
        let price = chain.treasury().await?.value.min_gas_price;
        let price =
            GasPrice::parse(&price).map_err(|why| DemoError::Reply { what: "gas price", why: why.to_string() })?;
        let seat = Seat { chain: chain.id().clone(), account_number: facts.number, sequence: facts.sequence };
        Ok(Self { chain, account, price, seat })
    }

    /// The account's address.
    pub(crate) fn address(&self) -> &str {
        self.account.address()
    }

    /// Sends all, one transaction each, without waiting in between; then waits for all of them.
    ///
    /// # Errors
    /// When one is refused or fails: the ones before it stand.
    pub(crate) async fn send(&mut self, letters: Vec<Letter>) -> Result<Vec<Delivery>, DemoError> {
        let mut sent = Vec::with_capacity(letters.len());
        for letter in letters {
            let policy = FeePolicy { floor_urock: 0, ceiling_urock: u128::MAX };
            let charge = policy
                .charge(letter.gas, self.price)
                .map_err(|why| DemoError::Reply { what: "gas price", why: why.to_string() })?;
            let signed = sign_messages(&self.account, &self.seat, vec![letter.message], charge);
            offer(&self.chain, &letter.what, &signed).await?;
            self.seat.sequence += 1;
            sent.push((letter.what, signed.hash));
        }
        let mut delivered = Vec::with_capacity(sent.len());
        for (what, hash) in sent {
            let receipt = receipt(&self.chain, &what, hash).await?;
            delivered.push(Delivery::of(what, &receipt)?);
        }
        Ok(delivered)
    }
}

impl Delivery {
    fn of(what: String, receipt: &Receipt) -> Result<Self, DemoError> {
        let data = TxMsgData::decode(receipt.data.as_slice());
        let response = data.ok().and_then(|data| data.msg_responses.into_iter().next());
        let response = response.ok_or_else(|| DemoError::Reply { what: "response", why: format!("none to {what}") })?;
        Ok(Self { what, height: receipt.height, response })
    }

    /// The message's response.
    ///
    /// # Errors
    /// When it is of another type.
    pub(crate) fn response<M: Message + Name + Default>(&self) -> Result<M, DemoError> {
        let wrong = |why: String| DemoError::Reply { what: "response", why: format!("to {}: {why}", self.what) };
        if self.response.type_url != M::type_url() {
            return Err(wrong(format!("type is {}, expected {}", self.response.type_url, M::type_url())));
        }
        M::decode(self.response.value.as_slice()).map_err(|error| wrong(error.to_string()))
    }
}

/// Hands signed bytes to the chain until they are in a pool.
///
/// # Errors
/// When they are refused, or nobody answers for too long.
pub(crate) async fn offer(chain: &ZrChain, what: &str, signed: &SignedTx) -> Result<(), DemoError> {
    let mut last = String::new();
    let offered = tokio::time::timeout(PATIENCE, async {
        loop {
            match chain.broadcast(signed).await {
                Hint::Taken | Hint::Known => return Ok(()),
                Hint::Refused { code, reason, .. } if code != POOL_FULL => {
                    return Err(DemoError::Refused { what: what.to_owned(), code, reason });
                }
                Hint::Refused { reason, .. } | Hint::Unknown { reason } => last = reason,
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    match offered.await {
        Ok(result) => result,
        Err(_) => Err(DemoError::Silent { what: what.to_owned(), reason: last }),
    }
}

/// Waits until the transaction stands in a block and was executed well.
///
/// # Errors
/// When it fails there, or does not get there in time.
pub(crate) async fn receipt(chain: &ZrChain, what: &str, hash: TxHash) -> Result<Receipt, DemoError> {
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(receipt) = chain.receipt(hash).await? {
                return Ok(receipt);
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    let receipt: Receipt = match found.await {
        Ok(receipt) => receipt,
        Err(_) => {
            Err(DemoError::Silent { what: what.to_owned(), reason: format!("transaction {hash} is in no block") })
        }
    }?;
    if receipt.code == 0 {
        return Ok(receipt);
    }
    Err(DemoError::Failed { what: what.to_owned(), code: receipt.code, height: receipt.height, log: receipt.log })
}
