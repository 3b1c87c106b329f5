//! What it may cost, what it has cost, and for which price.

use super::*;

#[test]
fn a_lost_race_costs_one_revert_that_is_counted_and_never_another() {
    let mut desk = Desk::new();
    let (request, flying) = desk.delivers();
    desk.chain.rivals.push(rival(request));
    desk.blocks(FINAL_DEPTH);
    assert_eq!(desk.sender.facts().lost_total, 0, "no final block shows it yet");
    desk.block();
    let cost = desk.chain.mined().next().unwrap().cost;
    assert!(desk.told().contains(&Outcome::Lost { decree: decree(request), hash: flying.signed.hash, cost }));
    assert_eq!((desk.sender.facts().lost_today, desk.sender.facts().lost_total), (cost, cost));
    for _ in 0..2 {
        let again = desk.sender.publish(decree(request), delivery(request, 0, desk.chain.height()));
        assert_eq!(again.unwrap_err(), PublishError::Reverted);
        desk.restarts();
        desk.block();
    }
    assert_eq!(desk.sender.facts().lost_total, cost);
    let moves = desk.sender.forget(&decree(request));
    desk.carry_out(moves);
    desk.restarts();
    assert!(
        desk.sender.publish(decree(request), delivery(request, 0, Height(0))).is_ok(),
        "what it cost is forgotten too"
    );
    let _ = desk.sender.forget(&decree(request));
    assert!(desk.sender.is_at_rest());
}

#[test]
fn a_hostile_owner_costs_the_whole_gas_once() {
    let mut desk = Desk::new();
    let (request, flying) = desk.delivers();
    desk.chain.hostile.insert(request);
    desk.blocks(FINAL_DEPTH + 1);
    let cost = flying.signed.worst();
    assert!(desk.told().contains(&Outcome::Lost { decree: decree(request), hash: flying.signed.hash, cost }));
    assert_eq!(desk.sender.facts().lost_total, cost);
    assert!(desk.sender.is_at_rest(), "the request is open still, for others");
}

#[test]
fn no_answer_may_cost_more_than_its_bound_and_the_reason_is_told() {
    let worst = 16 * GWEI / 10 * u128::from(GAS);
    let mut desk = Desk::of(Settings { max_loss_per_answer: worst - 1, ..settings() });
    let request = desk.ask();
    assert!(desk.flying.is_empty());
    let why = desk.why(request).unwrap();
    assert_eq!(why, Why::AnswerLoss { worst, left: worst - 1 });
    assert!(why.to_string().contains("max_loss_per_answer"));
    assert_eq!(desk.told(), [Outcome::Waiting(decree(request), why)]);
    // When the chain asks less, it fits.
    desk.chain.base_fee = GWEI / 2;
    assert_eq!(desk.block().len(), 1);
    // Nor may a replacement.
    desk.chain.base_fee = 2 * GWEI;
    assert!(desk.blocks(8).iter().all(|signed| signed.worst() < worst));
    assert!(matches!(desk.why(request), Some(Why::AnswerLoss { .. })));
}

#[test]
fn a_days_losses_and_what_is_in_flight_fit_its_budget_and_the_next_day_begins_anew() {
    let worst = 16 * GWEI / 10 * u128::from(GAS);
    let mut desk = Desk::of(Settings { max_loss_per_day: 2 * worst, ..settings() });
    let (first, _) = desk.delivers();
    let (_, _) = desk.delivers();
    let third = desk.ask();
    assert!(desk.flying.is_empty(), "two are reserved");
    assert!(matches!(desk.why(third), Some(Why::DayLoss { left: 0, .. })));
    desk.chain.hostile.insert(first);
    desk.blocks(FINAL_DEPTH + 1);
    assert_eq!(desk.sender.facts().lost_today, worst);
    desk.runs(FINAL_DEPTH + 4);
    assert_eq!(desk.sender.slots().count(), 0);
    let (fourth, fifth) = (desk.ask(), desk.ask());
    assert_eq!(desk.flying.len(), 1, "one is lost, so one may be in flight");
    desk.restarts();
    for request in [fourth, fifth] {
        let _ = desk.sender.publish(decree(request), delivery(request, 0, desk.chain.height())).unwrap();
    }
    desk.blocks(2);
    assert_eq!(desk.sender.facts().lost_today, worst, "also after a restart");
    assert!(matches!(desk.why(fifth), Some(Why::DayLoss { .. })));
    desk.chain.block_seconds = 86_400;
    desk.block();
    desk.chain.block_seconds = 12;
    desk.runs(3);
    assert_eq!(desk.sender.facts().lost_today, 0);
    assert_eq!(desk.sender.facts().lost_total, worst);
    assert_ne!(desk.why(fifth).map(|why| why.word()), Some("day_loss"));
}

/// Found by the properties: the raise of the first would need what those behind it have reserved, and these wait for it.
#[test]
fn an_answer_whose_raise_does_not_fit_the_budget_gives_way_to_those_behind_it() {
    let worst = 16 * GWEI / 10 * u128::from(GAS);
    let mut desk = Desk::of(Settings { max_loss_per_day: 2 * worst, ..settings() });
    let (first, _) = desk.submits();
    let (second, _) = desk.submits();
    desk.chain.base_fee = 22 * GWEI / 10;
    let sent = desk.blocks(4);
    let nothing = sent.iter().find(|signed| !signed.answers).unwrap();
    assert_eq!((nothing.nonce, nothing.price), (5, 34 * GWEI / 10));
    assert!(matches!(desk.why(second), Some(Why::DayLoss { .. })), "nobody stands behind this one: it waits");
    desk.runs(FINAL_DEPTH + 6);
    assert_eq!(desk.sender.slots().map(|slot| &slot.decree).collect::<Vec<_>>(), [&decree(second)]);
    desk.chain.base_fee = GWEI;
    desk.runs(3 * FINAL_DEPTH);
    let answered = |request: u64| desk.chain.head().requests[&request].answered == Some(true);
    assert!(answered(first) && answered(second) && desk.sender.is_at_rest());
}

