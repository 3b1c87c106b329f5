//! What the lease machine asks of its node, and why a process does not act, in words for people.

use mpc_core::PartyIndex;

use super::word::{LeaseWord, Refusal};

/// What the node is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Say this to that peer.
    Say(PartyIndex, LeaseWord),
    /// Say it once the memory of it is durable: a promise rests on it.
    SayDurably(PartyIndex, LeaseWord),
    /// Write what is to be remembered.
    Remember,
    /// Draw a fresh nonce and bring it to [`super::Lease::nonce`].
    Draw,
    /// Show what the journal held at this position, in a hello of this nonce: [`super::Lease::show`].
    Show(PartyIndex, u64, u64),
    /// A person must act.
    Alarm(String),
    /// A person may want to know.
    Note(String),
}

/// Why a process does not act, or not on everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restraint {
    /// Fewer than `Q − 1` peers know this process now.
    NoLease {
        /// Peers that know it.
        have: usize,
        /// Peers that must.
        need: usize,
    },
    /// More than half of the peers must have known it once: it waits for one of these, or for a vouch.
    Unknown {
        /// Peers that have not answered.
        unheard: Vec<PartyIndex>,
    },
    /// A peer refuses it.
    Refused {
        /// The peer.
        by: PartyIndex,
        /// Why.
        reason: Refusal,
    },
    /// It keeps out of what is old until these have answered, or are vouched dead.
    KeepsOut {
        /// Peers that have not answered.
        unheard: Vec<PartyIndex>,
    },
    /// It comes back from a backup: operators of more than half of the peers must consent.
    Consents {
        /// Peers that have.
        have: usize,
        /// Peers that must.
        need: usize,
        /// What they consent to, as [`restore_name`] writes it.
        restore: String,
    },
    /// It came back from a backup and keeps out, for ever, of requests that its lost memory may have had a part in.
    Forgot {
        /// How many of these are open and not decided.
        open: usize,
    },
    /// `Q` peers see another block than this party.
    Blind {
        /// On this chain.
        chain: String,
    },
}

impl Restraint {
    /// What it means and what to do, with the parties by name.
    pub fn text(&self, party: impl Fn(PartyIndex) -> String) -> String {
        let list = |parties: &[PartyIndex]| parties.iter().map(|at| party(*at)).collect::<Vec<_>>().join(", ");
        match self {
            Self::NoLease { have, need } => {
                format!("{have} of {need} peers that must know this process as its party do")
            }
            Self::Unknown { unheard } => format!(
                "more than half of the peers must have known this process once; not heard since its start: {}",
                list(unheard)
            ),
            Self::Refused { by, reason } => format!("{} refuses this process: {reason}", party(*by)),
            Self::KeepsOut { unheard } => {
                format!("what was asked before this process began waits for {}", list(unheard))
            }
            Self::Consents { have, need, restore } => format!(
                "{have} of {need} peers' operators have consented that this party comes back from a backup, as {restore}"
            ),
            Self::Forgot { open } => {
                format!(
                    "{open} open requests were asked before this party came back from its backup: it takes no part in them"
                )
            }
            Self::Blind { chain } => {
                format!("a quorum of peers sees another block of {chain} than this party's endpoint")
            }
        }
    }
}

/// A restore's name as people read it out: its number in hexadecimal, in groups of four.
#[must_use]
pub fn restore_name(restore: u64) -> String {
    let digits = format!("{restore:016x}");
    let groups: Vec<&str> = (0..4).filter_map(|group| digits.get(group * 4..group * 4 + 4)).collect();
    groups.join("-")
}

/// The number behind a name that a person typed.
#[must_use]
pub fn restore_number(name: &str) -> Option<u64> {
    let digits: String = name.chars().filter(|letter| *letter != '-').collect();
    if digits.len() == 16 { u64::from_str_radix(&digits, 16).ok() } else { None }
}
