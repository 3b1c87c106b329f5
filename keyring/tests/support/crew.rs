//! Daemons as real processes on a [`Ground`]: started, killed without warning, stopped in order, asked how they are.
//! Nobody outlives the test: each is killed when its handle is dropped, and with prepared
//! primes also by the system when this process is gone.

use std::fs::OpenOptions;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use keyring::admin::proto::{Peer, Request, StatusReply, StatusRequest, WhyRequest};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::ground::{Ground, Terms};

/// Longest wait for processes to be ready, or to end. A key generation that lost a frame is given up after minutes only.
const PATIENCE: Duration = Duration::from_secs(300);

/// The program: the one that was built with this test, or the one that the environment names.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("KEYRINGD").map_or_else(|| env!("CARGO_BIN_EXE_keyringd").into(), PathBuf::from)
}

pub(crate) struct Crew {
    ground: Ground,
    members: Vec<Option<Child>>,
}

impl Deref for Crew {
    type Target = Ground;

    fn deref(&self) -> &Ground {
        &self.ground
    }
}

impl Crew {
    /// Lays the ground and starts everybody.
    pub(crate) async fn start(terms: Terms) -> Self {
        let mut crew = Self::on(Ground::lay(terms).await);
        for party in 0..usize::from(terms.of) {
            crew.start_party(party, &[]);
        }
        crew
    }

    /// Nobody runs yet.
    pub(crate) fn on(ground: Ground) -> Self {
        let members = (0..ground.terms.of).map(|_| None).collect();
        Self { ground, members }
    }

    pub(crate) fn log(&self, party: usize) -> PathBuf {
        self.party_folder(party).join("keyringd.log")
    }

    pub(crate) fn log_text(&self, party: usize) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log(party)).unwrap_or_default()).into_owned()
    }

    pub(crate) fn pid(&self, party: usize) -> Option<u32> {
        self.members[party].as_ref().and_then(Child::id)
    }

    /// The processes that live.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.members.len()).filter_map(|party| self.pid(party))
    }

    pub(crate) fn start_party(&mut self, party: usize, arguments: &[&str]) {
        let number = party.to_string();
        self.spawn(party, &[&["--prepared-primes", &number], arguments].concat());
    }

    /// Without prepared primes: it searches for its own.
    pub(crate) fn start_searching_party(&mut self, party: usize) {
        self.spawn(party, &[]);
    }

    fn spawn(&mut self, party: usize, arguments: &[&str]) {
        let log = OpenOptions::new().create(true).append(true).open(self.log(party)).unwrap();
        let child = Command::new(program())
            .arg("run")
            .arg("--config")
            .arg(self.party_folder(party).join("keyringd.toml"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.members[party] = Some(child);
    }

    /// `kill -9`, and its end.
    pub(crate) async fn kill_party(&mut self, party: usize) {
        let mut child = self.members[party].take().expect("it runs");
        child.kill().await.unwrap();
    }

    /// SIGTERM, and how it ends.
    pub(crate) async fn stop_party(&mut self, party: usize) -> ExitStatus {
        let child = self.members[party].as_ref().expect("it runs");
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _gone = kill_process(pid, Signal::TERM);
        }
        self.ended(party).await
    }

    /// Waits until a party has ended, by itself or not.
    pub(crate) async fn ended(&mut self, party: usize) -> ExitStatus {
        let mut child = self.members[party].take().expect("it runs");
        tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap()
    }

    pub(crate) async fn stop(mut self) {
        for party in 0..self.members.len() {
            if self.members[party].is_some() {
                let status = self.stop_party(party).await;
                assert!(status.success(), "party {party} ends with {status}:\n{}", self.last_words(party));
            }
        }
        self.ground.devnet.stop().await;
    }

    /// The end of a party's log.
    pub(crate) fn last_words(&self, party: usize) -> String {
        let text = self.log_text(party);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// What a party says of itself; `None` while it does not answer.
    pub(crate) async fn status(&self, party: usize) -> Option<StatusReply> {
        let socket = self.party_folder(party).join("data").join("admin.sock");
        let mut admin = keyring::admin::connect(&socket).await.ok()?;
        admin.status(StatusRequest {}).await.ok().map(tonic::Response::into_inner)
    }

    /// What a party knows of a request.
    pub(crate) async fn why(&self, party: usize, name: &str) -> Option<Request> {
        let socket = self.party_folder(party).join("data").join("admin.sock");
        let mut admin = keyring::admin::connect(&socket).await.ok()?;
        admin.why(WhyRequest { name: name.to_owned() }).await.ok()?.into_inner().request
    }

    /// What a party answers a monitor over HTTP, head and body; `None` while it does not answer.
    pub(crate) fn get(&self, party: usize, path: &str) -> Option<String> {
        use std::io::{Read as _, Write as _};
        let config = std::fs::read_to_string(self.party_folder(party).join("keyringd.toml")).unwrap();
        let address = config.split("[monitoring]\nlisten = \"").nth(1).unwrap().split('"').next().unwrap();
        let mut stream = std::net::TcpStream::connect(address).ok()?;
        let question = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(question.as_bytes()).ok()?;
        let mut told = Vec::new();
        stream.read_to_end(&mut told).ok()?;
        Some(String::from_utf8_lossy(&told).into_owned())
    }

    /// Everything that a party tells a monitor.
    pub(crate) fn metrics(&self, party: usize) -> String {
        self.get(party, "/metrics").expect("it answers")
    }

    /// Seconds of computing that a party has used since it began.
    pub(crate) fn cpu_seconds(&self, party: usize) -> f64 {
        let pid = self.pid(party).expect("it runs");
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // Behind the name, which may hold blanks: user and system time are fields 14 and 15, in hundredths.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        ticks as f64 / 100.0
    }

    /// Waits until every running party satisfies a condition; fails with what the last one said.
    pub(crate) async fn until(&mut self, what: &str, is: impl Fn(&StatusReply) -> bool) {
        let end = tokio::time::Instant::now() + PATIENCE;
        for party in 0..self.members.len() {
            while let Some(child) = self.members[party].as_mut() {
                if let Some(ended) = child.try_wait().unwrap() {
                    panic!("party {party} ended by itself ({ended}), waiting for {what}:\n{}", self.last_words(party));
                }
                let status = self.status(party).await;
                if status.as_ref().is_some_and(&is) {
                    break;
                }
                if tokio::time::Instant::now() >= end {
                    panic!("never: {what}; party {party} says {status:#?}\n{}", self.last_words(party));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Waits until everybody who runs contributes and every lane of the shelf is full.
    pub(crate) async fn until_stocked(&mut self) {
        let stock = self.terms.stock();
        self.until("ready and stocked", |status| status.ready && free_keys(status) >= stock).await;
    }

    /// Waits until nobody has anything left to do: no open request, no transaction in flight, no account sequence that
    /// waits or is halted.
    pub(crate) async fn until_settled(&mut self) {
        self.until("settled", |status| {
            let rests = |chain: &keyring::admin::proto::Chain| {
                chain.outbox_in_flight == 0 && chain.outbox_waiting == 0 && chain.halted.is_empty()
            };
            status.requests_open == 0 && status.chains.iter().all(rests)
        })
        .await;
    }
}

fn free_keys(status: &StatusReply) -> usize {
    status.shelf.iter().map(|lane| lane.free as usize).sum()
}

/// Whether every link of a party stands.
pub(crate) fn all_up(status: &StatusReply) -> bool {
    status.peers.iter().all(|peer: &Peer| peer.up)
}
