//! `sim`: runs seeds and says what they showed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sim::{Outcome, Plan, Totals, World};

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
    /// Stops after so many seconds, however many seeds are left.
    #[arg(long)]
    seconds_max: Option<u64>,
    /// Parties, instead of what each seed draws; with `--threshold`.
    #[arg(long, requires = "threshold")]
    parties: Option<u16>,
    /// Signers needed; with `--parties`.
    #[arg(long, requires = "parties")]
    threshold: Option<u16>,
    /// Goes on after a seed that broke a law.
    #[arg(long)]
    keep_going: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let size = arguments.threshold.zip(arguments.parties);
    match arguments.seed {
        Some(seed) => replay(seed, size),
        None => campaign(&arguments, size),
    }
}

#[allow(clippy::print_stdout, reason = "a command line prints")]
fn replay(seed: u64, size: Option<(u16, u16)>) -> ExitCode {
    let outcome = World::planned(Plan::drawn(seed, size)).logged().finish();
    for line in &outcome.log {
        println!("{line}");
    }
    println!("{:#?}", outcome.plan);
    report(&outcome, size);
    if outcome.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[allow(clippy::print_stdout, reason = "a command line prints")]
#[allow(clippy::disallowed_methods, reason = "measures the run for a person; nothing inside the simulation sees it")]
fn campaign(arguments: &Arguments, size: Option<(u16, u16)>) -> ExitCode {
    let began = Instant::now();
    let most = arguments.seconds_max.map(Duration::from_secs);
    let bar = ProgressBar::new(arguments.seeds);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {elapsed}, {msg}") {
        bar.set_style(style);
    }
    let (mut totals, mut run, mut broken) = (Totals::default(), 0u64, Vec::new());
    for seed in arguments.first..arguments.first.saturating_add(arguments.seeds) {
        if most.is_some_and(|most| began.elapsed() >= most) {
            break;
        }
        let outcome = World::planned(Plan::drawn(seed, size)).finish();
        totals.add(&outcome.totals);
        run += 1;
        bar.inc(1);
        if !outcome.is_well() {
            broken.push(seed);
            bar.suspend(|| {
                let logged = World::planned(Plan::drawn(seed, size)).logged().finish();
                for line in logged.log.iter().rev().take(60).rev() {
                    println!("{line}");
                }
                report(&logged, size);
            });
            if !arguments.keep_going {
                break;
            }
        }
    }
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
fn report(outcome: &Outcome, size: Option<(u16, u16)>) {
    println!("seed {}: {} of {}; {}", outcome.seed, outcome.plan.need, outcome.plan.of, outcome.totals);
    for violation in &outcome.violations {
        println!("BROKEN {} at {} ms: {}", violation.law, violation.at_ms, violation.text);
    }
    if !outcome.is_well() {
        let size = size.map(|(need, of)| format!(" --threshold {need} --parties {of}")).unwrap_or_default();
        println!("replay: ./run sim --seed {}{size}", outcome.seed);
    }
}
