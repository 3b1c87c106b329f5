//! Signature bytes: what the chain verifies and what it keeps, per key type.

use chain_client::proto::zrchain::treasury::KeyType;
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use k256::elliptic_curve::ops::Reduce;
use k256::{Scalar, U256};

/// What the chain would store for signed data of a key type, before verification.
pub(super) enum Stored {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing: the request is rejected for this reason.
    Refused(String),
    /// The live chain's handler panics.
    Panic(String),
}

/// The form in which an answer is kept: BITCOIN answers become DER, the others stay.
pub(super) fn stored_form(key_type: KeyType, signed: &[u8]) -> Stored {
    if key_type != KeyType::BitcoinSecp256k1 {
        return Stored::Bytes(signed.to_vec());
    }
    if signed.len() >= 66 {
        return Stored::Refused(format!("failed to convert signature: {} bytes", signed.len()));
    }
    let Some(signed) = signed.get(..64) else {
        return Stored::Panic(format!("slice bounds out of range [:128] with length {}", 2 * signed.len()));
    };
    Stored::Bytes(der(signed))
}

/// DER of `r‖s` with low `s`. Values beyond the group order are reduced, as the live chain's library does.
fn der(signed: &[u8]) -> Vec<u8> {
    let scalar = |bytes: &[u8]| <Scalar as Reduce<U256>>::reduce(U256::from_be_slice(bytes));
    let (r, s) = (scalar(&signed[..32]), scalar(&signed[32..64]));
    let low = if bool::from(k256::elliptic_curve::scalar::IsHigh::is_high(&s)) { -s } else { s };
    let (r, s) = (der_integer(&r.to_bytes()), der_integer(&low.to_bytes()));
    let mut out = vec![0x30, (r.len() + s.len()) as u8];
    out.extend(r);
    out.extend(s);
    out
}

fn der_integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let digits = &bytes[start..];
    let pad = usize::from(digits[0] & 0x80 != 0);
    let mut out = vec![0x02, (digits.len() + pad) as u8];
    out.extend(std::iter::repeat_n(0, pad));
    out.extend(digits);
    out
}

/// Verifies by the chain's rule.
///
/// # Errors
/// The reason.
pub(super) fn verify(key_type: KeyType, public_key: &[u8], data: &[u8], stored: &[u8]) -> Result<(), &'static str> {
    match key_type {
        KeyType::EcdsaSecp256k1 => verify_ecdsa(public_key, data, stored),
        KeyType::EddsaEd25519 => verify_eddsa(public_key, data, stored),
        KeyType::BitcoinSecp256k1 => verify_bitcoin(public_key, data, stored),
        KeyType::Unspecified => Err("unknown key type"),
    }
}

fn verify_ecdsa(public_key: &[u8], digest: &[u8], signed: &[u8]) -> Result<(), &'static str> {
    if !matches!(signed.len(), 64 | 65) {
        return Err("signature is not 64 or 65 bytes");
    }
    if digest.len() != 32 {
        return Err("digest is not 32 bytes");
    }
    let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| "public key is not on the curve")?;
    let signature = Signature::from_slice(&signed[..64]).map_err(|_| "r or s is out of range")?;
    if signature.normalize_s().is_some() {
        return Err("s is high");
    }
    key.verify_prehash(digest, &signature).map_err(|_| "signature does not verify")
}

fn verify_eddsa(public_key: &[u8], message: &[u8], signed: &[u8]) -> Result<(), &'static str> {
    let key: [u8; 32] = public_key.try_into().map_err(|_| "public key is not 32 bytes")?;
    let signed: [u8; 64] = signed.try_into().map_err(|_| "signature is not 64 bytes")?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key).map_err(|_| "public key is not on the curve")?;
    let signature = ed25519_dalek::Signature::from_bytes(&signed);
    ed25519_dalek::Verifier::verify(&key, message, &signature).map_err(|_| "signature does not verify")
}

