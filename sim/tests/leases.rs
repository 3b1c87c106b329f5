//! Disks that were set back: whoever remembers more refuses them, they stay out of what they may have forgotten, and
//! serve what is new.

use std::collections::BTreeSet;

use chain_client::{KeyType, RequestId, Standing};
use mpc_core::PartyIndex;
use sim::{Fault, Plan, Wish, World};

const ECDSA: u64 = 1;

fn party(index: u16) -> PartyIndex {
    PartyIndex::new(index)
}

fn fulfilled(world: &World, number: u64) -> bool {
    matches!(world.standing(RequestId::signature(number)), Standing::Fulfilled { .. })
}

#[test]
fn a_disk_that_everybody_has_seen_more_of_does_not_act_and_the_others_go_on() {
    let plan = Plan::calm(1, 3, 5).wish(3_000, Wish::Sign(KeyType::EcdsaSecp256k1)).healing_at(1);
    let mut world = World::planned(plan);
    let set_back = world.turns(ECDSA)[0];
    world.strike(Fault::CopyDisk(set_back));
    assert!(world.run_until(30_000, |world| fulfilled(world, 1)), "the first request is served");
    world.strike(Fault::SetBack(set_back, 500));
    let _ = world.run_until(world.now() + 30_000, |_| false);
    assert!(!world.may_act(set_back), "four peers remember more than it does");
    assert!(world.totals().alarms >= 5, "it and its peers say so");
    world.ask_signatures(&[(ECDSA, &[7; 32])]);
    let end = world.now() + 60_000;
    assert!(world.run_until(end, |world| fulfilled(world, 2)), "the other four serve what is new");
    let outcome = world.outcome();
    assert_eq!(outcome.violations, vec![]);
}

#[test]
fn a_disk_that_only_an_absent_peer_has_seen_more_of_stays_out_of_what_is_old_and_serves_what_is_new() {
    let plan = Plan::calm(2, 3, 5).wish(3_000, Wish::Sign(KeyType::EcdsaSecp256k1)).healing_at(1);
    let mut world = World::planned(plan);
    let turns = world.turns(ECDSA);
    let (set_back, witness) = (turns[0], turns[1]);
    let others: BTreeSet<PartyIndex> = turns[2..].iter().copied().collect();
    let _ = world.run_until(2_500, |_| false);
    world.strike(Fault::CopyDisk(set_back));
    // Nobody but the witness hears anything of it any more, while its lease still lasts.
    let deaf = others.clone();
    world.hold(move |to, packet| packet.envelope.from == set_back && deaf.contains(&to));
    let _ = world.run_until(6_000, |_| false);
    world.strike(Fault::Partition(BTreeSet::from([witness])));
    world.strike(Fault::SetBack(set_back, 500));
    world.release(|_| false);
    let end = world.now() + 30_000;
    assert!(world.run_until(end, |world| world.may_act(set_back)), "three of four peers know it");
    assert!(world.run_until(end, |world| fulfilled(world, 1)), "the other three serve what is old");
    assert!(world.record(set_back, RequestId::signature(1)).joined.is_none(), "it joins nothing that is old");

    // With one more gone, what is new needs it.
    world.strike(Fault::Crash(party(others.iter().next().map_or(0, |first| first.get())), 600_000));
    let _ = world.run_until(world.now() + 12_000, |_| false);
    world.ask_signatures(&[(ECDSA, &[9; 32])]);
    let end = world.now() + 60_000;
    assert!(world.run_until(end, |world| fulfilled(world, 2)), "it serves what is new");
    let outcome = world.outcome();
    assert_eq!(outcome.violations, vec![]);
}

