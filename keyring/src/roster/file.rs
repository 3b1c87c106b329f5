//! The roster as a file: what is written and signed in a ceremony, and what becomes a [`Roster`] once it verifies.

use super::{FILE_BYTES_MAX, PARTIES_MAX, Roster, RosterEntry, RosterError};
use super::{check_contracts, check_entries, entry_digest, roster_digest, terms, verify_entry};
use crate::identity::NodeIdentity;
use chain_client::zrsign::name::Proxy;
use mpc_core::Threshold;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

/// A roster file. Nothing in it is verified.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterFile {
    /// Number of this roster; each change is a new epoch.
    pub epoch: u64,
    /// How many parties sign.
    pub need: u16,
    /// How many parties there are: as many as are listed.
    pub of: u16,
    /// The contracts whose controller keys all parties ask for, `eip155:CHAIN/ADDRESS`, by rising chain id.
    #[serde(default)]
    pub contracts: Vec<String>,
    /// The parties, by place.
    #[serde(rename = "party")]
    pub parties: Vec<RosterFileEntry>,
}

/// One party in a roster file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterFileEntry {
    /// See [`RosterEntry::name`].
    pub name: String,
    /// See [`RosterEntry::node_key`]; 64 hexadecimal digits.
    pub node_key: String,
    /// See [`RosterEntry::addresses`].
    pub addresses: Vec<String>,
    /// Signature of the node key over terms and entry; 128 hexadecimal digits. Empty until the party has signed.
    #[serde(default)]
    pub signature: String,
    /// See [`RosterEntry::accounts`].
    #[serde(default)]
    pub accounts: BTreeMap<String, String>,
}

impl RosterFile {
    /// An unsigned roster.
    pub fn new(epoch: u64, need: u16, parties: impl IntoIterator<Item = RosterEntry>) -> Self {
        let parties: Vec<_> = parties.into_iter().map(RosterFileEntry::unsigned).collect();
        // A count beyond u16 is refused where everything is: when it is signed or verified.
        let of = u16::try_from(parties.len()).unwrap_or(u16::MAX);
        Self { epoch, need, of, contracts: Vec::new(), parties }
    }

    /// The same with contracts, in the order that a roster has them in.
    #[must_use]
    pub fn with_contracts(mut self, contracts: impl IntoIterator<Item = Proxy>) -> Self {
        let ordered: BTreeSet<Proxy> = contracts.into_iter().collect();
        self.contracts = ordered.into_iter().map(|contract| contract.to_string()).collect();
        self
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`RosterError::Read`], [`RosterError::Parse`].
    pub fn load(path: &Path) -> Result<Self, RosterError> {
        let failed = |source| RosterError::Read { path: path.to_owned(), source };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text)
    }

    /// Parses a text.
    ///
    /// # Errors
    /// [`RosterError::Parse`].
    pub fn parse(text: &str) -> Result<Self, RosterError> {
        toml::from_str(text).map_err(|error| RosterError::Parse(Box::new(error)))
    }

    /// The file's text.
    ///
    /// # Errors
    /// [`toml::ser::Error`]; not for any roster that can be verified.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// Signs the entry that has this identity's node key. Any other change afterwards to the terms undoes it.
    ///
    /// # Errors
    /// [`RosterError::Stranger`] if no entry has this key; everything that makes the roster invalid but signatures.
    ///
    /// # Security
    /// A signature consents to the whole membership. Look at it first.
    pub fn sign(&mut self, identity: &NodeIdentity) -> Result<(), RosterError> {
        let (threshold, parties, contracts) = self.check()?;
        let terms = terms(self.epoch, threshold, &parties, &contracts);
        for (entry, written) in parties.iter().zip(&mut self.parties) {
            if entry.node_key == identity.public() {
                written.signature = hex::encode(identity.sign(&entry_digest(&terms, entry)));
                return Ok(());
            }
        }
        Err(RosterError::Stranger { node_key: hex::encode(identity.public()) })
    }

    /// The digest of the roster that this becomes when all have signed.
    ///
    /// # Errors
    /// Everything that makes the roster invalid but signatures.
    pub fn digest(&self) -> Result<[u8; 32], RosterError> {
        let (threshold, parties, contracts) = self.check()?;
        Ok(roster_digest(&terms(self.epoch, threshold, &parties, &contracts), &parties))
    }

    /// The entries, checked but for their signatures.
    ///
    /// # Errors
    /// Everything that makes the roster invalid but signatures.
    pub fn entries(&self) -> Result<Vec<RosterEntry>, RosterError> {
        Ok(self.check()?.1)
    }

    /// Names of the parties whose signature is missing or does not verify.
    ///
    /// # Errors
    /// Everything that makes the roster invalid but signatures.
    pub fn unsigned(&self) -> Result<Vec<String>, RosterError> {
        let (threshold, parties, contracts) = self.check()?;
        let terms = terms(self.epoch, threshold, &parties, &contracts);
        let open = |(entry, written): (&RosterEntry, &RosterFileEntry)| {
            let signed = written.signature().is_some_and(|signature| verify_entry(&terms, entry, &signature).is_ok());
            (!signed).then(|| entry.name.clone())
        };
        Ok(parties.iter().zip(&self.parties).filter_map(open).collect())
    }

    /// The roster that every party has signed.
    ///
    /// # Errors
    /// [`RosterError`].
    pub fn verify(&self) -> Result<Roster, RosterError> {
        if let Some(party) = self.unsigned()?.into_iter().next() {
            return Err(RosterError::Signature { party });
        }
        let (threshold, parties, contracts) = self.check()?;
        let digest = roster_digest(&terms(self.epoch, threshold, &parties, &contracts), &parties);
        Ok(Roster { epoch: self.epoch, threshold, parties, contracts, digest })
    }

    /// Everything but the signatures.
    fn check(&self) -> Result<(Threshold, Vec<RosterEntry>, Vec<Proxy>), RosterError> {
        let refused = || RosterError::Threshold { need: self.need, of: self.of, parties: self.parties.len() };
        if self.of > PARTIES_MAX || usize::from(self.of) != self.parties.len() {
            return Err(refused());
        }
        let threshold = Threshold::new(self.need, self.of).map_err(|_| refused())?;
        let parties = self.parties.iter().map(RosterFileEntry::checked).collect::<Result<Vec<_>, _>>()?;
        check_entries(&parties)?;
        Ok((threshold, parties, check_contracts(&self.contracts)?))
    }
}

impl RosterFileEntry {
    /// An entry without a signature.
    pub(crate) fn unsigned(entry: RosterEntry) -> Self {
        Self {
            name: entry.name,
            node_key: hex::encode(entry.node_key),
            addresses: entry.addresses,
            signature: String::new(),
            accounts: entry.accounts,
        }
    }

    /// The entry, if its key is written as one. No signature is looked at.
    pub(crate) fn checked(&self) -> Result<RosterEntry, RosterError> {
        let mut node_key = [0; 32];
        hex::decode_to_slice(&self.node_key, &mut node_key).map_err(|_| RosterError::Entry {
            party: self.name.clone(),
            what: "has a bad node_key: 64 hexadecimal digits are needed".to_owned(),
        })?;
        Ok(RosterEntry {
            name: self.name.clone(),
            node_key,
            addresses: self.addresses.clone(),
            accounts: self.accounts.clone(),
        })
    }

    /// The signature, if there is one of the right length.
    pub(crate) fn signature(&self) -> Option<[u8; 64]> {
        let mut signature = [0; 64];
        hex::decode_to_slice(&self.signature, &mut signature).ok()?;
        Some(signature)
    }
}
