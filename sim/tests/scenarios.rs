//! Directed schedules: the promises of the system, each told as a story with one ending.

use std::collections::BTreeSet;

use chain_client::{KeyType, RequestId, Standing};
use mpc_core::PartyIndex;
use sim::{EndpointLie, Endpoints, Fault, Outcome, Plan, Weather, Who, Wish, World};

const ECDSA: u64 = 1;
const RESERVED: u64 = 2;
const EDDSA: u64 = 3;

fn party(index: u16) -> PartyIndex {
    PartyIndex::new(index)
}

/// A key of each type and signatures of each, within two blocks.
fn everything(plan: Plan) -> Plan {
    KeyType::ALL.into_iter().fold(plan, |plan, key_type| {
        plan.wish(1_000, Wish::Key(key_type)).wish(1_900, Wish::Sign(key_type)).wish(2_500, Wish::Pair(key_type))
    })
}

#[track_caller]
fn well(outcome: &Outcome) {
    assert!(outcome.is_well(), "seed {}: {:?}\n{:#?}", outcome.seed, outcome.violations, outcome.plan);
}

#[test]
fn five_processes_and_one_stopped_answer_every_request() {
    let mut plan = everything(Plan::calm(1, 3, 5));
    plan.absent = BTreeSet::from([party(4)]);
    let outcome = World::planned(plan).finish();
    well(&outcome);
    // Three keys, three signatures, and three groups of a parent and two children; parents close with their children.
    assert_eq!((outcome.totals.fulfilled, outcome.totals.expired, outcome.totals.open), (15, 0, 0));
}

#[test]
fn fewer_than_t_sign_nothing_and_refuse_nothing_and_go_on_when_others_return() {
    let plan = Plan { block_ms: 1_000, ..everything(Plan::calm(2, 3, 5)) };
    let plan = [2, 3, 4].into_iter().fold(plan, |plan, index| plan.fault(10, Fault::Crash(party(index), 40_000)));
    let mut world = World::planned(plan.healing_at(45_000));
    assert!(!world.run_until(39_000, |world| world.totals().broadcasts > 0), "nothing is published");
    assert_eq!(world.totals().runs, 0, "nothing is signed");
    let open = world.requests().into_iter().filter(|id| id.number > 4 || *id == RequestId::signature(1));
    for id in open {
        assert!(world.standing(id).is_open(), "{id} is neither answered nor refused");
    }
    let outcome = world.finish();
    well(&outcome);
    assert_eq!(outcome.totals.expired, 0);
}

#[test]
fn two_leaders_at_once_settle_on_one_answer() {
    let mut both = 0;
    for seed in 0..12 {
        let crawl = Weather { latency_ms_min: 500, latency_ms_max: 7_000, ..Weather::CALM };
        let plan = Plan::calm(seed, 3, 5)
            .wish(500, Wish::Sign(KeyType::EcdsaSecp256k1))
            .wish(500, Wish::Key(KeyType::EddsaEd25519))
            .fault(600, Fault::Weather(crawl))
            .healing_at(30_000);
        let outcome = World::planned(plan).logged().finish();
        well(&outcome);
        let leaders: BTreeSet<&str> = outcome
            .log
            .iter()
            .filter(|line| line.contains("signature/1") && (line.ends_with("propose") || line.ends_with("prepare")))
            .filter(|line| line.contains(" says to All"))
            .filter_map(|line| line.split_whitespace().nth(1))
            .collect();
        both += usize::from(leaders.len() > 1);
    }
    assert!(both >= 3, "several parties led in {both} of 12 worlds");
}

/// The party that leads first for a wish, and how many frames it sends, in a calm world.
fn leader_of(plan: &Plan) -> (PartyIndex, u64) {
    let outcome = World::planned(plan.clone()).logged().finish();
    well(&outcome);
    let line = outcome.log.iter().find(|line| line.contains("says to All") && line.ends_with("propose"));
    let leader = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|name| name.parse().ok());
    let leader: u16 = leader.expect("somebody leads");
    let says =
        |line: &&String| line.split_whitespace().nth(1) == Some(&leader.to_string()) && line.contains(" says to ");
    (party(leader), outcome.log.iter().filter(says).count() as u64 * 2)
}

