//! Known breaks of the protocol, which the simulation switches on to see them found. Compiled out without the feature
//! `planted`: then `is` is the constant `false`.
//!
//! Refuses to be part of a release build.

#[cfg(all(feature = "planted", not(debug_assertions)))]
compile_error!("the feature `planted` breaks the protocol on purpose: no release build takes it");

/// A known break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Later ballots skip `prepare`; a signer's promise rides on its partial.
    PromiseRidesOnPartial,
    /// Ballot 0 belongs to the first party of the order that seems to be up.
    FirstLeaderByLiveness,
    /// The second turn skips `prepare` as the first does.
    SecondTurnSkipsPrepare,
    /// An accepted record is replaced by a lower ballot's.
    AcceptsLowerBallot,
    /// A key that is bound serves other requests too.
    OneKeyForTwoRequests,
    /// A peer is granted its lease without showing its journal.
    LeaseWithoutJournal,
    /// A process acts on what is old before all peers have answered its hello.
    ActsBeforeAllAnswered,
    /// A party that came back from a backup does not keep out of what it may have forgotten.
    RestoredVotes,
    /// Attempts last two seconds, whatever the machines can do.
    FixedClocks,
    /// A peer counts as here as long as its link stands, whether or not it says anything.
    CountsTheSilent,
    /// A node has no reasons, whatever keeps it.
    NamesNoReason,
    /// As many requests are taken in as the chain lists.
    TakesEverythingIn,
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANT: std::cell::Cell<Option<Plant>> = const { std::cell::Cell::new(None) };
}

/// Switches a break on, or all off, for nodes that run on this thread.
#[cfg(feature = "planted")]
pub fn set(plant: Option<Plant>) {
    PLANT.set(plant);
}

/// Whether a break is on.
#[cfg(feature = "planted")]
pub(crate) fn is(plant: Plant) -> bool {
    PLANT.get() == Some(plant)
}

/// Whether a break is on: never in this build.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is(_: Plant) -> bool {
    false
}
