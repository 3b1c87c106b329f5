//! Whether this node contributes, and if not, why not: facts in, named reasons out.
//!
//! Pure. `status`, `/readyz`, gRPC health and the metric `keyring_not_ready` all use this one list, so they cannot
//! disagree. A name is stable: alarms are written against it. What is not known counts as bad (law 10): a node that does
//! not answer, a chain that was not read, a look that is too old are never taken for health.
//!
//! A new reason is one line in `reasons!` and one place that pushes it.

mod contract;

use std::fmt;

pub use self::contract::ContractFacts;
use crate::agreement::clock::Millis;
use crate::lease::Restraint;
use crate::planted::{self, Plant};

/// Polls of a chain that may fail in a row, besides one call that hangs, before the chain counts as stale.
pub const STALE_POLLS: u64 = 5;
/// Measured block times without a new block after which a chain counts as halted.
pub const HALTED_BLOCKS: u64 = 10;
/// The same, whatever the measured block time.
pub const HALTED_MS_MIN: Millis = 30_000;

/// What a reason means for the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The node does not contribute, or not fully: `/readyz` says 503.
    NotReady,
    /// It contributes; something that it will need is missing.
    Degraded,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $word:literal $class:ident, $means:literal, $remedy:literal;)+) => {
        /// The name of a reason. Words are stable; `docs/operations.md` lists them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Name {
            $(#[doc = $means] $name,)+
        }

        impl Name {
            /// Every name.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The stable word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// What it means for the node.
            #[must_use]
            pub const fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)+ }
            }

            /// What it means, for the manual.
            #[must_use]
            pub const fn means(self) -> &'static str {
                match self { $(Self::$name => $means,)+ }
            }

            /// What to do, in every text and in the manual.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)+ }
            }
        }
    };
}

