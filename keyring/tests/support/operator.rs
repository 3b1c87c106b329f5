//! What an operator does and sees: commands of the real program, and what a party says of itself and has on record.

use std::process::{Command, Output};
use std::time::Duration;

use keyring::admin::proto::StatusReply;
use keyring::store::{RocksStore, Table};
use tokio::time::Instant;

use super::crew::{Crew, program};
use super::ground::{randomness, unlock};

/// Longest wait for what needs neither keys nor signatures.
const PATIENCE: Duration = Duration::from_secs(120);
/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(200);

/// One command of a party's operator.
pub(crate) fn keyringd(crew: &Crew, party: usize, arguments: &[&str]) -> Output {
    let config = crew.party_folder(party).join("keyringd.toml");
    Command::new(program()).args(arguments).arg("--config").arg(config).output().unwrap()
}

pub(crate) fn succeeds(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn fails(output: &Output, code: i32, words: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(errors.contains(words), "{errors}");
}

/// Whether a reason of that name is among those that a party gives.
pub(crate) fn says(status: &StatusReply, name: &str) -> bool {
    status.not_ready.iter().chain(&status.degraded).any(|reason| reason.name == name)
}

pub(crate) async fn wait(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is().await {
            tokio::time::sleep(PAUSE).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
}

/// Waits until a party's `/readyz` answers with this code and with all of these words; returns its answer.
pub(crate) async fn readyz(crew: &Crew, party: usize, code: u16, words: &[&str]) -> String {
    readyz_within(PATIENCE, crew, party, code, words).await
}

/// The same, with a bound that is tested.
pub(crate) async fn readyz_within(longest: Duration, crew: &Crew, party: usize, code: u16, words: &[&str]) -> String {
    let status = format!("HTTP/1.1 {code} ");
    let end = Instant::now() + longest;
    loop {
        let said = crew.get(party, "/readyz").unwrap_or_default();
        if said.starts_with(&status) && words.iter().all(|word| said.contains(word)) {
            return said;
        }
        if Instant::now() >= end {
            panic!("never: {code} with {words:?}; party {party} answers:\n{said}\n{}", crew.last_words(party));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the operator of a party that does not run has decided about its peers, by its store: oldest first.
pub(crate) fn on_record(crew: &Crew, party: usize) -> Vec<String> {
    let folder = crew.party_folder(party).join("data");
    let read = RocksStore::inspect(&folder, &unlock(party), randomness(0), |store| {
        store.scan(Table::Audit, b"operator/", None, 100).unwrap()
    });
    let (_, records) = read.unwrap();
    records.iter().map(|(_, what)| String::from_utf8_lossy(what).into_owned()).collect()
}
