//! One test for each way to cheat: honest parties abort, name the cheat where that can be known, and never name one another.
#![cfg(feature = "testing")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mpc_core::{
    Abort, Cggmp24, EcdsaEngine, KeyShare, PartyIndex, Payload, Ready, Session, SessionId, SignerSet, SigningInput,
    Step, Suite, Transparent, keygen, signing,
    testing::{Committee, Envelope, Outcome, Sessions, run, run_with, seeded},
};
use proptest::prelude::*;

const VERSION_AT: usize = 0;
const ROUND_AT: usize = 2;
const RUN_AT: usize = 3;
const HEADER_LEN: usize = 19;
const CHEAT: PartyIndex = PartyIndex::new(1);
const HONEST: [PartyIndex; 2] = [PartyIndex::new(0), PartyIndex::new(2)];
const SUITES: [Suite; 2] = [Suite::Secp256k1, Suite::Ed25519];

fn payload(suite: Suite) -> Payload {
    match suite {
        Suite::Secp256k1 => Payload::Digest([7; 32]),
        Suite::Ed25519 => Payload::Message(vec![7; 50]),
    }
}

/// A session whose result does not matter.
struct Forget<T>(Box<dyn Session<Output = T>>);

impl<T> Session for Forget<T> {
    type Output = ();
    fn receive(&mut self, from: PartyIndex, body: &[u8]) -> Result<(), Abort> {
        self.0.receive(from, body)
    }
    fn step(&mut self) -> Step<()> {
        match self.0.step() {
            Step::Send { to, body } => Step::Send { to, body },
            Step::Yield => Step::Yield,
            Step::Wait => Step::Wait,
            Step::Done(_) => Step::Done(()),
            Step::Stop(abort) => Step::Stop(abort),
        }
    }
    fn round(&self) -> u16 {
        self.0.round()
    }
}

fn forget<T: 'static>(sessions: Sessions<T>) -> Sessions<()> {
    let forget = |session| -> Box<dyn Session<Output = ()>> { Box::new(Forget(session)) };
    sessions.into_iter().map(|(party, session)| (party, forget(session))).collect()
}

/// Begins a run of one protocol among three.
type Begin<'a> = Box<dyn FnMut() -> Sessions<()> + 'a>;

/// Every protocol of this crate, each among parties 0, 1 and 2, all of whom it needs.
fn protocols(engines: &[Box<dyn EcdsaEngine>]) -> Vec<(String, Begin<'_>)> {
    let mut list: Vec<(String, Begin<'_>)> = Vec::new();
    for suite in SUITES {
        let mut committee = Committee::new(&Transparent, 3, 3, 1);
        list.push((format!("keygen {suite}"), Box::new(move || forget(committee.keygen_sessions(suite)))));
    }
    for engine in engines {
        let mut committee = Committee::new(engine.as_ref(), 3, 3, 2);
        list.push((format!("aux {}", engine.name()), Box::new(move || forget(committee.aux_sessions()))));
        let mut signing = Signing::new(engine.as_ref(), Suite::Secp256k1);
        list.push((format!("presign {}", engine.name()), Box::new(move || forget(signing.sessions()))));
    }
    let mut signing = Signing::new(&Transparent, Suite::Ed25519);
    list.push(("commit frost".to_owned(), Box::new(move || forget(signing.sessions()))));
    list
}

fn engines() -> [Box<dyn EcdsaEngine>; 2] {
    [Box::new(Cggmp24::toy()), Box::new(Transparent)]
}

/// A committee of three with a key of which all three sign.
struct Signing<'a> {
    committee: Committee<'a>,
    key: BTreeMap<PartyIndex, Arc<KeyShare>>,
    suite: Suite,
}

impl<'a> Signing<'a> {
    fn new(engine: &'a dyn EcdsaEngine, suite: Suite) -> Self {
        let mut committee = Committee::new(engine, 3, 3, 3);
        committee.deal_aux();
        let key = committee.keygen(suite);
        Self { committee, key, suite }
    }

    fn sessions(&mut self) -> Sessions<Ready> {
        let signers = self.committee.first_signers();
        self.committee.signing_sessions(&self.key, &signers, &payload(self.suite))
    }
}

/// Runs with a change to all that the cheat sends; how the honest ended.
fn cheat<T>(
    sessions: Sessions<T>,
    mut change: impl FnMut(Envelope) -> Vec<Envelope>,
) -> BTreeMap<PartyIndex, Outcome<T>> {
    let deliver = |envelope: Envelope| if envelope.from == CHEAT { change(envelope) } else { vec![envelope] };
    let mut outcomes = run_with(sessions, 1, deliver);
    outcomes.remove(&CHEAT);
    outcomes
}