reasons! {
    NodeEnded "node_ended" NotReady, "the node's thread has ended, or the daemon stops",
        "read the log's last lines, then start it again";
    NodeStuck "node_stuck" NotReady, "the node's thread did not answer in time; nothing below can be known",
        "look at the load of the machine and its disk; `/livez` fails as well, so a supervisor may restart it";
    StoreHalted "store_halted" NotReady, "the journal failed to write, so nothing is decided any more",
        "look at the disk before starting again";
    TaskEnded "task_ended" NotReady, "a part of the daemon ended by itself",
        "restart the node and report the log";
    LinksEnded "links_ended" NotReady, "the transport ended by itself: this node hears nobody",
        "restart the node and report the log";
    TooFewToSign "too_few_to_sign" NotReady, "fewer parties than a signature needs are here: nothing can be signed",
        "start the missing parties or mend their links (`keyringd status`)";
    TooFewForAgreement "too_few_for_agreement" NotReady, "fewer parties than agreement needs are here: nothing can be decided",
        "start the missing parties or mend their links (`keyringd status`)";
    NoLease "no_lease" NotReady, "too few peers know this process as its party: it does nothing",
        "a lease is granted some seconds after a start; look at the peers (`keyringd peers`)";
    WaitsForPeerOrVouch "waits_for_peer_or_vouch" NotReady, "more than half of the peers must have known this process once, and some are silent: it does nothing",
        "start one more peer, or `keyringd peers vouch` one that is dead";
    RefusedByPeer "refused_by_peer" NotReady, "a peer remembers of this party what this process cannot show, or knows another process as this party",
        "find out whether a copy runs, or whether this disk was set back (docs/leases.md)";
    Restored "restored" NotReady, "this party comes back from a backup, and too few peers' operators have consented: it does nothing",
        "tell the other operators the restore's name, by voice; each says `keyringd peers consent NAME RESTORE`";
    Blind "blind" NotReady, "a quorum of peers sees another block of a chain than this party's endpoint: nothing is signed or published there",
        "look at the endpoint: it follows another chain";
    KeepsOut "keeps_out" Degraded, "what was asked before this process began waits until every peer has known it",
        "start the silent peers, or `keyringd peers vouch` who is dead";
    Forgot "forgot" Degraded, "requests are open that were asked before this party came back from its backup: it takes no part in them, for ever",
        "nothing: the others answer them, or they expire";
    PeerRestored "peer_restored" Degraded, "a peer asks to come back from a backup and needs this operator's consent",
        "if its operator names the same restore, by voice: `keyringd peers consent NAME RESTORE`";
    PeerTwins "peer_twins" Degraded, "two processes answer under a peer's name: one runs from a copy of its disk; at most one is known",
        "its operator finds the copy and ends it for good";
    PeerFenced "peer_fenced" Degraded, "two live copies of a peer were seen, or it was started anew while this party was away for long: it is not heard",
        "its operator ends a copy for good, or confirms that the disk was neither set back nor copied; then `keyringd peers unfence`";
    NoAuxiliary "no_auxiliary" NotReady, "auxiliary data is not in force: no ECDSA signature can be made",
        "every party must be up once, for some minutes";
    ChainUnread "chain_unread" NotReady, "a chain was not read since the start",
        "look at its endpoints (`keyringd status`) and at `chain.endpoints`";
    ChainStale "chain_stale" NotReady, "a chain was not read lately: new requests are not seen",
        "look at its endpoints (`keyringd status`)";
    ChainHalted "chain_halted" NotReady, "a chain shows no new block: it is halted, or its endpoint is cut off from it",
        "compare with another node of that chain";
    RequestsUnread "requests_unread" NotReady, "a chain's open requests or keyring cannot be read, though its head can",
        "look at the log's warnings and at the endpoint's version";
    KeyringUnread "keyring_unread" NotReady, "the keyring was not read, or the chain has none by that address: nothing is published",
        "compare `chain.keyring` with the chain";
    KeyringOff "keyring_off" NotReady, "the keyring is switched off on the chain: nothing is published, since every answer would spoil its request",
        "its admins switch it on";
    NotAParty "not_a_party" NotReady, "this party's account is no party of the keyring on the chain: nothing is published",
        "the keyring's admins add the account, or correct `chain.account`";
    NoFunds "no_funds" NotReady, "the account cannot pay: nothing is published",
        "send funds to the account";
    FeeCeiling "fee_ceiling" NotReady, "the chain asks more than the configured ceiling, or its fees are unread: nothing is published",
        "raise `chain.fee_ceiling_urock` if the price is right";
    ControllerHalted "controller_halted" NotReady, "somebody else spends the account's sequences: its controller stands still",
        "find out who uses the account: it must be the daemon's alone (docs/operations.md)";
    EndpointsForked "endpoints_forked" NotReady, "the endpoints of a chain show two blocks of one height: nothing is published",
        "find the endpoint that is wrong and take it out of `chain.endpoints` (docs/operations.md)";
    ContractUnread "contract_unread" NotReady, "a contract's final blocks are not read: new requests there are not seen",
        "look at the log's warnings, at the endpoints (`keyringd status`) and at `contract.endpoints`";
    ContractClosed "contract_closed" NotReady, "a contract runs code that is not listed or another version than 1, or its chain took a final block back: nothing is read or signed there",
        "compare the code with what was announced and list it in `contract.code`; or find out which chain holds, then `keyringd contract rebase` (docs/zrsign.md)";
    ContractFull "contract_full" Degraded, "requests that cannot be ended hold all places of a contract: its next blocks are not taken, new requests there are not seen",
        "`keyringd requests` shows them; mend what keeps their answers from being delivered, or raise `limits.requests_open_max`";
    SenderHalted "sender_halted" NotReady, "somebody else spends the nonces of the account on an EVM chain: its sender stands still",
        "find out who uses the account; then `keyringd controller resume`";
    NoController "no_controller" Degraded, "a contract's controller key is not known yet: nothing can be authorised there",
        "it is made from the shelf while all parties are up";
    AnswersWait "answers_wait" Degraded, "authorised answers wait: for their price, for funds, or for a bound on losses",
        "the text says for what; bounds stand in `[[contract]]`";
    DestinationUnread "destination_unread" Degraded, "the destination of a simple transaction is not read: this party leads none that goes there, and joins none",
        "look at the endpoints in its `[[destination]]`; `keyringd check` asks them";
    PeersAbsent "peers_absent" Degraded, "some parties are not here; the others suffice, but no key can be made for the shelf",
        "start them or mend their links (`keyringd status`)";
    ShelfEmpty "shelf_empty" Degraded, "this party's lane has no finished key of a curve: it cannot lead a key request of that curve",
        "keys are made while all parties are up";
    ClockWrong "clock_wrong" Degraded, "this machine's clock is off the middle of its peers'; nothing is decided by it, but logs are read and certificates of `https` endpoints judged by it",
        "set it by NTP";
    ControllerWarns "controller_warns" Degraded, "endpoints contradict each other, a verdict cannot be confirmed, or answers were given up",
        "look at the endpoints and at the log's alarms (docs/operations.md)";
    EndpointFailing "endpoint_failing" Degraded, "an endpoint of a chain fails; another one answers",
        "look at that endpoint";
}

