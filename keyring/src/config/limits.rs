//! Every bound that an operator may move: its unit, its default, and why there is one.

use super::{ConfigError, refuse};
use crate::store::BATCH_ENTRIES_MAX;
use serde::{Deserialize, Serialize};

/// One event, a tick or a lease that is granted, may move every open request. Each writes its decree and its state then,
/// and all of that is one batch of the journal: what does not fit ends the node, at every start anew.
const REQUESTS_OPEN_MOST: usize = BATCH_ENTRIES_MAX / 2;

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Runs that are alive at a time, each a thread. Beyond it a start is refused, and the request is looked at again.
    pub sessions_max: usize,
    /// Runs that compute at a time. 0 means all cores but one, at least one.
    pub compute_permits: usize,
    /// Frames of one party that no run has taken yet, or whose run has not begun here.
    pub frames_kept_per_party: usize,
    /// Bytes of the same.
    pub bytes_kept_per_party: usize,
    /// Largest body of a frame between peers, in bytes. All parties need the same value.
    pub frame_bytes_max: usize,
    /// Open requests that are worked on. More wait on the chain.
    pub requests_open_max: usize,
    /// Connections to the admin socket.
    pub admin_connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions_max: 128,
            compute_permits: 0,
            frames_kept_per_party: 2_048,
            bytes_kept_per_party: 16 << 20,
            frame_bytes_max: 4 << 20,
            requests_open_max: 4_096,
            admin_connections_max: 16,
        }
    }
}

impl Limits {
    /// Runs that may compute at a time on a machine with this many cores.
    pub fn permits(&self, cores: usize) -> usize {
        if self.compute_permits == 0 { cores.saturating_sub(1).max(1) } else { self.compute_permits }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let bounds = [
            ("sessions_max", self.sessions_max, 1, 4_096),
            ("compute_permits", self.compute_permits, 0, 1_024),
            ("frame_bytes_max", self.frame_bytes_max, 1 << 20, 16 << 20),
            ("frames_kept_per_party", self.frames_kept_per_party, 64, 1 << 16),
            ("bytes_kept_per_party", self.bytes_kept_per_party, self.frame_bytes_max, 1 << 30),
            ("requests_open_max", self.requests_open_max, 1, REQUESTS_OPEN_MOST),
            ("admin_connections_max", self.admin_connections_max, 1, 1_024),
        ];
        for (field, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return refuse(
                    format!("limits.{field}"),
                    format!("is {value}; it must lie between {least} and {most}"),
                );
            }
        }
        Ok(())
    }
}
