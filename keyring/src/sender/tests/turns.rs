//! Who sends, when, and what: from a decision to signed bytes.

use super::*;

#[test]
fn an_answer_is_looked_after_simulated_signed_stored_and_only_then_sent() {
    let mut desk = Desk::new();
    let request = desk.chain.ask();
    let data = delivery(request, 0, desk.chain.height());
    let moves = desk.sender.publish(decree(request), data.clone()).unwrap();
    assert_eq!(moves.wants, [Want::Look(decree(request), vec![])]);
    let moves = desk.sender.looked(&decree(request), &desk.chain.look(request, &[], 0), &desk.pen);
    let [Want::Simulate(_, call, State::Pending)] = &moves.wants[..] else { panic!("{moves:?}") };
    let price = GWEI * 3 / 2 + GWEI / 10;
    assert_eq!(*call, Call { from: desk.pen.account(), to: PROXY, gas: GAS, price, data: data.data });
    assert!(moves.entries.is_empty() && desk.sender.slots().count() == 0, "nothing is signed before it has passed");
    let moves = desk.sender.simulated(&decree(request), call, &Simulated::Passed, &desk.pen);
    let [Want::Broadcast(signed)] = &moves.wants[..] else { panic!("{moves:?}") };
    assert_eq!(moves.outcomes, [Outcome::Submitting(decree(request), signed.hash)]);
    desk.store.append(&moves.entries).unwrap();
    desk.restarts();
    assert_eq!(desk.sender.slots().flat_map(|slot| &slot.signed).collect::<Vec<_>>(), [signed]);
    assert_eq!(desk.sender.facts().nonce, Some(6));
}

#[test]
fn what_is_signed_is_a_legacy_transaction_for_this_chain_and_the_same_each_time() {
    let mut desk = Desk::new();
    let (request, Flying { signed, .. }) = desk.submits();
    let (price, data) = (signed.price, Bytes::copy_from_slice(&request.to_be_bytes()));
    let unsigned =
        LegacyTransaction { nonce: 5, gas_price: price, gas_limit: GAS, to: PROXY.into(), value: U256::ZERO, data };
    let signature = desk.pen.sign(unsigned.digest(CHAIN)).unwrap();
    assert_eq!(signature.recover_address_from_prehash(&unsigned.digest(CHAIN)).unwrap(), desk.pen.account());
    assert_eq!(signature.normalize_s(), None, "in the lower half");
    let bytes = unsigned.signed(CHAIN, signature.r(), signature.s(), signature.v().into());
    assert_eq!((&signed.bytes[..], signed.hash), (&bytes[..], keccak256(&bytes)));
    assert!(signed.bytes[0] >= 0xc0, "no envelope of another type");
}

#[test]
fn a_party_sends_at_its_turn_and_not_when_somebody_else_was_first() {
    let mut desk = Desk::new();
    let (taken, open) = (desk.ask_for_turn(1), desk.ask_for_turn(2));
    assert!(desk.blocks(2).is_empty());
    desk.chain.rivals.push(rival(taken));
    assert!(desk.block().is_empty(), "the first of the two is answered at the head");
    assert_eq!(desk.why(taken), Some(Why::Answered));
    assert!(desk.blocks(2).is_empty());
    assert_eq!(desk.block().iter().map(|signed| signed.nonce).collect::<Vec<_>>(), [5]);
    assert!(desk.sender.slots().all(|slot| slot.decree == decree(open)));
    desk.block();
    assert!(desk.told().contains(&Outcome::Settled(decree(taken))));
    assert!(!desk.sender.holds(&decree(taken)));
}

/// After a common restart the lease may come before the first block is seen.
#[test]
fn turns_of_what_was_published_before_the_first_block_begin_with_it() {
    let mut desk = Desk::new();
    let request = desk.chain.ask();
    desk.restarts();
    let moves = desk.sender.publish(decree(request), delivery(request, 2, Height(0))).unwrap();
    assert!(moves.wants.is_empty());
    assert!(desk.blocks(6).is_empty(), "two turns of three blocks after the first");
    assert_eq!(desk.block().len(), 1);
}

