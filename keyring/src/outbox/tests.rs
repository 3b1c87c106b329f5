//! Each situation that an account meets, with what the controller does about it.

use chain_client::{EndpointId, Height, Hint, Reading, SignedTx};

use super::model::{CHAIN, ME, ModelChain, ModelPen, Says, decree, keyring, publication};
use super::{Halt, IN_FLIGHT_MAX, Leave, Moves, Outbox, Outcome, ResumeError, Want};
use crate::store::{MemoryStore, Store as _};

/// A controller, its disk, and a chain that is at sequence 5.
struct Desk {
    chain: ModelChain,
    store: MemoryStore,
    outbox: Outbox,
    pen: ModelPen,
    endpoints: usize,
}

impl Desk {
    fn of(endpoints: usize) -> Self {
        let store = MemoryStore::new(1);
        let outbox = Outbox::recover(CHAIN, endpoints, &store).unwrap();
        let mut desk = Self { chain: ModelChain::new(5), store, outbox, pen: ModelPen::new(), endpoints };
        desk.outbox.keyring(Height(0), &keyring(true), ME);
        desk.block();
        desk
    }

    fn new() -> Self {
        Self::of(1)
    }

    fn kept(&self, moves: Moves) -> Moves {
        if !moves.entries.is_empty() {
            self.store.append(&moves.entries).unwrap();
        }
        moves
    }

    fn block(&mut self) -> Vec<Want> {
        self.chain.block();
        let moves = self.outbox.block(self.chain.height());
        self.kept(moves).wants
    }

    fn ask(&mut self) -> u64 {
        let request = self.chain.ask();
        self.chain.block();
        let _ = self.outbox.block(self.chain.height());
        self.outbox.publish(decree(request), publication(request));
        request
    }

    fn reading_of(&self, endpoint: u16, request: u64) -> Reading {
        self.chain.reading(endpoint, request, self.chain.height()).unwrap()
    }

    fn read(&mut self, request: u64) -> Moves {
        let reading = self.reading_of(0, request);
        self.takes(request, &reading)
    }

    fn takes(&mut self, request: u64, reading: &Reading) -> Moves {
        let moves = self.outbox.reading(&decree(request), reading, &self.pen);
        self.kept(moves)
    }

    fn hears(&mut self, request: u64, readings: &[Reading]) -> Moves {
        let moves = self.outbox.testimony(&decree(request), readings, &self.pen);
        self.kept(moves)
    }

    /// An answer on its way: the transaction that was signed for it.
    fn submits(&mut self) -> (u64, SignedTx) {
        let request = self.ask();
        let reading: Vec<Reading> = (0..self.endpoints as u16).map(|id| self.reading_of(id, request)).collect();
        let moves = if self.endpoints == 1 { self.read(request) } else { self.hears(request, &reading) };
        let mut sent = sent(&moves);
        assert_eq!(sent.len(), 1, "{moves:?}");
        (request, sent.remove(0))
    }

    fn hints(&mut self, tx: &SignedTx, hint: &Hint) -> Moves {
        let moves = self.outbox.hinted(tx.sequence, hint, &self.pen);
        self.kept(moves)
    }

    /// The chain's node says what it says, and is heard.
    fn sends(&mut self, tx: &SignedTx) -> (Hint, Moves) {
        let hint = self.chain.broadcast(tx);
        let moves = self.hints(tx, &hint);
        (hint, moves)
    }

    fn restarts(&mut self) {
        self.outbox = Outbox::recover(CHAIN, self.endpoints, &self.store).unwrap();
        self.outbox.keyring(Height(0), &keyring(true), ME);
        let _ = self.outbox.block(self.chain.height());
    }

    fn blocks(&mut self, count: u32) {
        for _ in 0..count {
            self.block();
        }
    }
}

fn sent(moves: &Moves) -> Vec<SignedTx> {
    let broadcast = |want: &Want| match want {
        Want::Broadcast(tx) => Some(tx.clone()),
        Want::Read(..) | Want::Confirm(..) | Want::Explain(..) => None,
    };
    moves.wants.iter().filter_map(broadcast).collect()
}

