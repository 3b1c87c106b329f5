//! Laws 8 and 10, told as stories: every place is taken and more is asked, somebody floods, falls silent, is shown another
//! chain, or missed what was decided. What is held keeps its bounds, and whoever does not contribute says so.

use std::collections::BTreeSet;

use chain_client::{KeyType, RequestId, Standing};
use keyring::readiness::Name;
use mpc_core::PartyIndex;
use sim::{Fault, Lie, Outcome, Plan, Wish, World};

const ECDSA: u64 = 1;
const EDDSA: u64 = 3;
/// Longer than any of these worlds lasts.
const NEVER_MS: u64 = 600_000;

fn party(index: u16) -> PartyIndex {
    PartyIndex::new(index)
}

fn fulfilled(world: &World, number: u64) -> bool {
    matches!(world.standing(RequestId::signature(number)), Standing::Fulfilled { .. })
}

#[track_caller]
fn well(outcome: &Outcome) {
    assert!(outcome.is_well(), "seed {}: {:?}\n{:#?}", outcome.seed, outcome.violations, outcome.plan);
}

fn names(world: &World, party: PartyIndex) -> Vec<Name> {
    world.readiness(party).expect("it runs").names().collect()
}

fn lets_pass(world: &mut World, ms: u64) {
    let _ = world.run_until(world.now() + ms, |_| false);
}

#[test]
fn four_places_serve_twenty_requests_while_a_peer_floods() {
    let plan = Plan { live_max: 4, liars: vec![(party(3), Lie::Floods)], ..Plan::calm(1, 3, 4) };
    let plan = (0..20).fold(plan, |plan, number| {
        plan.wish(1_000, Wish::Sign(if number % 4 == 0 { KeyType::EcdsaSecp256k1 } else { KeyType::EddsaEd25519 }))
    });
    let mut world = World::planned(plan.healing_at(50_000));
    let done = world.run_until(100_000, |world| (1..=20).all(|number| fulfilled(world, number)));
    assert!(done, "all are served: {:?}", (1..=20).filter(|number| !fulfilled(&world, *number)).collect::<Vec<_>>());
    assert_eq!(world.early_most(), 4_096, "the flood reached what is kept of one peer, and no more");
    well(&world.outcome());
}

#[test]
fn what_can_never_be_answered_takes_no_place_of_what_can() {
    let mut world = World::planned(Plan { live_max: 4, unanswerable: true, ..Plan::calm(2, 2, 3) });
    lets_pass(&mut world, 1_100);
    // Of each group the first item is of another type than the group, the second has a payload of the wrong length.
    (0..6).for_each(|_| world.ask_signatures(&[(EDDSA, &[1; 32]), (ECDSA, &[2; 10])]));
    lets_pass(&mut world, 25_000);
    let unanswerable = world.verdicts().len();
    assert!(unanswerable > 4, "{unanswerable} requests are judged for good");
    let before = world.requests().len() as u64;
    world.ask_signatures(&[(ECDSA, &[5; 32])]);
    let end = world.now() + 20_000;
    let last = |world: &World| {
        world.requests().len() as u64 > before
            && world
                .requests()
                .iter()
                .all(|id| id.number < before || matches!(world.standing(*id), Standing::Fulfilled { .. }))
    };
    assert!(world.run_until(end, last), "what comes behind them is served");
    well(&world.outcome());
}

/// Its link stands, and nothing comes from it or reaches it.
fn falls_silent(world: &mut World, silent: PartyIndex) {
    world.hold(move |to, packet| packet.envelope.from == silent || to == silent);
}

#[test]
fn who_is_linked_and_silent_counts_as_absent_after_a_lease_and_says_so_itself() {
    let silent = party(1);
    let mut world = World::planned(Plan::calm(3, 3, 5).healing_at(NEVER_MS));
    lets_pass(&mut world, 5_000);
    assert!(names(&world, silent).is_empty() && names(&world, party(0)).is_empty(), "all is well");
    falls_silent(&mut world, silent);
    lets_pass(&mut world, 13_000);
    assert!(!world.may_act(silent));
    assert!(names(&world, silent).contains(&Name::NoLease), "{:?}", names(&world, silent));
    for peer in [0, 2, 3, 4].map(party) {
        assert_eq!(names(&world, peer), [Name::PeersAbsent]);
    }
    world.ask_signatures(&[(ECDSA, &[1; 32])]);
    let end = world.now() + 30_000;
    assert!(world.run_until(end, |world| fulfilled(world, 1)), "the others go on");
    world.release(|_| false);
    lets_pass(&mut world, 15_000);
    assert!(world.may_act(silent) && names(&world, silent).is_empty(), "it is back: {:?}", names(&world, silent));
    well(&world.outcome());
}

/// Something that lasts and keeps requests from being answered.
struct Cause {
    /// What everybody who lives, or one party, then says.
    says: Name,
    by: Option<u16>,
    happens: fn(&mut World),
}

