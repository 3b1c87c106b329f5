//! A crash at each durable write of the request path, on both sides of the write: nothing lost, nothing doubled. The
//! enumeration of every party of five is `./run sim --crashes --threshold 3 --parties 5`.

#![allow(clippy::print_stdout, reason = "a test tells what it covered")]

use mpc_core::PartyIndex;
use sim::Enumeration;

fn every_write_of(enumeration: &Enumeration, parties: &[PartyIndex]) {
    let sites = enumeration.sites(parties);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let harms = enumeration.crash_all(&sites, jobs, || ());
    println!("{} crash sites of parties {parties:?}; writes on the path: {:?}", sites.len(), enumeration.writes());
    for harm in &harms {
        println!("{}: {}", harm.site, harm.text);
    }
    assert!(harms.is_empty(), "{} of {} crashes did harm", harms.len(), sites.len());
    let least = parties.iter().map(|party| enumeration.writes()[usize::from(party.get())]).min();
    assert!(least >= Some(20), "six requests need more than {least:?} writes of each party");
}

#[test]
fn no_crash_at_any_write_of_any_of_three_parties_loses_or_doubles_anything() {
    let enumeration = Enumeration::of(2, 3).expect("all is well without a crash");
    every_write_of(&enumeration, &[0, 1, 2].map(PartyIndex::new));
}

#[test]
fn no_crash_at_any_write_of_a_leader_a_signer_or_another_of_five_loses_or_doubles_anything() {
    let enumeration = Enumeration::of(3, 5).expect("all is well without a crash");
    let roles = enumeration.roles();
    assert_eq!(roles.len(), 3, "three roles, three parties");
    every_write_of(&enumeration, &roles);
}
