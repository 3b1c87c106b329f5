//! A copied disk beside its original: real daemons, real stores, real links. The two never both act, the cluster goes on,
//! and everybody says so.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(dead_code, reason = "the support serves several targets")]

#[path = "support/customer.rs"]
mod customer;
#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/ground.rs"]
mod ground;
#[path = "support/log.rs"]
mod log;

use std::path::Path;
use std::time::Duration;

use customer::Customer;
use fleet::Fleet;
use keyring::app::{App, Running};
use keyring::config::{Config, ProcessEnvironment};
use keyring::lease::{Refusal, Restraint};
use keyring::node::Node;

const COPIED: usize = 0;

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else if entry.file_name() != "admin.sock" {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
}

/// The daemon of a copied folder, on ports of its own.
async fn start_copy(folder: &Path) -> Running {
    let path = folder.join("keyringd.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<String> = text
        .lines()
        .map(|line| match line {
            line if line.starts_with("listen = [") => "listen = [\"/ip4/127.0.0.1/tcp/0\"]".to_owned(),
            line if line.starts_with("listen = ") => "listen = \"127.0.0.1:0\"".to_owned(),
            line => line.to_owned(),
        })
        .collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let config = Config::load(&path).unwrap();
    let primes = mpc_core::primes::prepared(COPIED).unwrap();
    let app = App::build(config, &ProcessEnvironment, Some(primes)).await.unwrap();
    app.spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_disk_beside_its_original_never_acts_while_the_original_does() {
    let kept = log::keep();
    let mut fleet = Fleet::start(2, 3, Duration::from_millis(500), 240, true).await;
    fleet.until("shelf", |node| node.has_auxiliary() && node.free_keys().count() >= 12).await;
    let customer = Customer::of(&fleet).await;
    let keys = customer.ask_keys(&["ecdsa"]).await;
    customer.all_fulfilled(&keys).await;

    // A cold copy: the disk as it was between two runs.
    fleet.stop_party(COPIED).await;
    let folder = fleet.folder.path().join("copy");
    copy_folder(&fleet.party_folder(COPIED), &folder);
    fleet.start_party(COPIED).await;
    fleet.until("leases", Node::may_act).await;
    let copy = start_copy(&folder).await;

    let mut asked = Vec::new();
    let mut original_acted = 0;
    for moment in 0..120_u8 {
        let original = fleet.look(COPIED, Node::may_act).await;
        let copied = copy.inbox().look(|node, _| node.may_act()).await.unwrap();
        assert!(!(original && copied), "both act");
        assert!(!copied, "the copy acts beside its original");
        original_acted += u32::from(original);
        if moment % 40 == 20 {
            asked.extend(customer.ask_signatures(keys[0], &[vec![moment + 1; 32]]).await);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    customer.all_fulfilled(&asked).await;
    assert!(original_acted > 0, "the original never acted");
    let restraints = copy.inbox().look(|node, _| node.restraints()).await.unwrap();
    assert!(!restraints.is_empty(), "the copy says why it does not act");
    // It need not have been refused yet: peers that keep the original's connection in use leave the copy's in reserve and
    // do not hear it. They see it all the same, and tell the original (docs/leases.md).
    let words = kept.words();
    assert!(words.contains("two processes answer as party 0") || words.contains("a process of party 0 is refused"));
    assert!(words.contains("a copy of this disk has been started"), "the original alarms");
    // Its original gone, the copy is heard at last, and refused by name: it is no later life.
    fleet.stop_party(COPIED).await;
    let refused = async {
        loop {
            let restraints = copy.inbox().look(|node, _| node.restraints()).await.unwrap();
            let is_copied = |why: &Restraint| matches!(why, Restraint::Refused { reason: Refusal::Copied, .. });
            if restraints.iter().any(is_copied) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), refused).await.expect("the copy of a life that ended is refused");
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert!(!copy.inbox().look(|node, _| node.may_act()).await.unwrap(), "the copy of a life that ended acts");
    let words = kept.words();
    assert!(words.contains("does not know this process as its party"), "the copy alarms");
    assert!(words.contains("a process of party 0 is refused"), "its peers alarm");
    copy.drain(Duration::from_secs(5)).await.unwrap();
    fleet.stop().await;
}
