//! Known breaks stay broken: each is found when it is switched on, by a directed schedule or by seeds, and the same
//! schedules break nothing in the real protocol.
#![cfg(feature = "planted")]

use std::collections::BTreeSet;

use chain_client::{KeyType, RequestId};
use keyring::message::{Packet, Statement};
use sim::{Fault, Outcome, Plan, Plant, ShellPlant, Wish, World};

const REQUEST: RequestId = RequestId::signature(1);
const ECDSA_KEY: u64 = 1;
const SEEDS: std::ops::Range<u64> = 0..4;

fn asked(seed: u64, plant: Option<Plant>) -> Plan {
    let plan = Plan::calm(seed, 3, 5).wish(500, Wish::Sign(KeyType::EcdsaSecp256k1)).healing_at(25_000);
    Plan { plant, ..plan }
}

fn statement(packet: &Packet) -> Option<(u32, &Statement)> {
    packet.envelope.about_decree().map(|(_, ballot, statement)| (ballot.attempt, statement))
}

/// Of A B C D E, three settle on an answer; one of them, which has accepted and does not know that it is decided, is
/// left with the two that know nothing.
fn two_and_three(seed: u64, plant: Option<Plant>) -> Outcome {
    let mut world = World::planned(asked(seed, plant));
    let turns = world.turns(ECDSA_KEY);
    let bridge = turns[1 + usize::try_from(seed % 2).unwrap_or(0)];
    let outside = turns[3..].to_vec();
    world.hold(move |to, packet| match statement(packet) {
        Some((0, Statement::Join { .. })) => outside.contains(&to),
        Some((0, Statement::Accept { .. })) => outside.contains(&to) || to == bridge,
        _ => false,
    });
    let settled = |world: &World| !world.deciders(REQUEST).is_empty();
    if world.run_until(20_000, settled) {
        let knowing = turns[..3].iter().copied().filter(|party| *party != bridge).collect();
        world.strike(Fault::Partition(knowing));
        world.release(|_| false);
    }
    world.finish()
}

/// Joins of ballot 0 come only after a later ballot has decided, and who knows that is cut off.
fn late_joins(seed: u64, plant: Option<Plant>) -> Outcome {
    let mut world = World::planned(asked(seed, plant));
    world.hold(|_, packet| matches!(statement(packet), Some((0, Statement::Join { .. }))));
    if world.run_until(20_000, |world| !world.deciders(REQUEST).is_empty()) {
        let deciders = world.deciders(REQUEST);
        world.strike(Fault::Partition(deciders));
        world.release(|_| true);
    }
    world.finish()
}

/// The first of the order cannot see the next two: each side has a quorum, and its own first party.
fn split_views(seed: u64, plant: Option<Plant>) -> Outcome {
    let mut world = World::planned(asked(seed, plant));
    let _ = world.run_until(950, |_| false);
    let turns = world.turns(ECDSA_KEY);
    let (lower, higher) = (turns[0].min(turns[1]), turns[0].max(turns[1]));
    world.strike(Fault::Sever(turns[0], turns[1]));
    world.strike(Fault::Sever(turns[0], turns[2]));
    world.hold(move |to, packet| match statement(packet) {
        Some((0, Statement::Propose(_))) => packet.envelope.from == higher,
        Some((0, Statement::Accept { .. })) => to != lower,
        _ => false,
    });
    if world.run_until(8_000, |world| world.deciders(REQUEST).contains(&lower)) {
        world.strike(Fault::Partition(BTreeSet::from([lower])));
        world.release(|packet| matches!(statement(packet), Some((_, Statement::Propose(_)))));
    } else {
        world.release(|_| true);
    }
    world.finish()
}

type Schedule = fn(u64, Option<Plant>) -> Outcome;

#[track_caller]
fn is_found(schedule: Schedule, plant: Plant, law: &str) {
    is_found_by(schedule, plant, &[law]);
}

#[track_caller]
fn is_found_by(schedule: Schedule, plant: Plant, laws: &[&str]) {
    for seed in SEEDS {
        let honest = schedule(seed, None);
        assert!(honest.is_well(), "the real protocol, seed {seed}: {:?}", honest.violations);
        let outcome = schedule(seed, Some(plant));
        if laws.iter().any(|law| outcome.broke(law)) {
            return;
        }
    }
    panic!("{plant:?} is not found");
}

#[test]
fn a_promise_that_rides_on_a_partial_is_found() {
    is_found(two_and_three, Plant::PromiseRidesOnPartial, "one_answer_per_request");
}

#[test]
fn another_party_that_skips_prepare_is_found() {
    is_found(two_and_three, Plant::SecondTurnSkipsPrepare, "one_answer_per_request");
}

#[test]
fn an_accepted_record_replaced_by_a_lower_ballot_is_found() {
    // Whichever shows first: the second answer, or the accept below its promise.
    is_found_by(late_joins, Plant::AcceptsLowerBallot, &["one_answer_per_request", "it_keeps_its_word"]);
}

