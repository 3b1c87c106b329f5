//! `controller resume`: an operator's word on where an account stands.

use super::ask::AskArgs;
use super::say;
use crate::admin::proto::ResumeControllerRequest;
use crate::report::Report;
use clap::{Args, Subcommand};

/// What to do with a controller.
#[derive(Args, Clone, Debug)]
pub(super) struct ControllerArgs {
    #[command(subcommand)]
    command: ControllerCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum ControllerCommand {
    /// Let a controller that stands still go on. Find out first who else holds the account's key.
    Resume(ResumeArgs),
}

#[derive(Args, Clone, Debug)]
struct ResumeArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// The chain's id.
    chain: String,
    /// The account's next sequence: where the chain showed it, or where this party's journal stands, as `status` tells.
    #[arg(long, value_name = "NUMBER")]
    sequence: u64,
}

pub(super) async fn run(args: &ControllerArgs) -> Result<(), Report> {
    let ControllerCommand::Resume(args) = &args.command;
    let command = ResumeControllerRequest { chain: args.chain.clone(), sequence: args.sequence };
    args.ask.client().await?.resume_controller(command).await.map_err(|status| super::ask::refused(&status))?;
    say(&format!("the controller of {} goes on at sequence {}\n", args.chain, args.sequence))
}
