//! A nonce belongs to its answer until a final block has spent it.

use super::*;

#[test]
fn an_answer_is_done_when_a_final_block_has_it_and_no_block_earlier() {
    let mut desk = Desk::new();
    let (request, _) = desk.delivers();
    assert!(desk.blocks(FINAL_DEPTH).is_empty(), "a block has it: nothing is sent again");
    assert_eq!(desk.sender.slots().count(), 1, "the head decides nothing");
    let mined_at = desk.chain.mined().next().unwrap().receipt.height;
    desk.block();
    assert!(desk.told().contains(&Outcome::Landed { decree: decree(request), height: mined_at, cost: 0 }));
    assert!(desk.sender.is_at_rest());
    assert_eq!((desk.sender.facts().nonce, desk.sender.facts().lost_total), (Some(6), 0));
}

#[test]
fn the_same_bytes_go_out_again_when_they_are_lost_and_when_a_reorganisation_takes_them_back() {
    let mut desk = Desk::new();
    let (request, first) = desk.submits();
    assert!(desk.block().is_empty(), "not in every block");
    assert_eq!(desk.block(), std::slice::from_ref(&first.signed));
    desk.restarts();
    assert_eq!(
        desk.block(),
        std::slice::from_ref(&first.signed),
        "a new process does not know when they were last sent"
    );
    desk.chain.broadcast(&first);
    assert!(desk.blocks(3).is_empty());
    desk.chain.reorganise(3);
    assert_eq!(desk.sees(), std::slice::from_ref(&first.signed));
    desk.chain.broadcast(&first);
    desk.blocks(FINAL_DEPTH + 1);
    assert!(matches!(&desk.told()[..], [.., Outcome::Landed { .. }]), "{request}");
    assert_eq!(desk.chain.mined().count(), 1);
}

#[test]
fn what_the_chain_asks_more_for_is_replaced_under_its_nonce_for_an_eighth_more_or_what_is_wanted_now() {
    let mut desk = Desk::new();
    let (request, first) = desk.submits();
    desk.chain.base_fee = 22 * GWEI / 10;
    let sent = desk.blocks(4);
    let [.., dearer] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((dearer.nonce, dearer.price, dearer.answers), (5, 34 * GWEI / 10, true));
    assert!(sent[..sent.len() - 1].iter().all(|signed| *signed == first.signed), "the first ones until then");
    assert!(desk.told().contains(&Outcome::Submitting(decree(request), dearer.hash)));
    // One that a node finds too cheap is raised at once, by an eighth, whatever the base fee says.
    desk.sender.hinted(5, first.signed.hash, Hint::Underpriced);
    assert!(desk.block().is_empty(), "of one that was replaced it is no news");
    desk.sender.hinted(5, dearer.hash, Hint::Underpriced);
    assert_eq!(desk.block().pop().unwrap().price, 34 * GWEI / 80 * 9);
    desk.restarts();
    assert_eq!(desk.sender.slots().next().unwrap().signed.len(), 3, "all of them are stored");
}

#[test]
fn replacements_are_simulated_at_the_head_where_our_own_earlier_one_does_not_stand_in_the_way() {
    let mut desk = Desk::new();
    let (request, first) = desk.submits();
    desk.chain.base_fee = 22 * GWEI / 10;
    desk.chain.broadcast(&first);
    desk.blocks(3);
    desk.chain.block();
    let _ = desk.sender.block(desk.chain.height());
    let look = desk.chain.look(request, &[], 0);
    let moves = desk.sender.looked(&decree(request), &look, &desk.pen);
    let simulated = moves.wants.iter().find_map(|want| match want {
        Want::Simulate(_, call, State::Head) => Some(call.clone()),
        _ => None,
    });
    let call = simulated.unwrap();
    assert_eq!(desk.chain.simulate(&call, State::Pending), Simulated::Reverted(Revert::Answered));
    assert_eq!(desk.chain.simulate(&call, State::Head), Simulated::Passed);
    let moves = desk.sender.simulated(&decree(request), &call, &Simulated::Reverted(Revert::Answered), &desk.pen);
    assert!(moves.wants.is_empty(), "and one that does not pass replaces nothing");
}

#[test]
fn replacements_end_at_the_highest_price_and_at_their_number() {
    let mut desk = Desk::of(Settings { price_max: 3 * GWEI, ..settings() });
    let (request, _) = desk.submits();
    desk.chain.base_fee = 4 * GWEI;
    assert!(desk.blocks(8).iter().all(|signed| signed.price < 2 * GWEI));
    assert!(matches!(desk.why(request), Some(Why::TooDear { needed, max }) if needed == 4 * GWEI && max == 3 * GWEI));
    let told = desk.told();
    assert_eq!(told.iter().filter(|outcome| matches!(outcome, Outcome::Waiting(..))).count(), 1, "told once: {told:?}");

    let mut desk = Desk::new();
    let (request, _) = desk.submits();
    for _ in 0..12 {
        desk.is_too_cheap(5);
        desk.block();
    }
    assert_eq!(desk.sender.slots().next().unwrap().signed.len(), 5);
    assert_eq!(desk.why(request), Some(Why::Exhausted(5)));
    desk.chain.rivals.push(rival(request));
    for _ in 0..12 {
        desk.block();
        desk.is_too_cheap(5);
    }
    let slot = desk.sender.slots().next().unwrap();
    assert!(slot.spends_nothing() && slot.signed.len() == SIGNED_PER_NONCE_MAX, "there is room for nothing");
    assert!(slot.signed.windows(2).all(|two| two[1].price * 8 >= two[0].price * 9));
}

