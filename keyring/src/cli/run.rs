//! `keyringd run`: configure, build, spawn, drain.

use super::ConfigArgs;
use crate::app::App;
#[cfg(feature = "devnet")]
use crate::clock::{Clock, SystemClock, WrongClock};
use crate::config::{Config, ProcessEnvironment};
use crate::report::{Broken, Report};
#[cfg(feature = "devnet")]
use crate::store::{FaultyStore, Store};
use crate::{harden, logging};
use clap::Args;
#[cfg(feature = "devnet")]
use std::sync::Arc;
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
    /// Let the disk fail: `full-after=WRITES`, `broken-after=WRITES` or `slow=TIME`. For tests only.
    #[cfg(feature = "devnet")]
    #[arg(long, value_name = "FAULT", hide = true)]
    disk_fault: Option<crate::store::DiskFault>,
    /// Let the clock show a date so far ahead. For tests only.
    #[cfg(feature = "devnet")]
    #[arg(long, value_name = "TIME", hide = true, value_parser = humantime_serde::re::humantime::parse_duration)]
    clock_ahead: Option<std::time::Duration>,
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

    let app = args.build(config).await?;
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
    /// What was built for tests can be told to fail.
    #[cfg(feature = "devnet")]
    async fn build(&self, config: Config) -> Result<App, Report> {
        let clock: Arc<dyn Clock> = match self.clock_ahead {
            Some(ahead) => Arc::new(WrongClock::ahead_by(ahead)),
            None => Arc::new(SystemClock::new()),
        };
        let faulty = |store: Arc<dyn Store>| match self.disk_fault {
            Some(fault) => Arc::new(FaultyStore::new(store, fault)),
            None => store,
        };
        Ok(App::build_on(config, &ProcessEnvironment, self.primes()?, clock, faulty).await?)
    }

    #[cfg(not(feature = "devnet"))]
    async fn build(&self, config: Config) -> Result<App, Report> {
        Ok(App::build(config, &ProcessEnvironment, self.primes()?).await?)
    }

    #[cfg(feature = "devnet")]
    fn primes(&self) -> Result<Option<mpc_core::Primes>, Report> {
        Ok(self.prepared_primes.map(mpc_core::primes::prepared).transpose()?)
    }

    #[cfg(not(feature = "devnet"))]
    fn primes(&self) -> Result<Option<mpc_core::Primes>, Report> {
        Ok(None)
    }
}
