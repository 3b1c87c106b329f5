//! The crate's public face, used as a stranger would: keys, auxiliary data and signatures from the first message to the last.
#![cfg(feature = "testing")]

use std::collections::BTreeMap;

use mpc_core::{
    AuxInfo, Cggmp24, CombineError, EcdsaEngine, KeyInfo, KeyShare, NoncePoint, Partial, PartyIndex, Payload,
    SessionId, Signature, SignerSet, Step, Suite, Threshold, Transparent, combine,
    testing::{Committee, run, seeded},
};

fn payload(suite: Suite) -> Payload {
    match suite {
        Suite::Secp256k1 => Payload::Digest([0x5A; 32]),
        Suite::Ed25519 => Payload::Message(b"a whole message".to_vec()),
    }
}

#[test]
fn every_party_ends_key_generation_with_the_same_public_part_and_its_own_share() {
    for suite in [Suite::Secp256k1, Suite::Ed25519] {
        let mut committee = Committee::new(&Transparent, 3, 5, 1);
        let key = committee.keygen(suite);
        let first = key[&PartyIndex::new(0)].info();
        assert_eq!((first.suite(), first.group_key().len()), (suite, suite.point_len()));
        for (party, share) in &key {
            assert_eq!((share.party(), share.info()), (*party, first));
            assert_eq!(share.info().shares_digest(), first.shares_digest());
        }
        assert_ne!(committee.keygen(suite)[&PartyIndex::new(0)].info().key_id(), first.key_id());
    }
}

#[test]
fn a_key_share_survives_encoding_and_no_damaged_byte_is_accepted() {
    for suite in [Suite::Secp256k1, Suite::Ed25519] {
        let key = Committee::new(&Transparent, 2, 3, 2).keygen(suite);
        let share = &key[&PartyIndex::new(1)];
        let bytes = share.encode();
        let read = KeyShare::decode(&bytes).unwrap();
        assert_eq!((read.info(), read.party(), read.encode()), (share.info(), share.party(), bytes.clone()));
        assert_eq!(&KeyInfo::decode(&share.info().encode()).unwrap(), share.info());
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            assert!(KeyShare::decode(&damaged).is_err(), "byte {at}");
            assert!(KeyShare::decode(&bytes[..at]).is_err(), "length {at}");
        }
    }
}

#[test]
fn neither_share_nor_auxiliary_data_shows_its_secret_in_debug_output() {
    let mut committee = Committee::new(&Transparent, 2, 3, 3);
    let key = committee.keygen(Suite::Secp256k1);
    let share = &key[&PartyIndex::new(0)];
    let secret = hex::encode(&share.encode()[share.encode().len() - 32..]);
    assert!(!format!("{share:?}").contains(&secret[..8]));
    assert!(format!("{share:?}").contains("withheld"));
}

#[test]
fn any_threshold_of_parties_signs_with_every_engine_and_an_outsider_finishes_the_same_signature() {
    let toy = Cggmp24::toy();
    let engines: [&dyn EcdsaEngine; 2] = [&toy, &Transparent];
    for engine in engines {
        let mut committee = Committee::new(engine, 2, 3, 4);
        committee.make_aux();
        for suite in [Suite::Secp256k1, Suite::Ed25519] {
            let key = committee.keygen(suite);
            for pair in [[0, 1], [0, 2], [2, 1]] {
                let signers = SignerSet::new(committee.threshold(), pair.map(PartyIndex::new)).unwrap();
                let payload = payload(suite);
                let issued = committee.issue(&key, &signers, &payload);
                let info = key[&PartyIndex::new(pair[0])].info();
                let commitments: Vec<_> = issued.values().map(|issued| issued.commitments.clone()).collect();
                assert!(commitments.windows(2).all(|two| two[0] == two[1] && two[0].digest() == two[1].digest()));
                for (signer, issued) in &issued {
                    assert!(commitments[0].check(info, &payload, *signer, &issued.partial));
                }
                let partials: BTreeMap<_, _> =
                    issued.into_iter().map(|(party, issued)| (party, issued.partial)).collect();
                // What an outsider has: public key data, the nonce point and the partials.
                let outsider = KeyInfo::decode(&info.encode()).unwrap();
                let signature =
                    combine(&outsider, &payload, &signers, &commitments[0].nonce_point(), &partials).unwrap();
                assert!(signature.verify(info.group_key(), &payload));
            }
        }
    }
}

#[test]
fn real_parameters_sign_under_prepared_primes() {
    let engine = Cggmp24::standard();
    let mut committee = Committee::new(&engine, 2, 3, 5);
    committee.make_aux();
    let stored = committee.aux(PartyIndex::new(2)).unwrap().encode();
    assert_eq!(AuxInfo::decode(&stored).unwrap().digest(), committee.aux(PartyIndex::new(0)).unwrap().digest());
    let key = committee.keygen(Suite::Secp256k1);
    let payload = payload(Suite::Secp256k1);
    let signature = committee.sign(&key, &payload);
    assert!(signature.verify(key[&PartyIndex::new(0)].info().group_key(), &payload));
}