const CAUSES: &[Cause] = &[
    Cause {
        says: Name::TooFewToSign,
        by: None,
        happens: |world| [2, 3, 4].into_iter().for_each(|dead| world.strike(Fault::Crash(party(dead), NEVER_MS))),
    },
    Cause {
        says: Name::TooFewForAgreement,
        by: Some(1),
        happens: |world| world.strike(Fault::Partition(BTreeSet::from([party(0), party(1)]))),
    },
    Cause { says: Name::ChainHalted, by: None, happens: |world| world.strike(Fault::Halt) },
    Cause { says: Name::KeyringOff, by: None, happens: |world| world.switch_keyring(false) },
    Cause { says: Name::Blind, by: Some(2), happens: |world| world.strike(Fault::Fork(party(2), true)) },
    Cause {
        says: Name::Restored,
        by: Some(2),
        happens: |world| {
            world.strike(Fault::BackUp(party(2)));
            world.strike(Fault::Restore(party(2), 500));
        },
    },
    Cause {
        says: Name::ShelfEmpty,
        by: Some(0),
        happens: |world| {
            world.strike(Fault::Crash(party(4), NEVER_MS));
            (0..8).for_each(|_| world.ask_key(sim::Who::User, KeyType::EddsaEd25519, true));
        },
    },
];

#[test]
fn whatever_keeps_a_party_from_its_work_is_named_while_it_lasts() {
    for (seed, cause) in (10..).zip(CAUSES) {
        let mut world = World::planned(Plan::calm(seed, 3, 5).healing_at(NEVER_MS));
        lets_pass(&mut world, 3_000);
        (cause.happens)(&mut world);
        lets_pass(&mut world, 1_500);
        world.ask_signatures(&[(ECDSA, &[9; 32])]);
        // Longer than the law waits before it finds fault with whoever names nothing.
        lets_pass(&mut world, 65_000);
        let parties: Vec<u16> = cause.by.map_or_else(|| (0..5).collect(), |one| vec![one]);
        let living = parties.into_iter().map(party).filter(|party| world.readiness(*party).is_some());
        for party in living {
            assert!(names(&world, party).contains(&cause.says), "{:?}: {:?}", cause.says, names(&world, party));
        }
        let outcome = world.outcome();
        assert_eq!(outcome.violations, [], "{:?}", cause.says);
    }
}

#[test]
fn a_party_on_another_branch_joins_and_publishes_nothing_until_it_sees_the_chain_again() {
    let mut world = World::planned(Plan::calm(4, 3, 5).healing_at(NEVER_MS));
    let stray = world.turns(ECDSA)[0];
    lets_pass(&mut world, 2_500);
    world.strike(Fault::Fork(stray, true));
    lets_pass(&mut world, 8_000);
    assert!(names(&world, stray).contains(&Name::Blind), "{:?}", names(&world, stray));
    assert_eq!(world.totals().alarms, 1, "its operator is told, once, and nobody else's");
    world.ask_signatures(&[(ECDSA, &[1; 32])]);
    let end = world.now() + 60_000;
    assert!(world.run_until(end, |world| fulfilled(world, 1)), "the other four serve it");
    let record = world.record(stray, RequestId::signature(1));
    assert!(record.joined.is_none() && record.accepted.is_none(), "it votes for nothing there");
    assert_eq!(world.sent_by(stray), None, "and publishes nothing");

    world.strike(Fault::Fork(stray, false));
    lets_pass(&mut world, 10_000);
    assert!(!names(&world, stray).contains(&Name::Blind), "{:?}", names(&world, stray));
    // With two others gone, nothing goes without it.
    let others = world.turns(ECDSA);
    others[3..].iter().for_each(|dead| world.strike(Fault::Crash(*dead, NEVER_MS)));
    world.ask_signatures(&[(ECDSA, &[2; 32])]);
    let end = world.now() + 60_000;
    assert!(world.run_until(end, |world| fulfilled(world, 2)), "it signs again");
    assert_eq!(world.outcome().violations, []);
}

#[test]
fn who_missed_a_signing_learns_the_answer_with_its_certificate_and_publishes_when_its_turn_comes() {
    let mut world = World::planned(Plan::calm(5, 2, 3).healing_at(NEVER_MS));
    let turns = world.turns(ECDSA);
    let (first, missing) = (turns[0], turns[2]);
    let id = RequestId::signature(1);
    lets_pass(&mut world, 2_500);
    world.strike(Fault::Partition(BTreeSet::from([missing])));
    world.ask_signatures(&[(ECDSA, &[1; 32])]);
    let end = world.now() + 30_000;
    assert!(world.run_until(end, |world| !world.deciders(id).is_empty()), "two of three decide");
    // Who decided first goes on; the other one dies for good, so that a second answer is lacking.
    let knows = *world.deciders(id).first().expect("one");
    let dies = turns.iter().copied().find(|party| *party != knows && *party != missing).expect("three parties");
    assert!([knows, dies].contains(&first), "the first of the order led");
    world.strike(Fault::Crash(dies, NEVER_MS));
    lets_pass(&mut world, 5_000);
    assert!(world.record(missing, id).decided.is_none() && world.standing(id).is_open());

    world.strike(Fault::Mend);
    let end = world.now() + 60_000;
    assert!(world.run_until(end, |world| fulfilled(world, 1)), "the gap is filled");
    let record = world.record(missing, id);
    let certificate = record.decided.expect("it has learned the decision");
    assert!(certificate.accepts.len() >= 2, "with the accepts of a quorum");
    assert!(record.joined.is_none() && record.entered.is_none(), "it took no part in the signing");
    let answered = |party| world.standing(id).names(&world.address(party));
    assert!(answered(knows) && answered(missing) && !answered(dies), "{:?}", world.standing(id));
    assert_eq!(world.outcome().violations, []);
}
