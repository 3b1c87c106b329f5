//! A real EVM node as a child process: its own port, ended by its own process id, waited for within bounds.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Every block's base fee, if a test does not say another: 1 gwei.
pub(crate) const BASE_FEE: u128 = 1_000_000_000;
/// The node's chain.
pub(crate) const CHAIN: u64 = 31337;

const READY_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const INSTALL: &str = "run `npm ci` in contracts/ (`./run test` does it)";

pub(crate) struct Node {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Node {
    /// Starts a node and waits until it answers. A node that is not installed is a failure, never a skipped test.
    pub(crate) async fn start() -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let program = program();
        assert!(program.is_file(), "anvil is not at {}: {INSTALL}", program.display());
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "anvil-{}-{}.log",
            std::process::id(),
            STARTED.fetch_add(1, Ordering::Relaxed)
        ));
        let out = File::create(&log).unwrap();
        let child = Command::new(&program)
            .args(["--host", "127.0.0.1", "--port", "0", "--threads", "1"])
            .args(["--chain-id", &CHAIN.to_string()])
            .args(["--block-base-fee-per-gas", &BASE_FEE.to_string(), "--disable-min-priority-fee"])
            .stdin(Stdio::null())
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}; {INSTALL}", program.display()));
        // Owned from here on, so that a panic below ends the process as well.
        let mut node = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        for _ in 0..READY_WITHIN.as_millis() / LOOK_EVERY.as_millis() {
            let said = std::fs::read_to_string(&log).unwrap();
            if let Some(address) = said.lines().find_map(|line| line.strip_prefix("Listening on ")) {
                node.address = address.trim().parse().unwrap();
                let _ = std::fs::remove_file(&log);
                return node;
            }
            if let Some(status) = node.child.try_wait().unwrap() {
                panic!("anvil ended at its start ({status}): {said}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("anvil did not listen within {READY_WITHIN:?}: {}", std::fs::read_to_string(&log).unwrap());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// There is a package for each kind of machine; the lock file names the one for Linux on amd64. `ANVIL` names a binary
/// that was installed otherwise.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("ANVIL") {
        return program.into();
    }
    let system = std::env::consts::OS.replace("macos", "darwin");
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    // chain-client's tests have this file as well; both crates stand side by side.
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../contracts/node_modules/@foundry-rs/anvil-{system}-{machine}/bin/anvil"))
}