fn verify_bitcoin(public_key: &[u8], digest: &[u8], stored: &[u8]) -> Result<(), &'static str> {
    let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| "public key is not on the curve")?;
    let signature = Signature::from_der(stored).map_err(|_| "r or s is out of range")?;
    // The library takes the first 32 bytes of a longer digest and fills a shorter one up in front.
    let mut number = [0; 32];
    let taken = digest.len().min(32);
    number[32 - taken..].copy_from_slice(&digest[..taken]);
    key.verify_prehash(&number, &signature).map_err(|_| "signature does not verify")
}

/// A 65-byte ECDSA answer keeps the recovery id that the chain computes, whatever it carried; 64 bytes stay.
pub(super) fn with_recovery_id(public_key: &[u8], digest: &[u8], mut signed: Vec<u8>) -> Vec<u8> {
    if signed.len() != 65 {
        return signed;
    }
    let Ok(signature) = Signature::from_slice(&signed[..64]) else { return signed };
    let Ok(expected) = VerifyingKey::from_sec1_bytes(public_key) else { return signed };
    for id in 0..2_u8 {
        let recovered =
            RecoveryId::from_byte(id).and_then(|id| VerifyingKey::recover_from_prehash(digest, &signature, id).ok());
        if recovered == Some(expected) {
            signed[64] = id;
        }
    }
    signed
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
    const KEY: &str = "0258686caab00866db8f9e41e16da7cbaedfe0ead7881974b1b1741ed925022927";
    const LOW: &str = "0d44d9ad5550c173ed36b8a8fff635b6c100dbc1cff4713d8bc6e532169d86751e25bd65f3498164370c90e1ae1c5ba2d51d995979cbeca04c849ddd76f140b3";
    const HIGH: &str = "0d44d9ad5550c173ed36b8a8fff635b6c100dbc1cff4713d8bc6e532169d8675e1da429a0cb67e9bc8f36f1e51e3a45be591438d357cb39b734dc0af5945008e";
    const DER: &str = "304402200d44d9ad5550c173ed36b8a8fff635b6c100dbc1cff4713d8bc6e532169d867502201e25bd65f3498164370c90e1ae1c5ba2d51d995979cbeca04c849ddd76f140b3";

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text).expect("hex")
    }

    #[test]
    fn a_bitcoin_answer_is_kept_as_der_with_low_s() {
        for form in [LOW.to_owned(), HIGH.to_owned(), format!("{LOW}1b")] {
            let Stored::Bytes(kept) = stored_form(KeyType::BitcoinSecp256k1, &bytes(&form)) else { panic!("{form}") };
            assert_eq!(hex::encode(&kept), DER);
            verify(KeyType::BitcoinSecp256k1, &bytes(KEY), &bytes(DIGEST), &kept).expect("verifies");
        }
    }

    #[test]
    fn a_bitcoin_answer_of_other_length_is_refused_or_panics() {
        assert!(matches!(stored_form(KeyType::BitcoinSecp256k1, &[1; 66]), Stored::Refused(_)));
        assert!(matches!(stored_form(KeyType::BitcoinSecp256k1, &bytes(DER)), Stored::Refused(_)));
        assert!(matches!(stored_form(KeyType::BitcoinSecp256k1, &[1; 63]), Stored::Panic(_)));
    }

    #[test]
    fn an_ecdsa_answer_needs_low_s_and_32_bytes_of_digest() {
        let check = |digest: &[u8], signed: &str| verify(KeyType::EcdsaSecp256k1, &bytes(KEY), digest, &bytes(signed));
        assert!(check(&bytes(DIGEST), LOW).is_ok());
        assert!(check(&bytes(DIGEST), &format!("{LOW}05")).is_ok());
        assert!(check(&bytes(DIGEST), HIGH).is_err());
        assert!(check(&bytes(DIGEST)[..31], LOW).is_err());
        assert!(check(&bytes(DIGEST), &LOW[2..]).is_err());
    }

    #[test]
    fn the_recovery_id_is_the_chains_own() {
        for given in ["00", "01", "1b", "1c", "ff"] {
            let kept = with_recovery_id(&bytes(KEY), &bytes(DIGEST), bytes(&format!("{LOW}{given}")));
            assert_eq!(hex::encode(kept), format!("{LOW}00"));
        }
        assert_eq!(with_recovery_id(&bytes(KEY), &bytes(DIGEST), bytes(LOW)), bytes(LOW));
    }
}
