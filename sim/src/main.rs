//! `sim`: runs seeds and says what they showed.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use mpc_core::PartyIndex;
use sim::{Enumeration, Outcome, Plan, ShellPlant, Totals, World};

/// Runs simulated committees, one seed each, and judges them by the laws.
#[derive(Parser)]
#[command(name = "sim", version)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Replays one seed and prints its event log.
    #[arg(long)]
    seed: Option<u64>,
    /// Instead of seeds: a crash before and after every durable write of one scenario; of `--threshold` of `--parties`,
    /// 2 of 3 if not said.
    #[arg(long, conflicts_with_all = ["seed", "plant"])]
    crashes: bool,
    /// Stops after so many seconds, however many seeds are left.
    #[arg(long)]
    seconds_max: Option<u64>,
    /// Parties, instead of what each seed draws; with `--threshold`.
    #[arg(long, requires = "threshold")]
    parties: Option<u16>,
    /// Signers needed; with `--parties`.
    #[arg(long, requires = "parties")]
    threshold: Option<u16>,
    /// Switches a known break on, to see it found.
    #[arg(long, value_enum)]
    plant: Option<Planted>,
    /// Seeds at a time; as many as there are cores if not said.
    #[arg(long)]
    jobs: Option<usize>,
    /// Goes on after a seed that broke a law.
    #[arg(long)]
    keep_going: bool,
}

/// The known breaks by name.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Planted {
    #[cfg(feature = "planted")]
    PromiseRidesOnPartial,
    #[cfg(feature = "planted")]
    FirstLeaderByLiveness,
    #[cfg(feature = "planted")]
    SecondTurnSkipsPrepare,
    #[cfg(feature = "planted")]
    AcceptsLowerBallot,
    #[cfg(feature = "planted")]
    OneKeyForTwoRequests,
    #[cfg(feature = "planted")]
    LeaseWithoutJournal,
    #[cfg(feature = "planted")]
    ActsBeforeAllAnswered,
    #[cfg(feature = "planted")]
    FixedClocks,
    #[cfg(feature = "planted")]
    RestoredVotes,
    #[cfg(feature = "planted")]
    CountsTheSilent,
    #[cfg(feature = "planted")]
    NamesNoReason,
    #[cfg(feature = "planted")]
    TakesEverythingIn,
    SpeakBeforeWrite,
    BurnAfterSend,
    MixedHeights,
}

impl Planted {
    fn into(self, plan: &mut Plan) {
        match self {
            #[cfg(feature = "planted")]
            Self::PromiseRidesOnPartial => plan.plant = Some(sim::Plant::PromiseRidesOnPartial),
            #[cfg(feature = "planted")]
            Self::FirstLeaderByLiveness => plan.plant = Some(sim::Plant::FirstLeaderByLiveness),
            #[cfg(feature = "planted")]
            Self::SecondTurnSkipsPrepare => plan.plant = Some(sim::Plant::SecondTurnSkipsPrepare),
            #[cfg(feature = "planted")]
            Self::AcceptsLowerBallot => plan.plant = Some(sim::Plant::AcceptsLowerBallot),
            #[cfg(feature = "planted")]
            Self::OneKeyForTwoRequests => plan.plant = Some(sim::Plant::OneKeyForTwoRequests),
            #[cfg(feature = "planted")]
            Self::LeaseWithoutJournal => plan.plant = Some(sim::Plant::LeaseWithoutJournal),
            #[cfg(feature = "planted")]
            Self::ActsBeforeAllAnswered => plan.plant = Some(sim::Plant::ActsBeforeAllAnswered),
            #[cfg(feature = "planted")]
            Self::FixedClocks => plan.plant = Some(sim::Plant::FixedClocks),
            #[cfg(feature = "planted")]
            Self::RestoredVotes => plan.plant = Some(sim::Plant::RestoredVotes),
            #[cfg(feature = "planted")]
            Self::CountsTheSilent => plan.plant = Some(sim::Plant::CountsTheSilent),
            #[cfg(feature = "planted")]
            Self::NamesNoReason => plan.plant = Some(sim::Plant::NamesNoReason),
            #[cfg(feature = "planted")]
            Self::TakesEverythingIn => plan.plant = Some(sim::Plant::TakesEverythingIn),
            Self::SpeakBeforeWrite => plan.shell_plant = Some(ShellPlant::SpeakBeforeWrite),
            Self::BurnAfterSend => plan.shell_plant = Some(ShellPlant::BurnAfterSend),
            Self::MixedHeights => plan.shell_plant = Some(ShellPlant::MixedHeights),
        }
    }
}

impl Arguments {
    /// What a seed means under these arguments.
    fn plan(&self, seed: u64) -> Plan {
        let mut plan = Plan::drawn(seed, self.threshold.zip(self.parties));
        if let Some(planted) = self.plant {
            planted.into(&mut plan);
        }
        plan
    }

