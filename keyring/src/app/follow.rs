//! The shell around one chain: follows its blocks, answers the node's questions about it, sends what the node has
//! signed and stored. It decides nothing: what it reads goes to the node with its origin.
//!
//! Questions run side by side within a bound; broadcasts go one after the other, in the order of their sequences. What
//! fails is asked again by the node at a later block.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chain_client::{
    AnswerLoad, Ask, Comparison, EndpointId, GasPrice, Height, Hint, KeyringFacts, LowWater, ReadError, Receipt,
    Request, RequestId, SignedTx, TxHash, ZrChain,
};
use tokio::sync::{Semaphore, mpsc};
use tracing::{debug, warn};

use super::Inbox;
use super::pen::AccountPen;
use super::pulse::Pulse;
use crate::admission::Sighting;
use crate::decree::DecreeId;
use crate::node::{ChainNews, Event, Level};
use crate::outbox::Pen as _;
use crate::tasks::Tasks;

/// Questions asked at a time.
const QUESTIONS_AT_ONCE: usize = 8;
/// Questions and broadcasts that wait.
pub const QUEUE_MAX: usize = 1_024;
/// Transactions of which it is remembered that they were sent.
const SENT_MAX: usize = 256;
/// The chain's code for a fee below its floor.
const FEE_TOO_LOW: u32 = 13;
/// How often the chain's index is asked for a transaction that must be there, and after what time again.
const INDEX_LOOKS: u32 = 3;
const INDEX_LAG: Duration = Duration::from_secs(2);
/// Blocks between looks at the chain's fees.
const PRICE_EVERY_BLOCKS: u64 = 20;

/// What the node asks of a chain.
#[derive(Debug)]
pub enum Question {
    /// What judging a request needs.
    Examine {
        /// Its decree.
        decree: DecreeId,
        /// As the scan showed it.
        request: Box<Request>,
        /// At this height it was there.
        at: Height,
        /// At this height it was not.
        absent_at: Option<Height>,
    },
    /// Account and request, of one endpoint and height.
    Together(DecreeId, RequestId),
    /// The same of every endpoint.
    Everywhere(DecreeId, RequestId),
    /// What became of transactions of a dead sequence.
    Fate(DecreeId, Vec<TxHash>),
    /// A request alone.
    Standing(DecreeId, RequestId),
}

/// The two ends of a chain's shell.
pub struct ChainDesk {
    /// Questions, answered side by side.
    pub questions: mpsc::Sender<Question>,
    /// Transactions, sent in order.
    pub broadcasts: mpsc::Sender<SignedTx>,
}

/// A chain and who asks about it.
pub struct Follower {
    chain: Arc<ZrChain>,
    pen: Arc<AccountPen>,
    inbox: Inbox,
    poll: Duration,
    pulse: Arc<Pulse>,
}

impl Follower {
    /// Everything a chain needs; nothing runs yet.
    #[must_use]
    pub const fn new(
        chain: Arc<ZrChain>,
        pen: Arc<AccountPen>,
        inbox: Inbox,
        poll: Duration,
        pulse: Arc<Pulse>,
    ) -> Self {
        Self { chain, pen, inbox, poll, pulse }
    }

    /// Starts the three tasks of this chain.
    pub fn spawn(self, tasks: &Tasks, from: LowWater) -> ChainDesk {
        let this = Arc::new(self);
        let (questions, asked) = mpsc::channel(QUEUE_MAX);
        let (broadcasts, to_send) = mpsc::channel(QUEUE_MAX);
        tasks.spawn("chain-blocks", this.clone().follow(from));
        tasks.spawn("chain-questions", this.clone().answer(asked));
        tasks.spawn("chain-broadcasts", this.send(to_send));
        ChainDesk { questions, broadcasts }
    }

    async fn tell(&self, news: ChainNews) {
        self.inbox.tell(Event::Chain(self.chain.id().as_str().to_owned(), news)).await;
    }

