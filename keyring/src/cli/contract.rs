//! `contract rebase`, `contract release`: an operator's word about a contract.

use super::ask::{AskArgs, refused};
use super::say;
use crate::admin::proto::{RebaseContractRequest, ReleaseNonceRequest};
use crate::report::Report;
use clap::{Args, Subcommand};

/// What to do with a contract.
#[derive(Args, Clone, Debug)]
pub(super) struct ContractArgs {
    #[command(subcommand)]
    command: ContractCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum ContractCommand {
    /// Take a chain that took final blocks back for true as it is now. Come to one mind with the other operators first:
    /// each says this to its own node.
    Rebase(RebaseArgs),
    /// Give up the nonce of a simple transaction that nobody will send, or a simple transaction that cannot be completed: the
    /// next of its wallet takes its place. Each operator says this to its own node.
    Release(ReleaseArgs),
}

#[derive(Args, Clone, Debug)]
struct RebaseArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// The chain's id, for example eip155:1.
    chain: String,
    /// A block below everything that was taken back. Behind it all is read anew; a lower one costs time only.
    #[arg(long, value_name = "NUMBER")]
    height: u64,
}

#[derive(Args, Clone, Debug)]
struct ReleaseArgs {
    #[command(flatten)]
    ask: AskArgs,
    /// Id of the contract's chain, for example eip155:1.
    chain: String,
    /// The contract's number of the request, as `requests` shows it.
    trace: u64,
}

pub(super) async fn run(args: &ContractArgs) -> Result<(), Report> {
    match &args.command {
        ContractCommand::Rebase(RebaseArgs { ask, chain, height }) => {
            let command = RebaseContractRequest { chain: chain.clone(), height: *height };
            let reply = ask.client().await?.rebase_contract(command).await.map_err(|status| refused(&status))?;
            let reply = reply.into_inner();
            say(&format!(
                "{chain} is read anew behind block {height} ({}); {} requests that were read behind it are undone\n",
                reply.block, reply.undone
            ))
        }
        ContractCommand::Release(ReleaseArgs { ask, chain, trace }) => {
            let command = ReleaseNonceRequest { chain: chain.clone(), trace: *trace };
            let reply = ask.client().await?.release_nonce(command).await.map_err(|status| refused(&status))?;
            let what = reply.into_inner().nonce.map_or_else(String::new, |nonce| format!("nonce {nonce} of "));
            say(&format!("{what}{chain}/signature/{trace} is given up\n"))
        }
    }
}
