//! A real EVM node as a child process: on a free loopback port, ended by its own process id, waited for within bounds.
//! For development chains and tests.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const READY_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How the node makes blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// EIP-155 id.
    pub chain: u64,
    /// Base fee of the first block, in wei.
    pub base_fee: u128,
    /// A block every so many seconds, and two slots an epoch, so that blocks become final after four; `None`: a block for
    /// each transaction.
    pub block_seconds: Option<u64>,
}

/// A node at work. Dropping it ends the process.
#[derive(Debug)]
pub struct Anvil {
    child: Child,
    address: SocketAddr,
    chain: u64,
}

/// Why there is no node.
#[derive(Debug, thiserror::Error)]
pub enum AnvilError {
    /// It is not installed.
    #[error(
        "anvil is not at {0}: run `npm ci` in contracts/ (`./run` does it), or name a binary in the variable ANVIL"
    )]
    Missing(PathBuf),
    /// The system refuses.
    #[error("anvil cannot be started")]
    Start(#[source] std::io::Error),
    /// It ended, or says nothing.
    #[error("anvil does not listen ({how}): {said}")]
    Silent {
        /// What was seen.
        how: String,
        /// What it said.
        said: String,
    },
}

impl Anvil {
    /// Starts a node and waits until it listens. What it says before that is kept in `folder` for so long.
    ///
    /// # Errors
    /// [`AnvilError`].
    pub async fn start(settings: Settings, folder: &Path) -> Result<Self, AnvilError> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let program = program();
        if !program.is_file() {
            return Err(AnvilError::Missing(program));
        }
        let count = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = folder.join(format!("anvil-{}-{count}.log", std::process::id()));
        let out = File::create(&log).map_err(AnvilError::Start)?;
        let mut command = ended_with_parent(&program);
        command
            .args(["--host", "127.0.0.1", "--port", "0", "--threads", "1"])
            .args(["--chain-id", &settings.chain.to_string()])
            .args(["--block-base-fee-per-gas", &settings.base_fee.to_string(), "--disable-min-priority-fee"]);
        if let Some(seconds) = settings.block_seconds {
            command.args(["--block-time", &seconds.to_string(), "--slots-in-an-epoch", "2"]);
        }
        let child = command
            .stdin(Stdio::null())
            .stderr(out.try_clone().map_err(AnvilError::Start)?)
            .stdout(out)
            .spawn()
            .map_err(AnvilError::Start)?;
        // Owned from here on, so that every way out ends the process as well.
        let mut node = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), chain: settings.chain };
        let found = node.listening(&log).await;
        let _unneeded = std::fs::remove_file(&log);
        node.address = found?;
        Ok(node)
    }

    async fn listening(&mut self, log: &Path) -> Result<SocketAddr, AnvilError> {
        let mut said = String::new();
        for _ in 0..READY_WITHIN.as_millis() / LOOK_EVERY.as_millis() {
            said = std::fs::read_to_string(log).map_err(AnvilError::Start)?;
            let address = said.lines().find_map(|line| line.strip_prefix("Listening on "));
            if let Some(address) = address.and_then(|address| address.trim().parse().ok()) {
                return Ok(address);
            }
            if let Some(status) = self.child.try_wait().map_err(AnvilError::Start)? {
                return Err(AnvilError::Silent { how: format!("it ended with {status}"), said });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(AnvilError::Silent { how: format!("waited {READY_WITHIN:?}"), said })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as JSON-RPC clients want it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// EIP-155 id.
    #[must_use]
    pub const fn chain(&self) -> u64 {
        self.chain
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A program that the system ends when the thread that started it is gone, however that ended: by `setpriv` of
/// util-linux, where there is one. It becomes the program under the same process id.
fn ended_with_parent(program: &Path) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if !setpriv.is_file() {
        return Command::new(program);
    }
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "TERM"]).arg(program);
    command
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
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("node_modules/@foundry-rs/anvil-{system}-{machine}/bin/anvil"))
}