/// One reason, with what is wrong just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Stable.
    pub name: Name,
    /// What is wrong, and the remedy.
    pub text: String,
}

/// Everything that keeps a node from contributing fully. Empty: it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    reasons: Vec<Reason>,
}

/// What the node's thread answered.
#[derive(Clone, Debug)]
pub enum Beat<T> {
    /// This.
    Answered(T),
    /// Nothing within these milliseconds.
    Stuck(Millis),
    /// Nothing, ever again.
    Ended,
}

impl<T> Beat<T> {
    /// The same, of a reference.
    #[must_use]
    pub const fn as_ref(&self) -> Beat<&T> {
        match self {
            Self::Answered(answer) => Beat::Answered(answer),
            Self::Stuck(waited_ms) => Beat::Stuck(*waited_ms),
            Self::Ended => Beat::Ended,
        }
    }
}

/// Everything that readiness is judged by.
#[derive(Clone, Debug)]
pub struct Facts {
    /// How many parties sign.
    pub need: usize,
    /// How many parties agreement needs.
    pub quorum: usize,
    /// All other parties.
    pub peers: Vec<PeerFacts>,
    /// Whether the journal failed to write.
    pub store_halted: bool,
    /// Whether the transport ended by itself.
    pub links_ended: bool,
    /// Parts of the daemon that ended by themselves.
    pub tasks_ended: Vec<&'static str>,
    /// What is wrong with this machine's clock; empty if nothing is.
    pub clock_warning: String,
    /// What the node itself says.
    pub node: Beat<NodeFacts>,
}

/// Another party.
#[derive(Clone, Debug)]
pub struct PeerFacts {
    /// Its name in the roster.
    pub name: String,
    /// Whether both the link stands and the node counts it as here.
    pub is_here: bool,
}

/// What the node says of itself.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Why this process does not act, or not on everything, each in words.
    pub restraints: Vec<(Restraint, String)>,
    /// Names of peers of which two live copies were seen.
    pub fenced: Vec<String>,
    /// Peers under whose name two processes answer.
    pub twins: Vec<String>,
    /// Peers that ask to come back from a backup, and the names of their restores.
    pub asking: Vec<(String, String)>,
    /// Whether auxiliary data for ECDSA is in force.
    pub has_auxiliary: bool,
    /// Curves of which this party's lane should hold keys and holds none.
    pub empty_lanes: Vec<String>,
    /// Every chain served.
    pub chains: Vec<ChainFacts>,
    /// Every contract served.
    pub contracts: Vec<ContractFacts>,
}

/// A chain, as its follower, its controller and the node see it.
#[derive(Clone, Debug)]
pub struct ChainFacts {
    /// What its follower knows.
    pub shell: ChainShell,
    /// Since the last new block; `None`: there was none.
    pub block_age_ms: Option<Millis>,
    /// Measured time between blocks.
    pub block_ms: Millis,
    /// How the keyring stands there.
    pub keyring: Keyring,
    /// Whether the last broadcast was refused for lack of funds.
    pub is_out_of_funds: bool,
    /// Whether an answer would cost more than the ceiling.
    pub is_over_ceiling: bool,
    /// Why the controller stands still.
    pub halted: Option<String>,
    /// How its endpoints differ, if they follow two chains.
    pub forked: Option<String>,
    /// What else its controller would have a person look at.
    pub warnings: Vec<String>,
}

/// What the shell around the node knows of a chain.
#[derive(Clone, Debug, Default)]
pub struct ChainShell {
    /// Chain id.
    pub id: String,
    /// The keyring's address.
    pub keyring_address: String,
    /// This party's account.
    pub account: String,
    /// How often it is asked.
    pub poll_ms: Millis,
    /// Longest wait for one reply.
    pub call_timeout_ms: Millis,
    /// Since its head was last read; `None`: never.
    pub read_age_ms: Option<Millis>,
    /// Since keyring and open requests were last read; `None`: never.
    pub look_age_ms: Option<Millis>,
    /// Whether the last attempt to read these failed.
    pub look_failed: bool,
    /// Endpoints that failed lately and are not preferred.
    pub failing_endpoints: Vec<String>,
}

/// How a keyring stands on its chain, for one party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyring {
    /// Nothing is known.
    Unread,
    /// Switched off.
    Off,
    /// On, and this account is no party of it.
    NotAParty,
    /// On, with this account.
    Serving,
}

