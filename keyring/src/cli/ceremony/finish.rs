//! The last part: the node runs until it has what it needs before the first request. If it runs already, it is watched.

use super::show::Show;
use super::{StepError, next_step};
use crate::admin;
use crate::admin::proto::admin_client::AdminClient;
use crate::admin::proto::{StatusReply, StatusRequest};
use crate::app::{App, Running};
use crate::ceremony::progress::{Progress, Watch};
use crate::cli::say;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, ProcessEnvironment};
use crate::logging;
use crate::report::{Broken, Report};
use crate::roster::Roster;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tonic::transport::Channel;

/// How often the node is looked at.
const PAUSE: Duration = Duration::from_millis(500);
/// How long this party stays after its own part is done and nothing moves any more: others may keep smaller shelves.
const STILL_MS: u64 = 30_000;
/// How long it stays after all is done, so that the others hear the last word too.
const LINGER: Duration = Duration::from_secs(5);

/// How it ended.
enum End {
    Done(Vec<String>),
    Interrupted,
}

pub(super) async fn finish(path: &Path, json: bool) -> Result<(), Report> {
    let config = Config::load(path)?;
    if !config.node.roster.exists() {
        return Err(StepError::NoRoster { next: next_step(&config, path) }.into());
    }
    let roster = Roster::load(&config.node.roster)?;
    let (socket, grace) = (config.node.admin_socket.clone(), config.node.drain_timeout);
    let shelf = u64::from(config.shelf.secp256k1_per_lane) + u64::from(config.shelf.ed25519_per_lane);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let own = if admin::connect(&socket).await.is_ok() { None } else { Some(start(config).await?) };
    if !json {
        let how =
            if own.is_some() { "this party works until it is ready" } else { "the node runs already and is watched" };
        say(&format!("roster {}: {how}; Ctrl-C loses nothing\n", roster.fingerprint()))?;
    }
    let ended = tokio::select! {
        ended = watch(&socket, shelf, json) => ended,
        () = died(own.as_ref()) => Err(Broken("the node ended without being told to; see its log".to_owned()).into()),
        _ = interrupt.recv() => Ok(End::Interrupted),
        _ = terminate.recv() => Ok(End::Interrupted),
    };
    if let (Ok(End::Done(_)), Some(_)) = (&ended, &own) {
        tokio::time::sleep(LINGER).await;
    }
    let ran_here = own.is_some();
    if let Some(running) = own {
        running.drain(grace).await?;
    }
    match ended? {
        End::Interrupted => Err("stopped before this party was ready; what was made is kept: call it again".into()),
        End::Done(_) if json => Ok(()),
        End::Done(waits) => {
            let flag = super::flag(path);
            let run = if ran_here { format!("keyringd run {flag}") } else { format!("keyringd status {flag}") };
            let waits = waits.iter().map(|why| format!("not yet: {why}\n")).collect::<String>();
            say(&format!(
                "\nthis party is ready for its first request\n{waits}\nnext: {run}, and with it: keyringd check {flag}\n"
            ))
        }
    }
}

async fn start(config: Config) -> Result<Running, Report> {
    logging::begin(&config.log)?;
    Ok(App::build(config, &ProcessEnvironment, None).await?.spawn()?)
}

async fn died(own: Option<&Running>) {
    match own {
        Some(running) => running.ended().await,
        None => std::future::pending().await,
    }
}

async fn watch(socket: &Path, shelf: u64, json: bool) -> Result<End, Report> {
    let mut node = admin::connect(socket).await?;
    let clock = SystemClock::new();
    let (mut watch, mut show) = (Watch::default(), Show::new(json));
    let mut still: Option<(u64, Progress)> = None;
    loop {
        let status = ask(&mut node).await?;
        let now = clock.monotonic_ms();
        let progress = watch.look(&status, shelf, now);
        show.show(&progress, now)?;
        let stands_still = match &still {
            Some((since, before)) if same(before, &progress) => now.saturating_sub(*since) > STILL_MS,
            _ => {
                still = Some((now, progress.clone()));
                false
            }
        };
        if progress.all_done || (progress.own_done && stands_still) {
            show.end();
            return Ok(End::Done(status.not_ready.iter().map(ToString::to_string).collect()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn same(a: &Progress, b: &Progress) -> bool {
    a.stages.iter().map(|stage| stage.done).eq(b.stages.iter().map(|stage| stage.done))
}

async fn ask(node: &mut AdminClient<Channel>) -> Result<StatusReply, Report> {
    let reply = node.status(StatusRequest {}).await;
    reply.map(tonic::Response::into_inner).map_err(|status| format!("the node answers: {}", status.message()).into())
}