fn edit(mut envelope: Envelope, change: impl FnOnce(&mut Vec<u8>)) -> Vec<Envelope> {
    change(&mut envelope.body);
    vec![envelope]
}

fn flip(bytes: &mut [u8], at: usize) {
    bytes[at] ^= 1;
}

fn names_the_cheat(abort: &Abort) -> bool {
    abort.culprits() == BTreeSet::from([CHEAT])
}

/// Both honest parties aborted and can prove that the cheat did it.
#[track_caller]
fn all_prove<T>(protocol: &str, outcomes: BTreeMap<PartyIndex, Outcome<T>>) {
    assert_eq!(outcomes.len(), HONEST.len());
    for (party, outcome) in outcomes {
        let abort = outcome.expect_abort();
        assert!(matches!(abort, Abort::Proven { .. }) && names_the_cheat(&abort), "{protocol}, {party:?}: {abort}");
    }
}

#[test]
fn oversized_truncated_padded_and_misnumbered_messages_name_their_sender() {
    let changes: [fn(&mut Vec<u8>); 8] = [
        |body| body.resize(1 << 20, 0),
        |body| body.truncate(0),
        |body| body.truncate(HEADER_LEN - 1),
        |body| {
            let len = body.len();
            if len > HEADER_LEN { body.truncate(len - 1) } else { body.push(0) }
        },
        |body| body.push(0),
        |body| body[ROUND_AT] = 200,
        |body| body[ROUND_AT] = 5,
        |body| body[ROUND_AT] ^= 1,
    ];
    for (protocol, mut begin) in protocols(&engines()) {
        for change in changes {
            all_prove(&protocol, cheat(begin(), |envelope| edit(envelope, change)));
        }
    }
}

#[test]
fn messages_of_another_version_protocol_or_run_put_their_sender_under_suspicion() {
    for (protocol, mut begin) in protocols(&engines()) {
        for at in [VERSION_AT, VERSION_AT + 1, RUN_AT] {
            for (party, outcome) in cheat(begin(), |envelope| edit(envelope, |body| body[at] ^= 0x40)) {
                let abort = outcome.expect_abort();
                let suspected = matches!(abort, Abort::Suspect { .. }) && names_the_cheat(&abort);
                assert!(suspected, "{protocol}, {party:?}: {abort}");
            }
        }
    }
}

#[test]
fn repeated_messages_and_messages_of_outsiders_change_nothing() {
    for (protocol, mut begin) in protocols(&engines()) {
        let mut sent: Vec<Envelope> = Vec::new();
        let outcomes = run_with(begin(), 1, |envelope| {
            let outsider = Envelope { from: PartyIndex::new(9), body: vec![0xFF; 30], ..envelope.clone() };
            let echo = Envelope { from: envelope.to, ..envelope.clone() };
            sent.push(envelope.clone());
            // Everything twice, every earlier message once more, noise from a stranger and in the receiver's own name.
            sent.iter().cloned().chain([envelope, outsider, echo]).collect()
        });
        for (party, outcome) in outcomes {
            assert!(matches!(outcome, Outcome::Done(())), "{protocol}, {party:?}: {outcome:?}");
        }
    }
}

#[test]
fn two_different_messages_in_one_round_name_their_sender() {
    for (protocol, mut begin) in protocols(&engines()) {
        let mut caught = 0;
        let outcomes = cheat(begin(), |envelope| {
            let mut second = envelope.clone();
            second.body.push(0);
            vec![envelope, second]
        });
        for (party, outcome) in outcomes {
            // In the last round the first message may be all that was waited for.
            if let Outcome::Aborted(abort) = outcome {
                caught += 1;
                assert!(
                    matches!(abort, Abort::Proven { .. }) && names_the_cheat(&abort),
                    "{protocol}, {party:?}: {abort}"
                );
            }
        }
        let one_round = protocol.contains("transparent") || protocol.contains("frost");
        assert!(caught == HONEST.len() || one_round, "{protocol}: caught by {caught}");
    }
}

#[test]
fn a_silent_party_leaves_the_others_waiting_and_unblamed() {
    for (protocol, mut begin) in protocols(&engines()) {
        for (_, outcome) in cheat(begin(), |_| Vec::new()) {
            assert!(matches!(outcome, Outcome::Stuck), "{protocol}");
        }
    }
}

