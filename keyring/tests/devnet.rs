//! The main job as a newcomer sees it: the built program, real processes, one command.

#![cfg(feature = "devnet")]
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// What a newcomer is promised.
const PATIENCE: Duration = Duration::from_secs(120);
/// What is asked for with `--evm`, by chain.
const REQUESTS: [(&str, usize); 3] = [("eip155:31337", 6), ("eip155:31338", 2), ("zenrock", 11)];

/// The promises are about time, and each network needs all cores: one at a time.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn devnet(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_keyringd"))
        .args(["devnet", "--json", "--data"])
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Everything that is said until the end, or until a note holds one of `until`.
async fn hear(child: &mut Child, until: &[&str]) -> Vec<Value> {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let mut heard = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        heard.push(serde_json::from_str::<Value>(&line).unwrap());
        let note = heard.last().and_then(|line| line["text"].as_str()).unwrap_or_default();
        if until.iter().any(|words| note.contains(words)) {
            break;
        }
    }
    heard
}

/// What `check` finds beside a running party.
async fn checked(folder: &Path, number: usize) -> Vec<Value> {
    let config = folder.join(format!("party-{number}")).join("keyringd.toml");
    let told = Command::new(env!("CARGO_BIN_EXE_keyringd"))
        .args(["check", "--json", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    told["findings"].as_array().unwrap().clone()
}

/// Whether a party answers on its socket.
fn answers(folder: &Path, number: usize) -> bool {
    let party = folder.join(format!("party-{number}"));
    assert!(party.join("keyringd.log").exists(), "it was started");
    UnixStream::connect(party.join("data").join("admin.sock")).is_ok()
}

#[tokio::test]
async fn three_processes_serve_a_user_within_two_minutes() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let mut child = devnet(folder.path(), &["--once"]);
    let (heard, status) =
        tokio::time::timeout(PATIENCE, async { (hear(&mut child, &[]).await, child.wait().await.unwrap()) })
            .await
            .expect("within two minutes");
    let summary = heard.last().unwrap();
    assert_eq!(summary["event"], "summary", "{heard:#?}");
    assert_eq!(summary["success"], true, "{summary:#}");
    assert_eq!((&summary["requests"], &summary["verified"]), (&11.into(), &11.into()));
    assert!(status.success());
    assert!((1..=3).all(|number| !answers(folder.path(), number)), "nobody is left behind");
}

/// Requests that were verified, by the chain that carries them.
fn verified(heard: &[Value]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for line in heard.iter().filter(|line| line["event"] == "request" && line["state"] == "verified") {
        *counts.entry(line["chain"].as_str().unwrap()).or_default() += 1;
    }
    counts
}

/// Two real EVM nodes, contracts behind proxies, keys and signatures for consumer contracts, and the zrChain's user beside
/// them. All share the cores, so that a busy machine makes it slow.
#[tokio::test]
async fn three_processes_serve_a_contract_on_an_evm_chain() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let mut child = devnet(folder.path(), &["--evm", "--once"]);
    let served = async {
        // The rest is said later: what a reader had taken in beyond the note would be lost with it.
        let ready = hear(&mut child, &["consumer"]).await;
        assert!(ready.last().is_some_and(|line| line["event"] == "note"), "it ended before: {ready:#?}");
        let checked = checked(folder.path(), 1).await;
        (ready, checked, hear(&mut child, &[]).await, child.wait().await.unwrap())
    };
    let (ready, checked, heard, status) =
        tokio::time::timeout(5 * PATIENCE, served).await.expect("within ten minutes, which only a busy machine takes");
    for chain in ["eip155:31337", "eip155:31338"] {
        let of_chain = |what: &str| checked.iter().find(|finding| finding["subject"] == format!("{chain} {what}"));
        // Roles may have been granted too lately to be final.
        let controller = of_chain("controller").unwrap();
        assert!(controller["found"].as_str().unwrap().contains("the MPC role of"), "the node tells it: {controller}");
        let elsewhere = of_chain("role elsewhere").unwrap();
        assert_eq!(elsewhere["verdict"], "ok", "{elsewhere}");
    }
    let of_contracts = |finding: &&Value| finding["subject"].as_str().unwrap().starts_with("eip155:");
    let mut failed = checked.iter().filter(of_contracts).filter(|finding| finding["verdict"] == "fail");
    assert!(failed.next().is_none(), "{checked:#?}");
    let summary = heard.last().unwrap();
    assert_eq!(summary["event"], "summary", "{heard:#?}");
    assert_eq!(summary["success"], true, "{heard:#?}");
    let all: usize = REQUESTS.iter().map(|(_, requests)| requests).sum();
    assert_eq!((&summary["requests"], &summary["verified"]), (&all.into(), &all.into()));
    assert_eq!(verified(&heard), BTreeMap::from(REQUESTS));
    let controllers: BTreeSet<_> = ready
        .iter()
        .filter_map(|line| line["text"].as_str()?.strip_prefix("controller key")?.split(" for ").next())
        .collect();
    assert_eq!(controllers.len(), 2, "each contract has a controller key of its own");
    assert!(status.success());
    assert!((1..=3).all(|number| !answers(folder.path(), number)), "nobody is left behind");
}

#[tokio::test]
async fn whatever_ends_the_launcher_ends_the_parties() {
    let _alone = ONE_AT_A_TIME.lock().await;
    for signal in [Signal::TERM, Signal::KILL] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = devnet(folder.path(), &["--parties", "2"]);
        // Whoever names a reason has its socket open; the other was started with it.
        let running = hear(&mut child, &["auxiliary data", "ready"]);
        tokio::time::timeout(PATIENCE, running).await.expect("parties run");
        let pid = i32::try_from(child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
        assert!(!status.success(), "there was no verdict");
        let gone = async {
            // A killed launcher waits for nobody; the parties have their drain time.
            while (1..=2).any(|number| answers(folder.path(), number)) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.expect("nobody is left behind");
    }
}