#[test]
fn ecdsa_signatures_come_out_low_and_recover_to_the_group_key() {
    let mut committee = Committee::new(&Transparent, 2, 2, 6);
    let key = committee.keygen(Suite::Secp256k1);
    let group = key[&PartyIndex::new(0)].info().group_key().to_vec();
    let mut parities = std::collections::BTreeSet::new();
    for byte in 0..32 {
        let payload = Payload::Digest([byte; 32]);
        let Signature::Ecdsa { bytes, recovery } = committee.sign(&key, &payload) else { panic!("not ecdsa") };
        let signature = k256::ecdsa::Signature::from_slice(&bytes).unwrap();
        assert!(signature.normalize_s().is_none(), "s is low already");
        let id = k256::ecdsa::RecoveryId::from_byte(recovery).unwrap();
        let recovered = k256::ecdsa::VerifyingKey::recover_from_prehash(&[byte; 32], &signature, id).unwrap();
        assert_eq!(recovered.to_encoded_point(true).as_bytes(), group);
        assert!(!Signature::Ecdsa { bytes, recovery: recovery ^ 1 }.verify(&group, &payload));
        parities.insert(recovery);
    }
    assert_eq!(parities.len(), 2);
}

#[test]
fn missing_malformed_and_wrong_partials_are_told_apart() {
    let toy = Cggmp24::toy();
    let runs: [(&dyn EcdsaEngine, Suite); 3] =
        [(&toy, Suite::Secp256k1), (&Transparent, Suite::Secp256k1), (&Transparent, Suite::Ed25519)];
    for (engine, suite) in runs {
        let mut committee = Committee::new(engine, 3, 4, 7);
        committee.deal_aux();
        let (key, signers, payload) = (committee.keygen(suite), committee.first_signers(), payload(suite));
        let issued = committee.issue(&key, &signers, &payload);
        let info = key[&PartyIndex::new(0)].info();
        let commitments = issued[&PartyIndex::new(0)].commitments.clone();
        let partials: BTreeMap<_, _> = issued.into_iter().map(|(party, issued)| (party, issued.partial)).collect();
        let finish =
            |partials: &BTreeMap<_, _>| combine(info, &payload, &signers, &commitments.nonce_point(), partials);
        assert!(finish(&partials).is_ok());
        assert!(commitments.culprits(info, &payload, &partials).is_empty());

        let one = PartyIndex::new(1);
        let mut fewer = partials.clone();
        fewer.remove(&one);
        assert_eq!(finish(&fewer), Err(CombineError::Incomplete { missing: vec![one] }));

        let mut malformed = partials.clone();
        malformed.insert(one, Partial::from_bytes(vec![0xFF; 32]));
        assert_eq!(finish(&malformed), Err(CombineError::Malformed { signer: one }));

        let mut wrong = partials.clone();
        wrong.insert(one, partials[&PartyIndex::new(2)].clone());
        assert_eq!(finish(&wrong), Err(CombineError::Invalid));
        assert_eq!(commitments.culprits(info, &payload, &wrong), [one]);

        // The same partials under another payload or nonce point.
        let other = Payload::Digest([9; 32]);
        assert!(combine(info, &other, &signers, &commitments.nonce_point(), &partials).is_err());
        let stranger = NoncePoint::from_bytes(info.group_key());
        assert!(combine(info, &payload, &signers, &stranger, &partials).is_err());
    }
}

#[test]
fn a_proof_of_possession_convinces_for_its_party_key_and_context_only() {
    for suite in [Suite::Secp256k1, Suite::Ed25519] {
        let mut committee = Committee::new(&Transparent, 2, 3, 8);
        let (key, other) = (committee.keygen(suite), committee.keygen(suite));
        let (zero, one) = (PartyIndex::new(0), PartyIndex::new(1));
        let proof = key[&zero].prove(b"stored", &mut seeded(1));
        let info = key[&one].info();
        assert!(info.verify_possession(zero, b"stored", &proof));
        assert!(!info.verify_possession(one, b"stored", &proof), "another party's share");
        assert!(!info.verify_possession(zero, b"shelved", &proof), "another context");
        assert!(!other[&one].info().verify_possession(zero, b"stored", &proof), "another key");
        assert!(!info.verify_possession(PartyIndex::new(3), b"stored", &proof), "no such party");
        for at in 0..proof.as_bytes().len() {
            let mut bytes = proof.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(!info.verify_possession(zero, b"stored", &mpc_core::Possession::from_bytes(bytes)), "byte {at}");
        }
    }
}

#[test]
fn inputs_and_outputs_travel_between_threads() {
    fn travels<T: Send>() {}
    travels::<mpc_core::SigningInput>();
    travels::<mpc_core::Primes>();
    travels::<mpc_core::Ready>();
    travels::<mpc_core::Issued>();
    travels::<KeyShare>();
    travels::<AuxInfo>();
}

