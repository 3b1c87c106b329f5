use chain_client::Height;

use super::*;
use crate::admission::Unanswerable;
use crate::agreement::Audience;
use crate::decree::{Ballot, Kind};
use crate::message::Attachment;
use crate::node::Priority;

const CHAIN: &str = "zenrock";

fn observer() -> Observer {
    Observer::of(Arc::new(Metrics::new(&[CHAIN.to_owned()])), PartyIndex::new(0))
}

fn decree(number: u64) -> DecreeId {
    let (chain, keyring) = (CHAIN.to_owned(), "keyring1x".to_owned());
    DecreeId { chain, keyring, kind: Kind::Signature, request: number, event: None, item: 0 }
}

fn record(state: State) -> RequestRecord {
    RequestRecord { state, ..RequestRecord::new(Height(5)) }
}

fn write(observer: &mut Observer, number: u64, record: &RequestRecord) {
    let value = postcard::to_stdvec(record).unwrap();
    observer.written(&[Entry::put(Table::Request, decree(number).to_bytes(), value)]);
}

/// The funnel, in the order of [`STAGES`].
fn funnel(observer: &Observer) -> [u64; 10] {
    STAGES.map(|stage| observer.metrics.requests.stages.count([CHAIN, "signature", stage]))
}

#[test]
fn a_request_passes_each_stage_once() {
    let mut observer = observer();
    write(&mut observer, 1, &record(State::Admitted));
    write(&mut observer, 1, &record(State::Running));
    write(&mut observer, 1, &record(State::Parked));
    let decided = RequestRecord { decided_after_ms: Some(1_500), ..record(State::Agreed) };
    write(&mut observer, 1, &decided);
    let sent = RequestRecord { broadcast_after_ms: Some(1_600), state: State::Submitting, ..decided };
    write(&mut observer, 1, &sent);
    write(&mut observer, 1, &RequestRecord { state: State::Submitted, ..sent.clone() });
    write(&mut observer, 1, &RequestRecord { state: State::Settled, ..sent.clone() });
    // A record that is written again says nothing new.
    write(&mut observer, 1, &RequestRecord { state: State::Settled, ..sent });
    assert_eq!(funnel(&observer), [0, 0, 1, 1, 1, 1, 0, 0, 0, 0]);
    assert!(observer.requests.is_empty());
    assert_eq!(observer.metrics.controllers.dead.count([CHAIN]), 0);
}

#[test]
fn ends_are_told_apart_and_what_is_only_learned_is_in_no_funnel() {
    let mut observer = observer();
    write(&mut observer, 1, &record(State::Unanswerable(Unanswerable::PayloadLength { bytes: 3 })));
    for (number, end) in [(2, State::Expired), (3, State::Moot), (5, State::Undone)] {
        write(&mut observer, number, &record(State::Admitted));
        write(&mut observer, number, &record(end));
    }
    write(&mut observer, 4, &RequestRecord { learning: true, ..record(State::Parked) });
    write(&mut observer, 4, &RequestRecord { learning: true, ..record(State::Settled) });
    assert_eq!(funnel(&observer), [0, 0, 3, 0, 0, 0, 1, 1, 1, 1]);
}

#[test]
fn a_transaction_that_died_is_counted_and_the_next_one_is_no_second_submission() {
    let mut observer = observer();
    write(&mut observer, 1, &record(State::Admitted));
    let sent = RequestRecord { decided_after_ms: Some(1), broadcast_after_ms: Some(2), ..record(State::Doubt) };
    for state in [State::Submitting, State::Doubt, State::Agreed, State::Submitting] {
        write(&mut observer, 1, &RequestRecord { state, ..sent.clone() });
    }
    assert_eq!(observer.metrics.controllers.dead.count([CHAIN]), 1);
    assert_eq!(funnel(&observer), [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]);
}

#[test]
fn later_ballots_are_counted_once_for_each_decree() {
    let mut observer = observer();
    write(&mut observer, 1, &record(State::Admitted));
    let say = |observer: &mut Observer, attempt: u32, statement: Statement| {
        let ballot = Ballot { attempt, leader: PartyIndex::new(1) };
        let content = Content::Decree { decree: decree(1), ballot, statement };
        let attachment = Box::new(Attachment::default());
        observer.ordered(0, &Order::Say { to: Audience::All, content, attachment });
    };
    say(&mut observer, 0, Statement::Working(1));
    say(&mut observer, 0, Statement::Join { proposal: [0; 32], share: None });
    for _ in 0..2 {
        say(&mut observer, 1, Statement::Promise { accepted: None });
        say(&mut observer, 1, Statement::Join { proposal: [0; 32], share: None });
    }
    say(&mut observer, 3, Statement::Prepare);
    let ballots = |turn| observer.metrics.agreement.ballots.count([CHAIN, turn]);
    assert_eq!((ballots("first"), ballots("later")), (1, 2));
    let said = |word| observer.metrics.agreement.messages.count(["out", word]);
    assert_eq!((said("join"), said("promise"), said("working"), said("prepare")), (3, 2, 1, 1));
}

#[test]
fn every_run_ends_once() {
    let mut observer = observer();
    let session = |name: u8| SessionId::new([name; 32]);
    let start = |observer: &mut Observer, name: u8, run: RunOrder| {
        observer.ordered(1_000, &Order::Start { session: session(name), run, priority: Priority::Auxiliary });
    };
    start(&mut observer, 1, RunOrder::Key(Suite::Ed25519));
    start(&mut observer, 2, RunOrder::Auxiliary);
    let failed = || RunNews::Failed { culprits: Vec::new(), reason: "a test".to_owned() };
    observer.heard(2_500, &Event::Run(session(1), RunNews::Queued));
    observer.heard(3_000, &Event::Run(session(1), failed()));
    observer.ordered(4_000, &Order::Stop(session(1)));
    observer.ordered(4_000, &Order::Stop(session(2)));
    observer.heard(5_000, &Event::Run(session(2), failed()));
    observer.heard(5_000, &Event::Run(session(3), failed()));
    assert_eq!(observer.metrics.runs.begun.count(["key_ed25519"]), 1);
    let mut shown = String::new();
    prometheus_client::encoding::text::encode_registry(&mut shown, &observer.metrics.catalogue.ours).unwrap();
    for (kind, outcome, seconds) in [("key_ed25519", "failed", "2.0"), ("auxiliary", "stopped", "3.0")] {
        let labels = format!("{{kind=\"{kind}\",outcome=\"{outcome}\"}}");
        assert!(shown.contains(&format!("keyring_run_seconds_count{labels} 1\n")), "{shown}");
        assert!(shown.contains(&format!("keyring_run_seconds_sum{labels} {seconds}\n")), "{shown}");
    }
    assert_eq!(shown.matches("keyring_run_seconds_count").count(), 2, "no run ended twice");
    assert!(observer.runs.is_empty());
}