    /// Looks for a new block at every poll; at each, reads the keyring and all open requests.
    async fn follow(self: Arc<Self>, from: LowWater) {
        let (mut last, mut priced, mut low_water) = (Height(0), None::<Height>, from);
        let mut forked = Forked::default();
        let mut ticks = tokio::time::interval(self.poll);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if forked.stands() {
                self.compare(&mut forked).await;
            }
            let block = match self.chain.head().await {
                Ok(head) => head,
                Err(error) => {
                    warn!(chain = %self.chain.id(), %error, "the chain's head cannot be read");
                    continue;
                }
            };
            self.pulse.head_read();
            let (head, hash) = (block.height, block.value.hash);
            // Heights never go back, whatever an endpoint that lags may say.
            if head <= last {
                continue;
            }
            last = head;
            if priced.is_none_or(|height| head.0 >= height.0 + PRICE_EVERY_BLOCKS) && self.read_price().await {
                priced = Some(head);
            }
            if self.chain.endpoints() > 1 && !forked.stands() {
                self.compare(&mut forked).await;
            }
            self.tell(ChainNews::Head { height: head, hash }).await;
            let looked = self.look(low_water).await;
            self.pulse.looked(looked.is_ok());
            match looked {
                Ok(scanned) => low_water = scanned,
                Err(error) => warn!(chain = %self.chain.id(), %error, "open requests cannot be read"),
            }
        }
    }

    async fn look(&self, from: LowWater) -> Result<LowWater, ReadError> {
        let keyring = self.chain.keyring().await?;
        if let Some(facts) = keyring.value {
            self.tell(ChainNews::Keyring { height: keyring.height, facts }).await;
        } else {
            warn!(chain = %self.chain.id(), keyring = self.chain.keyring_address(), "the chain has no such keyring");
        }
        let balance = self.chain.balance(self.pen.account()).await?;
        self.tell(ChainNews::Balance(balance.value)).await;
        let scan = self.chain.open_requests(from).await?;
        for id in &scan.value.unreadable {
            warn!(chain = %self.chain.id(), request = %id, "stands on the chain in a form that cannot be read");
        }
        let low_water = scan.value.low_water;
        let (height, complete) = (scan.height, scan.value.complete);
        self.tell(ChainNews::Open { height, requests: scan.value.requests, complete, low_water }).await;
        Ok(low_water)
    }

    /// Whether all endpoints follow one chain. The node hears of it before it hears of the block.
    async fn compare(&self, forked: &mut Forked) {
        let before = forked.text.clone();
        forked.on(self.chain.compare().await);
        if forked.text != before {
            self.tell(ChainNews::Fork(forked.text.clone())).await;
        }
    }

    async fn read_price(&self) -> bool {
        let price = match self.chain.treasury().await {
            Ok(facts) => GasPrice::parse(&facts.value.min_gas_price),
            Err(error) => {
                warn!(chain = %self.chain.id(), %error, "the chain's fees cannot be read");
                return false;
            }
        };
        match price {
            Ok(price) => self.pen.price_is(price),
            Err(error) => warn!(chain = %self.chain.id(), %error, "the chain's fee floor is unreadable"),
        }
        true
    }

    async fn answer(self: Arc<Self>, mut asked: mpsc::Receiver<Question>) {
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

    async fn answer_one(&self, question: Question) {
        match question {
            Question::Examine { decree, request, at, absent_at } => {
                let news = match self.examine(&decree, *request, at, absent_at).await {
                    Ok(sighting) => ChainNews::Seen(Box::new(sighting)),
                    Err(error) => {
                        warn!(%decree, error = %error, "the request cannot be examined now");
                        ChainNews::Unseen(decree)
                    }
                };
                self.tell(news).await;
            }
            Question::Together(decree, id) => match self.chain.reading(self.pen.account(), id).await {
                Ok(reading) => self.tell(ChainNews::Reading(decree, Box::new(reading))).await,
                Err(error) => debug!(%decree, %error, "account and request cannot be read together now"),
            },
            Question::Everywhere(decree, id) => {
                let said = self.chain.readings(self.pen.account(), id).await;
                for (endpoint, error) in said.iter().filter_map(|(id, said)| Some((id, said.as_ref().err()?))) {
                    debug!(%decree, %endpoint, %error, "the endpoint does not confirm");
                }
                let readings = said.into_iter().filter_map(|(_, said)| said.ok()).collect();
                self.tell(ChainNews::Testimony(decree, readings)).await;
            }
            Question::Fate(decree, hashes) => {
                if let Some((level, text)) = self.fate(&hashes).await {
                    self.tell(ChainNews::Explained { decree, level, text }).await;
                }
            }
            Question::Standing(decree, id) => match self.chain.standing(id).await {
                Ok(found) => {
                    self.tell(ChainNews::Standing(decree, found.height, Box::new(found.value))).await;
                }
                Err(error) => debug!(%decree, %error, "the request cannot be read now"),
            },
        }
    }

    /// What the chain's index says of transactions of which one must have been executed; nothing while it cannot be asked.
    /// It decides nothing.
    async fn fate(&self, hashes: &[TxHash]) -> Option<(Level, String)> {
        for _ in 0..INDEX_LOOKS {
            for hash in hashes {
                if let Some(found) = self.chain.receipt(*hash).await.ok()? {
                    let Receipt { height, code, codespace, log, gas_used, .. } = found;
                    let text = format!(
                        "{hash} was executed in block {height} after {gas_used} gas with code {code} of {codespace}: {log}"
                    );
                    return Some((Level::Warn, text));
                }
            }
            // The index may be a moment behind the block.
            tokio::time::sleep(INDEX_LAG).await;
        }
        let text = "none of the transactions of this sequence is known to the chain's index: if it is on, somebody else \
                    holds this account's key";
        Some((Level::Alarm, text.to_owned()))
    }

    /// Everything that judging a request needs, read at the height that created it.
    async fn examine(
        &self,
        decree: &DecreeId,
        request: Request,
        at: Height,
        absent_at: Option<Height>,
    ) -> Result<Sighting, ReadError> {
        let created = self.created(&request, at, absent_at).await?;
        let facts = self.chain.keyring().await?.value.unwrap_or_else(|| KeyringFacts {
            address: self.chain.keyring_address().to_owned(),
            parties: Vec::new(),
            party_threshold: 0,
            key_fee_urock: 0,
            signature_fee_urock: 0,
            active: false,
        });
        let key = match &request.ask {
            Ask::Signature { key, .. } => self.chain.key(*key, Some(created)).await?.value,
            Ask::Key { .. } | Ask::Group { .. } => None,
        };
        let creator_owns_workspace = match (&key, request.parent) {
            (Some(key), Some(_)) => self
                .chain
                .workspace_owners(&key.workspace, Some(created))
                .await?
                .value
                .is_some_and(|owners| owners.contains(&request.creator)),
            _ => false,
        };
        let parent = match request.parent {
            Some(parent) => self.chain.request(parent, None).await?.value,
            None => None,
        };
        // Without its parent the price of an item is unknown: too little gas would spend a sequence on nothing.
        let load = AnswerLoad::of(&request, parent.as_ref(), &facts).map_err(|error| ReadError::Unreachable {
            endpoint: self.chain.id().to_string(),
            reason: error.to_string(),
        })?;
        Ok(Sighting { decree: decree.clone(), request, created, key, creator_owns_workspace, load })
    }

    /// The height that created a request. Where the last complete scan did not have it, between that and now; after a
    /// start, from its deadline, which the chain sets a fixed number of blocks after its creation.
    async fn created(&self, request: &Request, at: Height, absent_at: Option<Height>) -> Result<Height, ReadError> {
        let absent = match (absent_at, request.deadline) {
            (Some(absent), _) => absent,
            (None, Some(deadline)) => {
                let lifetime = self.chain.treasury().await?.value.lifetime_blocks;
                let guess = Height(deadline.0.saturating_sub(lifetime + 1));
                let known = guess.0 > 0 && self.chain.request(request.id, Some(guess)).await?.value.is_some();
                if known { Height(0) } else { guess }
            }
            (None, None) => Height(0),
        };
        self.chain.creation_height(request.id, absent, at).await
    }

    /// First to the preferred endpoint, so that a run of sequences goes to one node; what has to be sent again goes to all.
    async fn send(self: Arc<Self>, mut to_send: mpsc::Receiver<SignedTx>) {
        let mut sent: VecDeque<TxHash> = VecDeque::new();
        while let Some(signed) = to_send.recv().await {
            let hint = if sent.contains(&signed.hash) {
                self.chain.broadcast_everywhere(&signed).await
            } else {
                sent.push_back(signed.hash);
                if sent.len() > SENT_MAX {
                    sent.pop_front();
                }
                self.chain.broadcast(&signed).await
            };
            if matches!(&hint, Hint::Refused { codespace, code, .. } if codespace == "sdk" && *code == FEE_TOO_LOW) {
                // The floor was raised since it was last read: what takes its place is to be signed for the new one.
                self.read_price().await;
            }
            self.tell(ChainNews::Hint { sequence: signed.sequence, hint }).await;
        }
    }
}

