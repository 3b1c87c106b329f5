//! Progress for people and programs: bars on a terminal, a line per change elsewhere, JSON lines on request.

use crate::ceremony::progress::{Progress, Stage};
use crate::cli::say;
use crate::report::Report;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;

/// How often a stage that does not move is told anyway.
const TELL_EVERY_MS: u64 = 15_000;

/// Where it goes.
pub(super) enum Show {
    Bars { all: MultiProgress, bars: BTreeMap<&'static str, ProgressBar> },
    Lines(Lines),
    Json { last: Option<Progress> },
}

/// What was told last.
#[derive(Default)]
pub(super) struct Lines {
    done: BTreeMap<&'static str, u64>,
    strangers: Vec<String>,
    told_ms: u64,
}

impl Show {
    pub(super) fn new(json: bool) -> Self {
        if json {
            Self::Json { last: None }
        } else if std::io::stdout().is_terminal() {
            Self::Bars { all: MultiProgress::with_draw_target(ProgressDrawTarget::stdout()), bars: BTreeMap::new() }
        } else {
            Self::Lines(Lines::default())
        }
    }

    pub(super) fn show(&mut self, progress: &Progress, now_ms: u64) -> Result<(), Report> {
        match self {
            Self::Json { last } => {
                if last.as_ref() != Some(progress) {
                    say(&(serde_json::to_string(progress)? + "\n"))?;
                    *last = Some(progress.clone());
                }
                Ok(())
            }
            Self::Lines(lines) => say(&lines.news(progress, now_ms)),
            Self::Bars { all, bars } => {
                for stage in &progress.stages {
                    let bar = match bars.get(stage.name) {
                        Some(bar) => bar,
                        None => bars.entry(stage.name).or_insert(all.add(bar(stage)?)),
                    };
                    bar.set_position(stage.done);
                    bar.set_message(stage.note.clone());
                }
                for stranger in &progress.strangers {
                    let bar = bars.entry("strangers").or_insert_with(|| all.add(ProgressBar::new_spinner()));
                    bar.set_message(format!("ANOTHER ROSTER: {stranger}"));
                    bar.tick();
                }
                Ok(())
            }
        }
    }

    pub(super) fn end(&self) {
        if let Self::Bars { bars, .. } = self {
            bars.values().for_each(ProgressBar::abandon);
        }
    }
}

fn bar(stage: &Stage) -> Result<ProgressBar, Report> {
    let style = ProgressStyle::with_template("{prefix:15} [{bar:20}] {pos}/{len}  {wide_msg}")?;
    let bar = ProgressBar::new(stage.wanted).with_style(style.progress_chars("=> "));
    bar.set_prefix(stage.name);
    Ok(bar)
}

impl Lines {
    /// What moved since the last time; now and then also what did not.
    fn news(&mut self, progress: &Progress, now_ms: u64) -> String {
        let mut text = String::new();
        for Stage { name, done, wanted, note } in &progress.stages {
            if self.done.insert(name, *done) != Some(*done) {
                text += &line(now_ms, name, *done, *wanted, note);
            }
        }
        if self.strangers != progress.strangers {
            self.strangers.clone_from(&progress.strangers);
            text.extend(progress.strangers.iter().map(|stranger| format!("ANOTHER ROSTER: {stranger}\n")));
        }
        let waits = progress.stages.iter().find(|stage| stage.done < stage.wanted);
        if let (true, Some(Stage { name, done, wanted, note })) =
            (text.is_empty() && now_ms.saturating_sub(self.told_ms) > TELL_EVERY_MS, waits)
        {
            text += &line(now_ms, name, *done, *wanted, note);
        }
        if !text.is_empty() {
            self.told_ms = now_ms;
        }
        text
    }
}

fn line(now_ms: u64, name: &str, done: u64, wanted: u64, note: &str) -> String {
    format!("{:>5} s  {name:<15} {done} of {wanted}  {note}\n", now_ms / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(done: u64, strangers: &[&str]) -> Progress {
        let stage = |name, done| Stage { name, done, wanted: 4, note: "so far".to_owned() };
        Progress {
            stages: vec![stage("links", 4), stage("safe primes", done)],
            strangers: strangers.iter().map(|name| (*name).to_owned()).collect(),
            own_done: false,
            all_done: false,
        }
    }

    #[test]
    fn a_log_gets_a_line_when_something_moves_and_now_and_then_when_nothing_does() {
        let mut lines = Lines::default();
        assert_eq!(lines.news(&progress(0, &[]), 0).lines().count(), 2);
        assert_eq!(lines.news(&progress(0, &[]), 500), "");
        assert_eq!(lines.news(&progress(1, &[]), 1_000), "    1 s  safe primes     1 of 4  so far\n");
        assert_eq!(lines.news(&progress(1, &[]), 1_000 + TELL_EVERY_MS), "");
        assert_eq!(lines.news(&progress(1, &[]), 1_001 + TELL_EVERY_MS), "   16 s  safe primes     1 of 4  so far\n");
    }

    #[test]
    fn another_roster_is_told_once() {
        let mut lines = Lines::default();
        assert!(lines.news(&progress(0, &["beta: holds another"]), 0).contains("ANOTHER ROSTER: beta"));
        assert_eq!(lines.news(&progress(0, &["beta: holds another"]), 500), "");
    }
}