#[test]
fn whatever_bit_the_cheat_flips_no_honest_party_is_named() {
    for (protocol, mut begin) in protocols(&engines()) {
        let attempts = if protocol.contains("toy") { 12 } else { 40 };
        let mut caught = 0;
        for attempt in 0..attempts {
            // Another message and another place in it at every attempt, to both or to one of the honest.
            let (mut seen, to_one) = (0, attempt % 2 == 0);
            let outcomes = cheat(begin(), |envelope| {
                seen += 1;
                if (to_one && envelope.to == HONEST[1]) || seen % 3 != attempt % 3 {
                    return vec![envelope];
                }
                edit(envelope, |body| {
                    if body.len() > HEADER_LEN {
                        let at = HEADER_LEN + (attempt * 7919) % (body.len() - HEADER_LEN);
                        flip(body, at);
                    }
                })
            });
            for (party, outcome) in outcomes {
                if let Outcome::Aborted(abort) = outcome {
                    let fair = abort.culprits().is_empty() || names_the_cheat(&abort);
                    assert!(fair && !matches!(abort, Abort::Local { .. }), "{protocol}, {party:?}: {abort}");
                    caught += usize::from(names_the_cheat(&abort));
                }
            }
        }
        // One-round protocols may take a flipped nonce for another nonce.
        assert!(caught > 0 || protocol.contains("transparent"), "{protocol}: never caught");
    }
}

#[test]
fn a_wrong_share_in_key_generation_names_its_dealer() {
    const SHARES_ROUND: u8 = 2;
    for suite in SUITES {
        let sessions = Committee::new(&Transparent, 2, 3, 4).keygen_sessions(suite);
        let mut outcomes = cheat(sessions, |envelope| {
            if envelope.body[ROUND_AT] != SHARES_ROUND || envelope.to != HONEST[0] {
                return vec![envelope];
            }
            // The last byte of the share, in a place where the scalar stays below the group order.
            edit(envelope, |body| {
                let at = body.len() - 10;
                flip(body, at);
            })
        });
        let abort = outcomes.remove(&HONEST[0]).unwrap().expect_abort();
        assert!(matches!(abort, Abort::Proven { .. }) && names_the_cheat(&abort), "{abort}");
        assert!(!matches!(outcomes[&HONEST[1]], Outcome::Done(_)), "no key without all parties");
    }
}

#[test]
fn different_commitments_to_different_parties_break_key_generation_before_any_share_is_dealt() {
    for suite in SUITES {
        let sessions = Committee::new(&Transparent, 2, 3, 5).keygen_sessions(suite);
        let mut rounds = BTreeSet::new();
        let mut outcomes = run_with(sessions, 1, |envelope| {
            rounds.insert(envelope.body[ROUND_AT]);
            let equivocates = envelope.from == CHEAT && envelope.to == HONEST[0] && envelope.body[ROUND_AT] == 0;
            if equivocates { edit(envelope, |body| flip(body, HEADER_LEN + 5)) } else { vec![envelope] }
        });
        for party in HONEST {
            let abort = outcomes.remove(&party).unwrap().expect_abort();
            assert!(matches!(abort, Abort::Suspect { .. }) && abort.culprits().is_empty(), "{abort}");
        }
        assert!(!rounds.contains(&2), "a share was dealt after the echo disagreed");
    }
}

#[test]
fn different_frost_commitments_to_different_parties_show_in_the_digests_and_make_no_signature() {
    let mut signing = Signing::new(&Transparent, Suite::Ed25519);
    // The cheat runs twice with other randomness and shows each honest party another one of its faces.
    let (session, signers) = (signing.committee.fresh_session(), signing.committee.first_signers());
    let begin = |me: PartyIndex, seed| {
        let (share, signers, payload) = (signing.key[&me].clone(), signers.clone(), payload(Suite::Ed25519));
        signing::begin(
            &Transparent,
            SigningInput { session, me, signers, share, aux: None, payload },
            &mut seeded(seed),
        )
    };
    let Step::Send { body: other_face, .. } = begin(CHEAT, 99).step() else { panic!("a commitment is sent first") };
    let sessions = [(HONEST[0], 1), (CHEAT, 2), (HONEST[1], 3)].map(|(me, seed)| (me, begin(me, seed))).into();
    let outcomes = cheat(sessions, |envelope| match envelope.to {
        to if to == HONEST[0] => vec![Envelope { body: other_face.clone(), ..envelope }],
        _ => vec![envelope],
    });
    let issued: Vec<_> = outcomes.into_values().map(|outcome| outcome.expect_done().issue()).collect();
    assert_ne!(issued[0].commitments.digest(), issued[1].commitments.digest());
    assert_ne!(issued[0].commitments.nonce_point(), issued[1].commitments.nonce_point());
}

