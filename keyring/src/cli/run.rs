//! `keyringd run`: configure, build, spawn, drain.

use super::ConfigArgs;
use crate::app::App;
use crate::config::{Config, ProcessEnvironment};
use crate::report::{Broken, Report};
use crate::{harden, logging};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

/// How to run.
#[derive(Args, Clone, Debug)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Take this set of published primes instead of searching for secret ones. For development chains only: everybody
    /// knows these numbers.
    #[cfg(feature = "devnet")]
    #[arg(long, value_name = "NUMBER")]
    prepared_primes: Option<usize>,
}

/// Runs one party until it is told to stop, or cannot go on.
pub(super) async fn run(args: RunArgs) -> Result<(), Report> {
    let config = Config::load(&args.config.config)?;
    logging::begin(&config.log)?;
    harden::begin()?;
    #[cfg(feature = "devnet")]
    if args.prepared_primes.is_some() {
        super::devnet::end_with_parent()?;
    }
    let grace = config.node.drain_timeout;

    let app = App::build(config, &ProcessEnvironment, args.primes()?).await?;
    // Taken before anything starts: a signal that comes now must not end the process half way.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let running = app.spawn()?;
    let ended_by_itself = tokio::select! {
        _ = interrupt.recv() => false,
        _ = terminate.recv() => false,
        () = running.ended() => true,
    };
    info!(?grace, "stopping");
    running.drain(grace).await?;
    if ended_by_itself {
        return Err(Broken("the node ended without being told to".to_owned()).into());
    }
    info!("stopped");
    Ok(())
}

impl RunArgs {
    #[cfg(feature = "devnet")]
    fn primes(&self) -> Result<Option<mpc_core::Primes>, Report> {
        Ok(self.prepared_primes.map(mpc_core::primes::prepared).transpose()?)
    }

    #[cfg(not(feature = "devnet"))]
    fn primes(&self) -> Result<Option<mpc_core::Primes>, Report> {
        Ok(None)
    }
}
