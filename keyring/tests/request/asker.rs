//! Somebody who asks: an account's key in a file, and the program.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

/// Longest life of one call, whatever it waits for.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Asker {
    pub(crate) folder: tempfile::TempDir,
    /// Which chain, and as whom.
    place: Vec<String>,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Asker {
    pub(crate) fn new(secret: [u8; 32], place: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let asker = Self { place: place.iter().map(|flag| (*flag).to_owned()).collect(), folder };
        std::fs::write(asker.account(), hex::encode(secret)).unwrap();
        asker.set_mode(0o600);
        asker
    }

    pub(crate) fn account(&self) -> PathBuf {
        self.folder.path().join("account.key")
    }

    pub(crate) fn set_mode(&self, mode: u32) {
        std::fs::set_permissions(self.account(), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Asks where this asker is at home. Arguments are words, separated by blanks.
    pub(crate) async fn asks(&self, words: &str) -> Ended {
        let account = self.account();
        let at_home: Vec<&str> = self.place.iter().map(String::as_str).collect();
        let words: Vec<&str> = words.split_whitespace().collect();
        run(&[at_home, vec!["--account", account.to_str().unwrap()], words].concat()).await
    }

    /// The same, and there must be an answer.
    pub(crate) async fn gets(&self, words: &str) -> Value {
        self.asks(&format!("--json {words}")).await.answer()
    }
}

/// How a call ended while somebody did something. Who is asked in vain does not wait for ever.
pub(crate) async fn meanwhile<T>(asked: impl Future<Output = T>, others: impl Future<Output = ()>) -> T {
    tokio::pin!(asked);
    tokio::select! {
        ended = &mut asked => ended,
        () = others => asked.await,
    }
}

/// `keyringd request` with these arguments.
pub(crate) async fn run(words: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyringd"));
    command.arg("request").args(words).stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends by itself").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: ended.status.code(), out: text(ended.stdout), err: text(ended.stderr) }
}

impl Ended {
    pub(crate) fn answer(self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.err);
        serde_json::from_str(&self.out).unwrap()
    }

    /// It ended with this code, printed no answer, and said all of this.
    pub(crate) fn refused(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.err);
        assert_eq!(self.out, "", "nothing is printed as an answer");
        for said in said {
            assert!(self.err.contains(said), "{said:?} is not in\n{}", self.err);
        }
    }

    /// The transaction that asked, as the program said before it waited.
    pub(crate) fn transaction(&self) -> String {
        let line = self.err.lines().find_map(|line| line.strip_prefix("transaction "));
        line.unwrap_or_else(|| panic!("{}", self.err)).to_owned()
    }
}
