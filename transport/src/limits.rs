//! Every bound of a link, in one place, each with its unit and its reason.

/// How much may wait, and how large one frame may be. All bounds are per peer.
///
/// In the worst case (every peer hostile and our own consumer asleep) a node holds about
/// `peers × (outbox_bytes_max + inbox_bytes_max + 2 × body_bytes_max)` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest body, in bytes (1 to 16 MiB; default 4 MiB). Both ends need the same value; auxiliary data, the largest
    /// message known, stays under 300 kB. A longer frame closes the connection it came over.
    pub body_bytes_max: usize,
    /// Frames that wait for one peer (default 4096).
    pub outbox_frames_max: usize,
    /// Bytes that wait for one peer (default 16 MiB, at least one body).
    pub outbox_bytes_max: usize,
    /// Frames that wait in one lane of one peer (default 512), so that one conversation cannot fill the outbox.
    pub lane_frames_max: usize,
    /// Bytes that wait in one lane of one peer (default 4 MiB, at least one body).
    pub lane_bytes_max: usize,
    /// Frames received from one peer and not yet taken (default 1024). Above it, that peer is read no further.
    pub inbox_frames_max: usize,
    /// Bytes received from one peer and not yet taken (default 8 MiB, at least one body).
    pub inbox_bytes_max: usize,
}

/// The largest `body_bytes_max` that a node accepts.
pub(crate) const BODY_BYTES_CEILING: usize = 16 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 4 << 20,
            outbox_frames_max: 4096,
            outbox_bytes_max: 16 << 20,
            lane_frames_max: 512,
            lane_bytes_max: 4 << 20,
            inbox_frames_max: 1024,
            inbox_bytes_max: 8 << 20,
        }
    }
}

/// A bound that contradicts another or could never let a frame through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}, but must be between {least} and {most}")]
pub struct LimitError {
    /// The field of [`Limits`] to change.
    pub field: &'static str,
    /// Its value.
    pub value: usize,
    /// Smallest value allowed.
    pub least: usize,
    /// Largest value allowed.
    pub most: usize,
}

impl Limits {
    /// Checks the bounds against one another.
    ///
    /// # Errors
    /// Names the first field out of range and its range.
    pub fn check(&self) -> Result<(), LimitError> {
        const FRAMES: usize = 1 << 20;
        const BYTES: usize = 1 << 30;
        let body = self.body_bytes_max;
        within("body_bytes_max", body, 1, BODY_BYTES_CEILING)?;
        within("outbox_frames_max", self.outbox_frames_max, 1, FRAMES)?;
        within("outbox_bytes_max", self.outbox_bytes_max, body, BYTES)?;
        within("lane_frames_max", self.lane_frames_max, 1, self.outbox_frames_max)?;
        within("lane_bytes_max", self.lane_bytes_max, body, self.outbox_bytes_max)?;
        within("inbox_frames_max", self.inbox_frames_max, 1, FRAMES)?;
        within("inbox_bytes_max", self.inbox_bytes_max, body, BYTES)
    }
}

fn within(field: &'static str, value: usize, least: usize, most: usize) -> Result<(), LimitError> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(LimitError { field, value, least, most }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_agree_with_one_another() {
        Limits::default().check().unwrap();
    }

    #[test]
    fn a_lane_that_could_not_hold_one_body_is_refused_by_name() {
        let limits = Limits { lane_bytes_max: 100, ..Limits::default() };
        assert_eq!(limits.check().unwrap_err().field, "lane_bytes_max");
    }

    #[test]
    fn a_body_above_the_ceiling_is_refused() {
        let limits = Limits { body_bytes_max: BODY_BYTES_CEILING + 1, ..Limits::default() };
        assert_eq!(limits.check().unwrap_err().field, "body_bytes_max");
    }
}