#[test]
fn the_nonce_of_an_answer_that_somebody_else_gave_is_spent_on_nothing_and_what_is_behind_goes_on() {
    let mut desk = Desk::new();
    let (first, lost) = desk.submits();
    let (second, behind) = desk.submits();
    desk.chain.broadcast(&behind);
    desk.chain.rivals.push(rival(first));
    let sent = desk.block();
    let [nothing] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((nothing.nonce, nothing.gas, nothing.answers), (lost.signed.nonce, 21_000, false));
    assert!(nothing.price * 8 >= lost.signed.price * 9);
    desk.chain.broadcast(&Flying { signed: nothing.clone(), request: None });
    desk.runs(FINAL_DEPTH + 2);
    let told = desk.told();
    assert!(told.contains(&Outcome::Settled(decree(first))), "{told:?}");
    assert!(told.iter().any(|told| matches!(told, Outcome::Landed { decree: id, .. } if *id == decree(second))));
    assert!(desk.sender.is_at_rest());
    assert_eq!(desk.sender.facts().lost_total, 21_000 * nothing.price, "a transfer is paid back by nobody");
}

#[test]
fn an_answer_that_a_reorganisation_opens_again_gets_another_nonce_only_after_the_first_is_spent_in_a_final_block() {
    let mut desk = Desk::new();
    let (request, _) = desk.submits();
    desk.chain.rivals.push(rival(request));
    let nothing = desk.block().remove(0);
    desk.chain.reorganise(1);
    desk.chain.broadcast(&Flying { signed: nothing, request: None });
    for _ in 0..=FINAL_DEPTH {
        desk.runs(1);
        assert!(desk.chain.final_block().nonce > 5 || desk.sender.slots().all(|slot| slot.nonce == 5));
    }
    desk.runs(1 + FINAL_DEPTH);
    assert!(matches!(&desk.told()[..], [.., Outcome::Landed { .. }]));
    assert_eq!(desk.chain.mined().map(|mined| mined.request).collect::<Vec<_>>(), [None, Some(request)]);
}

#[test]
fn a_look_at_the_past_sends_nothing_again() {
    let mut desk = Desk::new();
    let (request, _) = desk.submits();
    desk.chain.rivals.push(rival(request));
    for _ in 0..5 {
        desk.chain.block();
        let _ = desk.sender.block(desk.chain.height());
    }
    let moves = desk.sender.looked(&decree(request), &desk.chain.look(request, &[], 5), &desk.pen);
    assert!(moves.wants.is_empty(), "{moves:?}");
    let moves = desk.sender.looked(&decree(request), &desk.chain.look(request, &[], 0), &desk.pen);
    assert!(matches!(&moves.wants[..], [Want::Broadcast(signed)] if !signed.answers));
}

#[test]
fn what_is_forgotten_while_its_nonce_is_unspent_leaves_nothing_behind() {
    let mut desk = Desk::new();
    let (request, _) = desk.delivers();
    desk.chain.hostile.insert(request);
    let moves = desk.sender.forget(&decree(request));
    desk.carry_out(moves);
    assert!(desk.sender.holds(&decree(request)));
    desk.blocks(FINAL_DEPTH + 1);
    assert!(matches!(&desk.told()[..], [.., Outcome::Lost { .. }]));
    desk.restarts();
    let left = desk.store.scan(Table::Outbox, b"sender/cost", None, 9).unwrap();
    assert!(left.is_empty() && desk.sender.facts().lost_total > 0);
}

#[test]
fn the_last_of_all_nonces_is_not_used() {
    let mut desk = Desk::new();
    (desk.store, desk.chain) = (MemoryStore::new(2), ModelChain::new(u64::MAX));
    desk.restarts();
    desk.block();
    let request = desk.ask();
    assert!(desk.flying.is_empty() && matches!(desk.why(request), Some(Why::Moved { .. })));
}

#[test]
fn where_the_key_gives_no_signature_nothing_is_sent_it_is_told_once_and_no_nonce_is_lost() {
    let mut desk = Desk::new();
    desk.pen.is_dry = true;
    let request = desk.ask();
    assert!(desk.blocks(20).is_empty());
    assert_eq!(desk.why(request), Some(Why::Unsigned));
    assert_eq!(desk.told(), [Outcome::Waiting(decree(request), Why::Unsigned)]);
    assert_eq!((desk.sender.slots().count(), desk.sender.facts().nonce), (0, Some(5)));
    let remembered = Sender::recover(desk.settings, &desk.store).unwrap();
    assert_eq!((remembered.slots().count(), remembered.facts().nonce), (0, Some(5)), "nor on the disk");
    desk.pen.is_dry = false;
    let sent = desk.blocks(16);
    assert!(sent.iter().all(|signed| signed.nonce == 5 && signed.answers && *signed == sent[0]), "{sent:?}");
    assert!(!sent.is_empty() && desk.sender.facts().nonce == Some(6));
}

#[test]
fn what_is_in_flight_when_the_key_gives_no_signature_stays_as_it_is() {
    let mut desk = Desk::new();
    let (request, first) = desk.submits();
    desk.pen.is_dry = true;
    desk.chain.base_fee = 22 * GWEI / 10;
    let sent = desk.blocks(6);
    assert!(sent.iter().all(|signed| *signed == first.signed), "nothing dearer: {sent:?}");
    assert_eq!(desk.why(request), Some(Why::Unsigned));
    desk.chain.rivals.push(rival(request));
    assert!(desk.blocks(3).is_empty(), "nor nothing in its place");
    assert_eq!(desk.why(request), Some(Why::Unsigned));
    assert_eq!(desk.sender.slots().map(|slot| slot.signed.len()).collect::<Vec<_>>(), [1]);
    desk.pen.is_dry = false;
    assert!(matches!(&desk.block()[..], [nothing] if nothing.nonce == 5 && !nothing.answers));
}
