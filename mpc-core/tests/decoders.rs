//! Bytes from disks and peers: the layouts are pinned byte for byte, and nothing that is read makes a decoder panic.
#![cfg(feature = "testing")]

use k256::{ProjectivePoint, Scalar, elliptic_curve::sec1::ToEncodedPoint};
use mpc_core::{AuxInfo, KeyInfo, KeyShare, Payload, Primes, Signature, Suite, primes::SafePrime};
use proptest::prelude::*;

/// A 2-of-2 key made by hand with another library: the secret is 1, the polynomial 1 + 2x, party 1's share 5.
fn share_by_hand() -> Vec<u8> {
    let point = |times: u64| {
        let point = ProjectivePoint::GENERATOR * Scalar::from(times);
        point.to_affine().to_encoded_point(true).as_bytes().to_vec()
    };
    let mut bytes = vec![1, 1, 0, 2, 0, 2];
    for times in [1, 3, 5] {
        bytes.extend(point(times));
    }
    bytes.extend([0, 1]);
    bytes.extend([[0; 31].as_slice(), &[5]].concat());
    bytes
}

#[test]
fn the_layout_of_a_share_is_pinned() {
    let bytes = share_by_hand();
    let share = KeyShare::decode(&bytes).unwrap();
    assert_eq!(share.encode().as_slice(), bytes);
    assert_eq!(share.info().encode(), bytes[..bytes.len() - 34]);
    assert_eq!((share.info().suite(), share.party().get()), (Suite::Secp256k1, 1));
    assert_eq!(share.info().key_id().to_string().len(), 8);
    // The names of keys stand in certificates: pinned as well.
    let name = hex::encode(share.info().key_id().as_bytes());
    assert_eq!(name, KEY_ID_BY_HAND);
}

/// SHA-256 over the length-prefixed tag `mpc-core/key-id/1`, the suite's byte and the generator, computed with another program.
const KEY_ID_BY_HAND: &str = "0182b469d332a9ddb3d37915ffe6ffe46c83ac8762a8ca6bb1f610c507e020c6";

#[test]
fn shares_that_contradict_their_public_part_are_refused() {
    let right = share_by_hand();
    let changed = |at: usize, to: u8| {
        let mut bytes = right.clone();
        bytes[at] = to;
        KeyShare::decode(&bytes).is_err()
    };
    let end = right.len();
    assert!(changed(0, 2), "another version");
    assert!(changed(1, 2), "another suite");
    assert!(changed(3, 1), "a threshold of one");
    assert!(changed(5, 3), "another committee");
    assert!(changed(end - 33, 0), "another party's share");
    assert!(changed(end - 33, 2), "a party outside the committee");
    assert!(changed(end - 1, 3), "another secret");
    assert!(changed(end - 1, 0), "a secret of zero");
}

#[test]
fn a_key_that_fewer_than_its_threshold_hold_is_refused() {
    // All shares equal the secret: a polynomial of degree zero, so one party alone could sign.
    let generator = ProjectivePoint::GENERATOR.to_affine().to_encoded_point(true).as_bytes().to_vec();
    let bytes = [vec![1, 1, 0, 2, 0, 2], generator.clone(), generator.clone(), generator].concat();
    let error = KeyInfo::decode(&bytes).unwrap_err();
    assert!(error.to_string().contains("fewer parties"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_decoder_panic(noise in proptest::collection::vec(any::<u8>(), 0..600), head in 0u8..4) {
        // As they are, and behind a plausible beginning.
        for prefix in [vec![], vec![1, head], vec![1, head, 0, 2, 0, 3], vec![1, 101, 0, 2, 0, 1], vec![1, 1, 0, 2, 0, 1]] {
            let bytes = [prefix, noise.clone()].concat();
            prop_assert!(KeyShare::decode(&bytes).is_err());
            prop_assert!(KeyInfo::decode(&bytes).is_err());
            prop_assert!(AuxInfo::decode(&bytes).is_err());
            let _ = Primes::decode(&bytes);
            let _ = SafePrime::from_bytes(&bytes);
        }
    }

    #[test]
    fn no_bytes_are_a_signature(bytes in proptest::collection::vec(any::<u8>(), 64), key in any::<[u8; 32]>(), recovery in any::<u8>()) {
        let bytes: [u8; 64] = bytes.try_into().unwrap();
        let message = Payload::Message(key.to_vec());
        let (ed, ec) = (Signature::Eddsa(bytes), Signature::Ecdsa { bytes, recovery });
        prop_assert!(!ed.verify(&key, &message));
        let (group, digest) = ([[2].as_slice(), &key].concat(), Payload::Digest(key));
        prop_assert!(!ec.verify(&group, &digest));
        // One kind of payload is never taken for the other.
        prop_assert!(!ed.verify(&key, &digest));
        prop_assert!(!ec.verify(&group, &message));
    }
}

#[test]
fn damaged_auxiliary_data_never_makes_the_decoder_panic() {
    let mut committee = mpc_core::testing::Committee::new(&TOY, 2, 2, 1);
    committee.deal_aux();
    let bytes = committee.aux(0.into()).unwrap().encode();
    for at in 0..bytes.len() {
        for to in [0, 0xFF, bytes[at] ^ 1] {
            let mut damaged = bytes.to_vec();
            damaged[at] = to;
            let _ = AuxInfo::decode(&damaged);
        }
    }
}

const TOY: mpc_core::Cggmp24 = mpc_core::Cggmp24::toy();