#[test]
fn a_party_that_comes_back_from_a_backup_waits_for_consents_and_then_serves_what_is_new() {
    let plan = Plan::calm(3, 3, 5).wish(3_000, Wish::Sign(KeyType::EcdsaSecp256k1)).healing_at(1);
    let mut world = World::planned(plan);
    let turns = world.turns(ECDSA);
    let (restored, dead) = (turns[0], turns[4]);
    let _ = world.run_until(2_500, |_| false);
    world.strike(Fault::BackUp(restored));
    assert!(world.run_until(30_000, |world| fulfilled(world, 1)), "the first request is served");
    world.strike(Fault::Restore(restored, 500));
    let _ = world.run_until(world.now() + 15_000, |_| false);
    assert!(!world.may_act(restored), "nobody has consented");
    for peer in &turns[1..3] {
        world.strike(Fault::Consent(*peer, restored));
    }
    let _ = world.run_until(world.now() + 15_000, |_| false);
    assert!(!world.may_act(restored), "two of four are no more than half");
    world.strike(Fault::Consent(turns[3], restored));
    let end = world.now() + 5_000;
    assert!(world.run_until(end, |world| world.may_act(restored)), "three of four are");
    assert!(world.record(restored, RequestId::signature(1)).joined.is_none(), "it has forgotten that it joined");

    // The fourth never consented: it is shown the consents of the others, and grants too. Started again, the party is
    // known at once.
    world.strike(Fault::Crash(restored, 500));
    let end = world.now() + 20_000;
    assert!(world.run_until(end, |world| world.may_act(restored)), "it is that party now");
    world.strike(Fault::Crash(dead, 600_000));
    world.strike(Fault::Crash(turns[3], 600_000));
    let _ = world.run_until(world.now() + 12_000, |_| false);
    world.ask_signatures(&[(ECDSA, &[9; 32])]);
    let end = world.now() + 60_000;
    assert!(world.run_until(end, |world| fulfilled(world, 2)), "it signs what is new");
    let outcome = world.outcome();
    assert_eq!(outcome.violations, vec![]);
}

#[test]
fn of_two_restores_of_one_backup_one_lives() {
    let mut world = World::planned(Plan::calm(4, 3, 5));
    let restored = party(0);
    let _ = world.run_until(2_500, |_| false);
    world.strike(Fault::BackUp(restored));
    let consent = |world: &mut World| {
        let _ = world.run_until(world.now() + 15_000, |_| false);
        (1..5).for_each(|peer| world.strike(Fault::Consent(party(peer), restored)));
        let _ = world.run_until(world.now() + 15_000, |_| false);
    };
    world.strike(Fault::Restore(restored, 500));
    consent(&mut world);
    assert!(world.may_act(restored));
    world.strike(Fault::Restore(restored, 500));
    consent(&mut world);
    assert!(!world.may_act(restored), "the backup's next incarnation has been there: a later one must be asked for");
    assert_eq!(world.outcome().violations, vec![]);
}

/// Laws that a party without its memory cannot break, whatever else happens. That everything is answered in time is not
/// among them: the others may lack it for that.
const SAFETY: [&str; 11] = [
    "one_answer_per_request",
    "one_submission_per_party",
    "it_keeps_its_word",
    "nonce_burned_before_use",
    "journal_before_wire",
    "only_what_the_chain_asks",
    "nothing_rejected_because_of_us",
    "no_write_is_refused",
    "no_false_health",
    "silence",
    "it_remembers",
];

#[test]
fn drawn_worlds_in_which_a_party_loses_its_memory_break_no_law_of_safety() {
    let mut acted = 0;
    for seed in 0..40_u64 {
        let plan = Plan { heals_at: 30_000, ..Plan::drawn(seed, None) };
        let (of, peers) = (plan.of, u64::from(plan.of) - 1);
        let forgetful = party(u16::try_from(seed % u64::from(of)).unwrap_or(0));
        let is_restored = seed % 2 == 0;
        let mut world = World::planned(plan);
        let _ = world.run_until(400 + 97 * seed, |_| false);
        world.strike(if is_restored { Fault::BackUp(forgetful) } else { Fault::CopyDisk(forgetful) });
        let _ = world.run_until(world.now() + 150 * (seed + 1), |_| false);
        world.strike(if is_restored { Fault::Restore(forgetful, 300) } else { Fault::SetBack(forgetful, 300) });
        for moment in 1..40 {
            let _ = world.run_until(world.now() + 1_000, |_| false);
            let peer = (u64::from(forgetful.get()) + 1 + moment % peers) % u64::from(of);
            world.strike(Fault::Consent(party(u16::try_from(peer).unwrap_or(0)), forgetful));
        }
        acted += u32::from(world.may_act(forgetful));
        let outcome = world.finish();
        let broken: Vec<_> = outcome.violations.iter().filter(|violation| SAFETY.contains(&violation.law)).collect();
        assert!(broken.is_empty(), "seed {seed}: {broken:?}");
        let twice = outcome.violations.iter().find(|violation| violation.text.contains(" serves "));
        assert!(twice.is_none(), "seed {seed}: {twice:?}");
    }
    assert!(acted >= 15, "only {acted} of 40 came back: the schedule shows nothing");
}
