//! What the measurements share: thread time as the measure, the sizes, and drivers that charge each party its own computation.
//!
//! All parties of a run live on one thread here, so a run's time says nothing; what one party computes in it does. Thread time leaves out
//! what other processes do to a busy machine. Every bench id names its big-number backend, and stands beside the library's own figure.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use mpc_core::{PartyIndex, Recipient, Step, testing::Sessions};
use round_based::{
    Incoming, MessageDestination, MessageType,
    state_machine::{ProceedResult, StateMachine},
};

/// (t, n): a laptop, a small and a usual keyring.
pub const SIZES: [(u16, u16); 3] = [(2, 3), (3, 5), (5, 8)];

/// Measures the time this thread has computed.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadTime;

impl ThreadTime {
    /// The time this thread has computed so far.
    pub fn now() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
    }
}

impl Measurement for ThreadTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Self::now()
    }
    fn end(&self, start: Duration) -> Duration {
        Self::now().saturating_sub(start)
    }
    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }
    fn zero(&self) -> Duration {
        Duration::ZERO
    }
    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_secs_f64() * 1e9
    }
    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// Criterion on thread time, with few samples and no plots.
pub fn criterion() -> Criterion<ThreadTime> {
    Criterion::default()
        .with_measurement(ThreadTime)
        .sample_size(20)
        // Resampling and plotting would take longer than measuring.
        .nresamples(10_000)
        .without_plots()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args()
}

/// The id of `who`'s figure at a size: implementation, backend, t-of-n.
pub fn id(who: &str, (need, of): (u16, u16)) -> BenchmarkId {
    BenchmarkId::new(format!("{who}/{}", mpc_core::BACKEND), format!("{need}-of-{of}"))
}

/// Measures a whole run by what each party computes in it: a run among t parties gives t samples.
pub fn bench_runs(group: &mut BenchmarkGroup<'_, ThreadTime>, id: BenchmarkId, mut run: impl FnMut() -> Vec<Duration>) {
    let mut samples = VecDeque::new();
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                if samples.is_empty() {
                    samples.extend(run());
                }
                total += samples.pop_front().unwrap_or_default();
            }
            total
        });
    });
}

/// Runs our sessions to their ends; what each party computed, in order.
///
/// # Panics
/// If a run fails.
pub fn run_sessions<T>(mut sessions: Sessions<T>) -> Vec<Duration> {
    let mut spent: BTreeMap<PartyIndex, Duration> = sessions.keys().map(|party| (*party, Duration::ZERO)).collect();
    let places: Vec<PartyIndex> = sessions.keys().copied().collect();
    let mut flying: VecDeque<(PartyIndex, PartyIndex, Vec<u8>)> = VecDeque::new();
    let mut done = 0;
    while done < places.len() {
        for party in &places {
            let Some(session) = sessions.get_mut(party) else { continue };
            let start = ThreadTime::now();
            let ended = loop {
                match session.step() {
                    Step::Send { to: Recipient::All, body } => {
                        let others = places.iter().filter(|place| *place != party);
                        flying.extend(others.map(|to| (*party, *to, body.clone())));
                    }
                    Step::Send { to: Recipient::One(to), body } => flying.push_back((*party, to, body)),
                    Step::Yield => {}
                    Step::Wait => break false,
                    Step::Done(_) => break true,
                    Step::Stop(abort) => panic!("run aborted: {abort}"),
                }
            };
            *spent.entry(*party).or_default() += ThreadTime::now().saturating_sub(start);
            if ended {
                done += 1;
                sessions.remove(party);
            }
        }
        for (from, to, body) in std::mem::take(&mut flying) {
            if let Some(session) = sessions.get_mut(&to) {
                let start = ThreadTime::now();
                session.receive(from, &body).expect("honest messages are taken");
                *spent.entry(to).or_default() += ThreadTime::now().saturating_sub(start);
            }
        }
    }
    spent.into_values().collect()
}

/// Runs the library's own machines to their ends, messages handed over as they are; what each party computed, and the results.
///
/// # Panics
/// If a run fails.
pub fn run_library<M: Clone, T, E: std::fmt::Debug>(
    machines: &mut [Box<dyn StateMachine<Output = Result<T, E>, Msg = M> + '_>],
) -> (Vec<Duration>, Vec<T>) {
    let mut spent = vec![Duration::ZERO; machines.len()];
    let mut inboxes: Vec<VecDeque<Incoming<M>>> = machines.iter().map(|_| VecDeque::new()).collect();
    let mut waits = vec![false; machines.len()];
    let mut results: BTreeMap<usize, T> = BTreeMap::new();
    while results.len() < machines.len() {
        for at in 0..machines.len() {
            while !results.contains_key(&at) {
                if waits[at] {
                    let Some(message) = inboxes[at].pop_front() else { break };
                    waits[at] = false;
                    assert!(machines[at].received_msg(message).is_ok(), "asked for");
                }
                let start = ThreadTime::now();
                let progress = machines[at].proceed();
                spent[at] += ThreadTime::now().saturating_sub(start);
                match progress {
                    ProceedResult::SendMsg(out) => {
                        let (to, msg_type) = match out.recipient {
                            MessageDestination::AllParties => {
                                ((0..inboxes.len()).filter(|to| *to != at).collect(), MessageType::Broadcast)
                            }
                            MessageDestination::OneParty(to) => (vec![usize::from(to)], MessageType::P2P),
                        };
                        let sender = u16::try_from(at).unwrap_or_default();
                        for to in to {
                            inboxes[to].push_back(Incoming { id: 0, sender, msg_type, msg: out.msg.clone() });
                        }
                    }
                    ProceedResult::NeedsOneMoreMessage => waits[at] = true,
                    ProceedResult::Yielded => {}
                    ProceedResult::Output(result) => {
                        results.insert(at, result.expect("the library's run succeeds"));
                    }
                    ProceedResult::Error(error) => panic!("library stopped: {error}"),
                }
            }
        }
    }
    (spent, results.into_values().collect())
}