fn dies_between_any_two_messages(wish: Wish) {
    let plan = Plan::calm(3, 2, 3).wish(1_000, wish);
    let (leader, frames) = leader_of(&plan);
    assert!(frames >= 6, "it sends something: {frames}");
    let mut deaths = 0;
    for left in 0..frames {
        let death = Fault::CrashAfterFrames { party: leader, frames: left, down_ms: 3_000 };
        let outcome = World::planned(plan.clone().fault(1_050, death).healing_at(20_000)).finish();
        well(&outcome);
        assert_eq!((outcome.totals.fulfilled, outcome.totals.expired), (1, 0), "after {left} frames");
        deaths += outcome.totals.crashes;
    }
    assert!(deaths >= frames / 2, "it really dies: {deaths} of {frames}");
}

#[test]
fn a_leader_that_dies_between_any_two_messages_of_a_signature_spoils_nothing() {
    dies_between_any_two_messages(Wish::Sign(KeyType::EcdsaSecp256k1));
}

#[test]
fn a_leader_that_dies_between_any_two_messages_of_a_key_spoils_nothing() {
    dies_between_any_two_messages(Wish::Key(KeyType::EddsaEd25519));
}

#[test]
fn endpoints_that_lie_about_sequences_cost_nobody_an_answer_and_are_told() {
    let mut told = 0;
    for (seed, lie) in
        (0..4).zip([EndpointLie::Ahead(1), EndpointLie::Ahead(3), EndpointLie::Behind(1), EndpointLie::Behind(2)])
    {
        let bad = Endpoints { read_lost: 50, broadcast_lost: 300, answer_lost: 300, broadcast_late: 300 };
        let plan = everything(Plan::calm(seed, 2, 3)).fault(0, Fault::Endpoints(bad));
        let plan = (0..3).fold(plan, |plan, index| plan.fault(0, Fault::Lie(party(index), Some(lie))));
        let outcome = World::planned(plan.healing_at(25_000)).finish();
        well(&outcome);
        assert_eq!((outcome.totals.fulfilled, outcome.totals.expired, outcome.totals.open), (15, 0, 0));
        told += outcome.totals.alarms;
    }
    assert!(told > 0, "the operator is told");
}

#[test]
fn delayed_and_lost_broadcasts_and_their_lost_answers_never_submit_twice() {
    for seed in 0..6 {
        let bad = Endpoints { read_lost: 100, broadcast_lost: 400, answer_lost: 600, broadcast_late: 500 };
        let plan = everything(Plan::calm(seed, 2, 3)).fault(0, Fault::Endpoints(bad)).healing_at(25_000);
        let plan = plan.fault(4_000, Fault::ForgetMempool).fault(9_000, Fault::Lag(party(1), 4));
        let outcome = World::planned(plan.healing_at(25_000)).finish();
        well(&outcome);
        assert_eq!(outcome.totals.expired, 0);
    }
}

#[test]
fn a_crash_at_any_durable_write_before_or_after_it_spoils_nothing() {
    let plan = Plan::calm(5, 2, 3).wish(1_000, Wish::Key(KeyType::EcdsaSecp256k1));
    let plan = plan.wish(1_000, Wish::Sign(KeyType::EddsaEd25519));
    let (leader, _) = leader_of(&plan);
    let other = party((leader.get() + 1) % 3);
    for who in [leader, other] {
        for before in [true, false] {
            let (mut ahead, mut crashed) = (1, true);
            while crashed {
                let death = Fault::CrashAtWrite { party: who, ahead, before, down_ms: 2_000 };
                let outcome = World::planned(plan.clone().fault(1_010, death).healing_at(15_000)).finish();
                well(&outcome);
                assert_eq!((outcome.totals.fulfilled, outcome.totals.expired), (2, 0), "{who} write {ahead}");
                crashed = outcome.totals.crashes > 0;
                ahead += 1;
            }
            assert!(ahead > 8, "{who} dies at every one of its writes: {ahead}");
        }
    }
}