fn refused(code: u32) -> Hint {
    Hint::Refused { codespace: "sdk".to_owned(), code, reason: String::new(), expected_sequence: None }
}

#[test]
fn an_answer_whose_response_was_lost_is_not_given_twice() {
    let mut desk = Desk::new();
    let (request, tx) = desk.submits();
    assert_eq!(desk.chain.broadcast(&tx), Hint::Taken);
    let _ = desk.hints(&tx, &Hint::Unknown { reason: "deadline exceeded".to_owned() });
    desk.block();
    let moves = desk.read(request);
    assert_eq!(moves.outcomes, [Outcome::Landed(decree(request), desk.chain.height())]);
    assert!(sent(&moves).is_empty() && desk.outbox.slots().count() == 0);
}

#[test]
fn what_failed_in_execution_is_dead_and_its_successor_has_twice_the_gas() {
    let mut desk = Desk::new();
    let (request, tx) = desk.submits();
    desk.chain.failing = 1;
    desk.sends(&tx);
    desk.block();
    let moves = desk.read(request);
    assert!(matches!(moves.outcomes.first(), Some(Outcome::Dead(_, 5, _))), "{moves:?}");
    let [next] = &sent(&moves)[..] else { panic!("{moves:?}") };
    assert_eq!(Says::of(next), Says { sequence: 6, fee: 2, gas_step: 1, request: Some(request) });
}

#[test]
fn what_failed_before_execution_is_not_dead_and_goes_out_again_when_money_is_back() {
    let mut desk = Desk::new();
    let (request, tx) = desk.submits();
    desk.chain.has_funds = false;
    desk.sends(&tx);
    assert!(desk.outbox.is_out_of_funds() && desk.outbox.why_silent().contains("no funds"));
    let second = desk.ask();
    assert!(sent(&desk.read(second)).is_empty(), "no second sequence is refused for the same reason");
    desk.blocks(2);
    assert_eq!(sent(&desk.read(request)).first(), Some(&tx));
    desk.chain.has_funds = true;
    desk.sends(&tx);
    assert_eq!(desk.outbox.why_silent(), "");
    assert_eq!(sent(&desk.read(second)).len(), 1);
}

#[test]
fn a_balance_that_cannot_pay_for_what_is_in_flight_as_well_takes_no_sequence_until_it_grows() {
    let mut desk = Desk::new();
    desk.outbox.keyring(desk.chain.height(), &chain_client::KeyringFacts { key_fee_urock: 9, ..keyring(true) }, ME);
    desk.outbox.funds(19);
    let (_, tx) = desk.submits();
    desk.sends(&tx);
    let second = desk.ask();
    assert!(sent(&desk.read(second)).is_empty() && desk.outbox.is_out_of_funds(), "two cost 20");
    desk.outbox.funds(20);
    assert_eq!(sent(&desk.read(second)).len(), 1);
}

#[test]
fn a_raised_floor_is_paid_under_the_same_sequence() {
    let mut desk = Desk::new();
    let (request, tx) = desk.submits();
    desk.chain.floor = 30;
    let (_, moves) = desk.sends(&tx);
    // The price was not read anew: it is guessed upwards.
    let fees = |moves: &Moves| sent(moves).iter().map(|tx| Says::of(tx).fee).collect::<Vec<_>>();
    assert_eq!(fees(&moves), [2]);
    desk.pen.price.set(30);
    let (_, moves) = desk.sends(&sent(&moves)[0]);
    let says = Says::of(&sent(&moves)[0]);
    assert_eq!(says, Says { sequence: 5, fee: 30, gas_step: 0, request: Some(request) });
    assert_eq!(desk.sends(&sent(&moves)[0]).0, Hint::Taken);
}

#[test]
fn a_floor_above_the_ceiling_is_told_and_waited_for() {
    let mut desk = Desk::new();
    let (request, tx) = desk.submits();
    (desk.chain.floor, desk.pen.price) = (2_000, std::cell::Cell::new(2_000));
    let (_, moves) = desk.sends(&tx);
    assert!(sent(&moves).is_empty() && desk.outbox.why_silent().contains("fee_ceiling_urock"));
    desk.chain.floor = 1;
    desk.blocks(2);
    let again = sent(&desk.read(request));
    assert_eq!(again.first(), Some(&tx));
    desk.sends(&tx);
    assert_eq!(desk.outbox.why_silent(), "");
}

