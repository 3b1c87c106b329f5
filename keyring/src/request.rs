//! The life of a request at this party, in the words that status, metrics and logs use.
//!
//! Pure: [`State::on`] is the only place where arrows exist. The record is written in the same write as whatever moved
//! it. What the decree and the controller remember is theirs; this is what an operator sees, and what tells a restarted
//! node which requests are still alive.

use chain_client::{AnswerLoad, Height, TxHash};
use serde::{Deserialize, Serialize};

use crate::admission::{Job, Unanswerable};
use crate::contract::Asked;

/// Where a request stands here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// To be answered; nobody has proposed yet.
    Admitted,
    /// A proposal is on the table.
    Planned,
    /// This party takes part in a signing run for it.
    Running,
    /// An attempt failed or parties are missing; looked at again until the deadline.
    Parked,
    /// This party has accepted an answer.
    Produced,
    /// The cluster has decided.
    Agreed,
    /// Its transaction is signed and stored.
    Submitting,
    /// A node may or may not have taken it; the same bytes go out again.
    Doubt,
    /// A node has taken it.
    Submitted,
    /// Answered on the chain.
    Settled,
    /// Can never be answered; left to expire, which refunds its user.
    Unanswerable(Unanswerable),
    /// Its deadline passed.
    Expired,
    /// The chain closed it without us.
    Moot,
    /// Its chain took the block that asked back, and an operator has decided for the chain as it is now. Should that
    /// block stand in it after all, the request begins again.
    Undone,
}

/// What moves a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A valid proposal was heard.
    Proposed,
    /// This party entered a run.
    Entered,
    /// A run or an attempt failed, or this party cannot take part now.
    Failed,
    /// An answer was accepted here.
    Accepted,
    /// The decision is known.
    Decided,
    /// A sequence is taken, the transaction signed and stored.
    Signed,
    /// A node took it, or has it already.
    Taken,
    /// No answer from the node, or a refusal.
    Unclear,
    /// What was sent is provably dead.
    Dead,
    /// The chain shows our answer, or the request fulfilled.
    Answered,
    /// The chain closed it otherwise.
    Closed,
    /// Its deadline passed while it was open.
    TooLate,
    /// The block that asked was taken back.
    Undone,
}

impl State {
    /// The state after an event; an event that means nothing here leaves it as it is.
    #[must_use]
    pub fn on(self, event: &Event) -> Self {
        use Event as E;
        if self.is_end() {
            return self;
        }
        let submitting = matches!(self, Self::Submitting | Self::Doubt | Self::Submitted);
        match event {
            E::Answered => Self::Settled,
            E::Closed => Self::Moot,
            E::Undone => Self::Undone,
            E::Decided if !submitting => Self::Agreed,
            // What was sent may still land: its fate is asked, deadline or not.
            E::TooLate if !submitting => Self::Expired,
            E::Signed if matches!(self, Self::Agreed) => Self::Submitting,
            E::Taken if submitting => Self::Submitted,
            E::Unclear if submitting => Self::Doubt,
            E::Dead if submitting => Self::Agreed,
            E::Proposed if matches!(self, Self::Admitted | Self::Parked) => Self::Planned,
            E::Entered if matches!(self, Self::Admitted | Self::Planned | Self::Parked) => Self::Running,
            E::Failed if matches!(self, Self::Admitted | Self::Planned | Self::Running) => Self::Parked,
            E::Accepted if matches!(self, Self::Admitted | Self::Planned | Self::Running | Self::Parked) => {
                Self::Produced
            }
            _ => self,
        }
    }

    /// Whether nothing moves it any more.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Settled | Self::Unanswerable(_) | Self::Expired | Self::Moot | Self::Undone)
    }

    /// The word for tables, metrics and logs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Parked => "parked",
            Self::Produced => "produced",
            Self::Agreed => "agreed",
            Self::Submitting => "submitting",
            Self::Doubt => "doubt",
            Self::Submitted => "submitted",
            Self::Settled => "settled",
            Self::Unanswerable(_) => "unanswerable",
            Self::Expired => "expired",
            Self::Moot => "moot",
            Self::Undone => "undone",
        }
    }
}

/// What is remembered of a request, in [`crate::store::Table::Request`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Where it stands.
    pub state: State,
    /// What there is to do; `None` for one that can never be answered.
    pub job: Option<Job>,
    /// What an answer to it has to rewrite on the chain; `None` for what is never answered on a zrChain.
    pub load: Option<AnswerLoad>,
    /// At a contract: what was asked there.
    pub asked: Option<Asked>,
    /// Only its decision is wanted: it is asked for, never led.
    pub learning: bool,
    /// Height at which this party first saw it.
    pub seen: Height,
    /// Monotonic milliseconds of this process between seeing it and knowing the decision.
    pub decided_after_ms: Option<u64>,
    /// The same until the answer was first broadcast.
    pub broadcast_after_ms: Option<u64>,
    /// The last transaction that carries our answer.
    pub transaction: Option<TxHash>,
    /// Why it ended, where that needs words.
    pub note: String,
}

impl RequestRecord {
    /// A request seen a moment ago.
    #[must_use]
    pub const fn new(seen: Height) -> Self {
        Self {
            state: State::Admitted,
            job: None,
            load: None,
            asked: None,
            learning: false,
            seen,
            decided_after_ms: None,
            broadcast_after_ms: None,
            transaction: None,
            note: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event() -> impl Strategy<Value = Event> {
        use Event as E;
        prop::sample::select(vec![
            E::Proposed,
            E::Entered,
            E::Failed,
            E::Accepted,
            E::Decided,
            E::Signed,
            E::Taken,
            E::Unclear,
            E::Dead,
            E::Answered,
            E::Closed,
            E::TooLate,
            E::Undone,
        ])
    }

    proptest! {
        #[test]
        fn an_end_is_final_whatever_happens(before in prop::collection::vec(event(), 0..20), after in prop::collection::vec(event(), 0..20)) {
            let state = before.iter().fold(State::Admitted, State::on);
            if state.is_end() {
                prop_assert_eq!(after.iter().fold(state.clone(), State::on), state);
            }
        }

        #[test]
        fn nothing_is_submitted_before_the_cluster_agreed(events in prop::collection::vec(event(), 0..30)) {
            let (mut state, mut agreed) = (State::Admitted, false);
            for event in &events {
                state = state.on(event);
                agreed |= state == State::Agreed;
                let submitting = matches!(state, State::Submitting | State::Doubt | State::Submitted);
                prop_assert!(!submitting || agreed);
            }
        }

        #[test]
        fn what_was_sent_does_not_expire_but_is_followed(events in prop::collection::vec(event(), 0..30)) {
            let mut state = State::Admitted;
            for event in &events {
                let sent = matches!(state, State::Submitting | State::Doubt | State::Submitted);
                let next = state.clone().on(event);
                prop_assert!(!(sent && next == State::Expired));
                state = next;
            }
        }
    }
}