#[test]
fn a_first_leader_chosen_by_liveness_is_found() {
    is_found(split_views, Plant::FirstLeaderByLiveness, "one_answer_per_request");
}

#[test]
fn one_shelf_key_for_two_requests_is_found() {
    let schedule: Schedule = |seed, plant| {
        let plan = Plan { plant, ..Plan::calm(seed, 2, 3) };
        let plan = (0..4).fold(plan, |plan, _| plan.wish(500, Wish::Key(KeyType::EddsaEd25519)));
        World::planned(plan.healing_at(5_000)).finish()
    };
    is_found(schedule, Plant::OneKeyForTwoRequests, "key_after_shares");
}

/// Of A B C D E, A says its accept to B alone; then A's disk is set back to what it was before its join. C, D and E, who
/// saw nothing of that, know it as A; B, which remembers, may or may not be reached. E takes no part in the request, so
/// that C and D need A for it.
fn set_back(seed: u64, plant: Option<Plant>, is_reached: bool) -> Outcome {
    let mut world = World::planned(asked(seed, plant));
    let turns = world.turns(ECDSA_KEY);
    let (forgetful, witness, idle) = (turns[0], turns[1], turns[4]);
    let deaf: BTreeSet<_> = turns[2..].iter().copied().collect();
    let others = deaf.clone();
    world.hold(move |to, packet| match statement(packet) {
        Some((0, Statement::Join { .. } | Statement::Accept { .. })) => others.contains(&to),
        Some(_) => to == idle,
        None => false,
    });
    let entered = move |world: &World| world.record(forgetful, REQUEST).entered.is_some();
    if !world.run_until(20_000, entered) {
        return world.outcome();
    }
    world.strike(Fault::CopyDisk(forgetful));
    world.hold(move |to, packet| match statement(packet) {
        Some((0, Statement::Join { .. } | Statement::Accept { .. })) => deaf.contains(&to),
        Some(_) => to == idle || (packet.envelope.from == forgetful && deaf.contains(&to)),
        None => packet.envelope.from == forgetful && deaf.contains(&to),
    });
    if world.run_until(20_000, move |world| world.record(forgetful, REQUEST).accepted.is_some()) {
        let _ = world.run_until(world.now() + 300, |_| false);
        if !is_reached {
            world.strike(Fault::Partition(BTreeSet::from([witness])));
        }
        world.strike(Fault::SetBack(forgetful, 500));
        // B goes on saying who it is; what it knows of the request stays with it.
        world.hold(move |to, packet| {
            let silent = [idle, witness];
            packet.envelope.about_decree().is_some() && (silent.contains(&to) || silent.contains(&packet.envelope.from))
        });
        let _ = world.run_until(world.now() + 40_000, |_| false);
    }
    world.outcome()
}

#[test]
fn a_process_that_acts_on_what_is_old_before_all_have_answered_is_found() {
    let schedule: Schedule = |seed, plant| set_back(seed, plant, false);
    is_found(schedule, Plant::ActsBeforeAllAnswered, "it_keeps_its_word");
}

#[test]
fn leases_without_the_journals_head_are_found() {
    let schedule: Schedule = |seed, plant| set_back(seed, plant, true);
    is_found(schedule, Plant::LeaseWithoutJournal, "it_keeps_its_word");
}

/// Of A B C D E, A says its accept to B alone; then A's disk is lost and made anew from a backup that is older than the
/// request. Everybody consents, and B goes on saying who it is; what it knows of the request stays with it. E takes no
/// part, so that C and D need A.
fn restored(seed: u64, plant: Option<Plant>) -> Outcome {
    let mut world = World::planned(asked(seed, plant));
    let turns = world.turns(ECDSA_KEY);
    let (forgetful, witness, idle) = (turns[0], turns[1], turns[4]);
    let deaf: BTreeSet<_> = turns[2..].iter().copied().collect();
    let _ = world.run_until(400, |_| false);
    world.strike(Fault::BackUp(forgetful));
    world.hold(move |to, packet| match statement(packet) {
        Some((0, Statement::Join { .. } | Statement::Accept { .. })) => deaf.contains(&to),
        Some(_) => to == idle,
        None => false,
    });
    if world.run_until(20_000, move |world| world.record(forgetful, REQUEST).accepted.is_some()) {
        let _ = world.run_until(world.now() + 300, |_| false);
        world.strike(Fault::Restore(forgetful, 500));
        world.hold(move |to, packet| {
            let silent = [idle, witness];
            packet.envelope.about_decree().is_some() && (silent.contains(&to) || silent.contains(&packet.envelope.from))
        });
        let _ = world.run_until(world.now() + 3_000, |_| false);
        for peer in &turns[1..] {
            world.strike(Fault::Consent(*peer, forgetful));
        }
        let _ = world.run_until(world.now() + 40_000, |_| false);
        assert!(world.may_act(forgetful), "everybody has consented");
    }
    world.outcome()
}

#[test]
fn a_restored_backup_that_votes_is_found() {
    is_found(restored, Plant::RestoredVotes, "it_keeps_its_word");
}