#[test]
fn the_sequence_of_a_closed_request_is_spent_on_nothing_and_its_fee_is_raised_too() {
    let mut desk = Desk::new();
    let (request, _lost) = desk.submits();
    desk.chain.close(request);
    desk.block();
    let moves = desk.read(request);
    let [nothing] = &sent(&moves)[..] else { panic!("{moves:?}") };
    assert_eq!(Says::of(nothing), Says { sequence: 5, fee: 1, gas_step: 0, request: None });
    desk.chain.floor = 2;
    let (_, moves) = desk.sends(nothing);
    let [dearer] = &sent(&moves)[..] else { panic!("{moves:?}") };
    assert_eq!(Says::of(dearer), Says { sequence: 5, fee: 2, gas_step: 0, request: None });
    desk.sends(dearer);
    desk.block();
    let moves = desk.read(request);
    assert!(matches!(&moves.outcomes[..], [Outcome::Closed(..)]), "{moves:?}");
    assert_eq!(desk.outbox.slots().count(), 0);
}

#[test]
fn while_the_keyring_is_off_no_answer_goes_out_and_nothing_still_does() {
    let mut desk = Desk::new();
    let (open, tx) = desk.submits();
    let (closed, _) = desk.submits();
    let third = desk.ask();
    desk.outbox.keyring(desk.chain.height(), &keyring(false), ME);
    desk.chain.close(closed);
    desk.blocks(3);
    assert!(sent(&desk.read(open)).is_empty() && sent(&desk.read(third)).is_empty());
    let nothing = sent(&desk.read(closed));
    assert!(nothing.iter().all(|tx| tx.request.is_none()) && nothing.len() == 1, "{nothing:?}");
    assert!(desk.outbox.why_silent().contains("switched off"));
    // An endpoint that lags still shows it switched on.
    desk.outbox.keyring(Height(1), &keyring(true), ME);
    desk.blocks(3);
    assert!(sent(&desk.read(open)).is_empty());
    desk.outbox.keyring(desk.chain.height(), &keyring(true), ME);
    assert_eq!(sent(&desk.read(open)), [tx]);
    assert_eq!(sent(&desk.read(third)).len(), 1);
}

#[test]
fn a_full_pool_is_tried_again_with_the_same_bytes() {
    let mut desk = Desk::new();
    let (request, tx) = desk.submits();
    assert!(sent(&desk.hints(&tx, &refused(20))).is_empty());
    assert!(sent(&desk.read(request)).is_empty(), "not in the same block");
    desk.blocks(2);
    assert_eq!(sent(&desk.read(request)), [tx]);
}

#[test]
fn gas_that_runs_out_before_execution_is_raised_under_the_same_sequence() {
    let mut desk = Desk::new();
    let (request, tx) = desk.submits();
    let moves = desk.hints(&tx, &refused(11));
    assert_eq!(Says::of(&sent(&moves)[0]), Says { sequence: 5, fee: 2, gas_step: 1, request: Some(request) });
}

#[test]
fn a_gap_is_filled_before_what_stands_behind_it() {
    let mut desk = Desk::new();
    let txs: Vec<(u64, SignedTx)> = (0..3).map(|_| desk.submits()).collect();
    let of = |place: usize| txs[place].1.clone();
    // The node has lost everything, and is given the last first.
    desk.block();
    let (hint, moves) = desk.sends(&of(2));
    assert!(matches!(hint, Hint::Refused { code: 32, expected_sequence: Some(5), .. }));
    assert_eq!(sent(&moves), [of(0), of(1), of(2)]);
    assert!(sent(&desk.hints(&of(2), &hint)).is_empty(), "once a block");
    // A reading of the last alone brings all three, in order.
    desk.blocks(2);
    assert_eq!(sent(&desk.read(txs[2].0)), [of(0), of(1), of(2)]);
}

