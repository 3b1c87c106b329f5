//! Who the parties are: names, node keys, addresses, accounts on chains, and the terms they all signed.
//!
//! A roster is one epoch's truth. Every party signs its own entry together with the *terms* (epoch, threshold, names and
//! node keys of all, in order): nobody can be added, exchanged or moved without everybody's new signature, and nobody's
//! addresses or accounts without its own. A [`Roster`] exists only if all signatures verify; a [`RosterFile`] is what a
//! file says. This room translates [`PartyIndex`] to node key and back, and knows `Q`.

mod file;

pub use file::{RosterFile, RosterFileEntry};

use crate::identity;
use crate::tag::{self, Tagged};
use chain_client::zrsign::name::{Proxy, ProxyError};
use mpc_core::{PartyIndex, Threshold};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Most parties in a roster.
pub const PARTIES_MAX: u16 = 64;
/// Most bytes of a roster file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Most bytes of a name, a chain id, an account.
const WORD_BYTES_MAX: usize = 128;
/// Most addresses of one party: as many as a peer book takes.
const ADDRESSES_MAX: usize = 8;
/// Most contracts of a roster.
const CONTRACTS_MAX: usize = 16;
/// Most accounts of one party.
const ACCOUNTS_MAX: usize = 16;

/// One party.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterEntry {
    /// The operator's name for it: lower-case letters, digits and dashes; different from all others.
    pub name: String,
    /// Ed25519 public key of its node.
    pub node_key: [u8; 32],
    /// Where it listens, as multiaddresses.
    pub addresses: Vec<String>,
    /// Its account on each chain, by chain id.
    pub accounts: BTreeMap<String, String>,
}

/// The verified roster of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    epoch: u64,
    threshold: Threshold,
    parties: Vec<RosterEntry>,
    contracts: Vec<Proxy>,
    digest: [u8; 32],
}

/// Why a roster is refused. Every variant means: do not start with this file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// The file cannot be read.
    #[error("cannot read the roster {path}; correct `node.roster`")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is no roster in TOML.
    #[error("the roster does not parse; take the file that all parties signed")]
    Parse(#[source] Box<toml::de::Error>),
    /// The threshold does not fit the parties.
    #[error(
        "roster: {need} of {of} with {parties} parties; 2 <= need <= of <= {PARTIES_MAX} and of = parties must hold"
    )]
    Threshold {
        /// Signers needed.
        need: u16,
        /// Parties said.
        of: u16,
        /// Parties listed.
        parties: usize,
    },
    /// A field of one party breaks a rule.
    #[error("roster: party {party} {what}")]
    Entry {
        /// The party's name, or its place.
        party: String,
        /// The rule, and what to do.
        what: String,
    },
    /// A contract is not written as one, or its chain has two.
    #[error("roster: contract {contract}: {what}")]
    Contract {
        /// As it is written.
        contract: String,
        /// What to do.
        what: String,
    },
    /// A party has not signed exactly this roster.
    #[error(
        "roster: the signature of party {party} does not verify over this epoch, these terms and this entry; take the file that all parties signed"
    )]
    Signature {
        /// Its name.
        party: String,
    },
    /// This node's key is in no entry.
    #[error(
        "roster: no party has the node key {node_key}; this node is not of this roster: correct `node.identity` or `node.roster`"
    )]
    Stranger {
        /// In hexadecimal.
        node_key: String,
    },
}

impl Roster {
    /// Reads and verifies a roster file.
    ///
    /// # Errors
    /// [`RosterError`].
    pub fn load(path: &Path) -> Result<Self, RosterError> {
        RosterFile::load(path)?.verify()
    }

    /// Verifies a roster given as text.
    ///
    /// # Errors
    /// [`RosterError`].
    pub fn parse(text: &str) -> Result<Self, RosterError> {
        RosterFile::parse(text)?.verify()
    }

    /// Number of this roster. Each change of it is a new epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many parties sign, of how many.
    pub fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// All parties, by place.
    pub fn parties(&self) -> &[RosterEntry] {
        &self.parties
    }

    /// The contracts for which all parties have asked for a controller key: one chain, one contract.
    pub fn contracts(&self) -> &[Proxy] {
        &self.contracts
    }

