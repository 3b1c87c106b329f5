//! Faults while it runs: disks that fill up, fail or are slow, a clock that is wrong. Whoever cannot write says nothing
//! that it does not hold and ends; started again it goes on, and nothing is lost.

use std::process::Command;
use std::time::Duration;

use chain_client::Status;

use crate::crew::{Crew, all_up, program};
use crate::customer::Customer;
use crate::ground::{Terms, party_folder};
use crate::secrecy;

/// The exit code of a broken invariant or store.
const BROKEN: i32 = 70;

const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// What the operator's table says about a fault while it runs.
fn told(fault: &str) -> String {
    let section = OPERATIONS.split("### Faults while it runs").nth(1).expect("the section is there");
    let row = section.lines().find(|line| line.starts_with(&format!("| {fault} |")));
    row.unwrap_or_else(|| panic!("no row for {fault:?}")).split('`').nth(1).expect("words").to_owned()
}

/// Of two parties both must sign: with one down nothing is answered, and all that was begun must come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_or_fails_ends_the_node_and_with_space_again_nothing_is_lost() {
    let terms = Terms { block: Duration::from_secs(1), lifetime_blocks: 180, ..Terms::of(2, 2) };
    let mut crew = Crew::start(terms).await;
    crew.until_stocked().await;
    let customer = Customer::of(&crew).await;
    let keys = customer.ask_keys(&["ecdsa", "ed25519"]).await;
    customer.all_fulfilled(&keys).await;
    crew.until_stocked().await;
    // Each fault hits at another place of the path of a request.
    let faults = [("full disk", "full-after=4"), ("failing disk", "broken-after=9"), ("full disk", "full-after=15")];
    for (place, (name, fault)) in (1_u8..).zip(faults) {
        assert!(crew.stop_party(1).await.success());
        crew.start_party(1, &["--disk-fault", fault]);
        let mut asked = customer.ask_signatures(keys[1], &[vec![place; 40]]).await;
        asked.extend(customer.ask_signatures(keys[0], &[vec![place; 32]]).await);
        asked.extend(customer.ask_keys(&["ed25519"]).await);
        let status = crew.ended(1).await;
        assert_eq!(status.code(), Some(BROKEN), "{fault}: {}", crew.last_words(1));
        let (words, folder) = (crew.last_words(1), crew.party_folder(1).join("data"));
        assert!(words.contains(&told(name)), "{fault}: {words}");
        let names = words.contains(&format!("the journal in {} (`node.data_dir`)", folder.display()));
        assert!(names && words.contains("start this node again"), "{fault}: {words}");
        for id in &asked {
            assert_ne!(customer.look(*id).await.status, Status::Rejected, "{id} after {fault}");
        }
        // There is space again.
        crew.start_party(1, &[]);
        customer.all_fulfilled(&asked).await;
        crew.until_settled().await;
    }
    crew.stop().await;
}

/// The system itself refuses to let a file grow, as it does on a full disk: a real failure of a real write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_system_refuses_a_write_the_node_ends_and_opens_again() {
    let terms = Terms { block: Duration::from_secs(1), lifetime_blocks: 180, ..Terms::of(2, 2) };
    let mut crew = Crew::start(terms).await;
    crew.until_stocked().await;
    let customer = Customer::of(&crew).await;
    assert!(crew.stop_party(1).await.success());
    // The signal would kill it: ignored, the write fails as one on a full disk does. Blocks of 512 bytes.
    let mut limited = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 96; exec \"$0\" \"$@\""])
        .arg(program())
        .args(["run", "--prepared-primes", "1", "--config"])
        .arg(crew.party_folder(1).join("keyringd.toml"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut asked = Vec::new();
    for round in 1..=40_u8 {
        if limited.try_wait().unwrap().is_some() {
            break;
        }
        asked.extend(customer.ask_keys(&[if round % 2 == 0 { "ed25519" } else { "ecdsa" }]).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if limited.try_wait().unwrap().is_none() {
        limited.kill().unwrap();
        panic!("it writes no more than the limit allows");
    }
    let output = limited.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(BROKEN), "{said}");
    assert!(said.contains("storage failed to") && said.contains("File too large"), "{said}");
    crew.start_party(1, &[]);
    assert!(!asked.is_empty());
    customer.all_fulfilled(&asked).await;
    crew.until_settled().await;
    crew.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_and_a_wrong_clock_stop_nobody_and_no_secret_lies_in_the_clear() {
    let terms = Terms { log_level: "trace", ..Terms::of(2, 3) };
    let mut crew = Crew::on(crate::ground::Ground::lay(terms).await);
    crew.start_party(0, &[]);
    crew.start_party(1, &["--clock-ahead", "60s"]);
    crew.start_party(2, &["--disk-fault", "slow=200ms"]);
    crew.until_stocked().await;
    let links_down = |crew: &Crew| (0..3).map(|party| crew.log_text(party).matches("link down").count()).sum::<usize>();
    let before = links_down(&crew);
    let customer = Customer::of(&crew).await;
    let keys = customer.ask_keys(&["ecdsa", "ed25519", "bitcoin"]).await;
    customer.all_fulfilled(&keys).await;
    let mut asked = customer.ask_signatures(keys[0], &[vec![1; 32], vec![2; 32], vec![3; 32]]).await;
    asked.extend(customer.ask_signatures(keys[1], &[b"a message".to_vec()]).await);
    asked.extend(customer.ask_bitcoin(keys[2]).await);
    customer.all_fulfilled(&asked).await;
    crew.until("linked", all_up).await;
    assert_eq!(links_down(&crew), before, "a slow disk starves no heartbeat");

    crew.until("told of its clock", |status| status.party != 1 || status.clock_warning.contains(&told("wrong clock")))
        .await;
    for party in [0, 2] {
        let status = crew.status(party).await.expect("it runs");
        assert_eq!(status.clock_warning, "", "one wrong peer of two makes nobody else wrong");
    }
    let in_the_log = async {
        while !crew.log_text(1).contains(&told("wrong clock")) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), in_the_log).await.expect("it is in the log");
    let folder = crew.folder.path().to_owned();
    for party in 0..3 {
        // Beside the logs, to be searched with them.
        let told = crew.metrics(party);
        assert!(told.contains("keyring_ready 1"), "{told}");
        std::fs::write(crew.party_folder(party).join("metrics.txt"), told).unwrap();
        let backup = crew.party_folder(party).join("node.backup");
        let config = crew.party_folder(party).join("keyringd.toml");
        let made = Command::new(program()).arg("backup").arg(&backup).arg("--config").arg(config).output().unwrap();
        assert!(made.status.success() && backup.metadata().unwrap().len() > 10_000, "{made:?}");
        assert!(crew.stop_party(party).await.success());
    }
    for party in 0..3 {
        assert!(
            party_folder(&folder, party).join("keyringd.log").metadata().unwrap().len() > 1_000,
            "it said something"
        );
    }
    secrecy::nothing_in_the_clear(&folder, 3);
    crew.stop().await;
}