#[test]
fn a_stale_word_on_sequences_gives_nothing_up() {
    let mut desk = Desk::new();
    let (request, tx) = desk.submits();
    desk.sends(&tx);
    let ahead =
        Hint::Refused { codespace: "sdk".to_owned(), code: 32, reason: String::new(), expected_sequence: Some(9) };
    let moves = desk.hints(&tx, &ahead);
    assert!(moves.outcomes.is_empty() && sent(&moves).is_empty());
    assert_eq!(desk.outbox.slots().count(), 1);
    desk.block();
    assert!(matches!(&desk.read(request).outcomes[..], [Outcome::Landed(..)]));
}

#[test]
fn no_more_than_the_bound_is_in_flight_and_nobody_starves_behind_what_cannot_be_paid() {
    let mut desk = Desk::new();
    let requests: Vec<u64> = (0..IN_FLIGHT_MAX + 4).map(|_| desk.ask()).collect();
    desk.pen.price.set(5_000);
    let asked = |wants: Vec<Want>| -> Vec<u64> {
        let number = |want| match want {
            Want::Read(decree, _) => Some(decree.request),
            Want::Confirm(..) | Want::Broadcast(_) | Want::Explain(..) => None,
        };
        wants.into_iter().filter_map(number).collect()
    };
    let first = asked(desk.block());
    assert_eq!(first.len(), IN_FLIGHT_MAX);
    let second = asked(desk.block());
    let forgotten: Vec<&u64> = requests.iter().filter(|request| !first.contains(request)).collect();
    assert!(forgotten.iter().all(|request| second.contains(request)), "{forgotten:?} {second:?}");
    desk.pen.price.set(1);
    for request in requests {
        let _ = desk.read(request);
    }
    assert_eq!(desk.outbox.slots().count(), IN_FLIGHT_MAX);
}

#[test]
fn a_request_that_has_spent_its_sequences_is_given_up_aloud_and_a_restart_grants_no_more() {
    let mut desk = Desk::new();
    let (request, mut tx) = desk.submits();
    desk.chain.failing = 9;
    for round in 1..=3 {
        desk.sends(&tx);
        desk.block();
        if round == 2 {
            desk.restarts();
            desk.outbox.publish(decree(request), publication(request));
        }
        let moves = desk.read(request);
        match sent(&moves).pop() {
            Some(next) => tx = next,
            None => assert_eq!(moves.outcomes.last(), Some(&Outcome::Exhausted(decree(request), 3))),
        }
    }
    desk.restarts();
    desk.outbox.publish(decree(request), publication(request));
    assert_eq!((desk.outbox.waiting(), desk.outbox.given_up().count()), (0, 1));
    assert!(desk.outbox.warnings()[0].contains("given up"), "{:?}", desk.outbox.warnings());
    let moves = desk.outbox.forget(&decree(request));
    let _ = desk.kept(moves);
    desk.restarts();
    assert_eq!(desk.outbox.given_up().count(), 0, "what is over is forgotten on disk too");
}

#[test]
fn an_account_that_moves_without_us_stops_everything_until_an_operator_says_where_it_stands() {
    let mut desk = Desk::new();
    let (request, tx) = desk.submits();
    desk.sends(&tx);
    let stranger = Says { sequence: 6, fee: 1, gas_step: 0, request: None };
    let bytes = postcard::to_stdvec(&stranger).unwrap();
    let foreign = SignedTx { hash: chain_client::TxHash([9; 32]), bytes, sequence: 6, request: None, ..tx };
    assert_eq!(desk.chain.broadcast(&foreign), Hint::Taken);
    desk.block();
    let halt = Halt::MovedWithoutUs { chain: 7, own: 6 };
    let moves = desk.read(request);
    assert_eq!(moves.outcomes[0], Outcome::Halted(halt.clone()));
    assert!(matches!(moves.outcomes[1], Outcome::Landed(..)), "what was in flight is still judged");
    let next = desk.ask();
    desk.restarts();
    desk.outbox.publish(decree(next), publication(next));
    assert_eq!(desk.outbox.halted(), Some(&halt), "a restart ends nothing");
    assert!(sent(&desk.read(next)).is_empty() && desk.outbox.why_silent().contains("controller resume"));
    assert_eq!(
        desk.outbox.resume(9).unwrap_err(),
        ResumeError::Elsewhere { given: 9, own: 6, chain: 7 },
        "any other number is refused"
    );
    let moves = desk.outbox.resume(7).unwrap();
    let _ = desk.kept(moves);
    assert_eq!(desk.outbox.resume(7).unwrap_err(), ResumeError::NotHalted);
    desk.restarts();
    desk.outbox.publish(decree(next), publication(next));
    assert_eq!(Says::of(&sent(&desk.read(next))[0]).sequence, 7);
}