    /// All places, in order.
    pub fn indices(&self) -> impl ExactSizeIterator<Item = PartyIndex> + use<> {
        (0..self.threshold.of()).map(PartyIndex::new)
    }

    /// How many parties agreement needs: `Q = max(t, ⌊n/2⌋ + 1)`.
    pub fn quorum(&self) -> usize {
        usize::from(self.threshold.need().max(self.threshold.of() / 2 + 1))
    }

    /// Tagged hash of everything but the signatures. Peers with another digest are of another roster.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The digest as people compare it: see [`fingerprint`].
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.digest)
    }

    /// All parties as the links know them.
    ///
    /// # Errors
    /// [`RosterError::Entry`] for a node key that is no safe key.
    pub fn book(&self) -> Result<transport::PeerBook, RosterError> {
        let mut entries = Vec::with_capacity(self.parties.len());
        for entry in &self.parties {
            let refuse = |what: String| RosterError::Entry { party: entry.name.clone(), what };
            let addresses = entry.addresses.iter().map(|address| address.parse::<transport::Address>());
            entries.push(transport::PeerEntry {
                id: transport::PeerId::from(entry.node_key),
                name: entry.name.clone(),
                addresses: addresses.collect::<Result<_, _>>().map_err(|error| refuse(error.to_string()))?,
            });
        }
        let refuse =
            |error: transport::BookError| RosterError::Entry { party: "list".to_owned(), what: error.to_string() };
        transport::PeerBook::new(self.digest, entries).map_err(refuse)
    }

    /// The party in one place.
    pub fn entry(&self, party: PartyIndex) -> Option<&RosterEntry> {
        self.parties.get(usize::from(party.get()))
    }

    /// The node key of one place.
    pub fn node_key(&self, party: PartyIndex) -> Option<[u8; 32]> {
        self.entry(party).map(|entry| entry.node_key)
    }

    /// The place of a node key.
    pub fn index_of(&self, node_key: &[u8; 32]) -> Option<PartyIndex> {
        self.place(|entry| entry.node_key == *node_key)
    }

    /// The place of an account on a chain.
    pub fn index_of_account(&self, chain: &str, account: &str) -> Option<PartyIndex> {
        self.place(|entry| entry.accounts.get(chain).is_some_and(|own| own == account))
    }

    /// This node's own place.
    ///
    /// # Errors
    /// [`RosterError::Stranger`].
    pub fn own_place(&self, node_key: &[u8; 32]) -> Result<PartyIndex, RosterError> {
        self.index_of(node_key).ok_or_else(|| RosterError::Stranger { node_key: hex::encode(node_key) })
    }

    fn place(&self, is: impl Fn(&RosterEntry) -> bool) -> Option<PartyIndex> {
        let place = self.parties.iter().position(is)?;
        u16::try_from(place).ok().map(PartyIndex::new)
    }
}

/// A digest as people read it to each other: eight groups of five decimal digits, 132 bits. That is enough that nobody
/// finds two rosters of one fingerprint, and digits are the same in all tongues.
#[must_use]
pub fn fingerprint(digest: &[u8; 32]) -> String {
    let (words, _) = digest.as_chunks::<4>();
    let groups: Vec<_> = words.iter().map(|word| format!("{:05}", u32::from_be_bytes(*word) % 100_000)).collect();
    groups.join(" ")
}

/// What all parties sign: epoch, threshold, names and node keys in order, and the contracts whose controller keys they
/// ask for.
fn terms(epoch: u64, threshold: Threshold, parties: &[RosterEntry], contracts: &[Proxy]) -> [u8; 32] {
    let begun = Tagged::new(tag::ROSTER_TERMS)
        .number(epoch)
        .number(u64::from(threshold.need()))
        .number(u64::from(threshold.of()))
        .number(parties.len() as u64);
    let with_parties =
        parties.iter().fold(begun, |digest, entry| digest.part(entry.name.as_bytes()).part(&entry.node_key));
    let counted = with_parties.number(contracts.len() as u64);
    contracts.iter().fold(counted, |digest, contract| digest.part(contract.to_string().as_bytes())).finish()
}