#[test]
fn what_can_never_be_answered_is_recorded_with_its_reason_and_the_next_request_is_served() {
    let plan = Plan { unanswerable: true, ..Plan::calm(6, 2, 3) };
    let mut world = World::planned(plan);
    let _ = world.run_until(1_100, |_| false);
    // Keys: 5 of the stranger in its own workspace, made by us; 6 of the foreign keyring, which nobody shows us.
    world.ask_key(Who::Stranger, KeyType::EcdsaSecp256k1, true);
    world.ask_key(Who::Stranger, KeyType::EcdsaSecp256k1, false);
    let is_made = |world: &World| matches!(world.standing(RequestId::key(5)), Standing::Fulfilled { .. });
    assert!(world.run_until(30_000, is_made), "the stranger's key is made");
    // 1: a group whose first item has another type than the group, whose second has a payload of the wrong length.
    world.ask_signatures(&[(EDDSA, &[1; 32]), (ECDSA, &[2; 10])]);
    // 4: a group with a key in a workspace that is not the user's.
    world.ask_signatures(&[(ECDSA, &[3; 32]), (5, &[4; 32])]);
    // 7: and something that can be answered.
    world.ask_signatures(&[(ECDSA, &[5; 32])]);
    let served = |world: &World| matches!(world.standing(RequestId::signature(7)), Standing::Fulfilled { .. });
    assert!(world.run_until(40_000, served), "the next request is served");
    let verdicts = world.verdicts();
    let reason = |number: u64| {
        let reasons = &verdicts[&RequestId::signature(number)];
        assert_eq!(reasons.len(), 1, "all parties agree: {reasons:?}");
        let (reason, parties) = reasons.first_key_value().expect("one");
        assert_eq!(parties.len(), 3, "every party recorded it");
        reason.clone()
    };
    assert!(reason(2).contains("declares"), "{}", reason(2));
    assert!(reason(3).contains("payload of 10 bytes"), "{}", reason(3));
    assert!(reason(6).contains("workspace"), "{}", reason(6));
    assert!(!verdicts.contains_key(&RequestId::key(6)), "a foreign keyring's request is not even shown");
    assert!(matches!(world.standing(RequestId::signature(5)), Standing::Fulfilled { .. }), "its sibling is served");
    well(&world.finish());
}

#[test]
fn a_key_that_we_did_not_make_signs_nothing() {
    let plan = Plan { unanswerable: true, ..Plan::calm(7, 2, 3) };
    let plan = (0..3).fold(plan, |plan, index| plan.fault(10, Fault::Crash(party(index), 5_000)));
    let mut world = World::planned(plan.healing_at(9_000));
    let _ = world.run_until(100, |_| false);
    world.ask_key(Who::User, KeyType::EddsaEd25519, true);
    let _ = world.run_until(1_100, |_| false);
    world.ghosts_answer_key(5, &[0x58; 32]);
    assert!(world.run_until(4_000, |world| matches!(world.standing(RequestId::key(5)), Standing::Fulfilled { .. })));
    world.ask_signatures(&[(5, b"whose key is this?")]);
    world.ask_signatures(&[(EDDSA, b"and this one is ours")]);
    let served = |world: &World| matches!(world.standing(RequestId::signature(2)), Standing::Fulfilled { .. });
    assert!(world.run_until(30_000, served), "the next request is served");
    let verdicts = world.verdicts();
    let reasons = verdicts.get(&RequestId::signature(1)).expect("recorded");
    assert!(reasons.keys().all(|reason| reason.contains("not one that this keyring made")), "{reasons:?}");
    assert!(world.standing(RequestId::signature(1)).is_open(), "and left to expire");
    well(&world.finish());
}

#[test]
fn children_with_reserved_keys_are_served() {
    let mut world = World::planned(Plan { unanswerable: true, ..Plan::calm(8, 2, 3) });
    let _ = world.run_until(1_100, |_| false);
    world.chain_asks(&[(RESERVED, &[1; 32]), (RESERVED, &[2; 32])]);
    // 4: a reserved key, but a digest that never verifies; 5: its sibling.
    world.chain_asks(&[(RESERVED, &[3; 20]), (RESERVED, &[4; 32])]);
    let outcome = {
        let done = |world: &World| {
            [2, 3, 6]
                .iter()
                .all(|number| matches!(world.standing(RequestId::signature(*number)), Standing::Fulfilled { .. }))
        };
        assert!(world.run_until(30_000, done), "served");
        assert!(world.verdicts()[&RequestId::signature(5)].keys().all(|reason| reason.contains("20 bytes")));
        world.finish()
    };
    well(&outcome);
}

