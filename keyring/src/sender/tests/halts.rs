//! An account that moves without us.

use super::*;

#[test]
fn an_account_that_moves_without_us_stops_the_sender_until_an_operator_says_where_it_stands() {
    let mut desk = Desk::new();
    desk.chain.moves_alone();
    desk.chain.moves_alone();
    desk.blocks(1);
    let request = desk.ask();
    assert_eq!(desk.why(request), Some(Why::Moved { chain: 7, own: 5 }), "the head shows it");
    desk.blocks(FINAL_DEPTH - 1);
    let halt = Halt::MovedWithoutUs { chain: 6, own: 5 };
    assert!(desk.told().contains(&Outcome::Halted(halt.clone())));
    desk.restarts();
    assert_eq!(desk.sender.halted(), Some(&halt), "a restart ends nothing");
    assert_eq!(halt_on_disk(CHAIN, &desk.store).unwrap(), Some(halt));
    assert_eq!(desk.sender.check_resume(7), Err(ResumeError::Elsewhere { given: 7, own: 5, chain: 6 }));
    desk.block();
    assert_eq!(desk.sender.check_resume(6), Err(ResumeError::Elsewhere { given: 6, own: 5, chain: 7 }), "it moved on");
    // The journal's nonce is wrong here: the next look stops it again.
    let moves = desk.sender.resume(5).unwrap();
    desk.carry_out(moves);
    desk.block();
    assert!(desk.sender.halted().is_some());
    let moves = desk.sender.resume(7).unwrap();
    desk.carry_out(moves);
    desk.restarts();
    let _ = desk.sender.publish(decree(request), delivery(request, 0, desk.chain.height())).unwrap();
    assert_eq!(desk.block().first().map(|signed| signed.nonce), Some(7));
    assert_eq!(desk.sender.resume(7).unwrap_err(), ResumeError::NotHalted);
}

#[test]
fn a_nonce_that_none_of_ours_spent_stops_the_sender_once_it_is_seen_for_some_blocks() {
    let mut desk = Desk::new();
    let (request, _) = desk.submits();
    desk.chain.moves_alone();
    desk.blocks(FINAL_DEPTH + 5);
    assert_eq!(desk.sender.halted(), None, "a receipt may be late");
    desk.blocks(2);
    let halt = Halt::Stranger { nonce: 5, chain: 6, own: 6 };
    assert_eq!(desk.sender.halted(), Some(&halt));
    assert!(desk.sender.why_silent().contains("nonce 5 was spent by a transaction"));
    let moves = desk.sender.resume(6).unwrap();
    desk.carry_out(moves);
    assert_eq!(desk.block().first().map(|signed| signed.nonce), Some(6), "the answer gets another nonce");
    desk.restarts();
    assert!(desk.sender.slots().all(|slot| slot.decree == decree(request) && slot.nonce == 6));
}

#[test]
fn a_final_block_that_is_taken_back_stops_the_sender_and_its_bytes_go_out_again_when_an_operator_says_so() {
    let mut desk = Desk::new();
    let before = desk.chain.blocks.len();
    let (request, flying) = desk.delivers();
    desk.blocks(FINAL_DEPTH + 1);
    assert!(desk.sender.is_at_rest());
    desk.chain.blocks.truncate(before);
    desk.chain.block();
    desk.sees();
    assert_eq!(desk.sender.halted(), None, "a lower head is behind");
    desk.blocks(FINAL_DEPTH + 1);
    assert_eq!(desk.sender.halted(), Some(&Halt::WentBack { chain: 5, own: 6 }));
    assert_eq!(desk.sender.check_resume(5), Err(ResumeError::UsedBefore { given: 5, own: 6 }));
    let moves = desk.sender.resume(6).unwrap();
    desk.carry_out(moves);
    desk.restarts();
    assert_eq!(desk.block(), std::slice::from_ref(&flying.signed));
    desk.chain.broadcast(&flying);
    desk.blocks(FINAL_DEPTH + 1);
    assert!(desk.sender.is_at_rest() && desk.chain.head().requests[&request].answered == Some(true));
}

#[test]
fn a_new_account_begins_where_nothing_is_on_its_way_to_finality() {
    let mut desk = Desk::new();
    desk.store = MemoryStore::new(2);
    desk.restarts();
    desk.chain.moves_alone();
    desk.block();
    let request = desk.ask();
    assert_eq!(desk.why(request), Some(Why::Unread));
    desk.blocks(FINAL_DEPTH - 2);
    assert_eq!(desk.sender.facts().nonce, None);
    assert_eq!(desk.block().first().map(|signed| signed.nonce), Some(6));
}

#[test]
fn an_endpoint_that_is_behind_when_a_new_account_begins_stops_nothing() {
    let mut desk = Desk::new();
    (desk.store, desk.sender) = (MemoryStore::new(2), Sender::recover(desk.settings, &MemoryStore::new(2)).unwrap());
    desk.chain.moves_alone();
    (0..FINAL_DEPTH).for_each(|_| desk.chain.block());
    let moves = desk.sender.sighted(&desk.chain.sight(0));
    desk.carry_out(moves);
    assert_eq!(desk.sender.facts().nonce, Some(6));
    let moves = desk.sender.sighted(&desk.chain.sight(3));
    desk.carry_out(moves);
    assert_eq!(desk.sender.halted(), None);
}

#[test]
fn a_sight_that_cannot_be_of_one_moment_is_not_looked_at() {
    let mut desk = Desk::new();
    let mut sight = desk.chain.sight(0);
    (sight.account.nonce, sight.account.final_nonce) = (5, 9);
    let moves = desk.sender.sighted(&sight);
    assert!(moves.entries.is_empty() && desk.sender.halted().is_none());
}