#[test]
fn an_operator_who_goes_on_where_the_chain_is_not_is_stopped_again() {
    let mut desk = Desk::new();
    let (request, _) = desk.submits();
    let ahead = desk.chain.told(0, request, desk.chain.height(), |_| 9, false).unwrap();
    let moves = desk.takes(request, &ahead);
    assert!(matches!(moves.outcomes[..], [Outcome::Halted(_)]), "nothing is buried on a doubted word: {moves:?}");
    let moves = desk.outbox.resume(6).unwrap();
    let _ = desk.kept(moves);
    let ahead = desk.chain.told(0, request, desk.chain.height(), |_| 9, false).unwrap();
    let other = desk.ask();
    let again = desk.takes(other, &ahead);
    assert!(matches!(again.outcomes[..], [Outcome::Halted(Halt::MovedWithoutUs { chain: 9, own: 6 })]), "{again:?}");
}

#[test]
fn a_chain_that_takes_a_spent_sequence_back_stops_everything() {
    let mut desk = Desk::new();
    let (request, tx) = desk.submits();
    desk.sends(&tx);
    desk.block();
    assert!(matches!(&desk.read(request).outcomes[..], [Outcome::Landed(..)]));
    let next = desk.ask();
    // Before the first sequence that this party remembers.
    let back = desk.chain.told(0, next, desk.chain.height(), |_| 4, false).unwrap();
    let moves = desk.takes(next, &back);
    assert_eq!(moves.outcomes, [Outcome::Halted(Halt::WentBack { chain: 4, own: 6 })]);
    assert_eq!(desk.outbox.resume(4).unwrap_err(), ResumeError::UsedBefore { given: 4, own: 6 });
}

#[test]
fn a_sequence_let_go_on_a_false_word_is_taken_back_and_spent_on_nothing() {
    let mut desk = Desk::new();
    let (request, _lost) = desk.submits();
    desk.chain.close(request);
    desk.block();
    let false_word = desk.chain.told(0, request, desk.chain.height(), |sequence| sequence + 1, false).unwrap();
    assert!(matches!(&desk.takes(request, &false_word).outcomes[..], [Outcome::Closed(..)]));
    assert_eq!(desk.outbox.slots().count(), 0);
    desk.restarts();
    let next = desk.ask();
    let moves = desk.read(next);
    let says: Vec<Says> = sent(&moves).iter().map(Says::of).collect();
    assert_eq!(says.first(), Some(&Says { sequence: 5, fee: 1, gas_step: 0, request: None }), "{moves:?}");
    for tx in sent(&moves) {
        desk.sends(&tx);
    }
    desk.blocks(2);
    let moves = desk.read(next);
    assert_eq!((desk.chain.sequence(), desk.outbox.next_sequence()), (7, Some(7)), "{moves:?}");
    assert_eq!(desk.outbox.slots().count(), 0);
}

#[test]
fn a_reading_of_the_past_decides_nothing() {
    let mut desk = Desk::new();
    let (request, tx) = desk.submits();
    let before = desk.reading_of(0, request);
    desk.sends(&tx);
    desk.block();
    let fresh = desk.ask();
    assert!(matches!(&desk.read(request).outcomes[..], [Outcome::Landed(..)]));
    let moves = desk.takes(request, &before);
    assert!(moves.outcomes.is_empty() && moves.wants.is_empty(), "heights never go back");
    // Another endpoint that is far behind starts nothing either.
    desk.blocks(5);
    let old = desk.chain.reading(1, fresh, Height(desk.chain.height().0 - 4)).unwrap();
    assert!(sent(&desk.takes(fresh, &old)).is_empty());
    assert_eq!(sent(&desk.read(fresh)).len(), 1);
}

