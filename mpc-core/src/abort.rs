//! Why a run ended without a result, cut by what the caller does next.
//!
//! Refuses to know what a strike costs or how another committee is chosen: it only names parties.

use std::collections::BTreeSet;

use crate::party::PartyIndex;

/// A run is over without a result.
///
/// The links are authenticated, so a party is blamed only for what it sent itself. The evidence convinces the observer, not a stranger:
/// whoever wants to show it to others keeps the peers' signed frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Abort {
    /// Our own fault or a wrong input: nobody is to be left out, trying again unchanged fails again.
    #[error("local fault: {reason}")]
    Local {
        /// What is wrong, naming the input and the remedy.
        reason: String,
    },
    /// Somebody failed us and it cannot be proved who: leave the suspects out of the next attempt, without a strike.
    ///
    /// An empty list means that nobody can be named at all: leave out one party at a time.
    #[error("run failed, under suspicion: {}: {reason}", names(culprits))]
    Suspect {
        /// Who may have caused it.
        culprits: BTreeSet<PartyIndex>,
        /// What was seen.
        reason: String,
    },
    /// A message of these parties fails a check that every honest message of this run passes: leave them out, count a strike.
    #[error("run broken by {}: {reason}", names(culprits))]
    Proven {
        /// Who did it.
        culprits: BTreeSet<PartyIndex>,
        /// What was seen.
        reason: String,
    },
}

impl Abort {
    /// The parties to leave out of the next attempt; empty if none can be named.
    pub fn culprits(&self) -> BTreeSet<PartyIndex> {
        match self {
            Self::Local { .. } => BTreeSet::new(),
            Self::Suspect { culprits, .. } | Self::Proven { culprits, .. } => culprits.clone(),
        }
    }

    pub(crate) fn local(reason: impl Into<String>) -> Self {
        Self::Local { reason: reason.into() }
    }

    pub(crate) fn suspect(culprits: impl IntoIterator<Item = PartyIndex>, reason: impl Into<String>) -> Self {
        Self::Suspect { culprits: culprits.into_iter().collect(), reason: reason.into() }
    }

    pub(crate) fn proven(culprit: PartyIndex, reason: impl Into<String>) -> Self {
        Self::Proven { culprits: BTreeSet::from([culprit]), reason: reason.into() }
    }
}

fn names(parties: &BTreeSet<PartyIndex>) -> String {
    if parties.is_empty() {
        return "nobody in particular".to_owned();
    }
    parties.iter().map(|party| format!("{party:?}")).collect::<Vec<_>>().join(", ")
}
