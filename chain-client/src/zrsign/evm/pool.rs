//! Several endpoints of one EVM chain: which to ask, when to turn to another, when to leave one alone.
//!
//! As for zrChain (`crate::endpoint`), with one more state: an endpoint that asks for fewer calls gets none for a while
//! that doubles each time. It is not asked even when it is the only one.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use tokio::time::Instant;

use super::node::Node;
use super::{EvmError, EvmHealth, Settings};

/// The endpoints of one chain.
pub(super) struct Pool {
    chain: u64,
    slots: Vec<Slot>,
    settings: Settings,
}

struct Slot {
    node: Node,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    failures: u32,
    rest_until: Option<Instant>,
    limits: u32,
    alone_until: Option<Instant>,
}

impl Pool {
    pub(super) fn new(chain: u64, nodes: Vec<Node>, settings: Settings) -> Self {
        let slots = nodes.into_iter().map(|node| Slot { node, health: Mutex::default() }).collect();
        Self { chain, slots, settings }
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Asks until somebody answers: all endpoints in order of preference, some rounds of that with growing pauses.
    pub(super) async fn ask<'a, T, F, Reply>(&'a self, question: F) -> Result<T, EvmError>
    where
        F: Fn(&'a Node) -> Reply,
        Reply: Future<Output = Result<T, EvmError>>,
    {
        (|| self.round(&question)).retry(self.pauses()).when(EvmError::is_passing).await
    }

    /// The same, until as many as `agree` say the same. Without that many: why not.
    pub(super) async fn agreed<'a, T, F, Reply>(&'a self, question: F) -> Result<T, EvmError>
    where
        T: PartialEq,
        F: Fn(&'a Node) -> Reply,
        Reply: Future<Output = Result<T, EvmError>>,
    {
        (|| self.agreeing(&question)).retry(self.pauses()).when(EvmError::is_passing).await
    }

    fn pauses(&self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(self.settings.pause_min)
            .with_max_delay(self.settings.pause_max)
            .with_max_times(self.settings.rounds.saturating_sub(1))
            .with_jitter()
    }

    /// Asks each endpoint at most once, best first.
    pub(super) async fn round<'a, T, F, Reply>(&'a self, question: &F) -> Result<T, EvmError>
    where
        F: Fn(&'a Node) -> Reply,
        Reply: Future<Output = Result<T, EvmError>>,
    {
        let mut last = None;
        for slot in self.in_order() {
            match self.one(slot, question).await {
                Ok(reply) => return Ok(reply),
                // Nobody may talk us out of this one.
                Err(error @ EvmError::Reorganised { .. }) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(none))
    }

    /// Asks each endpoint at most once, until enough of them say the same.
    async fn agreeing<'a, T, F, Reply>(&'a self, question: &F) -> Result<T, EvmError>
    where
        T: PartialEq,
        F: Fn(&'a Node) -> Reply,
        Reply: Future<Output = Result<T, EvmError>>,
    {
        if self.settings.agree <= 1 {
            return self.round(question).await;
        }
        let (mut said, mut last): (Vec<(T, &str, usize)>, _) = (Vec::new(), None);
        for slot in self.in_order() {
            match self.one(slot, question).await {
                Ok(reply) => {
                    let at = said.iter().position(|(other, ..)| *other == reply).unwrap_or(said.len());
                    if at == said.len() {
                        said.push((reply, &slot.node.name, 0));
                    }
                    if let Some((.., count)) = said.get_mut(at) {
                        *count += 1;
                        if *count >= self.settings.agree {
                            return Ok(said.swap_remove(at).0);
                        }
                    }
                }
                Err(error @ EvmError::Reorganised { .. }) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        match said.as_slice() {
            [(_, other, _), (_, endpoint, _), ..] => {
                Err(EvmError::Disagreement { endpoint: (*endpoint).to_owned(), other: (*other).to_owned() })
            }
            _ => Err(last.unwrap_or_else(none)),
        }
    }

    /// Asks every endpoint once, side by side. What each said, or why it said nothing.
    pub(super) async fn each<'a, T, F, Reply>(&'a self, question: F) -> Vec<Result<T, EvmError>>
    where
        F: Fn(&'a Node) -> Reply,
        Reply: Future<Output = Result<T, EvmError>>,
    {
        futures::future::join_all(self.slots.iter().map(|slot| self.one(slot, &question))).await
    }

    pub(super) fn health(&self) -> Vec<EvmHealth> {
        let now = Instant::now();
        let look = |slot: &Slot| {
            let health = slot.health.lock().unwrap_or_else(PoisonError::into_inner);
            EvmHealth {
                id: slot.node.id,
                name: slot.node.name.clone(),
                failures: health.failures,
                resting: [health.rest_until, health.alone_until].iter().flatten().any(|until| *until > now),
                height: slot.node.final_shown(),
            }
        };
        self.slots.iter().map(look).collect()
    }

    async fn one<'a, T, F, Reply>(&'a self, slot: &'a Slot, question: &F) -> Result<T, EvmError>
    where
        F: Fn(&'a Node) -> Reply,
        Reply: Future<Output = Result<T, EvmError>>,
    {
        if let Some(wait) = slot.alone_for(Instant::now()) {
            return Err(EvmError::Limited { endpoint: slot.node.name.clone(), wait });
        }
        let reply = match slot.node.vouch(self.chain).await {
            Ok(()) => question(&slot.node).await,
            Err(error) => Err(error),
        };
        slot.note(reply, &self.settings)
    }

    /// Rested before resting, then as configured.
    fn in_order(&self) -> Vec<&Slot> {
        let mut order: Vec<_> = self.slots.iter().zip(self.health()).collect();
        order.sort_by_key(|(_, one)| (one.resting, one.resting.then_some(one.failures)));
        order.into_iter().map(|(slot, _)| slot).collect()
    }
}

impl Slot {
    /// How long it is still to be left alone.
    fn alone_for(&self, now: Instant) -> Option<Duration> {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.alone_until?.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    fn note<T>(&self, reply: Result<T, EvmError>, settings: &Settings) -> Result<T, EvmError> {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let error = match reply {
            Err(error) if error.is_failure() => error,
            // Asked before the endpoint wanted to be left alone: that it answered takes nothing back.
            well if health.alone_until.is_some_and(|until| until > now) => return well,
            well => {
                *health = Health::default();
                return well;
            }
        };
        self.node.forget_vouch();
        health.failures = health.failures.saturating_add(1);
        health.rest_until = now.checked_add(settings.rest);
        let alone = health.alone_until.and_then(|until| until.checked_duration_since(now));
        let error = match (error, alone) {
            // Several were under way: the first has begun the rest.
            (EvmError::Limited { endpoint, .. }, Some(wait)) if !wait.is_zero() => EvmError::Limited { endpoint, wait },
            (EvmError::Limited { endpoint, wait }, _) => {
                let doubled = settings.rest.saturating_mul(1 << health.limits.min(10));
                let wait = doubled.max(wait).min(settings.rest_max);
                health.limits = health.limits.saturating_add(1);
                health.alone_until = now.checked_add(wait);
                EvmError::Limited { endpoint, wait }
            }
            (other, _) => other,
        };
        let (endpoint, failures) = (&self.node.name, health.failures);
        if failures == 1 {
            tracing::warn!(endpoint, %error, "endpoint failed, others are preferred");
        } else {
            tracing::debug!(endpoint, failures, %error, "endpoint failed again");
        }
        Err(error)
    }
}

fn none() -> EvmError {
    EvmError::Unreachable { endpoint: "no endpoint".to_owned(), reason: "none is configured".to_owned() }
}
