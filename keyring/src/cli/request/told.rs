//! What is shown: how it goes, on standard error; what came of it, on standard output, for people or for programs.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

use super::super::table;
use crate::clock::{Clock, SystemClock};
use crate::report::Report;

/// When it is first said what is waited for, and how often from then on.
const FIRST_MS: u64 = 3_000;
const STILL_MS: u64 = 15_000;

/// Facts in their order: one list for both forms, so that they are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts(Vec<(&'static str, Value)>);

impl Facts {
    /// One more.
    pub(super) fn add(&mut self, name: &'static str, fact: impl Into<Value>) {
        self.0.push((name, fact.into()));
    }

    /// One more, as its text: numbers of chains are larger than those of JSON.
    pub(super) fn show(&mut self, name: &'static str, fact: impl ToString) {
        self.add(name, fact.to_string());
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let told = |fact: &Value| match fact {
            Value::String(text) => text.clone(),
            Value::Bool(true) => "yes".to_owned(),
            Value::Bool(false) => "no".to_owned(),
            Value::Array(several) => {
                several.iter().map(|one| one.as_str().unwrap_or_default()).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        let names: Vec<_> = self.0.iter().map(|(name, _)| name.replace('_', " ")).collect();
        let lines: Vec<_> = names.iter().map(String::as_str).zip(self.0.iter().map(|(_, fact)| told(fact))).collect();
        table::lines(&lines)
    }

    /// For programs.
    ///
    /// # Errors
    /// Never, for facts of these kinds.
    pub(super) fn json(&self) -> Result<String, Report> {
        let object: Map<_, _> = self.0.iter().map(|(name, fact)| ((*name).to_owned(), fact.clone())).collect();
        Ok(serde_json::to_string_pretty(&object)? + "\n")
    }
}

/// Says on standard error how far it is.
pub(super) struct Progress {
    clock: SystemClock,
    last: Mutex<Last>,
}

struct Last {
    waits_for: String,
    say_at_ms: u64,
}

impl Progress {
    pub(super) fn new() -> Self {
        let last = Last { waits_for: String::new(), say_at_ms: FIRST_MS };
        Self { clock: SystemClock::new(), last: Mutex::new(last) }
    }

    /// Something has happened.
    pub(super) fn say(&self, text: &str) {
        // Where nobody listens, the result still counts.
        let _gone = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// Nothing has happened yet. Said now and then; the newest reason is kept for whoever gives up.
    pub(super) fn waits(&self, why: &str) {
        let now = self.clock.monotonic_ms();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.waits_for.clear();
        last.waits_for.push_str(why);
        if now >= last.say_at_ms {
            last.say_at_ms = now.saturating_add(STILL_MS);
            drop(last);
            self.say(&format!("waiting: {why}"));
        }
    }

    /// What was waited for last.
    pub(super) fn waited_for(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).waits_for.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_programs_are_told_the_same() {
        let mut facts = Facts::default();
        facts.add("index", 3);
        facts.show("raw_transaction", "0x01");
        facts.add("final", true);
        facts.add("parties", vec!["a", "b"]);
        assert_eq!(
            facts.text(),
            "index            3\nraw transaction  0x01\nfinal            yes\nparties          a, b\n"
        );
        let json: Value = serde_json::from_str(&facts.json().unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({ "index": 3, "raw_transaction": "0x01", "final": true, "parties": ["a", "b"] })
        );
    }

    #[test]
    fn the_newest_reason_is_kept() {
        let progress = Progress::new();
        progress.waits("one");
        progress.waits("two");
        assert_eq!(progress.waited_for(), "two");
    }
}
