//! The page `docs/by-hand.md` is the test: every `$` line in it is run, in order, by one shell, and what is printed must
//! have the shape of what stands on the page. Words must be the same; whatever holds a digit may differ.
//!
//! With `BY_HAND_WRITE=1` the page gets the new output instead.

#![cfg(feature = "devnet")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it must")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// Longest wait for one line of output: real primes are searched for.
const PATIENCE: Duration = Duration::from_secs(420);
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/by-hand.md");
/// Everything behind this needs minutes.
const LONG: &str = "<!-- from here on: minutes -->";
/// Ports on the page. Others are used, so that runs on one machine do not meet.
const PORTS: [&str; 4] = ["9090", "7700", "7701", "7702"];
const END: &str = "@@ end of a command, exit code ";

/// A piece of the page.
enum Piece {
    /// Copied as it is.
    Text(String),
    /// A command with its output. With `varies` only the exit code counts.
    Step { command: String, output: Vec<String>, varies: bool },
}

fn pieces(page: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut block = None;
    for line in page.lines() {
        match (&block, line) {
            (None, "```console") => block = Some(false),
            (None, "```console,varies") => block = Some(true),
            (Some(_), "```") => block = None,
            (Some(varies), line) => {
                match (line.strip_prefix("$ "), pieces.last_mut()) {
                    (Some(command), _) => {
                        pieces.push(Piece::Step { command: command.to_owned(), output: Vec::new(), varies: *varies });
                    }
                    (None, Some(Piece::Step { output, .. })) => output.push(line.to_owned()),
                    (None, _) => panic!("output without a command: {line}"),
                }
                continue;
            }
            (None, _) => {}
        }
        pieces.push(Piece::Text(line.to_owned()));
    }
    pieces
}

/// A shell that is fed one command at a time. Whatever it started ends with it.
struct Shell {
    child: Child,
    feed: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(folder)
            .env("TMPDIR", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let (sender, lines) = sync_channel(10_000);
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { feed: child.stdin.take().unwrap(), child, lines }
    }

    /// What it printed, and its exit code.
    fn run(&mut self, command: &str) -> (Vec<String>, String) {
        // On a new line of its own: a command may end in an ampersand, and its output without a line end.
        writeln!(self.feed, "{{\n{command}\n}} < /dev/null 2>&1\nprintf '\\n{END}%s\\n' $?").unwrap();
        let mut output = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("`{command}` says nothing any more after {output:#?}"));
            if let Some(code) = line.strip_prefix(END) {
                while output.last().is_some_and(String::is_empty) {
                    output.pop();
                }
                return (output, code.to_owned());
            }
            output.push(line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        for signal in [Signal::TERM, Signal::KILL] {
            let _gone = kill_process_group(group, signal);
            std::thread::sleep(Duration::from_secs(1));
        }
        let _ended = self.child.wait();
    }
}

/// Words as they are, everything with a digit in it as one sign, blanks as one.
fn shape(line: &str) -> String {
    let word = |word: &str| if word.contains(|c: char| c.is_ascii_digit()) { "#".to_owned() } else { word.to_owned() };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

fn shapes(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| shape(line)).collect()
}

/// The root of the repository as the page sees it, with this build's programs.
fn root(folder: &Path) {
    let programs = Path::new(env!("CARGO_BIN_EXE_keyringd")).parent().unwrap();
    assert!(programs.join("zrchain-wallet").exists(), "build it first: cargo build --workspace --bins");
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::os::unix::fs::symlink(repository.join("deploy"), folder.join("deploy")).unwrap();
    std::fs::create_dir(folder.join("target")).unwrap();
    std::os::unix::fs::symlink(programs, folder.join("target/debug")).unwrap();
}

fn free_ports() -> Vec<String> {
    let held: Vec<_> = PORTS.iter().map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port().to_string()).collect()
}

fn exchanged<'a>(text: &str, ports: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = text.to_owned();
    for (from, to) in ports {
        for before in ["127.0.0.1:", "/tcp/"] {
            text = text.replace(&format!("{before}{from}"), &format!("{before}{to}"));
        }
    }
    text
}

/// Runs the page, as far as it goes, and gives it back with the new output.
fn follow(page: &str, write: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    root(folder.path());
    let ports = free_ports();
    let there = || PORTS.into_iter().zip(ports.iter().map(String::as_str));
    let back = || ports.iter().map(String::as_str).zip(PORTS);
    let mut shell = Shell::start(folder.path());
    let mut followed = String::new();
    for piece in pieces(page) {
        let (command, expected, varies) = match piece {
            Piece::Text(line) => {
                followed += &(line + "\n");
                continue;
            }
            Piece::Step { command, output, varies } => (command, output, varies),
        };
        let (output, code) = shell.run(&exchanged(&command, there()));
        let output: Vec<_> = output.iter().map(|line| exchanged(line, back()).trim_end().to_owned()).collect();
        assert_eq!(code, "0", "$ {command}\n{}", output.join("\n"));
        if !write && !varies {
            assert_eq!(shapes(&output), shapes(&expected), "$ {command}\nprinted\n{}", output.join("\n"));
        }
        followed += &format!("$ {command}\n");
        output.iter().for_each(|line| followed += &format!("{line}\n"));
    }
    followed
}

fn page() -> (PathBuf, String, bool) {
    let path = PathBuf::from(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let write = std::env::var_os("BY_HAND_WRITE").is_some();
    (path, page, write)
}

#[test]
fn the_page_says_what_happens_up_to_a_roster_that_all_have_signed() {
    let (_, page, write) = page();
    let (short, _) = page.split_once(LONG).expect("the page has a part that takes seconds");
    follow(short, write);
}

#[test]
#[ignore = "searches for real safe primes: minutes; `./run test --long` runs it"]
fn the_whole_page_says_what_happens_from_nothing_to_verified_answers() {
    let (path, page, write) = page();
    let followed = follow(&page, write);
    if write {
        std::fs::write(path, followed).unwrap();
    }
}

#[test]
fn the_page_is_read_as_it_stands() {
    let (_, page, _) = page();
    let steps = pieces(&page).iter().filter(|piece| matches!(piece, Piece::Step { .. })).count();
    assert!(steps > 30, "only {steps} steps are found");
    let mut again = String::new();
    for piece in pieces(&page) {
        match piece {
            Piece::Text(line) => again += &(line + "\n"),
            Piece::Step { command, output, .. } => {
                again += &format!("$ {command}\n");
                output.iter().for_each(|line| again += &format!("{line}\n"));
            }
        }
    }
    assert_eq!(again, page, "nothing of the page is lost");
}