#[test]
fn an_endpoint_that_claims_a_height_beyond_all_others_silences_none_of_them() {
    let mut desk = Desk::of(2);
    let (request, tx) = desk.submits();
    desk.sends(&tx);
    desk.block();
    let honest = desk.reading_of(0, request);
    let account = chain_client::Pinned { endpoint: EndpointId(1), height: Height(9_999), value: honest.account() };
    let standing =
        chain_client::Pinned { endpoint: EndpointId(1), height: Height(9_999), value: chain_client::Standing::Gone };
    let far = Reading::of(account, honest.request(), standing).unwrap();
    let _ = desk.takes(request, &far);
    assert!(matches!(&desk.takes(request, &honest).outcomes[..], [Outcome::Landed(..)]));
}

#[test]
fn while_the_endpoints_follow_two_chains_nothing_is_asked_believed_or_sent() {
    let mut desk = Desk::new();
    let (request, tx) = desk.submits();
    desk.outbox.fork(Some("at height 9".to_owned()));
    assert!(desk.block().is_empty());
    desk.blocks(3);
    let moves = desk.read(request);
    assert!(moves.wants.is_empty() && moves.outcomes.is_empty());
    assert!(desk.outbox.why_silent().contains("two chains"));
    desk.outbox.fork(None);
    assert_eq!(sent(&desk.read(request)), [tx]);
}

#[test]
fn an_answer_of_ours_that_none_of_ours_can_have_brought_is_told_and_ours_is_withdrawn() {
    let mut desk = Desk::new();
    let (request, tx) = desk.submits();
    desk.sends(&tx);
    desk.block();
    let unspent = desk.chain.told(0, request, desk.chain.height(), |sequence| sequence - 1, false).unwrap();
    let moves = desk.takes(request, &unspent);
    assert_eq!(moves.outcomes, [Outcome::Impostor(decree(request), 5)]);
    assert!(sent(&moves).iter().all(|tx| tx.request.is_none()) && sent(&moves).len() == 1);
}

#[test]
fn other_bytes_on_an_open_request_withdraw_what_is_in_flight() {
    let mut desk = Desk::new();
    let (request, _) = desk.submits();
    desk.block();
    let honest = desk.reading_of(0, request);
    let shown = vec![vec![1, 2, 3]];
    let standing = chain_client::Standing::Open { answered_by: std::collections::BTreeSet::new(), shown };
    let pinned = |value| chain_client::Pinned { endpoint: EndpointId(0), height: honest.height(), value };
    let account = chain_client::Pinned { endpoint: EndpointId(0), height: honest.height(), value: honest.account() };
    let foreign = Reading::of(account, honest.request(), pinned(standing)).unwrap();
    let moves = desk.takes(request, &foreign);
    assert_eq!(moves.outcomes, [Outcome::Foreign(decree(request))]);
    assert!(sent(&moves).iter().all(|tx| tx.request.is_none()) && sent(&moves).len() == 1, "{moves:?}");
}

// === Several endpoints ===

/// Two endpoints: what the second would have believed if it lied so, in the same block.
fn accused(desk: &Desk, request: u64, height: Height) -> Reading {
    desk.chain.told(1, request, height, |sequence| sequence + 1, true).unwrap()
}