#[test]
fn what_an_endpoint_claims_beyond_what_was_signed_is_not_booked() {
    let mut desk = Desk::new();
    let (request, flying) = desk.delivers();
    desk.chain.hostile.insert(request);
    desk.blocks(FINAL_DEPTH);
    desk.chain.block();
    let mut look = desk.chain.look(request, &[flying.signed.hash], 0);
    for receipt in &mut look.receipts {
        (receipt.gas_used, receipt.price) = (u64::MAX, u128::MAX);
    }
    let _ = desk.sender.looked(&decree(request), &look, &desk.pen);
    assert_eq!(desk.sender.facts().lost_total, flying.signed.worst());
}

#[test]
fn above_the_dead_zone_the_shortfall_is_counted() {
    let mut desk = Desk::new();
    let request = desk.chain.ask();
    desk.chain.base_fee = 3 * GWEI;
    desk.blocks(1);
    let _ = desk.sender.publish(decree(request), delivery(request, 0, desk.chain.height())).unwrap();
    desk.runs(FINAL_DEPTH + 2);
    let mined = desk.chain.mined().next().unwrap();
    let value = 200_000 * GWEI * 12 / 10;
    let cost = u128::from(mined.receipt.gas_used) * mined.receipt.price - value;
    assert!(cost > 0 && mined.cost == cost);
    let height = mined.receipt.height;
    assert!(desk.told().contains(&Outcome::Landed { decree: decree(request), height, cost }));
    assert_eq!(desk.sender.facts().lost_total, cost);
}

#[test]
fn a_panic_teaches_a_price_below_the_dead_zone_or_above_it_or_the_answer_waits() {
    // Of a value for 1 gwei, prices between 3.02 and 3.32 gwei are dead.
    let deliver = |base_fee: u128, price_max: u128| {
        let mut desk = Desk::of(Settings { factor_percent: 100, price_max, ..settings() });
        let request = desk.chain.ask();
        desk.chain.base_fee = base_fee;
        desk.blocks(1);
        let _ = desk.sender.publish(decree(request), delivery(request, 0, desk.chain.height())).unwrap();
        let price = desk.blocks(6).first().map(|signed| signed.price);
        (price, desk.why(request))
    };
    // Wanted 2.65 + 0.1, alive: taken as it is.
    assert_eq!(deliver(265 * GWEI / 100, 9 * GWEI).0, Some(275 * GWEI / 100));
    // Wanted 3.04 + 0.1, dead; the way down would not outlive the next base fee, so up.
    let up = deliver(304 * GWEI / 100, 9 * GWEI).0.unwrap();
    assert!(up > 332 * GWEI / 100 && up < 4 * GWEI, "{up}");
    let (none, why) = deliver(304 * GWEI / 100, 315 * GWEI / 100);
    assert!(none.is_none() && matches!(why, Some(Why::DeadZone { .. })), "{why:?}");
    // With a large tip the way down is open.
    let mut desk = Desk::of(Settings { factor_percent: 160, ..settings() });
    let request = desk.chain.ask();
    desk.chain.base_fee = 19 * GWEI / 10;
    desk.blocks(1);
    let _ = desk.sender.publish(decree(request), delivery(request, 0, desk.chain.height())).unwrap();
    let down = desk.blocks(6).first().unwrap().price;
    assert!(down > 25 * GWEI / 10 && down < 302 * GWEI / 100, "{down}");
}

#[test]
fn beyond_the_highest_price_answers_wait() {
    let mut desk = Desk::of(Settings { price_max: 2 * GWEI, ..settings() });
    desk.chain.base_fee = 21 * GWEI / 10;
    desk.block();
    let request = desk.ask();
    assert_eq!(desk.why(request), Some(Why::TooDear { needed: 21 * GWEI / 10, max: 2 * GWEI }));
    assert_eq!(desk.sender.facts().price, None);
    desk.chain.base_fee = 15 * GWEI / 10;
    assert_eq!(desk.block()[0].price, 2 * GWEI, "what is wanted is cut to it");
}

#[test]
fn an_answer_is_signed_only_if_the_account_can_pay_for_it_and_all_in_flight() {
    let mut desk = Desk::new();
    let worst = 16 * GWEI / 10 * u128::from(GAS);
    desk.chain.balance = Some(2 * worst - 1);
    desk.block();
    let (_, flying) = desk.submits();
    let second = desk.ask();
    assert!(desk.flying.is_empty());
    assert_eq!(desk.why(second), Some(Why::NoFunds { needed: 2 * worst, balance: 2 * worst - 1 }));
    assert_eq!(desk.sender.facts().balance, Some(2 * worst - 1));
    desk.chain.balance = Some(2 * worst);
    desk.block();
    assert_eq!(desk.sender.slots().count(), 2);
    desk.chain.broadcast(&flying);
}
