//! How operators who trust nobody's wire come to one roster: each sends a *card* with its own signed entry, each
//! assembles the same *draft* from all cards, all compare its fingerprint by voice, each sends its *consent*, and the
//! consents of all make the roster.
//!
//! Pure: texts in, texts out; who carries the files is not known here. Nothing in them is secret. What protects against
//! exchanged cards is the fingerprint alone: a card only shows that whoever holds its key wrote it.

pub mod progress;

use crate::identity::{self, NodeIdentity};
use crate::roster::{RosterEntry, RosterError, RosterFile, RosterFileEntry, card_digest, fingerprint};
use chain_client::zrsign::name::Proxy;
use serde::{Deserialize, Serialize};

/// One party's entry, signed by its node key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    entry: RosterFileEntry,
}

/// One party's signature under a draft.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    consent: ConsentFields,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsentFields {
    /// Who signed.
    party: String,
    /// Digest of what was signed, hexadecimal.
    roster: String,
    /// Signature over terms and entry, hexadecimal.
    signature: String,
}

/// Why a ceremony cannot go on. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CeremonyError {
    /// The text is something else.
    #[error("this is no {what}")]
    Parse {
        /// What it should be.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A card was changed on its way, or never right.
    #[error("the card of {party} is not signed by the node key in it: have it sent again")]
    Card {
        /// Whom it names.
        party: String,
    },
    /// The parties on the cards do not make a roster.
    #[error("these cards make no roster")]
    Roster(#[from] RosterError),
    /// This node's own card is not among them, or another one of its name.
    #[error("the cards hold no entry that is this node's own: name and node key must be those of this configuration")]
    NotOurs,
    /// Two operators do not see the same.
    #[error("{heard} is not the fingerprint of the draft here: cards differ; do NOT sign, compare them one by one")]
    Fingerprint {
        /// As it was typed. What the draft's is, is not repeated here: it is to be heard, not copied.
        heard: String,
    },
    /// A consent to another roster.
    #[error("{party} signed another roster, {theirs}, not {ours}: compare the cards one by one")]
    OtherRoster {
        /// Who.
        party: String,
        /// Fingerprint of that one.
        theirs: String,
        /// Fingerprint of the draft here.
        ours: String,
    },
    /// A consent that is none.
    #[error("the consent of {party} does not verify, or no party of the draft has that name: have it sent again")]
    Consent {
        /// Whom it names.
        party: String,
    },
}

impl Card {
    /// This party's card.
    #[must_use]
    pub fn sign(entry: RosterEntry, identity: &NodeIdentity) -> Self {
        let signature = hex::encode(identity.sign(&card_digest(&entry)));
        Self { entry: RosterFileEntry { signature, ..RosterFileEntry::unsigned(entry) } }
    }

    /// The entry on a card, if its own key signed it.
    ///
    /// # Errors
    /// [`CeremonyError::Parse`], [`CeremonyError::Card`], [`CeremonyError::Roster`].
    pub fn open(text: &str) -> Result<RosterEntry, CeremonyError> {
        let parsed = toml::from_str(text);
        let card: Self =
            parsed.map_err(|error| CeremonyError::Parse { what: "entry card of a party", source: Box::new(error) })?;
        let entry = card.entry.checked()?;
        let signed = |signature| identity::verify(&entry.node_key, &card_digest(&entry), &signature);
        if card.entry.signature().is_some_and(signed) {
            Ok(entry)
        } else {
            Err(CeremonyError::Card { party: entry.name })
        }
    }

    /// The card's text.
    ///
    /// # Errors
    /// Never for a card that was signed here.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}

/// The draft of all cards: the same on every machine, in whatever order the cards came and however often, as long as all
/// configurations name the same contracts.
///
/// # Errors
/// [`CeremonyError::Roster`]; [`CeremonyError::NotOurs`] unless `own` is among them, entry for entry.
pub fn assemble(
    epoch: u64,
    need: u16,
    mut entries: Vec<RosterEntry>,
    own: &RosterEntry,
    contracts: &[Proxy],
) -> Result<RosterFile, CeremonyError> {
    entries.sort_by(|a, b| (&a.name, a.node_key).cmp(&(&b.name, b.node_key)));
    entries.dedup();
    if !entries.contains(own) {
        return Err(CeremonyError::NotOurs);
    }
    let draft = RosterFile::new(epoch, need, entries).with_contracts(contracts.iter().copied());
    draft.digest()?;
    Ok(draft)
}

/// Signs a draft whose fingerprint somebody else has read out, and gives the consent to send to the others.
///
/// # Errors
/// [`CeremonyError::Fingerprint`] unless `heard` is the draft's; [`CeremonyError::NotOurs`].
///
/// # Security
/// The comparison is the ceremony's only root of trust: `heard` must come from the others, not from this screen.
pub fn consent(draft: &mut RosterFile, heard: &str, identity: &NodeIdentity) -> Result<Consent, CeremonyError> {
    let digest = draft.digest()?;
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    if digits(heard) != digits(&fingerprint(&digest)) {
        return Err(CeremonyError::Fingerprint { heard: heard.chars().take(80).collect() });
    }
    draft.sign(identity)?;
    let key = hex::encode(identity.public());
    let signed = draft.parties.iter().find(|entry| entry.node_key == key).ok_or(CeremonyError::NotOurs)?;
    Ok(Consent {
        consent: ConsentFields {
            party: signed.name.clone(),
            roster: hex::encode(digest),
            signature: signed.signature.clone(),
        },
    })
}

impl Consent {
    /// Reads one. Nothing is verified.
    ///
    /// # Errors
    /// [`CeremonyError::Parse`].
    pub fn parse(text: &str) -> Result<Self, CeremonyError> {
        toml::from_str(text)
            .map_err(|error| CeremonyError::Parse { what: "consent to a roster", source: Box::new(error) })
    }

    /// Whose it says it is.
    #[must_use]
    pub fn party(&self) -> &str {
        &self.consent.party
    }

    /// Its text.
    ///
    /// # Errors
    /// Never for one that was made here.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// Puts the signature under the draft.
    ///
    /// # Errors
    /// [`CeremonyError::OtherRoster`], [`CeremonyError::Consent`]: the draft is as it was.
    pub fn join(&self, draft: &mut RosterFile) -> Result<(), CeremonyError> {
        let ConsentFields { party, roster, signature } = &self.consent;
        let ours = draft.digest()?;
        if *roster != hex::encode(ours) {
            let theirs = hex::decode(roster).ok().and_then(|digest| digest.try_into().ok());
            let theirs = theirs.map_or_else(|| "unreadable".to_owned(), |digest: [u8; 32]| fingerprint(&digest));
            return Err(CeremonyError::OtherRoster { party: party.clone(), theirs, ours: fingerprint(&ours) });
        }
        let refused = || CeremonyError::Consent { party: party.clone() };
        let mut with = draft.clone();
        let entry = with.parties.iter_mut().find(|entry| entry.name == *party).ok_or_else(refused)?;
        entry.signature.clone_from(signature);
        if with.unsigned()?.contains(party) {
            return Err(refused());
        }
        *draft = with;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use zeroize::Zeroizing;

    fn identity(seed: u8) -> NodeIdentity {
        NodeIdentity::from_seed(&Zeroizing::new([seed; 32]))
    }

    fn entry(name: &str, seed: u8) -> RosterEntry {
        RosterEntry {
            name: name.to_owned(),
            node_key: identity(seed).public(),
            addresses: vec![format!("/ip4/127.0.0.1/tcp/{}", 7_000 + u16::from(seed))],
            accounts: BTreeMap::from([("zenrock".to_owned(), format!("zen1{name}"))]),
        }
    }

    fn entries() -> Vec<RosterEntry> {
        vec![entry("gamma", 3), entry("alpha", 1), entry("beta", 2)]
    }

    fn draft() -> RosterFile {
        assemble(1, 2, entries(), &entry("alpha", 1), &[]).unwrap()
    }

    fn print_of(draft: &RosterFile) -> String {
        fingerprint(&draft.digest().unwrap())
    }

    #[test]
    fn three_operators_come_to_one_roster() {
        let cards: Vec<String> = entries()
            .into_iter()
            .zip([3, 1, 2])
            .map(|(entry, seed)| Card::sign(entry, &identity(seed)).to_toml().unwrap())
            .collect();
        let mut drafts: Vec<RosterFile> = [("alpha", 1), ("beta", 2), ("gamma", 3)]
            .into_iter()
            .map(|(name, seed)| {
                let opened = cards.iter().cycle().skip(seed.into()).take(4).map(|card| Card::open(card).unwrap());
                assemble(1, 2, opened.collect(), &entry(name, seed), &[]).unwrap()
            })
            .collect();
        let heard = print_of(&drafts[0]);
        let consents: Vec<String> = drafts
            .iter_mut()
            .zip(1..)
            .map(|(draft, seed)| consent(draft, &heard, &identity(seed)).unwrap().to_toml().unwrap())
            .collect();
        let mut rosters = Vec::new();
        for draft in &mut drafts {
            for consent in &consents {
                Consent::parse(consent).unwrap().join(draft).unwrap();
            }
            rosters.push(draft.verify().unwrap());
        }
        assert!(rosters.iter().all(|roster| *roster == rosters[0]));
        assert_eq!(rosters[0].fingerprint(), heard);
        assert_eq!(rosters[0].parties()[0].name, "alpha", "in the order of the names");
    }

    #[test]
    fn a_card_that_was_changed_on_its_way_is_refused() {
        let card = Card::sign(entry("alpha", 1), &identity(1)).to_toml().unwrap();
        for (from, to) in [("zen1alpha", "zen1thief"), ("tcp/7001", "tcp/7002"), ("\"alpha\"", "\"omega\"")] {
            let changed = card.replace(from, to);
            assert_ne!(card, changed);
            assert!(matches!(Card::open(&changed), Err(CeremonyError::Card { .. })), "{to}");
        }
        assert!(matches!(Card::open("[consent]\nparty = \"x\""), Err(CeremonyError::Parse { .. })));
    }

    #[test]
    fn an_exchanged_card_shows_in_the_fingerprint() {
        let mut sly = entries();
        sly[2] = entry("beta", 9);
        let theirs = assemble(1, 2, sly, &entry("alpha", 1), &[]).unwrap();
        let mut ours = draft();
        let before = ours.to_toml().unwrap();
        let refused = consent(&mut ours, &print_of(&theirs), &identity(1)).unwrap_err();
        assert!(matches!(refused, CeremonyError::Fingerprint { .. }), "{refused}");
        assert_eq!(ours.to_toml().unwrap(), before, "nothing was signed");
        for change in
            [assemble(1, 3, entries(), &entry("alpha", 1), &[]), assemble(2, 2, entries(), &entry("alpha", 1), &[])]
        {
            assert_ne!(print_of(&change.unwrap()), print_of(&ours));
        }
    }

    #[test]
    fn a_draft_without_our_own_card_is_refused() {
        assert!(matches!(assemble(1, 2, entries(), &entry("delta", 4), &[]), Err(CeremonyError::NotOurs)));
        let exchanged = assemble(1, 2, entries(), &entry("alpha", 9), &[]);
        assert!(matches!(exchanged, Err(CeremonyError::NotOurs)), "another key under our name");
    }

    #[test]
    fn a_consent_counts_for_its_own_roster_and_party_only() {
        let mut other = assemble(2, 2, entries(), &entry("beta", 2), &[]).unwrap();
        let heard = print_of(&other);
        let elsewhere = consent(&mut other, &heard, &identity(2)).unwrap();
        let mut ours = draft();
        assert!(matches!(elsewhere.join(&mut ours), Err(CeremonyError::OtherRoster { .. })));
        let heard = print_of(&ours);
        let mut signed = ours.clone();
        let mut forged = consent(&mut signed, &heard, &identity(2)).unwrap();
        forged.consent.party = "gamma".to_owned();
        assert!(matches!(forged.join(&mut ours), Err(CeremonyError::Consent { .. })));
        assert_eq!(ours.unsigned().unwrap().len(), 3, "the draft is as it was");
    }

    #[test]
    fn a_fingerprint_may_be_typed_with_any_blanks_and_dashes() {
        let mut draft = draft();
        let heard = print_of(&draft).replace(' ', "-") + "\n";
        assert!(consent(&mut draft, &heard, &identity(1)).is_ok());
        assert!(consent(&mut draft, "", &identity(1)).is_err());
    }
}