#[test]
fn other_bytes_on_the_chain_are_told_once_and_ours_is_withdrawn() {
    let mut desk = Desk::new();
    let (sent, _) = desk.submits();
    let waiting = desk.ask_for_turn(1);
    for request in [sent, waiting] {
        desk.chain.rivals.push(Rival { request, agrees: false, is_hidden: true });
    }
    desk.blocks(3);
    assert!(desk.sender.slots().all(|slot| slot.spends_nothing()));
    desk.blocks(FINAL_DEPTH + 1);
    let told = desk.told();
    for request in [sent, waiting] {
        let foreign = told.iter().filter(|told| **told == Outcome::Foreign(decree(request))).count();
        assert_eq!(foreign, 1, "{told:?}");
        assert!(!told.contains(&Outcome::Settled(decree(request))));
    }
}

#[test]
fn a_call_that_does_not_pass_is_tried_again_more_and_more_rarely() {
    let mut desk = Desk::new();
    let request = desk.chain.ask();
    let _ = desk.sender.publish(decree(request), delivery(request, 0, desk.chain.height())).unwrap();
    let mut asked = 0;
    for _ in 0..40 {
        desk.chain.block();
        let moves = desk.sender.block(desk.chain.height());
        for want in moves.wants {
            let Want::Look(decree, hashes) = want else { panic!("{want:?}") };
            let look = desk.chain.look(decree.request, &hashes, 0);
            let moves = desk.sender.looked(&decree, &look, &desk.pen);
            for want in moves.wants {
                let Want::Simulate(decree, call, _) = want else { panic!("{want:?}") };
                let said = Simulated::Reverted(Revert::Other("Transfer failed ".repeat(99)));
                let moves = desk.sender.simulated(&decree, &call, &said, &desk.pen);
                assert!(moves.wants.is_empty());
                asked += 1;
            }
        }
    }
    assert!((5..9).contains(&asked), "{asked}");
    assert!(desk.why(request).unwrap().to_string().len() < 300);
}

#[test]
fn a_pass_that_is_late_or_of_another_call_signs_nothing_nor_does_a_look_at_the_past() {
    let mut desk = Desk::new();
    let request = desk.chain.ask();
    let _ = desk.sender.publish(decree(request), delivery(request, 0, desk.chain.height())).unwrap();
    let simulate = |desk: &mut Desk, behind: u64| {
        let look = desk.chain.look(request, &[], behind);
        let moves = desk.sender.looked(&decree(request), &look, &desk.pen);
        moves.wants.into_iter().find_map(|want| match want {
            Want::Simulate(_, call, _) => Some(call),
            _ => None,
        })
    };
    assert_eq!(simulate(&mut desk, 4), None, "a look at the past starts nothing");
    let call = simulate(&mut desk, 0).unwrap();
    let other = Call { price: call.price + 1, ..call.clone() };
    let moves = desk.sender.simulated(&decree(request), &other, &Simulated::Passed, &desk.pen);
    assert!(moves.wants.is_empty() && moves.entries.is_empty());
    for _ in 0..3 {
        desk.chain.block();
        let _ = desk.sender.block(desk.chain.height());
    }
    let moves = desk.sender.simulated(&decree(request), &call, &Simulated::Passed, &desk.pen);
    assert!(moves.wants.is_empty() && moves.entries.is_empty(), "it passed too long ago");
    let call = simulate(&mut desk, 0).unwrap();
    let moves = desk.sender.simulated(&decree(request), &call, &Simulated::Passed, &desk.pen);
    assert_eq!(moves.wants.len(), 1);
}

#[test]
fn a_question_that_nobody_answers_is_told() {
    let mut desk = Desk::new();
    let request = desk.chain.ask();
    let _ = desk.sender.publish(decree(request), delivery(request, 0, desk.chain.height())).unwrap();
    for _ in 0..3 {
        desk.chain.block();
        let _ = desk.sender.block(desk.chain.height());
        let moves = desk.sender.looked(&decree(request), &desk.chain.look(request, &[], 0), &desk.pen);
        desk.outcomes.extend(moves.outcomes);
    }
    assert_eq!(desk.told(), [Outcome::Waiting(decree(request), Why::Untried)]);
}
