//! Peers that come back after so many writes that nobody can be shown what they remember.

use super::*;

/// The place that this party remembers of its peer's journal.
const REMEMBERED: u64 = 10;

fn peer() -> PartyIndex {
    PartyIndex::new(1)
}

/// A party that begins with what it knew of the peer's second start.
fn back_after_long() -> Grants {
    let process = Process { life: Life { incarnation: 0, boot: 2 }, instance: 22 };
    let journal = Held { position: REMEMBERED, hash: [1; 32] };
    let memory = PeerMemory { process, journal, ..PeerMemory::default() };
    Grants::new(7, BTreeMap::from([(peer(), memory)]), 0)
}

/// A process of the peer says hello, when any former one has been silent for a lease.
fn hello(grants: &mut Grants, (boot, instance): (u64, u64), position: u64) -> Result<Said, Refusal> {
    let heard = Heard { from: peer(), instance, journal: Held { position, hash: [2; 32] }, is_consented: false };
    let hello = Hello { life: Life { incarnation: 0, boot }, nonce: 5, ..Hello::default() };
    grants.hello(&heard, &hello, LEASE_MS)
}

#[test]
fn the_very_process_that_was_known_is_known_again_when_its_journal_reaches_back_no_more() {
    let gone = REMEMBERED + HEADS_KEPT;
    assert!(matches!(hello(&mut back_after_long(), (2, 22), gone), Ok(Said::Granted { .. })));
    let asked = hello(&mut back_after_long(), (2, 22), gone - 1);
    assert!(matches!(asked, Ok(Said::Word(LeaseWord::Challenge { position: REMEMBERED, .. }))), "it can still show it");
    let set_back = hello(&mut back_after_long(), (2, 22), REMEMBERED - 1);
    assert_eq!(set_back, Err(Refusal::RolledBack), "a machine that was set back with its memory");
    assert_eq!(hello(&mut back_after_long(), (2, 23), gone), Err(Refusal::Copied), "a copy has another number");
}

#[test]
fn another_process_whose_journal_reaches_back_no_more_waits_for_an_operator() {
    let (mut grants, gone) = (back_after_long(), REMEMBERED + HEADS_KEPT);
    assert!(!grants.unfence(peer()), "nobody asks yet");
    assert_eq!(hello(&mut grants, (3, 33), gone), Err(Refusal::OutOfReach));
    assert!(grants.is_out_of_reach(peer()) && grants.unfence(peer()) && !grants.is_out_of_reach(peer()));
    assert_eq!(hello(&mut grants, (4, 44), gone), Err(Refusal::OutOfReach), "it was said of another process");
    assert!(matches!(hello(&mut grants, (3, 33), gone + 1), Ok(Said::Granted { .. })));
    assert!(!grants.is_out_of_reach(peer()));
    assert_eq!(grants.memory()[&peer()].journal.position, gone + 1, "remembered anew");
    assert_eq!(hello(&mut grants, (2, 22), gone + 2), Err(Refusal::Outlived));
}
