//! The shell around one contract: reads its final blocks whole, answers the node's questions about the chain's newest
//! ones, sends what the node has signed and stored. It decides nothing but this: from code that the operators have not
//! listed, and from a chain that took a final block back, nothing is read on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use chain_client::Height;
use chain_client::zrsign::event::{self, Event as Told, Log};
use chain_client::zrsign::evm::{
    Block, Call as EvmCall, Deployment, EvmChain, EvmError, EvmHint, Range, RequestStatus, Simulation, Tips,
    WalletStatus,
};
use chain_client::zrsign::name::Proxy;
use chain_client::zrsign::range::Mark;
use chain_client::zrsign::revert;
use tokio::sync::{Semaphore, mpsc};
use tracing::{debug, warn};

use super::Inbox;
use super::follow::QUEUE_MAX;
use super::pulse::Pulse;
use crate::contract::{self, Asked};
use crate::decree::DecreeId;
use crate::node::{ContractNews, Event, Said, Span, Target};
use crate::sender::{
    AccountLook, Call, ContractLook, Hint, Look, Receipt, RequestLook, RequestState, Revert, Sight, Signed, Simulated,
    State,
};
use crate::tasks::Tasks;

/// Questions asked at a time.
const QUESTIONS_AT_ONCE: usize = 4;
/// Ranges read at one poll: catching up leaves room for the rest.
const RANGES_PER_POLL: usize = 16;

/// What the node asks.
#[derive(Debug)]
pub enum ContractQuestion {
    /// Account, contract, request and receipts.
    Look {
        /// Whose answer.
        decree: DecreeId,
        /// What it is about.
        target: Target,
        /// Transactions to look for.
        hashes: Vec<B256>,
    },
    /// Whether a call would pass.
    Simulate {
        /// Whose answer.
        decree: DecreeId,
        /// The call.
        call: Box<Call>,
        /// On which state.
        state: State,
    },
}

/// The two ends of a contract's shell.
pub struct ContractDesk {
    /// Questions, answered side by side.
    pub questions: mpsc::Sender<ContractQuestion>,
    /// Transactions, sent in order.
    pub sends: mpsc::Sender<Signed>,
}

/// A contract and who asks about it.
pub struct ContractFollower {
    /// Its chain.
    pub chain: Arc<EvmChain>,
    /// The contract.
    pub proxy: Proxy,
    /// Code that may run behind it, by hash.
    pub code: BTreeSet<B256>,
    /// Its logs are read behind this block.
    pub first_block: u64,
    /// This party's account.
    pub account: Address,
    /// To the node.
    pub inbox: Inbox,
    /// How often to look.
    pub poll: Duration,
    /// When it was last read.
    pub pulse: Arc<Pulse>,
}

/// Why nothing is read on.
enum Stop {
    /// Asked again at the next poll.
    Later(EvmError),
    /// Told to the node, which signs nothing while it stands.
    Closed(String),
}

impl From<EvmError> for Stop {
    fn from(error: EvmError) -> Self {
        match error {
            EvmError::Reorganised { .. } => Self::Closed(error.to_string()),
            error => Self::Later(error),
        }
    }
}

impl ContractFollower {
    /// Starts the three tasks of this contract.
    pub fn spawn(self, tasks: &Tasks) -> ContractDesk {
        let this = Arc::new(self);
        let (questions, asked) = mpsc::channel(QUEUE_MAX);
        let (sends, to_send) = mpsc::channel(QUEUE_MAX);
        tasks.spawn("contract-blocks", this.clone().follow());
        tasks.spawn("contract-questions", this.clone().answer(asked));
        tasks.spawn("contract-sends", this.send(to_send));
        ContractDesk { questions, sends }
    }

    fn name(&self) -> String {
        contract::chain_of(self.proxy.chain)
    }

    async fn tell(&self, news: ContractNews) {
        self.inbox.tell(Event::Contract(self.name(), news)).await;
    }

