//! What closes the way out, and bounds.

use super::*;

#[test]
fn while_a_contract_is_paused_or_unlisted_no_answer_leaves_and_nonces_before_others_are_spent_on_nothing() {
    let unlist = |desk: &mut Desk| desk.chain.listed = false;
    let pause = |desk: &mut Desk| desk.chain.paused = true;
    for (close, word) in [(&pause as &dyn Fn(&mut Desk), "paused"), (&unlist, "unlisted")] {
        let mut desk = Desk::new();
        let (first, flying) = desk.submits();
        close(&mut desk);
        let waiting = desk.chain.ask();
        desk.chain.block();
        let _ = desk.sender.publish(decree(waiting), delivery(waiting, 0, desk.chain.height())).unwrap();
        assert!(desk.blocks(6).is_empty(), "neither new nor stored");
        assert_eq!((desk.why(first).unwrap().word(), desk.why(waiting).unwrap().word()), (word, word));
        (desk.chain.paused, desk.chain.listed) = (false, true);
        let sent = desk.block();
        assert_eq!(sent.len(), 2, "{sent:?}");
        assert!(sent.contains(&flying.signed));
        close(&mut desk);
        assert!(desk.blocks(3).is_empty(), "what is behind could not go on either");
        (desk.chain.paused, desk.chain.listed) = (false, true);
        desk.block();
        let other = desk.chain.ask();
        let elsewhere = Delivery { proxy: Address::repeat_byte(1), ..delivery(other, 0, desk.chain.height()) };
        let moves = desk.sender.publish(decree(other), elsewhere).unwrap();
        desk.carry_out(moves);
        assert_eq!(desk.flying.pop().unwrap().signed.nonce, 7);
        close(&mut desk);
        let nothing = desk.block();
        assert!(nothing.iter().all(|signed| !signed.answers), "{nothing:?}");
        assert_eq!(
            nothing.iter().map(|signed| signed.nonce).collect::<Vec<_>>(),
            [5, 6],
            "what is before it gives way"
        );
    }
}

#[test]
fn without_a_lease_nothing_leaves_and_with_half_of_one_only_what_is_stored() {
    let mut desk = Desk::new();
    let (_, flying) = desk.submits();
    desk.sender.allow(Leave::Nothing);
    assert!(desk.blocks(4).is_empty() && desk.sender.why_silent().contains("no lease"));
    desk.sender.allow(Leave::Stored);
    let request = desk.ask();
    desk.chain.base_fee = 2 * GWEI;
    let sent = desk.blocks(6);
    assert!(sent.len() >= 2 && sent.iter().all(|signed| *signed == flying.signed), "nothing new, nothing dearer");
    assert_eq!(desk.why(request), Some(Why::Silent));
    desk.sender.allow(Leave::All);
    assert_eq!(desk.sender.why_silent(), "");
    desk.blocks(2);
    assert_eq!(desk.sender.slots().count(), 2);
}

#[test]
fn nonces_of_a_forgotten_past_are_never_signed_anew_and_what_lands_of_it_halts_nothing() {
    let mut desk = Desk::new();
    desk.sender.keep_out(Some(6));
    let request = desk.ask();
    assert!(desk.flying.is_empty() && desk.sender.why_silent().contains("nonces up to 6"));
    desk.chain.moves_alone();
    desk.chain.moves_alone();
    desk.blocks(FINAL_DEPTH - 1);
    assert!(matches!(desk.why(request), Some(Why::Silent)));
    desk.blocks(2);
    assert_eq!(desk.sender.halted(), None);
    assert_eq!(desk.sender.slots().map(|slot| slot.nonce).collect::<Vec<_>>(), [7]);
}

#[test]
fn what_endpoints_on_two_chains_show_is_neither_asked_believed_nor_acted_on() {
    let mut desk = Desk::new();
    let (request, flying) = desk.delivers();
    desk.sender.fork(Some("a has block 0x1, b has 0x2".to_owned()));
    desk.blocks(8);
    let look = desk.chain.look(request, &[flying.signed.hash], 0);
    let moves = desk.sender.looked(&decree(request), &look, &desk.pen);
    assert!(moves.outcomes.is_empty() && moves.entries.is_empty() && moves.wants.is_empty());
    assert!(desk.sender.is_forked() && desk.sender.why_silent().contains("0x1"));
    desk.sender.fork(None);
    desk.block();
    assert!(desk.sender.is_at_rest());
}

#[test]
fn bounds_on_what_is_in_flight_and_what_waits() {
    let mut desk = Desk::of(Settings { max_loss_per_day: u128::MAX, ..settings() });
    let requests: Vec<u64> = (0..=IN_FLIGHT_MAX).map(|_| desk.ask()).collect();
    assert_eq!(desk.sender.slots().count(), IN_FLIGHT_MAX);
    let (facts, last) = (desk.sender.facts(), requests[IN_FLIGHT_MAX]);
    assert_eq!((facts.in_flight, facts.waiting), (IN_FLIGHT_MAX, 1));
    assert_eq!(desk.why(last), Some(Why::Full));
    let large = Delivery { data: vec![0; DATA_BYTES_MAX + 1].into(), ..delivery(99, 0, Height(0)) };
    let refused = desk.sender.publish(decree(99), large).unwrap_err();
    assert_eq!(refused, PublishError::TooLarge { found: DATA_BYTES_MAX + 1 });
    let mut publish = |request| desk.sender.publish(decree(request), delivery(request, 9, Height(1_000)));
    let refused = (100..5_000).find_map(|request| publish(request).err());
    assert_eq!(refused, Some(PublishError::Full));
    assert!(desk.sender.holds(&decree(100)) && desk.sender.holds(&decree(requests[0])));
    let moves = desk.sender.block(desk.chain.height());
    assert!(moves.wants.len() <= IN_FLIGHT_MAX + 32, "each block a bounded number of looks");
}
