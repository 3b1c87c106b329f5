//! What a node is told, and what it orders: its whole surface to the shell.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::{Address, B256};
use chain_client::zrsign::transaction::{Caps, SimpleTransaction};
use chain_client::{Height, Hint, KeyringFacts, LowWater, Reading, Request, RequestId, SignedTx, Standing, TxHash};
use mpc_core::{
    AuxInfo, Commitments, KeyId, KeyShare, Partial, PartyIndex, Payload, Possession, SessionId, Suite, Threshold,
};

use super::{BlockName, ContractNews, ContractSetup, Target, Word};
use crate::admission::Sighting;
use crate::agreement::Audience;
use crate::agreement::clock::Millis;
use crate::committee::Committee;
use crate::decree::DecreeId;
use crate::lease::{Held, Process};
use crate::message::{Attachment, Content, Packet};
use crate::outbox::Pen;
use crate::sender::{Call, Signed, State};
use crate::store::Entry;

/// What a node is: fixed while it runs.
pub struct Setup {
    /// This party's place.
    pub me: PartyIndex,
    /// This process: its boot counter was raised durably a moment ago, its instance number drawn.
    pub process: Process,
    /// The roster in force.
    pub committee: Arc<Committee>,
    /// Free keys that each lane keeps, by curve; a curve that is not named gets none.
    pub keys_per_lane: BTreeMap<Suite, usize>,
    /// Interactive ECDSA runs that this party leads or computes at a time: `max(1, cores − 1)`.
    pub slots: usize,
    /// Open requests worked on at a time; more wait in the chain's own list.
    pub live_max: usize,
    /// One entry per chain and keyring served.
    pub chains: Vec<ChainSetup>,
    /// One entry per contract served, at most one on a chain.
    pub contracts: Vec<ContractSetup>,
    /// EVM chains to which simple transactions may go, and what these may cost there.
    pub destinations: BTreeMap<u64, Caps>,
}

/// A keyring on a chain, and this party's account there.
pub struct ChainSetup {
    /// Chain id.
    pub chain: String,
    /// Keyring address.
    pub keyring: String,
    /// Key ids that need no owner (law 4).
    pub reserved: Vec<u64>,
    /// How many endpoints the chain is read through.
    pub endpoints: usize,
    /// Signs this party's transactions.
    pub pen: Arc<dyn Pen + Send + Sync>,
}

/// News for a node.
#[derive(Debug)]
pub enum Event {
    /// Time passed.
    Tick,
    /// A peer's link came up; its round trip in milliseconds, as far as known.
    LinkUp(PartyIndex, Millis),
    /// A peer's link broke.
    LinkDown(PartyIndex),
    /// A peer, or this party itself, said something.
    Packet(Box<Packet>),
    /// News of a run.
    Run(SessionId, RunNews),
    /// A share was read back from disk, unsealed and proved.
    Proved(KeyId, Possession),
    /// News of a chain.
    Chain(String, ChainNews),
    /// News of the contract on a chain.
    Contract(String, ContractNews),
    /// Whether safe primes for a run of auxiliary data are at hand.
    Primes(bool),
    /// Fresh chance, drawn when [`Order::Draw`] was carried out.
    Nonce(u64),
    /// What the journal held where [`Order::ShowJournal`] asked; `None` if it does not reach there.
    Journal {
        /// Who asked.
        peer: PartyIndex,
        /// In which hello.
        nonce: u64,
        /// Position and hash.
        held: Option<Held>,
    },
    /// An operator decides about a peer.
    Operator(PartyIndex, Word),
    /// Two processes answered side by side under this peer's name.
    Twins(PartyIndex),
    /// The process is about to end: it says goodbye and nothing after it.
    Leave,
}

/// What a run reports.
#[derive(Debug)]
pub enum RunNews {
    /// It waits for a core.
    Queued,
    /// It entered a round.
    Round(u16),
    /// A signing run: this party's part, and the public commitments that judge the others'.
    Signed(Partial, Commitments),
    /// A key generation.
    Key(Box<KeyShare>),
    /// Auxiliary data.
    Auxiliary(Box<AuxInfo>),
    /// It stopped without result.
    Failed {
        /// Who is to blame, where that can be known.
        culprits: Vec<PartyIndex>,
        /// In words.
        reason: String,
    },
}

/// What a chain's shell reports.
#[derive(Debug)]
pub enum ChainNews {
    /// A new final block.
    Head {
        /// Its height.
        height: Height,
        /// Its hash: two nodes that show one height with two hashes follow two chains.
        hash: [u8; 32],
    },
    /// The keyring as the chain shows it.
    Keyring {
        /// At this height.
        height: Height,
        /// How it stands.
        facts: KeyringFacts,
    },
    /// What this party's account holds, in urock.
    Balance(u128),
    /// Whether the endpoints follow two chains, in words.
    Fork(Option<String>),
    /// All open requests of the keyring at one height.
    Open {
        /// That height.
        height: Height,
        /// Requests, parents and children included.
        requests: Vec<Request>,
        /// Whether these are all.
        complete: bool,
        /// Where the next scan may start.
        low_water: LowWater,
    },
    /// A request with what judging it needs.
    Seen(Box<Sighting>),
    /// Examining a request failed; it is examined again when it is next seen.
    Unseen(DecreeId),
    /// Account and request read together.
    Reading(DecreeId, Box<Reading>),
    /// The same from every endpoint that could be reached.
    Testimony(DecreeId, Vec<Reading>),
    /// A request read alone.
    Standing(DecreeId, Height, Box<Standing>),
    /// What a node said of a broadcast.
    Hint {
        /// The account sequence of the transaction.
        sequence: u64,
        /// What was said.
        hint: Hint,
    },
    /// What became of the transactions of a dead sequence, for a person.
    Explained {
        /// Whose answer they carried.
        decree: DecreeId,
        /// How much it matters.
        level: Level,
        /// In words.
        text: String,
    },
    /// An operator lets a controller that stands still go on at this sequence.
    Resume(u64),
}