/// Clocks that know nothing of the machines: four runs share a core, none ends in time, and all begin anew for ever.
#[test]
fn fixed_attempt_clocks_are_found() {
    let decided = |plant: Option<Plant>| {
        let plan = Plan { slots: 1, compute_ms: (1_200, 1_800), block_ms: 500, plant, ..Plan::calm(12, 3, 5) };
        let plan = (0..12).fold(plan, |plan, _| plan.wish(3_000, Wish::Sign(KeyType::EcdsaSecp256k1)));
        let mut world = World::planned(plan);
        let _ = world.run_until(62_000, |_| false);
        (1..=12).filter(|number| !world.deciders(RequestId::signature(*number)).is_empty()).count()
    };
    assert_eq!(decided(None), 12, "the real protocol");
    assert!(decided(Some(Plant::FixedClocks)) < 6, "fixed clocks are not found");
}

/// Nobody hears one of five any more, though its link stands.
#[test]
fn a_silent_peer_that_counts_as_here_is_found() {
    let schedule: Schedule = |seed, plant| {
        let mut world = World::planned(Plan { plant, ..Plan::calm(seed, 3, 5) });
        let silent = world.turns(ECDSA_KEY)[1];
        let _ = world.run_until(5_000, |_| false);
        world.hold(move |to, packet| packet.envelope.from == silent || to == silent);
        let _ = world.run_until(30_000, |_| false);
        world.outcome()
    };
    is_found(schedule, Plant::CountsTheSilent, "no_false_health");
}

/// Of three, one is dead and one came back: it waits for a vouch, which nobody gives.
#[test]
fn a_peer_that_may_not_act_and_counts_as_here_is_found() {
    let schedule: Schedule = |seed, plant| {
        let mut world = World::planned(Plan { plant, ..Plan::calm(seed, 2, 3).healing_at(600_000) });
        let turns = world.turns(ECDSA_KEY);
        let _ = world.run_until(5_000, |_| false);
        world.strike(Fault::Crash(turns[1], 3_000));
        world.strike(Fault::Crash(turns[2], 600_000));
        let _ = world.run_until(60_000, |_| false);
        assert!(!world.may_act(turns[1]));
        world.outcome()
    };
    is_found(schedule, Plant::CountsTheSilent, "no_false_health");
}

/// Two of five live; somebody asks.
#[test]
fn a_node_that_names_no_reason_is_found() {
    let schedule: Schedule = |seed, plant| {
        let mut world = World::planned(Plan { plant, ..Plan::calm(seed, 3, 5).healing_at(600_000) });
        let turns = world.turns(ECDSA_KEY);
        let _ = world.run_until(2_500, |_| false);
        turns[2..].iter().for_each(|dead| world.strike(Fault::Crash(*dead, 600_000)));
        let _ = world.run_until(60_000, |_| false);
        world.outcome()
    };
    is_found(schedule, Plant::NamesNoReason, "no_false_health");
}

/// The same, while the node goes on acting: a quorum lives, and the shelf is used up.
#[test]
fn a_node_that_does_not_get_on_and_names_no_cause_is_found() {
    let schedule: Schedule = |seed, plant| {
        let plan = Plan { plant, ..Plan::calm(seed, 3, 5) };
        let plan = (0..9).fold(plan, |plan, _| plan.wish(4_000, Wish::Key(KeyType::EddsaEd25519)));
        let mut world = World::planned(plan.healing_at(600_000));
        let dead = world.turns(ECDSA_KEY)[4];
        let _ = world.run_until(2_500, |_| false);
        world.strike(Fault::Crash(dead, 600_000));
        let _ = world.run_until(90_000, |_| false);
        world.outcome()
    };
    is_found(schedule, Plant::NamesNoReason, "no_false_health");
}

#[test]
fn a_node_that_takes_everything_in_is_found() {
    let schedule: Schedule = |seed, plant| {
        let plan = Plan { plant, live_max: 4, ..Plan::calm(seed, 2, 3) };
        let plan = (0..12).fold(plan, |plan, _| plan.wish(1_000, Wish::Sign(KeyType::EddsaEd25519)));
        World::planned(plan.healing_at(5_000)).finish()
    };
    is_found(schedule, Plant::TakesEverythingIn, "within_bounds");
}

fn in_the_shell(plant: ShellPlant, law: &str) {
    let found: BTreeSet<u64> = (0..6)
        .filter(|seed| {
            let plan = Plan { shell_plant: Some(plant), ..Plan::drawn(*seed, Some((2, 3))) };
            World::planned(plan).finish().broke(law)
        })
        .collect();
    assert!(!found.is_empty(), "{plant:?} is not found");
}

#[test]
fn words_said_before_their_write_are_found() {
    in_the_shell(ShellPlant::SpeakBeforeWrite, "journal_before_wire");
}

#[test]
fn a_burn_after_its_send_is_found() {
    in_the_shell(ShellPlant::BurnAfterSend, "nonce_burned_before_use");
}

#[test]
fn a_transaction_declared_dead_from_reads_at_different_heights_is_found() {
    in_the_shell(ShellPlant::MixedHeights, "one_submission_per_party");
}
