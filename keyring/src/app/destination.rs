//! The shell around the destinations of simple transactions: reads what the node asks for, decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use chain_client::zrsign::evm::{Call, EvmChain, EvmError, Simulation};
use chain_client::zrsign::transaction::{SimpleTransaction, Surroundings};
use tokio::sync::{Semaphore, mpsc};

use super::Inbox;
use super::follow::QUEUE_MAX;
use crate::decree::DecreeId;
use crate::node::{BlockName, ContractNews, DestinationLook, Event};
use crate::tasks::Tasks;

/// Questions asked at a time.
const QUESTIONS_AT_ONCE: usize = 4;
/// How long a block that another party sees as final already is waited for.
const FINAL_PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked meanwhile.
const FINAL_LOOK: Duration = Duration::from_millis(500);

/// What the node asks.
#[derive(Debug)]
pub struct DestinationQuestion {
    /// For which decree; its contract is told.
    pub decree: DecreeId,
    /// The destination.
    pub destination: u64,
    /// The wallet.
    pub wallet: Address,
    /// What it is to do, where gas must be estimated.
    pub simple: Option<SimpleTransaction>,
    /// At which block; the newest final one if none is named.
    pub at: Option<BlockName>,
}

/// All destinations.
pub struct Destinations {
    chains: BTreeMap<u64, Arc<EvmChain>>,
    inbox: Inbox,
}

/// Why a destination is not read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Endpoint(#[from] EvmError),
    #[error("there is no such section in the configuration")]
    Unknown,
    #[error("block {0} is not final at this party's endpoint")]
    NotFinal(u64),
    #[error("this party's endpoint shows another block {0}")]
    OtherBlock(u64),
    #[error("block {0} names no base fee: EIP-1559 is not in force there")]
    NoBaseFee(u64),
    #[error("the transaction would revert there: {0}")]
    Reverts(String),
}

impl Destinations {
    /// The destinations of the configuration.
    pub const fn new(chains: BTreeMap<u64, Arc<EvmChain>>, inbox: Inbox) -> Self {
        Self { chains, inbox }
    }

    /// Answers questions side by side.
    pub fn spawn(self, tasks: &Tasks) -> mpsc::Sender<DestinationQuestion> {
        let (questions, asked) = mpsc::channel(QUEUE_MAX);
        tasks.spawn("destinations", Arc::new(self).answer(asked));
        questions
    }

    async fn answer(self: Arc<Self>, mut asked: mpsc::Receiver<DestinationQuestion>) {
        let places = Arc::new(Semaphore::new(QUESTIONS_AT_ONCE));
        let mut running = tokio::task::JoinSet::new();
        while let Some(question) = asked.recv().await {
            while running.try_join_next().is_some() {}
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let this = self.clone();
            running.spawn(async move {
                let said = this.look(&question).await.map_err(|why| why.to_string());
                let DestinationQuestion { decree, at, .. } = question;
                let chain = decree.chain.clone();
                let news = ContractNews::Destination { decree, at, said: Box::new(said) };
                this.inbox.tell(Event::Contract(chain, news)).await;
                drop(place);
            });
        }
    }

    async fn look(&self, question: &DestinationQuestion) -> Result<DestinationLook, Unread> {
        let chain = self.chains.get(&question.destination).ok_or(Unread::Unknown)?;
        let last_final = last_final(chain, question.at).await?;
        let (at, base_fee) = match question.at.filter(|at| *at != last_final.0) {
            None => last_final,
            Some(at) => {
                let found = chain.block(at.height).await?.filter(|found| found.hash == at.hash);
                (at, found.ok_or(Unread::OtherBlock(at.height))?.base_fee)
            }
        };
        let nonce_final = chain.account(question.wallet, last_final.0.hash).await?.nonce;
        let nonce = chain.account(question.wallet, at.hash).await?.nonce;
        let gas_estimate = match question.simple.as_ref().filter(|simple| !simple.data.is_empty()) {
            None => 0,
            Some(simple) => estimate(chain, question.wallet, simple, at).await?,
        };
        let base_fee = u128::from(base_fee.ok_or(Unread::NoBaseFee(at.height))?);
        let surroundings = Surroundings { nonce, base_fee, gas_estimate };
        Ok(DestinationLook { last_final: last_final.0, nonce_final, at, surroundings })
    }
}

/// The newest final block; it is waited for until it reaches the named one.
async fn last_final(chain: &EvmChain, at: Option<BlockName>) -> Result<(BlockName, Option<u64>), Unread> {
    let wanted = at.map_or(0, |at| at.height);
    let reached = async {
        loop {
            let last = chain.tips().await?.last_final;
            if last.height >= wanted {
                return Ok((BlockName { height: last.height, hash: last.hash }, last.base_fee));
            }
            tokio::time::sleep(FINAL_LOOK).await;
        }
    };
    tokio::time::timeout(FINAL_PATIENCE, reached).await.unwrap_or(Err(Unread::NotFinal(wanted)))
}

async fn estimate(chain: &EvmChain, wallet: Address, simple: &SimpleTransaction, at: BlockName) -> Result<u64, Unread> {
    let call = Call {
        from: wallet,
        to: simple.to,
        value: simple.value,
        gas: None,
        gas_price: None,
        data: simple.data.clone(),
    };
    match chain.estimate_gas(&call, at.hash).await? {
        Simulation::Succeeds(gas) => Ok(gas),
        Simulation::Reverts(why) => Err(Unread::Reverts(format!("{why:?}"))),
    }
}