/// What a node orders once its entries are durable.
#[derive(Debug)]
pub enum Order {
    /// Sign and send; to [`Audience::All`] includes this party itself.
    Say {
        /// To whom.
        to: Audience,
        /// What.
        content: Content,
        /// What goes beside it.
        attachment: Box<Attachment>,
    },
    /// Begin a run.
    Start {
        /// Its name; its lane, too.
        session: SessionId,
        /// What it does.
        run: RunOrder,
        /// Earliest first.
        priority: Priority,
    },
    /// Give a run up.
    Stop(SessionId),
    /// Read the share back, unseal it and prove it: [`Event::Proved`].
    Prove(KeyId, [u8; 32]),
    /// Find out what judging this request needs: [`ChainNews::Seen`] or [`ChainNews::Unseen`].
    Examine {
        /// Its decree.
        decree: DecreeId,
        /// As the scan showed it.
        request: Box<Request>,
        /// At this height it was shown.
        at: Height,
        /// At this height it was not there yet.
        absent_at: Option<Height>,
    },
    /// Read account and request of one endpoint at one height: [`ChainNews::Reading`].
    ReadTogether(DecreeId, RequestId),
    /// The same from every endpoint: [`ChainNews::Testimony`].
    Confirm(DecreeId, RequestId),
    /// Read a request: [`ChainNews::Standing`].
    ReadStanding(DecreeId, RequestId),
    /// Find out what became of transactions: [`ChainNews::Explained`].
    Explain(DecreeId, Vec<TxHash>),
    /// Send signed bytes: [`ChainNews::Hint`].
    Broadcast(String, SignedTx),
    /// Look at account, contract, request and transactions: [`ContractNews::Look`].
    LookAtContract {
        /// Its chain.
        chain: String,
        /// Whose answer.
        decree: DecreeId,
        /// What about.
        target: Target,
        /// Transactions to look for.
        hashes: Vec<B256>,
    },
    /// Try a call: [`ContractNews::Simulated`].
    Simulate {
        /// On which chain.
        chain: String,
        /// Whose answer.
        decree: DecreeId,
        /// The call.
        call: Box<Call>,
        /// On which state.
        state: State,
    },
    /// Read a wallet's account on a destination, and what a transaction of it meets there: [`ContractNews::Destination`].
    LookAtDestination {
        /// For which decree.
        decree: DecreeId,
        /// The destination's EIP-155 id.
        destination: u64,
        /// The wallet.
        wallet: Address,
        /// What it is to do, where gas must be estimated.
        simple: Option<SimpleTransaction>,
        /// At this final block; the newest if none is named.
        at: Option<BlockName>,
    },
    /// Send signed bytes to an EVM chain: [`ContractNews::Sent`].
    Send(String, Signed),
    /// Draw a nonce from the system, now: [`Event::Nonce`].
    Draw,
    /// Read the journal's hash at a position: [`Event::Journal`].
    ShowJournal {
        /// Who asks.
        peer: PartyIndex,
        /// In which hello.
        nonce: u64,
        /// Where.
        position: u64,
    },
    /// Something a person may want to know.
    Note(Note),
}

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOrder {
    /// A nonce for one payload, by these signers.
    Sign {
        /// The key.
        key: KeyId,
        /// Exactly `t`, ascending.
        signers: Vec<PartyIndex>,
        /// What is signed.
        payload: Payload,
        /// Counter of the auxiliary data, for ECDSA.
        auxiliary: Option<u64>,
    },
    /// A key for the shelf.
    Key(Suite),
    /// The roster's auxiliary data.
    Auxiliary,
}

impl RunOrder {
    /// Who takes part, ascending.
    #[must_use]
    pub fn parties(&self, threshold: Threshold) -> Vec<PartyIndex> {
        match self {
            Self::Sign { signers, .. } => signers.clone(),
            Self::Key(_) | Self::Auxiliary => threshold.parties().collect(),
        }
    }
}

/// Who computes first: live requests by deadline, ties by request; then stock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A live request that costs microseconds (EdDSA): it never waits behind one that costs half a second.
    Light(Height, DecreeId),
    /// A live request.
    Request(Height, DecreeId),
    /// A shelf key.
    Key(u64),
    /// Auxiliary data.
    Auxiliary,
}

/// For the log, by level and with the decree it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How much it matters.
    pub level: Level,
    /// Which request.
    pub decree: Option<DecreeId>,
    /// In words; never holds payloads, shares or nonces.
    pub text: String,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A person must act.
    Alarm,
    /// The cluster heals itself.
    Warn,
    /// A request changed state.
    Info,
    /// For developers.
    Debug,
}

/// Entries first, orders after.
#[derive(Debug, Default)]
pub struct Effects {
    /// One durable write.
    pub entries: Vec<Entry>,
    /// Carried out in order once it is durable.
    pub orders: Vec<Order>,
}
