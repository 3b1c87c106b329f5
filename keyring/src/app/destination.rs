//! The shell around the destinations of simple transactions: reads what the node asks for, decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use chain_client::zrsign::evm::{Call, EvmChain, EvmError, Simulation};
use chain_client::zrsign::transaction::{SimpleTransaction, Surroundings};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Inbox;
use super::follow::QUEUE_MAX;
use crate::decree::DecreeId;
use crate::node::{BlockName, ContractNews, DestinationLook, Event, Unread};
use crate::tasks::Tasks;

/// Questions that are read at a time.
const READ_AT_ONCE: usize = 4;
/// Questions that are read or wait for their block to become final; others stand in the queue.
const QUESTIONS_AT_ONCE: usize = 64;
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
    reading: Semaphore,
    inbox: Inbox,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
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
        Self { chains, reading: Semaphore::const_new(READ_AT_ONCE), inbox }
    }

    /// Answers questions side by side.
    pub fn spawn(self, tasks: &Tasks) -> mpsc::Sender<DestinationQuestion> {
        let (questions, asked) = mpsc::channel(QUEUE_MAX);
        tasks.spawn("destinations", Arc::new(self).answer(asked));
        questions
    }

    async fn answer(self: Arc<Self>, mut asked: mpsc::Receiver<DestinationQuestion>) {
        let mut running = JoinSet::new();
        while let Some(question) = asked.recv().await {
            while running.try_join_next().is_some() {}
            if running.len() >= QUESTIONS_AT_ONCE {
                running.join_next().await;
            }
            let this = self.clone();
            running.spawn(async move {
                let said = this.look(&question).await.map_err(Unread::from);
                let DestinationQuestion { decree, at, .. } = question;
                let chain = decree.chain.clone();
                let news = ContractNews::Destination { decree, at, said: Box::new(said) };
                this.inbox.tell(Event::Contract(chain, news)).await;
            });
        }
    }

    async fn look(&self, question: &DestinationQuestion) -> Result<DestinationLook, Unanswered> {
        let chain = self.chains.get(&question.destination).ok_or(Unanswered::Unknown)?;
        let last_final = self.last_final(chain, question.at).await?;
        let _place = self.reading.acquire().await;
        let (at, base_fee) = match question.at.filter(|at| *at != last_final.0) {
            None => last_final,
            Some(at) => {
                let found = chain.block(at.height).await?.filter(|found| found.hash == at.hash);
                (at, found.ok_or(Unanswered::OtherBlock(at.height))?.base_fee)
            }
        };
        let nonce_final = chain.account(question.wallet, last_final.0.hash).await?.nonce;
        let nonce = chain.account(question.wallet, at.hash).await?.nonce;
        let gas_estimate = match question.simple.as_ref().filter(|simple| !simple.data.is_empty()) {
            None => 0,
            Some(simple) => estimate(chain, question.wallet, simple, at).await?,
        };
        let base_fee = u128::from(base_fee.ok_or(Unanswered::NoBaseFee(at.height))?);
        let surroundings = Surroundings { nonce, base_fee, gas_estimate };
        Ok(DestinationLook { last_final: last_final.0, nonce_final, at, surroundings })
    }

    /// The newest final block and its base fee; it is waited for until it reaches the named one. Who waits keeps nobody from
    /// reading: another party has named that block, and may lie.
    async fn last_final(
        &self,
        chain: &EvmChain,
        at: Option<BlockName>,
    ) -> Result<(BlockName, Option<u64>), Unanswered> {
        let wanted = at.map_or(0, |at| at.height);
        let begun = Instant::now();
        loop {
            let last = {
                let _place = self.reading.acquire().await;
                chain.tips().await?.last_final
            };
            if last.height >= wanted {
                return Ok((BlockName { height: last.height, hash: last.hash }, last.base_fee));
            }
            if begun.elapsed() >= FINAL_PATIENCE {
                return Err(Unanswered::NotFinal(wanted));
            }
            tokio::time::sleep(FINAL_LOOK).await;
        }
    }
}

impl From<Unanswered> for Unread {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::NotFinal(_) | Unanswered::OtherBlock(_) | Unanswered::Reverts(_) => {
                Self::Question(why.to_string())
            }
            Unanswered::Endpoint(_) | Unanswered::Unknown | Unanswered::NoBaseFee(_) => {
                Self::Destination(why.to_string())
            }
        }
    }
}

async fn estimate(
    chain: &EvmChain,
    wallet: Address,
    simple: &SimpleTransaction,
    at: BlockName,
) -> Result<u64, Unanswered> {
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
        Simulation::Reverts(why) => Err(Unanswered::Reverts(format!("{why:?}"))),
    }
}
