//! Makes a block at each tick, unless production is halted.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::clock;
use super::handle::{ChainHandle, Produced};

pub(super) async fn run(handle: ChainHandle, interval: Duration, mut stopped: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stalled = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        match handle.produce(clock::now()) {
            Produced::Block | Produced::Halted => stalled = false,
            Produced::Stalled(why) if !stalled => {
                tracing::error!(%why, "block production stalled; only emptying the mempool frees it");
                stalled = true;
            }
            Produced::Stalled(_) => {}
            Produced::Lost(why) => {
                tracing::error!(%why, "block could not be written; production ends");
                return;
            }
        }
    }
}
