//! A lost disk: a party is made anew from its backup, by the commands that an operator uses, on real processes. It does
//! nothing before its peers' operators have consented; then it signs, with old keys too, and makes new ones.

#![cfg(feature = "devnet")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(dead_code, reason = "the support serves several targets")]

#[path = "support/crew.rs"]
mod crew;
#[path = "support/customer.rs"]
mod customer;
#[path = "support/ground.rs"]
mod ground;
#[path = "support/operator.rs"]
mod operator;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crew::Crew;
use customer::Customer;
use ground::Terms;
use keyring::admin::proto::StatusReply;
use operator::{fails, keyringd, says, succeeds, wait};

const LOST: usize = 2;

/// A backup of the running node, which nobody else can read and which takes no other's place.
fn back_up(crew: &Crew) -> PathBuf {
    let file = crew.party_folder(LOST).with_extension("backup");
    let path = file.to_str().unwrap();
    assert!(succeeds(&keyringd(crew, LOST, &["backup", path])).contains("a backup of the running node"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fails(&keyringd(crew, LOST, &["backup", path]), 1, "a backup never takes the place of another");
    file
}

/// The disk is lost; a store is made from the backup. Returns the name of the restore.
async fn lose_and_restore(crew: &mut Crew, file: &Path) -> String {
    let path = file.to_str().unwrap().to_owned();
    crew.kill_party(LOST).await;
    fails(&keyringd(crew, LOST, &["restore", &path]), 64, "holds a store already");
    std::fs::remove_dir_all(crew.party_folder(LOST).join("data")).unwrap();
    let told = succeeds(&keyringd(crew, LOST, &["restore", &path]));
    assert!(told.contains("as incarnation 1"), "{told}");
    told.split("name of this restore: ").nth(1).and_then(|rest| rest.lines().next()).expect("its name").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_party_whose_disk_is_lost_comes_back_from_its_backup_with_its_peers_consent() {
    let mut crew = Crew::start(Terms::of(2, 3)).await;
    crew.until_stocked().await;
    let customer = Customer::of(&crew).await;
    let early = customer.ask_keys(&["ecdsa", "ed25519"]).await;
    customer.all_fulfilled(&early).await;
    let file = back_up(&crew);
    // What the backup does not know: a key of the shelf that was given away since.
    let late = customer.ask_keys(&["ecdsa"]).await;
    customer.all_fulfilled(&late).await;
    crew.until_settled().await;

    let restore = lose_and_restore(&mut crew, &file).await;
    crew.start_party(LOST, &[]);
    wait("it says that it needs consents", async || {
        crew.status(LOST).await.is_some_and(|status| !status.ready && says(&status, "restored"))
    })
    .await;
    wait("its peers say that it asks", async || {
        let name = crew.status(LOST).await.map(|status| status.name).unwrap_or_default();
        let asks = |status: StatusReply| {
            says(&status, "peer_restored")
                && status.peers.iter().any(|peer| peer.name == name && peer.asks_to_come_back == restore)
        };
        crew.status(0).await.is_some_and(asks) && crew.status(1).await.is_some_and(asks)
    })
    .await;
    let name = crew.status(LOST).await.unwrap().name;
    fails(&keyringd(&crew, 0, &["peers", "consent", &name, "8000-0000-0000-0001"]), 1, "by a restore of this name");
    fails(&keyringd(&crew, 0, &["peers", "consent", &name, "yes"]), 1, "four groups");
    succeeds(&keyringd(&crew, 0, &["peers", "consent", &name, &restore]));
    tokio::time::sleep(Duration::from_secs(12)).await;
    let status = crew.status(LOST).await.unwrap();
    assert!(!status.ready && says(&status, "restored"), "one of two peers is no more than half");
    succeeds(&keyringd(&crew, 1, &["peers", "consent", &name, &restore]));

    crew.until("everybody contributes again", |status| status.ready).await;
    let own_lane = |status: &StatusReply| {
        let own = status.shelf.iter().filter(|lane| lane.party == LOST as u32 && lane.free > 0);
        own.count() == 2
    };
    wait("its lane has new keys", async || crew.status(LOST).await.as_ref().is_some_and(own_lane)).await;
    let keys = succeeds(&keyringd(&crew, LOST, &["keys"]));
    assert!(keys.contains("forgotten") && keys.contains("bound"), "{keys}");

    // Without the first party, nothing goes without the restored one.
    assert!(crew.stop_party(0).await.success());
    let mut asked = customer.ask_signatures(early[0], &[vec![1; 32]]).await;
    asked.extend(customer.ask_signatures(early[1], &[vec![2; 32]]).await);
    asked.extend(customer.ask_signatures(late[0], &[vec![3; 32]]).await);
    asked.extend(customer.ask_keys(&["ecdsa", "ed25519"]).await);
    customer.all_fulfilled(&asked).await;

    // Started again it is that party, without another word of anybody.
    assert!(crew.stop_party(LOST).await.success());
    crew.start_party(0, &[]);
    crew.start_party(LOST, &[]);
    crew.until("everybody contributes after a start", |status| status.ready).await;
    assert!(crew.log_text(LOST).contains("back from a backup"), "it says what it keeps out of");
    crew.stop().await;
}
