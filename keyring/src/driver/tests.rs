use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chain_client::Height;
use mpc_core::{Abort, Session};

use super::*;
use crate::decree::{DecreeId, Kind};

const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `messages` messages, writes its name into the log when it computes, then ends.
struct Toy {
    name: u64,
    messages: usize,
    log: Arc<Mutex<Vec<u64>>>,
}

impl Session for Toy {
    type Output = RunNews;
    fn receive(&mut self, _: PartyIndex, _: &[u8]) -> Result<(), Abort> {
        self.messages = self.messages.saturating_sub(1);
        Ok(())
    }
    fn step(&mut self) -> Step<RunNews> {
        if self.messages > 0 {
            return Step::Wait;
        }
        self.log.lock().unwrap().push(self.name);
        Step::Done(RunNews::Round(99))
    }
    fn round(&self) -> u16 {
        0
    }
}

fn bounds(permits: usize) -> Bounds {
    Bounds { runs_max: 64, permits, messages_per_party: 512, bytes_per_party: 8 << 20 }
}

fn session(name: u64) -> SessionId {
    SessionId::new([name as u8; 32])
}

fn peers() -> Vec<PartyIndex> {
    vec![PartyIndex::new(1), PartyIndex::new(2)]
}

fn priority(deadline: u64, request: u64) -> Priority {
    let decree =
        DecreeId { chain: "c".into(), keyring: "k".into(), kind: Kind::Signature, request, event: None, item: 0 };
    Priority::Request(Height(deadline), decree)
}

fn outcomes(events: &mut mpsc::Receiver<DriverEvent>, wanted: usize) -> BTreeMap<SessionId, String> {
    let mut ended = BTreeMap::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    while ended.len() < wanted {
        let next = runtime.block_on(async { tokio::time::timeout(PATIENCE, events.recv()).await });
        match next.expect("runs end in time").expect("the driver lives") {
            DriverEvent::News { session, news: RunNews::Round(99) } => ended.insert(session, "done".to_owned()),
            DriverEvent::News { session, news: RunNews::Failed { reason, .. } } => ended.insert(session, reason),
            _ => None,
        };
    }
    ended
}

#[test]
fn a_run_that_waits_for_a_message_holds_no_permit() {
    let (driver, mut events) = Driver::new(bounds(1));
    let log = Arc::new(Mutex::new(Vec::new()));
    for name in 0..12 {
        let toy = Toy { name, messages: 1, log: log.clone() };
        driver.start(session(name), peers(), priority(10, name), move || Ok(Box::new(toy)));
    }
    // All twelve wait for a message with one permit among them; were it held, only one would ever end.
    for name in 0..12 {
        driver.deliver(session(name), PartyIndex::new(1), Bytes::from_static(b"go"));
    }
    assert_eq!(outcomes(&mut events, 12).len(), 12);
    assert_eq!(driver.live(), 0);
}

#[test]
fn the_earliest_deadline_computes_first_and_ties_break_by_request() {
    let (driver, mut events) = Driver::new(bounds(1));
    let log = Arc::new(Mutex::new(Vec::new()));
    let (open, gate) = std::sync::mpsc::sync_channel::<()>(0);
    let (holds, held) = std::sync::mpsc::sync_channel::<()>(1);
    driver.start(session(200), peers(), priority(1, 0), move || {
        holds.send(()).ok();
        gate.recv().ok();
        Err(BeginError::Missing("anything"))
    });
    held.recv().unwrap();
    for (name, deadline, request) in [(1, 30, 1), (2, 10, 9), (3, 20, 1), (4, 10, 3)] {
        let toy = Toy { name, messages: 0, log: log.clone() };
        driver.start(session(name), peers(), priority(deadline, request), move || Ok(Box::new(toy)));
    }
    // All four stand in line, and each has said so.
    while driver.permits.waiting() < 4 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut queued = 0;
    while queued < 4 {
        if let Some(DriverEvent::News { news: RunNews::Queued, .. }) = events.blocking_recv() {
            queued += 1;
        }
    }
    open.send(()).unwrap();
    outcomes(&mut events, 5);
    assert_eq!(*log.lock().unwrap(), [4, 2, 3, 1]);
}

#[test]
fn messages_that_come_before_their_run_are_delivered_at_its_start_and_late_ones_are_dropped() {
    let (driver, mut events) = Driver::new(bounds(1));
    let log = Arc::new(Mutex::new(Vec::new()));
    driver.deliver(session(1), PartyIndex::new(2), Bytes::from_static(b"early"));
    let toy = Toy { name: 1, messages: 1, log };
    driver.start(session(1), peers(), priority(1, 1), move || Ok(Box::new(toy)));
    assert_eq!(outcomes(&mut events, 1)[&session(1)], "done");
    driver.deliver(session(1), PartyIndex::new(2), Bytes::from_static(b"late"));
    assert!(!driver.mailboxes.open(session(1)), "an ended session never begins again");
}

/// Says something to everybody, then something to one, then ends.
struct Speaker(Vec<Step<RunNews>>);

impl Session for Speaker {
    type Output = RunNews;
    fn receive(&mut self, _: PartyIndex, _: &[u8]) -> Result<(), Abort> {
        Ok(())
    }
    fn step(&mut self) -> Step<RunNews> {
        self.0.pop().unwrap_or(Step::Done(RunNews::Round(99)))
    }
    fn round(&self) -> u16 {
        0
    }
}

#[test]
fn everybody_is_who_takes_part_in_the_run() {
    let (driver, mut events) = Driver::new(bounds(1));
    driver.start(session(1), peers(), priority(1, 1), || {
        let one = Step::Send { to: Recipient::One(PartyIndex::new(2)), body: vec![2] };
        let all = Step::Send { to: Recipient::All, body: vec![1] };
        Ok(Box::new(Speaker(vec![one, all])))
    });
    let mut said = Vec::new();
    while let Some(DriverEvent::Send { to, body, .. }) = events.blocking_recv() {
        said.push((to, body));
    }
    assert_eq!(said, [(peers(), vec![1]), (vec![PartyIndex::new(2)], vec![2])]);
}

#[test]
fn a_cancelled_run_says_nothing_more_and_a_panicking_one_is_reported() {
    let (driver, mut events) = Driver::new(bounds(2));
    let log = Arc::new(Mutex::new(Vec::new()));
    let waits = Toy { name: 1, messages: 1, log: log.clone() };
    driver.start(session(1), peers(), priority(1, 1), move || Ok(Box::new(waits)));
    driver.cancel(session(1));
    driver.start(session(2), peers(), priority(1, 2), || panic!("a defect"));
    let ended = outcomes(&mut events, 1);
    assert!(ended[&session(2)].contains("panicked"));
    let works = Toy { name: 3, messages: 0, log };
    driver.start(session(3), peers(), priority(1, 3), move || Ok(Box::new(works)));
    assert_eq!(outcomes(&mut events, 1)[&session(3)], "done");
}
