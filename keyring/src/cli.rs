//! The command line: one file per command, and the edge where errors become exit codes.
//!
//! People get tables, programs get the same facts with `--json`. Results go to standard output, logs and errors to
//! standard error.

mod ask;
mod backup;
mod ceremony;
mod check;
mod contract;
mod controller;
#[cfg(feature = "devnet")]
pub mod devnet;
mod init;
mod request;
mod run;
mod table;

use crate::report::{Exit, Report};
use clap::{Args, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// One party of an off-chain MPC keyring.
#[derive(Debug, Parser)]
#[command(name = "keyringd", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make this party: configuration, identity, account key, store. What is there is left as it is.
    Init(init::InitArgs),
    /// Come to one roster with the other operators, then make what is needed before the first request.
    Ceremony(ceremony::CeremonyArgs),
    /// Tell whether this party would work, and what to do where it would not. Changes nothing.
    Check(check::CheckArgs),
    /// Be this party, until SIGTERM or Ctrl-C.
    Run(run::RunArgs),
    /// Tell who the running node is and how it is doing.
    Status(ask::AskArgs),
    /// List the keys that the running node holds a share of.
    Keys(ask::ListArgs),
    /// List the requests that the running node knows.
    Requests(ask::RequestsArgs),
    /// Tell why one request stands where it stands.
    Why(ask::WhyArgs),
    /// List the peers of the running node, or decide about one, on record.
    Peers(ask::PeersArgs),
    /// Write this party's memory into one sealed file, of the running node or of its store.
    Backup(backup::BackupArgs),
    /// Make a store from a backup, where the disk is lost: another incarnation, which the peers' operators must consent to.
    Restore(backup::RestoreArgs),
    /// Ask for a key or a signature, as a user of a zrChain or of a zrSign contract: no party is needed here.
    Request(Box<request::RequestArgs>),
    /// Let a controller that stands still go on.
    Controller(controller::ControllerArgs),
    /// Decide about a contract whose chain took final blocks back.
    Contract(contract::ContractArgs),
    /// A development chain and a whole keyring on this machine, in one command.
    #[cfg(feature = "devnet")]
    Devnet(devnet::DevnetArgs),
}

/// Which configuration.
#[derive(Args, Clone, Debug)]
struct ConfigArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "KEYRINGD_CONFIG", default_value = "/etc/keyringd/keyringd.toml")]
    config: PathBuf,
}

/// Reads the process's arguments, does what they say, tells what went wrong.
pub fn main() -> ExitCode {
    let command = match CommandLine::try_parse() {
        Ok(line) => line.command,
        Err(told) => {
            // Help and version are answers; everything else is a misuse.
            let code = if told.use_stderr() { Exit::Misused.into() } else { ExitCode::SUCCESS };
            return told.print().map_or(ExitCode::FAILURE, |()| code);
        }
    };
    perform(command).unwrap_or_else(|report| {
        // Where even standard error is gone, the exit code still tells.
        let _gone = writeln!(std::io::stderr(), "keyringd: {report}");
        report.exit().into()
    })
}

fn perform(command: Command) -> Result<ExitCode, Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Init(args) => init::init(&args)?,
            Command::Ceremony(args) => ceremony::ceremony(args).await?,
            Command::Check(args) => return Ok(verdict(check::check(&args).await?)),
            Command::Run(args) => run::run(args).await?,
            Command::Status(args) => ask::status(&args).await?,
            Command::Keys(args) => ask::keys(&args).await?,
            Command::Requests(args) => ask::requests(&args).await?,
            Command::Why(args) => ask::why(&args).await?,
            Command::Peers(args) => ask::peers(&args).await?,
            Command::Backup(args) => backup::backup(&args).await?,
            Command::Restore(args) => backup::restore(&args)?,
            // Large, and none of the others'.
            Command::Request(args) => Box::pin(request::request(&args)).await?,
            Command::Controller(args) => controller::run(&args).await?,
            Command::Contract(args) => contract::run(&args).await?,
            #[cfg(feature = "devnet")]
            Command::Devnet(args) => return Ok(devnet_code(devnet::run(args).await?)),
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What was asked about is well, or not.
fn verdict(passed: bool) -> ExitCode {
    if passed { ExitCode::SUCCESS } else { Exit::Failed.into() }
}

#[cfg(feature = "devnet")]
fn devnet_code(outcome: devnet::Outcome) -> ExitCode {
    match outcome {
        devnet::Outcome::Well => ExitCode::SUCCESS,
        devnet::Outcome::Failed | devnet::Outcome::Interrupted => Exit::Failed.into(),
    }
}

/// Writes a result. A reader that has seen enough is no error.
fn say(text: &str) -> Result<(), Report> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn no_command_takes_a_secret() {
        for command in CommandLine::command().get_subcommands() {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                let names_a_secret =
                    ["password", "passphrase", "secret", "seed", "private"].iter().any(|word| name.contains(word));
                assert!(!names_a_secret, "{} takes {name}", command.get_name());
            }
        }
    }

    #[test]
    fn every_command_that_tells_facts_has_a_form_for_programs() {
        for name in
            ["init", "ceremony", "check", "status", "keys", "requests", "why", "peers", "backup", "restore", "request"]
        {
            let line = CommandLine::command();
            let command = line.find_subcommand(name).unwrap();
            assert!(command.get_arguments().any(|argument| argument.get_id() == "json"), "{name}");
        }
    }
}