#[test]
fn rounds_count_up_and_the_same_seed_replays_the_same_bytes() {
    let record = || {
        let mut committee = Committee::new(&Transparent, 2, 3, 9);
        let sessions = committee.keygen_sessions(Suite::Ed25519);
        let mut sent = Vec::new();
        let outcomes = mpc_core::testing::run_with(sessions, 11, |envelope| {
            sent.push(envelope.clone());
            vec![envelope]
        });
        assert_eq!(outcomes.len(), 3);
        sent
    };
    assert_eq!(record(), record());

    let mut sessions = Committee::new(&Transparent, 2, 3, 9).keygen_sessions(Suite::Ed25519);
    let session = sessions.get_mut(&PartyIndex::new(0)).unwrap();
    assert_eq!(session.round(), 0);
    session.step();
    assert_eq!(session.round(), 1);
    assert!(run(sessions, 1).len() == 3);
}

#[test]
fn wrong_inputs_stop_at_the_first_step_and_blame_nobody() {
    use mpc_core::{Abort, SigningInput, signing, testing::Sessions};
    let mut committee = Committee::new(&Transparent, 2, 3, 10);
    let (key, ed_key) = (committee.keygen(Suite::Secp256k1), committee.keygen(Suite::Ed25519));
    let zero = PartyIndex::new(0);
    let right = |committee: &mut Committee<'_>| SigningInput {
        session: committee.fresh_session(),
        me: zero,
        signers: committee.first_signers(),
        share: key[&zero].clone(),
        aux: None,
        payload: payload(Suite::Secp256k1),
    };
    let foreign = SignerSet::new(Threshold::new(3, 3).unwrap(), (0..3).map(PartyIndex::new)).unwrap();
    let without_us = SignerSet::new(committee.threshold(), [1, 2].map(PartyIndex::new)).unwrap();
    let toy = Cggmp24::toy();
    let cases: Vec<(&dyn EcdsaEngine, SigningInput)> = vec![
        (&Transparent, SigningInput { me: PartyIndex::new(1), ..right(&mut committee) }),
        (&Transparent, SigningInput { signers: foreign, ..right(&mut committee) }),
        (&Transparent, SigningInput { signers: without_us, ..right(&mut committee) }),
        (&Transparent, SigningInput { payload: payload(Suite::Ed25519), ..right(&mut committee) }),
        (&Transparent, SigningInput { share: ed_key[&zero].clone(), ..right(&mut committee) }),
        (&toy, right(&mut committee)),
    ];
    for (engine, input) in cases {
        let sessions: Sessions<_> = [(zero, signing::begin(engine, input, &mut seeded(1)))].into_iter().collect();
        let abort = run(sessions, 1).remove(&zero).unwrap().expect_abort();
        assert!(matches!(abort, Abort::Local { .. }) && abort.culprits().is_empty(), "{abort}");
    }
    let aux_of_size = |engine: &dyn EcdsaEngine, primes| {
        mpc_core::aux::begin(engine, SessionId::new([9; 32]), zero, 3, primes, &mut seeded(1)).step()
    };
    let aux = |engine: &dyn EcdsaEngine, me| {
        let primes = mpc_core::primes::toy(0).unwrap();
        mpc_core::aux::begin(engine, SessionId::new([9; 32]), PartyIndex::new(me), 3, primes, &mut seeded(1)).step()
    };
    assert!(matches!(aux(&Cggmp24::standard(), 0), Step::Stop(Abort::Local { .. })), "primes too short");
    assert!(
        matches!(aux_of_size(&toy, mpc_core::primes::prepared(0).unwrap()), Step::Stop(Abort::Local { .. })),
        "too long"
    );
    assert!(matches!(aux(&toy, 3), Step::Stop(Abort::Local { .. })), "no such party");
}

#[test]
fn dealt_auxiliary_data_signs_like_data_that_was_made_and_survives_encoding() {
    let toy = Cggmp24::toy();
    let mut committee = Committee::new(&toy, 3, 5, 12);
    committee.deal_aux();
    let key = committee.keygen(Suite::Secp256k1);
    committee.sign(&key, &payload(Suite::Secp256k1));
    let aux = committee.aux(PartyIndex::new(4)).unwrap();
    let bytes = aux.encode();
    let read = AuxInfo::decode(&bytes).unwrap();
    assert_eq!((read.party(), read.of(), read.digest(), read.encode()), (aux.party(), 5, aux.digest(), bytes.clone()));
    for at in [0, 1, 3, 5, 8, 40, bytes.len() - 1] {
        assert!(AuxInfo::decode(&bytes[..at]).is_err(), "length {at}");
    }
    // Damage to what decides whose data this is; damaged parameters of others show in the digest, which all compare.
    for at in [0, 1, 2, 3, 5, 20, 100] {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1;
        assert!(AuxInfo::decode(&damaged).is_err(), "byte {at}");
    }
}

#[test]
fn messages_of_a_large_committee_stay_within_their_bounds() {
    let mut committee = Committee::new(&Transparent, 16, 16, 13);
    for suite in [Suite::Secp256k1, Suite::Ed25519] {
        let key = committee.keygen(suite);
        committee.sign(&key, &payload(suite));
    }
}
