//! The parties as processes: started, waited for, watched, ended.
//!
//! A process that was started is ended, whatever happens here: in order by [`Crew::stop`], in a hurry when the crew is
//! dropped on the way of an error or a panic. Each is the leader of its own process group, so that Ctrl-C reaches this
//! process alone and the parties are ended by a signal that lets them finish their writes.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use alloy_primitives::Address;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::Console;
use super::ground::Party;
use crate::admin::{self, proto::Reason, proto::StatusReply, proto::StatusRequest};

/// How often processes are looked at.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a party may take to finish its writes; its own bound is shorter.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// The same when there is no time for order.
const HURRY: Duration = Duration::from_secs(5);
/// Lines of a dead party's log that are shown.
const LAST_LINES: usize = 12;

/// A party's process.
struct Member {
    name: String,
    log: PathBuf,
    socket: PathBuf,
    child: Child,
}

/// See the module.
#[derive(Default)]
pub(super) struct Crew {
    members: Vec<Member>,
}

/// A party that is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrewError {
    /// It could not be started.
    #[error("{name} cannot be started")]
    Start {
        /// Which.
        name: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It ended by itself.
    #[error("{name} ended by itself ({status}); the end of its log {}:\n{last_lines}", log.display())]
    Died {
        /// Which.
        name: String,
        /// How.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The end of it.
        last_lines: String,
    },
    /// It does not get ready.
    #[error("{name} is not ready after {waited:?}: {reason}; see {}", log.display())]
    NotReady {
        /// Which.
        name: String,
        /// How long it was waited for.
        waited: Duration,
        /// What it says itself.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
}

impl Crew {
    /// Starts a party.
    ///
    /// # Errors
    /// [`CrewError::Start`].
    pub(super) fn start(&mut self, party: &Party, number: usize) -> Result<(), CrewError> {
        let failed = |source| CrewError::Start { name: party.name.clone(), source };
        // What it says before its own log begins, and when it panics, belongs there too.
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&party.log).map_err(failed)?;
        let child = Command::new(std::env::current_exe().map_err(failed)?)
            .arg("run")
            .arg("--config")
            .arg(&party.config)
            .arg("--prepared-primes")
            .arg(number.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (name, log, socket) = (party.name.clone(), party.log.clone(), party.socket.clone());
        self.members.push(Member { name, log, socket, child });
        Ok(())
    }

    /// Waits until every party says that it contributes; shows what they wait for.
    ///
    /// # Errors
    /// [`CrewError::Died`], [`CrewError::NotReady`].
    pub(super) async fn wait_until_ready(
        &mut self,
        patience: Duration,
        board: &Console,
    ) -> Result<(), super::DevnetError> {
        let begun = Instant::now();
        for member in &mut self.members {
            let mut said = BTreeSet::new();
            loop {
                member.look()?;
                let waits_for = member.waits_for().await;
                if waits_for.is_empty() {
                    break;
                }
                if begun.elapsed() > patience {
                    let (name, log) = (member.name.clone(), member.log.clone());
                    let reason = waits_for.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                    return Err(CrewError::NotReady { name, waited: begun.elapsed(), reason, log }.into());
                }
                for reason in waits_for {
                    // Once each: texts count seconds. What to do about it stands behind what is wrong, and nobody must.
                    let wrong = reason.text.split("; ").next().unwrap_or_default();
                    if said.insert(reason.name.clone()) {
                        board.note(&format!("{:<10} waits: {wrong}", member.name))?;
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
            board.note(&format!("{:<10} ready after {} ms", member.name, begun.elapsed().as_millis()))?;
        }
        Ok(())
    }

    /// The address of a contract's controller key, as all parties know it.
    ///
    /// # Errors
    /// [`super::DevnetError::Unsaid`].
    pub(super) async fn controller(&mut self, proxy: &str, patience: Duration) -> Result<Address, super::DevnetError> {
        let begun = Instant::now();
        let mut told: Vec<Address> = Vec::new();
        for member in &mut self.members {
            loop {
                member.look()?;
                let contracts = member.status().await.map(|status| status.contracts).unwrap_or_default();
                let named = contracts.into_iter().find(|contract| contract.proxy == proxy);
                if let Some(address) = named.and_then(|contract| contract.controller.parse().ok()) {
                    told.push(address);
                    break;
                }
                if begun.elapsed() > patience {
                    let what = "which controller key a contract has";
                    return Err(super::DevnetError::Unsaid { party: member.name.clone(), what });
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        match told.as_slice() {
            [first, rest @ ..] if rest.iter().all(|other| other == first) => Ok(*first),
            _ => Err(super::DevnetError::Unsaid { party: "every party".to_owned(), what: "the same controller key" }),
        }
    }

    /// Resolves when a party ends by itself.
    pub(super) async fn one_died(&mut self) -> CrewError {
        loop {
            if let Some(died) = self.members.iter_mut().find_map(|member| member.look().err()) {
                return died;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Ends all in order: a signal to each, time to finish, and force for who does not.
    pub(super) async fn stop(&mut self) {
        for member in &mut self.members {
            member.terminate();
        }
        let end = Instant::now() + STOP_PATIENCE;
        for mut member in std::mem::take(&mut self.members) {
            if tokio::time::timeout_at(end, member.child.wait()).await.is_err() {
                tracing::warn!(party = member.name, "does not end in time and is killed");
                // An error means that it is gone already.
                let _gone = member.child.kill().await;
            }
        }
    }
}

/// The way of errors and panics: no time for order, but still a signal first, so that stores close well.
impl Drop for Crew {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.terminate();
        }
        let mut left = HURRY;
        while left > Duration::ZERO && self.members.iter_mut().any(Member::is_alive) {
            std::thread::sleep(PAUSE);
            left = left.saturating_sub(PAUSE);
        }
        // What still lives is killed when its handle is dropped.
    }
}

impl Member {
    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn terminate(&mut self) {
        // No id: it has ended and was waited for.
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _gone = kill_process(pid, Signal::TERM);
        }
    }

    /// Nothing while it lives.
    fn look(&mut self) -> Result<(), CrewError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.died(&status.to_string())),
            Err(error) => Err(self.died(&error.to_string())),
        }
    }

    fn died(&self, status: &str) -> CrewError {
        CrewError::Died {
            name: self.name.clone(),
            status: status.to_owned(),
            log: self.log.clone(),
            last_lines: last_lines(&self.log),
        }
    }

    /// What it says of itself; `None` while it does not answer.
    async fn status(&self) -> Option<StatusReply> {
        let mut admin = admin::connect(&self.socket).await.ok()?;
        admin.status(StatusRequest {}).await.ok().map(tonic::Response::into_inner)
    }

    /// What keeps it from contributing; nothing when it does.
    async fn waits_for(&self) -> Vec<Reason> {
        let silent = |text: &str| vec![Reason { name: "silent".to_owned(), text: text.to_owned() }];
        let Ok(mut admin) = admin::connect(&self.socket).await else {
            return silent("its start");
        };
        match admin.status(StatusRequest {}).await.map(tonic::Response::into_inner) {
            Ok(status) if status.ready => Vec::new(),
            Ok(status) if status.not_ready.is_empty() => silent("for what it does not say"),
            Ok(status) => status.not_ready,
            Err(error) => silent(error.message()),
        }
    }
}

/// The end of a log, as far as it can be read.
fn last_lines(path: &Path) -> String {
    let Ok(file) = std::fs::File::open(path) else { return String::new() };
    let mut lines = std::collections::VecDeque::with_capacity(LAST_LINES);
    for line in BufReader::new(file).lines().map_while(Result::ok) {
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
    Vec::from(lines).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(script: &str) -> Member {
        let child = Command::new("sh").arg("-c").arg(script).kill_on_drop(true).spawn().unwrap();
        Member { name: "party-1".to_owned(), log: PathBuf::new(), socket: PathBuf::new(), child }
    }

    #[tokio::test]
    async fn a_stop_asks_first_and_waits() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("ended-well");
        let script =
            format!("trap 'touch {}; exit 0' TERM; touch {0}.up; while :; do sleep 0.05; done", mark.display());
        let mut crew = Crew { members: vec![member(&script)] };
        while !folder.path().join("ended-well.up").exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        crew.stop().await;
        assert!(mark.exists(), "it was given time to end");
        assert!(crew.members.is_empty());
    }

    #[tokio::test]
    async fn a_party_that_ends_by_itself_is_noticed() {
        let mut crew = Crew { members: vec![member("sleep 60"), member("exit 3")] };
        let died = tokio::time::timeout(Duration::from_secs(10), crew.one_died()).await.unwrap();
        assert!(died.to_string().contains("exit status: 3"), "{died}");
        crew.stop().await;
    }

    #[tokio::test]
    async fn a_dropped_crew_leaves_nobody_behind() {
        let crew = Crew { members: vec![member("sleep 60")] };
        let pid = crew.members[0].child.id().unwrap();
        drop(crew);
        let ended = async {
            while Path::new(&format!("/proc/{pid}/stat")).exists() && !is_zombie(pid) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap();
    }

    fn is_zombie(pid: u32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    }
}