/// Whether the endpoints follow two chains. What was seen once stands until every endpoint that was on one of the sides
/// answers and shows the same block as the others: one that falls silent has not agreed.
#[derive(Default)]
struct Forked {
    text: Option<String>,
    sides: BTreeSet<EndpointId>,
}

impl Forked {
    const fn stands(&self) -> bool {
        self.text.is_some()
    }

    fn on(&mut self, comparison: Comparison) {
        match comparison {
            Comparison::Forked(fork) => {
                self.text = Some(fork.to_string());
                self.sides.extend(fork.sides.into_keys());
            }
            Comparison::Same(all) if all.is_superset(&self.sides) => *self = Self::default(),
            Comparison::Same(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_stands_until_all_its_sides_agree() {
        let ids = |ids: &[u16]| ids.iter().copied().map(EndpointId).collect::<BTreeSet<_>>();
        let fork = chain_client::Fork {
            height: Height(9),
            sides: [(EndpointId(0), [1; 32]), (EndpointId(2), [2; 32])].into(),
        };
        let mut forked = Forked::default();
        forked.on(Comparison::Same(ids(&[0])));
        assert!(!forked.stands());
        forked.on(Comparison::Forked(fork));
        assert!(forked.stands());
        forked.on(Comparison::Same(ids(&[0, 1])));
        assert!(forked.stands(), "the other side is silent");
        forked.on(Comparison::Same(ids(&[0, 2])));
        assert!(!forked.stands());
    }
}