    async fn follow(self: Arc<Self>) {
        let mut last = None;
        let mut ticks = tokio::time::interval(self.poll);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut mark = self.known_mark().await.flatten();
            let tips = match self.chain.tips().await {
                Ok(tips) => tips,
                Err(error) => {
                    let stop = Stop::from(error);
                    self.stopped(stop, mark).await;
                    continue;
                }
            };
            self.pulse.head_read();
            let read = self.read_on(&tips, &mut mark).await;
            self.pulse.looked(read.is_ok());
            match read {
                Ok(()) => self.tell(ContractNews::Opened).await,
                Err(stop) => self.stopped(stop, mark).await,
            }
            // A reorganised chain shows another block at the same height, or a lower one: each is news to the sender.
            if last.replace(tips.head.hash) != Some(tips.head.hash) {
                self.tell(ContractNews::Head(Height(tips.head.height))).await;
                match self.sight(&tips).await {
                    Ok(sight) => self.tell(ContractNews::Sight(Box::new(sight))).await,
                    Err(error) => debug!(chain = self.name(), %error, "the account cannot be read now"),
                }
            }
        }
    }

    async fn stopped(&self, stop: Stop, mark: Option<Mark>) {
        match stop {
            Stop::Later(error) => warn!(chain = self.name(), %error, "the contract cannot be read now"),
            Stop::Closed(why) => self.tell(ContractNews::Closed { mark, why }).await,
        }
    }

    /// Final blocks behind the node's mark, range by range. Leaves the mark where it came to.
    async fn read_on(&self, tips: &Tips, at: &mut Option<Mark>) -> Result<(), Stop> {
        let Block { height, hash, .. } = tips.last_final;
        for _ in 0..RANGES_PER_POLL {
            let Some(mark) = self.mark().await? else { return Ok(()) };
            *at = Some(mark);
            let Some(range) = self.chain.range(self.proxy.address, mark).await? else { break };
            let reached = range.mark;
            let span = self.judged(mark, range).await?;
            self.tell(ContractNews::Opened).await;
            self.tell(ContractNews::Span(Box::new(span))).await;
            // The node takes it whole or, when it has no room, not now.
            if self.mark().await? != Some(reached) {
                break;
            }
        }
        self.tell(ContractNews::Final { height: Height(height), hash: hash.0 }).await;
        Ok(())
    }

    /// Where the node's reading stands; `None` outside: it has ended, inside: it has not begun.
    async fn known_mark(&self) -> Option<Option<Mark>> {
        let chain = self.name();
        self.inbox.look(move |node, _| node.contract(&chain).map(|shown| shown.mark)).await.flatten()
    }

    /// The same; at first, the configured beginning.
    async fn mark(&self) -> Result<Option<Mark>, EvmError> {
        match self.known_mark().await {
            Some(Some(mark)) => Ok(Some(mark)),
            Some(None) => self.chain.mark(self.proxy.address, self.first_block).await.map(Some),
            None => Ok(None),
        }
    }

    /// What a range says, if the contract ran listed code all the time.
    async fn judged(&self, from: Mark, range: Range) -> Result<Span, Stop> {
        let at = range.mark.hash;
        for span in &range.spans {
            let Some(code) = span.code else {
                if span.logs.is_empty() {
                    continue;
                }
                let why = "there was no telling which code ran when it wrote logs";
                return Err(Stop::Closed(format!("{}: {why}", self.proxy)));
            };
            if !self.code.contains(&code.code_hash) {
                return Err(Stop::Closed(format!(
                    "{} runs {} with the code hash {}, which is not listed: compare it with what was announced, then add it \
                     to `contract.code`",
                    self.proxy, code.implementation, code.code_hash
                )));
            }
        }
        let is_there = range.spans.iter().any(|span| span.code.is_some());
        if !is_there {
            return Ok(Span { from, to: range.mark, source: None, said: Vec::new() });
        }
        let deployment = self.chain.deployment(self.proxy.address, at).await?;
        if !deployment.takes_our_answers() {
            return Err(Stop::Closed(format!(
                "{} is version {}, and this program authorises answers for version 1 only: the code of another version does \
                 not belong into `contract.code`",
                self.proxy, deployment.version
            )));
        }
        let mut said = Vec::new();
        for (place, span) in range.spans.iter().enumerate() {
            // Where the code changes within a block, what came before it was numbered as the block before says.
            let earlier = match place {
                0 if range.spans.len() > 1 && span.code.is_some() => {
                    Some(self.chain.deployment(self.proxy.address, from.hash).await?)
                }
                _ => None,
            };
            for log in &span.logs {
                said.extend(self.said(log, earlier.as_ref().unwrap_or(&deployment), at).await?);
            }
        }
        Ok(Span { from, to: range.mark, source: Some(deployment.source), said })
    }

    async fn said(&self, log: &Log, deployment: &Deployment, at: B256) -> Result<Option<Said>, EvmError> {
        let decoded = match event::decode(self.proxy, log, deployment.numbers) {
            Ok(decoded) => decoded,
            Err(error) => {
                let trace = log.topics.get(1).and_then(|topic| u64::try_from(U256::from_be_bytes(topic.0)).ok());
                let (trace, why) = (trace.unwrap_or(u64::MAX), error.to_string());
                return Ok(Some(Said::Unreadable { trace, at: log.at, why }));
            }
        };
        Ok(match decoded {
            None | Some(Told::Upgraded(_)) => None,
            Some(Told::Key(asked)) => {
                // A slot is opened behind the last filled one and no other is filled before it, so its status says all. The
                // list of an owner's wallets has no bound, and must not be read to know whether one is open.
                let registry = self.chain.wallet(&asked.slot, at).await?;
                let is_open = registry.status == WalletStatus::Requested;
                Some(Said::Asked(Asked::Key { asked, options: registry.options }, is_open))
            }
            Some(Told::Signature(asked)) => {
                let state = self.chain.request_state(self.proxy.address, asked.name.trace, at).await?;
                Some(Said::Asked(Asked::Signature(asked), state.status == RequestStatus::Open))
            }
            Some(Told::KeyResolved(slot, address)) => Some(Said::KeyFilled(slot, address)),
            Some(Told::SignatureResolved { trace, signature, meta_data, broadcast }) => {
                let (signature, meta_data) = (signature.to_vec(), meta_data.to_vec());
                u64::try_from(trace).ok().map(|trace| Said::Answered { trace, signature, meta_data, broadcast })
            }
            Some(Told::Destination { caip, supported: true, .. }) => Some(Said::Destination(caip)),
            Some(Told::Destination { supported: false, .. }) => None,
        })
    }

    async fn answer(self: Arc<Self>, mut asked: mpsc::Receiver<ContractQuestion>) {
        let places = Arc::new(Semaphore::new(QUESTIONS_AT_ONCE));
        let mut running = tokio::task::JoinSet::new();
        while let Some(question) = asked.recv().await {
            while running.try_join_next().is_some() {}
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let this = self.clone();
            running.spawn(async move {
                this.answer_one(question).await;
                drop(place);
            });
        }
    }

    async fn answer_one(&self, question: ContractQuestion) {
        match question {
            ContractQuestion::Look { decree, target, hashes } => match self.look(&target, &hashes).await {
                Ok(look) => self.tell(ContractNews::Look(decree, Box::new(look))).await,
                Err(error) => debug!(%decree, %error, "the contract cannot be looked at now"),
            },
            ContractQuestion::Simulate { decree, call, state } => match self.simulate(&call, state).await {
                Ok(said) => self.tell(ContractNews::Simulated(decree, call, said)).await,
                // The node answers and will not: no funds, a price below the base fee. Asked again after a while.
                Err(EvmError::Refused { reason, .. }) => {
                    let said = Simulated::Reverted(Revert::Other(reason));
                    self.tell(ContractNews::Simulated(decree, call, said)).await;
                }
                Err(error) => debug!(%decree, %error, "the answer cannot be tried now"),
            },
        }
    }

    async fn sight(&self, tips: &Tips) -> Result<Sight, EvmError> {
        let (head, last) = (&tips.head, &tips.last_final);
        let at_head = self.chain.account(self.account, head.hash).await?;
        let at_final = self.chain.account(self.account, last.hash).await?;
        let base_fee = u128::from(head.base_fee.unwrap_or(0));
        Ok(Sight {
            head: Height(head.height),
            timestamp: head.timestamp,
            // The next block's is at most an eighth higher (EIP-1559).
            base_fee: base_fee + base_fee.div_ceil(8),
            finality: Height(last.height),
            account: AccountLook {
                balance: u128::try_from(at_head.balance).unwrap_or(u128::MAX),
                nonce: at_head.nonce,
                final_nonce: at_final.nonce,
            },
        })
    }

    /// Everything is pinned to two blocks by their hashes: an endpoint that does not have them refuses.
    async fn look(&self, target: &Target, hashes: &[B256]) -> Result<Look, EvmError> {
        let tips = self.chain.tips().await?;
        let (head, last) = (tips.head.hash, tips.last_final.hash);
        let proxy = self.proxy.address;
        let deployment = self.chain.deployment(proxy, head).await?;
        let code = self.chain.code(proxy, head).await?;
        let (at_head, value) = self.state_of(target, head).await?;
        let (at_final, _) = self.state_of(target, last).await?;
        let mut receipts = Vec::new();
        for hash in hashes {
            let found = self.chain.receipt(*hash).await?;
            receipts.extend(found.filter(|found| found.height <= tips.head.height).map(|found| Receipt {
                hash: found.hash,
                height: Height(found.height),
                succeeded: found.succeeded,
                gas_used: found.gas_used,
                price: found.effective_gas_price,
            }));
        }
        Ok(Look {
            sight: self.sight(&tips).await?,
            contract: ContractLook {
                paused: deployment.paused,
                listed: code.is_some_and(|code| self.code.contains(&code.code_hash)),
                response_gas: u64::try_from(deployment.response_gas).unwrap_or(u64::MAX),
            },
            request: RequestLook { at_head, at_final, value },
            receipts,
        })
    }

    async fn state_of(&self, target: &Target, at: B256) -> Result<(RequestState, u128), EvmError> {
        let (state, value) = match target {
            Target::Signature { trace } => {
                let found = self.chain.request_state(self.proxy.address, *trace, at).await?;
                let state = match found.status {
                    RequestStatus::Unknown => RequestState::Unknown,
                    RequestStatus::Open => RequestState::Open,
                    // What with stands in the log, which the node compares when its block is final.
                    RequestStatus::Answered => RequestState::Answered { agrees: true },
                };
                (state, found.value)
            }
            Target::Key { slot, wallet } => {
                let found = self.chain.wallet(slot, at).await?;
                let state = match found.status {
                    WalletStatus::Unknown => RequestState::Unknown,
                    WalletStatus::Requested => RequestState::Open,
                    WalletStatus::Registered => {
                        let agrees = self.chain.wallet_text(slot, at).await?.is_some_and(|text| text == *wallet);
                        RequestState::Answered { agrees }
                    }
                };
                (state, found.value)
            }
        };
        Ok((state, u128::try_from(value).unwrap_or(u128::MAX)))
    }

    async fn simulate(&self, call: &Call, state: State) -> Result<Simulated, EvmError> {
        let call = EvmCall {
            from: call.from,
            to: call.to,
            value: U256::ZERO,
            gas: Some(call.gas),
            gas_price: Some(call.price),
            data: call.data.clone(),
        };
        let said = match state {
            State::Pending => self.chain.simulate(&call).await?,
            State::Head => self.chain.simulate_at_head(&call).await?,
        };
        Ok(match said {
            Simulation::Succeeds(_) => Simulated::Passed,
            Simulation::Reverts(why) => Simulated::Reverted(revert_of(&why)),
        })
    }

    /// In order; what has to be sent again goes to every endpoint, in case the first keeps it to itself.
    async fn send(self: Arc<Self>, mut to_send: mpsc::Receiver<Signed>) {
        let mut sent: std::collections::VecDeque<B256> = std::collections::VecDeque::new();
        while let Some(signed) = to_send.recv().await {
            let bytes = signed.bytes.clone().into();
            let said = if sent.contains(&signed.hash) {
                self.chain.send_everywhere(&bytes).await
            } else {
                sent.push_back(signed.hash);
                if sent.len() > QUEUE_MAX {
                    sent.pop_front();
                }
                self.chain.send(&bytes).await
            };
            debug!(chain = self.name(), nonce = signed.nonce, hash = %signed.hash, ?said, "sent");
            let hint = hint_of(&said);
            self.tell(ContractNews::Sent { nonce: signed.nonce, hash: signed.hash, hint }).await;
        }
    }
}

fn revert_of(why: &revert::Revert) -> Revert {
    use revert::Revert as R;
    match why {
        R::Panic(code) if *code == U256::from(0x11) => Revert::Panic,
        R::Request(_) => Revert::Answered,
        R::WalletIndex { expected, provided } if expected > provided => Revert::Answered,
        other => Revert::Other(format!("{other:?}")),
    }
}

const fn hint_of(said: &EvmHint) -> Hint {
    match said {
        EvmHint::Taken | EvmHint::Known => Hint::Taken,
        EvmHint::Underpriced | EvmHint::FeeTooLow => Hint::Underpriced,
        EvmHint::NonceTooLow => Hint::NonceSpent,
        EvmHint::NoFunds | EvmHint::Unclear { .. } => Hint::Unknown,
    }
}