#[test]
fn a_death_that_another_endpoint_denies_is_told_and_does_not_happen() {
    let mut desk = Desk::of(2);
    let (request, _) = desk.submits();
    desk.blocks(2);
    let (lie, truth) = (accused(&desk, request, desk.chain.height()), desk.reading_of(0, request));
    let moves = desk.takes(request, &lie);
    assert_eq!(moves.wants, [Want::Confirm(decree(request), chain_client::RequestId::key(request))]);
    assert!(moves.outcomes.is_empty());
    let moves = desk.hears(request, &[truth.clone(), lie.clone()]);
    assert!(
        matches!(&moves.outcomes[..], [Outcome::Contradiction(text)] if text.contains("sequence 5 is dead")),
        "{moves:?}"
    );
    assert_eq!(sent(&moves).len(), 1, "stored bytes go out again");
    assert!(desk.outbox.warnings()[0].contains("endpoint 1 shows the account at sequence 6"));
    assert!(desk.hears(request, &[truth, lie]).outcomes.is_empty(), "told once");
    desk.blocks(60);
    assert!(desk.outbox.warnings().is_empty(), "and forgotten when it is long past");
}

#[test]
fn a_death_is_believed_only_when_more_than_half_can_be_asked_and_nobody_is_behind() {
    let mut desk = Desk::of(2);
    let (request, tx) = desk.submits();
    desk.chain.failing = 1;
    let old = desk.chain.height();
    desk.sends(&tx);
    desk.block();
    let (one, two) = (desk.reading_of(0, request), desk.reading_of(1, request));
    assert!(matches!(&desk.takes(request, &one).wants[..], [Want::Confirm(..)]));
    let alone = desk.hears(request, std::slice::from_ref(&one));
    assert!(alone.outcomes.is_empty() && desk.outbox.warnings()[0].contains("1 of 2 endpoints answer"));
    let behind = desk.chain.reading(1, request, old).unwrap();
    let moves = desk.hears(request, &[one.clone(), behind]);
    assert!(moves.outcomes.is_empty() && desk.outbox.warnings()[0].contains("behind"), "{moves:?}");
    let moves = desk.hears(request, &[one, two]);
    assert!(matches!(&moves.outcomes[..], [Outcome::Dead(_, 5, _), Outcome::Submitting(..)]), "{moves:?}");
    assert!(desk.outbox.warnings().is_empty());
}

#[test]
fn a_request_that_closed_since_contradicts_nobody() {
    let mut desk = Desk::of(2);
    let (request, tx) = desk.submits();
    desk.chain.failing = 1;
    desk.sends(&tx);
    desk.block();
    let dead = desk.reading_of(1, request);
    desk.chain.close(request);
    desk.block();
    let closed = desk.reading_of(0, request);
    let moves = desk.hears(request, &[closed, dead]);
    assert!(matches!(&moves.outcomes[..], [Outcome::Closed(..)]), "{moves:?}");
}

#[test]
fn one_endpoint_cannot_stop_the_controller_nor_say_where_a_new_one_begins() {
    let mut desk = Desk::of(2);
    let request = desk.ask();
    let lie = accused(&desk, request, desk.chain.height());
    let truth = desk.reading_of(0, request);
    assert!(matches!(&desk.takes(request, &lie).wants[..], [Want::Confirm(..)]));
    assert!(desk.hears(request, &[truth.clone(), lie]).entries.is_empty());
    assert_eq!(desk.outbox.next_sequence(), None);
    let moves = desk.hears(request, &[truth, desk.reading_of(1, request)]);
    assert_eq!((desk.outbox.next_sequence(), sent(&moves).len()), (Some(6), 1));
    let other = desk.ask();
    let (lie, truth) = (
        desk.chain.told(1, other, desk.chain.height(), |sequence| sequence + 9, false).unwrap(),
        desk.reading_of(0, other),
    );
    assert!(desk.takes(other, &lie).outcomes.is_empty());
    let moves = desk.hears(other, &[truth, lie]);
    assert!(desk.outbox.halted().is_none(), "{moves:?}");
    assert!(moves.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Submitting(..))), "honest work goes on");
}