/// The contracts as they are written: in order, at most one on a chain.
fn check_contracts(written: &[String]) -> Result<Vec<Proxy>, RosterError> {
    let refuse = |contract: &String, what: String| RosterError::Contract { contract: contract.clone(), what };
    let mut contracts: Vec<Proxy> = Vec::new();
    for text in written {
        let proxy: Proxy = text.parse().map_err(|error: ProxyError| refuse(text, error.to_string()))?;
        if contracts.len() >= CONTRACTS_MAX {
            return Err(refuse(text, format!("a roster names at most {CONTRACTS_MAX} contracts")));
        }
        if contracts.last().is_some_and(|last| last.chain >= proxy.chain) {
            return Err(refuse(text, "contracts are listed by rising chain id, one on each chain".to_owned()));
        }
        contracts.push(proxy);
    }
    Ok(contracts)
}

/// What one party signs: the terms and all of its own entry.
fn entry_digest(terms: &[u8; 32], entry: &RosterEntry) -> [u8; 32] {
    with_entry(Tagged::new(tag::ROSTER_ENTRY).part(terms), entry)
}

/// What one party signs before there are terms: all of its own entry.
pub(crate) fn card_digest(entry: &RosterEntry) -> [u8; 32] {
    with_entry(Tagged::new(tag::ROSTER_CARD), entry)
}

fn with_entry(begun: Tagged, entry: &RosterEntry) -> [u8; 32] {
    let digest = begun.part(entry.name.as_bytes()).part(&entry.node_key);
    let digest = digest.number(entry.addresses.len() as u64);
    let digest = entry.addresses.iter().fold(digest, |digest, address| digest.part(address.as_bytes()));
    let digest = digest.number(entry.accounts.len() as u64);
    let account =
        |digest: Tagged, (chain, account): (&String, &String)| digest.part(chain.as_bytes()).part(account.as_bytes());
    entry.accounts.iter().fold(digest, account).finish()
}

/// The whole roster, from verified entries.
fn roster_digest(terms: &[u8; 32], parties: &[RosterEntry]) -> [u8; 32] {
    let begun = Tagged::new(tag::ROSTER).part(terms);
    parties.iter().fold(begun, |digest, entry| digest.part(&entry_digest(terms, entry))).finish()
}

/// Sizes, alphabets and differences of all entries.
fn check_entries(parties: &[RosterEntry]) -> Result<(), RosterError> {
    let (mut names, mut keys, mut accounts) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for entry in parties {
        let refuse = |what: &str| Err(RosterError::Entry { party: entry.name.clone(), what: what.to_owned() });
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if entry.name.is_empty() || entry.name.len() > 32 || !entry.name.chars().all(plain) {
            return refuse("has a bad name: 1 to 32 lower-case letters, digits and dashes");
        }
        if !names.insert(&entry.name) {
            return refuse("is named twice");
        }
        if !keys.insert(entry.node_key) {
            return refuse("has the node key of another party");
        }
        let listed = (1..=ADDRESSES_MAX).contains(&entry.addresses.len()) && entry.accounts.len() <= ACCOUNTS_MAX;
        if !listed {
            return refuse("needs 1 to 8 addresses and at most 16 accounts");
        }
        let usable = |address: &String| is_word(address) && address.parse::<transport::Address>().is_ok();
        if !entry.addresses.iter().all(usable) {
            return refuse("has a bad address: write /ip4/A/tcp/PORT or /ip4/A/udp/PORT/quic-v1 (or ip6)");
        }
        for (chain, account) in &entry.accounts {
            if !is_word(chain) || !is_word(account) {
                return refuse("has a bad account: chain id and address are at most 128 printable characters each");
            }
            if !accounts.insert((chain, account)) {
                return refuse("has the chain account of another party");
            }
        }
    }
    Ok(())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= WORD_BYTES_MAX && text.chars().all(|c| c.is_ascii_graphic())
}

fn verify_entry(terms: &[u8; 32], entry: &RosterEntry, signature: &[u8; 64]) -> Result<(), RosterError> {
    if identity::verify(&entry.node_key, &entry_digest(terms, entry), signature) {
        Ok(())
    } else {
        Err(RosterError::Signature { party: entry.name.clone() })
    }
}

#[cfg(test)]
mod tests;