#[test]
fn single_requests_of_the_zrsign_connector_are_served() {
    let mut world = World::planned(Plan::calm(9, 2, 3));
    let _ = world.run_until(1_100, |_| false);
    world.connector_asks_key("0x71C7656EC7ab88b098defB751B7401B5f6d8976F");
    let made = |world: &World| matches!(world.standing(RequestId::key(5)), Standing::Fulfilled { .. });
    assert!(world.run_until(30_000, made), "the owner elsewhere gets a key");
    world.connector_asks_signature("0x71C7656EC7ab88b098defB751B7401B5f6d8976F", &[7; 32]);
    let signed = |world: &World| matches!(world.standing(RequestId::signature(1)), Standing::Fulfilled { .. });
    assert!(world.run_until(40_000, signed), "and a signature");
    well(&world.finish());
}

#[test]
fn a_keyring_that_is_switched_off_publishes_nothing_and_catches_up_when_it_is_on_again() {
    let plan = (0..3).fold(Plan::calm(10, 2, 3), |plan, index| plan.fault(10, Fault::Crash(party(index), 4_000)));
    let mut world = World::planned(plan.healing_at(30_000));
    let _ = world.run_until(100, |_| false);
    world.ask_signatures(&[(ECDSA, &[1; 32])]);
    let _ = world.run_until(1_100, |_| false);
    world.switch_keyring(false);
    let _ = world.run_until(15_000, |_| false);
    assert_eq!(world.deciders(RequestId::signature(1)).len(), 3, "it is signed and decided");
    assert_eq!(world.totals().broadcasts, 0, "and not published: the answer would reject the request");
    world.switch_keyring(true);
    let served = |world: &World| matches!(world.standing(RequestId::signature(1)), Standing::Fulfilled { .. });
    assert!(world.run_until(40_000, served), "until the keyring is on");
    well(&world.finish());
}

/// Twelve ECDSA requests in one block, for parties of one core that compute two seconds in each of two rounds.
fn twelve_at_once(need: u16, of: u16, block_ms: u64) -> World {
    /// Some hold their leases, some do not yet: the first proposals are said again to who comes later.
    const ASKED_MS: u64 = 500;
    let plan = Plan { slots: 1, compute_ms: (1_200, 1_800), block_ms, ..Plan::calm(12, need, of) };
    let plan = (0..12).fold(plan, |plan, _| plan.wish(ASKED_MS, Wish::Sign(KeyType::EcdsaSecp256k1)));
    let mut world = World::planned(plan);
    let life = ASKED_MS + 121 * block_ms + 1_000;
    while world.now() < life && (1..=12).any(|number| is_open(&world, number)) {
        let next = world.now() + 1_000;
        let _ = world.run_until(next, |_| false);
    }
    world
}

fn is_open(world: &World, number: u64) -> bool {
    let id = RequestId::signature(number);
    !world.requests().contains(&id) || world.standing(id).is_open()
}

fn decided(world: &World) -> usize {
    (1..=12).filter(|number| !world.deciders(RequestId::signature(*number)).is_empty()).count()
}

#[test]
fn twelve_requests_at_once_on_slow_cores_are_all_decided_with_few_runs() {
    for (need, of) in [(2, 3), (3, 5)] {
        let world = twelve_at_once(need, of, 500);
        let (runs, decided) = (world.signing_runs(), decided(&world));
        assert_eq!(decided, 12, "{need} of {of}, {runs} runs");
        assert!(runs <= 20, "{need} of {of}: {runs} runs");
        well(&world.outcome());
    }
}

#[test]
fn twelve_requests_with_a_short_life_are_answered_as_far_as_cores_go() {
    let world = twelve_at_once(3, 5, 166);
    assert!(decided(&world) >= 3, "{} decided with {} runs", decided(&world), world.signing_runs());
    well(&world.outcome());
}

#[test]
fn an_endpoint_that_does_not_know_the_request_yet_ends_nothing() {
    for seed in 0..4 {
        let plan = everything(Plan::calm(seed, 2, 3));
        let plan = (0..3).fold(plan, |plan, index| plan.fault(0, Fault::Lag(party(index), 5)));
        let outcome = World::planned(plan.healing_at(20_000)).finish();
        well(&outcome);
        assert_eq!((outcome.totals.expired, outcome.totals.open), (0, 0));
    }
}

#[test]
fn one_seed_is_one_run() {
    let run = || World::planned(Plan::drawn(11, Some((2, 3)))).logged().finish();
    let (one, other) = (run(), run());
    assert_eq!(one.log, other.log);
    assert_eq!(one.totals, other.totals);
}