#[test]
fn a_party_with_another_session_payload_signer_set_or_key_is_told_apart_at_its_first_message() {
    for suite in SUITES {
        let mut committee = Committee::new(&Transparent, 2, 3, 6);
        let (key, other_key) = (committee.keygen(suite), committee.keygen(suite));
        let set = |parties: [u16; 2]| SignerSet::new(committee.threshold(), parties.map(PartyIndex::new)).unwrap();
        let input = |me: PartyIndex| SigningInput {
            session: SessionId::new([1; 32]),
            me,
            signers: set([0, 1]),
            share: key[&me].clone(),
            aux: None,
            payload: payload(suite),
        };
        let other_payload = match suite {
            Suite::Secp256k1 => Payload::Digest([8; 32]),
            Suite::Ed25519 => Payload::Message(vec![8; 50]),
        };
        let deviations = [
            SigningInput { session: SessionId::new([2; 32]), ..input(CHEAT) },
            SigningInput { payload: other_payload, ..input(CHEAT) },
            SigningInput { signers: set([1, 2]), ..input(CHEAT) },
            SigningInput { share: other_key[&CHEAT].clone(), ..input(CHEAT) },
        ];
        for deviation in deviations {
            let begin = |input| signing::begin(&Transparent, input, &mut seeded(1));
            let mut honest = begin(input(HONEST[0]));
            let Step::Send { body, .. } = begin(deviation).step() else { panic!("a message is sent first") };
            let abort = honest.receive(CHEAT, &body).unwrap_err();
            assert!(matches!(abort, Abort::Suspect { .. }) && names_the_cheat(&abort), "{abort}");
            assert!(matches!(honest.step(), Step::Stop(same) if same == abort), "the abort is final");
        }
    }
}

#[test]
fn auxiliary_data_of_another_run_is_told_apart_before_any_proof_is_read() {
    let toy = Cggmp24::toy();
    let (mut one, mut other) = (Signing::new(&toy, Suite::Secp256k1), Signing::new(&toy, Suite::Secp256k1));
    other.committee.make_aux();
    let mut sessions = one.sessions();
    other.key = one.key.clone();
    let mut strange = other.sessions();
    sessions.insert(CHEAT, strange.remove(&CHEAT).unwrap());
    for (_, outcome) in cheat(sessions, |envelope| vec![envelope]) {
        assert!(names_the_cheat(&outcome.expect_abort()));
    }
}

#[test]
fn a_message_that_would_make_the_library_panic_names_its_sender() {
    // Integers travel as digits with their number base, and the library panics on a base beyond 36.
    let toy = Cggmp24::toy();
    let outcomes = cheat(Signing::new(&toy, Suite::Secp256k1).sessions(), |envelope| {
        edit(envelope, |body| {
            if body[ROUND_AT] == 0 {
                assert_eq!(body[HEADER_LEN + 1], 16, "the first integer's base");
                body[HEADER_LEN + 1] = 99;
            }
        })
    });
    all_prove("presign", outcomes);
}

#[test]
fn a_key_generation_with_another_threshold_is_told_apart_at_its_first_message() {
    let begin = |me, need| {
        let threshold = mpc_core::Threshold::new(need, 3).unwrap();
        keygen::begin(SessionId::new([3; 32]), Suite::Secp256k1, me, threshold, &mut seeded(1))
    };
    let sessions =
        [(HONEST[0], begin(HONEST[0], 2)), (CHEAT, begin(CHEAT, 3)), (HONEST[1], begin(HONEST[1], 2))].into();
    for (_, outcome) in cheat(sessions, |envelope| vec![envelope]) {
        assert!(names_the_cheat(&outcome.expect_abort()));
    }
}

#[test]
fn a_finished_session_says_so_and_blames_nobody() {
    let mut committee = Committee::new(&Transparent, 2, 2, 7);
    let mut sessions = committee.keygen_sessions(Suite::Ed25519);
    let zero = PartyIndex::new(0);
    let mut session = sessions.remove(&zero).unwrap();
    // The other one's abort is the simplest way to an end.
    let abort = session.receive(CHEAT, b"nonsense").unwrap_err();
    assert!(names_the_cheat(&abort));
    assert_eq!(session.receive(CHEAT, b"more").unwrap_err(), abort);
    assert_eq!(run(sessions, 1).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_from_a_peer_make_a_session_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..400),
        round in 0u8..8,
        variant in 0u8..8,
    ) {
        for (_, mut begin) in protocols(&[Box::new(Transparent)]) {
            // As they are; and behind a right header, round and variant, where they reach the decoders of the libraries.
            let mut sessions = begin();
            let session = sessions.get_mut(&HONEST[0]).unwrap();
            let Step::Send { body: header, .. } = session.step() else { panic!("a message is sent first") };
            let mut message = header[..HEADER_LEN].to_vec();
            message[ROUND_AT] = round;
            message.push(variant);
            message.extend_from_slice(&noise);
            let _ = session.receive(CHEAT, &message);
            let _ = session.receive(HONEST[1], &noise);
            let _ = session.step();
        }
    }
}
