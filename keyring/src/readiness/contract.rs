//! Contracts: whether their final blocks are read, whether anything may be signed for them, and whether answers leave.

use super::{Name, Readiness};
use crate::agreement::clock::Millis;

/// A contract, as its follower, its sender and the node see it.
#[derive(Clone, Debug)]
pub struct ContractFacts {
    /// Its chain, by CAIP-2.
    pub id: String,
    /// How often it is asked.
    pub poll_ms: Millis,
    /// Longest wait for one reply.
    pub call_timeout_ms: Millis,
    /// Since the chain's tips were last read; `None`: never.
    pub read_age_ms: Option<Millis>,
    /// Since its final blocks were last read on; `None`: never.
    pub look_age_ms: Option<Millis>,
    /// Why nothing is read and nothing signed for it.
    pub closed: Option<String>,
    /// Whether its next blocks are not taken for want of room.
    pub is_full: bool,
    /// Whether its controller key is known.
    pub has_controller: bool,
    /// Why its sender stands still.
    pub halted: Option<String>,
    /// Why answers wait, each in words.
    pub waits: Vec<String>,
    /// Which destinations of its simple transactions are not read, and why.
    pub unread_destinations: Vec<String>,
    /// Endpoints that failed lately and are not preferred.
    pub failing_endpoints: Vec<String>,
}

/// Waiting answers, and destinations, that are told one by one.
const WAITS_TOLD_MAX: usize = 4;

impl Readiness {
    pub(super) fn contract(&mut self, contract: &ContractFacts) {
        let id = &contract.id;
        let stale_after_ms =
            contract.poll_ms.saturating_mul(super::STALE_POLLS).saturating_add(contract.call_timeout_ms);
        if let Some(why) = &contract.closed {
            self.push(Name::ContractClosed, format_args!("{id}: {why}"));
        } else {
            match contract.read_age_ms.zip(contract.look_age_ms) {
                None => self.push(Name::ContractUnread, format_args!("{id}: its final blocks were not read yet")),
                Some((head, looked)) if head.max(looked) > stale_after_ms => {
                    let age = head.max(looked) / 1_000;
                    self.push(Name::ContractUnread, format_args!("{id}: its final blocks were last read {age} s ago"));
                }
                Some(_) => {}
            }
        }
        if contract.is_full {
            self.push(Name::ContractFull, format_args!("{id}: its open requests hold all places"));
        }
        if !contract.has_controller {
            self.push(Name::NoController, format_args!("{id}: no controller key yet"));
        }
        if let Some(halted) = &contract.halted {
            self.push(Name::SenderHalted, format_args!("{id}: {halted}"));
        }
        for wait in contract.waits.iter().take(WAITS_TOLD_MAX) {
            self.push(Name::AnswersWait, format_args!("{id}: {wait}"));
        }
        for unread in contract.unread_destinations.iter().take(WAITS_TOLD_MAX) {
            self.push(Name::DestinationUnread, format_args!("{id}: {unread}"));
        }
        if !contract.failing_endpoints.is_empty() {
            self.push(Name::EndpointFailing, format_args!("{id}: {}", contract.failing_endpoints.join(", ")));
        }
    }
}