impl Readiness {
    /// Judges the facts.
    #[must_use]
    pub fn of(facts: &Facts) -> Self {
        let mut readiness = Self::default();
        readiness.vital(facts);
        readiness.peers(facts);
        if let Beat::Answered(node) = &facts.node {
            readiness.standing(node);
            readiness.stock(node);
            for chain in &node.chains {
                readiness.chain(chain);
            }
            for contract in &node.contracts {
                readiness.contract(contract);
            }
        }
        readiness
    }

    /// Whether the node contributes fully.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.not_ready().next().is_none()
    }

    /// Why it does not contribute.
    pub fn not_ready(&self) -> impl Iterator<Item = &Reason> {
        self.of_class(Class::NotReady)
    }

    /// What it will lack.
    pub fn degraded(&self) -> impl Iterator<Item = &Reason> {
        self.of_class(Class::Degraded)
    }

    /// The names of all reasons.
    pub fn names(&self) -> impl Iterator<Item = Name> {
        self.reasons.iter().map(|reason| reason.name)
    }

    /// Whether this is one of the reasons.
    #[must_use]
    pub fn has(&self, name: Name) -> bool {
        self.reasons.iter().any(|reason| reason.name == name)
    }

    fn of_class(&self, class: Class) -> impl Iterator<Item = &Reason> {
        self.reasons.iter().filter(move |reason| reason.name.class() == class)
    }

    fn push(&mut self, name: Name, fact: impl fmt::Display) {
        if planted::is(Plant::NamesNoReason) {
            return;
        }
        self.reasons.push(Reason { name, text: format!("{fact}; {}", name.remedy()) });
    }

    fn vital(&mut self, facts: &Facts) {
        if facts.store_halted {
            self.push(Name::StoreHalted, "the journal failed to write");
        }
        match &facts.node {
            Beat::Answered(_) => {}
            Beat::Stuck(waited_ms) => {
                self.push(Name::NodeStuck, format_args!("the node's thread did not answer within {waited_ms} ms"));
            }
            Beat::Ended => self.push(Name::NodeEnded, "the node has ended"),
        }
        // A node that ended takes its tasks with it: then they are no news.
        if !facts.tasks_ended.is_empty() && !matches!(facts.node, Beat::Ended) {
            self.push(Name::TaskEnded, format_args!("ended by itself: {}", facts.tasks_ended.join(", ")));
        }
        if facts.links_ended && !matches!(facts.node, Beat::Ended) {
            self.push(Name::LinksEnded, "the transport ended by itself");
        }
        if !facts.clock_warning.is_empty() {
            // It carries its remedy, for `status` shows it alone.
            self.reasons.push(Reason { name: Name::ClockWrong, text: facts.clock_warning.clone() });
        }
    }

    fn peers(&mut self, facts: &Facts) {
        let absent: Vec<&str> =
            facts.peers.iter().filter(|peer| !peer.is_here).map(|peer| peer.name.as_str()).collect();
        let here = facts.peers.len() - absent.len() + 1;
        let absent = absent.join(", ");
        if here < facts.need {
            let fact = format!("{here} of {} parties that a signature needs are here, absent: {absent}", facts.need);
            self.push(Name::TooFewToSign, fact);
        }
        if here < facts.quorum {
            let fact = format!("{here} of {} parties that agreement needs are here, absent: {absent}", facts.quorum);
            self.push(Name::TooFewForAgreement, fact);
        } else if !absent.is_empty() {
            self.push(Name::PeersAbsent, format_args!("absent: {absent}"));
        }
    }

    fn standing(&mut self, node: &NodeFacts) {
        for (restraint, text) in &node.restraints {
            let name = match restraint {
                Restraint::NoLease { .. } => Name::NoLease,
                Restraint::Unknown { .. } => Name::WaitsForPeerOrVouch,
                Restraint::Consents { .. } => Name::Restored,
                Restraint::Refused { .. } => Name::RefusedByPeer,
                Restraint::KeepsOut { .. } => Name::KeepsOut,
                Restraint::Forgot { .. } => Name::Forgot,
                Restraint::Blind { .. } => Name::Blind,
            };
            self.push(name, text);
        }
        if !node.twins.is_empty() {
            self.push(Name::PeerTwins, format_args!("two processes answer as {}", node.twins.join(", ")));
        }
        for (peer, restore) in &node.asking {
            self.push(Name::PeerRestored, format_args!("{peer} asks to come back from a backup, as {restore}"));
        }
        if !node.fenced.is_empty() {
            self.push(Name::PeerFenced, format_args!("two live copies were seen of {}", node.fenced.join(", ")));
        }
    }

    fn stock(&mut self, node: &NodeFacts) {
        if !node.has_auxiliary {
            self.push(Name::NoAuxiliary, "auxiliary data for ECDSA is not in force");
        }
        if !node.empty_lanes.is_empty() {
            let fact = format!("no finished key in this party's lane of: {}", node.empty_lanes.join(", "));
            self.push(Name::ShelfEmpty, fact);
        }
    }

    fn chain(&mut self, chain: &ChainFacts) {
        self.chain_reads(chain);
        let id = &chain.shell.id;
        match chain.keyring {
            Keyring::Serving => {}
            // The chain itself is unread: that says it all.
            Keyring::Unread if chain.shell.look_age_ms.is_none() => {}
            Keyring::Unread => {
                self.push(
                    Name::KeyringUnread,
                    format_args!("chain {id} shows no keyring {}", chain.shell.keyring_address),
                );
            }
            Keyring::Off => {
                self.push(Name::KeyringOff, format_args!("chain {id}: keyring {} is off", chain.shell.keyring_address));
            }
            Keyring::NotAParty => {
                let (account, keyring) = (&chain.shell.account, &chain.shell.keyring_address);
                self.push(Name::NotAParty, format_args!("chain {id}: {account} is no party of keyring {keyring}"));
            }
        }
        if let Some(halted) = &chain.halted {
            self.push(Name::ControllerHalted, format_args!("chain {id}: {halted}"));
        }
        if let Some(forked) = &chain.forked {
            self.push(Name::EndpointsForked, format_args!("chain {id}: {forked}"));
        }
        for warning in &chain.warnings {
            self.push(Name::ControllerWarns, format_args!("chain {id}: {warning}"));
        }
        if chain.is_out_of_funds {
            self.push(Name::NoFunds, format_args!("chain {id}: account {} has no funds", chain.shell.account));
        }
        if chain.is_over_ceiling {
            self.push(
                Name::FeeCeiling,
                format_args!("chain {id}: an answer costs more than the ceiling, or fees are unread"),
            );
        }
        if !chain.shell.failing_endpoints.is_empty() {
            let endpoints = chain.shell.failing_endpoints.join(", ");
            self.push(Name::EndpointFailing, format_args!("chain {id}: failing: {endpoints}"));
        }
    }

    fn chain_reads(&mut self, chain: &ChainFacts) {
        let id = &chain.shell.id;
        let stale_after_ms =
            chain.shell.poll_ms.saturating_mul(STALE_POLLS).saturating_add(chain.shell.call_timeout_ms);
        let halted_after_ms = chain.block_ms.saturating_mul(HALTED_BLOCKS).max(HALTED_MS_MIN);
        let Some(read_age_ms) = chain.shell.read_age_ms else {
            return self.push(Name::ChainUnread, format_args!("chain {id} was not read yet"));
        };
        if read_age_ms > stale_after_ms {
            return self.push(Name::ChainStale, format_args!("chain {id} was last read {} s ago", read_age_ms / 1_000));
        }
        if let Some(age_ms) = chain.block_age_ms.filter(|age_ms| *age_ms > halted_after_ms) {
            self.push(Name::ChainHalted, format_args!("chain {id} shows no new block for {} s", age_ms / 1_000));
        }
        match chain.shell.look_age_ms {
            None if chain.shell.look_failed => {
                self.push(Name::RequestsUnread, format_args!("chain {id}: open requests were never read"));
            }
            None => self.push(Name::ChainUnread, format_args!("chain {id}: open requests were not read yet")),
            Some(age_ms) if chain.shell.look_failed && age_ms > stale_after_ms => {
                let age_s = age_ms / 1_000;
                self.push(Name::RequestsUnread, format_args!("chain {id}: open requests were last read {age_s} s ago"));
            }
            Some(_) => {}
        }
    }
}

/// The manual's table of all reasons.
#[must_use]
pub fn reference() -> String {
    let mut text = "| Name | Means | What to do |\n| --- | --- | --- |\n".to_owned();
    for class in [Class::NotReady, Class::Degraded] {
        let mark = if class == Class::Degraded { "*degraded:* " } else { "" };
        for name in Name::ALL.iter().filter(|name| name.class() == class) {
            text += &format!("| `{}` | {mark}{} | {} |\n", name.word(), name.means(), name.remedy());
        }
    }
    text
}

#[cfg(test)]
mod tests;