#[test]
fn what_was_let_go_on_one_word_is_asked_of_the_others_though_nothing_else_is_to_be_done() {
    let mut desk = Desk::of(2);
    let (request, _lost) = desk.submits();
    desk.chain.close(request);
    desk.block();
    let lie = desk.chain.told(1, request, desk.chain.height(), |sequence| sequence + 1, false).unwrap();
    // The account seems to stand where our journal does: one word is enough.
    assert!(matches!(&desk.takes(request, &lie).outcomes[..], [Outcome::Closed(..)]));
    let confirm = Want::Confirm(decree(request), chain_client::RequestId::key(request));
    assert_eq!(desk.block(), [confirm]);
    let truth = [desk.reading_of(0, request), desk.reading_of(1, request)];
    let moves = desk.hears(request, &truth);
    let [nothing] = &sent(&moves)[..] else { panic!("{moves:?}") };
    assert_eq!(Says::of(nothing), Says { sequence: 5, fee: 1, gas_step: 0, request: None });
    desk.sends(nothing);
    desk.block();
    let _ = desk.read(request);
    assert!(!desk.outbox.is_at_rest(), "asked once more");
    desk.block();
    let truth = [desk.reading_of(0, request), desk.reading_of(1, request)];
    let _ = desk.hears(request, &truth);
    assert!(desk.outbox.is_at_rest());
    assert!(desk.block().is_empty());
}

// === The lease ===

#[test]
fn without_a_lease_nothing_leaves_and_behind_a_closed_gate_only_what_is_stored() {
    let mut desk = Desk::new();
    let (open, tx) = desk.submits();
    let (closed, late) = desk.submits();
    let third = desk.ask();
    desk.chain.close(closed);
    desk.blocks(3);
    desk.outbox.allow(Leave::Nothing);
    for request in [open, closed, third] {
        let moves = desk.read(request);
        assert!(moves.wants.is_empty() && moves.entries.is_empty(), "{moves:?}");
    }
    assert!(desk.outbox.why_silent().contains("lease"));
    desk.outbox.allow(Leave::Stored);
    assert_eq!(sent(&desk.read(open)).first(), Some(&tx));
    let moves = desk.read(closed);
    assert!(moves.entries.is_empty() && sent(&moves).is_empty(), "spends nothing: {moves:?}");
    assert!(desk.read(third).entries.is_empty(), "takes no sequence");
    desk.chain.floor = 9;
    assert!(desk.sends(&tx).1.entries.is_empty(), "replaces nothing");
    desk.outbox.allow(Leave::All);
    assert!(!desk.read(third).entries.is_empty());
    let nothing = sent(&desk.read(closed));
    assert!(nothing.iter().any(|tx| tx.request.is_none() && tx.sequence == late.sequence));
}

#[test]
fn what_may_have_been_forgotten_is_sent_as_stored_and_never_signed_anew() {
    let mut desk = Desk::new();
    let (open, tx) = desk.submits();
    let (closed, _) = desk.submits();
    let third = desk.ask();
    desk.chain.close(closed);
    desk.outbox.keep_out(Some(7));
    desk.blocks(3);
    assert_eq!(sent(&desk.read(open)).first(), Some(&tx));
    assert!(desk.read(closed).entries.is_empty());
    assert!(desk.read(third).entries.is_empty());
    assert!(desk.outbox.why_silent().contains("sequences up to 7"));
    desk.chain.floor = 9;
    assert!(desk.sends(&tx).1.entries.is_empty());
    desk.outbox.keep_out(Some(6));
    let moves = desk.read(third);
    assert_eq!(Says::of(&sent(&moves)[0]).sequence, 7, "what is newer is served");
    desk.outbox.keep_out(None);
    assert!(!desk.read(closed).entries.is_empty());
}

#[test]
fn what_a_lost_memory_had_signed_may_still_land_and_halts_nothing() {
    let mut desk = Desk::new();
    let lost: Vec<SignedTx> = (0..2).map(|_| desk.submits().1).collect();
    // A restored party: the disk is new, its peers have heard of sequences 5 and 6.
    desk.store = MemoryStore::new(2);
    desk.restarts();
    desk.outbox.keep_out(Some(6));
    let new = desk.ask();
    for tx in &lost {
        assert!(sent(&desk.read(new)).is_empty(), "not before the past is settled");
        assert_eq!(desk.chain.broadcast(tx), Hint::Taken);
        desk.block();
    }
    let moves = desk.read(new);
    assert_eq!((desk.outbox.halted(), Says::of(&sent(&moves)[0]).sequence), (None, 7), "the past is settled");
}