    /// The arguments that a replay needs beside the seed.
    fn again(&self) -> String {
        let size = self.threshold.zip(self.parties).map(|(need, of)| format!(" --threshold {need} --parties {of}"));
        let plant = self.plant.and_then(|planted| {
            use clap::ValueEnum as _;
            planted.to_possible_value().map(|name| format!(" --plant {}", name.get_name()))
        });
        [size, plant].into_iter().flatten().collect()
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        _ if arguments.crashes => crashes(&arguments),
        Some(seed) => replay(&arguments, seed),
        None => campaign(&arguments),
    }
}

#[allow(clippy::print_stdout, reason = "a command line prints")]
fn replay(arguments: &Arguments, seed: u64) -> ExitCode {
    let outcome = World::planned(arguments.plan(seed)).logged().finish();
    for line in &outcome.log {
        println!("{line}");
    }
    println!("{:#?}", outcome.plan);
    report(arguments, &outcome);
    if outcome.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A crash on both sides of every write of every party.
#[allow(clippy::print_stdout, reason = "a command line prints")]
fn crashes(arguments: &Arguments) -> ExitCode {
    let (need, of) = arguments.threshold.zip(arguments.parties).unwrap_or((2, 3));
    let enumeration = match Enumeration::of(need, of) {
        Ok(enumeration) => enumeration,
        Err(text) => {
            println!("without any crash: {text}");
            return ExitCode::FAILURE;
        }
    };
    let sites = enumeration.sites(&(0..of).map(PartyIndex::new).collect::<Vec<_>>());
    let bar = ProgressBar::new(sites.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} crashes, {elapsed}") {
        bar.set_style(style);
    }
    let harms = enumeration.crash_all(&sites, arguments.jobs.unwrap_or_else(cores), || bar.inc(1));
    bar.finish_and_clear();
    println!("{need} of {of}: {} crash sites, both sides of writes {:?}", sites.len(), enumeration.writes());
    for harm in &harms {
        println!("HARM {}: {}", harm.site, harm.text);
    }
    let Some(first) = harms.first() else {
        println!("every request was answered once after every crash, no law was broken");
        return ExitCode::SUCCESS;
    };
    for line in enumeration.replay(first.site).log.iter().rev().take(60).rev() {
        println!("{line}");
    }
    println!("{} of {} crashes did harm", harms.len(), sites.len());
    ExitCode::FAILURE
}

#[allow(clippy::print_stdout, reason = "a command line prints")]
#[allow(clippy::disallowed_methods, reason = "measures the run for a person; nothing inside the simulation sees it")]
fn campaign(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let most = arguments.seconds_max.map(Duration::from_secs);
    let bar = &ProgressBar::new(arguments.seeds);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {elapsed}, {msg}") {
        bar.set_style(style);
    }
    let end = arguments.first.saturating_add(arguments.seeds);
    let next = AtomicU64::new(arguments.first);
    let shared = Mutex::new((Totals::default(), 0u64, Vec::new()));
    let work = || {
        loop {
            let late = most.is_some_and(|most| began.elapsed() >= most);
            let stop = !arguments.keep_going && shared.lock().is_ok_and(|shared| !shared.2.is_empty());
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if late || stop || seed >= end {
                break;
            }
            let outcome = World::planned(arguments.plan(seed)).finish();
            bar.inc(1);
            let Ok(mut shared) = shared.lock() else { break };
            shared.0.add(&outcome.totals);
            shared.1 += 1;
            if !outcome.is_well() {
                shared.2.push(seed);
                bar.suspend(|| {
                    let logged = World::planned(arguments.plan(seed)).logged().finish();
                    for line in logged.log.iter().rev().take(60).rev() {
                        println!("{line}");
                    }
                    report(arguments, &logged);
                });
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.unwrap_or_else(cores) {
            scope.spawn(work);
        }
    });
    let Ok((totals, run, broken)) = shared.into_inner() else { return ExitCode::FAILURE };
    bar.finish_and_clear();
    let took = began.elapsed();
    let each = took.as_secs_f64() / (run.max(1) as f64);
    println!("{run} seeds from {} in {:.1} s ({:.3} s each)", arguments.first, took.as_secs_f64(), each);
    println!("{totals}");
    if broken.is_empty() {
        println!("every law held in every seed");
        ExitCode::SUCCESS
    } else {
        println!("broken in {} seeds: {broken:?}", broken.len());
        ExitCode::FAILURE
    }
}

#[allow(clippy::print_stdout, reason = "a command line prints")]
fn report(arguments: &Arguments, outcome: &Outcome) {
    println!("seed {}: {} of {}; {}", outcome.seed, outcome.plan.need, outcome.plan.of, outcome.totals);
    for violation in &outcome.violations {
        println!("BROKEN {} at {} ms: {}", violation.law, violation.at_ms, violation.text);
    }
    if !outcome.is_well() {
        println!("replay: ./run sim --seed {}{}", outcome.seed, arguments.again());
    }
}
