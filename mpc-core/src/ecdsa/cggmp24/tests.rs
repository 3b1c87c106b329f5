//! Cheats that speak the protocol's own language: well-formed messages with wrong contents, read, changed and written anew.

use generic_ec::Scalar;

use super::*;
use crate::{
    suite::Suite,
    testing::{Committee, Envelope, Outcome, Sessions, run_with},
};

const HEADER_LEN: usize = 19;
const CHEAT: PartyIndex = PartyIndex::new(1);
type ToyAux = AuxMessage<Sha256, crate::aux::Toy>;

/// Runs with a change to the contents of what party 1 sends; the honest parties' aborts.
fn aborts<M: Dialect, T>(sessions: Sessions<T>, mut change: impl FnMut(PartyIndex, &mut M)) -> Vec<Abort> {
    let outcomes = run_with(sessions, 1, |mut envelope: Envelope| {
        if envelope.from == CHEAT {
            let mut message: M = postcard::from_bytes(&envelope.body[HEADER_LEN..]).unwrap();
            change(envelope.to, &mut message);
            envelope.body.truncate(HEADER_LEN);
            envelope.body.extend(postcard::to_stdvec(&message).unwrap());
        }
        vec![envelope]
    });
    let honest = outcomes.into_iter().filter(|(party, _)| *party != CHEAT);
    honest.filter_map(|(_, outcome)| if let Outcome::Aborted(abort) = outcome { Some(abort) } else { None }).collect()
}

fn aux_sessions() -> Sessions<AuxInfo> {
    Committee::new(&Cggmp24::toy(), 3, 3, 1).aux_sessions()
}

fn signing_sessions() -> Sessions<crate::Ready> {
    let engine = Cggmp24::toy();
    let mut committee = Committee::new(&engine, 3, 3, 2);
    committee.deal_aux();
    let key = committee.keygen(Suite::Secp256k1);
    let signers = committee.first_signers();
    committee.signing_sessions(&key, &signers, &crate::Payload::Digest([3; 32]))
}

#[track_caller]
fn assert_proven(aborts: &[Abort], text: &str) {
    assert!(!aborts.is_empty(), "nobody noticed");
    for abort in aborts {
        let culprits: Vec<_> = abort.culprits().into_iter().collect();
        assert!(matches!(abort, Abort::Proven { .. }) && culprits == [CHEAT], "{abort}");
        assert!(abort.to_string().contains(text), "{abort}");
    }
}

#[test]
fn a_modulus_too_large_to_compute_with_is_refused_before_anybody_computes() {
    let aborts = aborts(aux_sessions(), |_, message: &mut ToyAux| {
        if let ToyAux::Round2(said) = message {
            said.N = said.N.clone() << 100_000u32;
        }
    });
    assert_proven(&aborts, "message that this run lacks");
}

#[test]
fn opening_another_value_than_was_committed_to_names_the_liar() {
    let aborts = aborts(aux_sessions(), |_, message: &mut ToyAux| {
        if let ToyAux::Round2(said) = message {
            said.s = said.s.clone() + 1u32;
        }
    });
    assert_proven(&aborts, "decommitment");
}

#[test]
fn a_proof_about_the_modulus_made_for_somebody_else_names_its_sender() {
    let mut for_first = None;
    let aborts = aborts(aux_sessions(), |_, message: &mut ToyAux| {
        if let ToyAux::Round3(said) = message {
            match &for_first {
                None => for_first = Some(said.fac_proof.clone()),
                Some(proof) => said.fac_proof = proof.clone(),
            }
        }
    });
    assert_proven(&aborts, "Rfac");
}

#[test]
fn proofs_of_encryption_in_the_wrong_place_name_their_sender() {
    let aborts = aborts(signing_sessions(), |_, message: &mut PresignMessage| {
        if let PresignMessage::Round1b(said) = message {
            std::mem::swap(&mut said.psi0, &mut said.psi1);
        }
    });
    assert_proven(&aborts, "pi_enc");
}

#[test]
fn a_wrong_multiplicative_to_additive_answer_names_its_sender() {
    let aborts = aborts(signing_sessions(), |_, message: &mut PresignMessage| {
        if let PresignMessage::Round2(said) = message {
            std::mem::swap(&mut said.hat_D, &mut said.D);
        }
    });
    assert_proven(&aborts, "proofs are invalid");
}

#[test]
fn an_invalid_proof_about_the_nonce_names_its_sender() {
    let aborts = aborts(signing_sessions(), |_, message: &mut PresignMessage| {
        if let PresignMessage::Round3(said) = message {
            said.Delta = said.S;
        }
    });
    assert_proven(&aborts, "");
}

#[test]
fn a_wrong_part_of_delta_aborts_and_names_nobody() {
    // The library has no identifiable abort here: the caller leaves out one party at a time.
    let aborts = aborts(signing_sessions(), |_, message: &mut PresignMessage| {
        if let PresignMessage::Round3(said) = message {
            said.delta += Scalar::one();
        }
    });
    assert_eq!(aborts.len(), 2);
    for abort in aborts {
        assert!(matches!(&abort, Abort::Suspect { culprits, .. } if culprits.is_empty()), "{abort}");
    }
}

#[test]
fn a_partial_signature_inside_the_run_is_no_message_of_ours() {
    let partial = cggmp24::PartialSignature::<Secp256k1> { sigma: Scalar::one() };
    let message = PresignMessage::Round4(cggmp24::signing::msg::MsgRound4 { partial_sig: partial });
    assert!(message.kind().is_none());
}
