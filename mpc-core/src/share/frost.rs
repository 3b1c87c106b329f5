//! Ed25519 shares in the FROST library's form: same scalars and points, other types.
//!
//! Key generation numbers evaluation points 1…n exactly as FROST numbers identifiers, so a share crosses over byte for byte.

use frost_ed25519::{
    Error, Identifier, VerifyingKey,
    keys::{KeyPackage, SigningShare, VerifyingShare},
};
use generic_ec::curves::Ed25519;
use zeroize::Zeroizing;

use super::{KeyInfo, KeyShare, Points, Secret};
use crate::{
    party::PartyIndex,
    suite::{exposed, point_bytes},
};

/// FROST's name of a party: its evaluation point.
pub(crate) fn identifier(party: PartyIndex) -> Result<Identifier, Error> {
    Identifier::try_from(party.get().saturating_add(1))
}

impl KeyInfo {
    /// The group key in FROST's form; `None` for another suite.
    pub(crate) fn frost_group_key(&self) -> Option<VerifyingKey> {
        matches!(self.points, Points::Ed25519(_)).then(|| VerifyingKey::deserialize(&self.group_key).ok()).flatten()
    }

    /// The public share of `party` in FROST's form; `None` for another suite or a party outside the committee.
    pub(crate) fn frost_share(&self, party: PartyIndex) -> Option<VerifyingShare> {
        let Points::Ed25519(points) = &self.points else { return None };
        let share = points.shares.get(usize::from(party.get()))?;
        VerifyingShare::deserialize(&point_bytes(share)).ok()
    }
}

impl KeyShare {
    /// The whole share in FROST's form; `None` for another suite. FROST wipes its copy when dropped.
    pub(crate) fn frost_package(&self) -> Option<KeyPackage> {
        let Secret::Ed25519(secret) = &self.secret else { return None };
        let little_endian = Zeroizing::new(exposed::<Ed25519>(secret).to_le_bytes().to_vec());
        Some(KeyPackage::new(
            identifier(self.party).ok()?,
            SigningShare::deserialize(&little_endian).ok()?,
            self.info.frost_share(self.party)?,
            self.info.frost_group_key()?,
            self.info.threshold.need(),
        ))
    }
}
