//! Who else uses this machine while a campaign measures it. What a cluster can do in a given time depends on the cores it
//! gets, so a round that failed while others took them proves nothing, neither way.

use std::time::Instant;

use super::settings::now;

/// Ticks of the system's clock in a second, as `/proc` counts them on Linux.
const TICKS_PER_SECOND: f64 = 100.0;
/// Of all cores, what others may use before a failed round is measured again rather than judged.
const SHARE_MAX: f64 = 0.15;

/// From one moment on.
pub(crate) struct Bystanders {
    began: Instant,
    others: f64,
    cores: f64,
}

impl Bystanders {
    /// Begins to count. `pids` are the campaign's own living processes beside this one.
    pub(crate) fn watch(pids: impl Iterator<Item = u32>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
        Self { began: now(), others: others_ticks(pids), cores }
    }

    /// Share of all cores that others used since then.
    pub(crate) fn share(&self, pids: impl Iterator<Item = u32>) -> f64 {
        let seconds = (others_ticks(pids) - self.others) / TICKS_PER_SECOND;
        (seconds / self.began.elapsed().as_secs_f64() / self.cores).max(0.0)
    }

    /// Whether that share is too large to judge by.
    pub(crate) fn are_in_the_way(share: f64) -> bool {
        share > SHARE_MAX
    }
}

/// Ticks that this machine was busy, less those of the campaign: of this process, of its children that have ended, and of
/// those that live.
fn others_ticks(pids: impl Iterator<Item = u32>) -> f64 {
    let all = std::fs::read_to_string("/proc/stat").unwrap();
    let fields: Vec<f64> =
        all.lines().next().unwrap().split_whitespace().skip(1).map(|field| field.parse().unwrap()).collect();
    // User (which has the guests' in it), nice, system, interrupts and what the host took; idle and waiting are 3 and 4.
    let busy: f64 = fields[0..3].iter().chain(&fields[5..8]).sum();
    let own: f64 = ticks("self", 4) + pids.map(|pid| ticks(&pid.to_string(), 2)).sum::<f64>();
    busy - own
}

/// The first of the four times of a process: its own user and system time, then those of its children that have ended.
fn ticks(process: &str, times: usize) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { return 0.0 };
    // Behind the name, which may hold blanks.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    fields.iter().skip(11).take(times).filter_map(|field| field.parse::<f64>().ok()).sum()
}
